//! The limits of one deployment: requests in windows of ten seconds, tokens from a bucket, charged on admission.
//! Pure: the time is passed in. Wording the refusal is left to `errors`.

use std::time::{Duration, Instant};

/// Azure judges calls per minute in windows of this length.
const WINDOW: Duration = Duration::from_secs(10);

/// What Azure tells a request that can never fit.
const NEVER: Duration = Duration::from_secs(86_400);

/// Limits that are shown, not enforced, for a deployment without limits.
const NOMINAL_REQUESTS: u32 = 30_000;
const NOMINAL_TOKENS: u32 = 30_000_000;

/// The state of a deployment's limits.
#[derive(Clone, Debug)]
pub struct Quota {
    requests: Bucket,
    tokens: Bucket,
    window_start: Instant,
    in_window: u32,
}

/// What answers tell about the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub requests: Level,
    pub tokens: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub limit: u32,
    pub remaining: u32,
    /// Milliseconds until nothing is used.
    pub reset_ms: u64,
}

/// Which limit refused, and when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Calls(Duration),
    Tokens(Duration),
}

impl Quota {
    pub fn new(requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>, now: Instant) -> Self {
        Self {
            requests: Bucket::new(requests_per_minute, NOMINAL_REQUESTS, now),
            tokens: Bucket::new(tokens_per_minute, NOMINAL_TOKENS, now),
            window_start: now,
            in_window: 0,
        }
    }

    /// Admits a request that may cost `tokens`, or says when to try again. A refused request counts as a call.
    pub fn admit(&mut self, tokens: u64, now: Instant) -> Result<(), Exceeded> {
        if now.duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.in_window = 0;
        }
        self.in_window = self.in_window.saturating_add(1);
        self.requests.refill(now);
        self.tokens.refill(now);
        self.requests.take(1.0);
        if self.requests.enforced && self.in_window > self.requests.limit.div_ceil(6) {
            return Err(Exceeded::Calls(WINDOW - now.duration_since(self.window_start)));
        }
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let cost = tokens as f64;
        if self.tokens.enforced && cost > self.tokens.level {
            return Err(Exceeded::Tokens(self.tokens.wait_for(cost)));
        }
        self.tokens.take(cost);
        Ok(())
    }

    pub fn standing(&self) -> Standing {
        Standing { requests: self.requests.level(), tokens: self.tokens.level() }
    }
}

/// Holds one minute's worth, refilled evenly.
#[derive(Clone, Debug)]
struct Bucket {
    limit: u32,
    enforced: bool,
    level: f64,
    filled_at: Instant,
}

impl Bucket {
    fn new(limit: Option<u32>, nominal: u32, now: Instant) -> Self {
        let shown = limit.unwrap_or(nominal);
        Self { limit: shown, enforced: limit.is_some(), level: f64::from(shown), filled_at: now }
    }

    fn per_second(&self) -> f64 {
        f64::from(self.limit) / 60.0
    }

    fn refill(&mut self, now: Instant) {
        let gained = now.duration_since(self.filled_at).as_secs_f64() * self.per_second();
        self.level = (self.level + gained).min(f64::from(self.limit));
        self.filled_at = now;
    }

    fn take(&mut self, amount: f64) {
        self.level = (self.level - amount).max(0.0);
    }

    fn wait_for(&self, amount: f64) -> Duration {
        if amount > f64::from(self.limit) {
            return NEVER;
        }
        Duration::from_secs_f64((amount - self.level) / self.per_second())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the limit")]
    fn level(&self) -> Level {
        let used = f64::from(self.limit) - self.level;
        let reset_ms = if self.limit == 0 { 0 } else { (used / self.per_second() * 1000.0) as u64 };
        Level { limit: self.limit, remaining: self.level as u32, reset_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn calls_are_judged_in_windows_of_ten_seconds() {
        let start = Instant::now();
        let mut quota = Quota::new(Some(60), None, start);
        assert!((0..10).all(|_| quota.admit(1, start).is_ok()));
        assert_eq!(quota.admit(1, start + 4 * SECOND), Err(Exceeded::Calls(6 * SECOND)));
        assert_eq!(quota.admit(1, start + 10 * SECOND), Ok(()));
    }

    #[test]
    fn tokens_are_charged_on_admission_and_come_back() {
        let start = Instant::now();
        let mut quota = Quota::new(None, Some(600), start);
        assert_eq!(quota.admit(500, start), Ok(()));
        assert_eq!(quota.admit(200, start), Err(Exceeded::Tokens(10 * SECOND)));
        assert_eq!(quota.admit(200, start + 10 * SECOND), Ok(()));
        assert_eq!(quota.admit(601, start + 600 * SECOND), Err(Exceeded::Tokens(NEVER)));
    }

    #[test]
    fn standing_is_told_in_milliseconds_as_azure_does() {
        let start = Instant::now();
        let mut quota = Quota::new(Some(120), Some(120_000), start);
        quota.admit(14, start).expect("admitted");
        let standing = quota.standing();
        assert_eq!(standing.requests, Level { limit: 120, remaining: 119, reset_ms: 500 });
        assert_eq!(standing.tokens, Level { limit: 120_000, remaining: 119_986, reset_ms: 7 });
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let start = Instant::now();
        let mut quota = Quota::new(None, None, start);
        assert!((0..50_000).all(|_| quota.admit(100_000, start).is_ok()));
    }
}
