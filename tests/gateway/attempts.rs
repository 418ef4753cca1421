//! More than one attempt: past closed doors, after failures, and never more than is allowed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use azgate::simulator::{Rule, Running, Script, Settings};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::*;

const CHAT: &str = "/v1/chat/completions";

/// A simulated Azure that tells keys apart, and a gateway with a key for each name, in order of priority where asked.
async fn keys(names: &[&str], priorities: &[u32]) -> (Running, Gateway) {
    keys_with(names, priorities, json!({"retry_backoff_initial": 20, "first_byte_timeout_in_seconds": 2})).await
}

async fn keys_with(names: &[&str], priorities: &[u32], network: Value) -> (Running, Gateway) {
    let accepted = names.iter().map(|name| (*name).to_owned()).collect();
    let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    let entry = |(index, name): (usize, &&str)| {
        let mut key = key(name, &azure.base_url());
        key["value"] = json!(name);
        key["priority"] = json!(priorities.get(index).copied().unwrap_or(0));
        key
    };
    config["providers"]["azure"]["keys"] = names.iter().enumerate().map(entry).collect();
    config["providers"]["azure"]["network_config"] = network;
    let gateway = Gateway::start(&config).await;
    (azure, gateway)
}

async fn ask(gateway: &Gateway) -> Answer {
    gateway.chat(&chat_body("Hi")).await
}

fn seen_by_key(azure: &Running) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in azure.recorded() {
        *counts.entry(request.api_key_seen.unwrap_or_default()).or_insert(0) += 1;
    }
    counts
}

#[tokio::test]
async fn a_throttled_key_is_left_alone_until_its_time_and_nobody_notices() {
    let (azure, gateway) = keys(&["a", "b"], &[]).await;
    azure.script(&Script::default().then(Rule::new("status=429; retry-after-ms=700").key("a").times(1))).unwrap();
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&gateway).await.status, 200);
    }
    if begun.elapsed() < Duration::from_millis(600) {
        assert_eq!(seen_by_key(&azure).get("a"), Some(&1), "asked once, then left alone");
    }
    tokio::time::sleep(Duration::from_millis(750)).await;
    azure.clear();
    for _ in 0..4 {
        ask(&gateway).await;
    }
    assert_eq!(seen_by_key(&azure), BTreeMap::from([("a".into(), 2), ("b".into(), 2)]), "back in its full share");
}

#[tokio::test]
async fn traps_19_the_better_priority_serves_while_it_is_open_and_again_as_soon_as_it_is() {
    let (azure, gateway) = keys(&["ptu", "paygo"], &[0, 1]).await;
    for _ in 0..4 {
        assert_eq!(ask(&gateway).await.header("x-azgate-key"), "ptu");
    }
    azure.script(&Script::default().then(Rule::new("status=429; retry-after-ms=400").key("ptu").times(1))).unwrap();
    let spilled = ask(&gateway).await;
    assert_eq!(
        (spilled.status, spilled.header("x-azgate-key"), spilled.header("x-azgate-attempts")),
        (200, "paygo", "2")
    );
    assert_eq!(ask(&gateway).await.header("x-azgate-key"), "paygo");
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(ask(&gateway).await.header("x-azgate-key"), "ptu");
}

#[tokio::test]
async fn when_every_gate_is_closed_the_caller_learns_the_soonest_and_is_served_then() {
    let (azure, gateway) = keys(&["a", "b"], &[]).await;
    let script = Script::default()
        .then(Rule::new("status=429; retry-after-ms=5000").key("a").times(1))
        .then(Rule::new("status=429; retry-after-ms=600").key("b").times(1));
    azure.script(&script).unwrap();
    let first = ask(&gateway).await;
    assert_eq!((first.status, first.header("retry-after")), (429, "1"), "the last answer, with the soonest wait");
    let told: u64 = first.header("retry-after-ms").parse().unwrap();
    assert!(told <= 600, "{told}");
    let refused = ask(&gateway).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "all_keys_throttled"));
    assert_eq!(azure.recorded().len(), 2);
    tokio::time::sleep(Duration::from_millis(650)).await;
    assert_eq!(ask(&gateway).await.header("x-azgate-key"), "b");
}

#[tokio::test]
async fn throttling_of_one_deployment_does_not_close_the_others_and_survives_a_reload() {
    let (azure, gateway) = keys(&["a"], &[]).await;
    azure
        .script(&Script::default().then(Rule::new("status=429; retry-after-ms=20000").deployment("chat-east")))
        .unwrap();
    assert_eq!(ask(&gateway).await.status, 429);
    let mut other = chat_body("Hi");
    other["model"] = json!("dotted");
    assert_eq!(gateway.chat(&other).await.status, 200);
    let same: Value = serde_json::from_str(&std::fs::read_to_string(&gateway.config).unwrap()).unwrap();
    gateway.reload(&same);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    assert_eq!(ask(&gateway).await.code(), "all_keys_throttled");
}

#[tokio::test]
async fn closed_doors_of_every_kind_lead_to_the_next_key() {
    for (fault, outcome) in [
        ("status=401", "credential"),
        ("status=403", "credential"),
        ("status=404; code=DeploymentNotFound", "client_error"),
        ("status=429", "throttled"),
        ("status=408", "timeout"),
        ("status=500", "server_error"),
        ("status=503; html", "server_error"),
        ("status=502; empty-body", "server_error"),
        ("reset-before-head", "broken"),
        ("close-before-head", "broken"),
        ("stall-before-head", "first_byte_timeout"),
    ] {
        let (azure, gateway) = keys(&["a", "b"], &[0, 1]).await;
        azure.script(&Script::default().then(Rule::new(fault).key("a"))).unwrap();
        for body in [chat_body("Hi"), stream_body("Hi")] {
            let answer = gateway.chat(&body).await;
            assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "b"), "{fault}: {}", answer.text());
        }
        let line = gateway.request_lines(1).await.remove(0);
        assert_eq!(line["attempts"][0]["outcome"], outcome, "{fault}: {line}");
        assert_eq!(line["attempts"][1]["outcome"], "success", "{fault}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_reached_is_passed_by() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let mut closed = key("closed", &format!("http://{}", free_address()));
    closed["priority"] = json!(0);
    let mut open = key("open", &azure.base_url());
    open["priority"] = json!(1);
    config["providers"]["azure"]["keys"] = json!([closed, open]);
    let gateway = Gateway::start(&config).await;
    let answer = ask(&gateway).await;
    assert_eq!((answer.status, answer.header("x-azgate-key"), answer.header("x-azgate-attempts")), (200, "open", "2"));
}

#[tokio::test]
async fn answers_of_the_400_class_are_never_tried_again() {
    let (azure, gateway) = keys(&["a", "b"], &[]).await;
    for fault in ["status=400", "status=400; code=content_filter", "status=409", "status=413", "status=422"] {
        let answer = gateway.post(CHAT, &[("x-sim-fault", fault)], chat_body("Hi").to_string()).await;
        assert_eq!(answer.header("x-azgate-attempts"), "1", "{fault}");
    }
    assert_eq!(azure.recorded().len(), 5);
}

#[tokio::test]
async fn refused_credentials_everywhere_are_a_502_and_unknown_deployments_everywhere_a_404() {
    let (azure, gateway) = keys(&["a", "b"], &[]).await;
    for (fault, status) in [("status=401", 502), ("status=404; code=DeploymentNotFound", 404)] {
        let answer = gateway.post(CHAT, &[("x-sim-fault", fault)], chat_body("Hi").to_string()).await;
        assert_eq!(answer.status, status, "{fault}: {}", answer.text());
    }
    assert_eq!(azure.recorded().len(), 4, "each key once");
}

#[tokio::test]
async fn a_sole_key_that_fails_is_tried_again_and_the_caller_told_not_to() {
    let (azure, gateway) = keys(&["a"], &[]).await;
    azure.script(&Script::default().then(Rule::new("status=500").times(2))).unwrap();
    let saved = ask(&gateway).await;
    assert_eq!((saved.status, saved.header("x-azgate-attempts")), (200, "3"));
    azure.script(&Script::default().then(Rule::new("status=500"))).unwrap();
    azure.clear();
    let failed = ask(&gateway).await;
    assert_eq!((failed.status, failed.header("x-should-retry")), (500, "false"), "{}", failed.text());
    assert!(azure.recorded().len() <= 3);
}

#[tokio::test]
async fn traps_15_retries_stay_a_fraction_while_everything_fails() {
    let (azure, gateway) = keys(&["a", "b", "c"], &[]).await;
    azure.script(&Script::default().then(Rule::new("status=503"))).unwrap();
    for _ in 0..20 {
        let asked = (0..10).map(|_| async { assert_eq!(ask(&gateway).await.status, 503) });
        futures_util::future::join_all(asked).await;
    }
    let sent = azure.recorded().len();
    assert!(sent <= 200 + 40 + 3, "{sent} attempts for 200 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_20_the_body_arrives_whole_at_the_second_upstream_at_any_size() {
    let (azure, gateway) = keys_with(&["a", "b"], &[0, 1], json!({})).await;
    azure
        .script(
            &Script::default()
                .then(Rule::new("status=429; retry-after-ms=1").key("a"))
                .then(Rule::new("echo-request").key("b")),
        )
        .unwrap();
    for length in [1 << 10, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20, 32 << 20] {
        let body = format!(r#"{{"messages":"{}","model":"gpt-4o"}}"#, "x".repeat(length));
        let expected = HEXLOWER.encode(&Sha256::digest(body.replace("gpt-4o", "chat-east").as_bytes()));
        let answer = gateway.post(CHAT, &[], body).await;
        assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "b"), "{length}: {}", answer.text());
        assert_eq!(azure.recorded().pop().unwrap().body_sha256, expected, "{length}");
        azure.clear();
    }
}

#[tokio::test]
async fn nothing_is_tried_again_once_the_caller_has_seen_content() {
    let (azure, gateway) = keys(&["a", "b"], &[0, 1]).await;
    azure.script(&Script::default().then(Rule::new("cut-after-events=4").key("a"))).unwrap();
    let answer = gateway.chat(&stream_body("one two three four five six")).await;
    assert_eq!(answer.events().last().unwrap()["error"]["code"], "upstream_broken");
    assert_eq!(azure.recorded().len(), 1);
}

#[tokio::test]
async fn a_sick_key_is_left_alone_and_tried_by_one_request_at_a_time() {
    let accepted = vec!["a".to_owned(), "b".to_owned()];
    let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    let entry = |name: &str| {
        let mut key = key(name, &azure.base_url());
        key["value"] = json!(name);
        key
    };
    config["providers"]["azure"]["keys"] = json!([entry("a"), entry("b")]);
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 2, "open_seconds": 1});
    let gateway = Gateway::start(&config).await;
    azure.script(&Script::default().then(Rule::new("status=500").key("a"))).unwrap();
    for _ in 0..12 {
        assert_eq!(ask(&gateway).await.status, 200);
    }
    assert_eq!(seen_by_key(&azure).get("a"), Some(&2), "left alone after two failures");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let asked = (0..8).map(|_| async { assert_eq!(ask(&gateway).await.status, 200) });
    futures_util::future::join_all(asked).await;
    assert_eq!(seen_by_key(&azure).get("a"), Some(&3), "one probe");
    azure.script(&Script::default()).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    azure.clear();
    for _ in 0..10 {
        ask(&gateway).await;
    }
    assert!(seen_by_key(&azure)["a"] >= 4, "back at work: {:?}", seen_by_key(&azure));
    wait_until("both changes are logged", || {
        gateway.log().contains("`a` keeps failing") && gateway.log().contains("`a` works again")
    })
    .await;
}

#[tokio::test]
async fn traps_16_when_every_key_is_sick_a_probe_is_let_through_in_time_and_throttling_never_makes_one_sick() {
    let (azure, gateway) = keys(&["a"], &[]).await;
    for _ in 0..8 {
        azure.script(&Script::default().then(Rule::new("status=429; retry-after-ms=1").times(1))).unwrap();
        ask(&gateway).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(&gateway).await.status, 200, "429 is no sickness");
    azure.script(&Script::default().then(Rule::new("status=500"))).unwrap();
    let mut last = 0;
    for _ in 0..12 {
        last = ask(&gateway).await.status;
    }
    assert_eq!(last, 503, "no_healthy_key once the breaker is open");
    assert_eq!(ask(&gateway).await.code(), "no_healthy_key");
}

#[tokio::test]
async fn traps_52_an_answer_that_turns_out_broken_before_its_content_is_replaced_by_another() {
    let (azure, gateway) = keys(&["a", "b"], &[0, 1]).await;
    // After the first event, which only tells the verdict on the prompt.
    let faults = [
        ("error-event-at=1", "broken"),
        ("truncate-after-events=1", "broken"),
        ("cut-after-events=1", "broken"),
        ("reset-after-bytes=20", "broken"),
    ];
    for (round, (fault, outcome)) in faults.into_iter().enumerate() {
        azure.script(&Script::default().then(Rule::new(fault).key("a").times(1))).unwrap();
        let begun = azure.recorded().len();
        let answer = gateway.chat(&stream_body("one two three")).await;
        assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "b"), "{fault}: {}", answer.text());
        assert!(
            answer.text().ends_with("data: [DONE]\n\n") && !answer.text().contains("\"error\""),
            "{fault}: {}",
            answer.text()
        );
        assert_eq!(
            answer.events().iter().filter(|event| event.get("prompt_filter_results").is_some()).count(),
            1,
            "{fault}: nothing twice"
        );
        assert_eq!(azure.recorded().len(), begun + 2, "{fault}");
        let line = gateway.request_lines(round * 6 + 1).await.pop().unwrap();
        assert_eq!(line["attempts"][0]["outcome"], outcome, "{fault}: {line}");
        // Enough requests that the retry budget is full again.
        for _ in 0..5 {
            ask(&gateway).await;
        }
    }
}

#[tokio::test]
async fn a_plain_answer_that_breaks_off_is_replaced_by_another() {
    let (azure, gateway) = keys(&["a", "b"], &[0, 1]).await;
    for fault in ["close-after-bytes=40", "reset-after-bytes=40", "content-length-too-long"] {
        azure.script(&Script::default().then(Rule::new(fault).key("a").times(1))).unwrap();
        let answer = ask(&gateway).await;
        assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "b"), "{fault}: {}", answer.text());
        for _ in 0..5 {
            ask(&gateway).await;
        }
    }
}
