//! Responses on either side of a translation.

pub mod answer_read;
pub mod answer_write;
mod content;
pub mod request_read;
pub mod request_write;
