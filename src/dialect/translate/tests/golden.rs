//! The cases of `tests/golden/translation`: what goes in, and what has to come out. With `AZGATE_GOLDEN=write` in the
//! environment the outputs are written anew, to be read before they are kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translation");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_default()
}

fn outcome(case: &Value) -> Value {
    let (from, to) = (protocol(text(case, "from")), protocol(text(case, "to")));
    let input = || case["input"].to_string();
    match text(case, "kind") {
        "request" => {
            let target = target(text(case, "model"), text(case, "host"));
            match request(from, to, input().as_bytes(), &target, &presented()) {
                Ok(translated) => serde_json::from_slice(&translated.body).unwrap(),
                Err(refused) => json!({"field": refused.field(), "refused": refused.to_string()}),
            }
        }
        "answer" => {
            let whole = reply(to, from).whole(input().as_bytes()).unwrap();
            let body: Value = serde_json::from_slice(&whole.body).unwrap();
            json!({"failed": whole.failed, "body": body})
        }
        "error" => {
            let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
            let reply = reply(to, from);
            let body: Value = serde_json::from_slice(&reply.error(status, input().as_bytes())).unwrap();
            json!({"status": reply.status(status), "body": body})
        }
        _ => {
            let (out, progress) = run(&reply(to, from), text(case, "input"), &[usize::MAX]);
            let lines: Vec<&str> = out.split("\n\n").filter(|line| !line.is_empty()).collect();
            json!({"ended": progress.ended, "failed": progress.error.is_some(), "events": lines})
        }
    }
}

#[test]
fn every_case_comes_out_as_it_is_written() {
    let write = std::env::var_os("AZGATE_GOLDEN").is_some_and(|mode| mode == "write");
    let mut count = 0;
    for path in files() {
        let mut cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in &mut cases {
            count += 1;
            let outcome = outcome(case);
            if write {
                case["output"] = outcome;
                continue;
            }
            let name = format!("{}: {} -> {}: {}", path.display(), case["from"], case["to"], case["name"]);
            assert_eq!(outcome, case["output"], "{name}\nis\n{outcome:#}");
        }
        if write {
            fs::write(&path, serde_json::to_string_pretty(&cases).unwrap() + "\n").unwrap();
        }
    }
    assert!(count >= 100, "{count} cases");
}

#[test]
fn traps_57_the_tool_that_stands_for_structured_output_is_never_shown() {
    let body = json!({"messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": {"type": "object"}}}});
    let target = target("claude-sonnet-4-6", "azure");
    let translated =
        request(Protocol::Chat, Protocol::Messages, body.to_string().as_bytes(), &target, &presented()).unwrap();
    let sent: Value = serde_json::from_slice(&translated.body).unwrap();
    let name = sent["tools"][0]["name"].as_str().unwrap();
    let input = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}});
    let events = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}),
        input,
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let (out, progress) = run(&translated.reply, &stream, &[usize::MAX]);
    assert!(progress.ended && !out.contains("tool_calls") && !out.contains(name), "{out}");
    assert!(out.contains(r#""content":"{\"a\"""#) && out.contains(r#""finish_reason":"stop""#), "{out}");
    let whole = json!({"content": [{"type": "tool_use", "id": "t", "name": name, "input": {"a": 1}}], "stop_reason": "tool_use"});
    let whole: Value =
        serde_json::from_slice(&translated.reply.whole(whole.to_string().as_bytes()).unwrap().body).unwrap();
    assert_eq!(
        (&whole["choices"][0]["message"]["content"], &whole["choices"][0]["finish_reason"]),
        (&json!("{\"a\":1}"), &json!("stop"))
    );
}
