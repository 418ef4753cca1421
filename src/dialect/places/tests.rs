//! What is found in JSON text, in any splitting.

use proptest::prelude::*;

use super::super::peek::tests::split;
use super::*;

static NAME: Place<char> = Place::noted('n');
static ID: Place<char> = Place::noted('i');
static ITEM: Place<char> = Place::object(&[("id", &ID), ("list", &Place::array(&NAME))]);
static ROOT: Place<char> = Place::either(&[("name", &NAME), ("items", &Place::array(&ITEM)), ("deep", &ITEM)], &ITEM);

const TEXT: &str = r#" {"x":{"name":"no","items":[{"id":1}]},"name" : "a\"b","items":[{"id":"i1","y":[{"id":2}]},3,[{"id":4}],
    {"list":[1.5 ,true,{"id":"n"},"m"],"id":{"name":[]}}], "deep":{"id":""},"name":null , "items":[] }"#;

fn read(text: &str, sizes: &[usize]) -> Vec<(char, String)> {
    let mut places = Places::new(&ROOT);
    for chunk in split(text.as_bytes(), sizes) {
        places.feed(&chunk);
    }
    let each = places.found().iter().map(|found| {
        let value = &text[found.value.start as usize..found.value.end as usize];
        assert_eq!(value.as_bytes(), places.text(found));
        (found.tag, value.to_owned())
    });
    each.collect()
}

#[test]
fn only_the_places_are_found_and_each_value_whole() {
    let expected = [
        ('n', r#""a\"b""#),
        ('i', r#""i1""#),
        ('n', "1.5"),
        ('n', "true"),
        ('n', r#"{"id":"n"}"#),
        ('n', r#""m""#),
        ('i', r#"{"name":[]}"#),
        ('i', r#""""#),
        ('n', "null"),
    ];
    assert_eq!(read(TEXT, &[usize::MAX]), expected.map(|(tag, text)| (tag, text.to_owned())));
}

#[test]
fn documents_follow_each_other() {
    let lines = "{\"name\":\"a\"}\n\n[{\"id\":1}]\r\n{\"name\":\"b\"}";
    let found = read(lines, &[3]);
    assert_eq!(found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["\"a\"", "1", "\"b\""]);
}

#[test]
fn what_is_no_json_is_read_as_far_as_it_goes() {
    for (text, expected) in
        [("", 0), ("]", 0), ("{\"name\":\"a\",}", 1), ("{\"name\":1 2}", 1), ("{\"name\"", 0), ("{\"name\":\"a", 0)]
    {
        assert_eq!(read(text, &[usize::MAX]).len(), expected, "{text}");
    }
}

#[test]
fn only_whole_documents_are_complete() {
    for (text, complete) in
        [("{}", true), (" [1] \n", true), ("{\"name\":{}", false), ("", false), ("{]", false), ("{} {", false)]
    {
        let mut places = Places::new(&ROOT);
        places.feed(text.as_bytes());
        assert_eq!(places.is_complete(), complete, "{text}");
    }
}

#[test]
fn long_values_keep_their_front() {
    let text = format!("{{\"name\":\"{}\"}}", "x".repeat(3 * LONGEST));
    let mut places = Places::new(&ROOT);
    places.feed(text.as_bytes());
    let found = &places.found()[0];
    assert_eq!((places.text(found).len(), places.plain(found)), (LONGEST, None));
    assert_eq!(found.value, 8..text.len() as u64 - 1);
}

proptest! {
    #[test]
    fn no_splitting_changes_anything(sizes in prop::collection::vec(1..40_usize, 1..8)) {
        prop_assert_eq!(read(TEXT, &sizes), read(TEXT, &[usize::MAX]));
    }

    #[test]
    fn no_input_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", "\"name\"", "\"items\"", "\"id\"", ":", ",", "\"", "\\", "\n", "1", "null",
    ]), 0..40), sizes in prop::collection::vec(1..6_usize, 1..6)) {
        let text = parts.concat();
        prop_assert_eq!(read(&text, &sizes), read(&text, &[usize::MAX]));
    }
}
