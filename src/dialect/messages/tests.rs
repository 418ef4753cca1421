//! Streams of Messages in any splitting: what passes, what changes, what is noted.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::chat::stream::tests::recorded;
use super::super::stream::tests::driven;
use super::super::stream::{ChunkTransform, Progress};
use super::super::usage::Usage;
use super::MessagesStream;

/// A start with cached input, a ping, thinking, text in many bytes, a tool, an unknown event, the end.
fn claude() -> String {
    [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"usage":{"input_tokens":11,"cache_creation_input_tokens":7,"cache_read_input_tokens":1031,"output_tokens":1}}}      "#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        r#"{"type": "ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqkECk"}}"#,
        r#"{"type":"content_block_stop","index":0  }"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Grüße 😀 \"model\":\"x\""}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"model\":1}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"novelty","model":"claude-other","message":3}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":100}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .map(|data| {
        let kind = serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {kind}\ndata: {data}\n\n")
    })
    .concat()
}

fn run(input: &[u8], sizes: &[usize], echo: bool) -> (String, Progress) {
    driven(&mut MessagesStream::new(echo.then(|| Bytes::from_static(b"\"azure/Claude\""))), input, sizes)
}

#[test]
fn everything_passes_but_the_model_is_echoed() {
    let (out, progress) = run(claude().as_bytes(), &[usize::MAX], true);
    assert_eq!(out, claude().replacen("claude-sonnet-4-6", "azure/Claude", 1));
    let usage = Usage { input: 1049, cached_input: 1031, cache_write: 7, output: 100, reasoning: 0 };
    assert_eq!(
        progress,
        Progress {
            events: 15,
            content_events: 6,
            content_started: true,
            ended: true,
            enough: false,
            error: None,
            usage: Some(usage),
            background: None,
            bytes_out: out.len() as u64
        }
    );
    assert_eq!(run(claude().as_bytes(), &[usize::MAX], false).0, claude());
}

#[test]
fn traps_52_a_start_and_an_empty_block_are_no_content() {
    let head: String = claude().split_inclusive("\n\n").take(3).collect();
    let (_, progress) = run(head.as_bytes(), &[usize::MAX], true);
    assert_eq!((progress.events, progress.content_started), (3, false));
    for block in [r#"{"type":"redacted_thinking","data":"x"}"#, r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#]
    {
        let start = format!("data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{block}}}\n\n");
        assert!(run(start.as_bytes(), &[3], true).1.content_started, "{block}");
    }
}

#[test]
fn errors_are_noted_and_passed() {
    let input = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (out, progress) = run(input.as_bytes(), &[5], true);
    assert_eq!(out, input);
    assert!(progress.error.is_some() && !progress.ended && !progress.content_started);
}

#[test]
fn data_of_several_lines_is_edited_too() {
    let input = "event: message_start\ndata: {\"type\":\"message_start\",\ndata: \"message\":{\"model\":\"m\"}}\n\n";
    assert_eq!(run(input.as_bytes(), &[4], true).0, input.replace("\"m\"", "\"azure/Claude\""));
    assert_eq!(run(input.as_bytes(), &[4], false).0, input);
}

#[test]
fn a_broken_off_event_is_dropped_and_the_end_is_completed() {
    let done = "data: {\"type\":\"ping\"}\n\n";
    for (tail, kept, ended) in [
        ("data: {\"type\":\"content_block_delta\",\"del", "", false),
        ("data: {\"type\":\"content_block_stop\"}\n", "", false),
        (": ping", ": ping", false),
        (
            "event: message_stop\ndata: {\"type\":\"message_stop\"}",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            true,
        ),
    ] {
        let (out, progress) = run(format!("{done}{tail}").as_bytes(), &[usize::MAX], true);
        assert_eq!((out, progress.ended), (format!("{done}{kept}"), ended), "{tail:?}");
    }
}

#[test]
fn counts_of_the_end_win_over_those_of_the_start() {
    let input = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":0,\"cache_read_input_tokens\":5}}}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":17,\"output_tokens\":3,\"output_tokens_details\":{\"thinking_tokens\":2}}}\n\n";
    let expected = Usage { input: 22, cached_input: 5, cache_write: 0, output: 3, reasoning: 2 };
    assert_eq!(run(input.as_bytes(), &[9], true).1.usage, Some(expected));
}

#[test]
fn untouched_events_of_a_chunk_stay_one_slice() {
    let input = Bytes::from(claude());
    let mut out = Vec::new();
    MessagesStream::new(None).push(input.clone(), &mut out).unwrap();
    assert_eq!((out.len(), out[0].as_ptr()), (1, input.as_ptr()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_splitting_changes_anything(sizes in prop::collection::vec(1..200_usize, 1..8)) {
        for input in [claude().replace('\n', "\r\n"), claude().replace('\n', "\r"), format!("\u{feff}{}", claude()), claude()] {
            let whole = run(input.as_bytes(), &[usize::MAX], true);
            prop_assert_eq!(&run(input.as_bytes(), &sizes, true), &whole);
            prop_assert_eq!(&run(input.as_bytes(), &[1], true), &whole);
            prop_assert_eq!(whole.1.events, 15);
        }
    }

    #[test]
    fn no_input_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "data: ", "event: ", "{", "}", "[", "]", "\"model\"", "\"type\"", "\"message_start\"", "\"message\"", "\"usage\"", "\"content_block\"", ":", ",", "\"", "\\", "\n", "\r", "1", "null",
    ]), 0..40), sizes in prop::collection::vec(1..6_usize, 1..6)) {
        let input = parts.concat();
        prop_assert_eq!(run(input.as_bytes(), &sizes, true), run(input.as_bytes(), &[usize::MAX], true));
    }
}

#[test]
fn recorded_streams_change_only_in_their_model() {
    for (path, input) in recorded("sse") {
        let input = String::from_utf8(input).unwrap();
        if !input.contains("\"message_start\"") {
            continue;
        }
        let (same, progress) = run(input.as_bytes(), &[usize::MAX], false);
        assert_eq!(same.trim_end(), input.trim_end(), "{path:?}");
        assert_eq!(progress.ended, input.contains("\"message_stop\""), "{path:?}");
        assert!(progress.content_started && progress.usage.is_some(), "{path:?}");
        let (out, echoed) = run(input.as_bytes(), &[11, 1, 500], true);
        assert_eq!(echoed, Progress { bytes_out: out.len() as u64, ..progress }, "{path:?}");
        let events = |text: &str| -> Vec<Value> {
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok()).collect()
        };
        let mut expected = events(&input);
        for event in expected.iter_mut().filter(|event| event["message"]["model"].is_string()) {
            event["message"]["model"] = "azure/Claude".into();
        }
        assert_eq!(events(&out), expected, "{path:?}");
    }
}
