//! The dialect of Anthropic's Messages.

mod event;
mod tally;

pub use event::MessagesEvents;
pub use tally::Tally;

/// A stream of Messages to a caller of Messages.
pub type MessagesStream = super::echo::EchoStream<MessagesEvents>;

#[cfg(test)]
mod tests;
