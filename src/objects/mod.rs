//! What one upstream resource made and keeps: responses, their items, files, uploads, batches, videos. Only that resource knows them, so
//! the ids that callers see say where they lead, to their owner alone.

mod origin;
mod register;
mod seal;

pub use origin::{MARK_LENGTH, Origin};
pub use register::Register;
pub use seal::{Seal, Trace, Unknown};
