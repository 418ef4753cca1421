//! What was made in the background is counted once, by whoever first sees it complete, however often it is read again.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use crate::base::locks::lock;

/// Ids remembered. An older one that is read again is counted again: callers poll until something is complete, and have
/// seldom reason to come back.
const MOST: usize = 65_536;

/// Ids that were counted since the process began. Not saved: a restart is no reason to poll again.
#[derive(Debug, Default)]
pub struct Billed {
    hasher: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known: HashSet<u64>,
    in_order: VecDeque<u64>,
}

impl Billed {
    /// Whether nobody has counted the object of this id. Whoever is told so has counted it.
    pub fn is_first(&self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        let mut seen = lock(&self.seen);
        if !seen.known.insert(hash) {
            return false;
        }
        seen.in_order.push_back(hash);
        if seen.in_order.len() > MOST
            && let Some(oldest) = seen.in_order.pop_front()
        {
            seen.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_who_see_it_at_once_one_counts() {
        let billed = Billed::default();
        let counted = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| billed.is_first("resp_1"))).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|first| *first).count()
        });
        assert_eq!(counted, 1);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let billed = Billed::default();
        assert!((0..MOST + 10).all(|number| billed.is_first(&number.to_string())));
        assert!(!billed.is_first(&(MOST + 9).to_string()));
        assert_eq!(billed.seen.lock().unwrap().known.len(), MOST);
        assert!(billed.is_first("0"), "the oldest was forgotten");
    }
}
