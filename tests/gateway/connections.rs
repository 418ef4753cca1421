//! Connections to the upstream: pooled, replaced when stale, honest when they cannot be had.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use azgate::simulator::Settings;

use crate::support::*;

#[tokio::test]
async fn connections_are_used_again() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for i in 0..6 {
        let body = if i % 2 == 0 { chat_body("Hi") } else { stream_body("Hi") };
        assert_eq!(gateway.chat(&body).await.status, 200);
    }
    let seen = azure.recorded();
    assert!(seen.iter().all(|request| request.connection == seen[0].connection), "one connection for all");
}

#[tokio::test]
async fn traps_41_a_pooled_connection_that_was_closed_is_replaced_by_a_fresh_one() {
    // Answers the first request on each connection and resets it as the second comes in.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 8192];
                let _ = stream.read(&mut buffer).await;
                let body = r#"{"model":"m","choices":[]}"#;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.read(&mut buffer).await;
                let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
            });
        }
    });
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    // An attempt is counted once its request is over, which may be after its answer was seen.
    for _ in 0..5 {
        let answer = gateway.chat(&chat_body("Hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(
        gateway.metric("azgate_upstream_attempts_total", &["outcome=\"broken\""]).await >= 3.0,
        "the stale ones were met"
    );
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_a_502_that_says_so() {
    let gateway = Gateway::start(&config(&format!("http://{}", free_address()))).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"));
    let line = gateway.request_lines(1).await.remove(0);
    assert!(line["cause"].as_str().unwrap().contains("refused"), "{line}");
    assert_eq!(line["attempts"][0]["outcome"], "connect");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_502_and_not_a_crash() {
    let mut config = config("https://no-such-resource.invalid");
    config["providers"]["azure"]["network_config"] = json!({"connect_timeout_in_seconds": 2});
    let gateway = Gateway::start(&config).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"));
    assert_eq!(get(gateway.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn broken_answers_become_honest_errors() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["network_config"] = json!({"first_byte_timeout_in_seconds": 1, "max_retries": 0});
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 0, "min_requests": 1000});
    let gateway = Gateway::start(&config).await;
    for (fault, status, code) in [
        ("reset-before-head", 502, "upstream_broken"),
        ("close-before-head", 502, "upstream_broken"),
        ("close-after-bytes=40", 502, "upstream_broken"),
        ("reset-after-bytes=40", 502, "upstream_broken"),
        ("content-length-too-long", 502, "upstream_broken"),
        ("stall-before-head", 504, "upstream_timeout"),
    ] {
        let answer = gateway.post("/v1/chat/completions", &[("x-sim-fault", fault)], chat_body("Hi").to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{fault}: {}", answer.text());
        assert!(answer.complete);
    }
    let interim =
        gateway.post("/v1/chat/completions", &[("x-sim-fault", "interim-100s=5")], chat_body("Hi").to_string()).await;
    assert_eq!(interim.status, 200);
}

#[tokio::test]
async fn tls_is_verified_against_the_configured_authority() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    let stranger = Gateway::start(&config).await;
    let answer = stranger.chat(&chat_body("Hi")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable"),
        "an unknown authority is not trusted"
    );
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    let trusting = Gateway::start(&config).await;
    for body in [chat_body("Hi"), stream_body("Hi")] {
        assert_eq!(trusting.chat(&body).await.status, 200);
    }
    config["providers"]["azure"]["network_config"] = json!({"insecure_skip_verify": true});
    let careless = Gateway::start(&config).await;
    assert_eq!(careless.chat(&chat_body("Hi")).await.status, 200);
}

/// A server that answers each connection's requests when told to, one by one; counts those that have begun.
async fn held() -> (SocketAddr, Arc<AtomicUsize>, Arc<Semaphore>) {
    let (begun, leave) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, wait) = (Arc::clone(&begun), Arc::clone(&leave));
    let address = upstream(move |mut stream| {
        let (count, wait) = (Arc::clone(&count), Arc::clone(&wait));
        async move {
            while let Some(head) = read_head(&mut stream).await {
                read_body(&mut stream, &head).await;
                count.fetch_add(1, Ordering::SeqCst);
                wait.acquire().await.unwrap().forget();
                let _ = stream.write_all(plain_answer(r#"{"model":"m","choices":[]}"#).as_bytes()).await;
            }
        }
    });
    (address.await, begun, leave)
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_in_progress_with_a_host_and_one_more_waits() {
    let (address, begun, leave) = held().await;
    let mut config = config(&format!("http://{address}"));
    // Two keys that lead to one host share its room.
    let mut other = config["providers"]["azure"]["keys"][0].clone();
    other["name"] = json!("other");
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(other);
    config["providers"]["azure"]["network_config"] =
        json!({"max_conns_per_host": 2, "connect_timeout_in_seconds": 15, "max_retries": 0});
    let gateway = Gateway::start(&config).await;
    let body = chat_body("Hi");
    let asking = futures_util::future::join_all((0..5).map(|_| gateway.chat(&body)));
    let watching = async {
        for left in [5, 4, 3, 2, 1] {
            let expected = 5 - left + left.min(2);
            wait_until("they begin", || begun.load(Ordering::SeqCst) >= expected).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(begun.load(Ordering::SeqCst), expected, "{left} are left");
            leave.add_permits(1);
        }
    };
    let (answers, ()) = tokio::join!(asking, watching);
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn a_host_without_room_is_passed_by_for_another_and_is_not_taken_for_sick() {
    let (address, begun, leave) = held().await;
    let azure = azure().await;
    let mut config = config(&format!("http://{address}"));
    config["providers"]["azure"]["network_config"] =
        json!({"max_conns_per_host": 1, "connect_timeout_in_seconds": 0.3, "max_retries": 0});
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 1});
    let gateway = Gateway::start(&config).await;
    let body = chat_body("Hi");
    let first = gateway.chat(&body);
    let meanwhile = async {
        wait_until("the first begins", || begun.load(Ordering::SeqCst) == 1).await;
        let refused = gateway.chat(&body).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
        assert_eq!(gateway.request_lines(1).await[0]["attempts"][0]["outcome"], "full");
        let mut spare = key("spare", &azure.base_url());
        spare["priority"] = json!(1);
        config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(spare);
        gateway.reload(&config);
        gateway.until_metric("azgate_config_generation", 2.0).await;
        let answer = gateway.chat(&body).await;
        assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "spare"), "the count outlives a reload");
        leave.add_permits(2);
    };
    let (first, ()) = tokio::join!(first, meanwhile);
    assert_eq!(first.status, 200);
    assert_eq!(gateway.chat(&body).await.header("x-azgate-key"), "east", "not left alone");
}
