//! What the operators' metrics tell of the keys of the configuration in force.

use std::sync::Arc;
use std::time::Instant;

use crate::pool::State;
use crate::snapshot::{Key, Snapshot};
use crate::telemetry::{KeyReading, KeyState};

/// The keys of all providers at one moment.
pub fn of(snapshot: &Snapshot, now: Instant) -> Vec<KeyReading> {
    let keys = snapshot.providers.iter().flat_map(|provider| &provider.keys);
    let reading = |key: &Arc<Key>| {
        let state = match key.memory.breaker.state(now) {
            _ if !key.health.is_well() => KeyState::Unhealthy,
            State::Closed => KeyState::Closed,
            State::Open => KeyState::Open,
            State::HalfOpen => KeyState::HalfOpen,
        };
        KeyReading { key: key.label.clone(), state, gates: key.memory.gates.closed(now) }
    };
    keys.map(reading).collect()
}
