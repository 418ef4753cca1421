//! One structured line per request, and metrics whose labels are configured names.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn each_request_is_one_line_with_its_whole_story() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let headers = [("x-request-id", "story-1"), ("x-stainless-retry-count", "2")];
    gateway.post("/v1/chat/completions", &headers, stream_body("one two").to_string()).await;
    let lines = gateway.request_lines(1).await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    for (field, value) in [
        ("request_id", json!("story-1")),
        ("caller", json!("tester")),
        ("operation", json!("chat_completions")),
        ("model", json!("gpt-4o")),
        ("status", json!(200)),
        ("stream", json!(true)),
        ("client_retry", json!(2)),
        ("generation", json!(1)),
        ("level", json!("info")),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    let attempt = &line["attempts"][0];
    assert_eq!(
        (attempt["key"].as_str(), attempt["deployment"].as_str(), attempt["outcome"].as_str()),
        (Some("east"), Some("chat-east"), Some("success"))
    );
    assert!(attempt["upstream_id"].is_string() && line["ts"].as_str().unwrap().ends_with('Z'));
    assert!(line["overhead_ms"].as_f64().unwrap() <= line["duration_ms"].as_f64().unwrap());
    assert!(line["first_event_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn labels_are_configured_names_whatever_callers_invent() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for i in 0..50 {
        let mut body = chat_body("Hi");
        body["model"] = json!(format!("invented-{i}"));
        gateway.post("/v1/chat/completions", &[("x-request-id", &format!("id-{i}"))], body.to_string()).await;
    }
    gateway.chat(&chat_body("Hi")).await;
    let text = get(gateway.admin, "/metrics").await.text();
    assert!(!text.contains("invented"), "{text}");
    assert_eq!(
        gateway
            .metric(
                "azgate_requests_total",
                &["model=\"other\"", "status=\"404\"", "key=\"east\"", "caller=\"tester\""]
            )
            .await,
        50.0
    );
    assert_eq!(
        gateway
            .metric(
                "azgate_requests_total",
                &["model=\"gpt-4o\"", "status=\"200\"", "operation=\"chat_completions\"", "provider=\"azure\""]
            )
            .await,
        1.0
    );
    assert_eq!(gateway.metric("azgate_upstream_attempts_total", &["key=\"east\"", "outcome=\"success\""]).await, 1.0);
    for name in [
        "azgate_request_duration_seconds_count",
        "azgate_time_to_first_event_seconds_count",
        "azgate_gateway_overhead_seconds_count",
    ] {
        assert!(gateway.metric(name, &[]).await >= 51.0, "{name}");
    }
    assert!(text.lines().filter(|line| !line.starts_with('#')).count() < 2_000);
}

#[tokio::test]
async fn readiness_goes_away_while_draining() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let address = gateway.address;
    let authorization = format!("Bearer {KEY}");
    let streaming = tokio::spawn(async move {
        let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "50")];
        collect(open(address, "/v1/chat/completions", &headers, stream_body(&"word ".repeat(40)).to_string()).await)
            .await
    });
    wait_until("the stream runs", || azure.recorded().last().is_some_and(|seen| seen.events_sent > 3)).await;
    gateway.signal("TERM");
    let begun = std::time::Instant::now();
    // The operators' listener may be closed already; when it answers, it says the truth.
    while let Ok(stream) = tokio::net::TcpStream::connect(gateway.admin).await {
        drop(stream);
        if get(gateway.admin, "/readyz").await.status == 503 {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
    }
    assert!(streaming.await.unwrap().text().ends_with("data: [DONE]\n\n"));
}
