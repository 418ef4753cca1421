//! The messages of a Claude request: are they well-formed, and what do they say.

use serde_json::{Map, Value};

use super::super::errors::Refusal;
use super::super::words;
use super::answer::is_signature;
use super::refusals::{extra, invalid, missing};

/// Tokens that an image or document counts as.
const ATTACHMENT_TOKENS: usize = 85;

/// Blocks of a user's turn, of the assistant's turn, and of either.
const USER: [&str; 5] = ["image", "document", "search_result", "tool_result", "container_upload"];
const ASSISTANT: [&str; 3] = ["tool_use", "thinking", "redacted_thinking"];

/// What the messages say.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// Everything that users said, for marks.
    pub said: String,
    /// The texts of the last turn.
    pub last: String,
    /// The last turn answers calls.
    pub ends_with_results: bool,
    /// Turns that answered calls.
    pub answered: usize,
    pub attachments: usize,
    pub tokens: usize,
    pub cache_marks: usize,
}

impl Prompt {
    pub fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut prompt = Self { tokens: 8, ..Self::default() };
        match body.get("system") {
            None => {}
            Some(Value::String(text)) => prompt.tokens += words::count(text),
            Some(Value::Array(blocks)) => {
                for (index, block) in blocks.iter().enumerate() {
                    prompt.text(block, &format!("system.{index}"))?;
                }
            }
            Some(_) => return Err(invalid("system: Input should be a valid string or list")),
        }
        let messages = body.get("messages").ok_or_else(|| missing("messages"))?;
        let messages = messages.as_array().ok_or_else(|| invalid("messages: Input should be a valid list"))?;
        if messages.is_empty() {
            return Err(invalid("messages: at least one message is required"));
        }
        let mut open: Vec<&str> = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            open = prompt.message(message, index, &open)?;
        }
        if !open.is_empty() {
            return Err(unanswered(messages.len() - 1, &open));
        }
        Ok(prompt)
    }

    /// Reads one turn; gives the calls that the next one has to answer.
    fn message<'a>(&mut self, message: &'a Value, index: usize, open: &[&str]) -> Result<Vec<&'a str>, Refusal> {
        let at = format!("messages.{index}");
        let map = message.as_object().ok_or_else(|| invalid(format!("{at}: Input should be an object")))?;
        if let Some(unknown) = map.keys().find(|key| !matches!(key.as_str(), "role" | "content")) {
            return Err(extra(&format!("{at}.{unknown}")));
        }
        let role = map.get("role").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.role")))?;
        if !matches!(role, "user" | "assistant" | "system") {
            return Err(invalid(format!("{at}.role: Input should be 'user' or 'assistant'")));
        }
        (self.last, self.attachments, self.ends_with_results) = (String::new(), 0, false);
        self.tokens += 4;
        let mut calls = Vec::new();
        let mut answers = Vec::new();
        match map.get("content") {
            None => return Err(missing(&format!("{at}.content"))),
            Some(Value::String(text)) => self.says(text, role, &format!("{at}.content"))?,
            Some(Value::Array(blocks)) => {
                for (place, block) in blocks.iter().enumerate() {
                    let path = format!("{at}.content.{place}");
                    match self.block(block, role, &path)? {
                        Tie::Call(id) => calls.push(id),
                        Tie::Answer(id) if answers.len() < place => {
                            let text = format!("{path}: `tool_result` blocks must come first in the turn ({id})");
                            return Err(invalid(text));
                        }
                        Tie::Answer(id) => answers.push(id),
                        Tie::None => {}
                    }
                }
            }
            Some(_) => return Err(invalid(format!("{at}.content: Input should be a valid string or list"))),
        }
        if let Some(id) = answers.iter().find(|id| !open.contains(id)) {
            let text = format!("{at}.content: unexpected `tool_use_id` found in `tool_result` blocks: {id}");
            return Err(invalid(text));
        }
        let waiting: Vec<&str> = open.iter().copied().filter(|id| !answers.contains(id)).collect();
        if !waiting.is_empty() {
            return Err(unanswered(index - 1, &waiting));
        }
        self.ends_with_results = !answers.is_empty();
        self.answered += usize::from(self.ends_with_results);
        Ok(calls)
    }

    fn block<'a>(&mut self, block: &'a Value, role: &str, path: &str) -> Result<Tie<'a>, Refusal> {
        let map = block.as_object().ok_or_else(|| invalid(format!("{path}: Input should be an object")))?;
        let text = |name: &str| map.get(name).and_then(Value::as_str).ok_or_else(|| missing(&format!("{path}.{name}")));
        let kind = text("type")?;
        let fits = kind == "text"
            || (role == "user" && USER.contains(&kind))
            || (role == "assistant" && ASSISTANT.contains(&kind));
        if !fits {
            return Err(invalid(format!("{path}: Input tag '{kind}' is not expected in a turn of role '{role}'")));
        }
        self.cache_marks += usize::from(map.get("cache_control").is_some_and(Value::is_object));
        match kind {
            "text" => self.says(text("text")?, role, path)?,
            "thinking" => {
                text("thinking")?;
                if !is_signature(text("signature")?) {
                    return Err(invalid(format!("{path}: Invalid `signature` in `thinking` block")));
                }
            }
            "redacted_thinking" => {
                text("data")?;
            }
            "tool_use" => {
                check_id(text("id")?, path)?;
                text("name")?;
                let input = map.get("input").filter(|input| input.is_object());
                self.tokens += input.ok_or_else(|| missing(&format!("{path}.input")))?.to_string().len() / 4;
                return Ok(Tie::Call(text("id")?));
            }
            "tool_result" => {
                self.result(map, path)?;
                return Ok(Tie::Answer(text("tool_use_id")?));
            }
            _ => {
                if kind != "search_result" && !map.get("source").is_some_and(Value::is_object) {
                    return Err(missing(&format!("{path}.source")));
                }
                self.attachments += 1;
                self.tokens += ATTACHMENT_TOKENS;
            }
        }
        Ok(Tie::None)
    }

    fn result(&mut self, map: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
        match map.get("content") {
            None => {}
            Some(Value::String(text)) => self.hears(text),
            Some(Value::Array(blocks)) => {
                for (place, block) in blocks.iter().enumerate() {
                    match (block["type"].as_str(), block["text"].as_str()) {
                        (Some("text"), Some(text)) => self.hears(text),
                        (Some("image" | "document" | "search_result" | "tool_reference"), _) => {
                            self.attachments += 1;
                            self.tokens += ATTACHMENT_TOKENS;
                        }
                        _ => return Err(invalid(format!("{path}.content.{place}: Input tag is not expected here"))),
                    }
                }
            }
            Some(_) => return Err(invalid(format!("{path}.content: Input should be a valid string or list"))),
        }
        Ok(())
    }

    fn text(&mut self, block: &Value, path: &str) -> Result<(), Refusal> {
        let text = block["text"].as_str().filter(|_| block["type"] == "text");
        let text = text.ok_or_else(|| invalid(format!("{path}: Input should be a text block")))?;
        self.cache_marks += usize::from(block["cache_control"].is_object());
        self.tokens += words::count(text);
        Ok(())
    }

    fn says(&mut self, text: &str, role: &str, path: &str) -> Result<(), Refusal> {
        if text.trim().is_empty() {
            return Err(invalid(format!("{path}: text content blocks must contain non-whitespace text")));
        }
        if role == "user" {
            self.said.push_str(text);
            self.said.push('\n');
        }
        self.hears(text);
        Ok(())
    }

    fn hears(&mut self, text: &str) {
        self.last.push_str(if self.last.is_empty() { "" } else { " " });
        self.last.push_str(text);
        self.tokens += words::count(text);
    }
}

/// How a block is tied to other turns.
enum Tie<'a> {
    None,
    Call(&'a str),
    Answer(&'a str),
}

fn check_id(id: &str, path: &str) -> Result<(), Refusal> {
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits { Ok(()) } else { Err(invalid(format!("{path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'"))) }
}

fn unanswered(index: usize, open: &[&str]) -> Refusal {
    invalid(format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    ))
}
