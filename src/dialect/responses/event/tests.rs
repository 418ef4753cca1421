//! Responses streams as Azure and OpenAI send them, in any splitting: what passes, what changes, what is noted.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::super::chat::stream::tests::recorded;
use super::super::super::error::is_throttling;
use super::super::super::stream::tests::driven;
use super::super::super::stream::{ChunkTransform, Progress};
use super::super::ResponsesStream;
use super::*;

/// Marks what is bound so that a test sees it.
pub(in crate::dialect) struct Marked;

impl Bound for Marked {
    fn id(&self, id: &str) -> String {
        format!("~{id}")
    }

    fn mark(&self) -> Bytes {
        Bytes::from_static(b"^")
    }
}

const STREAM: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","created_at":1770803615,"model":"gpt-5.2-2025","output":[],"previous_response_id":"resp_0","usage":null,"error":null,"tools":[{"id":"no"}]}}

event: response.in_progress
data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","model":"gpt-5.2-2025","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA","summary":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"gAAB","summary":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"id":"msg_1","type":"message","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_1","delta":"Grüße 😀 \"model\":\"x\"","obfuscation":"x"}

event: response.future_thing
data: {"type":"response.future_thing","sequence_number":6,"model":"stays","id":"stays"}

event: response.completed
data: {"type":"response.completed","sequence_number":7,"response":{"id":"resp_1","model":"gpt-5.2-2025","output":[{"id":"msg_1","content":[{"text":"a"}]}],"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":4},"output_tokens":24,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":36}}}

"#;

fn echo() -> Option<Bytes> {
    Some(Bytes::from_static(b"\"azure/GPT-5\""))
}

fn bound() -> ResponsesStream {
    ResponsesStream::native(echo(), Some(Arc::new(Marked)))
}

fn run(mut stream: ResponsesStream, input: &[u8], sizes: &[usize]) -> (String, Progress) {
    driven(&mut stream, input, sizes)
}

fn as_the_caller_sees_it(input: &str) -> String {
    let mut seen = input.replace("\"gpt-5.2-2025\"", "\"azure/GPT-5\"").replace("\"gAA", "\"^gAA");
    for id in ["resp_1", "resp_0", "rs_1", "msg_1"] {
        seen = seen.replace(&format!("\"{id}\""), &format!("\"~{id}\""));
    }
    seen
}

#[test]
fn models_ids_and_reasoning_are_the_callers_and_nothing_else_changes() {
    let (out, progress) = run(bound(), STREAM.as_bytes(), &[usize::MAX]);
    assert_eq!(out, as_the_caller_sees_it(STREAM));
    let usage = Usage { input: 12, cached_input: 4, cache_write: 0, output: 24, reasoning: 2 };
    let expected = Progress {
        events: 8,
        content_events: 4,
        content_started: true,
        ended: true,
        enough: false,
        error: None,
        usage: Some(usage),
        background: None,
        bytes_out: out.len() as u64,
    };
    assert_eq!(progress, expected);
    assert_eq!(run(ResponsesStream::native(None, None), STREAM.as_bytes(), &[usize::MAX]).0, STREAM);
}

#[test]
fn filter_results_are_removed_when_wanted() {
    let filters = STREAM.replace("\"error\":null", "\"content_filters\":[{\"blocked\":false}],\"error\":null");
    for input in [filters.clone(), filters.replace('\n', "\r\n")] {
        let (out, progress) = run(bound().without_filter_results(), input.as_bytes(), &[usize::MAX]);
        assert_eq!(out.replace("\r\n", "\n"), as_the_caller_sees_it(STREAM));
        assert_eq!((progress.events, progress.ended), (8, true));
    }
}

#[test]
fn traps_52_a_stream_begins_with_its_first_output() {
    let mut stream = bound();
    for (event, started) in STREAM.split_inclusive("\n\n").zip([false, false, false, true]) {
        stream.push(Bytes::copy_from_slice(event.as_bytes()), &mut Vec::new()).unwrap();
        assert_eq!(stream.progress().content_started, started, "{event}");
    }
    for (item, content) in [("function_call", true), ("web_search_call", true), ("message", false)] {
        let added = format!("data: {{\"type\":\"response.output_item.added\",\"item\":{{\"type\":\"{item}\"}}}}\n\n");
        assert_eq!(run(bound(), added.as_bytes(), &[9]).1.content_started, content, "{item}");
    }
}

#[test]
fn throttling_inside_a_stream_is_seen_in_either_order() {
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"too_many_requests\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"},\"sequence_number\":2}\n\n";
    let flat = "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null}\n\n";
    let silent = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"error\":null}}\n\n";
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}}}\n\n";
    for events in [[silent, error], [error, failed], [silent, flat], [flat, silent], ["", failed]] {
        let (_, progress) = run(bound(), events.concat().as_bytes(), &[11]);
        assert!(is_throttling(progress.error.as_deref().unwrap()), "{events:?}: {progress:?}");
        assert!(!progress.content_started && !progress.ended);
    }
    let (_, progress) = run(bound(), silent.as_bytes(), &[usize::MAX]);
    assert_eq!(progress.error.unwrap(), "{\"error\":null}", "a failure, whatever the reason");
}

#[test]
fn a_stream_that_breaks_off_ends_as_a_response_that_failed() {
    let mut stream = bound();
    let half: String = STREAM.split_inclusive("\n\n").take(6).collect();
    stream.push(half.into(), &mut Vec::new()).unwrap();
    let error =
        ErrorView { status: 502, code: "upstream_broken", message: "it \"broke\"", param: None, request_id: "r" };
    let event = stream.broken(Dialect::OpenAi, &error);
    let event = std::str::from_utf8(&event).unwrap();
    let data = event.strip_prefix("event: response.failed\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data["type"], &data["sequence_number"]), (&json!("response.failed"), &json!(6)));
    let response = &data["response"];
    assert_eq!(response["error"], json!({"code": "upstream_broken", "message": "it \"broke\""}));
    assert_eq!((&response["id"], &response["status"]), (&json!("~resp_1"), &json!("failed")));
    assert_eq!(response["created_at"], 1770803615);
}

#[test]
fn the_last_event_counts_without_its_blank_line_and_a_broken_one_does_not() {
    let (out, progress) = run(bound(), STREAM.trim_end().as_bytes(), &[usize::MAX]);
    assert_eq!((out, progress.ended), (as_the_caller_sees_it(STREAM), true));
    let (_, progress) = run(bound(), &STREAM.as_bytes()[..STREAM.len() - 9], &[usize::MAX]);
    assert!(!progress.ended);
}

#[test]
fn what_is_no_event_passes() {
    let input = "data: hello \"id\":\"x\"\n\n: ping\n\nevent: x\n\ndata: 3\n\ndata: {\"id\":\"x\"\n\nevent: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":3}\n\n";
    let (out, progress) = run(bound(), input.as_bytes(), &[2]);
    assert_eq!(out, input);
    assert!(!progress.content_started);
}

fn variants() -> Vec<String> {
    let commented = STREAM.replace("data: {", ": keep-alive\ndata:{");
    let lines = STREAM.replace(",\"response\":", ",\ndata: \"response\":");
    vec![STREAM.replace('\n', "\r\n"), STREAM.replace('\n', "\r"), format!("\u{feff}{STREAM}"), commented, lines]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_splitting_changes_anything(sizes in prop::collection::vec(1..200_usize, 1..8)) {
        for input in variants() {
            let whole = run(bound(), input.as_bytes(), &[usize::MAX]);
            prop_assert_eq!(&run(bound(), input.as_bytes(), &sizes), &whole);
            prop_assert_eq!(&run(bound(), input.as_bytes(), &[1]), &whole);
            prop_assert_eq!((whole.1.events, whole.1.content_events), (8, 4));
        }
    }

    #[test]
    fn no_input_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "data: ", "{", "}", "[", "]", "\"type\"", "\"response\"", "\"id\"", "\"error\"", "\"response.failed\"", ":", ",", "\"", "\\", "\n", "\r", "1", "null",
    ]), 0..40), sizes in prop::collection::vec(1..6_usize, 1..6)) {
        let input = parts.concat();
        prop_assert_eq!(run(bound(), input.as_bytes(), &sizes), run(bound(), input.as_bytes(), &[usize::MAX]));
    }
}

/// Recordings of whole streams, and of their events one in each line.
fn recordings() -> Vec<(String, String)> {
    let framed = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        format!("event: {}\ndata: {line}\n\n", event["type"].as_str().unwrap())
    };
    let whole = recorded("sse").into_iter().map(|(path, text)| (path, String::from_utf8(text).unwrap()));
    let lines = recorded("jsonl").into_iter().filter(|(path, _)| path.to_string_lossy().contains("responses_stream"));
    let lines = lines.map(|(path, text)| {
        let text = String::from_utf8(text).unwrap();
        (path, text.lines().filter(|line| !line.is_empty()).map(framed).collect())
    });
    let all = whole.chain(lines).map(|(path, text)| (path.to_string_lossy().into_owned(), text));
    all.filter(|(_, text)| text.contains("\"response.")).collect()
}

#[test]
fn recorded_streams_change_only_in_model_ids_and_reasoning() {
    for (path, input) in recordings() {
        let (same, progress) = run(ResponsesStream::native(None, None), input.as_bytes(), &[usize::MAX]);
        assert_eq!(same.trim_end(), input.trim_end(), "{path}");
        let fails = input.contains("\"type\":\"error\"");
        assert_eq!((progress.error.is_some(), progress.content_started), (fails, !fails), "{path}");
        assert!(progress.ended || fails, "{path}");
        assert_eq!(progress.usage.is_some(), input.contains("\"input_tokens\""), "{path}");

        let (out, bound) = run(bound(), input.as_bytes(), &[11, 1, 500]);
        let background = bound.background.clone();
        assert_eq!(background.is_some(), progress.background.is_some(), "{path}");
        assert_eq!(bound, Progress { bytes_out: out.len() as u64, background, ..progress }, "{path}");
        let untouched = |text: &str| text.replace(['~', '^'], "").replace("azure/GPT-5", "MODEL");
        let models = input.split("\"model\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        let expected = models
            .fold(input.clone(), |text, model| text.replace(&format!("\"model\":\"{model}\""), "\"model\":\"MODEL\""));
        assert_eq!(untouched(&out).trim_end(), untouched(&expected).trim_end(), "{path}");
    }
}

#[test]
fn a_response_of_the_background_is_told_with_its_id_and_its_model() {
    let event = |background: bool| {
        format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{{\"id\":\"resp_1\",\"model\":\"gpt-5-2025-08-07\",\"background\":{background},\"usage\":{{\"input_tokens\":1,\"output_tokens\":2}}}}}}\n\n"
        )
    };
    let told = |background| run(bound(), event(background).as_bytes(), &[usize::MAX]).1.background;
    let expected = Background { id: "~resp_1".to_owned(), model: "gpt-5-2025-08-07".to_owned() };
    assert_eq!((told(true), told(false)), (Some(expected), None));
}
