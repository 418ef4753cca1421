//! Responses of the simulated Azure: made by a deployment, kept by the resource, and known to it alone.
//!
//! Marks of its own in a prompt: `[[never-ends]]` (a background response goes on until it is cancelled).

mod answer;
mod input;
mod request;
mod store;
mod stream;

pub use request::ResponseRequest;
pub use store::Store;

use serde_json::{Value, json};

use super::errors::Refusal;

/// The data of an error event, nested as Azure nests it.
pub fn error_event() -> String {
    let error = json!({
        "type": "server_error", "code": "server_error", "param": null,
        "message": "The server had an error while processing your request. Sorry about that!",
    });
    json!({"type": "error", "error": error, "sequence_number": 0}).to_string()
}

/// What a stream says in place of a 429: Azure has answered 200 by then.
pub fn throttled_events() -> Vec<String> {
    let failed = json!({
        "type": "response.failed", "sequence_number": 1,
        "response": {"id": store::id("resp_"), "object": "response", "status": "failed", "error": null, "incomplete_details": null, "output": [], "usage": null},
    });
    let error = json!({
        "type": "error", "sequence_number": 2,
        "error": {
            "type": "too_many_requests", "code": "rate_limit_exceeded", "headers": {"x-ms-fe-error": "true"}, "param": null,
            "message": "Your requests to the deployment have exceeded rate limit.",
        },
    });
    vec![failed.to_string(), error.to_string()]
}

/// A response or an item that this resource does not hold.
pub fn not_found(what: &str, id: &str) -> Refusal {
    Refusal::missing(&format!("{what} with id '{id}' not found."))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
