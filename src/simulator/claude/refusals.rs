//! Refusals in Anthropic's shape, which the model behind Azure's gate gives.

use serde_json::json;

use super::super::errors::{Origin, Refusal};
use super::super::words;

/// 400 `invalid_request_error`; `message` names the field.
pub fn invalid(message: impl AsRef<str>) -> Refusal {
    of(400, "invalid_request_error", message.as_ref())
}

pub fn missing(field: &str) -> Refusal {
    invalid(format!("{field}: Field required"))
}

pub fn extra(field: &str) -> Refusal {
    invalid(format!("{field}: Extra inputs are not permitted"))
}

pub fn of(status: u16, kind: &str, message: &str) -> Refusal {
    let id = words::id("req_", 24);
    let body = json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": id});
    Refusal { status, body: body.to_string(), origin: Origin::Model, headers: vec![("request-id", id)] }
}

/// The data of an error event inside a stream.
pub fn error_event() -> String {
    json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}).to_string()
}
