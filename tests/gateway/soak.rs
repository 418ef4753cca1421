//! Many requests under random faults and reloads: every answer is right or an honest error, and nothing stays behind.
//!
//! `AZGATE_SOAK=100000 cargo test --test gateway soak::` runs the long form (nextest would end it); the seed is printed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use azgate::simulator::{Rule, Running, Script, Settings};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::*;

const REQUESTS: usize = 2_000;
const CALLERS: usize = 16;

/// Threads that may be kept for a while for what would block: files, names.
const MOST_BLOCKING: usize = 8;

/// Reloads in the course of a run.
const RELOADS: usize = 10;

/// What may go wrong on one key, or on both.
const FAULTS: [&str; 16] = [
    "status=429; retry-after-ms=5",
    "status=429; retry-after=0",
    "status=401",
    "status=404; code=DeploymentNotFound",
    "status=408",
    "status=500; empty-body",
    "status=503; html",
    "reset-before-head",
    "close-before-head",
    "close-after-bytes=30",
    "reset-after-events=1",
    "truncate-after-events=3",
    "cut-after-events=5",
    "error-event-at=1",
    "error-event-at=5",
    "split=7, crlf",
];

async fn soaked() -> (Running, Gateway, Value) {
    let accepted = ["a", "b"].map(str::to_owned).to_vec();
    let azure = azure_with(Settings { keys: accepted, record: false, ..Settings::default() }).await;
    // A fault for the first key alone is asked for by its number; one for both goes in the simulator's own header.
    let mut script = Script::default();
    for (number, fault) in FAULTS.iter().enumerate() {
        let mut rule = Rule::new(*fault).key("a");
        rule.matching.header = Some(format!("x-soak: {number}"));
        script = script.then(rule);
    }
    azure.script(&script).unwrap();
    let mut config = config(&azure.base_url());
    config["client"]["forward_headers"] = json!(["x-soak", "x-sim-fault"]);
    let entry = |name: &str| {
        let mut key = key(name, &azure.base_url());
        key["value"] = json!(name);
        key
    };
    config["providers"]["azure"] = json!({
        "keys": [entry("a"), entry("b")],
        "network_config": {"retry_backoff_initial": 1, "retry_backoff_max": 5},
        "circuit_breaker": {"consecutive_failures": 4, "open_seconds": 0.05},
    });
    let gateway = Gateway::start(&config).await;
    (azure, gateway, config)
}

/// What one request came to: `right`, or the way in which it honestly failed.
///
/// # Panics
/// When the answer is neither.
fn judge(answer: &Answer, stream: bool, mark: &str) -> String {
    if answer.status != 200 {
        assert!(answer.complete, "{mark}");
        return answer.status.to_string();
    }
    if !stream {
        let said = answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert!(answer.complete && said.contains(mark), "{mark}: {said}");
        return "right".to_owned();
    }
    let text = answer.text();
    let events = answer.events();
    let said: String =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect::<Vec<_>>().concat();
    let errors = events.iter().filter(|event| event.get("error").is_some()).count();
    let ended = text.ends_with("data: [DONE]\n\n") || text.ends_with("data: [DONE]\r\n\r\n");
    assert!(answer.complete, "{mark}");
    match (ended, errors) {
        (true, 0) => {
            assert!(said.contains(mark), "{mark}: {said}");
            "right".to_owned()
        }
        (false, 1) => "error event".to_owned(),
        _ => panic!("{mark}: neither whole nor an honest end: {text}"),
    }
}

/// Asks until no request is left, over one connection as long as that lasts.
async fn caller(gateway: Arc<Gateway>, left: Arc<AtomicUsize>, seed: u64) -> BTreeMap<String, usize> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut outcomes = BTreeMap::new();
    let mut connection = connect(gateway.address).await;
    while let Ok(number) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
        let chosen = dice.usize(0..FAULTS.len());
        let (one, both) = (chosen.to_string(), FAULTS[chosen]);
        // A plain answer has no events to break at.
        let (mark, stream) = (format!("mark-{number}-end"), both.contains("event") || dice.bool());
        let mut body = if stream { stream_body(&mark) } else { chat_body(&mark) };
        body["max_tokens"] = json!(64);
        let authorization = format!("Bearer {KEY}");
        let mut headers = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        match dice.usize(0..10) {
            0..5 => {}
            5..9 => headers.push(("x-soak", &one)),
            _ => headers.push(("x-sim-fault", both)),
        }
        if connection.ready().await.is_err() {
            connection = connect(gateway.address).await;
        }
        let body = Full::new(body.to_string().into());
        let asked = request(gateway.address, Method::POST, "/v1/chat/completions", &headers, body);
        let answer = collect(connection.send_request(asked).await.expect("an answer")).await;
        *outcomes.entry(judge(&answer, stream, &mark)).or_insert(0) += 1;
    }
    outcomes
}

/// What the process holds: open descriptors, and threads.
fn held(gateway: &Gateway) -> (usize, usize) {
    let entries = |folder: &str| std::fs::read_dir(format!("/proc/{}/{folder}", gateway.pid())).unwrap().count();
    (entries("fd"), entries("task"))
}

/// Waits until the process holds no more than before, but for connections that its pools keep.
async fn until_let_go(gateway: &Gateway, (descriptors, threads): (usize, usize), pooled: usize) {
    gateway.until_metric("azgate_requests_active", 0.0).await;
    gateway.until_metric("azgate_streams_active", 0.0).await;
    gateway.until_metric("azgate_connections_active", 0.0).await;
    // Threads for files and names end when they have had nothing to do for ten seconds.
    let (_, now) = held(gateway);
    assert!(now <= threads + MOST_BLOCKING, "{now} threads, {threads} before");
    let few = || held(gateway).0 <= descriptors + pooled;
    wait_until("descriptors are closed", few).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_right_or_an_honest_error() {
    let requests = std::env::var("AZGATE_SOAK").map_or(REQUESTS, |count| count.parse().expect("a number of requests"));
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}, {requests} requests");
    let (_azure, gateway, config) = soaked().await;
    let before = held(&gateway);
    let (gateway, left) = (Arc::new(gateway), Arc::new(AtomicUsize::new(requests)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller_number| {
            tokio::spawn(caller(Arc::clone(&gateway), Arc::clone(&left), seed.wrapping_add(caller_number as u64)))
        })
        .collect();
    for reload in 1..=RELOADS {
        let wanted = requests - requests * reload / (RELOADS + 1);
        while left.load(Ordering::Relaxed) > wanted {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        gateway.reload(&config);
        gateway.until_metric("azgate_config_generation", reload as f64 + 1.0).await;
    }
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for caller in callers {
        for (outcome, count) in caller.await.unwrap() {
            *outcomes.entry(outcome).or_insert(0) += count;
        }
    }
    eprintln!("{outcomes:?}");
    assert_eq!(outcomes.values().sum::<usize>(), requests);
    assert!(outcomes["right"] > requests * 7 / 10, "{outcomes:?}");
    until_let_go(&gateway, before, CALLERS).await;
    assert_eq!(gateway.metric("azgate_requests_total", &["chat_completions"]).await, requests as f64);
}

/// Streams that stand still cost memory alone, and nothing once their callers have left.
#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_leave_nothing_behind() {
    const STREAMS: usize = 300;
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    let before = held(&gateway);
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-fault", "stall-after-events=4")];
    let body = stream_body("one two three four five six").to_string();
    let asking = (0..STREAMS).map(|_| open(gateway.address, "/v1/chat/completions", &headers, body.clone()));
    let streams = futures_util::future::join_all(asking).await;
    gateway.until_metric("azgate_streams_active", STREAMS as f64).await;
    // A connection to the caller and one to the upstream for each.
    assert!(held(&gateway).0 > before.0 + 2 * STREAMS - 10);
    assert!(held(&gateway).1 <= before.1 + MOST_BLOCKING, "no thread is held by a stream");
    drop(streams);
    until_let_go(&gateway, before, 1).await;
}
