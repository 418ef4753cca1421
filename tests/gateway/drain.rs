//! SIGTERM: nobody is cut, everybody is told, and nothing is waited for that is not there.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const LIST: &str = "GET /v1/models HTTP/1.1\r\nhost: a\r\napi-key: azg-test-caller\r\n\r\n";

/// One answer on a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let head = read_head(stream).await.expect("an answer");
    read_body(stream, &head).await;
    head
}

#[tokio::test]
async fn idle_connections_are_closed_and_the_process_ends_within_a_second() {
    let azure = azure().await;
    let mut gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut kept = TcpStream::connect(gateway.address).await.unwrap();
    kept.write_all(LIST.as_bytes()).await.unwrap();
    answer(&mut kept).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (_sender, http2) =
        hyper::client::conn::http2::handshake::<_, _, Full<bytes::Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    let http2 = tokio::spawn(http2);
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    gateway.until_metric("azgate_connections_active", 3.0).await;

    let begun = Instant::now();
    gateway.signal("TERM");
    assert_eq!(kept.read(&mut [0; 16]).await.unwrap(), 0, "closed without a word");
    http2.await.unwrap().expect("HTTP/2 ends in order");
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert!(gateway.ended().await.success());
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_request_on_a_kept_connection_is_answered_and_told_to_close() {
    let azure = azure().await;
    let mut gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut kept = TcpStream::connect(gateway.address).await.unwrap();
    kept.write_all(LIST.as_bytes()).await.unwrap();
    assert!(!answer(&mut kept).await.contains("connection: close"));
    gateway.signal("TERM");
    while get(gateway.admin, "/readyz").await.status != 503 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    kept.write_all(LIST.as_bytes()).await.unwrap();
    let head = answer(&mut kept).await;
    assert!(head.starts_with("http/1.1 200") && head.contains("connection: close"), "{head}");
    assert_eq!(kept.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn streams_over_both_versions_finish_while_readiness_says_no() {
    let azure = azure().await;
    let mut gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "40")];
    let body = stream_body(&"word ".repeat(40)).to_string();
    let first = open(gateway.address, "/v1/chat/completions", &headers, body.clone()).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, http2) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let http2 = tokio::spawn(http2);
    let mut request = http::Request::post(format!("http://{}/v1/chat/completions", gateway.address));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut second = sender.send_request(request.body(Full::new(bytes::Bytes::from(body))).unwrap()).await.unwrap();
    second.body_mut().frame().await.unwrap().unwrap();

    gateway.signal("TERM");
    while get(gateway.admin, "/readyz").await.status != 503 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(get(gateway.admin, "/readyz").await.text(), "draining\n");
    let (first, second) = tokio::join!(collect(first), collect(second));
    for answer in [first, second] {
        assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    http2.await.unwrap().expect("HTTP/2 ends in order");
    assert!(gateway.ended().await.success());
}
