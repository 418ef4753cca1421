//! How one of several open keys is chosen. By weight alone in exact proportion; or by chance in proportion to the weights,
//! corrected by what the keys have shown. A choice costs the same with two keys and with a thousand.

use super::weighted::Rotation;

/// Keys that are drawn until an open one is found. When so many are closed, the next open one in turn is taken.
const DRAWS: usize = 16;

/// How a key is chosen among those of one priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// In exact proportion to the weights.
    Weighted,
    /// The one of two, drawn by weight, where a request waits less.
    LeastLatency,
    /// By weight times what is left of the quota.
    Headroom,
}

impl Rotation {
    /// The cheaper of two open keys that are drawn by weight: "the power of two choices" keeps callers who know the same
    /// from all running to the same key.
    pub fn cheaper_of_two(
        &self,
        mut dice: impl FnMut() -> f64,
        open: impl Fn(usize) -> bool,
        cost: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let mut draw = |not: Option<usize>| {
            let fits = |key: &usize| Some(*key) != not && open(*key);
            (0..DRAWS).find_map(|_| self.drawn(dice()).filter(fits))
        };
        let Some(one) = draw(None) else { return self.next_open(open) };
        let other = draw(Some(one)).filter(|other| cost(*other) < cost(one));
        Some(other.unwrap_or(one))
    }

    /// An open key in proportion to its weight times its `share`, which is from 0 to 1.
    pub fn by_share(
        &self,
        mut dice: impl FnMut() -> f64,
        open: impl Fn(usize) -> bool,
        share: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        // Drawn by weight and kept with the share as chance; of those not kept, the best has to do in the end.
        let mut best: Option<(usize, f64)> = None;
        for _ in 0..DRAWS {
            let Some(key) = self.drawn(dice()).filter(|key| open(*key)) else { continue };
            let share = share(key);
            if dice() < share {
                return Some(key);
            }
            if best.is_none_or(|(_, most)| share > most) {
                best = Some((key, share));
            }
        }
        best.map(|(key, _)| key).or_else(|| self.next_open(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(
        rounds: usize,
        keys: usize,
        mut choose: impl FnMut(&mut dyn FnMut() -> f64) -> Option<usize>,
    ) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; keys];
        for _ in 0..rounds {
            counts[choose(&mut || random.f64()).expect("a key")] += 1;
        }
        counts
    }

    #[test]
    fn the_slowest_of_three_is_never_the_cheaper_of_two() {
        let rotation = Rotation::new(&[(0, 1.0), (1, 1.0), (2, 1.0)]);
        let cost = |key: usize| [0.1, 0.2, 0.9][key];
        let counts = counts(3_000, 3, |dice| rotation.cheaper_of_two(dice, |_| true, cost));
        assert_eq!(counts[2], 0);
        assert!(counts[0] > 1_800 && counts[1] > 800, "{counts:?}");
    }

    #[test]
    fn closed_keys_are_never_taken_and_a_lone_open_one_is_always_found() {
        let weights: Vec<_> = (0..1_000).map(|key| (key, 1.0)).collect();
        let rotation = Rotation::new(&weights);
        let only = |key: usize| key == 617;
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            assert_eq!(rotation.cheaper_of_two(|| random.f64(), only, |_| 1.0), Some(617));
            assert_eq!(rotation.by_share(|| random.f64(), only, |_| 0.02), Some(617));
        }
        assert_eq!(rotation.cheaper_of_two(|| 0.5, |_| false, |_| 1.0), None);
        assert_eq!(rotation.by_share(|| 0.5, |_| false, |_| 1.0), None);
    }

    #[test]
    fn requests_are_shared_out_by_weight_times_headroom() {
        let rotation = Rotation::new(&[(0, 1.0), (1, 3.0)]);
        let even = counts(8_000, 2, |dice| rotation.by_share(dice, |_| true, |_| 1.0));
        assert!((1_800..2_200).contains(&even[0]), "{even:?}");
        let share = |key: usize| [0.9, 0.1][key];
        let skewed = counts(8_000, 2, |dice| rotation.by_share(dice, |_| true, share));
        assert!((5_800..6_200).contains(&skewed[0]), "0.9 to 0.3: {skewed:?}");
    }
}
