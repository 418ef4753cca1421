//! Callers who stop: neither a connection nor an upstream is held for ever for someone who does not go on.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

fn impatient(azure: &str) -> Value {
    let mut config = config(azure);
    config["client"]["forward_headers"] = json!(["x-sim-fault", "x-sim-tokens", "x-sim-event-interval-ms"]);
    config["providers"]["azure"]["network_config"] = json!({"stream_idle_timeout_in_seconds": 1});
    config
}

#[tokio::test]
async fn a_reader_who_stops_reading_a_stream_is_given_up() {
    let azure = azure().await;
    let gateway = Gateway::start(&impatient(&azure.base_url())).await;
    let body = stream_body("long").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\nx-sim-tokens: 900000\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1024]).await.unwrap();
    gateway.until_metric("azgate_requests_active", 0.0).await;
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(line["caller_left"], true, "{line}");
    assert!(line["usage"]["output"].as_u64().unwrap() > 0, "what was used is accounted for: {line}");
}

#[tokio::test]
async fn a_reader_who_stops_reading_an_http2_stream_is_given_up() {
    let azure = azure().await;
    let gateway = Gateway::start(&impatient(&azure.base_url())).await;
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/v1/chat/completions", gateway.address))
        .header("api-key", KEY)
        .header("x-sim-tokens", "900000")
        .body(Full::new(bytes::Bytes::from(stream_body("long").to_string())))
        .unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    gateway.until_metric("azgate_requests_active", 0.0).await;
}

#[tokio::test]
async fn a_slow_but_steady_reader_gets_everything() {
    let body = format!(r#"{{"model":"m","text":"{}"}}"#, "x".repeat(12 << 20));
    let answer = plain_answer(&body);
    let address = upstream(move |mut stream| {
        let answer = answer.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap();
            read_body(&mut stream, &head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let gateway = Gateway::start(&impatient(&format!("http://{address}"))).await;
    let asked = chat_body("Hi").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        asked.len()
    );
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all((head + &asked).as_bytes()).await.unwrap();
    let (mut received, mut buffer) = (0, vec![0; 256 << 10]);
    // Some four seconds in all: far longer than the limit, but never silent for as long.
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            length => received += length,
        }
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert!(received > 12 << 20, "{received}");
}

/// What a caller hears who says this and then goes on with a byte now and then, and after how long.
async fn trickle(address: std::net::SocketAddr, said: &str, more: &[u8]) -> (String, Duration) {
    let begun = std::time::Instant::now();
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    writing.write_all(said.as_bytes()).await.unwrap();
    let more = more.to_vec();
    let trickling = tokio::spawn(async move {
        for byte in more.iter().cycle() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
        // Keeps its side open.
        std::future::pending::<()>().await;
    });
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(25), reading.read_to_string(&mut answer)).await;
    trickling.abort();
    assert!(read.is_ok(), "{said:?}: the connection stays open");
    (answer, begun.elapsed())
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_given_up_after_ten_seconds() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let served = format!("GET /v1/models HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\n\r\n");
    let (silent, stopped, slow, preface, second) = tokio::join!(
        trickle(gateway.address, "", b""),
        trickle(gateway.address, "GET /healthz", b""),
        trickle(gateway.address, "GET /healthz HTTP/1.1\r\nx: ", b"y"),
        trickle(gateway.address, "PRI * HTTP/2.0\r\n\r\n", b""),
        trickle(gateway.address, &served, b"x"),
    );
    for (what, (answer, after), says) in [
        ("silent", silent, ""),
        ("stopped", stopped, "HTTP/1.1 408 "),
        ("slow", slow, "HTTP/1.1 408 "),
        ("half a preface", preface, ""),
        ("a second request", second, "HTTP/1.1 200 "),
    ] {
        assert!(after > Duration::from_secs(9), "{what}: {after:?}");
        assert!(answer.starts_with(says) && answer.is_empty() == says.is_empty(), "{what}: {answer}");
        if !says.is_empty() {
            assert!(answer.contains("HTTP/1.1 408 Request Timeout\r\n"), "{what}: {answer}");
            let body: Value = serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap()).unwrap();
            assert_eq!(body["error"]["code"], "request_timeout", "{what}");
        }
    }
}

#[tokio::test]
async fn a_slow_body_is_not_taken_for_a_slow_head() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    let upload = async |expect: &str| {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\nconnection: close\r\n{expect}content-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let (first, rest) = body.split_at(10);
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(11_000)).await;
        stream.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
    };
    tokio::join!(upload(""), upload("expect: 100-continue\r\n"));
}
