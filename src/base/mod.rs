//! Small facts that every other folder may use; imports nothing of ours.

pub mod certificate;
mod dial;
pub mod endpoint;
pub mod globs;
pub mod ids;
mod key_set;
mod label;
pub mod limit;
pub mod locks;
pub mod secret;

pub use dial::Dial;
pub use endpoint::{Endpoint, OriginPattern, Scheme};
pub use globs::Globs;
pub use key_set::KeySet;
pub use label::Label;
pub use secret::Secret;
