//! Lists of names with `*` wildcards: `[]` allows none, `["*"]` all. ASCII letters match without regard to case.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of patterns; a name is in it when any pattern matches the whole name.
///
/// The cost of a match is linear in the lengths of name and pattern, whatever the pattern.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Globs(Vec<String>);

impl Globs {
    pub fn new<T: Into<String>>(patterns: impl IntoIterator<Item = T>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    /// The list that allows every name.
    pub fn all() -> Self {
        Self::new(["*"])
    }

    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }

    /// Whether a pattern without a wildcard names exactly this name.
    pub fn names(&self, name: &str) -> bool {
        self.literals().any(|literal| literal.eq_ignore_ascii_case(name))
    }

    /// The entries without a wildcard, as written.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|pattern| !pattern.contains('*'))
    }

    /// All entries, as written.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether nothing can match.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some entry has a wildcard, so that not all matching names can be listed.
    pub fn has_wildcard(&self) -> bool {
        self.0.iter().any(|pattern| pattern.contains('*'))
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl Serialize for Globs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Globs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let Some(first) = memchr::memchr(b'*', pattern) else {
        return pattern.eq_ignore_ascii_case(name);
    };
    let last = memchr::memrchr(b'*', pattern).unwrap_or(first);
    let (head, tail) = (&pattern[..first], &pattern[last + 1..]);
    if name.len() < head.len() + tail.len() {
        return false;
    }
    let (start, rest) = name.split_at(head.len());
    let (between, end) = rest.split_at(rest.len() - tail.len());
    if !start.eq_ignore_ascii_case(head) || !end.eq_ignore_ascii_case(tail) {
        return false;
    }
    first == last || holds_in_order(&pattern[first + 1..last], between)
}

/// Whether the pieces between the wildcards occur one after the other. Taking the leftmost place for each piece is
/// always right, because a later place leaves less room for the next one.
fn holds_in_order(pieces: &[u8], text: &[u8]) -> bool {
    let (pieces, text) = (pieces.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut rest = &text[..];
    for piece in pieces.split(|byte| *byte == b'*') {
        match memchr::memmem::find(rest, piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(pattern: &str, name: &str) -> bool {
        Globs::new([pattern]).matches(name)
    }

    #[test]
    fn an_empty_list_allows_none_and_a_star_allows_all() {
        assert!(!Globs::default().matches("gpt-4o"));
        assert!(!Globs::default().matches(""));
        assert!(Globs::all().matches("gpt-4o") && Globs::all().matches(""));
    }

    #[test]
    fn wildcards_stand_for_any_run_of_characters() {
        for (pattern, name) in [
            ("gpt-4o", "GPT-4o"),
            ("claude-*", "claude-sonnet-4-6"),
            ("*-mini", "gpt-4o-mini"),
            ("gpt-*-mini", "gpt-4o-mini"),
            ("*sonnet*", "Claude-Sonnet-4"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "ac"),
            ("*", "*"),
        ] {
            assert!(one(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("gpt-4o", "gpt-4o-mini"), ("aba*aba", "aba"), ("a*b*c", "a-c-b"), ("*x*", ""), ("", "a"), ("a*", "ba")]
        {
            assert!(!one(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_wildcards_cost_no_more_than_few() {
        let pattern = "*a".repeat(2_000);
        assert!(!one(&format!("{pattern}b"), &"a".repeat(50_000)));
    }

    /// The textbook definition, slow and evidently right.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| slow(rest, &name[at..])),
            Some((byte, rest)) => {
                name.split_first().is_some_and(|(head, tail)| head.eq_ignore_ascii_case(byte) && slow(rest, tail))
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[abA*]{0,8}", name in "[abB]{0,10}") {
            prop_assert_eq!(one(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
