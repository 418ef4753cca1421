//! The key to use now. Knows weights and, later, how keys behaved; knows nothing of callers, models' names or wire formats.

mod weighted;

pub use weighted::{Rotation, Rotations};
