//! Which connections of callers stay open, and for how long.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// Sends a request; its answer, and whether the connection was closed behind it.
async fn exchange(gateway: &Gateway, request: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let closed = tokio::time::timeout(Duration::from_secs(2), reading).await.is_ok();
    (String::from_utf8_lossy(&answer).to_ascii_lowercase(), closed)
}

#[tokio::test]
async fn an_http_1_0_caller_gets_its_connection_closed_unless_it_asks_otherwise() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    let request = |version: &str, more: &str| {
        let length = body.len();
        format!(
            "POST /v1/chat/completions {version}\r\nhost: a\r\napi-key: {KEY}\r\n{more}content-length: {length}\r\n\r\n{body}"
        )
    };
    for (version, more, open) in [
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "connection: keep-alive\r\n", true),
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "connection: close\r\n", false),
    ] {
        let (answer, closed) = exchange(&gateway, &request(version, more)).await;
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert_eq!(closed, !open, "{version} {more}: {answer}");
        assert_eq!(answer.contains("connection: keep-alive"), open, "{version} {more}: {answer}");
    }
}

#[tokio::test]
async fn traps_49_a_request_with_both_framings_ends_its_connection() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    // Whoever stands between and believes `content-length` takes the rest for part of this request (RFC 9112, 6.1).
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n",
        body.len()
    );
    let (answer, closed) = exchange(&gateway, &request).await;
    assert!(closed, "{answer}");
    assert_eq!(answer.matches("http/1.1 ").count(), 1, "nothing behind it is a request: {answer}");
}
