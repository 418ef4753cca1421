//! A set of provider keys by index: one bit each, so that "serves the model and may be used by this caller" is one
//! `and` per 64 keys.

/// Indices of keys within one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet {
    words: Vec<u64>,
}

impl KeySet {
    pub fn insert(&mut self, index: usize) {
        let word = index / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (index % 64);
    }

    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// What is in both. Trailing empty words are cut, so that equal sets are equal values.
    pub fn and(&self, other: &Self) -> Self {
        Self::trimmed(self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect())
    }

    pub fn or(&self, other: &Self) -> Self {
        let (long, short) = if self.words.len() >= other.words.len() { (self, other) } else { (other, self) };
        let rest = short.words.iter().copied().chain(std::iter::repeat(0));
        Self::trimmed(long.words.iter().zip(rest).map(|(a, b)| a | b).collect())
    }

    /// What is in this one only.
    pub fn without(&self, other: &Self) -> Self {
        let rest = other.words.iter().copied().chain(std::iter::repeat(0));
        Self::trimmed(self.words.iter().zip(rest).map(|(a, b)| a & !b).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            std::iter::successors((word != 0).then_some(word), |word| Some(word & (word - 1)).filter(|word| *word != 0))
                .map(move |word| at * 64 + word.trailing_zeros() as usize)
        })
    }

    fn trimmed(mut words: Vec<u64>) -> Self {
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }
}

impl FromIterator<usize> for KeySet {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_ordinary_sets(a in prop::collection::btree_set(0usize..300, 0..40), b in prop::collection::btree_set(0usize..300, 0..40)) {
            let (x, y): (KeySet, KeySet) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.and(&y), a.intersection(&b).copied().collect::<KeySet>());
            prop_assert_eq!(x.or(&y), a.union(&b).copied().collect::<KeySet>());
            prop_assert_eq!(x.without(&y), a.difference(&b).copied().collect::<KeySet>());
            prop_assert_eq!(x.is_empty(), a.is_empty());
            prop_assert!((0..300).all(|i| x.contains(i) == a.contains(&i)));
        }
    }
}
