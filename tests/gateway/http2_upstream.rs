//! HTTP/2 to the upstream, and TRAPS 42: whatever a server may do with streams and connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use azgate::simulator::Settings;
use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::*;

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","model":"m","choices":[]}"#;
const EVENT: &str = "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";

/// What the server does with a request, by its number.
type Script = fn(u64, SendResponse<Bytes>);

/// A cleartext HTTP/2 server; returns how many connections it was asked for.
async fn serve(script: Script, after: fn(u64) -> bool, streams: u32) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                let Ok(mut connection) = builder.max_concurrent_streams(streams).handshake(socket).await else {
                    return;
                };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let number = requests.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                        }
                        script(number, respond);
                    });
                    if after(number) {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    (address, connections)
}

fn answer(mut respond: SendResponse<Bytes>) {
    let head = http::Response::builder().header("content-type", "application/json").body(()).unwrap();
    let _ = respond.send_response(head, false).unwrap().send_data(Bytes::from_static(ANSWER.as_bytes()), true);
}

/// Begins a stream and resets it after one event.
fn break_off(mut respond: SendResponse<Bytes>, reason: Reason) {
    let head = http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
    let mut body = respond.send_response(head, false).unwrap();
    body.send_data(Bytes::from_static(EVENT.as_bytes()), false).unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        body.send_reset(reason);
    });
}

async fn gateway_to(address: SocketAddr) -> Gateway {
    let mut config = config(&format!("http://{address}"));
    config["providers"]["azure"]["network_config"] = json!({"enforce_http2": true});
    Gateway::start(&config).await
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it_and_one_connection_serves_all() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    let gateway = Gateway::start(&config).await;
    let large = chat_body(&"x".repeat(3_000_000)).to_string();
    let echoed = gateway.post("/v1/chat/completions", &[("x-sim-fault", "echo-request")], large.clone()).await;
    assert_eq!(echoed.status, 200, "{}", echoed.text());
    let bodies = (0..8).map(|i| if i % 2 == 0 { chat_body("Hi") } else { stream_body("Hi") }).collect::<Vec<_>>();
    for answer in futures_util::future::join_all(bodies.iter().map(|body| gateway.chat(body))).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            !answer.header("content-type").starts_with("text/event") || answer.text().ends_with("data: [DONE]\n\n")
        );
    }
    let seen = azure.recorded();
    assert!(seen.iter().all(|request| request.http_version.contains('2')), "{:?}", seen[0].http_version);
    assert!(seen.iter().all(|request| request.connection == seen[0].connection), "one connection");
    assert_eq!(seen[0].body_length as usize, large.len() + 3, "a large body arrives whole");
    assert!(seen[0].headers.iter().all(|(name, _)| name != "host" || seen[0].http_version.contains('1')));
}

#[tokio::test]
async fn traps_42_a_stream_that_was_refused_unseen_is_sent_once_more() {
    let (address, _) = serve(
        |number, mut respond| if number == 0 { respond.send_reset(Reason::REFUSED_STREAM) } else { answer(respond) },
        |_| false,
        100,
    )
    .await;
    let gateway = gateway_to(address).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.header("x-azgate-attempts")), (200, "2"), "{}", answer.text());
    assert_eq!(gateway.request_lines(1).await[0]["attempts"][0]["outcome"], "refused");
}

#[tokio::test]
async fn after_a_second_try_of_the_gateways_own_the_caller_is_told_not_to_try_again() {
    let script: Script = |number, mut respond| match number {
        0 => respond.send_reset(Reason::REFUSED_STREAM),
        _ => drop(respond.send_response(http::Response::builder().status(500).body(()).unwrap(), true)),
    };
    let (address, _) = serve(script, |_| false, 100).await;
    let gateway = gateway_to(address).await;
    let twice = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((twice.status, twice.header("x-should-retry")), (500, "false"));
    let once = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((once.status, once.header("x-should-retry")), (500, ""));
}

#[tokio::test]
async fn traps_42_an_internal_error_is_not_sent_again() {
    let (address, _) = serve(|_, mut respond| respond.send_reset(Reason::INTERNAL_ERROR), |_| false, 100).await;
    let gateway = gateway_to(address).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_broken"), "{}", answer.text());
    assert_eq!(gateway.request_lines(1).await[0]["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn traps_42_a_connection_that_goes_away_finishes_its_stream_and_is_replaced() {
    let (address, connections) = serve(|_, respond| answer(respond), |number| number % 2 == 0, 100).await;
    let gateway = gateway_to(address).await;
    for _ in 0..6 {
        let answer = gateway.chat(&chat_body("Hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(connections.load(Ordering::SeqCst) >= 3, "{}", connections.load(Ordering::SeqCst));
}

#[tokio::test]
async fn traps_42_a_reset_in_the_middle_of_a_stream_ends_in_an_error_event() {
    for reason in [0, 1] {
        let script: Script = if reason == 0 {
            |_, respond| break_off(respond, Reason::INTERNAL_ERROR)
        } else {
            |_, respond| break_off(respond, Reason::NO_ERROR)
        };
        let (address, _) = serve(script, |_| false, 100).await;
        let gateway = gateway_to(address).await;
        let answer = gateway.chat(&stream_body("Hi")).await;
        let events = answer.events();
        assert_eq!(events[0]["choices"][0]["delta"]["content"], "hi", "{}", answer.text());
        assert_eq!(events.last().unwrap()["error"]["code"], "upstream_broken", "{}", answer.text());
        assert!(!answer.text().contains("[DONE]"));
    }
}

#[tokio::test]
async fn traps_42_more_requests_than_a_connection_carries_open_another() {
    let script: Script = |_, respond| {
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            answer(respond);
        });
    };
    let (address, connections) = serve(script, |_| false, 2).await;
    let gateway = gateway_to(address).await;
    let body = chat_body("Hi");
    for round in 0..2 {
        for answer in futures_util::future::join_all((0..6).map(|_| gateway.chat(&body))).await {
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text());
        }
    }
    assert!(connections.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_caller_who_leaves_resets_the_stream_and_keeps_the_connection() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    let gateway = Gateway::start(&config).await;
    let body = chat_body("Hi").to_string();
    let leaving = gateway.post("/v1/chat/completions", &[("x-sim-fault", "stall-before-head")], body);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), leaving).await.is_err());
    wait_until("the upstream notices", || azure.recorded()[0].caller_left_after_ms.is_some()).await;
    let late = azure.recorded()[0].caller_left_after_ms.unwrap().saturating_sub(300);
    assert!(late < 250, "{late} ms");
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    let seen = azure.recorded();
    assert_eq!(seen[1].connection, seen[0].connection, "only the stream was given up");
}
