//! The counts of a Messages answer. A stream tells them in parts, each of them cumulative: the later one counts.

use super::super::cursor::Cursor;
use super::super::usage::{Usage, each_count, tokens};

/// Counts as Messages tells them: `fresh` input is what neither came from a cache nor was written to one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    pub fresh: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub thinking: u64,
}

impl Tally {
    /// Takes over the counts that a `usage` object holds. Says whether there was one at all.
    pub fn update(&mut self, raw: &[u8]) -> bool {
        let mut counted = false;
        let walked = Cursor::new(raw).object(|at, name| {
            let value = at.text()?;
            let count = match name {
                b"input_tokens" => &mut self.fresh,
                b"cache_read_input_tokens" => &mut self.cache_read,
                b"cache_creation_input_tokens" => &mut self.cache_write,
                b"output_tokens" => &mut self.output,
                b"output_tokens_details" => {
                    each_count(value, |name, count| {
                        if name == b"thinking_tokens" {
                            self.thinking = count;
                        }
                    });
                    return Some(());
                }
                _ => return Some(()),
            };
            let mut is_number = false;
            let told = tokens(value, &mut is_number);
            if is_number {
                *count = told;
                counted = true;
            }
            Some(())
        });
        walked.is_some() && counted
    }

    /// In the gateway's own terms, where input is all of it.
    pub fn usage(self) -> Usage {
        Usage {
            input: self.fresh + self.cache_read + self.cache_write,
            cached_input: self.cache_read,
            cache_write: self.cache_write,
            output: self.output,
            reasoning: self.thinking,
        }
    }
}

impl From<Usage> for Tally {
    fn from(usage: Usage) -> Self {
        Self {
            fresh: usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.cache_write),
            cache_read: usage.cached_input,
            cache_write: usage.cache_write,
            output: usage.output,
            thinking: usage.reasoning,
        }
    }
}
