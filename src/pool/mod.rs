//! The key to use now, and memory of how keys behaved. Knows nothing of callers, models' names or wire formats; clock and
//! dice are arguments.

mod affinity;
mod balance;
mod breaker;
mod by_deployment;
mod gate;
mod headroom;
mod health;
mod latency;
mod weighted;

use std::sync::Arc;

pub use affinity::{Session, Sessions};
pub use balance::Balance;
pub use breaker::{Breaker, BreakerRules, Change, State};
pub use gate::Gates;
pub use headroom::Headroom;
pub use health::{Health, HealthRules, Probe, ProbeKind, Turn, Unwell};
pub use latency::{Latency, Waiting};
pub use weighted::{Rotation, Rotations};

/// How one key has behaved. Belongs to the key, not to a configuration: it survives reloads.
#[derive(Debug, Default)]
pub struct Memory {
    /// Where the key was throttled, and until when.
    pub gates: Gates,
    /// Whether the key is sick.
    pub breaker: Breaker,
    /// How fast it answers.
    pub latency: Arc<Latency>,
    /// How much of its quota is left.
    pub headroom: Headroom,
}
