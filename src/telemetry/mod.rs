//! What operators see: metrics (every name and label once) and log lines. Decides nothing.

mod keys;
pub mod line;
pub mod logging;
mod metrics;

pub use keys::{KeyReading, KeyState};
pub use line::Line;
pub use metrics::{Metrics, RequestSeries, TokenSeries};
