//! Token counts as upstreams report them, read into one shape.

use super::cursor::Cursor;
use super::messages::Tally;

/// Tokens of one request. `cached_input` and `cache_write` are parts of `input`; `reasoning` is a part of `output`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    pub input: u64,
    pub cached_input: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

/// A response that was made in the background, after the answer to whoever asked for it: its usage stands in the answers
/// to those who read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Background {
    /// As the caller knows it.
    pub id: String,
    /// As the upstream calls it.
    pub model: String,
}

impl Usage {
    /// Reads the `usage` object of chat completions, completions and embeddings. Counts that are missing or make no
    /// sense are 0; `None` when there is no count at all.
    pub fn from_chat(raw: &[u8]) -> Option<Self> {
        let mut usage = Self::default();
        let mut counted = false;
        Cursor::new(raw).object(|at, name| {
            let value = at.text()?;
            match name {
                b"prompt_tokens" => usage.input = tokens(value, &mut counted),
                b"completion_tokens" => usage.output = tokens(value, &mut counted),
                b"total_tokens" => {
                    tokens(value, &mut counted);
                }
                b"prompt_tokens_details" => usage.note_input_details(value),
                b"completion_tokens_details" => usage.note_output_details(value),
                _ => {}
            }
            Some(())
        })?;
        counted.then_some(usage)
    }

    /// Reads the `usage` object of a Responses answer.
    pub fn from_responses(raw: &[u8]) -> Option<Self> {
        let mut usage = Self::default();
        let mut counted = false;
        Cursor::new(raw).object(|at, name| {
            let value = at.text()?;
            match name {
                b"input_tokens" => usage.input = tokens(value, &mut counted),
                b"output_tokens" => usage.output = tokens(value, &mut counted),
                b"input_tokens_details" => usage.note_input_details(value),
                b"output_tokens_details" => usage.note_output_details(value),
                _ => {}
            }
            Some(())
        })?;
        counted.then_some(usage)
    }

    /// What the input is made of: the same names in Chat Completions and in Responses.
    fn note_input_details(&mut self, details: &[u8]) {
        each_count(details, |name, count| match name {
            b"cached_tokens" => self.cached_input = count,
            b"cache_write_tokens" => self.cache_write = count,
            _ => {}
        });
    }

    /// The same of the output.
    fn note_output_details(&mut self, details: &[u8]) {
        each_count(details, |name, count| {
            if name == b"reasoning_tokens" {
                self.reasoning = count;
            }
        });
    }

    /// Reads the `usage` object of a Messages answer, whose `input_tokens` leave out what a cache has to do with.
    pub fn from_messages(raw: &[u8]) -> Option<Self> {
        let mut tally = Tally::default();
        tally.update(raw).then(|| tally.usage())
    }
}

pub(super) fn each_count(details: &[u8], mut note: impl FnMut(&[u8], u64)) {
    // `null` and other nonsense in the place of the object says nothing, which is what we take from it.
    let _ = Cursor::new(details).object(|at, name| {
        let value = at.text()?;
        note(name, tokens(value, &mut false));
        Some(())
    });
}

/// A count, however it is written: fractions are cut off, and what is below zero or no number is 0.
pub(super) fn tokens(text: &[u8], counted: &mut bool) -> u64 {
    let Ok(text) = std::str::from_utf8(text) else { return 0 };
    let number = text.parse::<u64>().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        number.is_finite().then_some(number as u64)
    });
    *counted |= number.is_some();
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_five_counts_are_read() {
        let raw = br#"{"completion_tokens":24,"completion_tokens_details":{"accepted_prediction_tokens":0,"reasoning_tokens":7},
            "prompt_tokens":1200,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":1024,"cache_write_tokens":64},"total_tokens":1224}"#;
        let expected = Usage { input: 1200, cached_input: 1024, cache_write: 64, output: 24, reasoning: 7 };
        assert_eq!(Usage::from_chat(raw), Some(expected));
    }

    #[test]
    fn responses_have_the_same_counts_under_other_names() {
        let raw = br#"{"input_tokens":1200,"input_tokens_details":{"cache_write_tokens":64,"cached_tokens":1024},"output_tokens":24,
            "output_tokens_details":{"reasoning_tokens":7},"total_tokens":1224}"#;
        let expected = Usage { input: 1200, cached_input: 1024, cache_write: 64, output: 24, reasoning: 7 };
        assert_eq!(Usage::from_responses(raw), Some(expected));
        assert_eq!(Usage::from_responses(b"{\"prompt_tokens\":1}"), None);
    }

    #[test]
    fn embeddings_have_no_output() {
        let usage = Usage::from_chat(br#"{"prompt_tokens": 5, "total_tokens": 5}"#);
        assert_eq!(usage, Some(Usage { input: 5, ..Usage::default() }));
    }

    #[test]
    fn odd_values_survive() {
        let raw = br#"{"prompt_tokens":12.9,"completion_tokens":-3,"prompt_tokens_details":null,
            "completion_tokens_details":{"reasoning_tokens":"many"},"x":1e400,"prompt_tokens":13.0}"#;
        assert_eq!(Usage::from_chat(raw), Some(Usage { input: 13, ..Usage::default() }));
        let raw = br#"{"prompt_tokens":null,"completion_tokens":1e400,"total_tokens":2}"#;
        assert_eq!(Usage::from_chat(raw), Some(Usage::default()));
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for raw in ["null", "{}", "[]", "3", "", "{\"prompt_tokens\":", "{\"prompt_tokens\":null}"] {
            assert_eq!(Usage::from_chat(raw.as_bytes()), None, "{raw}");
        }
    }
}
