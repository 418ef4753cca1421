//! Callers of one dialect against models of the other family: requests, answers, streams, errors, over real sockets.

use azgate::simulator::Running;
use serde_json::{Value, json};

use super::support::*;

/// One key with every kind of model: `sonnet` is Claude, `gpt` is called by Responses, `gpt-chat` by Chat Completions.
async fn gateway() -> (Running, Gateway) {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let key = &mut config["providers"]["azure"]["keys"][0];
    key["aliases"]["sonnet"] = json!({"model_id": "claude-sonnet-4-6", "model_family": "anthropic"});
    key["aliases"]["haiku"] = json!({"model_id": "claude-haiku-4-5", "model_family": "anthropic"});
    key["aliases"]["gpt"] = json!("gpt-4o");
    key["aliases"]["thinker"] = json!("gpt-5.2");
    key["aliases"]["gpt-chat"] = json!({"model_id": "gpt-4o", "api": "chat"});
    let gateway = Gateway::start(&config).await;
    (azure, gateway)
}

fn with(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn messages(model: &str, text: &str, more: Value) -> Value {
    with(json!({"model": model, "max_tokens": 300, "messages": [{"role": "user", "content": text}]}), more)
}

fn chat(text: &str, more: Value) -> Value {
    with(json!({"model": "sonnet", "messages": [{"role": "user", "content": text}]}), more)
}

fn weather() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false})
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    gateway.post(path, &[], body.to_string()).await
}

fn last_path(azure: &Running) -> String {
    azure.recorded().pop().unwrap().path
}

/// The text of the deltas of a Messages stream.
fn said(answer: &Answer) -> String {
    answer.events().iter().filter_map(|event| event["delta"]["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn messages_reach_openai_deployments_by_either_api() {
    let (azure, gateway) = gateway().await;
    for (model, path) in [("gpt", "/openai/v1/responses"), ("gpt-chat", "/openai/deployments/gpt-4o/chat/completions")]
    {
        let plain =
            post(&gateway, "/anthropic/v1/messages", &messages(model, "Hello you", json!({"system": "Be kind."})))
                .await;
        let message = plain.json();
        assert_eq!(
            (plain.status, message["content"][0]["text"].as_str()),
            (200, Some("You said: Hello you")),
            "{model}: {message}"
        );
        assert_eq!(
            (&message["type"], &message["model"], &message["stop_reason"]),
            (&json!("message"), &json!(model), &json!("end_turn"))
        );
        assert!(
            message["usage"]["input_tokens"].as_u64().unwrap() > 0
                && message["usage"]["output_tokens"].as_u64().unwrap() > 0
        );
        assert_eq!(last_path(&azure), path);
        let streamed = post(&gateway, "/v1/messages", &messages(model, "Hello you", json!({"stream": true}))).await;
        assert_eq!(said(&streamed), "You said: Hello you", "{model}: {}", streamed.text());
        let events = streamed.events();
        assert_eq!(
            (&events[0]["message"]["model"], &events.last().unwrap()["type"]),
            (&json!(model), &json!("message_stop"))
        );
        assert!(streamed.text().starts_with("event: message_start\n"));
        assert!(events[events.len() - 2]["usage"]["output_tokens"].as_u64().unwrap() > 0, "{}", streamed.text());
    }
    for line in gateway.request_lines(4).await {
        assert!(line["usage"]["output"].as_u64().unwrap() > 0 && line["usage_estimated"].is_null(), "{line}");
    }
}

#[tokio::test]
async fn tools_go_there_and_back_in_both_apis() {
    let (azure, gateway) = gateway().await;
    for model in ["gpt", "gpt-chat", "thinker"] {
        for stream in [false, true] {
            let tools = json!([{"name": "get_weather", "description": "w", "input_schema": weather()}]);
            let mut asked =
                messages(model, r#"[[call get_weather {"city":"Paris"}]]"#, json!({"tools": tools, "stream": stream}));
            let answer = post(&gateway, "/v1/messages", &asked).await;
            let (id, input, reason) = call_of(&answer, stream);
            assert_eq!(
                (input.as_str(), reason.as_str()),
                (r#"{"city":"Paris"}"#, "tool_use"),
                "{model} {stream}: {}",
                answer.text()
            );
            let turns = asked["messages"].as_array_mut().unwrap();
            turns.push(json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": "Paris"}}]}));
            let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
            turns.push(json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "sunny"}, image]},
                {"type": "text", "text": "thanks"}]}));
            let answer = post(&gateway, "/v1/messages", &asked).await;
            assert_eq!(answer.status, 200, "{model} {stream}: {}", answer.text());
            let sent = azure.recorded().pop().unwrap().body.unwrap();
            assert!(
                sent.contains("sunny") && sent.contains("iVBORw0KGgo="),
                "the image of the result arrives too: {sent}"
            );
        }
    }
}

/// Id, arguments and reason of an answer that calls one tool.
fn call_of(answer: &Answer, stream: bool) -> (String, String, String) {
    if !stream {
        let message = answer.json();
        let call = message["content"]
            .as_array()
            .unwrap()
            .iter()
            .find(|block| block["type"] == "tool_use")
            .unwrap_or_else(|| panic!("{message}"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        return (text(&call["id"]), call["input"].to_string(), text(&message["stop_reason"]));
    }
    let events = answer.events();
    let begun = events
        .iter()
        .find(|event| event["content_block"]["type"] == "tool_use")
        .unwrap_or_else(|| panic!("{}", answer.text()));
    let input: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    let reason = events.iter().find_map(|event| event["delta"]["stop_reason"].as_str()).unwrap_or_default().to_owned();
    (begun["content_block"]["id"].as_str().unwrap().to_owned(), input, reason)
}

#[tokio::test]
async fn traps_58_reasoning_is_carried_over_turns_inside_signatures() {
    let (azure, gateway) = gateway().await;
    let thinking = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}});
    let mut asked = messages("thinker", "Hello", thinking);
    asked["max_tokens"] = json!(4000);
    let answer = post(&gateway, "/v1/messages", &asked).await.json();
    let thought = &answer["content"][0];
    assert_eq!(thought["type"], "thinking", "{answer}");
    assert!(thought["signature"].as_str().unwrap().starts_with("azg1."));
    let turns = asked["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": answer["content"]}));
    turns.push(json!({"role": "user", "content": "And now?"}));
    let again = post(&gateway, "/v1/messages", &asked).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let sent: Value = serde_json::from_str(&azure.recorded().pop().unwrap().body.unwrap()).unwrap();
    let reasoning = sent["input"].as_array().unwrap().iter().find(|item| item["type"] == "reasoning").unwrap();
    assert!(reasoning["encrypted_content"].is_string() && sent["store"] == json!(false), "{sent}");
    assert_eq!(sent["reasoning"]["effort"], "medium");
}

#[tokio::test]
async fn chat_reaches_claude() {
    let (azure, gateway) = gateway().await;
    let plain = gateway.chat(&chat("Hello you", json!({"temperature": 1.5, "stop": ["never"]}))).await;
    let answer = plain.json();
    assert_eq!(
        (plain.status, answer["choices"][0]["message"]["content"].as_str()),
        (200, Some("You said: Hello you")),
        "{answer}"
    );
    assert_eq!(
        (&answer["object"], &answer["model"], &answer["choices"][0]["finish_reason"]),
        (&json!("chat.completion"), &json!("sonnet"), &json!("stop"))
    );
    assert_eq!(last_path(&azure), "/anthropic/v1/messages");
    for wanted in [true, false] {
        let asked = chat("Hello you", json!({"stream": true, "stream_options": {"include_usage": wanted}}));
        let streamed = gateway.chat(&asked).await;
        let events = streamed.events();
        let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, "You said: Hello you", "{}", streamed.text());
        assert!(streamed.text().ends_with("data: [DONE]\n\n"));
        assert_eq!(events.iter().filter(|event| event["usage"].is_object()).count(), usize::from(wanted));
        assert!(events.iter().all(|event| event["model"] == "sonnet" && event["object"] == "chat.completion.chunk"));
    }
}

#[tokio::test]
async fn tools_of_chat_callers_reach_claude_and_come_back() {
    let (_azure, gateway) = gateway().await;
    let tools =
        json!([{"type": "function", "function": {"name": "get_weather", "parameters": weather(), "strict": true}}]);
    for stream in [false, true] {
        let mut asked = chat("[[calls=2]] get_weather", json!({"tools": tools, "stream": stream}));
        let answer = gateway.chat(&asked).await;
        let calls: Vec<Value> = if stream {
            let events = answer.events();
            let parts: Vec<&Value> = events
                .iter()
                .filter_map(|event| {
                    event["choices"][0]["delta"]["tool_calls"][0]
                        .as_object()
                        .map(|_| &event["choices"][0]["delta"]["tool_calls"][0])
                })
                .collect();
            let ids = parts.iter().filter(|part| part["id"].is_string());
            let arguments = |index: &Value| -> String {
                parts
                    .iter()
                    .filter(|part| &part["index"] == index)
                    .filter_map(|part| part["function"]["arguments"].as_str())
                    .collect()
            };
            ids.map(|part| json!({"id": part["id"], "type": "function", "function": {"name": part["function"]["name"], "arguments": arguments(&part["index"])}})).collect()
        } else {
            answer.json()["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone()
        };
        assert_eq!(calls.len(), 2, "{stream}: {}", answer.text());
        assert!(calls.iter().all(|call| {
            serde_json::from_str::<Value>(call["function"]["arguments"].as_str().unwrap()).unwrap()["city"].is_string()
        }));
        assert!(answer.text().contains("\"finish_reason\":\"tool_calls\""));
        let turns = asked["messages"].as_array_mut().unwrap();
        turns.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        turns.extend(calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})));
        asked["stream"] = json!(false);
        let answer = gateway.chat(&asked).await.json();
        assert_eq!(answer["choices"][0]["message"]["content"], "The tool answered: sunny sunny", "{answer}");
    }
}

#[tokio::test]
async fn traps_57_structured_output_is_emulated_and_the_tool_is_never_seen() {
    let (azure, gateway) = gateway().await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "w", "strict": true, "schema": weather()}});
    for stream in [false, true] {
        let answer = gateway.chat(&chat("Hello", json!({"response_format": format, "stream": stream}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text: String = if stream {
            answer
                .events()
                .iter()
                .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
                .collect()
        } else {
            answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
        };
        assert!(serde_json::from_str::<Value>(&text).unwrap()["city"].is_string(), "{stream}: {}", answer.text());
        assert!(
            answer.text().contains("\"finish_reason\":\"stop\"") && !answer.text().contains("tool_calls"),
            "{}",
            answer.text()
        );
        assert!(azure.recorded().pop().unwrap().body.unwrap().contains("azgate_structured_answer"));
    }
}

#[tokio::test]
async fn responses_reach_claude_and_chat_only_deployments() {
    let (azure, gateway) = gateway().await;
    for (model, path) in
        [("sonnet", "/anthropic/v1/messages"), ("gpt-chat", "/openai/deployments/gpt-4o/chat/completions")]
    {
        let asked = json!({"model": model, "input": "Hello you", "instructions": "Be kind."});
        let plain = post(&gateway, "/v1/responses", &asked).await;
        let answer = plain.json();
        assert_eq!(
            (plain.status, answer["output"][0]["content"][0]["text"].as_str()),
            (200, Some("You said: Hello you")),
            "{answer}"
        );
        assert_eq!((&answer["status"], &answer["model"]), (&json!("completed"), &json!(model)));
        assert_eq!(last_path(&azure), path);
        let streamed = post(&gateway, "/v1/responses", &with(asked, json!({"stream": true}))).await;
        let events = streamed.events();
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds[..4],
            ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
        );
        assert_eq!(kinds.last(), Some(&"response.completed"));
        assert!(
            events.iter().enumerate().all(|(index, event)| event["sequence_number"] == index),
            "{}",
            streamed.text()
        );
        let text: String = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(
            (text.as_str(), &events.last().unwrap()["response"]["output"][0]["content"][0]["text"]),
            ("You said: Hello you", &json!("You said: Hello you"))
        );
    }
    let kept = post(&gateway, "/v1/responses", &json!({"model": "sonnet", "input": "x", "background": true})).await;
    assert_eq!(
        (kept.status, kept.code().as_str(), &kept.json()["error"]["param"]),
        (400, "field_not_supported", &json!("background"))
    );
}

#[tokio::test]
async fn traps_51_streams_that_break_end_in_the_callers_own_error() {
    let (_azure, gateway) = gateway().await;
    let text = "one two three four five six seven";
    for fault in ["truncate-after-events=9", "cut-after-events=9", "error-event-at=9"] {
        let headers = [("x-sim-fault", fault)];
        for model in ["gpt", "gpt-chat"] {
            let body = messages(model, text, json!({"stream": true})).to_string();
            let answer = gateway.post("/v1/messages", &headers, body).await;
            assert_eq!(answer.events().last().unwrap()["type"], "error", "{fault} {model}: {}", answer.text());
            assert!(
                answer.text().contains("event: error\n") && !answer.text().contains("message_stop"),
                "{fault} {model}"
            );
        }
        let body = chat(text, json!({"stream": true})).to_string();
        let answer = gateway.post("/v1/chat/completions", &headers, body).await;
        assert!(answer.events().last().unwrap()["error"].is_object(), "{fault}: {}", answer.text());
        assert!(!answer.text().contains("[DONE]"), "{fault}");
        let body = json!({"model": "sonnet", "input": text, "stream": true}).to_string();
        let answer = gateway.post("/v1/responses", &headers, body).await;
        let last = answer.events().pop().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]["status"]),
            (&json!("response.failed"), &json!("failed")),
            "{fault}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn traps_51_an_answer_that_reached_its_limit_is_no_normal_end() {
    let (_azure, gateway) = gateway().await;
    let long =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen";
    for model in ["gpt", "gpt-chat"] {
        for stream in [false, true] {
            let answer =
                post(&gateway, "/v1/messages", &messages(model, long, json!({"max_tokens": 16, "stream": stream})))
                    .await;
            assert!(answer.text().contains("\"stop_reason\":\"max_tokens\""), "{model} {stream}: {}", answer.text());
        }
    }
    let answer = gateway.chat(&chat(long, json!({"max_completion_tokens": 4}))).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn what_cannot_be_translated_is_refused_by_its_name() {
    let (azure, gateway) = gateway().await;
    let refused = post(&gateway, "/v1/messages", &messages("gpt", "x", json!({"mcp_servers": [{}]}))).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    assert!(refused.text().contains("`mcp_servers`"), "{}", refused.text());
    for (more, param) in
        [(json!({"n": 2}), "n"), (json!({"logprobs": true}), "logprobs"), (json!({"novelty": 1}), "novelty")]
    {
        let refused = gateway.chat(&chat("x", more)).await;
        assert_eq!(
            (refused.status, refused.code().as_str(), &refused.json()["error"]["param"]),
            (400, "field_not_supported", &json!(param))
        );
    }
    assert!(azure.recorded().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn errors_of_an_upstream_are_in_the_callers_dialect() {
    for (status, kind) in
        [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error"), (503, "overloaded_error")]
    {
        // One for each: a throttled key takes no request for a moment.
        let (_azure, gateway) = self::gateway().await;
        let fault = format!("status={status}; message=said by Azure");
        let body = messages("gpt", "x", json!({})).to_string();
        let answer = gateway.post("/v1/messages", &[("x-sim-fault", &fault)], body).await;
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["type"], error["error"]["type"].as_str()),
            (if status == 503 { 529 } else { status }, &json!("error"), Some(kind)),
            "{error}"
        );
        assert!(error["error"]["message"].as_str().unwrap().contains("said by Azure"), "{error}");
    }
    let (_azure, gateway) = gateway().await;
    let filtered = post(&gateway, "/v1/messages", &messages("gpt-chat", "[[filter-prompt]]", json!({}))).await;
    assert_eq!((filtered.status, &filtered.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let own = gateway.chat(&with(chat("x", json!({})), json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]}))).await;
    assert_eq!((own.status, own.code().as_str()), (400, "field_not_supported"));
}

#[tokio::test]
async fn traps_53_tokens_of_openai_models_are_estimated_and_said_to_be() {
    let (azure, gateway) = gateway().await;
    let answer = post(
        &gateway,
        "/v1/messages/count_tokens",
        &json!({"model": "gpt", "messages": [{"role": "user", "content": "hello world"}]}),
    )
    .await;
    assert_eq!((answer.status, &answer.json()["input_tokens"]), (200, &json!(10)), "{}", answer.text());
    assert_eq!(answer.header("x-azgate-estimate"), "true");
    assert!(azure.recorded().is_empty());
}

#[tokio::test]
async fn traps_68_a_retry_of_the_callers_sdk_shows_in_the_log() {
    let (_azure, gateway) = gateway().await;
    let body = messages("gpt", "x", json!({})).to_string();
    gateway.post("/v1/messages", &[("x-stainless-retry-count", "2")], body).await;
    assert_eq!(gateway.request_lines(1).await[0]["client_retry"], 2);
}
