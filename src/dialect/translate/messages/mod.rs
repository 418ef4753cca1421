//! Messages on either side of a translation.

pub mod answer_read;
pub mod answer_write;
mod content;
mod message;
pub mod request_read;
pub mod request_write;
