//! The key to use now. Knows weights and, later, how keys behaved; knows nothing of callers, models' names or wire formats.

mod breaker;
mod gate;
mod weighted;

pub use breaker::{Breaker, BreakerRules, Change};
pub use gate::Gates;
pub use weighted::{Rotation, Rotations};
