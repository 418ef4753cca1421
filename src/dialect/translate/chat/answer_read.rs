//! Answers of Chat Completions, read: a document, or the chunks of a stream.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::answer::{Failure, Read, Said, Seen, Stop, Tell};
use super::super::refused::Unreadable;
use super::calls::Calls;
use crate::dialect::usage::Usage;

/// Reads one answer.
#[derive(Debug, Default)]
pub struct Reader {
    begun: bool,
    calls: Calls,
    refused: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    /// Of a stream `delta`, of a document `message`. Azure leaves it out where a filter speaks.
    #[serde(borrow, alias = "message")]
    delta: Option<Delta<'a>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Said<'a>>,
    #[serde(borrow)]
    refusal: Option<Said<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<CallPart<'a>>>,
    function_call: Option<Value>,
}

/// A part of a call; several calls differ by their index.
#[derive(Deserialize)]
pub struct CallPart<'a> {
    pub index: Option<usize>,
    pub id: Option<String>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub struct Function<'a> {
    pub name: Option<String>,
    #[serde(borrow)]
    pub arguments: Option<Said<'a>>,
}

impl Reader {
    /// Tells one choice and says whether there was output. An answer has one: more are not asked for.
    fn choice(&mut self, choice: Choice<'_>, to: &mut dyn Tell) -> Result<bool, Unreadable> {
        let mut content = false;
        if let Some(delta) = choice.delta {
            if delta.function_call.is_some_and(|call| !call.is_null()) {
                return Err(Unreadable("it calls a function in the old way, which was not asked for".to_owned()));
            }
            if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                self.calls.close(to);
                to.text(&text);
                content = true;
            }
            if let Some(text) = delta.refusal.filter(|text| !text.is_empty()) {
                self.calls.close(to);
                self.refused = true;
                to.refusal(&text);
                content = true;
            }
            for part in delta.tool_calls.into_iter().flatten() {
                self.calls.add(part, to)?;
                content = true;
            }
        }
        let filtered = choice.finish_reason.as_deref() == Some("content_filter");
        if let Some(reason) = choice.finish_reason.filter(|_| self.stop.is_none() || filtered) {
            self.calls.finish(to)?;
            self.stop = Some(match reason.as_str() {
                "length" => Stop::Limit,
                "content_filter" => Stop::Refusal,
                _ if self.calls.any() => Stop::Calls,
                _ if self.refused => Stop::Refusal,
                _ => Stop::End,
            });
            content = true;
        }
        Ok(content)
    }

    fn count(&mut self, usage: Option<&RawValue>) {
        self.usage = usage.and_then(|usage| Usage::from_chat(usage.get().as_bytes())).or(self.usage);
    }
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], to: &mut dyn Tell) -> Result<Seen, Unreadable> {
        if data.trim_ascii() == b"[DONE]" {
            // Without a reason the answer was not finished, whatever the mark says.
            let Some(stop) = self.stop.clone() else { return Ok(Seen::default()) };
            to.finish(stop, self.usage);
            return Ok(Seen { ended: true, ..Seen::default() });
        }
        let chunk: Chunk<'_> = serde_json::from_slice(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            let failure = Failure::read(&error);
            to.fail(&failure);
            return Ok(Seen { error: Some(failure.data()), ..Seen::default() });
        }
        self.count(chunk.usage);
        let mut content = false;
        for choice in chunk.choices {
            if !std::mem::replace(&mut self.begun, true) {
                to.start(None);
            }
            content |= self.choice(choice, to)?;
        }
        Ok(Seen { content, usage: self.usage, ..Seen::default() })
    }

    fn whole(&mut self, body: &[u8], to: &mut dyn Tell) -> Result<(), Unreadable> {
        let document: Chunk<'_> = serde_json::from_slice(body)?;
        self.count(document.usage);
        to.start(None);
        let choice = document.choices.into_iter().next();
        let choice = choice.ok_or_else(|| Unreadable("it has no choice".to_owned()))?;
        self.choice(choice, to)?;
        to.finish(self.stop.clone().unwrap_or_default(), self.usage);
        Ok(())
    }
}
