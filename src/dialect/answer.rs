//! Plain JSON answers to a caller of the same dialect: `model` echoes the caller's spelling, `usage` is read.
//!
//! Tolerant: a body that is not a JSON object passes as it is.

use bytes::Bytes;

use super::members::Members;
use super::peek::{JsonError, Peek};
use super::splice::{Edits, apply};
use super::usage::Usage;

/// Reads an answer as it arrives. The bytes stay with the caller, who hands them over at the end.
#[derive(Debug)]
pub struct Answer {
    peek: Result<Peek, JsonError>,
    length: u64,
    echo: Option<Bytes>,
    count: fn(&[u8]) -> Option<Usage>,
}

impl Answer {
    /// `echo` is the caller's name of the model as a JSON string, quotes included.
    pub fn new(echo: Option<Bytes>) -> Self {
        Self { peek: Ok(Peek::new(&["model", "usage"])), length: 0, echo, count: Usage::from_chat }
    }

    /// The same for images, transcripts and speech, which count as Responses do.
    pub fn of_media(echo: Option<Bytes>) -> Self {
        Self { count: Usage::from_responses, ..Self::new(echo) }
    }

    /// The same for an answer in the dialect of Messages.
    pub fn of_messages(echo: Option<Bytes>) -> Self {
        Self { count: Usage::from_messages, ..Self::new(echo) }
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        self.length += chunk.len() as u64;
        if let Ok(peek) = &mut self.peek
            && let Err(error) = peek.feed(chunk)
        {
            self.peek = Err(error);
        }
    }

    /// The answer for the caller, as slices of `rope`, and the tokens it reports.
    pub fn finish(self, rope: Vec<Bytes>) -> (Vec<Bytes>, Option<Usage>) {
        let Ok(members) = self.peek.and_then(Peek::finish) else { return (rope, None) };
        let usage = members.last("usage").and_then(|usage| (self.count)(&usage.raw));
        let body = match &self.echo {
            Some(echo) => with_echo(&members, echo, self.length, rope),
            None => rope,
        };
        (body, usage)
    }
}

fn with_echo(members: &Members, echo: &Bytes, length: u64, rope: Vec<Bytes>) -> Vec<Bytes> {
    let mut edits = Edits::new(members);
    for model in members.all("model").filter(|model| model.is_string() && model.raw.len() > 2) {
        edits.replace(model, echo.clone());
    }
    if edits.is_empty() { rope } else { apply(&edits.pieces(length), &rope) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(chunks: &[&'static str]) -> (String, Option<Usage>) {
        let mut answer = Answer::new(Some(Bytes::from_static(b"\"azure/GPT-4o\"")));
        let rope: Vec<Bytes> = chunks.iter().map(|chunk| Bytes::from_static(chunk.as_bytes())).collect();
        for chunk in &rope {
            answer.feed(chunk);
        }
        let (body, usage) = answer.finish(rope);
        (body.iter().map(|chunk| std::str::from_utf8(chunk).unwrap()).collect(), usage)
    }

    #[test]
    fn model_is_echoed_and_usage_read_across_chunks() {
        let chunks = [
            "{\"choices\":[{\"message\":{\"content\":\"\\\"model\\\"\"}}], \"mod",
            "el\": \"gpt-4o-2024",
            "-08-06\",\"usage\":{\"prompt_tokens\":3,",
            "\"completion_tokens\":4}}\n",
        ];
        let (body, usage) = answer(&chunks);
        assert_eq!(body, chunks.concat().replace("gpt-4o-2024-08-06", "azure/GPT-4o"));
        assert_eq!(usage, Some(Usage { input: 3, output: 4, ..Usage::default() }));
    }

    #[test]
    fn models_that_are_not_names_stay() {
        for body in ["{\"model\":\"\"}", "{\"model\":null}", "{\"model\":{\"model\":\"x\"}}", "{}"] {
            assert_eq!(answer(&[body]).0, body);
        }
    }

    #[test]
    fn other_bodies_pass_untouched() {
        for body in
            ["", "<html>\"model\":\"x\"</html>", "[{\"model\":\"x\"}]", "{\"model\":\"x\"", "{\"model\":\"x\"}}"]
        {
            assert_eq!(answer(&[body]), (body.to_owned(), None));
        }
    }
}
