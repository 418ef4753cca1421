//! A caller with one slot who asks again as soon as it has seen the end of its answer is never told that the slot is taken.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const TIMES: usize = 170;

/// One request at a time, by the caller and by the provider's key.
fn single(azure: &str) -> Value {
    let mut config = config(azure);
    let one = json!({"concurrent_requests": 1});
    config["governance"]["virtual_keys"][0]["rate_limit"] = one.clone();
    config["providers"]["azure"]["keys"][0]["rate_limit"] = one;
    config
}

/// A connection of HTTP/1.1 that stops reading where an SDK does: at the last byte of the body, or at the end mark.
struct Wire(TcpStream);

impl Wire {
    async fn open(gateway: &Gateway) -> Self {
        Self(TcpStream::connect(gateway.address).await.unwrap())
    }

    async fn ask(&mut self, body: &Value) -> String {
        let body = body.to_string();
        let length = body.len();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        let request = format!("{head}authorization: Bearer {KEY}\r\ncontent-length: {length}\r\n\r\n{body}");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut seen, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.0.read(&mut part).await.unwrap();
            seen.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&seen);
            if read == 0 || is_over(&text) {
                return text.into_owned();
            }
        }
    }

    /// Reads what is left of a stream behind its end mark.
    async fn finish(&mut self, seen: &str) {
        let mut rest = seen.to_owned();
        while !rest.ends_with("\r\n0\r\n\r\n") {
            let mut part = [0; 64];
            let read = self.0.read(&mut part).await.unwrap();
            assert!(read > 0, "{rest}");
            rest.push_str(&String::from_utf8_lossy(&part[..read]));
        }
    }
}

fn is_over(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => body.len() == length,
        None => text.contains("data: [DONE]\n\n"),
    }
}

fn admitted(text: &str) {
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn a_fresh_connection_for_each_request_over_http_1() {
    let azure = azure().await;
    let gateway = Gateway::start(&single(&azure.base_url())).await;
    for body in [chat_body("Hi"), stream_body("Hi")] {
        let mut open = Vec::new();
        for _ in 0..TIMES {
            let mut wire = Wire::open(&gateway).await;
            admitted(&wire.ask(&body).await);
            open = vec![wire];
        }
        drop(open);
    }
}

#[tokio::test]
async fn one_connection_for_all_requests_over_http_1() {
    let azure = azure().await;
    let gateway = Gateway::start(&single(&azure.base_url())).await;
    let mut wire = Wire::open(&gateway).await;
    for _ in 0..TIMES {
        admitted(&wire.ask(&chat_body("Hi")).await);
        let streamed = wire.ask(&stream_body("Hi")).await;
        admitted(&streamed);
        wire.finish(&streamed).await;
    }
}

#[tokio::test]
async fn fresh_and_kept_connections_over_http_2() {
    let azure = azure().await;
    let gateway = Gateway::start(&single(&azure.base_url())).await;
    let (address, authorization) = (gateway.address, format!("Bearer {KEY}"));
    let connect = || async {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    };
    let kept = connect().await;
    for turn in 0..TIMES {
        for body in [chat_body("Hi"), stream_body("Hi")] {
            let mut sender = if turn % 2 == 0 { kept.clone() } else { connect().await };
            let headers = [("authorization", authorization.as_str())];
            let path = format!("http://{address}/v1/chat/completions");
            let mut request = request(address, http::Method::POST, &path, &headers, Full::new(body.to_string().into()));
            request.headers_mut().remove("host");
            let answer = sender.send_request(request).await.unwrap();
            let (head, mut frames) = answer.into_parts();
            let mut seen = Vec::new();
            while let Some(frame) = frames.frame().await {
                seen.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
                if seen.ends_with(b"data: [DONE]\n\n") {
                    break;
                }
            }
            assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&seen));
        }
    }
}

#[tokio::test]
async fn refusals_free_the_slot_before_they_are_seen_too() {
    let azure = azure().await;
    let mut config = single(&azure.base_url());
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 1_000_000, "failure_ratio": 1.0,
        "min_requests": 1_000_000});
    config["providers"]["azure"]["network_config"] = json!({"max_retries": 0});
    let gateway = Gateway::start(&config).await;
    for _ in 0..TIMES {
        let failed = gateway
            .post("/v1/chat/completions", &[("x-sim-fault", "reset-before-head")], chat_body("Hi").to_string())
            .await;
        assert_eq!(failed.status, 502, "{}", failed.text());
    }
}
