//! Services that keys lead to, and what is true only of those beside Azure: the OpenAI API, services that speak it, and the
//! Anthropic API.

mod credential;
mod target;

pub use credential::{Credential, KeyHeader};
pub use target::target;

/// What a provider speaks, and whose rules its addresses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Azure OpenAI, and Claude on Azure.
    Azure,
    /// The OpenAI API, at its maker or anywhere else.
    OpenAi,
    /// The Anthropic API.
    Anthropic,
}
