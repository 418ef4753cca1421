//! Every fault of the language, seen from the other end of the wire.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use azgate::simulator::Running;
use serde_json::{Value, json};

use crate::client::*;

fn plain() -> Value {
    chat_body("gpt-4o", "hi", json!({}))
}

fn stream() -> Value {
    chat_body("gpt-4o", "hi", json!({"stream": true}))
}

async fn with_fault(simulator: &Running, fault: &str, body: &Value) -> Reply {
    send(simulator.addr(), faulty(fault, body)).await
}

/// Head and body of a raw answer, and how the connection ended.
async fn raw_fault(simulator: &Running, fault: &str, body: &Value) -> (String, String, Option<ErrorKind>) {
    let (text, ended) = raw(simulator.addr(), &raw_chat(fault, body)).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned(), ended)
}

/// The data of a chunked body, as far as it came.
fn unchunked(mut body: &str) -> String {
    let mut data = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        data.push_str(&rest[..size.min(rest.len())]);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    data
}

#[tokio::test]
async fn a_bad_fault_is_explained() {
    let simulator = simulator().await;
    let reply = with_fault(&simulator, "statsu=429", &plain()).await;
    assert_eq!(reply.status, 400);
    assert!(reply.message().starts_with("unknown fault `statsu=429`. A fault is a list of words"), "{}", reply.text());
}

#[tokio::test]
async fn statuses_come_with_azures_words_and_the_headers_asked_for() {
    let simulator = simulator().await;
    let reply = with_fault(&simulator, "status=429; retry-after-ms=250, retry-after=1", &plain()).await;
    assert_eq!((reply.status, &reply.error()["code"]), (429, &json!("429")));
    assert_eq!((reply.header("retry-after-ms"), reply.header("retry-after")), (Some("250"), Some("1")));
    let reply = with_fault(&simulator, "status=429", &plain()).await;
    assert_eq!(reply.header("retry-after"), None);
    for (status, key, value) in [
        (401, "code", json!("401")),
        (403, "code", json!("AuthenticationTypeDisabled")),
        (404, "code", json!("DeploymentNotFound")),
        (408, "code", json!("Timeout")),
        (500, "type", json!("server_error")),
        (503, "code", json!("ServiceUnavailable")),
    ] {
        let reply = with_fault(&simulator, &format!("status={status}"), &stream()).await;
        assert_eq!((reply.status, &reply.error()[key]), (status, &value));
    }
    let reply = with_fault(&simulator, "status=404", &stream()).await;
    assert_eq!((reply.header("content-type"), reply.header("x-ms-deployment-name")), (None, None));
    let reply = with_fault(&simulator, "status=429", &stream()).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("x-ratelimit-remaining-requests").is_some(), "the deployment itself throttles");
    let reply = with_fault(&simulator, "status=400; code=context_length_exceeded; message=too long", &plain()).await;
    assert_eq!(reply.error(), json!({"code": "context_length_exceeded", "message": "too long"}));
    let reply = with_fault(&simulator, "extra-header=x-odd: 7; extra-header=set-cookie:a=b", &plain()).await;
    assert_eq!((reply.status, reply.header("x-odd"), reply.header("set-cookie")), (200, Some("7"), Some("a=b")));
}

#[tokio::test]
async fn bodies_can_be_replaced() {
    let simulator = simulator().await;
    let reply = with_fault(&simulator, "status=502; html", &plain()).await;
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("text/html")));
    assert!(reply.text().starts_with("<html>"));
    let reply = with_fault(&simulator, "empty-body", &plain()).await;
    assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (200, Some("0"), 0));
    let reply = ok(&with_fault(&simulator, "echo-request", &plain()).await);
    assert_eq!(reply["body_length"], plain().to_string().len());
    assert_eq!(reply["body_sha256"], simulator.recorded()[2].body_sha256.as_str());
    assert!(reply["headers"].as_array().expect("list").contains(&json!(["api-key", "sim-key"])));
}

#[tokio::test]
async fn delays_are_kept() {
    let simulator = simulator().await;
    let start = Instant::now();
    assert_eq!(with_fault(&simulator, "delay=150", &plain()).await.status, 200);
    assert!((150..400).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let start = Instant::now();
    let mut sender = h2(simulator.addr()).await;
    let response = sender.send_request(at(simulator.addr(), faulty("body-delay=200", &stream()))).await.expect("head");
    assert!(start.elapsed() < Duration::from_millis(150), "the head must not wait: {:?}", start.elapsed());
    assert_eq!(read(response).await.events().last().map(String::as_str), Some("[DONE]"));
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn nothing_comes_from_a_stalled_head() {
    let simulator = simulator().await;
    let (head, _, ended) = raw_fault(&simulator, "stall-before-head", &plain()).await;
    assert_eq!((head.as_str(), ended), ("", Some(ErrorKind::TimedOut)));
}

#[tokio::test]
async fn resets_are_real_and_closes_are_not() {
    let simulator = simulator().await;
    let (head, _, ended) = raw_fault(&simulator, "reset-before-head", &plain()).await;
    assert_eq!((head.as_str(), ended), ("", Some(ErrorKind::ConnectionReset)));
    let (head, _, ended) = raw_fault(&simulator, "close-before-head", &plain()).await;
    assert_eq!((head.as_str(), ended), ("", None));
    let (head, body, ended) = raw_fault(&simulator, "reset-after-bytes=40", &stream()).await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!((unchunked(&body).len(), ended), (40, Some(ErrorKind::ConnectionReset)));
    let (head, body, ended) = raw_fault(&simulator, "close-after-bytes=40", &plain()).await;
    assert!(head.contains("content-length: "), "a broken document keeps its length: {head}");
    assert_eq!((body.len(), ended), (40, None));
    let (_, body, ended) = raw_fault(&simulator, "stall-after-bytes=40", &plain()).await;
    assert_eq!((body.len(), ended), (40, Some(ErrorKind::TimedOut)));
}

#[tokio::test]
async fn streams_end_early_in_every_way() {
    let simulator = simulator().await;
    let whole = with_fault(&simulator, "crlf", &stream()).await.text().matches("data: ").count();
    assert!(whole > 5);
    let reply = with_fault(&simulator, "truncate-after-events=3", &stream()).await;
    assert_eq!((reply.events().len(), reply.broken), (3, false));
    assert!(!reply.text().contains("[DONE]"));
    let reply = with_fault(&simulator, "cut-after-events=3", &stream()).await;
    assert_eq!((reply.events().len(), reply.broken), (3, true));
    let (_, body, ended) = raw_fault(&simulator, "cut-after-events=2", &stream()).await;
    assert!(!body.ends_with("0\r\n\r\n") && ended.is_none(), "{body}");
    let reply = with_fault(&simulator, "error-event-at=2", &stream()).await;
    let events = reply.chunks();
    assert_eq!((events.len(), &events[2]["error"]["type"], reply.broken), (3, &json!("server_error"), false));
    let reply = send_h2(simulator.addr(), faulty("stream-reset-after-events=2", &stream())).await;
    assert_eq!((reply.events().len(), reply.broken), (2, true));
}

#[tokio::test]
async fn pieces_ignore_the_borders_of_events() {
    let simulator = simulator().await;
    let start = Instant::now();
    let (head, body, _) = raw_fault(&simulator, "split=100; drip-ms=2; keep-alive=off", &stream()).await;
    assert!(head.contains("\r\nconnection: close"), "{head}");
    let sizes: Vec<&str> = body.split("\r\n").step_by(2).filter(|size| size.len() < 4).collect();
    assert!(sizes.len() > 20 && sizes[..20].iter().all(|size| *size == "64"), "{sizes:?}");
    assert!(start.elapsed() >= Duration::from_millis(2 * 20));
    assert!(unchunked(&body).ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn framings_are_what_the_standard_allows() {
    let simulator = simulator().await;
    let text = |fault: &'static str| {
        let simulator = &simulator;
        async move { with_fault(simulator, fault, &stream()).await.text().to_owned() }
    };
    assert!(text("crlf").await.ends_with("data: [DONE]\r\n\r\n"));
    assert!(text("cr").await.ends_with("data: [DONE]\r\r"));
    assert!(text("no-space").await.ends_with("data:[DONE]\n\n"));
    assert!(text("bom").await.starts_with("\u{feff}data: {"));
    assert!(text("comments").await.contains("\n\n: between events\n\n: inside an event\ndata: "));
    let multi = text("multi-line").await;
    let first = multi.split("\n\n").next().expect("an event").replace("data: ", "");
    assert_eq!(first.lines().count(), 3);
    let first: Value = serde_json::from_str(&first).expect("the lines make JSON");
    assert_eq!(first["id"], "");
}

#[tokio::test]
async fn gzip_is_announced_and_holds_the_stream() {
    let simulator = simulator().await;
    let reply = with_fault(&simulator, "gzip", &stream()).await;
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.body[..3], [0x1f, 0x8b, 8]);
    let text = String::from_utf8_lossy(&reply.body);
    assert!(text.contains("data: [DONE]\n\n"));
    let reply = with_fault(&simulator, "gzip", &plain()).await;
    assert_eq!(reply.header("content-length").expect("length"), reply.body.len().to_string());
}

#[tokio::test]
async fn announced_lengths_can_lie() {
    let simulator = simulator().await;
    let real = with_fault(&simulator, "", &plain()).await.body.len();
    let announced = |head: &str| -> usize {
        let line = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        line.parse().expect("a number")
    };
    let (head, body, ended) = raw_fault(&simulator, "content-length-too-long", &plain()).await;
    assert_eq!((announced(&head), body.len(), ended), (real + 10, real, None));
    let (head, body, _) = raw_fault(&simulator, "content-length-too-short", &plain()).await;
    assert_eq!((announced(&head), body.len()), (real - 10, real));
    serde_json::from_str::<Value>(&body).expect("the surplus is the rest of the document");
}

#[tokio::test]
async fn interim_answers_come_before_the_head() {
    let simulator = simulator().await;
    let (text, _) = raw(simulator.addr(), &raw_chat("interim-100s=3; keep-alive=off", &plain())).await;
    assert!(text.starts_with(&format!("{}HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(3))), "{text}");
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let simulator = simulator().await;
    let request = "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-sim-fault: early-answer\r\n\
                   content-length: 1000000\r\n\r\n{";
    let (text, _) = raw(simulator.addr(), request).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test]
async fn azures_own_oddities() {
    let simulator = simulator().await;
    let chunks = with_fault(&simulator, "no-delta", &stream()).await.chunks();
    assert!(chunks[1]["choices"][0].get("delta").is_none() && chunks[1]["id"] != "");
    let is_annotation = |chunk: &&Value| chunk["choices"][0].get("content_filter_offsets").is_some();
    let chunks = with_fault(&simulator, "async-filter", &stream()).await.chunks();
    assert_eq!(chunks.iter().filter(is_annotation).count(), 2);
    let last = chunks.last().expect("chunks");
    assert!(is_annotation(&last) && last["id"] == "" && last["choices"][0].get("delta").is_none());
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    let chunks = with_fault(&simulator, "async-filter=blocked", &stream()).await.chunks();
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "content_filter");
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"] != "stop"));
}

#[tokio::test]
async fn a_script_breaks_what_it_matches_and_counts_down() {
    let simulator = simulator().await;
    let script = json!([
        {"match": {"deployment": "gpt-4o", "key": "sim-key"}, "fault": "status=503", "times": 1},
        {"match": {"path_contains": "/embeddings"}, "fault": "status=500"},
        {"match": {"header": "x-break: yes", "nth": 2}, "fault": "html; status=502"},
    ]);
    let reply = control(simulator.addr(), "POST", "/_sim/script", &script.to_string()).await;
    assert_eq!(ok(&reply), json!({"rules": 3}));
    let statuses = [chat(&simulator, &plain()).await.status, chat(&simulator, &plain()).await.status];
    assert_eq!(statuses, [503, 200]);
    let embed = json!({"model": "text-embedding-3-small", "input": "x"});
    assert_eq!(send(simulator.addr(), post("/openai/v1/embeddings", &embed)).await.status, 500);
    let marked = [("api-key", "sim-key"), ("x-break", "yes")];
    for expected in [200, 502, 200] {
        assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &plain(), &marked)).await.status, expected);
    }
    assert_eq!(control(simulator.addr(), "DELETE", "/_sim/script", "").await.status, 200);
    assert_eq!(send(simulator.addr(), post("/openai/v1/embeddings", &embed)).await.status, 200);
    let reply = control(simulator.addr(), "POST", "/_sim/script", r#"[{"fault":"nope"}]"#).await;
    assert!(reply.status == 400 && reply.message().starts_with("rule 0: unknown fault `nope`"), "{}", reply.text());
}
