//! Which key takes a request, when that is not decided by weights alone: speed, headroom, and the session it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use azgate::simulator::{Rule, Running, Script, Settings};
use serde_json::{Value, json};

use crate::support::*;

async fn balanced(balance: &str, names: &[&str]) -> (Running, Gateway) {
    let accepted = names.iter().map(|name| (*name).to_owned()).collect();
    let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    let entry = |name: &&str| {
        let mut key = key(name, &azure.base_url());
        key["value"] = json!(name);
        key
    };
    config["providers"]["azure"] = json!({"balance": balance, "keys": names.iter().map(entry).collect::<Vec<_>>()});
    let gateway = Gateway::start(&config).await;
    (azure, gateway)
}

async fn served(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = gateway.chat(&chat_body("Hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        *counts.entry(answer.header("x-azgate-key").to_owned()).or_insert(0) += 1;
    }
    counts
}

async fn in_session(gateway: &Gateway, session: &str, body: &Value) -> String {
    let headers = [("x-claude-code-session-id", session)];
    let answer = gateway.post("/v1/chat/completions", &headers, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-azgate-key").to_owned()
}

#[tokio::test]
async fn the_faster_key_serves_and_a_key_that_slows_down_is_left() {
    let (azure, gateway) = balanced("least_latency", &["a", "b"]).await;
    azure.script(&Script::default().then(Rule::new("delay=300").key("a"))).unwrap();
    let counts = served(&gateway, 24).await;
    assert!(counts["b"] >= 20, "{counts:?}");
    azure.script(&Script::default().then(Rule::new("delay=600").key("b"))).unwrap();
    let counts = served(&gateway, 12).await;
    assert!(counts["a"] >= 8, "left after one slow answer: {counts:?}");
}

#[tokio::test]
async fn the_key_with_more_headroom_takes_more() {
    let (azure, gateway) = balanced("headroom", &["full", "idle"]).await;
    let told = "extra-header=azure-openai-deployment-utilization:96.0%";
    azure.script(&Script::default().then(Rule::new(told).key("full"))).unwrap();
    let counts = served(&gateway, 60).await;
    assert!(counts["idle"] >= 50, "{counts:?}");
}

#[tokio::test]
async fn a_session_stays_with_its_key_and_different_ones_are_spread() {
    let (_azure, gateway) = balanced("weighted", &["a", "b"]).await;
    let mut keys = BTreeSet::new();
    for session in ["one", "two"] {
        let first = in_session(&gateway, session, &chat_body("Hi")).await;
        for turn in 0..4 {
            assert_eq!(in_session(&gateway, session, &chat_body("More")).await, first, "{session} {turn}");
        }
        keys.insert(first);
    }
    assert_eq!(keys.len(), 2);
    for turn in 0..4 {
        let mut body = chat_body("Hi");
        body["prompt_cache_key"] = json!("three");
        let key = gateway.chat(&body).await.header("x-azgate-key").to_owned();
        assert_eq!(key, "a", "the third session, the first key's turn again: {turn}");
    }
}

#[tokio::test]
async fn the_turns_of_a_long_conversation_find_their_key_without_a_name() {
    let (_azure, gateway) = balanced("weighted", &["a", "b", "c"]).await;
    let mut keys = BTreeMap::new();
    for turn in 0..4 {
        for talk in ["one", "two", "three"] {
            let mut body = chat_body(&format!("{talk} {}", "word ".repeat(1_000)));
            let messages = body["messages"].as_array_mut().unwrap();
            messages.extend((0..turn).map(|turn| json!({"role": "user", "content": format!("more {turn}")})));
            let key = gateway.chat(&body).await.header("x-azgate-key").to_owned();
            assert_eq!(*keys.entry(talk).or_insert(key.clone()), key, "{talk} {turn}");
        }
    }
    assert_eq!(keys.values().collect::<BTreeSet<_>>().len(), 3, "{keys:?}");
}

#[tokio::test]
async fn a_session_is_never_in_the_way_of_failover() {
    let (azure, gateway) = balanced("weighted", &["a", "b"]).await;
    assert_eq!(in_session(&gateway, "s", &chat_body("Hi")).await, "a");
    azure.script(&Script::default().then(Rule::new("status=429; retry-after-ms=60000").key("a"))).unwrap();
    assert_eq!(in_session(&gateway, "s", &chat_body("Hi")).await, "b");
    azure.clear();
    assert_eq!(in_session(&gateway, "s", &chat_body("Hi")).await, "b");
    assert_eq!(azure.recorded().len(), 1, "the closed key was not even asked");
}

#[tokio::test]
async fn one_busy_session_takes_no_more_than_a_quarter_above_a_fair_share() {
    let (_azure, gateway) = balanced("weighted", &["a", "b"]).await;
    let mut counts = BTreeMap::new();
    for _ in 0..160 {
        *counts.entry(in_session(&gateway, "busy", &chat_body("Hi")).await).or_insert(0) += 1;
    }
    assert!(
        counts.values().all(|count| *count <= 103),
        "62.5 % of 160, and what a lonely session is allowed: {counts:?}"
    );
}
