//! More callers, or more of them at once, than the gateway is allowed to serve.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// Opens a connection on which a request is served, and keeps it.
async fn seat(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

/// What somebody hears for whom there is no place.
async fn turned_away(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
    read.expect("the connection is closed").unwrap();
    answer
}

#[tokio::test]
async fn connections_are_limited_in_all_and_a_place_that_comes_free_is_taken() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["server"]["max_connections"] = json!(3);
    let gateway = Gateway::start(&config).await;
    let mut seats = Vec::new();
    for _ in 0..3 {
        seats.push(seat(gateway.address).await);
    }
    let answer = turned_away(gateway.address).await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["error"]["code"], "overloaded");
    assert_eq!(gateway.metric("azgate_connections_refused_total", &["limit=\"all\""]).await, 1.0);
    assert_eq!(gateway.metric("azgate_connections_active", &[]).await, 3.0);

    seats.pop();
    gateway.until_metric("azgate_connections_active", 2.0).await;
    seats.push(seat(gateway.address).await);

    config["server"]["max_connections"] = json!(0);
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    for _ in 0..10 {
        seats.push(seat(gateway.address).await);
    }
}

#[tokio::test]
async fn connections_of_one_address_are_limited_and_others_still_come_in() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["server"]["max_connections_per_address"] = json!(2);
    let gateway = Gateway::start(&config).await;
    let _seats = [seat(gateway.address).await, seat(gateway.address).await];
    assert!(turned_away(gateway.address).await.starts_with("HTTP/1.1 503 "));
    assert_eq!(gateway.metric("azgate_connections_refused_total", &["limit=\"address\""]).await, 1.0);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(gateway.address).await.unwrap();
    other.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "the shortest request there is: {answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for (bytes, status) in [(30 << 10, "200"), (60 << 10, "200"), (80 << 10, "431"), (5 << 20, "431")] {
        let (mut reading, mut writing) = TcpStream::connect(gateway.address).await.unwrap().into_split();
        let request = format!(
            "GET /v1/models HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\nconnection: close\r\nx: {}\r\n\r\n",
            "y".repeat(bytes)
        );
        let sending = tokio::spawn(async move {
            let _ = writing.write_all(request.as_bytes()).await;
            writing
        });
        let mut answer = String::new();
        reading.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}: {answer}");
        if status == "431" {
            assert!(answer.contains("\"code\":\"headers_too_large\""), "{answer}");
        }
        drop(sending.await.unwrap());
    }
}
