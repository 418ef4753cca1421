//! What operators see: metrics (every name and label once) and log lines. Decides nothing.

pub mod logging;
mod metrics;

pub use metrics::{Metrics, RequestSeries, TokenSeries};
