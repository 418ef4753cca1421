//! Streams: each event at once, the same bytes however they were split, and no lie about the end.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::json;

use crate::support::*;

async fn stream(gateway: &Gateway, fault: &str) -> Answer {
    gateway
        .post("/v1/chat/completions", &[("x-sim-fault", fault)], stream_body("one two three four five").to_string())
        .await
}

fn text(answer: &Answer) -> String {
    let deltas = answer.events();
    deltas.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn each_event_passes_without_waiting_for_the_next() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "60")];
    let mut answer = open(
        gateway.address,
        "/v1/chat/completions",
        &headers,
        stream_body("one two three four five six seven eight").to_string(),
    )
    .await;
    let (mut arrivals, mut last) = (Vec::new(), Instant::now());
    while let Some(Ok(_)) = answer.body_mut().frame().await {
        arrivals.push(last.elapsed());
        last = Instant::now();
    }
    let apart = arrivals.iter().filter(|gap| **gap > Duration::from_millis(30)).count();
    assert!(apart >= 6, "events came in bunches: {arrivals:?}");
}

#[tokio::test]
async fn traps_01_02_03_12_azures_particulars_pass_and_the_model_is_the_callers() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = stream(&gateway, "no-delta; async-filter").await;
    let events = answer.events();
    assert_eq!(events[0]["choices"], json!([]), "the first chunk with the prompt's filter results");
    assert!(events[0]["prompt_filter_results"].is_array());
    assert_eq!(events[0]["model"], "", "an empty model stays empty");
    assert!(events.iter().skip(1).filter(|event| event["model"] != "").all(|event| event["model"] == "gpt-4o"));
    assert!(
        events.iter().any(|event| event["choices"][0].get("delta").is_none() && event["choices"][0].is_object()),
        "a choice without delta"
    );
    assert!(events.iter().all(|event| event["usage"].is_null()), "the usage chunk was the gateway's own wish");
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert!(answer.header("content-type").starts_with("text/event-stream"));
}

#[tokio::test]
async fn traps_04_usage_is_counted_whether_or_not_the_caller_asked() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    stream(&gateway, "split=1000").await;
    let mut asking = stream_body("one two three four five");
    asking["stream_options"] = json!({"include_usage": true});
    let asked = gateway.chat(&asking).await;
    asking["stream_options"] = json!({"include_usage": false});
    let refused = gateway.chat(&asking).await;
    let usage = |answer: &Answer| answer.events().iter().filter(|event| event["usage"].is_object()).count();
    assert_eq!((usage(&asked), usage(&refused)), (1, 0));
    let lines = gateway.request_lines(3).await;
    for line in &lines {
        assert!(line["usage"]["output"].as_u64().unwrap() > 0, "{line}");
        assert_eq!(line["usage"], lines[0]["usage"]);
    }
    let output =
        gateway.metric("azgate_tokens_total", &["kind=\"output\"", "caller=\"tester\"", "model=\"gpt-4o\""]).await;
    assert_eq!(output, 3.0 * lines[0]["usage"]["output"].as_f64().unwrap());
}

#[tokio::test]
async fn traps_05_an_old_version_is_not_asked_for_usage() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["api_version"] = json!("2024-06-01");
    let gateway = Gateway::start(&config).await;
    let answer = gateway.chat(&stream_body("one two three")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!azure.recorded()[0].body.as_deref().unwrap().contains("stream_options"));
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(line["usage_estimated"], true);
    assert!(line["usage"]["output"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn traps_06_07_any_splitting_and_any_line_ends_give_the_same_text() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut body = stream_body("größe 漢字 🦀 end");
    body["seed"] = json!(1);
    let whole = gateway.chat(&body).await;
    let asking = |fault: &'static str| {
        let (gateway, body) = (&gateway, body.to_string());
        async move { gateway.post("/v1/chat/completions", &[("x-sim-fault", fault)], body).await }
    };
    for fault in [
        "split=1",
        "split=2",
        "split=3",
        "split=7",
        "split=64",
        "crlf; split=5",
        "no-space",
        "bom",
        "comments; split=9",
        "cr; split=3",
    ] {
        let answer = asking(fault).await;
        assert_eq!(answer.status, 200, "{fault}");
        let told = answer.text().replace("\r\n", "\n").replace('\r', "\n").replace("data:{", "data: {");
        let told = told.trim_start_matches('\u{feff}');
        let texts: String = told
            .lines()
            .filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"))
            .filter_map(|data| {
                serde_json::from_str::<serde_json::Value>(data).ok()?["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(texts, text(&whole), "{fault}");
        assert!(told.contains("[DONE]"), "{fault}");
    }
}

#[tokio::test]
async fn traps_08_compression_is_never_asked_for() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = gateway
        .post("/v1/chat/completions", &[("accept-encoding", "gzip, br, zstd")], stream_body("Hi").to_string())
        .await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, ""));
    assert!(azure.recorded()[0].headers.contains(&("accept-encoding".into(), "identity".into())));
}

#[tokio::test]
async fn traps_09_an_error_event_is_passed_on_and_counted() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = stream(&gateway, "error-event-at=4").await;
    assert!(answer.events().last().unwrap()["error"].is_object(), "{}", answer.text());
    assert!(!answer.text().contains("[DONE]"));
    assert!(answer.complete);
    assert_eq!(gateway.request_lines(1).await[0]["stream_failure"], "error_event");
}

#[tokio::test]
async fn traps_10_a_cut_upstream_ends_in_an_error_event_and_never_in_done() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for (fault, reason) in [
        ("truncate-after-events=5", "truncated"),
        ("cut-after-events=5", "broken"),
        ("reset-after-events=5", "broken"),
        ("close-after-bytes=2000", "broken"),
        ("truncate-after-bytes=2000", "truncated"),
    ] {
        let answer = stream(&gateway, fault).await;
        assert_eq!(answer.status, 200, "{fault}");
        let last = answer.events().pop().unwrap();
        assert_eq!(last["error"]["code"], "upstream_broken", "{fault}: {}", answer.text());
        assert!(!answer.text().contains("[DONE]"), "{fault}");
        assert!(answer.complete, "{fault}: the stream itself ends well");
        assert!(gateway.metric("azgate_stream_failures_total", &[reason]).await >= 1.0, "{fault}: {reason}");
    }
}

#[tokio::test]
async fn a_silent_upstream_ends_in_an_error_event_when_the_idle_time_is_over() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"stream_idle_timeout_in_seconds": 1});
    let gateway = Gateway::start(&config).await;
    let answer = stream(&gateway, "stall-after-events=5").await;
    assert_eq!(answer.events().last().unwrap()["error"]["code"], "upstream_timeout", "{}", answer.text());
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_content_is_a_plain_error() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = stream(&gateway, "close-after-bytes=3").await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_broken"), "{}", answer.text());
}

#[tokio::test]
async fn traps_11_small_events_are_not_held_back_by_the_network_stack() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let begun = Instant::now();
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "2")];
    let answer =
        open(gateway.address, "/v1/chat/completions", &headers, stream_body(&"word ".repeat(60)).to_string()).await;
    let events = collect(answer).await.events().len() as u32;
    // Nagle's algorithm against delayed acknowledgements would cost 40 ms an event.
    assert!(begun.elapsed() < Duration::from_millis(25) * events, "{:?} for {events} events", begun.elapsed());
}

#[tokio::test]
async fn several_choices_and_tool_calls_survive() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut body = stream_body("what is the weather in Paris?");
    body["n"] = json!(2);
    body["logprobs"] = json!(true);
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = answer.events();
    assert!(events.iter().any(|event| event["choices"][0]["index"] == 1), "{}", answer.text());
    assert!(
        events.iter().any(|event| event["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "get_weather")
    );
}

#[tokio::test]
async fn content_filter_results_are_removed_only_on_request() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    for (strip, present) in [(false, true), (true, false)] {
        config["client"]["strip_content_filter_results"] = json!(strip);
        let gateway = Gateway::start(&config).await;
        let plain = gateway.chat(&chat_body("Hi")).await;
        let streamed = gateway.chat(&stream_body("Hi")).await;
        for answer in [plain, streamed] {
            assert_eq!(answer.text().contains("filter_results"), present, "{}", answer.text());
            assert!(answer.text().contains("You said") || answer.text().contains("said"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn silence_is_filled_with_comments_that_change_nothing() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let quiet = [("x-sim-event-interval-ms", "16500")];
    let mut body = stream_body("Hi");
    body["max_tokens"] = json!(1);
    let answer = tokio::time::timeout(Duration::from_secs(40), async {
        let authorization = format!("Bearer {KEY}");
        let headers = [("authorization", authorization.as_str()), quiet[0]];
        let mut answer = open(gateway.address, "/v1/chat/completions", &headers, body.to_string()).await;
        let mut seen = String::new();
        while let Some(Ok(frame)) = answer.body_mut().frame().await {
            seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default()));
            if seen.contains(": keep-alive\n\n") {
                break;
            }
        }
        seen
    });
    let seen = answer.await.expect("a comment in time");
    assert!(seen.contains("data: {") && seen.contains(": keep-alive\n\n"), "{seen}");
}
