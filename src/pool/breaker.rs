//! The circuit breaker of one key: closed while it works, open while it is sick, half-open when one request at a time
//! may show that it works again. Throttling is no sickness and never comes here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// Failures in a row; 0: this rule is off.
    pub consecutive_failures: u32,
    /// Share of failures in the window.
    pub failure_ratio: f64,
    /// Requests in the window before the ratio counts.
    pub min_requests: u32,
    pub window: Duration,
    pub open: Duration,
}

/// Atomics only; what happens between two of them can shift a count by one, never let a crowd through.
#[derive(Debug)]
pub struct Breaker {
    epoch: Instant,
    in_a_row: AtomicU32,
    window_began: AtomicU64,
    requests: AtomicU32,
    failures: AtomicU32,
    /// Milliseconds since the epoch until which it is open; 0 while it is closed.
    open_until: AtomicU64,
    /// When the probe of a half-open breaker began; 0 when there is none.
    probe_began: AtomicU64,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One request at a time.
    HalfOpen,
}

/// A change of state, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Opened,
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            // A past epoch, so that no moment is 0, which means none.
            epoch: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            in_a_row: AtomicU32::new(0),
            window_began: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            probe_began: AtomicU64::new(0),
        }
    }
}

impl Breaker {
    /// Whether a request could be let through.
    pub fn admits(&self, rules: &BreakerRules, now: Instant) -> bool {
        let (open_until, now) = (self.open_until.load(Ordering::Acquire), self.millis(now));
        open_until == 0 || (now >= open_until && self.probe_is_free(rules, now))
    }

    pub fn state(&self, now: Instant) -> State {
        match self.open_until.load(Ordering::Acquire) {
            0 => State::Closed,
            until if self.millis(now) < until => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Lets a request through, or not: of a half-open breaker's candidates one becomes the probe. A probe that never
    /// reports back is forgotten after the breaker's open time.
    pub fn enter(&self, rules: &BreakerRules, now: Instant) -> bool {
        let (open_until, now) = (self.open_until.load(Ordering::Acquire), self.millis(now));
        if open_until == 0 {
            return true;
        }
        let began = self.probe_began.load(Ordering::Acquire);
        now >= open_until
            && self.probe_is_free(rules, now)
            && self.probe_began.compare_exchange(began, now, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A request came through.
    pub fn worked(&self, rules: &BreakerRules, now: Instant) -> Option<Change> {
        self.in_a_row.store(0, Ordering::Release);
        self.count(rules, now, 0);
        let was_open = self.open_until.swap(0, Ordering::AcqRel) != 0;
        self.probe_began.store(0, Ordering::Release);
        was_open.then(|| {
            self.requests.store(0, Ordering::Release);
            self.failures.store(0, Ordering::Release);
            Change::Closed
        })
    }

    /// A request failed.
    pub fn failed(&self, rules: &BreakerRules, now: Instant) -> Option<Change> {
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::AcqRel) + 1;
        let (requests, failures) = self.count(rules, now, 1);
        let many = rules.consecutive_failures > 0 && in_a_row >= rules.consecutive_failures;
        let ratio = requests >= rules.min_requests && f64::from(failures) >= rules.failure_ratio * f64::from(requests);
        let was_open = self.open_until.load(Ordering::Acquire) != 0;
        if !(many || ratio || was_open) {
            return None;
        }
        self.open_until.store(self.millis(now + rules.open), Ordering::Release);
        self.probe_began.store(0, Ordering::Release);
        (!was_open).then_some(Change::Opened)
    }

    fn probe_is_free(&self, rules: &BreakerRules, now: u64) -> bool {
        let began = self.probe_began.load(Ordering::Acquire);
        let forgotten = u64::try_from(rules.open.as_millis()).unwrap_or(u64::MAX);
        began == 0 || now.saturating_sub(began) >= forgotten
    }

    /// Counts into the window, which begins anew when it is over; returns requests and failures in it.
    fn count(&self, rules: &BreakerRules, now: Instant, failures: u32) -> (u32, u32) {
        let (now, began) = (self.millis(now), self.window_began.load(Ordering::Acquire));
        let over = Duration::from_millis(now.saturating_sub(began)) >= rules.window;
        if over && self.window_began.compare_exchange(began, now, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.requests.store(0, Ordering::Release);
            self.failures.store(0, Ordering::Release);
        }
        let requests = self.requests.fetch_add(1, Ordering::AcqRel) + 1;
        (requests, self.failures.fetch_add(failures, Ordering::AcqRel) + failures)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules {
        consecutive_failures: 3,
        failure_ratio: 0.5,
        min_requests: 10,
        window: Duration::from_secs(10),
        open: Duration::from_secs(5),
    };

    fn fail(breaker: &Breaker, rules: &BreakerRules, times: usize, at: Instant) {
        for _ in 0..times {
            breaker.failed(rules, at);
        }
    }

    fn after(begun: Instant, seconds: f64) -> Instant {
        begun + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_single_probe_closes_it() {
        let (breaker, begun) = (Breaker::default(), Instant::now());
        assert_eq!([breaker.failed(&RULES, begun), breaker.failed(&RULES, begun)], [None, None]);
        assert_eq!(breaker.worked(&RULES, begun), None, "a success ends the row");
        let changes: Vec<_> = (0..3).map(|_| breaker.failed(&RULES, begun)).collect();
        assert_eq!(changes, [None, None, Some(Change::Opened)]);
        assert!(!breaker.admits(&RULES, after(begun, 4.9)) && !breaker.enter(&RULES, after(begun, 4.9)));
        assert_eq!([4.9, 5.1].map(|at| breaker.state(after(begun, at))), [State::Open, State::HalfOpen]);
        let half_open = after(begun, 5.1);
        let let_through = (0..100).filter(|_| breaker.enter(&RULES, half_open)).count();
        assert_eq!(let_through, 1, "one probe");
        assert!(!breaker.admits(&RULES, half_open));
        assert_eq!(breaker.worked(&RULES, half_open), Some(Change::Closed));
        assert_eq!(breaker.state(half_open), State::Closed);
        assert!(breaker.enter(&RULES, half_open) && breaker.enter(&RULES, half_open));
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_is_lost_is_replaced() {
        let (breaker, begun) = (Breaker::default(), Instant::now());
        fail(&breaker, &RULES, 3, begun);
        assert!(breaker.enter(&RULES, after(begun, 5.1)));
        assert_eq!(breaker.failed(&RULES, after(begun, 5.2)), None, "it was open already");
        assert!(!breaker.admits(&RULES, after(begun, 10.0)));
        assert!(breaker.enter(&RULES, after(begun, 10.3)));
        assert!(!breaker.enter(&RULES, after(begun, 15.2)), "the probe may still report back");
        assert!(breaker.enter(&RULES, after(begun, 15.4)), "it will not");
    }

    #[test]
    fn a_share_of_failures_opens_it_once_there_are_enough_requests() {
        let rules = BreakerRules { consecutive_failures: 0, ..RULES };
        let (breaker, begun) = (Breaker::default(), Instant::now());
        let mut opened = None;
        for request in 1..=20 {
            let change = if request % 2 == 0 { breaker.failed(&rules, begun) } else { breaker.worked(&rules, begun) };
            if change == Some(Change::Opened) {
                opened = Some(request);
                break;
            }
        }
        assert_eq!(opened, Some(10));
    }

    #[test]
    fn an_old_window_is_forgotten() {
        let rules = BreakerRules { consecutive_failures: 0, ..RULES };
        let (breaker, begun) = (Breaker::default(), Instant::now());
        fail(&breaker, &rules, 9, begun);
        assert_eq!(breaker.failed(&rules, after(begun, 11.0)), None);
        assert!(breaker.admits(&rules, after(begun, 11.0)));
    }
}
