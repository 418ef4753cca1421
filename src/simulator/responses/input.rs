//! The input of a Responses request: a text, or items of which some refer to what the resource made before.

use serde_json::{Value, json};

use super::super::body::{self, Fields};
use super::super::errors::Refusal;
use super::store::{self, Store};

/// Kinds of items, and what their ids begin with.
const KINDS: [(&str, &str); 12] = [
    ("message", "msg"),
    ("function_call", "fc"),
    ("function_call_output", ""),
    ("custom_tool_call", "ctc"),
    ("custom_tool_call_output", ""),
    ("reasoning", "rs"),
    ("item_reference", ""),
    ("compaction", "cmp"),
    ("web_search_call", "ws"),
    ("image_generation_call", "ig"),
    ("code_interpreter_call", "ci"),
    ("file_search_call", "fs"),
];

/// What was said to the model.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Items with ids, as the store keeps them.
    pub items: Vec<Value>,
    /// All text, for counting.
    pub text: String,
    pub last_user_text: String,
    /// The output of a tool comes last.
    pub ends_with_tool: bool,
    /// Turns in which tools answered.
    pub answered: usize,
}

impl Input {
    pub fn read(fields: &Fields<'_>, store: &Store) -> Result<Self, Refusal> {
        let mut input = Self::default();
        match fields.required("input")? {
            Value::String(text) => {
                input.user(text);
                input.items.push(json!({
                    "id": store::id("msg_"), "type": "message", "role": "user", "status": "completed",
                    "content": [{"type": "input_text", "text": text}],
                }));
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    input.item(item, &format!("input[{index}]"), store)?;
                }
            }
            other => return Err(fields.wrong_type("input", "one of a string or array of input items", other)),
        }
        Ok(input)
    }

    fn item(&mut self, item: &Value, path: &str, store: &Store) -> Result<(), Refusal> {
        let Some(map) = item.as_object() else {
            let message =
                format!("Invalid type for '{path}': expected an input item, but got {} instead.", body::kind(item));
            return Err(Refusal::invalid(message, Some(path), Some("invalid_type")));
        };
        let fields = Fields::inside(map, path);
        let kind = fields.text("type")?.unwrap_or("message");
        let Some((_, prefix)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
            return Err(fields.wrong_value("type", kind, &known));
        };
        let id = fields.text("id")?;
        if let Some(id) = id.filter(|id| !id.starts_with(prefix)) {
            let param = format!("{path}.id");
            let message = format!("Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'.");
            return Err(Refusal::invalid(message, Some(&param), Some("invalid_value")));
        }
        self.ends_with_tool = kind.ends_with("_output");
        self.answered += usize::from(self.ends_with_tool);
        match kind {
            "message" => self.message(&fields)?,
            "item_reference" => known_item(fields.required("id")?.as_str().unwrap_or_default(), store)?,
            "reasoning" | "compaction" => match fields.text("encrypted_content")? {
                Some(content) if !store.can_read(content) => return Err(unreadable(id.unwrap_or(kind))),
                Some(_) => {}
                None => known_item(id.unwrap_or_default(), store)?,
            },
            "function_call" => {
                for name in ["call_id", "name", "arguments"] {
                    fields.required(name)?;
                }
            }
            "function_call_output" | "custom_tool_call_output" => {
                fields.required("call_id")?;
                self.text.push_str(&fields.required("output")?.to_string());
            }
            _ => {}
        }
        let mut kept = item.clone();
        if id.is_none() {
            kept["id"] = json!(store::id(if prefix.is_empty() { "item_" } else { prefix }));
        }
        kept["type"] = json!(kind);
        self.items.push(kept);
        Ok(())
    }

    fn message(&mut self, fields: &Fields<'_>) -> Result<(), Refusal> {
        let role = fields.required("role")?.as_str().unwrap_or_default();
        if !["user", "assistant", "system", "developer"].contains(&role) {
            return Err(fields.wrong_value("role", role, &["assistant", "system", "developer", "user"]));
        }
        let texts: Vec<&str> = match fields.required("content")? {
            Value::String(text) => vec![text],
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            other => return Err(fields.wrong_type("content", "one of a string or array of content parts", other)),
        };
        let text = texts.concat();
        if role == "user" {
            self.user(&text);
        } else {
            self.text.push_str(&text);
        }
        Ok(())
    }

    fn user(&mut self, text: &str) {
        self.text.push_str(text);
        text.clone_into(&mut self.last_user_text);
    }
}

fn known_item(id: &str, store: &Store) -> Result<(), Refusal> {
    if store.has_item(id) {
        return Ok(());
    }
    let message = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to \
         true, or remove this item from your input."
    );
    Err(Refusal::invalid(message, Some("input"), None))
}

fn unreadable(id: &str) -> Refusal {
    let message = format!(
        "The encrypted content for item {id} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
    );
    Refusal::invalid(message, None, Some("invalid_encrypted_content"))
}
