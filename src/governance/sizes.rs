//! How many tokens each model usually answers with, learned from its answers: what a request that sets no limit of its
//! own is expected to use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use foldhash::HashMap;

/// Expected of a model that has not answered yet.
const UNKNOWN: u64 = 1_000;

/// Output sizes by a model's number. Numbers come from the configuration, so there are not many.
#[derive(Debug, Default)]
pub struct Sizes {
    by_model: ArcSwap<HashMap<u32, Arc<Size>>>,
}

/// Mean and mean deviation, both as `f32`, in one word; 0 before the first answer. They are kept like the round-trip
/// times of RFC 6298, section 2: each answer moves the mean by an eighth and the deviation by a quarter of the difference.
#[derive(Debug, Default)]
struct Size(AtomicU64);

impl Sizes {
    /// Output tokens that a request should reserve: most answers are smaller.
    pub fn expected(&self, model: u32) -> u64 {
        self.by_model.load().get(&model).and_then(|size| size.expected()).unwrap_or(UNKNOWN)
    }

    /// An answer had so many output tokens.
    pub fn learn(&self, model: u32, output: u64) {
        if let Some(size) = self.by_model.load().get(&model) {
            return size.learn(output);
        }
        let size = Arc::new(Size::default());
        self.by_model.rcu(|sizes| {
            let mut sizes = HashMap::clone(sizes);
            sizes.entry(model).or_insert_with(|| Arc::clone(&size));
            sizes
        });
        if let Some(size) = self.by_model.load().get(&model) {
            size.learn(output);
        }
    }
}

impl Size {
    fn expected(&self) -> Option<u64> {
        let (mean, deviation) = unpack(self.0.load(Ordering::Relaxed))?;
        Some((mean + 2.0 * deviation).ceil() as u64)
    }

    fn learn(&self, output: u64) {
        let seen = output as f32;
        let next = |word| {
            let (mean, deviation) = match unpack(word) {
                None => (seen, seen / 2.0),
                Some((mean, deviation)) => {
                    (mean + (seen - mean) / 8.0, deviation + ((seen - mean).abs() - deviation) / 4.0)
                }
            };
            // Adding 0.0 turns a negative zero into a positive one; a mean of 0 still differs from nothing by its bit.
            Some((u64::from(mean.to_bits()) << 32) | u64::from(deviation.to_bits()) | 1)
        };
        // Never fails: there always is a next value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

fn unpack(word: u64) -> Option<(f32, f32)> {
    (word != 0).then(|| (f32::from_bits((word >> 32) as u32), f32::from_bits(word as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_model_is_expected_to_say_something_and_each_learns_for_itself() {
        let sizes = Sizes::default();
        assert_eq!(sizes.expected(1), UNKNOWN);
        sizes.learn(1, 40);
        assert_eq!(sizes.expected(1), 80);
        assert_eq!(sizes.expected(2), UNKNOWN);
        for _ in 0..60 {
            sizes.learn(1, 40);
        }
        assert_eq!(sizes.expected(1), 40);
    }

    #[test]
    fn most_answers_are_smaller_than_expected() {
        let (sizes, mut dice) = (Sizes::default(), fastrand::Rng::with_seed(7));
        let (mut within, count) = (0, 5_000);
        for _ in 0..count {
            let most = dice.u64(1..4_000);
            let output = dice.u64(0..most);
            within += u64::from(output <= sizes.expected(1));
            sizes.learn(1, output);
        }
        assert!(within * 100 > count * 85, "{within} of {count}");
        sizes.learn(3, 0);
        assert_eq!(sizes.expected(3), 1, "no output at all is a size as well");
    }
}
