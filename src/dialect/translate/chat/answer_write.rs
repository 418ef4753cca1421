//! An answer as Chat Completions: a document, or the chunks of a stream.

use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::super::answer::{Collected, Failure, Piece, Stop, Tell, Write};
use super::super::request::Proof;
use super::super::voice::Voice;
use crate::dialect::Dialect;
use crate::dialect::usage::Usage;

/// Writes a stream.
#[derive(Debug)]
pub struct Writer {
    voice: Voice,
    /// What every chunk begins with.
    head: String,
    out: Vec<u8>,
    calls: usize,
    call: Open,
    refused: bool,
}

/// The call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    Empty,
    Begun,
}

impl Writer {
    pub fn new(voice: Voice) -> Self {
        let head = format!(
            r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{}"#,
            voice.id("chatcmpl-"),
            voice.created,
            voice.model
        );
        Self { voice, head, out: Vec::new(), calls: 0, call: Open::None, refused: false }
    }

    /// One chunk; `choices` writes what stands between the brackets.
    fn chunk(&mut self, choices: impl FnOnce(&mut Vec<u8>), usage: &str) {
        self.out.extend_from_slice(b"data: ");
        self.out.extend_from_slice(self.head.as_bytes());
        self.out.extend_from_slice(b",\"choices\":[");
        choices(&mut self.out);
        self.out.push(b']');
        if self.voice.wants_usage {
            let _ = write!(self.out, r#","usage":{usage}"#);
        }
        self.out.extend_from_slice(b"}\n\n");
    }

    fn delta(&mut self, delta: impl FnOnce(&mut Vec<u8>), finish: &str) {
        let choice = |out: &mut Vec<u8>| {
            out.extend_from_slice(br#"{"index":0,"delta":{"#);
            delta(out);
            let _ = write!(out, r#"}},"logprobs":null,"finish_reason":{finish}}}"#);
        };
        self.chunk(choice, "null");
    }

    fn say(&mut self, field: &str, text: &str) {
        self.close();
        let delta = |out: &mut Vec<u8>| {
            let _ = write!(out, r#""{field}":"#);
            string(out, text);
        };
        self.delta(delta, "null");
    }
}

impl Write for Writer {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

impl Tell for Writer {
    fn start(&mut self, _: Option<Usage>) {
        self.delta(|out| out.extend_from_slice(br#""role":"assistant","content":"","refusal":null"#), "null");
    }

    fn text(&mut self, text: &str) {
        self.say("content", text);
    }

    fn refusal(&mut self, text: &str) {
        self.refused = true;
        self.say("refusal", text);
    }

    /// Chat Completions has no place for thoughts.
    fn thinking(&mut self, _: &str) {}

    fn proof(&mut self, _: Proof) {}

    fn call(&mut self, id: &str, name: &str) {
        self.close();
        let index = self.calls;
        let call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        let delta = |out: &mut Vec<u8>| {
            let _ = write!(out, r#""tool_calls":[{call}]"#);
        };
        self.delta(delta, "null");
        self.calls += 1;
        self.call = Open::Empty;
    }

    fn arguments(&mut self, part: &str) {
        if part.is_empty() || self.call == Open::None {
            return;
        }
        self.call = Open::Begun;
        let index = self.calls - 1;
        let delta = |out: &mut Vec<u8>| {
            let _ = write!(out, r#""tool_calls":[{{"index":{index},"function":{{"arguments":"#);
            string(out, part);
            out.extend_from_slice(b"}}]");
        };
        self.delta(delta, "null");
    }

    fn close(&mut self) {
        if self.call == Open::Empty {
            self.arguments("{}");
        }
        self.call = Open::None;
    }

    fn finish(&mut self, stop: Stop, usage: Option<Usage>) {
        self.close();
        let finish = format!("\"{}\"", reason(&stop, self.calls > 0));
        self.delta(|_| {}, &finish);
        if self.voice.wants_usage {
            let usage = self::usage(usage.unwrap_or_default()).to_string();
            self.chunk(|_| {}, &usage);
        }
        self.out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, failure: &Failure) {
        let event = self.voice.failure_event(Dialect::OpenAi, failure);
        self.out.extend_from_slice(&event);
    }
}

/// The document of a whole answer.
pub fn whole(collected: &Collected, voice: &Voice) -> Vec<u8> {
    let refusals = collected
        .pieces
        .iter()
        .filter_map(|piece| if let Piece::Refusal(text) = piece { Some(text.as_str()) } else { None });
    let refusal: String = refusals.collect();
    let calls: Vec<Value> = collected.pieces.iter().filter_map(call).collect();
    let text = collected.text();
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let silent = text.is_empty() && !(calls.is_empty() && refusal.is_empty());
    message.insert("content".into(), if silent { Value::Null } else { text.into() });
    message.insert("refusal".into(), if refusal.is_empty() { Value::Null } else { refusal.into() });
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    let finish = reason(&collected.stop, collected.calls());
    let model: Value = serde_json::from_str(&voice.model).unwrap_or_default();
    let document = json!({
        "id": voice.id("chatcmpl-"), "object": "chat.completion", "created": voice.created, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": usage(collected.usage),
    });
    document.to_string().into_bytes()
}

fn call(piece: &Piece) -> Option<Value> {
    let Piece::Call { id, name, arguments } = piece else { return None };
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    Some(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
}

fn reason(stop: &Stop, calls: bool) -> &'static str {
    match stop {
        Stop::Limit => "length",
        Stop::Refusal => "content_filter",
        Stop::Calls => "tool_calls",
        Stop::End if calls => "tool_calls",
        Stop::End | Stop::Sequence(_) | Stop::Pause => "stop",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Writing to a vector does not fail, and a text has a JSON form.
    let _ = serde_json::to_writer(out, text);
}
