//! What state keys are in, read when somebody asks: the path of a request pays nothing for it.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntGaugeVec, Opts};

use crate::base::Label;

/// Gates shown per key, those that stay closed the longest first. Callers can make names of deployments up.
const MOST_GATES: usize = 20;

/// Every state there is, so that each key has a series for each.
const STATES: [KeyState; 4] = [KeyState::Closed, KeyState::Open, KeyState::HalfOpen, KeyState::Unhealthy];

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It serves.
    Closed,
    /// Its breaker lets nothing through.
    Open,
    /// Its breaker lets one request through at a time.
    HalfOpen,
    /// Probes say that its endpoint is not well.
    Unhealthy,
}

/// One key at one moment.
#[derive(Debug)]
pub struct KeyReading {
    pub key: Label,
    pub state: KeyState,
    /// Deployments for which the key is throttled, and for how long.
    pub gates: Vec<(Box<str>, Duration)>,
}

pub(super) struct Keys {
    read: Box<dyn Fn() -> Vec<KeyReading> + Send + Sync>,
}

impl KeyState {
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl Keys {
    pub(super) fn new(read: impl Fn() -> Vec<KeyReading> + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read) }
    }
}

fn states() -> prometheus::Result<IntGaugeVec> {
    let help = "1 for the state that a key is in: closed serves, open and half_open are its circuit breaker, \
                unhealthy its endpoint.";
    IntGaugeVec::new(Opts::new("azgate_key_state", help), &["key", "state"])
}

fn gates() -> prometheus::Result<GaugeVec> {
    let help = "Seconds until a key that was throttled for a deployment is used for it again.";
    GaugeVec::new(Opts::new("azgate_key_gate_seconds", help), &["key", "deployment"])
}

impl Collector for Keys {
    fn desc(&self) -> Vec<&Desc> {
        // Only for the registry to tell collectors apart by, and there is one of this kind.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (Ok(states), Ok(gates)) = (states(), gates()) else { return Vec::new() };
        // A key's name occurs once; should two have the same all the same, a series that stands twice would spoil the scrape.
        let readings: BTreeMap<_, _> =
            (self.read)().into_iter().map(|reading| (reading.key.text().to_owned(), reading)).collect();
        for (key, mut reading) in readings {
            for state in STATES {
                states.with_label_values(&[key.as_str(), state.name()]).set(i64::from(state == reading.state));
            }
            reading.gates.sort_by_key(|(_, left)| std::cmp::Reverse(*left));
            for (deployment, left) in reading.gates.iter().take(MOST_GATES) {
                gates.with_label_values(&[key.as_str(), deployment]).set(left.as_secs_f64());
            }
        }
        [states.collect(), gates.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(key: &str, state: KeyState, gates: usize) -> KeyReading {
        let gate = |index: usize| (format!("d{index}").into(), Duration::from_millis(100 * (index as u64 + 1)));
        KeyReading { key: Label::new(key), state, gates: (0..gates).map(gate).collect() }
    }

    #[test]
    fn each_key_is_in_exactly_one_state_and_its_gates_are_bounded() {
        let metrics = crate::telemetry::Metrics::new();
        metrics.watch_keys(|| vec![reading("a", KeyState::HalfOpen, 50), reading("b", KeyState::Closed, 0)]);
        let text = String::from_utf8(metrics.encode([])).unwrap();
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        for (key, state) in [("a", "half_open"), ("b", "closed")] {
            let states = lines(&format!("azgate_key_state{{key=\"{key}\""));
            let on: Vec<_> = states.iter().filter(|line| line.ends_with(" 1")).collect();
            assert_eq!(states.len(), STATES.len());
            assert_eq!(on, [&format!("azgate_key_state{{key=\"{key}\",state=\"{state}\"}} 1").as_str()]);
        }
        let gates = lines("azgate_key_gate_seconds{");
        assert_eq!(gates.len(), MOST_GATES);
        assert!(gates.contains(&"azgate_key_gate_seconds{deployment=\"d49\",key=\"a\"} 5"), "{gates:?}");
    }
}
