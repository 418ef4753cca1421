//! Answers of Responses, read: a document, or the events of a stream.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::answer::{Failure, Read, Said, Seen, Stop, Tell};
use super::super::refused::Unreadable;
use super::super::request::Proof;
use crate::dialect::usage::Usage;

/// Between the parts of a summary of what was thought.
const PARAGRAPH: &str = "\n\n";

/// Reads one answer.
#[derive(Debug, Default)]
pub struct Reader {
    /// The resource that answers, for the reasoning that only it can read.
    origin: String,
    calls: bool,
    refused: bool,
    /// Of the item under way: something of it was told.
    told: bool,
    /// The stream said that it failed; what follows may say why.
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Said<'a>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    item: Option<Item>,
    #[serde(borrow)]
    arguments: Option<Said<'a>>,
    summary_index: Option<u64>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    error: Option<Value>,
    code: Option<Value>,
    message: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'a> {
    status: Option<String>,
    #[serde(default)]
    output: Vec<Item>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    incomplete_details: Option<Incomplete>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    r#type: String,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    input: Option<Value>,
    content: Option<Vec<Value>>,
    summary: Option<Vec<Value>>,
    encrypted_content: Option<String>,
}

impl Reader {
    pub fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..Self::default() }
    }

    fn begin(&mut self, item: &Item, to: &mut dyn Tell) -> bool {
        self.told = false;
        if !item.is_call() {
            return false;
        }
        self.calls = true;
        let id = item.call_id.as_deref().or(item.id.as_deref()).unwrap_or_default();
        to.call(id, item.name.as_deref().unwrap_or_default());
        true
    }

    fn say(&mut self, part: &str, to: &mut dyn Tell, how: fn(&mut dyn Tell, &str)) {
        if !part.is_empty() {
            self.told = true;
            how(to, part);
        }
    }

    fn end(&mut self, item: Item, to: &mut dyn Tell) {
        if item.is_call() && !self.told {
            let input = item.input.as_ref().and_then(Value::as_str);
            to.arguments(item.arguments.as_deref().or(input).unwrap_or_default());
        }
        match item.encrypted_content.filter(|_| item.r#type == "reasoning") {
            Some(content) => {
                let (origin, id) = (self.origin.clone(), item.id.unwrap_or_default());
                to.proof(Proof::Encrypted { origin, id, content });
            }
            None => to.close(),
        }
        self.told = false;
    }

    /// An item that comes whole.
    fn item(&mut self, item: Item, to: &mut dyn Tell) {
        self.begin(&item, to);
        for (index, part) in item.summary.iter().flatten().enumerate() {
            let paragraph = if index > 0 { PARAGRAPH } else { "" };
            to.thinking(&format!("{paragraph}{}", part["text"].as_str().unwrap_or_default()));
        }
        if item.r#type == "message" {
            for part in item.content.iter().flatten() {
                if let Some(text) = part["text"].as_str() {
                    to.text(text);
                } else if let Some(refusal) = part["refusal"].as_str() {
                    self.refused = true;
                    to.refusal(refusal);
                }
            }
        }
        self.end(item, to);
    }

    fn finish(&mut self, response: &Response<'_>, to: &mut dyn Tell) -> Option<Usage> {
        let usage = response.usage.and_then(|usage| Usage::from_responses(usage.get().as_bytes()));
        let reason = response.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        let stop = match (response.status.as_deref(), reason) {
            (Some("incomplete"), Some("content_filter")) => Stop::Refusal,
            (Some("incomplete"), _) => Stop::Limit,
            _ if self.calls => Stop::Calls,
            _ if self.refused => Stop::Refusal,
            _ => Stop::End,
        };
        to.finish(stop, usage);
        usage
    }

    /// A failure is told at the end: Azure says that there is one before it says which.
    fn fail(&mut self, error: Option<&Value>) -> Seen {
        let known = error.filter(|error| error.is_object()).map(Failure::read);
        let failure = known.or(self.failure.take()).unwrap_or_else(|| Failure::read(&Value::Null));
        let seen = Seen { error: Some(failure.data()), ..Seen::default() };
        self.failure = Some(failure);
        seen
    }
}

impl Item {
    fn is_call(&self) -> bool {
        matches!(self.r#type.as_str(), "function_call" | "custom_tool_call")
    }
}

impl Read for Reader {
    fn event(&mut self, data: &[u8], to: &mut dyn Tell) -> Result<Seen, Unreadable> {
        let event: Event<'_> = serde_json::from_slice(data)?;
        let part = event.delta.as_deref().unwrap_or_default();
        let content = Seen { content: true, ..Seen::default() };
        Ok(match &*event.r#type {
            "response.created" => {
                to.start(None);
                Seen::default()
            }
            "response.output_item.added" => match event.item {
                Some(item) => Seen { content: self.begin(&item, to), ..Seen::default() },
                None => Seen::default(),
            },
            "response.output_text.delta" => {
                self.say(part, to, |to, part| to.text(part));
                content
            }
            "response.refusal.delta" => {
                self.refused = true;
                self.say(part, to, |to, part| to.refusal(part));
                content
            }
            "response.reasoning_summary_part.added" => {
                if event.summary_index.is_some_and(|index| index > 0) {
                    to.thinking(PARAGRAPH);
                }
                Seen::default()
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.say(part, to, |to, part| to.thinking(part));
                content
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.say(part, to, |to, part| to.arguments(part));
                content
            }
            "response.function_call_arguments.done" if !self.told => {
                let whole = event.arguments.as_deref().unwrap_or_default();
                self.say(whole, to, |to, part| to.arguments(part));
                content
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.end(item, to);
                }
                content
            }
            "response.completed" | "response.incomplete" => {
                let response = event.response.ok_or_else(|| Unreadable("the last event has no response".to_owned()))?;
                let usage = self.finish(&response, to);
                Seen { content: true, ended: true, usage, error: None }
            }
            "response.failed" | "response.cancelled" => self.fail(event.response.and_then(|r| r.error).as_ref()),
            "error" => {
                let flat = || serde_json::json!({"code": event.code, "message": event.message});
                self.fail(Some(&event.error.unwrap_or_else(flat)))
            }
            _ => Seen::default(),
        })
    }

    fn waits(&self) -> bool {
        self.failure.is_some()
    }

    fn over(&mut self, to: &mut dyn Tell) -> Seen {
        if let Some(failure) = self.failure.take() {
            to.fail(&failure);
        }
        Seen::default()
    }

    fn whole(&mut self, body: &[u8], to: &mut dyn Tell) -> Result<(), Unreadable> {
        let mut response: Response<'_> = serde_json::from_slice(body)?;
        to.start(None);
        for item in std::mem::take(&mut response.output) {
            self.item(item, to);
        }
        if response.status.as_deref() == Some("failed") {
            to.fail(&Failure::read(response.error.as_ref().unwrap_or(&Value::Null)));
        } else {
            self.finish(&response, to);
        }
        Ok(())
    }
}
