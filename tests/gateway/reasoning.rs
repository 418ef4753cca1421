//! Reasoning of earlier turns, for callers whose dialect is not the model's: it goes back to the resource that made it, and
//! to nobody else.

use azgate::simulator::{Rule, Running, Script};
use serde_json::{Value, json};

use super::support::*;

const MESSAGES: &str = "/v1/messages";

/// Two resources that serve the same model: `thinker` reasons, `sonnet` is Claude.
async fn two_resources() -> ([Running; 2], Gateway) {
    let resources = [azure().await, azure().await];
    let key = |name: &str, azure: &Running| {
        let mut key = key(name, &azure.base_url());
        key["aliases"] = json!({
            "thinker": "gpt-5.2", "sonnet": {"model_id": "claude-sonnet-4-6", "model_family": "anthropic"},
            "thinker-chat": {"model_id": "gpt-4o", "api": "chat"},
        });
        key
    };
    let mut config = config(&resources[0].base_url());
    config["providers"]["azure"]["keys"] = json!([key("one", &resources[0]), key("other", &resources[1])]);
    let gateway = Gateway::start(&config).await;
    (resources, gateway)
}

fn asked(text: &str) -> Value {
    json!({"model": "thinker", "max_tokens": 4000, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": text}]})
}

/// The conversation with the model's answer and one more question.
fn went_on(mut asked: Value, answer: &Answer) -> Value {
    let turns = asked["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": answer.json()["content"]}));
    turns.push(json!({"role": "user", "content": "And now?"}));
    asked
}

async fn post(gateway: &Gateway, body: &Value) -> Answer {
    let answer = gateway.post(MESSAGES, &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn last_body(azure: &Running) -> String {
    azure.recorded().pop().unwrap().body.unwrap()
}

fn resource<'a>(resources: &'a [Running; 2], answer: &Answer) -> &'a Running {
    &resources[usize::from(answer.header("x-azgate-key") == "other")]
}

#[tokio::test]
async fn traps_58_reasoning_goes_back_to_the_resource_that_made_it() {
    let (resources, gateway) = two_resources().await;
    let mut served = Vec::new();
    for turn in 0..6 {
        let body = asked(&format!("Turn {turn}"));
        let first = post(&gateway, &body).await;
        let second = post(&gateway, &went_on(body, &first)).await;
        assert_eq!(second.header("x-azgate-key"), first.header("x-azgate-key"));
        assert_eq!(second.header("x-azgate-dropped-reasoning"), "");
        assert!(last_body(resource(&resources, &second)).contains(r#""encrypted_content":"gAAAA"#));
        served.push(first.header("x-azgate-key").to_owned());
    }
    assert!(served.contains(&"one".to_owned()) && served.contains(&"other".to_owned()), "{served:?}");
}

#[tokio::test]
async fn reasoning_is_dropped_where_its_resource_cannot_be_asked_and_that_is_said() {
    let (resources, gateway) = two_resources().await;
    let body = asked("Hello");
    let first = post(&gateway, &body).await;
    let body = went_on(body, &first);
    let own = resource(&resources, &first);
    own.script(&Script::default().then(Rule::new("status=429; retry-after=7").times(1))).unwrap();
    for attempts in ["2", "1"] {
        let second = post(&gateway, &body).await;
        assert_ne!(second.header("x-azgate-key"), first.header("x-azgate-key"));
        assert_eq!(second.header("x-azgate-dropped-reasoning"), "1");
        assert_eq!(second.header("x-azgate-attempts"), attempts, "a closed gate is not asked again");
        assert!(!last_body(resource(&resources, &second)).contains("encrypted_content\":\""));
    }
    let lines = gateway.request_lines(3).await;
    assert_eq!((&lines[0]["dropped_reasoning"], &lines[2]["dropped_reasoning"]), (&Value::Null, &json!(1)));
    // What a model that is called by Chat Completions cannot be told at all is dropped as well.
    let mut body = body;
    body["model"] = json!("thinker-chat");
    assert_eq!(post(&gateway, &body).await.header("x-azgate-dropped-reasoning"), "1");
}

#[tokio::test]
async fn a_request_that_fails_for_its_reasoning_is_asked_once_more_without() {
    let (resources, gateway) = two_resources().await;
    let body = asked("Hello");
    let first = post(&gateway, &body).await;
    let mut body = went_on(body, &first);
    let signature = &mut body["messages"][1]["content"][0]["signature"];
    *signature = json!(signature.as_str().unwrap().replace("gAAAA", "gAAAAdamaged"));
    for stream in [false, true] {
        body["stream"] = json!(stream);
        let answer = post(&gateway, &body).await;
        assert_eq!(answer.header("x-azgate-key"), first.header("x-azgate-key"));
        assert_eq!((answer.header("x-azgate-attempts"), answer.header("x-azgate-dropped-reasoning")), ("2", "1"));
        assert!(answer.text().contains("azg1."), "the new reasoning is told: {}", answer.text());
        let own = resource(&resources, &first).recorded();
        assert!(own[own.len() - 2].body.as_ref().unwrap().contains("gAAAAdamaged"));
        assert!(!own.last().unwrap().body.as_ref().unwrap().contains("gAAAAdamaged"));
    }
    // Another refusal is the caller's.
    let text = body.to_string().replace("And now?", "[[filter-prompt]]");
    let refused = gateway.post(MESSAGES, &[], text).await;
    assert_eq!((refused.status, refused.header("x-azgate-attempts")), (400, "2"), "{}", refused.text());
}

#[tokio::test]
async fn claude_is_not_shown_the_reasoning_of_another_maker_and_every_other_byte_stays() {
    let (resources, gateway) = two_resources().await;
    let first = post(&gateway, &asked("Hello")).await;
    let packed = first.json()["content"][0]["signature"].as_str().unwrap().to_owned();
    let own = {
        let answer = post(&gateway, &json!({"model": "sonnet", "max_tokens": 2000, "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "x"}]})).await;
        answer.json()["content"][0].to_string()
    };
    let thought = format!(r#"{{ "type":"thinking", "thinking":"h\u006dm", "signature":"{packed}"}}"#);
    let kept = r#"{"text":"Gr\u00fc\u00dfe  \"azg1.","type":"text"}"#;
    let body = |mine: &str, alone: &str, model: &str| {
        format!(
            r#"{{ "max_tokens" : 300, "messages":[{{"role":"user","content":"x"}}, {{"role":"assistant","content":[{mine}{own},{kept}]}},{alone}{{"role":"user","content":"z"}}],"model":"{model}", "thinking":{{"type":"adaptive"}} }}"#
        )
    };
    let sent = body(
        &format!("{thought} , "),
        &format!(r#"{{"role":"user","content":"y"}}, {{"role":"assistant","content":[{thought}]}},"#),
        "sonnet",
    );
    let expected = body("", r#"{"role":"user","content":"y"}, "#, "claude-sonnet-4-6");
    for path in [MESSAGES, "/v1/messages/count_tokens"] {
        let answer = gateway.post(path, &[], sent.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let received = last_body(resource(&resources, &answer));
        assert_eq!(received, expected, "{path}");
        assert_eq!(answer.header("x-azgate-dropped-reasoning"), "2");
    }
}

#[tokio::test]
async fn an_openai_model_is_not_shown_claudes_reasoning() {
    let (resources, gateway) = two_resources().await;
    let think = json!({"model": "sonnet", "input": "Hello", "reasoning": {"effort": "medium"}});
    let first = gateway.post("/v1/responses", &[], think.to_string()).await.json();
    let reasoning = &first["output"][0];
    assert!(reasoning["encrypted_content"].as_str().unwrap().starts_with("azg1c."), "{first}");
    let mut items = vec![json!({"role": "user", "content": "Hello"})];
    items.extend(first["output"].as_array().unwrap().iter().cloned());
    items.push(json!({"role": "user", "content": "And now?"}));
    for (model, dropped) in [("sonnet", ""), ("thinker", "1"), ("thinker-chat", "1")] {
        let body = json!({"model": model, "input": items, "store": false});
        let answer = gateway.post("/v1/responses", &[], body.to_string()).await;
        assert_eq!(
            (answer.status, answer.header("x-azgate-dropped-reasoning")),
            (200, dropped),
            "{model}: {}",
            answer.text()
        );
        assert!(!last_body(resource(&resources, &answer)).contains("azg1c."));
    }
}

#[tokio::test]
async fn a_conversation_may_go_on_with_a_model_that_only_another_resource_has() {
    let (one, other) = (azure().await, azure().await);
    let mut config = config(&one.base_url());
    config["providers"]["azure"]["keys"] = json!([key("one", &one.base_url()), key("other", &other.base_url())]);
    let keys = &mut config["providers"]["azure"]["keys"];
    keys[0]["aliases"] = json!({"thinker": "gpt-5.2"});
    keys[0]["models"] = json!(["thinker"]);
    keys[1]["aliases"] = json!({"sonnet": {"model_id": "claude-sonnet-4-6", "model_family": "anthropic"}});
    keys[1]["models"] = json!(["sonnet"]);
    let gateway = Gateway::start(&config).await;
    let include = json!(["reasoning.encrypted_content"]);
    let effort = json!({"effort": "medium"});
    let think = json!({"model": "thinker", "input": "Hello", "store": false, "include": include, "reasoning": effort});
    let first = gateway.post("/v1/responses", &[], think.to_string()).await.json();
    let mut items = first["output"].as_array().unwrap_or_else(|| panic!("{first}")).clone();
    assert!(items[0]["encrypted_content"].as_str().unwrap().starts_with("azg~"), "{first}");
    items.push(json!({"role": "user", "content": "And now?"}));
    let body = json!({"model": "sonnet", "input": items});
    let answer = gateway.post("/v1/responses", &[], body.to_string()).await;
    assert_eq!((answer.status, answer.header("x-azgate-dropped-reasoning")), (200, "1"), "{}", answer.text());
    assert_eq!(answer.header("x-azgate-key"), "other");
}
