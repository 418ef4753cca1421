//! What one upstream resource made and keeps: responses, their items, files, batches. Only that resource knows them, so
//! the ids that callers see say where they lead, to their owner alone.

mod origin;
mod seal;

pub use origin::{MARK_LENGTH, Origin};
pub use seal::{Seal, Unknown};
