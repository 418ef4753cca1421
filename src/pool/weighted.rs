//! Smooth weighted round-robin with exact proportions and no lock.
//!
//! The order that the algorithm yields repeats after as many turns as the weights add up to, so it is worked out once
//! per set of candidates; a request then takes the next ticket from an atomic counter. Any run of tickets as long as
//! the cycle holds every key exactly in proportion to its weight, whatever the number of threads that draw.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use super::affinity::Shares;
use crate::base::KeySet;

/// Longest cycle, in turns. Weights that would need a longer one are rounded to a share of 1/10,000.
const LONGEST_CYCLE: u64 = 10_000;

/// Candidate sets remembered per provider; past that a set is worked out on every use. Sets differ only by model and
/// by the callers' lists of keys, so real configurations have a handful.
const MOST_SETS: usize = 1_024;

/// The turns of one set of candidates.
#[derive(Debug)]
pub struct Rotation {
    cycle: Box<[u32]>,
    ticket: AtomicUsize,
    /// Each key of the set with its part of all weights, in the order of their indices.
    fair: Box<[(usize, f64)]>,
    shares: Shares,
}

/// The rotations of one provider's keys, one per set of candidates that was ever asked for.
///
/// Each set has a counter of its own: were they drawn from one counter, callers with different lists could fall into
/// step and skew each other's proportions.
#[derive(Debug)]
pub struct Rotations {
    weights: Box<[f64]>,
    by_set: ArcSwap<HashMap<KeySet, Arc<Rotation>>>,
}

impl Rotation {
    /// `weights` are (key, weight) in the order of the keys, with weights finite and not negative. A key of weight 0 gets
    /// no turn.
    pub fn new(weights: &[(usize, f64)]) -> Self {
        let keys: Vec<u32> = weights.iter().map(|(key, _)| *key as u32).collect();
        let shares = whole_shares(&weights.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
        let total: u64 = shares.iter().sum();
        let mut credit = vec![0i64; shares.len()];
        let mut turn = || {
            for (credit, share) in credit.iter_mut().zip(&shares) {
                *credit += *share as i64;
            }
            // The first of the best, so that equal weights go round in the configuration's order.
            let best = (0..credit.len()).rev().max_by_key(|index| credit[*index])?;
            credit[best] -= total as i64;
            Some(keys[best])
        };
        let cycle = (0..total).filter_map(|_| turn()).collect();
        let part = |((key, _), share): (&(usize, f64), &u64)| (*key, *share as f64 / total.max(1) as f64);
        let fair = weights.iter().zip(&shares).map(part).collect();
        Self { cycle, ticket: AtomicUsize::new(0), fair, shares: Shares::new(weights.len()) }
    }

    /// The key whose turn it is; `None` when no key has any weight.
    pub fn next(&self) -> Option<usize> {
        let length = self.cycle.len();
        let ticket = self.ticket.fetch_add(1, Ordering::Relaxed);
        (length > 0).then(|| self.cycle[ticket % length] as usize)
    }
}

impl Rotation {
    /// The next key in turn that is `open`. Tickets of closed keys are passed by, so the open ones share in proportion.
    pub fn next_open(&self, open: impl Fn(usize) -> bool) -> Option<usize> {
        (0..self.cycle.len()).find_map(|_| self.next().filter(|key| open(*key)))
    }

    /// A key drawn by chance in proportion to the weights; `chance` is from 0 up to, but not including, 1.
    pub(super) fn drawn(&self, chance: f64) -> Option<usize> {
        let at = (chance * self.cycle.len() as f64) as usize;
        self.cycle.get(at).map(|key| *key as usize)
    }

    /// A key of the set gets a request.
    pub fn count(&self, key: usize, now: Instant) {
        if let Some(place) = self.place(key) {
            self.shares.count(place, now);
        }
    }

    /// Whether a key may have one more request for the sake of a session.
    pub fn has_room(&self, key: usize, now: Instant) -> bool {
        self.place(key).is_some_and(|place| self.shares.has_room(place, self.fair[place].1, now))
    }

    fn place(&self, key: usize) -> Option<usize> {
        self.fair.binary_search_by_key(&key, |(key, _)| *key).ok()
    }
}

impl Rotations {
    /// `weights` by key index.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        Self { weights: weights.into_iter().collect(), by_set: ArcSwap::default() }
    }

    /// Whether these are the rotations of keys with just these weights, so that a reload may keep them.
    pub fn serves(&self, weights: &[f64]) -> bool {
        *self.weights == *weights
    }

    pub fn of(&self, keys: &KeySet) -> Arc<Rotation> {
        if let Some(rotation) = self.by_set.load().get(keys) {
            return Arc::clone(rotation);
        }
        let weighted: Vec<_> = keys.iter().map(|key| (key, self.weights.get(key).copied().unwrap_or(0.0))).collect();
        let fresh = Arc::new(Rotation::new(&weighted));
        let mut kept = Arc::clone(&fresh);
        self.by_set.rcu(|sets| {
            let mut sets = HashMap::clone(sets);
            if sets.len() < MOST_SETS || sets.contains_key(keys) {
                kept = Arc::clone(sets.entry(keys.clone()).or_insert_with(|| Arc::clone(&fresh)));
            }
            sets
        });
        kept
    }
}

/// Whole numbers in the proportion of `weights`, as small as they can be and adding up to at most [`LONGEST_CYCLE`].
fn whole_shares(weights: &[f64]) -> Vec<u64> {
    let is_whole = |value: f64| value == 0.0 || (value.round() >= 1.0 && (value - value.round()).abs() < 1e-9);
    let exact = (1..=1_000).map(f64::from).find(|factor| weights.iter().all(|weight| is_whole(weight * factor)));
    if let Some(factor) = exact {
        let shares: Vec<u64> = weights.iter().map(|weight| (weight * factor).round() as u64).collect();
        let divisor = shares.iter().copied().fold(0, gcd).max(1);
        let shares: Vec<u64> = shares.iter().map(|share| share / divisor).collect();
        if shares.iter().try_fold(0u64, |sum, share| sum.checked_add(*share)).is_some_and(|sum| sum <= LONGEST_CYCLE) {
            return shares;
        }
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return vec![0; weights.len()];
    }
    // Relative to the largest first: the plain sum of huge weights could overflow.
    let relative: Vec<f64> = weights.iter().map(|weight| weight / largest).collect();
    let total: f64 = relative.iter().sum();
    let share = |part: f64| (part / total * LONGEST_CYCLE as f64).round().max(1.0) as u64;
    let shares: Vec<u64> =
        weights.iter().zip(relative).map(|(weight, part)| if *weight > 0.0 { share(part) } else { 0 }).collect();
    let divisor = shares.iter().copied().fold(0, gcd).max(1);
    shares.iter().map(|share| share / divisor).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(weights: &[f64], count: usize) -> String {
        let weights: Vec<_> = weights.iter().copied().enumerate().collect();
        let rotation = Rotation::new(&weights);
        (0..count).filter_map(|_| rotation.next()).map(|key| (b'a' + key as u8) as char).collect()
    }

    #[test]
    fn heavier_keys_come_oftener_but_never_in_a_block() {
        assert_eq!(turns(&[5.0, 1.0, 1.0], 7), "aabacaa");
        assert_eq!(turns(&[4.0, 2.0, 1.0], 7), "abacaba");
        assert_eq!(turns(&[1.0, 1.0, 1.0], 6), "abcabc");
    }

    #[test]
    fn fractions_keep_their_proportion() {
        assert_eq!(whole_shares(&[0.5, 0.25, 0.25]), [2, 1, 1]);
        assert_eq!(whole_shares(&[0.7, 0.3]), [7, 3]);
        assert_eq!(whole_shares(&[200.0, 100.0]), [2, 1]);
    }

    #[test]
    fn a_key_without_weight_gets_no_turn() {
        assert_eq!(turns(&[1.0, 0.0], 3), "aaa");
        assert_eq!(turns(&[0.0, 0.0], 3), "");
        assert_eq!(turns(&[], 3), "");
    }

    #[test]
    fn weights_of_any_size_make_a_bounded_cycle() {
        for weights in [[1e308, 1e308], [1e-300, 1e-300], [1e-9, 1.0], [f64::MAX, f64::MIN_POSITIVE]] {
            let shares = whole_shares(&weights);
            assert!(shares.iter().sum::<u64>() <= LONGEST_CYCLE + 1, "{weights:?} {shares:?}");
            assert!(shares.iter().all(|share| *share > 0), "{weights:?} {shares:?}");
        }
    }

    #[test]
    fn threads_that_draw_together_share_out_exactly() {
        let rotation = Rotation::new(&[(0, 3.0), (1, 1.0)]);
        let draw = || (0..4_000).filter_map(|_| rotation.next()).filter(|key| *key == 0).count();
        let first: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(draw)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(first, 8 * 3_000);
    }

    #[test]
    fn a_set_keeps_its_place_while_others_draw() {
        let rotations = Rotations::new([1.0, 1.0]);
        let (both, one) = (KeySet::from_iter([0, 1]), KeySet::from_iter([0]));
        let drawn: Vec<_> = (0..4)
            .map(|_| {
                rotations.of(&one).next();
                rotations.of(&both).next().unwrap()
            })
            .collect();
        assert_eq!(drawn, [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn each_cycle_is_exactly_in_proportion(weights in prop::collection::vec(0u32..50, 1..12)) {
            let pairs: Vec<_> = weights.iter().map(|weight| f64::from(*weight)).enumerate().collect();
            let rotation = Rotation::new(&pairs);
            let divisor = weights.iter().map(|weight| u64::from(*weight)).fold(0, gcd).max(1);
            let mut counts = vec![0u64; weights.len()];
            for _ in 0..rotation.cycle.len() {
                counts[rotation.next().unwrap()] += 1;
            }
            prop_assert_eq!(counts, weights.iter().map(|weight| u64::from(*weight) / divisor).collect::<Vec<_>>());
        }
    }
}
