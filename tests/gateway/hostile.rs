//! Hostile names, versions and headers: nothing a caller says adds a header, a query or a path segment upstream.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::*;

#[test]
fn traps_29_no_model_name_changes_the_upstreams_path() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (azure, gateway) = runtime.block_on(async {
        let azure = azure().await;
        let mut config = config(&azure.base_url());
        config["providers"]["azure"]["keys"][0]["models"] = json!(["*"]);
        (azure, Gateway::start(&config).await)
    });
    let odd = prop_oneof![
        ".{1,30}",
        "[a-z./\\\\%?#&=;:@ ]{1,20}".prop_map(String::from),
        prop::sample::select(vec![
            "..",
            ".",
            "../../x",
            "a/../b",
            "%2e%2e",
            "..%2f",
            "a\r\nx-evil: 1",
            "a?api-version=1",
            "a#b",
            "a%00b",
            "\u{0}",
            "a b",
            "ü漢🦀",
            "gpt-4.1",
            "a//b",
            "\\..\\x"
        ])
        .prop_map(String::from),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    runner
        .run(&odd, |name| {
            for field in ["model", "deployment"] {
                let mut body = chat_body("Hi");
                body[field] = json!(name);
                let answer = runtime.block_on(gateway.post(
                    "/v1/chat/completions",
                    &[("x-sim-fault", "echo-request")],
                    body.to_string(),
                ));
                prop_assert!(matches!(answer.status, 200 | 400 | 404), "{name:?}: {}", answer.text());
            }
            for seen in azure.recorded() {
                let segments: Vec<&str> = seen.path.split('/').collect();
                prop_assert_eq!(segments.len(), 6, "{:?} became {}", name, seen.path);
                prop_assert_eq!((segments[2], segments[4], segments[5]), ("deployments", "chat", "completions"));
                prop_assert!(!matches!(segments[3], "" | "." | ".."));
                prop_assert_eq!(seen.query.as_deref(), Some("api-version=2024-10-21"));
                prop_assert!(seen.headers.iter().all(|(header, _)| header != "x-evil"));
            }
            azure.clear();
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn traps_27_a_version_of_the_callers_cannot_carry_anything() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for version in [
        "2024-10-21%26x%3Dy",
        "2024-10-21%0d%0ax:%20y",
        "api-version=2024-10-21",
        "2024",
        "2024-10-21/../x",
        "%00",
        "9999-99-99",
    ] {
        let path = format!("/openai/deployments/gpt-4o/chat/completions?api-version={version}");
        let answer = gateway.post(&path, &[], chat_body("Hi").to_string()).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].as_str()),
            (400, Some("api-version")),
            "{version}: {}",
            answer.text()
        );
    }
    assert!(azure.recorded().is_empty());
    let path = "/openai/deployments/gpt-4o/chat/completions?x=1&api-version=2024-06-01&api-version=junk&code=abc";
    assert_eq!(gateway.post(path, &[], chat_body("Hi").to_string()).await.status, 200);
    assert_eq!(azure.recorded()[0].query.as_deref(), Some("api-version=2024-06-01"));
}

#[tokio::test]
async fn traps_64_a_gateways_own_header_is_overwritten_and_never_appended() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["client"]["forward_headers"] = json!(["x-sim-fault", "x-own"]);
    config["providers"]["azure"]["keys"][0]["headers"] = json!({"x-own": "gateway"});
    let gateway = Gateway::start(&config).await;
    let sent = [("x-own", "caller"), ("x-own", "again"), ("api-key", "caller-key"), ("accept-encoding", "br")];
    assert_eq!(gateway.post("/v1/chat/completions", &sent, chat_body("Hi").to_string()).await.status, 200);
    let seen = azure.recorded().remove(0);
    for (name, value) in [("x-own", "gateway"), ("api-key", "sim-key"), ("accept-encoding", "identity")] {
        let all: Vec<&str> =
            seen.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect();
        assert_eq!(all, [value], "{name}");
    }
    let spoofed = gateway
        .post(
            "/v1/chat/completions",
            &[("x-sim-fault", "extra-header=x-azgate-key:spoofed")],
            chat_body("Hi").to_string(),
        )
        .await;
    assert_eq!(spoofed.header("x-azgate-key"), "east");
    assert_eq!(spoofed.headers.get_all("x-azgate-key").iter().count(), 1);
}

#[tokio::test]
async fn traps_65_a_header_named_in_connection_does_not_strip_the_gateways_own() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for nominated in ["api-key", "host", "content-length", "api-key, authorization, content-type"] {
        let body = chat_body("Hi").to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-azgate-vk: {KEY}\r\nconnection: close, {nominated}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{nominated}: {answer}");
        assert_eq!(azure.recorded().pop().unwrap().api_key_seen.as_deref(), Some("sim-key"));
    }
}

#[tokio::test]
async fn traps_49_ambiguous_framing_is_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    let length = body.len();
    for framing in [
        format!("content-length: {length}\r\ncontent-length: {}", length + 1),
        format!("content-length: {length}, {}", length + 2),
        "content-length: -1".to_owned(),
        "content-length: 0x10".to_owned(),
        "transfer-encoding: chunked, chunked".to_owned(),
        "transfer-encoding: gzip".to_owned(),
    ] {
        let request =
            format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\n{framing}\r\n\r\n{body}");
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(read.is_ok(), "{framing}: the connection is not closed: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{framing}: {answer}");
    }
    assert!(azure.recorded().is_empty(), "{:?}", azure.recorded());
}

#[tokio::test]
async fn traps_63_the_host_header_and_absolute_targets_decide_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    for (target, host, status) in [
        ("/v1/chat/completions", "evil.example", "200"),
        ("/v1/chat/completions", "evil.example/v1/models", "400"),
        ("http://evil.example/v1/chat/completions", "evil.example", "200"),
        ("http://evil.example/v1/chat/completions", "a", "400"),
        ("http://evil.example/v1/files/../chat/completions", "evil.example", "404"),
        ("/v1/files%2f..%2fchat/completions", "a", "404"),
    ] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\napi-key: {KEY}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{target} {host}: {answer}");
    }
    assert!(azure.recorded().iter().all(|seen| seen.path == "/openai/deployments/chat-east/chat/completions"));
}
