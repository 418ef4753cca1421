//! What is known of a name, and what that is worth as time passes: when it is to be asked again, and for whom the last
//! good answer must do meanwhile (RFC 8767). Time is an argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::resolver::{Found, Missing};

/// An answer is used for the time that its name server gives it, but no shorter and no longer than this.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(300);

/// How long past its time an answer serves without anybody waiting for a better one.
const GRACE: Duration = Duration::from_secs(30);

/// How long past its time an answer serves while there is no better one.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// How soon a name is asked for again after its name servers have failed.
const RETRY: Duration = Duration::from_secs(2);

/// That a name does not exist is believed for as long as its name server says, but no longer than this.
const LONGEST_DENIAL: Duration = Duration::from_secs(10);

/// What is known of one name.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    answer: Option<Answer>,
    /// Of the last look-up.
    failure: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Answer {
    ips: Arc<[IpAddr]>,
    /// Asked for again from then on.
    due: Instant,
    until: Instant,
}

#[derive(Debug, Clone)]
struct Failure {
    cause: Arc<str>,
    again: Instant,
}

/// What that is worth now.
#[derive(Debug, PartialEq)]
pub(super) enum Standing {
    Good(Arc<[IpAddr]>),
    /// To be used, and asked for again in the background.
    Due(Arc<[IpAddr]>),
    /// Worth a short wait for a better one.
    Stale(Arc<[IpAddr]>),
    Failed(Arc<str>),
    Unknown,
}

/// What a look-up has changed, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// No longer to be had.
    Lost,
    Regained,
}

impl Known {
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let failed = self.failure.as_ref().filter(|failure| now < failure.again);
        match (&self.answer, failed) {
            (Some(answer), _) if now < answer.due => Standing::Good(Arc::clone(&answer.ips)),
            (Some(answer), failed) if now < answer.until + STALE => match failed {
                Some(_) => Standing::Good(Arc::clone(&answer.ips)),
                // Whoever has just failed will not do better while somebody waits.
                None if now < answer.until + GRACE || self.failure.is_some() => Standing::Due(Arc::clone(&answer.ips)),
                None => Standing::Stale(Arc::clone(&answer.ips)),
            },
            (_, Some(failure)) => Standing::Failed(Arc::clone(&failure.cause)),
            (_, None) => Standing::Unknown,
        }
    }

    /// The same once it has been asked for again.
    pub(super) fn after(&self, asked: Result<Found, Missing>, now: Instant) -> (Self, Option<Change>) {
        let was_lost = self.failure.is_some();
        match asked {
            Ok(found) => {
                let ttl = found.ttl.clamp(SHORTEST_TTL, LONGEST_TTL);
                let answer = Answer { ips: found.ips.into(), due: now + ttl.mul_f64(0.8), until: now + ttl };
                (Self { answer: Some(answer), failure: None }, was_lost.then_some(Change::Regained))
            }
            Err(missing) => {
                let again = missing.ttl.map_or(RETRY, |ttl| ttl.clamp(SHORTEST_TTL, LONGEST_DENIAL));
                let failure = Failure { cause: missing.cause.into(), again: now + again };
                (Self { answer: self.answer.clone(), failure: Some(failure) }, (!was_lost).then_some(Change::Lost))
            }
        }
    }

    /// The same, to be asked for again.
    pub(super) fn due(&self, now: Instant) -> Self {
        let answer = self.answer.clone().map(|answer| Answer { due: answer.due.min(now), ..answer });
        Self { answer, failure: self.failure.clone().map(|failure| Failure { again: now, ..failure }) }
    }

    pub(super) fn ips(&self) -> Option<Arc<[IpAddr]>> {
        self.answer.as_ref().map(|answer| Arc::clone(&answer.ips))
    }

    /// Why the last look-up failed.
    pub(super) fn cause(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| &*failure.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(ip: &str, ttl: u64) -> Result<Found, Missing> {
        Ok(Found { ips: vec![ip.parse().unwrap()], ttl: Duration::from_secs(ttl) })
    }

    fn missing(ttl: Option<u64>) -> Result<Found, Missing> {
        Err(Missing { cause: "gone".to_owned(), ttl: ttl.map(Duration::from_secs) })
    }

    /// The name of a standing.
    fn named(standing: &Standing) -> &'static str {
        match standing {
            Standing::Good(_) => "good",
            Standing::Due(_) => "due",
            Standing::Stale(_) => "stale",
            Standing::Failed(_) => "failed",
            Standing::Unknown => "unknown",
        }
    }

    fn at(known: &Known, now: Instant, seconds: f64) -> &'static str {
        named(&known.standing(now + Duration::from_secs_f64(seconds)))
    }

    #[test]
    fn an_answer_is_good_for_its_time_then_due_then_stale_then_forgotten() {
        let now = Instant::now();
        let (known, change) = Known::default().after(found("192.0.2.1", 60), now);
        assert_eq!(change, None, "nothing was lost");
        for (seconds, standing) in
            [(0.0, "good"), (47.9, "good"), (48.1, "due"), (89.0, "due"), (91.0, "stale"), (86_459.0, "stale")]
        {
            assert_eq!(at(&known, now, seconds), standing, "{seconds}");
        }
        assert_eq!(at(&known, now, 86_461.0), "unknown");
    }

    #[test]
    fn times_to_live_are_clamped() {
        let now = Instant::now();
        let (short, _) = Known::default().after(found("192.0.2.1", 0), now);
        assert_eq!((at(&short, now, 0.7), at(&short, now, 0.9)), ("good", "due"));
        let (long, _) = Known::default().after(found("192.0.2.1", 86_400), now);
        assert_eq!((at(&long, now, 239.0), at(&long, now, 241.0)), ("good", "due"));
    }

    #[test]
    fn the_last_good_answer_serves_without_a_wait_while_the_name_servers_fail() {
        let now = Instant::now();
        let (known, _) = Known::default().after(found("192.0.2.1", 60), now);
        let (known, change) = known.after(missing(None), now + 100 * SECOND);
        assert_eq!(change, Some(Change::Lost));
        assert_eq!((at(&known, now, 101.0), at(&known, now, 103.0)), ("good", "due"), "asked again after two seconds");
        let (known, change) = known.after(missing(Some(600)), now + 103 * SECOND);
        assert_eq!(change, None, "told once");
        assert_eq!((at(&known, now, 112.0), at(&known, now, 114.0)), ("good", "due"));
        assert_eq!(at(&known, now, 86_461.0), "unknown", "a day is the end of it");
        let (known, change) = known.after(found("192.0.2.2", 60), now + 200 * SECOND);
        assert_eq!(change, Some(Change::Regained));
        assert_eq!(known.ips().unwrap()[0].to_string(), "192.0.2.2");
    }

    #[test]
    fn a_name_that_was_never_found_fails_at_once_for_a_short_while() {
        let now = Instant::now();
        let (known, change) = Known::default().after(missing(Some(600)), now);
        assert_eq!(change, Some(Change::Lost));
        assert_eq!((at(&known, now, 9.9), at(&known, now, 10.1)), ("failed", "unknown"));
        let (known, _) = known.after(missing(None), now);
        assert_eq!((at(&known, now, 1.9), at(&known, now, 2.1)), ("failed", "unknown"));
    }

    #[test]
    fn what_is_known_can_be_declared_due() {
        let now = Instant::now();
        let (known, _) = Known::default().after(found("192.0.2.1", 60), now);
        assert_eq!(at(&known.due(now), now, 0.1), "due");
        let (known, _) = Known::default().after(missing(None), now);
        assert_eq!(at(&known.due(now), now, 0.1), "unknown");
    }
}
