//! Which key a session used last, so that it finds its prompt cache again. A preference and no more: a session moves on
//! whenever its key is closed, or has had more than its share of the requests lately.
//!
//! The memory is a table of fixed size that is written without a lock. Two sessions that fall on one place forget each
//! other, which costs one of them a cache.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Sessions that are remembered per provider: 256 KiB once there is one.
const PLACES: usize = 1 << 15;

/// Requests are counted over windows of this length: a quota is per minute.
const WINDOW: Duration = Duration::from_secs(60);

/// How far above its fair share of a window a key may go for the sake of sessions.
const EXCESS: f64 = 1.25;

/// Requests of one key in a window below which shares do not matter: a lonely session stays where it is.
const FEW: u32 = 10;

/// A session, by a hash of what it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session(pub u64);

/// The sessions of one provider.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Each place: 48 bits of the session's hash, and the key's index plus one in the other 16.
    places: OnceLock<Box<[AtomicU64]>>,
}

/// How many requests each of a set of keys has had in the present window.
#[derive(Debug)]
pub struct Shares {
    epoch: Instant,
    /// Milliseconds since the epoch.
    began: AtomicU64,
    total: AtomicU32,
    counts: Box<[AtomicU32]>,
}

impl Sessions {
    /// The key that a session used last.
    pub fn key(&self, session: Session) -> Option<usize> {
        let word = self.places.get()?[place(session)].load(Ordering::Relaxed);
        (word & !0xffff == tag(session) && word & 0xffff > 0).then(|| (word & 0xffff) as usize - 1)
    }

    /// A session was answered by a key.
    pub fn remember(&self, session: Session, key: usize) {
        let Ok(key) = u16::try_from(key + 1) else { return };
        let places = self.places.get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        places[place(session)].store(tag(session) | u64::from(key), Ordering::Relaxed);
    }
}

impl Shares {
    /// Of a set of this many keys.
    pub fn new(keys: usize) -> Self {
        let counts = (0..keys).map(|_| AtomicU32::new(0)).collect();
        Self { epoch: Instant::now(), began: AtomicU64::new(0), total: AtomicU32::new(0), counts }
    }

    /// The key at this place of the set gets a request.
    pub fn count(&self, place: usize, now: Instant) {
        let (began, now) = (self.began.load(Ordering::Relaxed), self.millis(now));
        if is_over(began, now) && self.began.compare_exchange(began, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.counts.iter().chain([&self.total]).for_each(|count| count.store(0, Ordering::Relaxed));
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the key at this place may have one more for the sake of a session; `fair` is its part of the weights.
    pub fn has_room(&self, place: usize, fair: f64, now: Instant) -> bool {
        if is_over(self.began.load(Ordering::Relaxed), self.millis(now)) {
            return true;
        }
        let (mine, all) = (self.counts[place].load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        fair > 0.0 && mine < FEW || f64::from(mine + 1) <= EXCESS * fair * (f64::from(all) + 1.0)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

fn is_over(began: u64, now: u64) -> bool {
    u128::from(now.saturating_sub(began)) >= WINDOW.as_millis()
}

fn place(session: Session) -> usize {
    session.0 as usize % PLACES
}

fn tag(session: Session) -> u64 {
    session.0 & !0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_finds_the_key_that_it_used_last() {
        let sessions = Sessions::default();
        let session = Session(0xdead_beef_0123_4567);
        assert_eq!(sessions.key(session), None);
        sessions.remember(session, 0);
        assert_eq!(sessions.key(session), Some(0));
        sessions.remember(session, 999);
        assert_eq!(sessions.key(session), Some(999));
        assert_eq!(sessions.key(Session(1)), None);
        sessions.remember(session, usize::from(u16::MAX));
        assert_eq!(sessions.key(session), Some(999), "what has no room is not remembered wrongly");
    }

    #[test]
    fn a_session_never_takes_another_ones_key_for_its_own() {
        let sessions = Sessions::default();
        let (one, other) = (Session(5 << 40), Session(6 << 40));
        assert_eq!(place(one), place(other));
        sessions.remember(one, 1);
        assert_eq!(sessions.key(other), None);
        sessions.remember(other, 2);
        assert_eq!((sessions.key(one), sessions.key(other)), (None, Some(2)));
    }

    #[test]
    fn a_busy_key_keeps_within_a_quarter_of_its_share_and_a_lonely_session_stays() {
        let (shares, now) = (Shares::new(2), Instant::now());
        // Every request belongs to sessions of the first key, and the second takes what has no room there.
        for _ in 0..1_000 {
            let place = usize::from(!shares.has_room(0, 0.5, now));
            shares.count(place, now);
        }
        let counts: Vec<u32> = shares.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert!((600..=626).contains(&counts[0]), "{counts:?}");
        let later = now + WINDOW + Duration::from_secs(1);
        for _ in 0..FEW {
            assert!(shares.has_room(0, 0.5, later));
            shares.count(0, later);
        }
        assert!(!shares.has_room(0, 0.5, later), "ten in a row and none elsewhere");
    }
}
