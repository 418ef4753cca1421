//! Streams as Azure sends them, in any splitting: what passes, what changes, what is noted.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::super::super::stream::tests::driven;
use super::*;

const FILTER: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// The prompt's verdict, a role, text in many bytes, an asynchronous verdict without delta and after the end, usage.
fn azure() -> String {
    let chunk = |choices: &str, rest: &str| {
        format!(
            r#"data: {{"choices":[{choices}],"created":1780491942,"id":"chatcmpl-1","model":"gpt-5.2-2025-12-11","object":"chat.completion.chunk"{rest}}}"#
        )
    };
    let delta = |delta: &str, finish: &str| {
        format!(
            r#"{{"content_filter_results":{FILTER},"delta":{delta},"finish_reason":{finish},"index":0,"logprobs":null}}"#
        )
    };
    let padding = r#","obfuscation":"fSB4uubIG","usage":null"#;
    let lines = [
        format!(r#"data: {{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{FILTER}}}]}}"#),
        chunk(&delta(r#"{"content":"","refusal":null,"role":"assistant"}"#, "null"), padding),
        chunk(&delta(r#"{"content":"Grüße 😀 \"model\":\"x\""}"#, "null"), padding),
        chunk(&delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"model\":1}"}}]}"#, "null"), padding),
        r#"data: {"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{"check_offset":65}}],"usage":null}"#.to_owned(),
        chunk(&delta("{}", "\"stop\""), padding),
        r#"data: {"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}],"usage":null}"#.to_owned(),
        chunk("", r#","usage":{"completion_tokens":24,"completion_tokens_details":{"reasoning_tokens":2},"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"total_tokens":36}"#),
        "data: [DONE]".to_owned(),
    ];
    lines.map(|line| line + "\n\n").concat()
}

fn run(mut stream: ChatStream, input: &[u8], sizes: &[usize]) -> (String, Progress) {
    driven(&mut stream, input, sizes)
}

fn echo() -> Option<Bytes> {
    Some(Bytes::from_static(b"\"azure/GPT-5\""))
}

/// Recordings that may lie beside the project; they are not part of it.
pub fn recorded(extension: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/fixtures"));
    let Some(root) = beside.into_iter().find(|folder| folder.is_dir()) else { return Vec::new() };
    let folders = fs::read_dir(root).unwrap().filter_map(|entry| fs::read_dir(entry.unwrap().path()).ok()).flatten();
    let paths = folders.map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn azure_particulars_pass_and_the_model_is_echoed() {
    let (out, progress) = run(ChatStream::new(echo(), false), azure().as_bytes(), &[usize::MAX]);
    assert_eq!(out, azure().replace("\"gpt-5.2-2025-12-11\"", "\"azure/GPT-5\""));
    let usage = Usage { input: 12, cached_input: 4, cache_write: 0, output: 24, reasoning: 2 };
    let expected = Progress {
        events: 8,
        content_events: 3,
        content_started: true,
        ended: true,
        enough: false,
        error: None,
        usage: Some(usage),
        background: None,
        bytes_out: out.len() as u64,
    };
    assert_eq!(progress, expected);
}

#[test]
fn without_an_echo_every_byte_passes() {
    let (out, _) = run(ChatStream::new(None, false), azure().as_bytes(), &[usize::MAX]);
    assert_eq!(out, azure());
}

#[test]
fn only_the_usage_chunk_is_hidden() {
    let (out, progress) = run(ChatStream::new(None, true), azure().as_bytes(), &[usize::MAX]);
    let kept: Vec<_> =
        azure().split_inclusive("\n\n").filter(|line| !line.contains("completion_tokens")).map(str::to_owned).collect();
    assert_eq!(out, kept.concat());
    assert_eq!(kept.len(), 8);
    assert_eq!(progress.usage.unwrap().output, 24);

    let verdict = "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":{\"prompt_tokens\":1}}\n\n";
    assert_eq!(run(ChatStream::new(None, true), verdict.as_bytes(), &[usize::MAX]).0, verdict);
}

#[test]
fn filter_results_are_removed_when_wanted() {
    let (out, progress) =
        run(ChatStream::new(echo(), false).without_filter_results(), azure().as_bytes(), &[usize::MAX]);
    assert!(!out.contains("filter"), "{out}");
    assert_eq!(out.matches("\"azure/GPT-5\"").count(), 5);
    assert_eq!(out.matches("data: ").count(), 8, "the prompt's verdict went whole");
    assert_eq!((progress.events, progress.content_events), (8, 3));
    for line in out.lines().filter_map(|line| line.strip_prefix("data: {")) {
        serde_json::from_str::<Value>(&format!("{{{line}")).unwrap();
    }
}

#[test]
fn legacy_completions_are_streams_too() {
    let input = "data: {\"choices\":[{\"text\":\"\",\"index\":0}],\"model\":\"m\"}\n\ndata: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"length\"}],\"model\":\"m\"}\n\ndata: [DONE]\n\n";
    let (out, progress) = run(ChatStream::new(echo(), true), input.as_bytes(), &[usize::MAX]);
    assert_eq!(out, input.replace("\"m\"", "\"azure/GPT-5\""));
    assert_eq!((progress.events, progress.content_events), (2, 1));
}

#[test]
fn error_events_are_noted_and_passed() {
    let input = "data: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}\n\n";
    let (out, progress) = run(ChatStream::new(echo(), true), input.as_bytes(), &[5]);
    assert_eq!(out, input);
    assert_eq!(progress.error.unwrap(), input.trim_start_matches("data: ").trim_end());
    assert!(!progress.ended && !progress.content_started);
    let input = "data: {\"choices\":[],\"error\":null}\n\n";
    assert_eq!(run(ChatStream::new(None, true), input.as_bytes(), &[5]).1.error, None);
}

#[test]
fn data_of_several_lines_is_edited_too() {
    let input = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\ndata: \"model\":\"m\"}\n\ndata: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n";
    let (out, progress) = run(ChatStream::new(echo(), true), input.as_bytes(), &[4]);
    assert_eq!(out, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\ndata: \"model\":\"azure/GPT-5\"}\n\n");
    assert_eq!((progress.events, progress.content_events, progress.usage.unwrap().input), (2, 1, 1));
    let (out, _) = run(ChatStream::new(None, false), input.as_bytes(), &[4]);
    assert_eq!(out, input);
}

#[test]
fn what_is_not_json_passes() {
    let input = "data: hello \"model\":\"x\"\n\n: ping\n\nevent: x\n\ndata: 3\n\ndata: {\"model\":\"x\"\n\n";
    assert_eq!(run(ChatStream::new(echo(), true), input.as_bytes(), &[2]).0, input);
}

#[test]
fn a_broken_off_event_is_dropped_and_a_harmless_tail_is_not() {
    let done = "data: {}\n\n";
    for (tail, kept, ended) in [
        ("data: {\"choices\":[{\"delta\":{\"content\":\"half", "", false),
        ("data: {\"model\":\"x\"}\n", "", false),
        ("event: x\n", "", false),
        (": ping", ": ping", false),
        ("\r", "\r", false),
        ("data: [DONE]", "data: [DONE]\n\n", true),
        ("data: [DONE]\n", "data: [DONE]\n\n\n", true),
    ] {
        let (out, progress) = run(ChatStream::new(echo(), true), format!("{done}{tail}").as_bytes(), &[usize::MAX]);
        assert_eq!((out, progress.ended), (format!("{done}{kept}"), ended), "{tail:?}");
    }
}

#[test]
fn untouched_events_of_a_chunk_stay_one_slice() {
    let input = Bytes::from(azure());
    let mut out = Vec::new();
    ChatStream::new(None, false).push(input.clone(), &mut out).unwrap();
    assert_eq!((out.len(), out[0].as_ptr()), (1, input.as_ptr()));
    out.clear();
    ChatStream::new(echo(), false).push(input, &mut out).unwrap();
    assert_eq!(out.len(), 5 * 2 + 1, "five models, and the text between them");
}

fn variants() -> Vec<String> {
    let lf = azure();
    let commented = lf.replace("data: {", ": keep-alive\r\rdata:{");
    vec![lf.replace('\n', "\r\n"), lf.replace('\n', "\r"), format!("\u{feff}{lf}"), commented, lf]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_splitting_changes_anything(sizes in prop::collection::vec(1..200_usize, 1..8), hide: bool, strip: bool) {
        let stream = || {
            let stream = ChatStream::new(echo(), hide);
            if strip { stream.without_filter_results() } else { stream }
        };
        for input in variants() {
            let whole = run(stream(), input.as_bytes(), &[usize::MAX]);
            prop_assert_eq!(&run(stream(), input.as_bytes(), &sizes), &whole);
            prop_assert_eq!(&run(stream(), input.as_bytes(), &[1]), &whole);
            prop_assert_eq!(whole.1.events, 8);
        }
    }

    #[test]
    fn no_input_panics(parts in prop::collection::vec(prop::sample::select(vec![
        "data: ", "{", "}", "[", "]", "\"model\"", "\"choices\"", "\"usage\"", "\"error\"", "\"delta\"", ":", ",", "\"", "\\", "\n", "\r", "1", "null",
    ]), 0..40), sizes in prop::collection::vec(1..6_usize, 1..6)) {
        let input = parts.concat();
        let stream = || ChatStream::new(echo(), true).without_filter_results();
        prop_assert_eq!(run(stream(), input.as_bytes(), &sizes), run(stream(), input.as_bytes(), &[usize::MAX]));
    }
}

#[test]
fn recorded_streams_change_only_in_their_model() {
    for (path, input) in recorded("sse") {
        let input = String::from_utf8(input).unwrap();
        if !input.contains("\"choices\"") {
            continue;
        }
        let (same, progress) = run(ChatStream::new(None, false), input.as_bytes(), &[usize::MAX]);
        assert_eq!(same.trim_end(), input.trim_end(), "{path:?}");
        assert!(progress.content_started && progress.ended, "{path:?}");
        assert_eq!(progress.usage.is_some(), input.contains("\"prompt_tokens\""), "{path:?}");

        let (out, echoed) = run(ChatStream::new(echo(), false), input.as_bytes(), &[11, 1, 500]);
        assert_eq!(echoed, Progress { bytes_out: out.len() as u64, ..progress }, "{path:?}");
        let events = |text: &str| -> Vec<Value> {
            text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok()).collect()
        };
        let mut expected = events(&input);
        for event in &mut expected {
            if event["model"].as_str().is_some_and(|model| !model.is_empty()) {
                event["model"] = "azure/GPT-5".into();
            }
        }
        assert_eq!(events(&out), expected, "{path:?}");
    }
}
