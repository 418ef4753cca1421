//! What Azure refuses, the simulator refuses, in Azure's words.

use azgate::simulator::{DEFAULT_KEY, Kind, Settings, start};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::client::*;

#[tokio::test]
async fn wrong_and_missing_keys_get_the_gates_answer() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({}));
    for headers in [&[][..], &[("api-key", "wrong")], &[("api-key", DEFAULT_KEY), ("api-key", DEFAULT_KEY)]] {
        let reply = send(simulator.addr(), with_headers(V1_CHAT, &body, headers)).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.error()["code"], "401");
        assert!(reply.message().starts_with("Access denied due to invalid subscription key"), "{}", reply.message());
        assert!(reply.header("apim-request-id").is_some() && reply.header("x-request-id").is_none());
    }
    let (text, _) =
        raw(simulator.addr(), "GET /openai/v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 401 PermissionDenied\r\n"), "{text}");
}

#[tokio::test]
async fn a_bearer_key_is_for_v1_only() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({}));
    let bearer = [("authorization", "Bearer sim-key")];
    assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &body, &bearer)).await.status, 200);
    let reply = send(simulator.addr(), with_headers(CLASSIC_CHAT, &body, &bearer)).await;
    assert_eq!((reply.status, &reply.error()["code"]), (401, &json!("Unauthorized")));
    let both = [("authorization", "Bearer other"), ("api-key", DEFAULT_KEY)];
    assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &body, &both)).await.status, 401);
}

#[tokio::test]
async fn an_unknown_deployment_is_chunked_and_has_no_content_type() {
    let simulator = simulator().await;
    let reply = say(&simulator, "nope", "hi", json!({})).await;
    assert_eq!((reply.status, &reply.error()["code"]), (404, &json!("DeploymentNotFound")));
    assert_eq!(reply.error()["type"], "invalid_request_error");
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    assert_eq!(reply.header("content-type"), None);
    assert!(reply.header("x-ms-region").is_some());
}

#[tokio::test]
async fn paths_versions_and_methods() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({}));
    for (path, status) in [
        (CLASSIC_CHAT, 200),
        ("//openai/deployments/gpt-4o/chat/completions?api-version=2025-04-01-preview", 200),
        ("/api/projects/p/openai/v1/chat/completions", 200),
        ("/openai/v1/chat/completions?api-version=preview", 200),
        ("/openai/deployments/gpt-4o/chat/completions", 404),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-05-13", 404),
        ("/openai/deployments/gpt-4o/responses?api-version=2024-10-21", 404),
        ("/openai/v1/nothing", 404),
        ("/v1/chat/completions", 404),
        ("/openai/v1/chat/completions?api-version=2024-10-21", 400),
    ] {
        let reply = send(simulator.addr(), post(path, &body)).await;
        assert_eq!(reply.status, status, "{path}");
        if status == 404 {
            assert_eq!(reply.text(), r#"{"error":{"code":"404","message": "Resource not found"}}"#);
            assert_eq!(reply.header("content-length"), Some("56"));
        }
    }
    let request = Request::get(V1_CHAT).header("api-key", DEFAULT_KEY).body(Full::default()).expect("a request");
    let reply = send(simulator.addr(), request).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
}

/// Sends each body on v1 and compares message, param and code of the refusal.
async fn refused(model: &str, cases: &[(Value, &str, Value, Value)]) {
    let simulator = simulator().await;
    for (more, message, param, code) in cases {
        let reply = say(&simulator, model, "hi", more.clone()).await;
        assert_eq!(reply.status, 400, "{more}: {}", reply.text());
        let error = reply.error();
        assert!(reply.message().contains(message), "{more}: {error}");
        assert_eq!((&error["param"], &error["code"]), (param, code), "{more}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let null = Value::Null;
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name}}]);
    refused(
        "gpt-4o",
        &[
            (json!({"messages": null}), "Missing required parameter: 'messages'.", json!("messages"), json!("missing_required_parameter")),
            (json!({"messages": "hi"}), "expected an array of objects, but got a string", json!("messages"), json!("invalid_type")),
            (json!({"messages": []}), "Invalid 'messages': empty array.", json!("messages"), json!("empty_array")),
            (json!({"messages": [{"role": "robot", "content": ""}]}), "Invalid value: 'robot'. Supported values are: 'system', 'assistant',", json!("messages[0].role"), json!("invalid_value")),
            (json!({"messages": [{"role": "user", "content": null}]}), "expected a string, got null", json!("messages[0].content"), null.clone()),
            (json!({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}), "must be a response to a preceeding message", json!("messages.[0].role"), null.clone()),
            (json!({"temperature": 3}), "Expected a value <= 2, but got 3 instead.", json!("temperature"), json!("decimal_above_max_value")),
            (json!({"n": 0}), "integer below minimum value", json!("n"), json!("integer_below_min_value")),
            (json!({"max_tokens": "9"}), "expected an integer, but got a string", json!("max_tokens"), json!("invalid_type")),
            (json!({"stream": 1}), "expected a boolean, but got an integer", json!("stream"), json!("invalid_type")),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "maximum length 4", json!("stop"), json!("array_above_max_length")),
            (json!({"top_logprobs": 2}), "only allowed when 'logprobs' is enabled", json!("top_logprobs"), null.clone()),
            (json!({"thinking": {}}), "Unrecognized request argument supplied: thinking", null.clone(), null.clone()),
            (json!({"reasoning_effort": "low"}), "Unrecognized request argument supplied: reasoning_effort", null.clone(), null.clone()),
            (json!({"stream_options": {"include_usage": true}}), "only allowed when 'stream' is enabled", json!("stream_options"), null.clone()),
            (json!({"tool_choice": "auto"}), "only allowed when 'tools' are specified", json!("tool_choice"), null.clone()),
            (json!({"tools": tool("a b")}), "does not match pattern", json!("tools[0].function.name"), json!("invalid_value")),
            (json!({"tools": tool("a"), "tool_choice": {"type": "function", "function": {"name": "b"}}}), "Tool choice 'b' not found", json!("tool_choice"), null.clone()),
            (json!({"response_format": {"type": "json_object"}}), "must contain the word 'json'", json!("messages"), null.clone()),
            (json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "object", "properties": {"a": {}}, "required": ["a"]}}}}), "'additionalProperties' is required", json!("response_format"), json!("invalid_json_schema")),
        ],
    )
    .await;
}

#[tokio::test]
async fn reasoning_models_refuse_what_they_do_not_take() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    refused(
        "gpt-5",
        &[
            (
                json!({"max_tokens": 5}),
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                json!("max_tokens"),
                json!("unsupported_parameter"),
            ),
            (json!({"temperature": 0.5}), "Only the default (1) value is supported", json!("temperature"), json!("unsupported_value")),
            (json!({"stop": "x"}), "'stop' is not supported", json!("stop"), json!("unsupported_parameter")),
            (
                json!({"reasoning_effort": "none"}),
                "Supported values are: 'minimal', 'low', 'medium', and 'high'.",
                json!("reasoning_effort"),
                json!("invalid_value"),
            ),
        ],
    )
    .await;
    let message = "Function tools with reasoning_effort are not supported for gpt-5.4";
    let more = json!({"tools": tools, "reasoning_effort": "low"});
    refused("gpt-5.4", &[(more, message, json!("reasoning_effort"), Value::Null)]).await;
}

#[tokio::test]
async fn stream_options_need_a_new_version() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true, "stream_options": {"include_usage": true}}));
    for (version, status) in [("2024-08-01-preview", 400), ("2024-09-01-preview", 200), ("2024-10-21", 200)] {
        let path = format!("/openai/deployments/gpt-4o/chat/completions?api-version={version}");
        assert_eq!(send(simulator.addr(), post(&path, &body)).await.status, status, "{version}");
    }
}

#[tokio::test]
async fn tool_calls_must_be_answered() {
    let simulator = simulator().await;
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]});
    let answer = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "4 degrees"});
    let user = json!({"role": "user", "content": "hi"});
    let missing = say(&simulator, "gpt-4o", "", json!({"messages": [user, calls, answer("a"), user]})).await;
    assert!(missing.message().ends_with("did not have response messages: b"), "{}", missing.text());
    let foreign = say(&simulator, "gpt-4o", "", json!({"messages": [user, calls, answer("c")]})).await;
    assert!(foreign.message().contains("'tool_call_id' of 'c' not found"), "{}", foreign.text());
    let whole = say(&simulator, "gpt-4o", "", json!({"messages": [user, calls, answer("a"), answer("b")]})).await;
    assert_eq!(ok(&whole)["choices"][0]["message"]["content"], "The tool answered: 4 degrees");
}

#[tokio::test]
async fn operations_and_models_must_fit() {
    let simulator = simulator().await;
    let embed = json!({"model": "gpt-4o", "input": "x"});
    let reply = send(simulator.addr(), post("/openai/v1/embeddings", &embed)).await;
    assert_eq!((reply.status, &reply.error()["code"]), (400, &json!("OperationNotSupported")));
    assert!(reply.message().starts_with("The embeddings operation does not work with the specified model, gpt-4o."));
    let reply = say(&simulator, "text-embedding-3-small", "x", json!({})).await;
    assert!(reply.message().starts_with("The chatCompletion operation"), "{}", reply.text());
}

#[tokio::test]
async fn bodies_that_are_no_json_objects() {
    let simulator = simulator().await;
    for body in ["", "{", "[1]"] {
        let request =
            Request::post(CLASSIC_CHAT).header("api-key", DEFAULT_KEY).body(Full::from(body)).expect("a request");
        let reply = send(simulator.addr(), request).await;
        assert_eq!((reply.status, &reply.error()["type"]), (400, &json!("invalid_request_error")), "{body}");
    }
    let reply = chat(&simulator, &json!({"messages": []})).await;
    assert_eq!((reply.status, reply.message().as_str()), (400, "you must provide a model parameter"));
}

#[tokio::test]
async fn the_content_filter_strikes_on_demand() {
    let simulator = simulator().await;
    let reply = say(&simulator, "gpt-4o", "please [[filter-prompt]]", json!({})).await;
    let error = reply.error();
    assert_eq!((reply.status, &error["code"], &error["param"]), (400, &json!("content_filter"), &json!("prompt")));
    assert_eq!(error["innererror"]["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(error["innererror"]["content_filter_result"]["jailbreak"]["filtered"], true);
    let reply = say(&simulator, "gpt-4o", "please [[filter-completion]]", json!({})).await;
    let choice = ok(&reply)["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "content_filter");
    assert!(choice.get("message").is_none());
}

#[tokio::test]
async fn limits_are_enforced_and_told() {
    let deployment = chat_deployment().limited(Some(12), Some(60_000));
    let simulator = simulator_with(deployment).await;
    let body = chat_body("gpt-4o", "hi", json!({"max_tokens": 100}));
    let first = chat(&simulator, &body).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("12"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("11"));
    let remaining: u32 = first.header("x-ratelimit-remaining-tokens").expect("header").parse().expect("number");
    assert!((59_800..59_900).contains(&remaining), "{remaining}");
    assert_eq!(chat(&simulator, &body).await.status, 200);
    let third = chat(&simulator, &body).await;
    assert_eq!((third.status, &third.error()["code"]), (429, &json!("429")));
    assert!(
        third.message().contains("ChatCompletions_Create Operation under Azure OpenAI API version v1"),
        "{}",
        third.text()
    );
    assert!(third.message().contains("exceeded call rate limit"), "{}", third.text());
    let ms: u64 = third.header("retry-after-ms").expect("header").parse().expect("number");
    assert!((9_000..=10_000).contains(&ms), "{ms}");
    assert_eq!(third.header("retry-after"), Some("10"));
}

#[tokio::test]
async fn a_request_above_the_whole_budget_is_told_to_wait_a_day() {
    let simulator = simulator_with(chat_deployment().limited(None, Some(1000))).await;
    let reply = say(&simulator, "gpt-4o", "hi", json!({"max_tokens": 2000})).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("86400")));
    assert!(reply.message().contains("exceeded token rate limit"), "{}", reply.text());
    assert_eq!(say(&simulator, "gpt-4o", "hi", json!({"max_tokens": 500})).await.status, 200);
}

#[tokio::test]
async fn keys_and_deployments_are_what_the_settings_say() {
    let settings = Settings { keys: vec!["one".into(), "two".into()], ..Settings::default() };
    let simulator = start(settings).await.expect("a free port");
    let body = chat_body("gpt-4o", "hi", json!({}));
    for (key, status) in [("one", 200), ("two", 200), (DEFAULT_KEY, 401)] {
        let reply = send(simulator.addr(), with_headers(V1_CHAT, &body, &[("api-key", key)])).await;
        assert_eq!(reply.status, status, "{key}");
    }
    simulator.add_deployment(azgate::simulator::Deployment::new("mine", "gpt-4o-2024-11-20", Kind::Chat));
    let body = chat_body("mine", "hi", json!({}));
    assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &body, &[("api-key", "one")])).await.status, 200);
    assert!(simulator.remove_deployment("mine"));
    assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &body, &[("api-key", "one")])).await.status, 404);
}
