//! Claude's answers, read: a document, or the events of a stream.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::answer::{Failure, Read, Said, Seen, Stop, Tell};
use super::super::refused::Unreadable;
use super::super::request::Proof;
use crate::dialect::messages::Tally;

/// Reads one answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// The tool whose input is the answer's text.
    answer_tool: Option<&'static str>,
    tally: Tally,
    counted: bool,
    stop: Stop,
    block: Block,
    begun: bool,
    /// Something of the answer was told.
    told: bool,
    calls: bool,
}

/// The block under way.
#[derive(Debug, Default)]
enum Block {
    #[default]
    None,
    Text,
    Thinking {
        signature: String,
    },
    Call {
        any: bool,
    },
    /// A call of the tool that stands for structured output.
    Answer,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Said<'a>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    content_block: Option<Value>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<Value>,
}

/// A document, or the beginning of a stream.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    content: Vec<Value>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

/// What is added to a block, or how the answer ends.
#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<Said<'a>>,
    #[serde(borrow)]
    partial_json: Option<Said<'a>>,
    #[serde(borrow)]
    thinking: Option<Said<'a>>,
    #[serde(borrow)]
    signature: Option<Said<'a>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl Reader {
    pub fn new(answer_tool: Option<&'static str>) -> Self {
        Self { answer_tool, ..Self::default() }
    }

    fn count(&mut self, usage: Option<&RawValue>) {
        self.counted |= usage.is_some_and(|usage| self.tally.update(usage.get().as_bytes()));
    }

    fn begin(&mut self, block: &Value, to: &mut dyn Tell) {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        self.block = match text("type") {
            "text" => {
                if !text("text").is_empty() {
                    to.text(text("text"));
                }
                Block::Text
            }
            "thinking" => {
                if !text("thinking").is_empty() {
                    to.thinking(text("thinking"));
                }
                Block::Thinking { signature: text("signature").to_owned() }
            }
            "redacted_thinking" => {
                to.proof(Proof::Redacted(text("data").to_owned()));
                Block::None
            }
            "tool_use" => {
                let input = block["input"].as_object().filter(|input| !input.is_empty());
                let input = input.map(|input| serde_json::to_string(input).unwrap_or_default());
                if self.answer_tool == Some(text("name")) {
                    to.text(&input.unwrap_or_default());
                    Block::Answer
                } else {
                    self.calls = true;
                    to.call(text("id"), text("name"));
                    to.arguments(&input.clone().unwrap_or_default());
                    Block::Call { any: input.is_some() }
                }
            }
            // What Anthropic's own tools did, and whatever comes to be: nothing that the caller's dialect could say.
            _ => Block::None,
        };
    }

    fn end_block(&mut self, to: &mut dyn Tell) {
        match std::mem::take(&mut self.block) {
            Block::None => return,
            Block::Thinking { signature } if !signature.is_empty() => return to.proof(Proof::Signature(signature)),
            // A tool without arguments sends none.
            Block::Call { any: false } => to.arguments("{}"),
            Block::Text | Block::Thinking { .. } | Block::Call { .. } | Block::Answer => {}
        }
        to.close();
    }

    fn note_ending(&mut self, reason: Option<&str>, sequence: Option<String>) {
        self.stop = match reason {
            None => return,
            Some("max_tokens" | "model_context_window_exceeded") => Stop::Limit,
            Some("tool_use") if self.calls => Stop::Calls,
            Some("stop_sequence") => Stop::Sequence(sequence),
            Some("refusal") => Stop::Refusal,
            Some("pause_turn") => Stop::Pause,
            Some(_) => Stop::End,
        };
    }

    fn usage(&self) -> Option<crate::dialect::Usage> {
        self.counted.then(|| self.tally.usage())
    }

    fn start(&mut self, message: Option<Message<'_>>, to: &mut dyn Tell) -> Result<(), Unreadable> {
        if std::mem::replace(&mut self.begun, true) {
            // Some services repeat the start; one that comes after output begins another answer.
            let told = self.calls || self.told || !matches!(self.block, Block::None);
            return if told { Err(Unreadable("an answer began within an answer".to_owned())) } else { Ok(()) };
        }
        self.count(message.and_then(|message| message.usage));
        to.start(self.usage());
        Ok(())
    }

    fn delta(&mut self, delta: &Delta<'_>, to: &mut dyn Tell) {
        self.told = true;
        match &mut self.block {
            Block::None => {}
            Block::Text => to.text(delta.text.as_deref().unwrap_or_default()),
            Block::Thinking { signature } => {
                signature.push_str(delta.signature.as_deref().unwrap_or_default());
                if let Some(thought) = &delta.thinking {
                    to.thinking(thought);
                }
            }
            Block::Call { any } => {
                let part = delta.partial_json.as_deref().unwrap_or_default();
                *any |= !part.is_empty();
                to.arguments(part);
            }
            Block::Answer => to.text(delta.partial_json.as_deref().unwrap_or_default()),
        }
    }
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], to: &mut dyn Tell) -> Result<Seen, Unreadable> {
        let event: Event<'_> = serde_json::from_slice(data)?;
        let mut seen = Seen::default();
        match &*event.r#type {
            "message_start" => self.start(event.message, to)?,
            "content_block_start" => {
                self.begin(&event.content_block.unwrap_or_default(), to);
                seen.content = !matches!(self.block, Block::None | Block::Text | Block::Thinking { .. });
            }
            "content_block_delta" => {
                self.delta(&event.delta.unwrap_or_default(), to);
                seen.content = true;
            }
            "content_block_stop" => self.end_block(to),
            "message_delta" => {
                self.count(event.usage);
                let delta = event.delta.unwrap_or_default();
                seen.content = delta.stop_reason.is_some();
                self.note_ending(delta.stop_reason.as_deref(), delta.stop_sequence);
            }
            "message_stop" => {
                to.finish(self.stop.clone(), self.usage());
                seen.ended = true;
            }
            "error" => {
                let failure = Failure::read(&event.error.unwrap_or_default());
                seen.error = Some(failure.data());
                to.fail(&failure);
            }
            _ => {}
        }
        seen.usage = self.usage();
        Ok(seen)
    }

    fn whole(&mut self, body: &[u8], to: &mut dyn Tell) -> Result<(), Unreadable> {
        let message: Message<'_> = serde_json::from_slice(body)?;
        self.count(message.usage);
        to.start(self.usage());
        for block in &message.content {
            self.begin(block, to);
            self.end_block(to);
        }
        self.note_ending(message.stop_reason.as_deref(), message.stop_sequence);
        to.finish(self.stop.clone(), self.usage());
        Ok(())
    }
}
