//! How many tokens a Messages request has for an OpenAI model: an estimate, since nobody but the service knows what it
//! wraps around texts and how it cuts images.

use serde_json::{Map, Value};

use super::messages::request_read;
use super::refused::Refused;
use super::request::{Part, Source, Tool};

/// What a turn and a tool cost besides their texts.
const TURN: u64 = 4;
const TOOL: u64 = 8;

/// An image of usual size at high detail.
const IMAGE: u64 = 765;

/// Bytes of base64 that make a token of a document, taken from usual PDF files.
const DOCUMENT_BYTES: u64 = 64;

/// Counts. The first call loads the tables, which takes a moment.
///
/// # Errors
/// When the body is no request, or one that no OpenAI model could be asked.
pub fn tokens(body: &[u8]) -> Result<u64, Refused> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| Refused::NotJson(error.to_string()))?;
    let request = request_read::counted(body)?;
    let system: u64 = request.system.iter().map(|said| text(&said.text)).sum();
    let turns: u64 = request.turns.iter().map(|turn| TURN + turn.parts.iter().map(part).sum::<u64>()).sum();
    let tools: u64 = request.tools.iter().map(tool).sum();
    Ok(TURN + system + turns + tools)
}

fn text(text: &str) -> u64 {
    bpe_openai::o200k_base().count(text) as u64
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text(said) => text(&said.text),
        Part::Refusal(said) => text(said),
        Part::Image(_) => IMAGE,
        Part::Document(document) => match &document.media.source {
            Source::Text(said) => text(said),
            Source::Base64 { data, .. } => data.len() as u64 / DOCUMENT_BYTES,
            Source::Url(_) => IMAGE,
        },
        // What was thought earlier is not part of the prompt again.
        Part::Thought(_) => 0,
        Part::Call(call) => TURN + text(&call.name) + text(&call.arguments),
        Part::Result(result) => TURN + result.parts.iter().map(self::part).sum::<u64>(),
    }
}

fn tool(tool: &Tool) -> u64 {
    TOOL + text(&tool.name) + tool.description.as_deref().map_or(0, text) + text(&tool.schema.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_53_texts_are_counted_as_the_models_do_and_all_parts_count() {
        let count = |body: &str| tokens(body.as_bytes()).unwrap();
        let hello = count(r#"{"messages":[{"role":"user","content":"hello world"}]}"#);
        assert_eq!(hello, 2 * TURN + 2);
        let more = count(
            r#"{"system":"hello","tools":[{"name":"f","input_schema":{}}],"messages":[{"role":"user","content":[{"type":"text","text":"hello world"},{"type":"image","source":{"type":"url","url":"https://x"}}]}]}"#,
        );
        assert!(more > hello + 1 + IMAGE + TOOL, "{more}");
        assert!(tokens(b"[]").is_err());
    }
}
