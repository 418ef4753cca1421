//! The messages of a chat request: are they well-formed, and what do they say.

use serde_json::{Map, Value};

use super::body::{self, Fields};
use super::errors::Refusal;
use super::words;

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
const PARTS: [&str; 6] = ["text", "image_url", "input_audio", "file", "refusal", "image_file"];

/// Tokens that an attached image or file counts as.
const ATTACHMENT_TOKENS: usize = 85;

/// What the messages say.
#[derive(Clone, Debug, Default)]
pub struct Prompt<'a> {
    /// The texts of the last message, and its role.
    last: Vec<&'a str>,
    last_role: &'a str,
    attachments: usize,
    tokens: usize,
    marks: String,
    /// Turns that answered calls.
    answered: usize,
    says_json: bool,
}

impl<'a> Prompt<'a> {
    /// Reads and checks the field `messages`.
    pub fn read(fields: &Fields<'a>) -> Result<Self, Refusal> {
        let value = fields.required("messages")?;
        let Value::Array(messages) = value else {
            return Err(fields.wrong_type("messages", "an array of objects", value));
        };
        if messages.is_empty() {
            return Err(fields.empty_array("messages"));
        }
        let mut prompt = Self { tokens: 3, ..Self::default() };
        for (index, message) in messages.iter().enumerate() {
            let path = format!("messages[{index}]");
            let Value::Object(message) = message else {
                let message =
                    format!("Invalid type for '{path}': expected an object, but got {} instead.", body::kind(message));
                return Err(Refusal::invalid(message, Some(&path), Some("invalid_type")));
            };
            prompt.message(message, &path)?;
        }
        check_tool_order(messages)?;
        Ok(prompt)
    }

    /// The text of the last message, if the user wrote it.
    pub fn last_user_text(&self) -> Option<String> {
        (self.last_role == "user").then(|| self.last.join(" "))
    }

    pub fn last_text(&self) -> String {
        self.last.join(" ")
    }

    pub fn ends_with_tool(&self) -> bool {
        matches!(self.last_role, "tool" | "function")
    }

    /// Images, files and sounds of the last message.
    pub fn attachments(&self) -> usize {
        self.attachments
    }

    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether a message holds this mark.
    pub fn has_mark(&self, mark: &str) -> bool {
        self.marks.contains(mark)
    }

    /// The texts with marks, and how many turns have answered calls.
    pub fn script(&self) -> (&str, usize) {
        (&self.marks, self.answered)
    }

    /// Whether the word `json` occurs, which JSON mode demands.
    pub fn says_json(&self) -> bool {
        self.says_json
    }

    fn message(&mut self, message: &'a Map<String, Value>, path: &str) -> Result<(), Refusal> {
        let fields = Fields::inside(message, path);
        fields.required("role")?;
        let role = fields.choice("role", &ROLES)?.unwrap_or_default();
        self.answered += usize::from(role == "tool" && self.last_role != "tool");
        (self.last_role, self.attachments) = (role, 0);
        self.last.clear();
        self.tokens += 4;
        match fields.get("content") {
            Some(Value::String(text)) => self.says(text),
            Some(Value::Array(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    self.part(part, &format!("{path}.content[{index}]"))?;
                }
            }
            Some(other) => return Err(fields.wrong_type("content", "one of a string or array of objects", other)),
            None if role == "assistant" => self.tokens += calls_tokens(message),
            None => {
                let message = "Invalid value for 'content': expected a string, got null.";
                return Err(Refusal::invalid(message, Some(&fields.path("content")), None));
            }
        }
        if role == "tool" {
            fields.required("tool_call_id")?;
            fields.text("tool_call_id")?;
        }
        if role == "assistant" {
            check_calls(&fields)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &'a Value, path: &str) -> Result<(), Refusal> {
        let Value::Object(map) = part else {
            let message =
                format!("Invalid type for '{path}': expected an object, but got {} instead.", body::kind(part));
            return Err(Refusal::invalid(message, Some(path), Some("invalid_type")));
        };
        let fields = Fields::inside(map, path);
        fields.required("type")?;
        match fields.choice("type", &PARTS)?.unwrap_or_default() {
            "text" => {
                fields.required("text")?;
                self.says(fields.text("text")?.unwrap_or_default());
            }
            "image_url" => {
                fields.required("image_url")?;
                let image = fields.object("image_url")?.unwrap_or(map);
                Fields::inside(image, &fields.path("image_url")).required("url")?;
                self.attach();
            }
            "refusal" => self.says(fields.text("refusal")?.unwrap_or_default()),
            kind => {
                fields.required(kind)?;
                fields.object(kind)?;
                self.attach();
            }
        }
        Ok(())
    }

    fn attach(&mut self) {
        self.attachments += 1;
        self.tokens += ATTACHMENT_TOKENS;
    }

    fn says(&mut self, text: &'a str) {
        self.last.push(text);
        self.tokens += words::count(text);
        if text.contains("[[") {
            self.marks.push_str(text);
        }
        self.says_json = self.says_json || text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"));
    }
}

fn calls_tokens(message: &Map<String, Value>) -> usize {
    message.get("tool_calls").map_or(0, |calls| calls.to_string().len() / 5)
}

fn check_calls(fields: &Fields<'_>) -> Result<(), Refusal> {
    let calls = fields.array("tool_calls")?;
    if calls.is_some_and(<[Value]>::is_empty) {
        return Err(fields.empty_array("tool_calls"));
    }
    for (index, call) in calls.unwrap_or_default().iter().enumerate() {
        let path = fields.path(&format!("tool_calls[{index}]"));
        let Value::Object(call) = call else {
            let message =
                format!("Invalid type for '{path}': expected an object, but got {} instead.", body::kind(call));
            return Err(Refusal::invalid(message, Some(&path), Some("invalid_type")));
        };
        let call = Fields::inside(call, &path);
        call.required("id")?;
        call.text("id")?;
        call.required("type")?;
        if call.choice("type", &["function", "custom"])? == Some("function") {
            call.required("function")?;
            let path = call.path("function");
            if let Some(function) = call.object("function")? {
                let function = Fields::inside(function, &path);
                function.required("name")?;
                function.text("name")?;
                function.required("arguments")?;
                function.text("arguments")?;
            }
        }
    }
    let has_something = calls.is_some()
        || ["content", "refusal", "function_call", "audio"].iter().any(|name| fields.get(name).is_some());
    if has_something {
        return Ok(());
    }
    let message = "Invalid value for 'content': expected a string, got null.";
    Err(Refusal::invalid(message, Some(&fields.path("content")), None))
}

/// Every call must be answered by the messages that follow it, and every answer must belong to a call.
fn check_tool_order(messages: &[Value]) -> Result<(), Refusal> {
    let mut open: Vec<&str> = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if asked.is_empty() {
                let text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with \
                            'tool_calls'.";
                return Err(Refusal::invalid(text, Some(&format!("messages.[{index}].role")), None));
            }
            if !asked.contains(&id) {
                let text = format!(
                    "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message."
                );
                return Err(Refusal::invalid(text, Some(&format!("messages.[{index}].tool_call_id")), None));
            }
            open.retain(|waiting| *waiting != id);
            continue;
        }
        unanswered(&open, index)?;
        asked = message["tool_calls"].as_array().into_iter().flatten().filter_map(|call| call["id"].as_str()).collect();
        open.clone_from(&asked);
    }
    unanswered(&open, messages.len())
}

fn unanswered(open: &[&str], index: usize) -> Result<(), Refusal> {
    if open.is_empty() {
        return Ok(());
    }
    let text = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The \
         following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Refusal::invalid(text, Some(&format!("messages.[{index}].role")), None))
}
