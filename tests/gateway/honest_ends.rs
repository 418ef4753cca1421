//! What is told and counted at the end of an answer: neither more nor less than what happened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// An upstream that answers the first request on each connection, and gives the second `answer` after a `pause` and
/// closes. Counts the requests.
async fn failing_second(answer: &'static str, pause: Duration) -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let address = upstream(move |mut stream| {
        let asked = Arc::clone(&count);
        async move {
            for turn in 0..2 {
                let Some(head) = read_head(&mut stream).await else { return };
                read_body(&mut stream, &head).await;
                asked.fetch_add(1, Ordering::SeqCst);
                if turn == 1 {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    return tokio::time::sleep(pause).await;
                }
                stream.write_all(plain_answer(r#"{"model":"m"}"#).as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (address, asked)
}

#[tokio::test]
async fn a_request_that_an_upstream_worked_on_is_not_sent_a_second_time() {
    let (soon, late) = (Duration::from_millis(10), Duration::from_secs(3));
    for (answer, pause) in [
        ("", late),
        ("HTTP/1.1 2", soon),
        ("HTTP/1.1 200 OK\r\nx-a: b\r\n", soon),
        ("HTTP/1.1 102 Processing\r\n\r\n", soon),
    ] {
        let (address, asked) = failing_second(answer, pause).await;
        // Where the configuration asks for no retries, a pooled connection is no excuse for one.
        let mut config = config(&format!("http://{address}"));
        config["providers"]["azure"]["network_config"] = serde_json::json!({"max_retries": 0});
        let gateway = Gateway::start(&config).await;
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        let told = gateway.chat(&chat_body("Hi")).await;
        assert_eq!((told.status, told.code().as_str()), (502, "upstream_broken"), "{answer:?}: {}", told.text());
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{answer:?}: it is paid for each time it is answered");
    }
}

#[tokio::test]
async fn a_stream_that_said_it_is_done_is_done_however_its_connection_ends() {
    let address = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        read_body(&mut stream, &head).await;
        let events =
            "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
        // No last chunk.
        stream.write_all(begun_stream(events).as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let answer = gateway.chat(&stream_body("Hi")).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert!(answer.complete);
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(line.get("stream_failure"), None, "{line}");
}

#[tokio::test]
async fn nothing_is_written_into_a_stream_that_came_compressed() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let whole = gateway.post("/v1/chat/completions", &[("x-sim-fault", "gzip")], stream_body("Hi").to_string()).await;
    assert_eq!((whole.status, whole.header("content-encoding")), (200, "gzip"));
    assert!(whole.complete);
    let fault = [("x-sim-fault", "gzip; close-after-bytes=200")];
    let broken = gateway.post("/v1/chat/completions", &fault, stream_body("Hi").to_string()).await;
    assert!(!String::from_utf8_lossy(&broken.body).contains("error"), "no plain text among compressed bytes");
    assert!(!broken.complete, "it breaks off as the upstream did");
    let line = gateway.request_lines(2).await.remove(1);
    assert_eq!(line["stream_failure"], "broken", "{line}");
}

#[tokio::test]
async fn the_tokens_of_a_very_large_answer_are_counted() {
    let vectors = "0.1,".repeat(9 << 20);
    let body = format!(r#"{{"data":[{vectors}0],"model":"m","usage":{{"prompt_tokens":77,"total_tokens":77}}}}"#);
    let answer = Arc::new(plain_answer(&body));
    let address = upstream(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let head = read_head(&mut stream).await.unwrap();
            read_body(&mut stream, &head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let answer = gateway.post("/v1/embeddings", &[], json!({"model": "embed", "input": "x"}).to_string()).await;
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(line["usage"]["input"], 77, "{line}");
}

#[tokio::test]
async fn a_keep_alive_comment_is_not_the_first_event() {
    let late = Duration::from_millis(26_500);
    let address = upstream(move |mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        read_body(&mut stream, &head).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.unwrap();
        tokio::time::sleep(late).await;
        let events = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
        stream.write_all(events.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let answer = gateway.chat(&stream_body("Hi")).await;
    assert!(answer.text().starts_with(": keep-alive\n\n"), "{}", answer.text());
    let line = gateway.request_lines(1).await.remove(0);
    assert!(line["first_event_ms"].as_f64().unwrap() >= late.as_secs_f64() * 1e3, "{line}");
}
