//! Small facts that every other folder may use; imports nothing of ours.

pub mod endpoint;
pub mod globs;
pub mod ids;
pub mod secret;

pub use endpoint::{Endpoint, OriginPattern, Scheme};
pub use globs::Globs;
pub use secret::Secret;
