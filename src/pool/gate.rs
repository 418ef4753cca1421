//! Gates: a key that was throttled for a deployment takes no requests for it until the time that Azure named. This is
//! no sickness: a gate opens by itself and at once when its time is over.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::by_deployment::ByDeployment;

/// Waits without a hint begin here and double while throttling repeats.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The gates of one key, by deployment. Survives reloads.
#[derive(Debug)]
pub struct Gates {
    epoch: Instant,
    /// Until then, in milliseconds since `epoch`, some gate may be closed; a look at this alone is enough nearly always.
    latest: AtomicU64,
    by_deployment: ByDeployment<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// Milliseconds since the epoch.
    until: AtomicU64,
    /// Throttled answers in a row.
    strikes: AtomicU32,
}

impl Default for Gates {
    fn default() -> Self {
        Self { epoch: Instant::now(), latest: AtomicU64::new(0), by_deployment: ByDeployment::default() }
    }
}

impl Gates {
    /// Whether every gate is open, which it takes no deployment to know.
    pub fn are_open(&self, now: Instant) -> bool {
        self.latest.load(Ordering::Acquire) <= self.millis(now)
    }

    /// How long until the gate opens; `None` when it is open.
    pub fn wait(&self, deployment: &str, now: Instant) -> Option<Duration> {
        if self.are_open(now) {
            return None;
        }
        let now = self.millis(now);
        let until = self.by_deployment.get(deployment)?.until.load(Ordering::Acquire);
        until.checked_sub(now).filter(|wait| *wait > 0).map(Duration::from_millis)
    }

    /// The deployments whose gates are closed, and how long until each opens. For operators; looks at every gate.
    pub fn closed(&self, now: Instant) -> Vec<(Box<str>, Duration)> {
        if self.are_open(now) {
            return Vec::new();
        }
        let now = self.millis(now);
        let left = |gate: &Gate| gate.until.load(Ordering::Acquire).saturating_sub(now);
        let gates = self.by_deployment.all().into_iter().map(|(name, gate)| (name, left(&gate)));
        gates.filter(|(_, left)| *left > 0).map(|(name, left)| (name, Duration::from_millis(left))).collect()
    }

    /// The key was throttled; `hint` is the wait that the answer named.
    pub fn close(&self, deployment: &str, now: Instant, hint: Option<Duration>) {
        let Some(gate) = self.by_deployment.entry(deployment) else { return };
        let strikes = gate.strikes.fetch_add(1, Ordering::AcqRel);
        let own = || FIRST_WAIT.saturating_mul(1u32.checked_shl(strikes).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
        let until = self.millis(now + hint.unwrap_or_else(own));
        gate.until.fetch_max(until, Ordering::AcqRel);
        self.latest.fetch_max(until, Ordering::AcqRel);
    }

    /// The key has answered without throttling.
    pub fn passed(&self, deployment: &str) {
        if self.latest.load(Ordering::Relaxed) > 0
            && let Some(gate) = self.by_deployment.get(deployment)
        {
            gate.strikes.store(0, Ordering::Release);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_gate_opens_by_itself_at_the_time_that_was_named() {
        let (gates, now) = (Gates::default(), Instant::now());
        gates.close("d", now, Some(250 * MS));
        assert!(gates.wait("d", now).is_some());
        assert!(gates.wait("d", now + 248 * MS).is_some());
        assert_eq!(gates.wait("d", now + 251 * MS), None);
        assert_eq!(gates.wait("other", now), None, "per deployment");
        gates.close("e", now, Some(100 * MS));
        let closed = |at: u32| gates.closed(now + at * MS).into_iter().map(|(name, _)| name.into_string());
        assert_eq!(closed(150).collect::<Vec<_>>(), ["d"]);
        assert_eq!(closed(50).count() + closed(300).count(), 2);
    }

    #[test]
    fn waits_without_a_hint_double_until_an_answer_comes_through() {
        let (gates, now) = (Gates::default(), Instant::now());
        let mut at = now;
        let mut waits = Vec::new();
        for _ in 0..7 {
            gates.close("d", at, None);
            let wait = gates.wait("d", at).unwrap();
            waits.push(wait.as_secs_f64().round() as u64);
            at += wait + MS;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        gates.passed("d");
        gates.close("d", at, None);
        assert_eq!(gates.wait("d", at).unwrap().as_secs_f64().round() as u64, 1);
    }

    #[test]
    fn a_shorter_hint_does_not_open_a_gate_early() {
        let (gates, now) = (Gates::default(), Instant::now());
        gates.close("d", now, Some(5_000 * MS));
        gates.close("d", now, Some(10 * MS));
        assert!(gates.wait("d", now + 4_000 * MS).is_some());
    }
}
