//! Health checks: endpoints are probed for nothing, their keys are passed by while they are unwell, and operators see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azgate::config::{self, Process};
use azgate::simulator::{Rule, Script, Settings};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::*;

fn checked(mut config: Value, kind: &str) -> Value {
    config["providers"]["azure"]["health_check"] = json!({
        "kind": kind, "interval_seconds": 0.2, "timeout_seconds": 2, "unhealthy_threshold": 2, "healthy_threshold": 1,
    });
    config
}

async fn until_state(gateway: &Gateway, key: &str, state: &str) {
    let (key, state) = (format!("key=\"{key}\""), format!("state=\"{state}\""));
    let begun = Instant::now();
    while gateway.metric("azgate_key_state", &[&key, &state]).await != 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{key} is not {state}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.metric("azgate_key_state", &[&key]).await, 1.0, "one state at a time");
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_by_until_it_is_back() {
    let (dead, azure) = (free_address(), azure().await);
    let mut config = checked(config(&azure.base_url()), "tcp");
    let mut first = key("dead", &format!("http://{dead}"));
    first["priority"] = json!(0);
    let mut second = key("alive", &azure.base_url());
    second["priority"] = json!(1);
    config["providers"]["azure"]["keys"] = json!([first, second]);
    let gateway = Gateway::start(&config).await;
    until_state(&gateway, "dead", "unhealthy").await;
    until_state(&gateway, "alive", "closed").await;
    for _ in 0..5 {
        let answer = gateway.chat(&chat_body("Hi")).await;
        let told = [answer.header("x-azgate-key"), answer.header("x-azgate-attempts")];
        assert_eq!((answer.status, told), (200, ["alive", "1"]), "nobody tries it any more");
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let endpoint = format!("endpoint http://{dead}");
    wait_until("the log tells it", || gateway.log().contains("is not well")).await;
    assert_eq!(gateway.log().matches(&format!("{endpoint} is not well")).count(), 1, "told once");
    // What was learned outlives a reload.
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "alive");
    let back = azure_at(Settings { listen: dead, ..Settings::default() }).await;
    until_state(&gateway, "dead", "closed").await;
    wait_until("the log tells it", || gateway.log().contains("is well again")).await;
    assert_eq!(gateway.log().matches(&format!("{endpoint} is well again")).count(), 1);
    assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "dead");
    assert_eq!(back.recorded().len(), 1);
}

/// A server whose list of models is broken while `sick`; counts those who ask for it, and answers everything else.
async fn moody() -> (SocketAddr, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (sick, probes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (mood, count) = (Arc::clone(&sick), Arc::clone(&probes));
    let address = upstream(move |mut stream| {
        let (mood, count) = (Arc::clone(&mood), Arc::clone(&count));
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let mut answer = plain_answer(r#"{"model":"m","choices":[]}"#);
                if head.starts_with("get ") {
                    count.fetch_add(1, Ordering::SeqCst);
                    assert!(!head.contains("api-key") && !head.contains("authorization"), "{head}");
                    if mood.load(Ordering::SeqCst) {
                        answer = answer.replacen("200 OK", "503 Service Unavailable", 1);
                    }
                } else {
                    read_body(&mut stream, &head).await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    (address.await, sick, probes)
}

#[tokio::test]
async fn when_no_endpoint_is_well_requests_are_sent_all_the_same_and_an_answer_counts_as_a_good_probe() {
    let (address, _, _) = moody().await;
    let gateway = Gateway::start(&checked(config(&format!("http://{address}")), "http")).await;
    until_state(&gateway, "east", "unhealthy").await;
    wait_until("the log tells why", || gateway.log().contains("it answers with 503")).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    wait_until("the answer is noticed", || gateway.log().contains("is well again")).await;
}

#[tokio::test]
async fn a_fallback_whose_endpoint_is_well_goes_before_a_model_whose_endpoint_is_not() {
    let ((address, sick, _), azure) = (moody().await, azure().await);
    let mut config = checked(config(&format!("http://{address}")), "http");
    config["providers"]["spare"] = json!({
        "type": "openai_compatible", "network_config": {"base_url": format!("{}/openai/v1", azure.base_url())},
        "keys": [{"name": "spare", "value": "sim-key", "models": ["chat-east"]}], "health_check": {"kind": "off"},
    });
    config["fallbacks"] = json!({"azure/gpt-4o": ["spare/chat-east"]});
    let gateway = Gateway::start(&config).await;
    until_state(&gateway, "east", "unhealthy").await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!(answer.header("x-azgate-key"), "spare", "{} {}", answer.status, answer.text());
    assert_eq!(answer.header("x-azgate-attempts"), "1");
    sick.store(false, Ordering::SeqCst);
    until_state(&gateway, "east", "closed").await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "east");
}

#[tokio::test]
async fn an_endpoint_that_answers_requests_is_not_probed_and_one_without_checks_never_is() {
    let (address, sick, probes) = moody().await;
    sick.store(false, Ordering::SeqCst);
    let mut config = checked(config(&format!("http://{address}")), "http");
    config["providers"]["azure"]["health_check"]["interval_seconds"] = json!(4);
    let gateway = Gateway::start(&config).await;
    let begun = Instant::now();
    // A probe is due between 3 and 5 s after the start.
    while begun.elapsed() < Duration::from_millis(5_300) {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(probes.load(Ordering::SeqCst), 0);
    gateway.reload(&checked(config.clone(), "http"));
    wait_until("other rules come into force", || probes.load(Ordering::SeqCst) > 2).await;
    gateway.reload(&checked(config, "off"));
    gateway.until_metric("azgate_config_generation", 3.0).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let seen = probes.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(probes.load(Ordering::SeqCst), seen, "it goes on");
}

#[tokio::test]
async fn the_handshake_is_probed_with_the_providers_own_certificates() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = checked(config(&azure.base_url()), "tls");
    let gateway = Gateway::start(&config).await;
    until_state(&gateway, "east", "unhealthy").await;
    wait_until("the log tells why", || gateway.log().contains("UnknownIssuer")).await;
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    gateway.reload(&config);
    until_state(&gateway, "east", "closed").await;
    assert!(azure.recorded().is_empty(), "nothing was asked");
}

#[tokio::test]
async fn azure_is_asked_for_its_models_without_a_credential_and_401_is_a_good_answer() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = checked(config(&azure.base_url()), "http");
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    let gateway = Gateway::start(&config).await;
    wait_until("it is probed", || azure.recorded().len() > 3).await;
    for seen in azure.recorded() {
        assert_eq!((seen.method.as_str(), seen.api_key_seen), ("GET", None));
        let target = (seen.path.as_str(), seen.query.as_deref());
        assert_eq!(target, ("/openai/models", Some("api-version=2024-10-21")));
    }
    until_state(&gateway, "east", "closed").await;
}

#[test]
fn keys_share_what_is_known_of_an_endpoint_and_a_reload_keeps_it_while_its_rules_stay() {
    let parse = |interval: u64, endpoints: [&str; 3]| {
        let mut config = config("https://a.test");
        let keys = endpoints.iter().enumerate().map(|(index, endpoint)| key(&format!("k{index}"), endpoint));
        config["providers"]["azure"]["keys"] = keys.collect();
        config["providers"]["azure"]["health_check"] = json!({"interval_seconds": interval});
        config["governance"] = json!({});
        config::parse(&config.to_string(), "c.json", &Process).unwrap().file
    };
    let first = config::build(&parse(10, ["https://a.test", "https://a.test", "https://b.test"]), None);
    let health =
        |snapshot: &azgate::snapshot::Snapshot, key: usize| Arc::clone(&snapshot.providers[0].keys[key].health);
    assert!(Arc::ptr_eq(&health(&first, 0), &health(&first, 1)));
    assert!(!Arc::ptr_eq(&health(&first, 0), &health(&first, 2)));
    let moved = config::build(&parse(10, ["https://b.test", "https://c.test", "https://a.test"]), Some(&first));
    assert!(Arc::ptr_eq(&health(&moved, 0), &health(&first, 2)) && Arc::ptr_eq(&health(&moved, 2), &health(&first, 0)));
    let other = config::build(&parse(20, ["https://a.test", "https://a.test", "https://b.test"]), Some(&first));
    assert!(!Arc::ptr_eq(&health(&other, 0), &health(&first, 0)), "other rules begin anew");
}

#[tokio::test]
async fn breakers_and_gates_are_seen_in_the_metrics() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"max_retries": 0});
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 1, "open_seconds": 1.5});
    let gateway = Gateway::start(&config).await;
    until_state(&gateway, "east", "closed").await;
    let throttled = Rule::new("status=429; retry-after-ms=20000").deployment("chat-east").times(1);
    azure.script(&Script::default().then(throttled).then(Rule::new("status=500").times(1))).unwrap();
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 429);
    let left = gateway.metric("azgate_key_gate_seconds", &["key=\"east\"", "deployment=\"chat-east\""]).await;
    assert!((1.0..=20.0).contains(&left), "{left}");
    let mut other = chat_body("Hi");
    other["model"] = json!("dotted");
    assert_eq!(gateway.chat(&other).await.status, 500);
    until_state(&gateway, "east", "open").await;
    until_state(&gateway, "east", "half_open").await;
    assert_eq!(gateway.chat(&other).await.status, 200);
    until_state(&gateway, "east", "closed").await;
    assert_eq!(gateway.metric("azgate_key_gate_seconds", &["gpt-4.1.dots"]).await, 0.0, "only closed gates are shown");
}
