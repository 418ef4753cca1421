//! Messages to Claude: transparent but for the model, with the right headers, counted, and refused in Anthropic's shape.

use http::Method;
use serde_json::{Value, json};

use super::support::*;

const MESSAGES: &str = "/anthropic/v1/messages";

/// A gateway whose key serves `sonnet` and whatever begins with `claude`.
async fn claude() -> (azgate::simulator::Running, Gateway) {
    let azure = azure().await;
    let gateway = Gateway::start(&with_claude(&azure.base_url())).await;
    (azure, gateway)
}

fn with_claude(azure: &str) -> Value {
    let mut config = config(azure);
    let key = &mut config["providers"]["azure"]["keys"][0];
    key["aliases"]["sonnet"] = json!({"model_id": "claude-sonnet-4-6", "model_family": "anthropic"});
    key["aliases"]["claude-sonnet-4-6"] = json!("claude-sonnet-4-6");
    config
}

fn body(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "sonnet", "max_tokens": 200, "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn ask(gateway: &Gateway, body: &Value) -> Answer {
    gateway.post(MESSAGES, &[], body.to_string()).await
}

#[tokio::test]
async fn traps_39_54_an_opaque_name_leads_to_claude_below_anthropic() {
    let (azure, gateway) = claude().await;
    for path in [MESSAGES, "/v1/messages", "/anthropic/v1/messages?beta=true"] {
        let answer = gateway.post(path, &[], body("Hello", json!({})).to_string()).await;
        let message = answer.json();
        assert_eq!((answer.status, message["content"][0]["text"].as_str()), (200, Some("You said: Hello")), "{path}");
        assert_eq!(message["model"], "sonnet");
        let received = azure.recorded().pop().unwrap();
        assert_eq!(received.path, "/anthropic/v1/messages");
        assert_eq!(received.query.as_deref().unwrap_or_default(), path.split_once('?').map_or("", |(_, query)| query));
        let sent: Value = serde_json::from_str(received.body.as_deref().unwrap()).unwrap();
        assert_eq!(sent["model"], "claude-sonnet-4-6");
        let header =
            |name: &str| received.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((header("x-api-key"), header("authorization"), header("api-key")), (Some("sim-key"), None, None));
        assert_eq!(header("anthropic-version"), Some("2023-06-01"));
    }
}

#[tokio::test]
async fn headers_of_anthropics_own_pass_less_what_azure_rejects() {
    let (azure, gateway) = claude().await;
    let headers = [
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "claude-code-20250219,fast-mode-2026-02-01"),
        ("anthropic-beta", "context-management-2025-06-27"),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("x-app", "cli"),
    ];
    let asked = body("Hello", json!({"context_management": {"edits": []}}));
    let answer = gateway.post(MESSAGES, &headers, asked.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = azure.recorded().pop().unwrap();
    let values = |name: &str| -> Vec<String> {
        received.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(values("anthropic-version"), ["2026-10-21"]);
    assert_eq!(values("anthropic-beta"), ["claude-code-20250219", "context-management-2025-06-27"]);
    assert_eq!(values("anthropic-dangerous-direct-browser-access"), ["true"]);
    assert!(values("x-app").is_empty());
}

#[tokio::test]
async fn a_configuration_may_let_a_feature_pass() {
    let azure = azure().await;
    let mut config = with_claude(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"beta_header_overrides": {"fast-mode-": true}});
    let gateway = Gateway::start(&config).await;
    let answer = gateway
        .post(MESSAGES, &[("anthropic-beta", "fast-mode-2026-02-01")], body("Hello", json!({})).to_string())
        .await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    assert!(answer.text().contains("fast-mode"), "the upstream's own words: {}", answer.text());
}

#[tokio::test]
async fn a_body_passes_byte_for_byte_but_for_the_model() {
    let (azure, gateway) = claude().await;
    let sent = r#"{ "max_tokens" : 2e2, "messages":[{"role":"user","content":[{"type":"text","text":"Gr\u00fc\u00dfe","cache_control":{"ttl":"1h","type":"ephemeral"}}]}],"model":"azure/Sonnet", "thinking":{"type":"adaptive"},"temperature":1.0 }"#;
    let answer = gateway.post(MESSAGES, &[], sent).await;
    assert_eq!(azure.recorded()[0].body.as_deref().unwrap(), sent.replace("azure/Sonnet", "claude-sonnet-4-6"));
    // The number is not spelled as the simulator wants it: the answer shows whose words come back.
    assert_eq!((answer.status, answer.header("x-azgate-key")), (400, "east"));
    assert!(answer.text().contains("max_tokens: Input should be a valid integer"), "{}", answer.text());
}

#[tokio::test]
async fn a_stream_passes_with_the_callers_model_and_is_counted() {
    let (_azure, gateway) = claude().await;
    let asked = json!({"stream": true, "thinking": {"type": "adaptive"}, "system": [{"type": "text", "text": "Be brief, be kind.", "cache_control": {"type": "ephemeral"}}]});
    let answer = ask(&gateway, &body("Hello there", asked)).await;
    let events = answer.events();
    assert_eq!(events[0]["message"]["model"], "sonnet");
    assert!(events.iter().any(|event| event["delta"]["type"] == "signature_delta"));
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    assert!(answer.text().starts_with("event: message_start\ndata: "));
    let line = gateway.request_lines(1).await.remove(0);
    let usage = &line["usage"];
    assert_eq!((&line["operation"], &line["status"]), (&json!("messages"), &json!(200)));
    assert!(usage["cached_input"].as_u64().unwrap() > 0 && usage["output"].as_u64().unwrap() > 0, "{usage}");
    let (start, ending) = (&events[0]["message"]["usage"], &events[events.len() - 2]["usage"]);
    let told = start["input_tokens"].as_u64().unwrap() + start["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!((usage["input"].as_u64(), usage["output"].as_u64()), (Some(told), ending["output_tokens"].as_u64()));
}

#[tokio::test]
async fn traps_53_tokens_are_counted_by_claude_itself() {
    let (azure, gateway) = claude().await;
    let mut asked = body("How long is this?", json!({}));
    asked.as_object_mut().unwrap().remove("max_tokens");
    let answer = gateway.post("/anthropic/v1/messages/count_tokens?beta=true", &[], asked.to_string()).await;
    assert!(answer.json()["input_tokens"].as_u64().is_some_and(|count| count > 3), "{}", answer.text());
    assert_eq!(azure.recorded()[0].path, "/anthropic/v1/messages/count_tokens");
}

#[tokio::test]
async fn errors_are_in_anthropics_shape_whoever_makes_them() {
    let (azure, gateway) = claude().await;
    let shape = |answer: &Answer, status: u16, kind: &str| {
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["type"], error["error"]["type"].as_str()),
            (status, &json!("error"), Some(kind)),
            "{error}"
        );
        assert!(!answer.header("request-id").is_empty());
    };
    // The model's own words pass byte for byte.
    let own = ask(&gateway, &body("Hello", json!({"novelty": 1}))).await;
    shape(&own, 400, "invalid_request_error");
    assert!(own.json()["request_id"].as_str().unwrap().starts_with("req_"));
    // Azure's front door speaks another dialect.
    azure.remove_deployment("claude-sonnet-4-6");
    let gone = ask(&gateway, &body("Hello", json!({}))).await;
    shape(&gone, 404, "not_found_error");
    assert!(gone.text().contains("The API deployment for this resource does not exist"), "{}", gone.text());
    // And the gateway's own.
    shape(&ask(&gateway, &body("Hello", json!({"model": "unknown"}))).await, 404, "not_found_error");
    let stranger =
        send(gateway.address, Method::POST, MESSAGES, &[("x-api-key", "wrong")], body("x", json!({})).to_string())
            .await;
    shape(&stranger, 401, "authentication_error");
}

#[tokio::test]
async fn traps_61_fallbacks_of_anthropics_own_pass_and_names_are_the_gateways() {
    let (azure, gateway) = claude().await;
    for (fallbacks, sent) in [
        (json!([{"model": "claude-haiku-4-5"}]), true),
        (json!("default"), true),
        (json!(["azure/claude-sonnet-4-6"]), false),
    ] {
        ask(&gateway, &body("Hello", json!({"fallbacks": fallbacks}))).await;
        let received: Value = serde_json::from_str(azure.recorded().pop().unwrap().body.as_deref().unwrap()).unwrap();
        assert_eq!(received.get("fallbacks").is_some(), sent, "{fallbacks}");
    }
}

#[tokio::test]
async fn a_broken_stream_ends_in_anthropics_error_event() {
    let (_azure, gateway) = claude().await;
    for fault in ["truncate-after-events=6", "cut-after-events=6", "error-event-at=6"] {
        let asked = body("one two three four five six", json!({"stream": true}));
        let answer = gateway.post(MESSAGES, &[("x-sim-fault", fault)], asked.to_string()).await;
        let last = answer.events().pop().unwrap();
        assert_eq!(
            (&last["type"], last["error"]["type"].is_string()),
            (&json!("error"), true),
            "{fault}: {}",
            answer.text()
        );
        assert!(answer.text().contains("event: error\n") && !answer.text().contains("message_stop"), "{fault}");
    }
}

#[tokio::test]
async fn a_throttled_key_gives_way_to_another() {
    let azure = azure().await;
    let mut config = with_claude(&azure.base_url());
    let mut second = config["providers"]["azure"]["keys"][0].clone();
    second["name"] = json!("west");
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(second);
    let gateway = Gateway::start(&config).await;
    azure
        .script(
            &azgate::simulator::Script::default()
                .then(azgate::simulator::Rule::new("status=429; retry-after=7").times(1)),
        )
        .unwrap();
    let answer = ask(&gateway, &body("Hello", json!({}))).await;
    assert_eq!((answer.status, answer.header("x-azgate-attempts")), (200, "2"));
}

#[tokio::test]
async fn anthropic_itself_is_asked_at_its_own_paths() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let network = json!({"base_url": azure.base_url()});
    config["providers"]["anthropic"] =
        json!({"keys": [{"name": "maker", "value": "sim-key", "models": ["*"]}], "network_config": network});
    let gateway = Gateway::start(&config).await;
    let answer = ask(&gateway, &body("Hello", json!({"model": "anthropic/claude-opus-4-7"}))).await;
    // The simulated Azure has no such path; what was asked is all there is to be seen.
    assert_eq!(answer.status, 404, "{}", answer.text());
    let received = azure.recorded().pop().unwrap();
    assert_eq!(received.path, "/v1/messages");
    assert!(received.headers.contains(&("x-api-key".into(), "sim-key".into())));
}

#[tokio::test]
async fn claude_codes_first_questions_are_answered() {
    let (_azure, gateway) = claude().await;
    let hello = send(gateway.address, Method::HEAD, "/api/hello", &[], "").await;
    assert_eq!(hello.status, 200);
    let models = gateway.get("/anthropic/v1/models?limit=1000").await.json();
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(ids.contains(&"claude-sonnet-4-6"), "{ids:?}");
    assert!(models["data"].as_array().unwrap().iter().all(|model| model["type"] == "model"));
}
