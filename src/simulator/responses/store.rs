//! What one resource holds: responses with their input, items by id, and the secret that its reasoning is bound to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

use super::super::errors::Refusal;
use super::super::words::Seed;
use super::not_found;
use crate::base::locks::lock;

/// What encrypted content of the service begins with.
const ENCRYPTED: &str = "gAAAAAB";

#[derive(Debug)]
pub struct Store {
    /// Tells this resource from every other.
    secret: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    responses: BTreeMap<String, Stored>,
    items: HashMap<String, Value>,
}

/// One response that is kept.
#[derive(Clone, Debug)]
pub struct Stored {
    pub response: Value,
    pub input: Vec<Value>,
    /// The events of its stream, for those who resume it.
    pub events: Vec<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self { secret: fastrand::u64(..), kept: Mutex::default() }
    }
}

/// A fresh id in the service's shape.
pub fn id(prefix: &str) -> String {
    format!("{prefix}{:032x}{:018x}", fastrand::u128(..), fastrand::u64(..))
}

impl Store {
    pub fn keep(&self, stored: Stored) {
        let mut kept = self.kept();
        let output = stored.response["output"].as_array().into_iter().flatten();
        for item in stored.input.iter().chain(output) {
            if let Some(id) = item["id"].as_str() {
                kept.items.insert(id.to_owned(), item.clone());
            }
        }
        let id = super::text(&stored.response, "id");
        kept.responses.insert(id, stored);
    }

    pub fn has_item(&self, id: &str) -> bool {
        self.kept().items.contains_key(id)
    }

    pub fn find(&self, id: &str) -> Result<Stored, Refusal> {
        self.kept().responses.get(id).cloned().ok_or_else(|| not_found("Response", id))
    }

    /// The response as it is now. One in the background completes when somebody asks for it the second time.
    pub fn retrieve(&self, id: &str) -> Result<Value, Refusal> {
        let mut kept = self.kept();
        let stored = kept.responses.get_mut(id).ok_or_else(|| not_found("Response", id))?;
        let now = stored.response.clone();
        if now["status"] == "queued" {
            stored.response["status"] = json!("in_progress");
        } else if now["status"] == "in_progress" && now["never_ends"].is_null() {
            let mut completed = stored.response["completes_as"].take();
            completed["background"] = json!(true);
            stored.response = completed;
        }
        Ok(shown(&now))
    }

    pub fn cancel(&self, id: &str) -> Result<Value, Refusal> {
        let mut kept = self.kept();
        let stored = kept.responses.get_mut(id).ok_or_else(|| not_found("Response", id))?;
        if stored.response["background"] != true {
            return Err(Refusal::invalid("Cannot cancel a synchronous response.", None, None));
        }
        if matches!(stored.response["status"].as_str(), Some("queued" | "in_progress")) {
            stored.response["status"] = json!("cancelled");
        }
        Ok(shown(&stored.response))
    }

    pub fn delete(&self, id: &str) -> Result<Value, Refusal> {
        let removed = self.kept().responses.remove(id);
        removed.ok_or_else(|| not_found("Response", id))?;
        Ok(json!({"id": id, "object": "response.deleted", "deleted": true}))
    }

    /// The items of a response's input, the newest first.
    pub fn input_items(&self, id: &str, limit: usize, after: Option<&str>) -> Result<Value, Refusal> {
        let stored = self.find(id)?;
        let newest_first: Vec<&Value> = stored.input.iter().rev().collect();
        let start = match after {
            None => 0,
            Some(after) => {
                let at = newest_first.iter().position(|item| item["id"] == after);
                1 + at.ok_or_else(|| not_found("Item", after))?
            }
        };
        let page: Vec<&Value> = newest_first[start..].iter().take(limit).copied().collect();
        Ok(json!({
            "object": "list", "data": page, "has_more": start + page.len() < newest_first.len(),
            "first_id": page.first().map(|item| &item["id"]), "last_id": page.last().map(|item| &item["id"]),
        }))
    }

    /// Reasoning that only this resource can read.
    pub fn encrypt(&self, text: &str) -> String {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{ENCRYPTED}{:016x}{hex}==", self.check(&hex))
    }

    pub fn can_read(&self, content: &str) -> bool {
        let inside = content.strip_prefix(ENCRYPTED).and_then(|rest| rest.strip_suffix("=="));
        let parts = inside.and_then(|inside| inside.split_at_checked(16));
        parts.is_some_and(|(check, hex)| check == format!("{:016x}", self.check(hex)))
    }

    fn check(&self, hex: &str) -> u64 {
        Seed::of(&format!("{}{hex}", self.secret)).next()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

/// Without what only the store needs to know.
fn shown(response: &Value) -> Value {
    let mut response = response.clone();
    if let Some(fields) = response.as_object_mut() {
        fields.remove("completes_as");
        fields.remove("never_ends");
    }
    response
}
