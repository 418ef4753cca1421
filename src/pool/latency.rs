//! How fast a key answers, for choosing the faster of two: a peak-sensitive moving average of the time to an answer's
//! head, times the requests that are waiting for one (Finagle's and Linkerd's "peak EWMA").
//!
//! A slower answer counts at once and in full, a faster one little by little, so that a key that gets into trouble is
//! left at once and comes back with care.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time in which what was seen loses most of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// What a waiting request counts on a key that has not answered yet, in seconds. The first request finds the key free of
/// cost, so that it is tried; others wait for what becomes of it.
const UNKNOWN: f64 = 1.0;

/// The speed of one key. Survives reloads; one word, so that readers never see half of a change.
#[derive(Debug)]
pub struct Latency {
    epoch: Instant,
    /// Bits of the average in seconds (an `f32`), and the milliseconds since the epoch when it was last told. 0: never.
    average: AtomicU64,
    waiting: AtomicU32,
}

/// A request that waits for a key's answer; counts for as long as it lives.
#[derive(Debug)]
pub struct Waiting(Arc<Latency>);

impl Default for Latency {
    fn default() -> Self {
        // A past epoch, so that no moment is 0, which means never.
        let epoch = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
        Self { epoch, average: AtomicU64::new(0), waiting: AtomicU32::new(0) }
    }
}

impl Latency {
    pub fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// An answer's head came after `took`.
    pub fn answered(&self, took: Duration, now: Instant) {
        let at = self.millis(now);
        let took = took.as_secs_f64();
        let tell = |old: u64| {
            let average = match unpack(old) {
                Some((average, told)) if took < average => {
                    let since = f64::from(at.saturating_sub(told)) / 1e3;
                    let kept = (-since / DECAY.as_secs_f64()).exp();
                    average * kept + took * (1.0 - kept)
                }
                _ => took,
            };
            Some(pack(average, at))
        };
        // The closure always has a new value.
        let _ = self.average.fetch_update(Ordering::Relaxed, Ordering::Relaxed, tell);
    }

    /// What one more request would wait for here, in seconds; lower is better.
    pub fn cost(&self) -> f64 {
        let waiting = f64::from(self.waiting.load(Ordering::Relaxed));
        match unpack(self.average.load(Ordering::Relaxed)) {
            Some((average, _)) => average * (waiting + 1.0),
            None => UNKNOWN * waiting,
        }
    }

    fn millis(&self, at: Instant) -> u32 {
        u32::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u32::MAX)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn pack(average: f64, told: u32) -> u64 {
    u64::from((average as f32).to_bits()) << 32 | u64::from(told)
}

fn unpack(packed: u64) -> Option<(f64, u32)> {
    (packed != 0).then(|| (f64::from(f32::from_bits((packed >> 32) as u32)), packed as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn is_near(cost: f64, wanted: f64) -> bool {
        (cost - wanted).abs() < 0.01 * wanted.max(0.01)
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_little_by_little() {
        let (latency, now) = (Latency::default(), Instant::now());
        latency.answered(secs(0.1), now);
        assert!(is_near(latency.cost(), 0.1));
        latency.answered(secs(2.0), now + secs(1.0));
        assert!(is_near(latency.cost(), 2.0), "{}", latency.cost());
        latency.answered(secs(0.1), now + secs(2.0));
        assert!(latency.cost() > 1.7, "{}", latency.cost());
        (3..60).for_each(|second| latency.answered(secs(0.1), now + secs(f64::from(second))));
        assert!(latency.cost() < 0.12, "{}", latency.cost());
    }

    #[test]
    fn waiting_requests_add_up_until_they_are_over() {
        let latency = Arc::new(Latency::default());
        assert!(is_near(latency.cost(), 0.0), "unknown: worth a try");
        let first = latency.wait();
        assert!(is_near(latency.cost(), UNKNOWN), "but not for a crowd");
        latency.answered(secs(0.5), Instant::now());
        let second = latency.wait();
        assert!(is_near(latency.cost(), 1.5), "{}", latency.cost());
        drop((first, second));
        assert!(is_near(latency.cost(), 0.5));
    }

    #[test]
    fn threads_lose_no_count() {
        let latency = Arc::new(Latency::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| drop(latency.wait())));
            }
        });
        assert_eq!(latency.waiting.load(Ordering::Relaxed), 0);
    }
}
