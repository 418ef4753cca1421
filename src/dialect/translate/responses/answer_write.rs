//! An answer as Responses: a document, or the events of a stream with everything that announces and repeats it.

use serde_json::{Map, Value, json};

use super::super::answer::{Collected, Failure, Piece, Stop, Tell, Write};
use super::super::proof;
use super::super::request::{Proof, Thought};
use super::super::voice::Voice;
use crate::dialect::Dialect;
use crate::dialect::usage::Usage;

/// Writes a stream. The answer is collected on the way, since its last event repeats all of it.
#[derive(Debug)]
pub struct Writer {
    voice: Voice,
    out: Vec<u8>,
    sequence: u64,
    open: Option<Item>,
    /// Items that are complete.
    output: Vec<Value>,
}

/// The item under way.
#[derive(Debug)]
struct Item {
    id: String,
    piece: Piece,
}

impl Writer {
    pub fn new(voice: Voice) -> Self {
        Self { voice, out: Vec::new(), sequence: 0, open: None, output: Vec::new() }
    }

    fn event(&mut self, kind: &str, fields: Value) {
        self.out.extend(written(kind, self.sequence, fields));
        self.sequence += 1;
    }

    /// An event about the item under way.
    fn of_item(&mut self, kind: &str, fields: Value) {
        let Some(item) = &self.open else { return };
        let mut all = Map::new();
        all.insert("item_id".into(), item.id.as_str().into());
        all.insert("output_index".into(), self.output.len().into());
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        self.event(kind, Value::Object(all));
    }

    fn begin(&mut self, prefix: &str, piece: Piece) {
        self.close();
        let index = self.output.len();
        let id = format!("{}_{index}", self.voice.id(prefix));
        let item = item(&piece, &id, "in_progress", &self.voice);
        self.open = Some(Item { id, piece });
        self.event("response.output_item.added", json!({"output_index": index, "item": item}));
        if self.is_open(|piece| matches!(piece, Piece::Text(_) | Piece::Refusal(_))) {
            let part = self.part();
            self.of_item("response.content_part.added", json!({"content_index": 0, "part": part}));
        }
    }

    /// The content of the message under way.
    fn part(&self) -> Value {
        match self.open.as_ref().map(|item| &item.piece) {
            Some(Piece::Refusal(text)) => json!({"type": "refusal", "refusal": text}),
            Some(Piece::Text(text)) => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
            _ => Value::Null,
        }
    }

    fn is_open(&self, fits: fn(&Piece) -> bool) -> bool {
        self.open.as_ref().is_some_and(|item| fits(&item.piece))
    }

    fn response(&self, status: &str, rest: Value) -> Value {
        let mut response = response(&self.voice, status, &self.output);
        if let (Value::Object(response), Value::Object(rest)) = (&mut response, rest) {
            response.extend(rest);
        }
        response
    }
}

impl Write for Writer {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn broken(&self, failure: &Failure) -> Option<Vec<u8>> {
        let error = json!({"code": code(failure), "message": failure.message});
        let response = self.response("failed", json!({"error": error}));
        Some(written("response.failed", self.sequence, json!({"response": response})))
    }
}

impl Tell for Writer {
    fn start(&mut self, _: Option<Usage>) {
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", Value::Null);
            self.event(kind, json!({"response": response}));
        }
    }

    fn text(&mut self, text: &str) {
        if !self.is_open(|piece| matches!(piece, Piece::Text(_))) {
            self.begin("msg_", Piece::Text(String::new()));
        }
        if let Some(Item { piece: Piece::Text(said), .. }) = &mut self.open {
            said.push_str(text);
        }
        self.of_item("response.output_text.delta", json!({"content_index": 0, "delta": text, "logprobs": []}));
    }

    fn refusal(&mut self, text: &str) {
        if !self.is_open(|piece| matches!(piece, Piece::Refusal(_))) {
            self.begin("msg_", Piece::Refusal(String::new()));
        }
        if let Some(Item { piece: Piece::Refusal(said), .. }) = &mut self.open {
            said.push_str(text);
        }
        self.of_item("response.refusal.delta", json!({"content_index": 0, "delta": text}));
    }

    fn thinking(&mut self, text: &str) {
        if !self.is_open(|piece| matches!(piece, Piece::Thinking { .. })) {
            self.begin("rs_", Piece::Thinking { text: String::new(), proof: None });
        }
        let mut first = false;
        if let Some(Item { piece: Piece::Thinking { text: said, .. }, .. }) = &mut self.open {
            first = said.is_empty();
            said.push_str(text);
        }
        // A thought that shows nothing has no summary.
        if first {
            let part = json!({"type": "summary_text", "text": ""});
            self.of_item("response.reasoning_summary_part.added", json!({"summary_index": 0, "part": part}));
        }
        self.of_item("response.reasoning_summary_text.delta", json!({"summary_index": 0, "delta": text}));
    }

    fn proof(&mut self, proof: Proof) {
        if !self.is_open(|piece| matches!(piece, Piece::Thinking { .. })) {
            self.begin("rs_", Piece::Thinking { text: String::new(), proof: None });
        }
        if let Some(Item { piece: Piece::Thinking { proof: known, .. }, .. }) = &mut self.open {
            *known = Some(proof);
        }
        self.close();
    }

    fn call(&mut self, id: &str, name: &str) {
        let piece = Piece::Call { id: id.to_owned(), name: name.to_owned(), arguments: String::new() };
        self.begin("fc_", piece);
    }

    fn arguments(&mut self, part: &str) {
        let Some(Item { piece: Piece::Call { name, arguments, .. }, .. }) = &mut self.open else { return };
        arguments.push_str(part);
        // Free text is packed into an object, and comes out whole at the end.
        if !part.is_empty() && !self.voice.free_text.contains(name) {
            self.of_item("response.function_call_arguments.delta", json!({"delta": part}));
        }
    }

    fn close(&mut self) {
        let Some(open) = &mut self.open else { return };
        if let Piece::Call { arguments, .. } = &mut open.piece
            && arguments.is_empty()
        {
            arguments.push_str("{}");
        }
        let (piece, part) = (open.piece.clone(), self.part());
        match &piece {
            Piece::Text(text) => {
                let done = json!({"content_index": 0, "text": text, "logprobs": []});
                self.of_item("response.output_text.done", done);
                self.of_item("response.content_part.done", json!({"content_index": 0, "part": part}));
            }
            Piece::Refusal(text) => {
                self.of_item("response.refusal.done", json!({"content_index": 0, "refusal": text}));
                self.of_item("response.content_part.done", json!({"content_index": 0, "part": part}));
            }
            Piece::Thinking { text, .. } if text.is_empty() => {}
            Piece::Thinking { text, .. } => {
                let part = json!({"type": "summary_text", "text": text});
                self.of_item("response.reasoning_summary_text.done", json!({"summary_index": 0, "text": text}));
                self.of_item("response.reasoning_summary_part.done", json!({"summary_index": 0, "part": part}));
            }
            Piece::Call { name, arguments, .. } if self.voice.free_text.contains(name) => {
                let input = free_text(arguments);
                self.of_item("response.custom_tool_call_input.delta", json!({"delta": input}));
                self.of_item("response.custom_tool_call_input.done", json!({"input": input}));
            }
            Piece::Call { name, arguments, .. } => {
                let done = json!({"name": name, "arguments": arguments});
                self.of_item("response.function_call_arguments.done", done);
            }
        }
        let Some(Item { id, piece }) = self.open.take() else { return };
        let item = item(&piece, &id, "completed", &self.voice);
        let index = self.output.len();
        self.event("response.output_item.done", json!({"output_index": index, "item": item}));
        self.output.push(item);
    }

    fn finish(&mut self, stop: Stop, usage: Option<Usage>) {
        self.close();
        let (status, details) = status(&stop, self.output.iter().any(refuses));
        mark_last(&mut self.output, status);
        let rest = json!({"incomplete_details": details, "usage": self::usage(usage.unwrap_or_default())});
        let response = self.response(status, rest);
        self.event(&format!("response.{status}"), json!({"response": response}));
    }

    fn fail(&mut self, failure: &Failure) {
        self.out.extend(self.broken(&failure.told_to(Dialect::OpenAi)).unwrap_or_default());
        self.sequence += 1;
    }
}

fn written(kind: &str, sequence: u64, fields: Value) -> Vec<u8> {
    let mut event = Map::new();
    event.insert("type".into(), kind.into());
    event.insert("sequence_number".into(), sequence.into());
    if let Value::Object(fields) = fields {
        event.extend(fields);
    }
    format!("event: {kind}\ndata: {}\n\n", Value::Object(event)).into_bytes()
}

/// The document of a whole answer.
pub fn whole(collected: &Collected, voice: &Voice) -> Vec<u8> {
    let prefix = |piece: &Piece| match piece {
        Piece::Text(_) | Piece::Refusal(_) => "msg_",
        Piece::Thinking { .. } => "rs_",
        Piece::Call { .. } => "fc_",
    };
    let pieces = collected.pieces.iter().enumerate();
    let id = |index: usize, piece: &Piece| format!("{}_{index}", voice.id(prefix(piece)));
    let mut output: Vec<Value> =
        pieces.map(|(index, piece)| item(piece, &id(index, piece), "completed", voice)).collect();
    let (status, details) = status(&collected.stop, output.iter().any(refuses));
    mark_last(&mut output, status);
    let mut document = response(voice, status, &output);
    document["incomplete_details"] = details;
    document["usage"] = usage(collected.usage);
    document.to_string().into_bytes()
}

fn response(voice: &Voice, status: &str, output: &[Value]) -> Value {
    let model: Value = serde_json::from_str(&voice.model).unwrap_or_default();
    json!({
        "id": voice.id("resp_"), "object": "response", "created_at": voice.created, "status": status, "background": false,
        "error": null, "incomplete_details": null, "instructions": null, "metadata": {}, "model": model,
        "output": output, "parallel_tool_calls": true, "previous_response_id": null, "store": false,
        "temperature": null, "top_p": null, "tool_choice": "auto", "tools": [], "usage": null,
    })
}

fn item(piece: &Piece, id: &str, status: &str, voice: &Voice) -> Value {
    let begun = status == "in_progress";
    match piece {
        Piece::Text(text) => {
            let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
            let content = if begun { json!([]) } else { json!([part]) };
            json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content})
        }
        Piece::Refusal(text) => {
            let content = if begun { json!([]) } else { json!([{"type": "refusal", "refusal": text}]) };
            json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content})
        }
        Piece::Thinking { text, proof } => {
            let summary = if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
            let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
            let carried = proof.clone().and_then(|proof| proof::to_encrypted(&Thought { text: text.clone(), proof }));
            if let Some(content) = carried {
                item["encrypted_content"] = content.into();
            }
            item
        }
        Piece::Call { id: call_id, name, arguments } if voice.free_text.contains(name) => {
            let input = if begun { String::new() } else { free_text(arguments) };
            json!({"id": id, "type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input})
        }
        Piece::Call { id: call_id, name, arguments } => {
            let arguments = if arguments.is_empty() && !begun { "{}" } else { arguments };
            json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
        }
    }
}

/// The text in the one argument of a tool that takes text.
fn free_text(arguments: &str) -> String {
    let input = serde_json::from_str::<Value>(arguments).ok();
    input.and_then(|input| input["input"].as_str().map(str::to_owned)).unwrap_or_else(|| arguments.to_owned())
}

/// A refusal in the model's own words is a complete answer; otherwise a filter has struck.
fn status(stop: &Stop, refused: bool) -> (&'static str, Value) {
    match stop {
        Stop::Limit => ("incomplete", json!({"reason": "max_output_tokens"})),
        Stop::Refusal if refused => ("completed", Value::Null),
        Stop::Refusal => ("incomplete", json!({"reason": "content_filter"})),
        Stop::End | Stop::Sequence(_) | Stop::Calls | Stop::Pause => ("completed", Value::Null),
    }
}

fn refuses(item: &Value) -> bool {
    item["content"][0]["type"] == "refusal"
}

/// What was said or called last is not complete where the answer is not.
fn mark_last(output: &mut [Value], status: &str) {
    if let Some(item) = output.last_mut().filter(|item| !item["status"].is_null()) {
        item["status"] = status.into();
    }
}

fn code(failure: &Failure) -> &str {
    match failure.status {
        429 => "rate_limit_exceeded",
        _ => failure.code.as_deref().unwrap_or("server_error"),
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "output_tokens": usage.output,
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": usage.cache_write},
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}
