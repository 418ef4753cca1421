//! Lists in pages, as the service cuts them: the newest first, `limit` at a time, behind the object named in `after`.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::errors::Refusal;

/// Objects of a page, unless asked otherwise.
const USUAL: usize = 20;
const MOST: usize = 10_000;

/// The page of `all` that a query asks for. `purpose` keeps the files of one purpose.
pub fn of(mut all: Vec<Value>, query: &str) -> Result<Value, Refusal> {
    let value = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let wrong = |name: &str, value: &str| {
        Refusal::invalid(format!("Invalid value: '{value}'."), Some(name), Some("invalid_value"))
    };
    let limit = match value("limit") {
        None => USUAL,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MOST) => limit,
            _ => return Err(wrong("limit", &text)),
        },
    };
    if let Some(purpose) = value("purpose") {
        all.retain(|object| object["purpose"] == purpose.as_str());
    }
    all.sort_by_key(|object| (object["created_at"].as_i64(), object["id"].as_str().map(str::to_owned)));
    match value("order").as_deref() {
        None | Some("desc") => all.reverse(),
        Some("asc") => {}
        Some(other) => return Err(wrong("order", other)),
    }
    let start = match value("after") {
        None => 0,
        Some(after) => {
            let at = all.iter().position(|object| object["id"] == after.as_str());
            1 + at.ok_or_else(|| Refusal::missing(&format!("No such object: {after}")))?
        }
    };
    let more = all.len() > start + limit;
    let page: Vec<Value> = all.into_iter().skip(start).take(limit).collect();
    let id = |object: Option<&Value>| object.map(|object| object["id"].clone());
    Ok(
        json!({"object": "list", "first_id": id(page.first()), "last_id": id(page.last()), "has_more": more, "data": page}),
    )
}
