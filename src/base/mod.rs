//! Small facts that every other folder may use; imports nothing of ours.

pub mod ids;
pub mod secret;

pub use secret::Secret;
