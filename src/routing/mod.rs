//! Whether and where a request is tried once more. Pure: knows nothing of HTTP, credentials, or how a key is chosen.

mod budget;
mod course;

pub use budget::RetryBudget;
pub use course::{Course, Leg, Next, Verdict};
