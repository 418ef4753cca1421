//! An answer as Messages: a document, or the events of a stream.

use std::io::Write as _;

use serde_json::{Value, json};

use super::super::answer::{Collected, Failure, Piece, Stop, Tell, Write};
use super::super::proof;
use super::super::request::Proof;
use super::super::voice::Voice;
use crate::dialect::Dialect;
use crate::dialect::messages::Tally;
use crate::dialect::usage::Usage;

/// Writes a stream.
#[derive(Debug)]
pub struct Writer {
    voice: Voice,
    out: Vec<u8>,
    /// Blocks that were begun.
    blocks: usize,
    open: Open,
    calls: bool,
}

/// The block under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    Text,
    Thinking,
    /// A thought that has its signature.
    Signed,
    Call,
}

impl Writer {
    pub fn new(voice: Voice) -> Self {
        Self { voice, out: Vec::new(), blocks: 0, open: Open::None, calls: false }
    }

    fn event(&mut self, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(b"event: ");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\ndata: ");
        data(&mut self.out);
        self.out.extend_from_slice(b"\n\n");
    }

    fn begin(&mut self, open: Open, block: &Value) {
        self.close();
        let index = self.blocks;
        self.event("content_block_start", |out| {
            let _ = write!(out, r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#);
        });
        self.blocks += 1;
        self.open = open;
    }

    fn delta(&mut self, kind: &str, field: &str, text: &str) {
        let index = self.blocks.saturating_sub(1);
        self.event("content_block_delta", |out| {
            let _ =
                write!(out, r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{field}":"#);
            // Writing to a vector does not fail, and a text has a JSON form.
            let _ = serde_json::to_writer(&mut *out, text);
            out.extend_from_slice(b"}}");
        });
    }
}

impl Write for Writer {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

impl Tell for Writer {
    fn start(&mut self, usage: Option<Usage>) {
        let message = document(&self.voice, &[], Value::Null, Value::Null, usage.unwrap_or_default());
        self.event("message_start", |out| {
            let _ = write!(out, r#"{{"type":"message_start","message":{message}}}"#);
        });
        self.out.extend_from_slice(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
    }

    fn text(&mut self, text: &str) {
        if self.open != Open::Text {
            self.begin(Open::Text, &json!({"type": "text", "text": ""}));
        }
        self.delta("text_delta", "text", text);
    }

    fn refusal(&mut self, text: &str) {
        self.text(text);
    }

    fn thinking(&mut self, text: &str) {
        if self.open != Open::Thinking {
            self.begin(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}));
        }
        self.delta("thinking_delta", "thinking", text);
    }

    fn proof(&mut self, proof: Proof) {
        if let Some(signature) = proof::to_signature(&proof) {
            if self.open != Open::Thinking {
                self.begin(Open::Thinking, &json!({"type": "thinking", "thinking": "", "signature": ""}));
            }
            self.delta("signature_delta", "signature", &signature);
            self.open = Open::Signed;
        }
        self.close();
    }

    fn call(&mut self, id: &str, name: &str) {
        self.calls = true;
        self.begin(Open::Call, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
    }

    fn arguments(&mut self, part: &str) {
        if !part.is_empty() && self.open == Open::Call {
            self.delta("input_json_delta", "partial_json", part);
        }
    }

    fn close(&mut self) {
        if self.open == Open::Thinking {
            self.delta("signature_delta", "signature", proof::UNPROVEN);
        }
        if std::mem::replace(&mut self.open, Open::None) != Open::None {
            let index = self.blocks - 1;
            self.event("content_block_stop", |out| {
                let _ = write!(out, r#"{{"type":"content_block_stop","index":{index}}}"#);
            });
        }
    }

    fn finish(&mut self, stop: Stop, usage: Option<Usage>) {
        self.close();
        let (reason, sequence) = reason(&stop, self.calls);
        let ending = json!({"stop_reason": reason, "stop_sequence": sequence});
        let usage = self::usage(usage.unwrap_or_default());
        self.event("message_delta", |out| {
            let _ = write!(out, r#"{{"type":"message_delta","delta":{ending},"usage":{usage}}}"#);
        });
        self.out.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    fn fail(&mut self, failure: &Failure) {
        let event = self.voice.failure_event(Dialect::Anthropic, failure);
        self.out.extend_from_slice(&event);
    }
}

/// The document of a whole answer.
pub fn whole(collected: &Collected, voice: &Voice) -> Vec<u8> {
    let content: Vec<Value> = collected.pieces.iter().filter_map(block).collect();
    let (reason, sequence) = reason(&collected.stop, collected.calls());
    document(voice, &content, reason.into(), sequence, collected.usage).to_string().into_bytes()
}

fn document(voice: &Voice, content: &[Value], reason: Value, sequence: Value, usage: Usage) -> Value {
    let model: Value = serde_json::from_str(&voice.model).unwrap_or_default();
    json!({
        "id": voice.id("msg_"), "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": reason, "stop_sequence": sequence, "usage": self::usage(usage),
    })
}

/// `None` for thoughts of which nothing can be told.
fn block(piece: &Piece) -> Option<Value> {
    Some(match piece {
        Piece::Text(text) | Piece::Refusal(text) => json!({"type": "text", "text": text}),
        Piece::Thinking { text, proof } => {
            let signature = proof.as_ref().and_then(proof::to_signature);
            if text.is_empty() && signature.is_none() {
                return None;
            }
            json!({"type": "thinking", "thinking": text, "signature": signature.as_deref().unwrap_or(proof::UNPROVEN)})
        }
        Piece::Call { id, name, arguments } => {
            let input: Value = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    })
}

fn reason(stop: &Stop, calls: bool) -> (&'static str, Value) {
    match stop {
        Stop::End if calls => ("tool_use", Value::Null),
        Stop::End => ("end_turn", Value::Null),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref().map_or(Value::Null, Value::from)),
        Stop::Limit => ("max_tokens", Value::Null),
        Stop::Calls => ("tool_use", Value::Null),
        Stop::Refusal => ("refusal", Value::Null),
        Stop::Pause => ("pause_turn", Value::Null),
    }
}

fn usage(usage: Usage) -> Value {
    let tally = Tally::from(usage);
    json!({
        "input_tokens": tally.fresh, "cache_creation_input_tokens": tally.cache_write,
        "cache_read_input_tokens": tally.cache_read, "output_tokens": tally.output,
    })
}
