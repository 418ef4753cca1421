//! One token and its time. What counts is the time since it was asked for, on a clock that nobody sets; the clock on the
//! wall only raises doubts, since it alone goes on while a machine sleeps.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;

/// A token as it goes into `authorization`.
#[derive(Clone)]
pub struct Token {
    /// `Bearer …`, marked sensitive.
    pub value: HeaderValue,
    /// Counted from the moment before it was asked for.
    pub life: Duration,
    asked: Instant,
    asked_at: SystemTime,
    /// When the issuer wants to be asked again.
    pub refresh_in: Option<Duration>,
}

impl Token {
    /// `None` when the text cannot stand in a header, or the token lives no time at all.
    pub fn new(
        text: &str,
        life: Duration,
        refresh_in: Option<Duration>,
        (asked, asked_at): (Instant, SystemTime),
    ) -> Option<Self> {
        if text.is_empty() || life.is_zero() {
            return None;
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        value.set_sensitive(true);
        Some(Self { value, life, asked, asked_at, refresh_in })
    }

    /// How long it is still good; `None` once it has ended.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.life.checked_sub(now.saturating_duration_since(self.asked)).filter(|left| !left.is_zero())
    }

    /// The wall's clock says that it has ended: the machine slept, or somebody set the clock.
    pub fn is_doubtful(&self, now: SystemTime) -> bool {
        now.duration_since(self.asked_at).is_ok_and(|age| age >= self.life)
    }

    pub fn at(&self, age: Duration) -> Instant {
        self.asked + age
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("life", &self.life).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_ends_no_token_and_a_sleeping_machine_raises_doubts() {
        let (now, at) = (Instant::now(), SystemTime::now());
        let hour = Duration::from_secs(3_600);
        let token = Token::new("eyJ", hour, None, (now, at)).unwrap();
        assert_eq!(token.left(now + hour / 2), Some(hour / 2));
        assert_eq!(token.left(now + hour), None);
        for skew in [300, 3_000] {
            assert!(
                !token.is_doubtful(at - Duration::from_secs(skew))
                    && !token.is_doubtful(at + Duration::from_secs(skew))
            );
        }
        assert!(token.is_doubtful(at + hour), "but it is still used when no other can be had");
    }

    #[test]
    fn nothing_that_is_no_token_becomes_one() {
        let now = (Instant::now(), SystemTime::now());
        assert!(Token::new("", Duration::from_secs(1), None, now).is_none());
        assert!(Token::new("a\r\nb", Duration::from_secs(1), None, now).is_none());
        assert!(Token::new("a", Duration::ZERO, None, now).is_none());
        assert!(!format!("{:?}", Token::new("canary", Duration::from_secs(1), None, now)).contains("canary"));
    }
}
