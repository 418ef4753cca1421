//! Chat Completions on either side of a translation.

pub mod answer_read;
pub mod answer_write;
mod calls;
mod content;
pub mod request_read;
pub mod request_write;

pub(super) use content::{cache_of, media};
