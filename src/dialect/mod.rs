//! Wire formats: bytes to types to bytes. Pure code without I/O, clock or knowledge of hosts, keys and callers.
//!
//! In reading order: which operation a path names, how JSON text is read and edited in place without building a tree,
//! how event streams are cut into frames, and what each dialect makes of them.

pub mod operation;
pub mod path;

mod cursor;
pub mod filter_results;
pub mod members;
pub mod peek;
pub mod places;
mod scan;
pub mod splice;

pub mod answer;
pub mod chat;
pub mod echo;
pub mod error;
pub mod list;
pub mod media;
pub mod messages;
pub mod multipart;
pub mod responses;
pub mod sse;
pub mod stream;
pub mod translate;
pub mod usage;

pub use members::{Member, Members};
pub use operation::{Operation, Route, Surface, Unrouted, classify};
pub use path::query_value;
pub use peek::{JsonError, Peek};
pub use splice::{Edits, Piece};
pub use usage::Usage;

/// The language a caller or an upstream speaks, which decides the shape of errors and streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    OpenAi,
    Anthropic,
}
