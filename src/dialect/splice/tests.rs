//! Edits against a list of members that is edited the plain way, and bytes outside of edits that stay.

use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::peek::Peek;
use super::super::peek::tests::{object_text, split};
use super::*;

const FIELDS: &[&str] = &["model", "stream", "user"];

/// Names and value texts in order, duplicates included.
#[derive(PartialEq, Clone, Debug)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    pairs.push((name, value.get().to_owned()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn members(text: &str) -> Members {
    let mut peek = Peek::new(FIELDS);
    peek.feed(text.as_bytes()).unwrap();
    peek.finish().unwrap()
}

fn edited(text: &str, edit: impl for<'m> FnOnce(&'m Members, &mut Edits<'m>)) -> String {
    let members = members(text);
    let mut edits = Edits::new(&members);
    edit(&members, &mut edits);
    let rope: Vec<Bytes> = split(text.as_bytes(), &[3, 1, 7]).into_iter().map(Bytes::from).collect();
    let out = apply(&edits.pieces(text.len() as u64), &rope).concat();
    assert_eq!(edits.length_after(text.len() as u64), out.len() as u64);
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn any_edits_give_the_members_they_should(
        text in object_text(), actions in prop::collection::vec(0..3, 8), appended in 0..3_usize,
    ) {
        let members = members(&text);
        let Pairs(mut expected) = serde_json::from_str(&text).unwrap();
        let mut edits = Edits::new(&members);
        let names: Vec<String> = expected.iter().map(|(name, _)| name.clone()).collect();
        let noted = (0..names.len()).filter(|index| FIELDS.iter().any(|field| field.eq_ignore_ascii_case(&names[*index])));
        let mut removed = Vec::new();
        for ((index, member), action) in noted.zip(members.iter()).zip(actions) {
            match action {
                0 => {}
                1 => {
                    edits.replace(member, "\"new\"");
                    expected[index].1 = "\"new\"".to_owned();
                }
                _ => {
                    edits.remove(member);
                    removed.push(index);
                }
            }
        }
        let mut expected: Vec<_> = expected.into_iter().enumerate().filter(|(index, _)| !removed.contains(index)).map(|(_, pair)| pair).collect();
        for _ in 0..appended {
            edits.append("\"added\":[1]");
            expected.push(("added".to_owned(), "[1]".to_owned()));
        }
        let rope: Vec<Bytes> = split(text.as_bytes(), &[5, 2]).into_iter().map(Bytes::from).collect();
        let out = apply(&edits.pieces(text.len() as u64), &rope).concat();
        let out = String::from_utf8(out).unwrap();
        prop_assert_eq!(serde_json::from_str::<Pairs>(&out).map_err(|e| format!("{e}: {out}")), Ok(Pairs(expected)));
    }

    #[test]
    fn replacing_changes_nothing_but_the_value(text in object_text()) {
        let members = members(&text);
        let mut edits = Edits::new(&members);
        edits.replace_all("model", "\"deployment\"");
        let mut expected = text.clone();
        for member in members.all("model").rev() {
            expected.replace_range(member.value.start as usize..member.value.end as usize, "\"deployment\"");
        }
        let out = apply(&edits.pieces(text.len() as u64), &[Bytes::from(text.clone())]).concat();
        prop_assert_eq!(out, expected.into_bytes());
    }
}

#[test]
fn odd_spellings_survive_a_new_model() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(
        "\t{{ \"a\":1e400,\r\n\"model\" :\t\"x\" ,\"b\":{},\"deep\":{deep},\"model\":null,\"c\":\"\\u0041\\/\" }}\n",
        "1".repeat(30)
    );
    let out = edited(&text, |_, edits| edits.replace_all("model", "\"d\""));
    assert_eq!(out, text.replace("\t\"x\" ", "\t\"d\" ").replace("\"model\":null", "\"model\":\"d\""));
}

#[test]
fn removal_takes_the_right_comma() {
    for (text, expected) in [
        (r#"{"model":1}"#, "{}"),
        (r#"{ "model" : 1 }"#, "{  }"),
        (r#"{"model":1, "x":2}"#, r#"{"x":2}"#),
        (r#"{"x":2, "model":1}"#, r#"{"x":2}"#),
        (r#"{"x":2,"model":1,"y":3}"#, r#"{"x":2,"y":3}"#),
        (r#"{"model":1,"model":2,"x":3,"model":4,"model":5}"#, r#"{"x":3}"#),
        (r#"{"model":1,"model":2}"#, "{}"),
    ] {
        assert_eq!(edited(text, |_, edits| edits.remove_all("model")), expected, "{text}");
    }
}

#[test]
fn members_are_added_behind_the_last() {
    for (text, expected) in [
        ("{}", r#"{"a":1,"b":2}"#),
        ("{ \n}", "{ \n\"a\":1,\"b\":2}"),
        ("{\"x\":1\n}", "{\"x\":1,\"a\":1,\"b\":2\n}"),
        ("{\"model\":1}", r#"{"a":1,"b":2}"#),
        ("{\"x\":0,\"model\":1}", r#"{"x":0,"a":1,"b":2}"#),
    ] {
        let out = edited(text, |_, edits| {
            edits.remove_all("model");
            edits.append("\"a\":1");
            edits.append("\"b\":2");
        });
        assert_eq!(out, expected, "{text}");
    }
}

#[test]
fn members_are_added_inside_of_an_object() {
    for (text, expected) in [
        (r#"{"stream":{}}"#, r#"{"stream":{"a":1,"b":2}}"#),
        (r#"{"stream":{ "x":[{}] }}"#, r#"{"stream":{ "x":[{}],"a":1,"b":2 }}"#),
    ] {
        let out = edited(text, |members, edits| {
            let object = members.last("stream").unwrap();
            edits.insert_into(object, b"\"a\":1").unwrap();
            edits.insert_into(object, b"\"b\":2").unwrap();
        });
        assert_eq!(out, expected);
    }
    let members = members(r#"{"stream":true}"#);
    assert!(Edits::new(&members).insert_into(members.last("stream").unwrap(), b"\"a\":1").is_err());
}

#[test]
fn later_edits_win_and_edits_inside_of_lost_values_are_lost() {
    let text = r#"{"model":"x","user":{"a":1},"z":0}"#;
    let out = edited(text, |members, edits| {
        let (model, user) = (members.last("model").unwrap(), members.last("user").unwrap());
        edits.replace(model, "1");
        edits.replace(model, "2");
        edits.insert_into(user, b"\"b\":2").unwrap();
        edits.remove(user);
        edits.remove(user);
    });
    assert_eq!(out, r#"{"model":2,"z":0}"#);
}

#[test]
fn untouched_bytes_are_slices() {
    let text = Bytes::from_static(br#"{"model":"x","user":"u"}"#);
    let members = members(std::str::from_utf8(&text).unwrap());
    let mut edits = Edits::new(&members);
    edits.replace_all("model", "\"d\"");
    let pieces = edits.pieces(text.len() as u64);
    assert_eq!(pieces, [Piece::Keep(0..9), Piece::New(Bytes::from_static(b"\"d\"")), Piece::Keep(12..24)]);
    let out = apply(&pieces, std::slice::from_ref(&text));
    assert_eq!((out[0].as_ptr(), out[2].as_ptr()), (text.as_ptr(), text[12..].as_ptr()));
}
