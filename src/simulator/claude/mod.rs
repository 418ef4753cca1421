//! Claude on the simulated Azure: `/anthropic/v1/messages` and `count_tokens`, as strict as the service.
//! What the gate in front refuses is Azure's own shape and left to `resource`; what the model refuses is Anthropic's.

mod answer;
mod content;
mod refusals;
mod request;

pub use refusals::error_event;
pub use request::MessagesRequest;
