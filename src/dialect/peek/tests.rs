//! Peek against serde_json's view, over any splitting, and the exact words of its errors.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

const FIELDS: &[&str] = &["model", "stream", "user"];

pub fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")]
}

/// Text of any JSON value, with the spellings that break parsers.
pub fn value_text() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        Just(r#""model""#.to_owned()),
        Just(r#""\\\"}]{[:,\\""#.to_owned()),
        Just(r#""\ud83d\ude00 caf\u00e9 é 😀""#.to_owned()),
        "[a-zA-Z0-9 {}\\[\\],:é]{0,40}".prop_map(|text| format!("\"{text}\"")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        string.clone(),
        number.prop_map(|text| text),
        prop_oneof![Just("true"), Just("false"), Just("null"), Just("1e400"), Just("{}"), Just("[ ]")]
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let member = (string.clone(), space(), inner.clone())
            .prop_map(|(name, space, value)| format!("{space}{name}{space}:{space}{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(" ,"))),
            prop::collection::vec(member, 0..4).prop_map(|list| format!("{{{}}}", list.join(","))),
        ]
    })
}

/// Text of an object with listed names often, in several spellings.
pub fn object_text() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        3 => Just(r#""model""#.to_owned()),
        1 => Just(r#""mod\u0065l""#.to_owned()),
        1 => Just(r#""\u006D\u006fd\u0065l""#.to_owned()),
        1 => Just(r#""Model""#.to_owned()),
        2 => Just(r#""stream""#.to_owned()),
        1 => Just(r#""user""#.to_owned()),
        3 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let member = (space(), name, space(), space(), value_text(), space())
        .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
    (space(), prop::collection::vec(member, 0..6), space(), space())
        .prop_map(|(before, members, inside, after)| format!("{before}{{{inside}{}}}{after}", members.join(",")))
}

/// Cuts bytes into chunks of these sizes, again and again.
pub fn split(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut rest, mut chunks) = (bytes, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(*size));
        chunks.push(chunk.to_vec());
        rest = after;
    }
    chunks
}

pub fn peek(text: &[u8], sizes: &[usize]) -> Result<Members, JsonError> {
    let mut peek = Peek::new(FIELDS);
    for chunk in split(text, sizes) {
        peek.feed(&chunk)?;
    }
    peek.finish()
}

proptest! {
    #[test]
    fn sees_what_serde_json_sees_in_any_splitting(text in object_text(), sizes in prop::collection::vec(1..9_usize, 1..9)) {
        let members = peek(text.as_bytes(), &[usize::MAX]).unwrap();
        prop_assert_eq!(&peek(text.as_bytes(), &sizes).unwrap(), &members);
        prop_assert_eq!(&peek(text.as_bytes(), &[1]).unwrap(), &members);

        let expected: BTreeMap<String, &RawValue> = serde_json::from_str(&text).unwrap();
        for field in FIELDS {
            prop_assert_eq!(members.last(field).map(|member| &member.raw[..]), expected.get(*field).map(|raw| raw.get().as_bytes()));
        }
        for member in members.iter() {
            prop_assert_eq!(&text.as_bytes()[member.value.start as usize..member.value.end as usize], &member.raw[..]);
            prop_assert_eq!(text.as_bytes()[member.key_start as usize], b'"');
            prop_assert!(member.comma.is_none_or(|comma| text.as_bytes()[comma as usize] == b','));
            prop_assert!(member.next.is_none_or(|next| text.as_bytes()[next as usize] == b'"'));
        }
    }

    #[test]
    fn never_panics_and_judges_alike_in_any_splitting(bytes in prop::collection::vec(any::<u8>(), 0..64), sizes in prop::collection::vec(1..5_usize, 1..5)) {
        prop_assert_eq!(peek(&bytes, &sizes), peek(&bytes, &[usize::MAX]));
    }

    #[test]
    fn damaged_text_is_judged_alike_and_valid_text_is_never_refused(
        text in object_text(), place in any::<prop::sample::Index>(), byte in prop_oneof![Just(b'"'), Just(b'\\'), Just(b'}'), Just(b','), any::<u8>()],
        sizes in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let mut bytes = text.into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let whole = peek(&bytes, &[usize::MAX]);
        prop_assert_eq!(peek(&bytes, &sizes), whole.clone());
        if serde_json::from_slice::<BTreeMap<String, &RawValue>>(&bytes).is_ok() {
            prop_assert!(whole.is_ok(), "{:?}", whole);
        }
    }

    #[test]
    fn every_prefix_of_an_object_is_incomplete(text in object_text(), place in any::<prop::sample::Index>()) {
        let text = text.trim_end();
        prop_assert!(peek(&text.as_bytes()[..place.index(text.len())], &[usize::MAX]).is_err());
    }
}

#[test]
fn errors_say_where_and_what() {
    for (text, message) in [
        ("", "byte 0: expected `{`"),
        ("  [1]", "byte 2: expected `{`"),
        ("\u{feff}{}", "byte 0: expected `{`, not a byte order mark"),
        ("{", "byte 1: expected a member name or `}`"),
        ("{,", "byte 1: expected a member name or `}`"),
        ("{\"model\"  \"x\"}", "byte 10: expected `:` after a member name"),
        ("{\"model\":}", "byte 9: expected a value"),
        ("{\"model\":'x'}", "byte 9: expected a value"),
        ("{\"model\":/**/1}", "byte 9: expected a value"),
        ("{\"a\":tru}", "byte 8: expected a value"),
        ("{\"a\":01}", "byte 6: expected `,` or `}` after a value"),
        ("{\"a\":1.}", "byte 7: expected a value"),
        ("{\"a\":-}", "byte 6: expected a value"),
        ("{\"a\":1e+}", "byte 8: expected a value"),
        ("{\"a\":NaN}", "byte 5: expected a value"),
        ("{\"a\":truee}", "byte 9: expected `,` or `}` after a value"),
        ("{\"a\":1,}", "byte 7: expected a member name"),
        ("{\"a\":1 2}", "byte 7: expected `,` or `}` after a value"),
        ("{\"a\":\"x", "byte 7: expected a closing `\"`"),
        ("{\"a", "byte 3: expected a closing `\"`"),
        ("{\"a\":[1}}", "byte 7: expected `]` to close the array"),
        ("{\"a\":{]}", "byte 6: expected `}` to close the object"),
        ("{\"a\":[//\"\n]}", "byte 6: expected JSON"),
        ("{\"a\":[\"x", "byte 8: expected a closing `\"`"),
        ("{\"a\":[", "byte 6: expected a closing bracket"),
        ("{\"a\":1} {}", "byte 8: expected nothing after the closing `}`"),
        ("{\"a\":1}\0", "byte 7: expected nothing after the closing `}`"),
        ("{\"mod\\qel\":1}", "byte 1: expected a member name with valid escapes"),
    ] {
        for sizes in [&[usize::MAX][..], &[1]] {
            let error = peek(text.as_bytes(), sizes).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid JSON at {message}"), "{text}");
        }
    }
}

#[test]
fn of_duplicates_the_last_counts_and_all_are_known() {
    let members = peek(br#"{"model":"a","x":{"model":"y"},"mod\u0065l":"b","MODEL":"c"}"#, &[usize::MAX]).unwrap();
    assert_eq!(members.last("model").unwrap().as_str().unwrap(), "b");
    assert_eq!(members.all("model").count(), 2);
    assert_eq!(members.look_alikes("model").next().unwrap().as_str().unwrap(), "c");
    assert_eq!((members.count(), members.last("stream")), (4, None));
}

#[test]
fn depth_costs_no_stack() {
    let text = format!("{{\"a\":{}{},\"model\":\"x\"}}", "[{\"a\":".repeat(50_000), "1}]".repeat(50_000));
    for sizes in [&[usize::MAX][..], &[7]] {
        assert_eq!(peek(text.as_bytes(), sizes).unwrap().last("model").unwrap().as_str().unwrap(), "x");
    }
}

#[test]
fn noted_values_are_limited_and_others_are_not() {
    let body = |name: &str, length: usize| format!("{{\"{name}\":\"{}\"}}", "x".repeat(length - 2));
    for sizes in [&[usize::MAX][..], &[1000]] {
        assert!(peek(body("model", LONGEST_VALUE).as_bytes(), sizes).is_ok());
        assert!(peek(body("other", LONGEST_VALUE + 1).as_bytes(), sizes).is_ok());
        let error = peek(body("model", LONGEST_VALUE + 1).as_bytes(), sizes).unwrap_err();
        assert_eq!((error.at, error.expected), (9, "a shorter value: this field holds at most 64 KiB"));
    }
}

#[test]
fn names_longer_than_any_spelling_are_not_kept() {
    let text = format!("{{\"{}\":1,\"{}\":2}}", "model".repeat(10_000), r"\u006d\u006f\u0064\u0065\u006c");
    for sizes in [&[usize::MAX][..], &[100]] {
        let members = peek(text.as_bytes(), sizes).unwrap();
        assert_eq!(members.last("model").unwrap().as_u64(), Some(2));
    }
}
