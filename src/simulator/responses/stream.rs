//! A response as the events of its stream, in the service's order and numbered.

use serde_json::{Value, json};

use super::super::words;
use super::answer::unfinished;
use super::text;

/// The data of every event.
pub fn events(response: &Value, obfuscates: bool) -> Vec<String> {
    let mut events = Events { list: Vec::new(), obfuscates };
    let begun = unfinished(response);
    events.push("response.created", json!({"response": begun}));
    if response["background"] == true {
        events.push("response.queued", json!({"response": begun}));
    }
    let mut running = begun;
    running["status"] = json!("in_progress");
    events.push("response.in_progress", json!({"response": running}));
    for (index, item) in response["output"].as_array().into_iter().flatten().enumerate() {
        events.item(index, item);
    }
    let last = if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    events.push(last, json!({"response": response}));
    events.list
}

struct Events {
    list: Vec<String>,
    obfuscates: bool,
}

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["sequence_number"] = json!(self.list.len());
        if self.obfuscates && kind.ends_with(".delta") {
            event["obfuscation"] = json!(words::padding());
        }
        self.list.push(event.to_string());
    }

    fn item(&mut self, index: usize, item: &Value) {
        let mut begun = item.clone();
        let id = text(item, "id");
        for (name, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
            if !item[name].is_null() {
                begun[name] = empty;
            }
        }
        if !item["status"].is_null() {
            begun["status"] = json!("in_progress");
        }
        self.push("response.output_item.added", json!({"output_index": index, "item": begun}));
        match item["type"].as_str() {
            Some("reasoning") => self.summary(index, &id, &item["summary"][0]),
            Some("function_call") => {
                let place = json!({"item_id": id, "output_index": index});
                self.deltas("response.function_call_arguments", &text(item, "arguments"), "arguments", &place);
            }
            _ => self.part(index, &id, &item["content"][0]),
        }
        self.push("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn summary(&mut self, index: usize, id: &str, part: &Value) {
        let place = json!({"item_id": id, "output_index": index, "summary_index": 0});
        let empty = json!({"type": "summary_text", "text": ""});
        self.push("response.reasoning_summary_part.added", with(&place, "part", &empty));
        self.deltas("response.reasoning_summary_text", &text(part, "text"), "text", &place);
        self.push("response.reasoning_summary_part.done", with(&place, "part", part));
    }

    fn part(&mut self, index: usize, id: &str, part: &Value) {
        let place = json!({"item_id": id, "output_index": index, "content_index": 0});
        let (kind, name) =
            if part["type"] == "refusal" { ("response.refusal", "refusal") } else { ("response.output_text", "text") };
        let mut empty = part.clone();
        empty[name] = json!("");
        self.push("response.content_part.added", with(&place, "part", &empty));
        self.deltas(kind, &text(part, name), name, &place);
        self.push("response.content_part.done", with(&place, "part", part));
    }

    fn deltas(&mut self, kind: &str, text: &str, name: &str, place: &Value) {
        for piece in words::pieces(text) {
            self.push(&format!("{kind}.delta"), with(place, "delta", &json!(piece)));
        }
        self.push(&format!("{kind}.done"), with(place, name, &json!(text)));
    }
}

fn with(place: &Value, name: &str, value: &Value) -> Value {
    let mut event = place.clone();
    event[name] = value.clone();
    event
}
