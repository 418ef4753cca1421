//! Connections to the upstream: pooled, replaced when stale, honest when they cannot be had.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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
    for _ in 0..4 {
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
