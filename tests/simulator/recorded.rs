//! What the record holds, and how soon it knows that a caller has left.

use std::time::Duration;

use azgate::simulator::{Outcome, Recorded, Settings, start};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::*;

const PATIENCE: Duration = Duration::from_secs(2);

fn is_finished(all: &[Recorded]) -> bool {
    all.first().is_some_and(|one| one.finished_at_ms.is_some())
}

#[tokio::test]
async fn a_request_is_recorded_as_it_arrived() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "grüß dich", json!({"stream": true})).to_string();
    let request = format!(
        "POST {CLASSIC_CHAT} HTTP/1.1\r\nHost: x\r\nX-B: 2\r\napi-key: sim-key\r\nx-a: 1\r\nconnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(simulator.addr(), &request).await;
    let all = simulator.recorded();
    let one = &all[0];
    assert_eq!((one.number, one.connection, one.method.as_str(), one.http_version), (1, 1, "POST", "HTTP/1.1"));
    assert_eq!(one.path, "/openai/deployments/gpt-4o/chat/completions");
    assert_eq!(one.query.as_deref(), Some("api-version=2024-10-21"));
    let names: Vec<&str> = one.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-b", "api-key", "x-a", "connection", "content-length"]);
    assert_eq!((one.body.as_deref(), one.body_length), (Some(body.as_str()), body.len() as u64));
    assert_eq!(one.body_sha256.len(), 64);
    assert_eq!((one.api_key_seen.as_deref(), one.deployment.as_deref()), (Some("sim-key"), Some("gpt-4o")));
    assert_eq!((one.status, one.outcome, one.caller_left_after_ms), (200, Outcome::Answered, None));
    assert!(one.events_sent > 5 && one.finished_at_ms >= Some(one.at_ms));
}

#[tokio::test]
async fn the_record_is_read_and_cleared_over_http() {
    let simulator = simulator().await;
    chat(&simulator, &chat_body("gpt-4o", "hi", json!({}))).await;
    chat(&simulator, &chat_body("nope", "hi", json!({}))).await;
    let all = ok(&control(simulator.addr(), "GET", "/_sim/requests", "").await);
    let told: Vec<(&Value, &Value)> =
        all.as_array().expect("a list").iter().map(|one| (&one["status"], &one["deployment"])).collect();
    assert_eq!(told, [(&json!(200), &json!("gpt-4o")), (&json!(404), &json!("nope"))]);
    assert_eq!(all[0]["outcome"], "answered");
    assert_eq!(control(simulator.addr(), "DELETE", "/_sim/requests", "").await.status, 200);
    assert!(simulator.recorded().is_empty());
}

#[tokio::test]
async fn bodies_that_are_large_or_no_text_are_recorded_by_hash() {
    let simulator = simulator().await;
    let large = chat_body("gpt-4o", &"x".repeat(2 << 20), json!({}));
    assert_eq!(chat(&simulator, &large).await.status, 200);
    let one = &simulator.recorded()[0];
    assert_eq!((one.body.as_ref(), one.body_length), (None, large.to_string().len() as u64));
    assert_eq!(one.deployment.as_deref(), Some("gpt-4o"));
}

#[tokio::test]
async fn without_recording_nothing_is_kept() {
    let simulator = start(Settings { record: false, ..Settings::default() }).await.expect("a free port");
    assert_eq!(chat(&simulator, &chat_body("gpt-4o", "hi", json!({}))).await.status, 200);
    assert!(simulator.recorded().is_empty());
    assert_eq!(simulator.stats().answered, 1);
}

#[tokio::test]
async fn faults_that_end_an_answer_are_told_from_callers_that_leave() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    for fault in ["reset-before-head", "reset-after-bytes=10", "truncate-after-events=1", "status=500"] {
        simulator.clear();
        raw(simulator.addr(), &raw_chat(&format!("{fault}; keep-alive=off"), &body)).await;
        let all = simulator.wait_for(PATIENCE, is_finished).await;
        assert_eq!(all[0].outcome, Outcome::Fault, "{fault}");
    }
}

/// Leaves `leave_after` ms into a fault and gives what the record says.
async fn left(fault: &str, leave_after: u64) -> Recorded {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    let mut stream = TcpStream::connect(simulator.addr()).await.expect("connected");
    stream.write_all(raw_chat(fault, &body).as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(leave_after)).await;
    drop(stream);
    simulator.wait_for(PATIENCE, is_finished).await.remove(0)
}

#[tokio::test]
async fn a_leaving_caller_is_noticed_at_once() {
    for fault in [
        "delay=5000",
        "stall-before-head",
        "body-delay=5000",
        "stall-after-bytes=100",
        "drip-ms=300",
        "stall-after-events=3",
    ] {
        let one = left(fault, 150).await;
        assert_eq!(one.outcome, Outcome::CallerLeft, "{fault}");
        let after = one.caller_left_after_ms.expect("a time");
        assert!((140..400).contains(&after), "{fault}: {after}");
    }
}

#[tokio::test]
async fn a_cancelled_http2_stream_is_noticed_while_its_connection_lives() {
    let simulator = simulator().await;
    let mut sender = h2(simulator.addr()).await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    for fault in ["stall-before-head", "stall-after-events=2"] {
        simulator.clear();
        let request = at(simulator.addr(), faulty(fault, &body));
        let call = sender.send_request(request);
        let _ =
            tokio::time::timeout(Duration::from_millis(100), async { read(call.await.expect("a head")).await }).await;
        let all = simulator.wait_for(PATIENCE, is_finished).await;
        assert_eq!(all[0].outcome, Outcome::CallerLeft, "{fault}");
        let after = all[0].caller_left_after_ms.expect("a time");
        assert!((90..350).contains(&after), "{fault}: {after}");
    }
    assert_eq!(
        read(sender.send_request(at(simulator.addr(), post(V1_CHAT, &body))).await.expect("alive")).await.status,
        200
    );
}

#[tokio::test]
async fn a_caller_that_leaves_while_sending_is_noticed() {
    let simulator = simulator().await;
    let mut stream = TcpStream::connect(simulator.addr()).await.expect("connected");
    let head =
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\napi-key: sim-key\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    let all = simulator.wait_for(PATIENCE, is_finished).await;
    assert_eq!((all[0].outcome, all[0].status), (Outcome::CallerLeft, 0));
}
