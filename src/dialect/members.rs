//! What [`super::peek`] noted of an object: the members, where they stand, and typed readings of their values.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::peek::{JsonError, Peek};
use super::scan::is_space;

/// The noted members of one object, in the order of the text.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Members {
    list: Vec<Member>,
    count: usize,
    last_end: u64,
}

/// One noted member. Positions count bytes of the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The name as listed, however it was escaped in the text.
    pub name: &'static str,
    /// False when the text spells the name with other capital letters: to JSON that is another name, to some servers not.
    pub exact: bool,
    /// The opening quote of the name.
    pub key_start: u64,
    pub value: Range<u64>,
    /// The comma before the name; the first member has none.
    pub comma: Option<u64>,
    /// The opening quote of the next member's name.
    pub next: Option<u64>,
    /// The text of the value.
    pub raw: Bytes,
}

impl Members {
    pub(super) fn new(list: Vec<Member>, count: usize, last_end: u64) -> Self {
        Self { list, count, last_end }
    }

    /// The members of an object that is complete in memory.
    pub fn of(object: &[u8], fields: &'static [&'static str]) -> Result<Self, JsonError> {
        let mut peek = Peek::new(fields);
        peek.feed(object)?;
        peek.finish()
    }

    /// The member that counts: of several with one name, JSON parsers take the last.
    pub fn last(&self, name: &str) -> Option<&Member> {
        self.all(name).next_back()
    }

    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &Member> {
        self.list.iter().filter(move |member| member.exact && member.name == name)
    }

    /// Members whose name differs from `name` in capital letters only. A server that ignores case would read them.
    pub fn look_alikes(&self, name: &str) -> impl DoubleEndedIterator<Item = &Member> {
        self.list.iter().filter(move |member| !member.exact && member.name == name)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Member> {
        self.list.iter()
    }

    /// How many members the object has, noted or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Where a new last member goes: behind the last value, or before the closing brace of an empty object. The flag
    /// says whether there is any member, so that a comma is needed.
    pub fn insert_at(&self) -> (u64, bool) {
        (self.last_end, self.count > 0)
    }
}

impl Member {
    /// The text of a string, unescaped. `None` for other types, and for strings that are no Unicode text.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        let inside = self.raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if inside.iter().any(|byte| *byte == b'\\' || *byte < b' ') {
            return serde_json::from_slice(&self.raw).ok().map(Cow::Owned);
        }
        std::str::from_utf8(inside).ok().map(Cow::Borrowed)
    }

    pub fn as_bool(&self) -> Option<bool> {
        match &self.raw[..] {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A whole number, also when it is written as `4096.0` or `4e3`.
    pub fn as_u64(&self) -> Option<u64> {
        whole_number(&self.raw)
    }

    pub fn is_null(&self) -> bool {
        self.raw == "null"
    }

    pub fn is_object(&self) -> bool {
        self.raw.starts_with(b"{")
    }

    pub fn is_string(&self) -> bool {
        self.raw.starts_with(b"\"")
    }

    /// The members of a value that is an object, at their positions in the whole body.
    pub fn members(&self, fields: &'static [&'static str]) -> Result<Members, JsonError> {
        let mut peek = Peek::at(fields, self.value.start);
        peek.feed(&self.raw)?;
        peek.finish()
    }

    /// The elements of a value that is an array of strings.
    pub fn as_strings(&self) -> Option<Vec<String>> {
        serde_json::from_slice(&self.raw).ok()
    }
}

/// Reads JSON number text as a whole number; `None` for fractions, negative and other values.
pub(super) fn whole_number(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?.trim_matches(|c: char| c.is_ascii() && is_space(c as u8));
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Beyond 2^53 a float no longer says which whole number was meant.
        (number.fract() == 0.0 && number <= (1_u64 << 53) as f64).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Member {
        let members = Members::of(format!("{{\"v\": {text} }}").as_bytes(), &["v"]).unwrap();
        members.last("v").unwrap().clone()
    }

    #[test]
    fn strings_are_unescaped_with_surrogate_pairs() {
        assert_eq!(value(r#""plain é""#).as_str().unwrap(), "plain é");
        assert!(matches!(value(r#""plain""#).as_str(), Some(Cow::Borrowed(_))));
        assert_eq!(value(r#""a\"\\\/\n\u00e9\ud83d\ude00""#).as_str().unwrap(), "a\"\\/\né😀");
        for text in [r#""\ud83d""#, r#""\q""#, "\"a\nb\"", "1", "null", "{}"] {
            assert_eq!(value(text).as_str(), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_when_they_are_whole() {
        for (text, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("4096.0", Some(4096)),
            ("4e3", Some(4000)),
            ("1.5", None),
            ("-1", None),
            ("1e400", None),
            ("18446744073709551616", None),
            ("true", None),
            ("\"1\"", None),
        ] {
            assert_eq!(value(text).as_u64(), expected, "{text}");
        }
    }

    #[test]
    fn other_types_are_told_apart() {
        assert_eq!(
            [value("true").as_bool(), value("false").as_bool(), value("1").as_bool()],
            [Some(true), Some(false), None]
        );
        assert!(value("null").is_null() && !value("0").is_null());
        assert!(value("{}").is_object() && !value("[]").is_object());
        assert_eq!(value(r#"["a","b\n"]"#).as_strings().unwrap(), ["a", "b\n"]);
        assert_eq!(value(r#"["a",{}]"#).as_strings(), None);
    }

    #[test]
    fn nested_members_stand_at_their_place_in_the_body() {
        let text = br#"{"v": {"a":1, "include_usage": false}}"#;
        let members = Members::of(text, &["v"]).unwrap();
        let nested = members.last("v").unwrap().members(&["include_usage"]).unwrap();
        let member = nested.last("include_usage").unwrap();
        assert_eq!(&text[member.value.start as usize..member.value.end as usize], b"false");
    }
}
