//! What two dialects can both say survives the way there and back.

use proptest::prelude::*;
use serde_json::json;

use super::super::request::{Part, Role};
use super::super::{chat, messages, responses};
use super::*;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn claude(request: &Request) -> Value {
    messages::request_write::write(request, &target("claude-sonnet-4-6", "maker")).unwrap().body
}

fn as_chat(request: &Request) -> Value {
    chat::request_write::write(request, &target("gpt-5.2", "maker")).unwrap()
}

fn as_responses(request: &Request) -> Value {
    responses::request_write::write(request, &target("gpt-5.2", "maker")).unwrap()
}

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Z\u{e4}\u{1F980}\"\\\\ ]{0,8}x"
}

fn user_part() -> impl Strategy<Value = Value> {
    prop_oneof![
        words().prop_map(|text| json!({"type": "text", "text": text})),
        Just(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}})),
        Just(json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}})),
        Just(
            json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "a.pdf"})
        ),
    ]
}

/// A question, perhaps with calls and their results behind it.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let calls = prop::collection::vec((words(), words()), 0..3);
    (prop::collection::vec(user_part(), 1..3), words(), calls).prop_map(|(asked, said, calls)| {
        let mut turns = vec![json!({"role": "user", "content": asked})];
        let mut answer = vec![json!({"type": "text", "text": said})];
        let (mut results, mut count) = (Vec::new(), 0);
        for (argument, result) in calls {
            let id = format!("toolu_{count}");
            count += 1;
            answer.push(json!({"type": "tool_use", "id": id, "name": "f", "input": {"b": argument, "a": 1}}));
            results
                .push(json!({"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": result}]}));
        }
        turns.push(json!({"role": "assistant", "content": answer}));
        if !results.is_empty() {
            turns.push(json!({"role": "user", "content": results}));
            turns.push(json!({"role": "assistant", "content": [{"type": "text", "text": "so"}]}));
        }
        turns
    })
}

fn conversation() -> impl Strategy<Value = Value> {
    let choice = prop_oneof![
        Just(json!({"type": "auto"})),
        Just(json!({"type": "any"})),
        Just(json!({"type": "none"})),
        Just(json!({"type": "tool", "name": "f"})),
    ];
    let effort = prop::option::of(prop_oneof![Just("low"), Just("medium"), Just("high")]);
    (prop::collection::vec(exchange(), 1..4), words(), 1..9000_u64, choice, effort, any::<bool>()).prop_map(
        |(turns, system, limit, choice, effort, stream)| {
            let mut messages: Vec<Value> = turns.concat();
            messages.push(json!({"role": "user", "content": [{"type": "text", "text": "go"}]}));
            let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number", "maximum": 1.5}}});
            let mut body = json!({
                "model": "m", "max_tokens": limit.max(16), "system": [{"type": "text", "text": system}], "messages": messages,
                "tools": [{"name": "f", "description": "d", "input_schema": schema}], "tool_choice": choice, "stream": stream,
            });
            if let Some(effort) = effort {
                body["thinking"] = json!({"type": "adaptive", "display": "omitted"});
                body["output_config"] = json!({"effort": effort});
                body["tool_choice"] = json!({"type": "auto"});
            }
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn messages_through_chat_completions(body in conversation()) {
        let meant = messages::request_read::read(object(body)).unwrap();
        let back = chat::request_read::read(object(as_chat(&meant))).unwrap();
        prop_assert_eq!(claude(&back), claude(&meant));
    }

    #[test]
    fn messages_through_responses(body in conversation()) {
        let meant = messages::request_read::read(object(body)).unwrap();
        let back = responses::request_read::read(object(as_responses(&meant))).unwrap();
        prop_assert_eq!(claude(&back), claude(&meant));
    }

    #[test]
    fn chat_completions_through_messages(body in conversation()) {
        let meant = chat::request_read::read(object(as_chat(&messages::request_read::read(object(body)).unwrap()))).unwrap();
        let back = messages::request_read::read(object(claude(&meant))).unwrap();
        prop_assert_eq!(as_chat(&back), as_chat(&meant));
    }

    #[test]
    fn responses_through_messages(body in conversation()) {
        let first = messages::request_read::read(object(body)).unwrap();
        let meant = responses::request_read::read(object(as_responses(&first))).unwrap();
        let back = messages::request_read::read(object(claude(&meant))).unwrap();
        // Whether thoughts are shown is left to Claude where nobody asked for them.
        let asked = |request: &Request| {
            let mut body = as_responses(request);
            body["reasoning"].as_object_mut().map(|reasoning| reasoning.remove("summary"));
            body
        };
        prop_assert_eq!(asked(&back), asked(&meant));
    }

    #[test]
    fn responses_through_chat_completions(body in conversation()) {
        let first = messages::request_read::read(object(body)).unwrap();
        let meant = responses::request_read::read(object(as_responses(&first))).unwrap();
        let back = chat::request_read::read(object(as_chat(&meant))).unwrap();
        prop_assert_eq!(as_responses(&back), as_responses(&meant));
    }
}

#[test]
fn traps_59_cache_marks_reach_claude_from_every_dialect() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    for (from, body) in [
        (
            Protocol::Chat,
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}]}]}),
        ),
        (
            Protocol::Chat,
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "1h"}}]}]}),
        ),
        (
            Protocol::Responses,
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "cache_control": mark}]}]}),
        ),
    ] {
        let target = target("claude-sonnet-4-6", "azure");
        let translated = request(from, Protocol::Messages, body.to_string().as_bytes(), &target, &presented()).unwrap();
        let sent: Value = serde_json::from_slice(&translated.body).unwrap();
        assert_eq!(sent["messages"][0]["content"][0]["cache_control"], mark, "{sent}");
    }
}

#[test]
fn traps_58_reasoning_goes_back_only_to_the_resource_that_made_it() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": format!("azg1.{ORIGIN}.rs_1.gAAA")}, {"type": "text", "text": "y"}]},
        {"role": "user", "content": "z"}]});
    for (origin, kept) in [(ORIGIN, true), ("another", false)] {
        let target = Target { origin, ..target("gpt-5.2", "maker") };
        let translated =
            request(Protocol::Messages, Protocol::Responses, body.to_string().as_bytes(), &target, &presented())
                .unwrap();
        let sent: Value = serde_json::from_slice(&translated.body).unwrap();
        let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"});
        assert_eq!(sent["input"].as_array().unwrap().contains(&reasoning), kept, "{sent}");
    }
    // What Claude signed stays with Claude.
    let meant = messages::request_read::read(object(body)).unwrap();
    let is_thought = |part: &Part| matches!(part, Part::Thought(_));
    assert!(meant.turns.iter().any(|turn| turn.role == Role::Assistant && turn.parts.iter().any(is_thought)));
    assert!(!claude(&meant).to_string().contains("azg1."));
}
