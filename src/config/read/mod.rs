//! From text to typed values, with the position of every value kept: syntax, tree, decoding, mending.
//! Knows nothing of what the fields mean.

mod decode;
mod error;
mod mend;
mod nearest;
mod place;
mod position;
mod syntax;
mod tree;

pub use decode::{REFERENCE, TEXT_OR_OBJECT};
pub use mend::decode;
pub use nearest::nearest;
pub use place::{Place, Report};
pub use position::Position;
pub use syntax::parse;
pub use tree::{Node, Value};
