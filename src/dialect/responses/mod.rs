//! The Responses dialect, native: what of it the gateway reads and changes.
//!
//! A caller sees three values in other words than the upstream's: the `model`, and the two that only the resource which
//! made them understands, ids and encrypted reasoning. [`Bound`] says how the caller knows those.

mod answer;
mod event;
mod request;

pub use answer::ResponsesAnswer;
pub use event::ResponsesEvents;
pub use request::{Named, Reference, References};

use std::sync::Arc;

use bytes::Bytes;

use super::echo::EchoStream;

/// How the caller of one request knows what one resource made.
pub trait Bound: Send + Sync {
    /// The caller's form of an id. It needs no escapes in JSON.
    fn id(&self, id: &str) -> String;

    /// What stands in front of encrypted content for the caller.
    fn mark(&self) -> Bytes;
}

/// Events of Responses to a caller of the same dialect.
pub type ResponsesStream = EchoStream<ResponsesEvents>;

impl ResponsesStream {
    /// `echo` is the caller's name of the model as a JSON string, quotes included. Without `bound`, ids and encrypted
    /// content pass as they are.
    pub fn native(echo: Option<Bytes>, bound: Option<Arc<dyn Bound>>) -> Self {
        Self::of(ResponsesEvents::new(bound), echo)
    }
}
