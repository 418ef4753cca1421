//! Bodies of any size and framing arrive whole; over the limit there is a clean 413.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http_body_util::BodyExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

/// A chat body of exactly `length` bytes, with the model's name behind the bulk.
fn body_of(length: usize) -> String {
    let frame = |bulk: &str| format!(r#"{{"messages":[{{"role":"user","content":"{bulk}"}}],"model":"gpt-4o"}}"#);
    let empty = frame("").len();
    frame(&"x".repeat(length - empty))
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_20_40_every_size_and_framing_arrives_byte_for_byte() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-fault", "echo-request")];
    for length in [1024, 65_535, 65_536, 65_537, 1 << 20, 5 << 20, 32 << 20] {
        let body = body_of(length);
        let expected = digest(&body.replace(r#""model":"gpt-4o""#, r#""model":"chat-east""#));
        let chunks = body.as_bytes().chunks(50_000).map(Bytes::copy_from_slice).collect();
        let answers = [
            send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body.clone()).await,
            send_chunked(gateway.address, "/v1/chat/completions", &headers, chunks).await,
            send_h2(gateway.address, "/v1/chat/completions", &headers, body.clone()).await,
        ];
        for (way, answer) in ["content-length", "chunked", "h2c"].iter().zip(answers) {
            assert_eq!(answer.status, 200, "{length} {way}: {}", answer.text());
            let seen = azure.recorded().pop().unwrap();
            assert_eq!(seen.body_sha256, expected, "{length} {way}");
            assert_eq!(seen.body_length as usize, length + 3, "{length} {way}");
        }
        azure.clear();
    }
}

#[tokio::test]
async fn traps_67_expect_100_continue_is_answered_at_once() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = body_of(2 << 20);
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let begun = std::time::Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(begun.elapsed() < std::time::Duration::from_millis(500));
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn over_the_limit_is_a_clean_413_that_names_it() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["server"]["max_request_body_mb"] = json!(1);
    let gateway = Gateway::start(&config).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let body = body_of(20 << 20);
    let chunks: Vec<Bytes> = body.as_bytes().chunks(100_000).map(Bytes::copy_from_slice).collect();
    let announced = send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body.clone()).await;
    let chunked = send_chunked(gateway.address, "/v1/chat/completions", &headers, chunks).await;
    for answer in [announced, chunked] {
        assert_eq!((answer.status, answer.code().as_str()), (413, "request_too_large"));
        assert!(answer.text().contains("1 MiB"), "{}", answer.text());
        assert!(answer.text().contains("server.max_request_body_mb"));
    }
    let exact = send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body_of(1 << 20)).await;
    assert_eq!(exact.status, 200, "the limit itself is allowed");
    assert_eq!(azure.recorded().len(), 1);
}

#[tokio::test]
async fn strangers_cannot_make_the_gateway_hold_a_body() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 90000000\r\n\r\n")
        .await
        .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 401", "refused before a byte of the body");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_out_is_passed_on() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers =
        [("authorization", authorization.as_str()), ("x-sim-fault", "early-answer; status=413; keep-alive=off")];
    let answer = send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body_of(30 << 20)).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(!answer.text().contains("server.max_request_body_mb"), "the upstream's own words: {}", answer.text());
}

#[tokio::test]
async fn a_stream_that_has_begun_keeps_nothing_of_its_request() {
    let address = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        read_body(&mut stream, &head).await;
        let event = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
        stream.write_all(begun_stream(event).as_bytes()).await.unwrap();
        std::future::pending().await
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let body = body_of(2 << 20).replacen('{', r#"{"stream":true,"#, 1);
    let (mut streams, mut before) = (Vec::new(), 0);
    for number in 0..60 {
        let headers = [("api-key", KEY), ("content-type", "application/json")];
        let mut answer = open(gateway.address, "/v1/chat/completions", &headers, body.clone()).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.body_mut().frame().await.is_some());
        streams.push(answer);
        if number == 9 {
            before = gateway.memory().0;
        }
    }
    let grown = gateway.memory().0.saturating_sub(before);
    assert!(grown < 20 * 1024, "{grown} KiB for 50 streams whose requests had 100 MiB");
}
