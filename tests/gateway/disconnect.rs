//! A caller who leaves closes the upstream at once, in every phase, and what was used is still counted.

use std::time::Duration;

use http_body_util::BodyExt;

use crate::support::*;

async fn left_after(azure: &azgate::simulator::Running, began: u64) -> u64 {
    wait_until("the upstream notices", || {
        azure.recorded().last().is_some_and(|seen| seen.caller_left_after_ms.is_some())
    })
    .await;
    azure.recorded().last().unwrap().caller_left_after_ms.unwrap().saturating_sub(began)
}

#[tokio::test]
async fn traps_43_before_the_first_byte() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for body in [chat_body("Hi"), stream_body("Hi")] {
        let asking = gateway.post("/v1/chat/completions", &[("x-sim-fault", "stall-before-head")], body.to_string());
        assert!(tokio::time::timeout(Duration::from_millis(400), asking).await.is_err());
        let late = left_after(&azure, 400).await;
        assert!(late < 250, "{late} ms");
    }
    let lines = gateway.request_lines(2).await;
    assert!(lines.iter().all(|line| line["caller_left"] == true && line["status"] == 499), "{lines:?}");
    assert_eq!(gateway.metric("azgate_client_cancelled_total", &[]).await, 2.0);
    gateway.until_metric("azgate_requests_active", 0.0).await;
}

#[tokio::test]
async fn traps_43_in_the_middle_of_a_stream() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "50")];
    let body = stream_body(&"many words to say ".repeat(20)).to_string();
    let begun = std::time::Instant::now();
    let mut answer = open(gateway.address, "/v1/chat/completions", &headers, body).await;
    for _ in 0..4 {
        answer.body_mut().frame().await.unwrap().unwrap();
    }
    let at = begun.elapsed().as_millis() as u64;
    drop(answer);
    let late = left_after(&azure, at).await;
    assert!(late < 250, "{late} ms");
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(line["caller_left"], true);
    assert!(line["usage"]["output"].as_u64().unwrap() >= 1, "{line}");
    gateway.until_metric("azgate_streams_active", 0.0).await;
}

#[tokio::test]
async fn http2_streams_are_cancelled_by_a_reset() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-fault", "stall-before-head")];
    let asking = send_h2(gateway.address, "/v1/chat/completions", &headers, chat_body("Hi").to_string());
    assert!(tokio::time::timeout(Duration::from_millis(400), asking).await.is_err());
    let late = left_after(&azure, 400).await;
    assert!(late < 250, "{late} ms");
}

#[tokio::test]
async fn a_slow_reader_holds_the_upstream_back_instead_of_filling_memory() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let tokens = "400000";
    let headers = [("authorization", authorization.as_str()), ("x-sim-tokens", tokens)];
    gateway.chat(&stream_body("warm")).await;
    let before = gateway.memory().0;
    let mut answer = open(gateway.address, "/v1/chat/completions", &headers, stream_body("long").to_string()).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let grown = gateway.memory().0.saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more while nobody reads");
}
