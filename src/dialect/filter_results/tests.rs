//! Filter results go, every other byte stays.

use proptest::prelude::*;
use serde_json::Value;

use super::super::peek::tests::value_text;
use super::*;

fn removed(text: &str) -> Option<String> {
    remove(text.as_bytes()).map(|rest| String::from_utf8(rest).unwrap())
}

/// The same on a tree.
fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| !NAMES.contains(&name.as_bytes()));
            map.values_mut().for_each(prune);
        }
        Value::Array(list) => list.iter_mut().for_each(prune),
        _ => {}
    }
}

#[test]
fn azure_members_go_with_their_commas() {
    for (text, rest) in [
        (r#"{"content_filter_results":{}}"#, "{}"),
        (r#"{ "prompt_annotations" : [ 1 ] }"#, "{  }"),
        (r#"{"content_filter_results":{}, "a":1}"#, r#"{"a":1}"#),
        (r#"{"a":1, "content_filter_results":{}}"#, r#"{"a":1}"#),
        (r#"{"a":1,"content_filter_offsets":{"x":"]}"},"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"content_filter_results":null,"prompt_filter_results":"\"","a":[]}"#, r#"{"a":[]}"#),
        (r#"{"content_filter_results":1,"prompt_filter_results":2}"#, "{}"),
        (
            r#"{"choices":[{"content_filter_results":{},"delta":{}},{"index":1,"content_filter_results":{}}]}"#,
            r#"{"choices":[{"delta":{}},{"index":1}]}"#,
        ),
        (r#"[{"a":[{"content_filter_results":0,"b":1e400}]}]"#, r#"[{"a":[{"b":1e400}]}]"#),
        (
            r#"{"type":"x","response":{"content_filters":[{"blocked":false}],"id":1}}"#,
            r#"{"type":"x","response":{"id":1}}"#,
        ),
    ] {
        assert_eq!(removed(text).as_deref(), Some(rest), "{text}");
    }
}

#[test]
fn text_that_only_speaks_of_them_stays() {
    for text in [
        r#"{"content":"\"content_filter_results\":{}"}"#,
        r#"{"content":"content_filter_results"}"#,
        r#"["content_filter_results","prompt_filter_results"]"#,
        r#"{"finish_reason":"content_filter"}"#,
        r#"{"tools":[{"parameters":{"properties":{"content_filters":{"type":"array"}}}}]}"#,
        r#"{"error":{"code":"content_filter","innererror":{"content_filter_result":{}}}}"#,
        "{}",
        "",
    ] {
        assert_eq!(removed(text), None, "{text}");
    }
}

#[test]
fn what_is_not_json_stays() {
    for text in [
        r#"{"content_filter_results":{}"#,
        r#"{"content_filter_results":{}}}"#,
        r#"{"content_filter_results"}"#,
        r#"{"content_filter_results":"#,
        r#"{"content_filter_results":{]}"#,
    ] {
        assert_eq!(removed(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn agrees_with_a_tree(text in value_text(), pick in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        // Some of the names become names of filter results.
        let mut text = text.replace("1e400", "1");
        for pick in pick {
            let names: Vec<_> = text.match_indices("\"model\"").map(|(at, _)| at).collect();
            if !names.is_empty() {
                let at = names[pick.index(names.len())];
                text.replace_range(at..at + 7, "\"content_filter_results\"");
            }
        }
        if let Ok(mut tree) = serde_json::from_str::<Value>(&text) {
            prune(&mut tree);
            let rest = removed(&text).unwrap_or(text);
            prop_assert_eq!(serde_json::from_str::<Value>(&rest).map_err(|e| format!("{e}: {rest}")), Ok(tree));
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ a1".to_vec()), 0..40)) {
        let _ = remove(&[&b"{\"content_filter_results\":"[..], &bytes].concat());
    }
}
