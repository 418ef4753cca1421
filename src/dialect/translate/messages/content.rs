//! The blocks of a Messages turn, read.

use serde_json::Value;

use super::super::fields::Fields;
use super::super::proof;
use super::super::refused::Refused;
use super::super::request::{Call, CallResult, Document, Media, Part, Proof, Source, Text, Thought};

const WHY: &str = "other models do not know this kind of block";

/// The content of a turn or of a tool's result.
pub fn parts(content: Option<Value>, path: &str) -> Result<Vec<Part>, Refused> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(Text::plain(text))]),
        Some(Value::Array(blocks)) => {
            let blocks = blocks.into_iter().enumerate();
            blocks.map(|(index, block)| part(Fields::of(block, format!("{path}.{index}"))?)).collect()
        }
        Some(_) => Err(Refused::invalid(path, "a string or an array of blocks")),
    }
}

/// Blocks that may be nothing but text.
pub fn texts(blocks: Vec<Value>, path: &str) -> Result<Vec<Text>, Refused> {
    let text = |part: Part| match part {
        Part::Text(text) => Ok(text),
        _ => Err(Refused::invalid(path, "text blocks")),
    };
    parts(Some(Value::Array(blocks)), path)?.into_iter().map(text).collect()
}

pub fn cache_of(fields: &mut Fields) -> Option<Value> {
    fields.take("cache_control")
}

fn part(mut fields: Fields) -> Result<Part, Refused> {
    let kind = fields.required_text("type")?;
    let cache = cache_of(&mut fields);
    let part = match kind.as_str() {
        "text" => {
            // Where a text was quoted from is told to readers, not to models.
            fields.drop_all(&["citations"]);
            Part::Text(Text { text: fields.required_text("text")?, cache })
        }
        "image" => Part::Image(Media { source: source(&mut fields)?, cache }),
        "document" => document(&mut fields, cache)?,
        "tool_use" => {
            let input = fields.take("input").unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            let (id, name) = (fields.required_text("id")?, fields.required_text("name")?);
            fields.drop_all(&["caller"]);
            Part::Call(Call { id, name, arguments: input.to_string(), cache })
        }
        "tool_result" => {
            let (id, path) = (fields.required_text("tool_use_id")?, fields.path("content"));
            let parts = parts(fields.take("content"), &path)?;
            Part::Result(CallResult { id, parts, failed: fields.boolean("is_error")?.unwrap_or(false), cache })
        }
        "thinking" => {
            let text = fields.text("thinking")?.unwrap_or_default();
            let signature = fields.text("signature")?.unwrap_or_default();
            Part::Thought(Thought { text, proof: proof::of_signature(signature) })
        }
        "redacted_thinking" => {
            let data = fields.required_text("data")?;
            Part::Thought(Thought { text: String::new(), proof: Proof::Redacted(data) })
        }
        _ => return Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), WHY)),
    };
    fields.done(WHY)?;
    Ok(part)
}

fn document(fields: &mut Fields, cache: Option<Value>) -> Result<Part, Refused> {
    fields.drop_all(&["citations"]);
    let name = fields.text("title")?;
    let context = fields.text("context")?;
    let mut source = source(fields)?;
    if let (Source::Text(text), Some(context)) = (&mut source, context) {
        *text = format!("{context}\n\n{text}");
    }
    Ok(Part::Document(Document { media: Media { source, cache }, name }))
}

fn source(fields: &mut Fields) -> Result<Source, Refused> {
    let path = fields.path("source");
    let mut source = fields.object("source")?.ok_or_else(|| Refused::invalid(path.as_str(), "an object"))?;
    let kind = source.required_text("type")?;
    match kind.as_str() {
        "base64" => {
            Ok(Source::Base64 { media_type: source.required_text("media_type")?, data: source.required_text("data")? })
        }
        "url" => Ok(Source::Url(source.required_text("url")?)),
        "text" => Ok(Source::Text(source.required_text("data")?)),
        "content" => {
            let inner = match source.take("content") {
                Some(Value::Array(blocks)) => texts(blocks, &source.path("content"))?,
                other => parts(other, &source.path("content"))?
                    .into_iter()
                    .filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None })
                    .collect(),
            };
            Ok(Source::Text(inner.into_iter().map(|text| text.text).collect::<Vec<_>>().join("\n")))
        }
        _ => Err(Refused::not_supported(format!("{path}.type ({kind})"), "files stay with Anthropic's own service")),
    }
}
