//! Responses that are made in the background: their usage is counted once, when it is first seen, for whoever asked.

use azgate::simulator::Running;
use serde_json::{Value, json};

use crate::support::*;

const PATH: &str = "/v1/responses";

/// A caller with a budget, and a price for the model.
fn config_of(azure: &Running) -> Value {
    let mut config = config(&azure.base_url());
    config["governance"]["virtual_keys"][0]["budget"] = json!({"total_limit_usd": 100});
    config["pricing"] = json!({"gpt-4o": {"input_per_million": 1_000, "output_per_million": 1_000}});
    config
}

async fn begin(gateway: &Gateway, more: Value) -> Answer {
    let mut body = json!({"model": "gpt-4o", "input": "Say something", "background": true});
    more.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
    gateway.post(PATH, &[], body.to_string()).await
}

/// Tokens and micro-dollars that were counted, once `requests` have ended.
async fn counted(gateway: &Gateway, requests: usize) -> (f64, f64) {
    gateway.request_lines(requests).await;
    let tokens = gateway.metric("azgate_tokens_total", &["kind=\"output\""]).await;
    (tokens, gateway.metric("azgate_cost_micro_usd_total", &["caller=\"tester\""]).await)
}

#[tokio::test]
async fn usage_is_counted_when_the_answer_is_first_read_complete_and_not_again() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure)).await;
    let begun = begin(&gateway, json!({})).await;
    assert_eq!(begun.json()["status"], "queued", "{}", begun.text());
    let path = format!("{PATH}/{}", begun.json()["id"].as_str().unwrap());
    for status in ["queued", "in_progress"] {
        assert_eq!(gateway.get(&path).await.json()["status"], status);
    }
    assert_eq!(counted(&gateway, 3).await, (0.0, 0.0), "nothing is known of it yet");
    let usage = gateway.get(&path).await.json()["usage"].clone();
    let [input, output] = ["input_tokens", "output_tokens"].map(|name| usage[name].as_f64().unwrap());
    assert!(output > 0.0);
    let expected = (output, (input + output) * 1_000.0);
    assert_eq!(counted(&gateway, 4).await, expected);
    for _ in 0..3 {
        assert_eq!(gateway.get(&path).await.json()["status"], "completed");
    }
    let streamed = gateway.get(&format!("{path}?stream=true")).await;
    assert!(streamed.text().contains("response.completed"), "{}", streamed.text());
    assert_eq!(counted(&gateway, 8).await, expected, "however often it is read");
}

#[tokio::test]
async fn a_stream_of_the_background_is_counted_with_its_request_and_not_when_it_is_read() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure)).await;
    let begun = begin(&gateway, json!({"stream": true})).await;
    let last = begun.events().pop().unwrap();
    assert_eq!(last["type"], "response.completed");
    let first = counted(&gateway, 1).await;
    assert_eq!(first.0, last["response"]["usage"]["output_tokens"].as_f64().unwrap());
    let path = format!("{PATH}/{}", last["response"]["id"].as_str().unwrap());
    for _ in 0..3 {
        gateway.get(&path).await;
    }
    assert_eq!(counted(&gateway, 4).await, first);
}

#[tokio::test]
async fn what_was_made_at_once_is_not_counted_again_when_it_is_read() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure)).await;
    let made = begin(&gateway, json!({"background": false})).await;
    let first = counted(&gateway, 1).await;
    assert!(first.0 > 0.0);
    let path = format!("{PATH}/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await.status, 200);
    assert_eq!(counted(&gateway, 2).await, first);
}
