//! The chat completions dialect, legacy completions included.

mod chunk;
pub mod stream;

pub use stream::ChatStream;
