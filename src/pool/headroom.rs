//! How much of its quota a key has left for a deployment, as its last answer told it: a share from 0 (nothing) to 1.
//!
//! Quotas of Azure renew within a minute (`x-ratelimit-renewalperiod-*`), so what was told grows back to 1 in that time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::by_deployment::ByDeployment;

const RENEWAL: Duration = Duration::from_secs(60);

/// A key that told that nothing is left is still asked now and then: what it told may be stale, and a gate closes when it
/// is not.
const LEAST: f64 = 0.02;

/// The headroom of one key, by deployment. Survives reloads.
#[derive(Debug)]
pub struct Headroom {
    epoch: Instant,
    /// Bits of the share (an `f32`), and the milliseconds since the epoch when it was told. 0: never.
    by_deployment: ByDeployment<AtomicU64>,
}

impl Default for Headroom {
    fn default() -> Self {
        // A past epoch, so that no moment is 0, which means never.
        let epoch = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
        Self { epoch, by_deployment: ByDeployment::default() }
    }
}

impl Headroom {
    /// An answer told the share that is left.
    pub fn told(&self, deployment: &str, share: f64, now: Instant) {
        if let Some(entry) = self.by_deployment.entry(deployment) {
            let share = share.clamp(0.0, 1.0) as f32;
            entry.store(u64::from(share.to_bits()) << 32 | u64::from(self.millis(now)), Ordering::Relaxed);
        }
    }

    /// The share that is left by now, from a little above 0 to 1.
    pub fn share(&self, deployment: &str, now: Instant) -> f64 {
        let told = self.by_deployment.get(deployment).map_or(0, |entry| entry.load(Ordering::Relaxed));
        if told == 0 {
            return 1.0;
        }
        let share = f64::from(f32::from_bits((told >> 32) as u32));
        let since = Duration::from_millis(u64::from(self.millis(now).saturating_sub(told as u32)));
        let renewed = (since.as_secs_f64() / RENEWAL.as_secs_f64()).min(1.0);
        (share + (1.0 - share) * renewed).max(LEAST)
    }

    fn millis(&self, at: Instant) -> u32 {
        u32::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_grows_back_within_a_minute() {
        let (headroom, now) = (Headroom::default(), Instant::now());
        let share = |seconds: u64| (headroom.share("d", now + Duration::from_secs(seconds)) * 100.0).round();
        assert_eq!(share(0), 100.0, "nothing was told");
        headroom.told("d", 0.2, now);
        assert_eq!([share(0), share(30), share(60), share(600)], [20.0, 60.0, 100.0, 100.0]);
        assert_eq!(headroom.share("other", now), 1.0, "per deployment");
        headroom.told("d", -3.0, now);
        assert_eq!(share(0), 2.0, "asked now and then all the same");
    }
}
