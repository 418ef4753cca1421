//! Claude on the simulated Azure: its shapes, its streams, and what it refuses in whose words.

use serde_json::{Value, json};

use super::client::{Reply, V1_CHAT, chat_body, ok, post, send, simulator, with_headers};
use azgate::simulator::Running;

const MESSAGES: &str = "/anthropic/v1/messages";
const HEADERS: [(&str, &str); 2] = [("x-api-key", "sim-key"), ("anthropic-version", "2023-06-01")];

fn body(text: &str, more: Value) -> Value {
    let mut body =
        json!({"model": "claude-sonnet-4-6", "max_tokens": 200, "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn ask(azure: &Running, body: &Value) -> Reply {
    send(azure.addr(), with_headers(MESSAGES, body, &HEADERS)).await
}

/// Name and data of each event.
fn events(reply: &Reply) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).ok()?))
    };
    reply.text().split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn an_answer_and_its_stream_say_the_same() {
    let azure = simulator().await;
    let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096});
    let plain = ok(&ask(&azure, &body("Hello", asked.clone())).await);
    assert_eq!(plain["content"][0]["type"], "thinking");
    assert_eq!(plain["content"][1]["text"], "You said: Hello");
    assert_eq!((&plain["stop_reason"], &plain["model"]), (&json!("end_turn"), &json!("claude-sonnet-4-6")));
    let mut streamed = body("Hello", asked);
    streamed["stream"] = json!(true);
    let reply = ask(&azure, &streamed).await;
    assert!(reply.header("content-type").unwrap().starts_with("text/event-stream"));
    let events = events(&reply);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["message_start", "content_block_start", "ping"]);
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()));
    let text: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(text, "You said: Hello");
    let last = &events[events.len() - 2].1;
    assert_eq!(
        (&last["delta"]["stop_reason"], &last["usage"]["output_tokens"]),
        (&plain["stop_reason"], &plain["usage"]["output_tokens"])
    );
}

#[tokio::test]
async fn scripted_calls_are_made_one_after_the_other() {
    let azure = simulator().await;
    let tool = json!({"name": "Read", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}});
    let prompt = r#"Look [[call Read {"path":"/a"}]] and [[call Read {"path":"/b"}]]"#;
    let mut asked = body(prompt, json!({"tools": [tool]}));
    for path in ["/a", "/b"] {
        let answer = ok(&ask(&azure, &asked).await);
        assert_eq!(answer["stop_reason"], "tool_use");
        assert_eq!(answer["content"][0]["input"], json!({"path": path}));
        let id = &answer["content"][0]["id"];
        let messages = asked["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": answer["content"]}));
        messages.push(
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "found it"}]}),
        );
    }
    let answer = ok(&ask(&azure, &asked).await);
    assert_eq!(
        (&answer["stop_reason"], &answer["content"][0]["text"]),
        (&json!("end_turn"), &json!("The tool answered: found it"))
    );
}

#[tokio::test]
async fn the_model_refuses_in_anthropics_shape() {
    let azure = simulator().await;
    for (more, says) in [
        (json!({"max_tokens": null}), "max_tokens"),
        (json!({"novelty": 1}), "novelty: Extra inputs are not permitted"),
        (json!({"context_management": {}}), "context_management: Extra inputs are not permitted"),
        (json!({"messages": [{"role": "user", "content": ""}]}), "non-whitespace"),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}]}),
            "without `tool_result`",
        ),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "forged"}]}, {"role": "user", "content": "x"}]}),
            "signature",
        ),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 10}}), "1024"),
        (json!({"temperature": 1.5}), "temperature"),
        (json!({"output_config": {"format": {"type": "json_schema"}}}), "output_config.format"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
    ] {
        let reply = ask(&azure, &body("Hello", more)).await;
        let error = reply.json();
        assert_eq!(
            (reply.status, &error["type"], &error["error"]["type"]),
            (400, &json!("error"), &json!("invalid_request_error"))
        );
        assert!(reply.message().contains(says), "{says}: {}", reply.text());
    }
    let with = |headers: Vec<(&'static str, &'static str)>| {
        let request = with_headers(MESSAGES, &body("Hello", json!({})), &headers);
        let azure = azure.addr();
        async move { send(azure, request).await }
    };
    assert!(with(vec![HEADERS[0]]).await.message().contains("anthropic-version"));
    let rejected =
        with(vec![HEADERS[0], HEADERS[1], ("anthropic-beta", "effort-2025-11-24,fast-mode-2026-02-01")]).await;
    assert!(rejected.message().contains("fast-mode"), "{}", rejected.text());
}

#[tokio::test]
async fn the_gate_refuses_in_azures_shape() {
    let azure = simulator().await;
    let unknown = ask(&azure, &body("Hello", json!({"model": "claude-unknown"}))).await;
    assert_eq!((unknown.status, &unknown.error()["code"]), (404, &json!("DeploymentNotFound")));
    let wrong =
        send(azure.addr(), with_headers(MESSAGES, &body("Hello", json!({})), &[("x-api-key", "bad"), HEADERS[1]]))
            .await;
    assert_eq!((wrong.status, &wrong.error()["code"]), (401, &json!("401")));
    let gpt = ask(&azure, &body("Hello", json!({"model": "gpt-4o"}))).await;
    assert_eq!((gpt.status, &gpt.error()["code"]), (404, &json!("api_not_supported")));
    let claude = send(azure.addr(), post(V1_CHAT, &chat_body("claude-sonnet-4-6", "Hello", json!({})))).await;
    assert_eq!((claude.status, &claude.error()["code"]), (404, &json!("api_not_supported")));
}

#[tokio::test]
async fn tokens_are_counted_and_cached_ones_told_apart() {
    let azure = simulator().await;
    let marked = json!({"system": [{"type": "text", "text": "Be brief. Be kind. Be quick.", "cache_control": {"type": "ephemeral"}}]});
    let counted =
        with_headers("/anthropic/v1/messages/count_tokens?beta=true", &body("Hello", marked.clone()), &HEADERS);
    let count = ok(&send(azure.addr(), counted).await)["input_tokens"].as_u64().unwrap();
    let usage = ok(&ask(&azure, &body("Hello", marked)).await)["usage"].clone();
    let read = usage["cache_read_input_tokens"].as_u64().unwrap();
    assert!(read > 0);
    assert_eq!(usage["input_tokens"].as_u64().unwrap() + read, count);
}

#[tokio::test]
async fn a_fault_ends_a_stream_with_an_error_of_its_own() {
    let azure = simulator().await;
    let mut headers = HEADERS.to_vec();
    headers.push(("x-sim-fault", "error-event-at=2"));
    let reply = send(azure.addr(), with_headers(MESSAGES, &body("Hello", json!({"stream": true})), &headers)).await;
    let events = events(&reply);
    assert_eq!((events.len(), events[2].0.as_str()), (3, "error"));
    assert_eq!(events[2].1["error"]["type"], "overloaded_error");
}
