//! What was counted survives the end of the process, also a sudden one, and a damaged file stops nobody.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::service::Orphan;
use crate::support::*;

fn keeping(azure: &str, directory: &Path) -> Value {
    let mut config = config(azure);
    config["server"]["state_directory"] = json!(directory);
    config["governance"]["virtual_keys"][0]["rate_limit"] = json!({"requests_per_day": 3});
    config
}

/// Waits until the file says something that was not in it before.
async fn until_saved(directory: &Path, before: &str) -> String {
    let path = directory.join("counters.json");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until("a save", || !text().is_empty() && text() != before).await;
    text()
}

#[tokio::test]
async fn counters_survive_a_kill_and_an_orderly_end() {
    let (azure, directory) = (azure().await, tempfile::tempdir().unwrap());
    let config = keeping(&azure.base_url(), &directory.path().join("made/on/demand"));
    let mut saved = String::new();
    for signal in ["KILL", "TERM"] {
        let mut gateway = Gateway::start(&config).await;
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        if signal == "KILL" {
            let begun = std::time::Instant::now();
            saved = until_saved(&directory.path().join("made/on/demand"), &saved).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "usually within a quarter of a second");
        }
        gateway.signal(signal);
        gateway.ended().await;
    }
    let gateway = Gateway::start(&config).await;
    for status in [200, 429] {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, status, "two of three were used before");
    }
    assert_eq!(gateway.metric("azgate_state_save_success", &[]).await, 1.0);
}

#[tokio::test]
async fn a_damaged_file_is_told_of_and_kept_aside() {
    let (azure, directory) = (azure().await, tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("counters.json"), "{\"half a fi").unwrap();
    let gateway = Gateway::start(&keeping(&azure.base_url(), directory.path())).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    let aside = directory.path().join("counters.damaged-1.json");
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), "{\"half a fi");
    wait_until("the log says so", || gateway.log().contains("is cut off; it is kept as")).await;
    until_saved(directory.path(), "").await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_stops_the_start() {
    let (azure, directory) = (azure().await, tempfile::tempdir().unwrap());
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = directory.path().join("azgate.json");
    std::fs::write(&path, keeping(&azure.base_url(), &file.join("below")).to_string()).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_azgate")).args(["run", "--config"]).arg(&path).output();
    let output = run.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("cannot be used"), "{told}");
}

#[tokio::test]
async fn a_successor_counts_what_its_predecessor_holds_until_that_has_ended() {
    let (azure, directory) = (azure().await, tempfile::tempdir().unwrap());
    let mut config = keeping(&azure.base_url(), directory.path());
    config["governance"]["virtual_keys"][0]["rate_limit"] = json!({"concurrent_requests": 1, "requests_per_day": 3});
    let gateway = Gateway::start(&config).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "100")];
    let body = stream_body(&"word ".repeat(40)).to_string();
    let running = open(gateway.address, "/v1/chat/completions", &headers, body).await;
    until_saved(directory.path(), "").await;
    gateway.signal("USR2");
    let told = || gateway.log().split("has taken over the listening").next().unwrap().to_owned();
    wait_until("a successor", || gateway.log().contains("has taken over the listening")).await;
    let successor = told().rsplit("process ").next().unwrap().trim().parse().unwrap();
    let successor = Orphan(successor);
    let until_alone = || gateway.log().contains("stopped after");
    while !until_alone() {
        let refused = gateway.chat(&chat_body("Hi")).await;
        if refused.status == 200 {
            assert!(until_alone(), "the slot is taken in the process before");
            break;
        }
        assert!(refused.text().contains("1 requests running at the same time"), "{}", refused.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(collect(running).await.complete);
    until_admitted(&gateway, "the end of the process before").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(gateway.chat(&chat_body("Hi")).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "three of the day: {statuses:?}");
    successor.signal("TERM");
    successor.ended().await;
}
