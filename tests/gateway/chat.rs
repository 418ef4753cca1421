//! Plain answers: the ordinary case, and what the answer tells about its way.

use http::Method;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_chat_completion_comes_back_with_the_callers_own_spelling() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for spelling in ["gpt-4o", "GPT-4o", "azure/Gpt-4O", "AZURE/gpt-4o"] {
        let mut body = chat_body("Hello");
        body["model"] = json!(spelling);
        let answer = gateway.chat(&body).await;
        assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some(spelling)), "{}", answer.text());
        assert!(answer.json()["choices"][0]["message"]["content"].as_str().unwrap().contains("Hello"));
    }
    assert!(azure.recorded().iter().all(|seen| seen.deployment.as_deref() == Some("chat-east")));
}

#[tokio::test]
async fn every_route_form_reaches_the_deployment() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for path in [
        "/v1/chat/completions",
        "/openai/chat/completions",
        "/openai/v1/chat/completions",
        "//openai//v1/chat/completions",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/openai/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/openai/deployments/azure%2Fgpt-4o/chat/completions?api-version=2025-01-01-preview",
    ] {
        let answer = gateway.post(path, &[], chat_body("Hi").to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    let seen = azure.recorded();
    assert_eq!(seen.last().unwrap().path, "/openai/deployments/chat-east/chat/completions");
    assert_eq!(
        seen.last().unwrap().query.as_deref(),
        Some("api-version=2025-01-01-preview"),
        "the caller's version is honoured"
    );
    assert_eq!(seen[0].query.as_deref(), Some("api-version=2024-10-21"));
}

#[tokio::test]
async fn traps_28_v1_names_the_deployment_in_the_body() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_v1(&azure.base_url())).await;
    for (path, model) in [
        ("/v1/chat/completions", json!("gpt-4o")),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", json!("gpt-4o")),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", json!(null)),
    ] {
        let mut body = chat_body("Hi");
        body["model"] = model;
        let answer = gateway.post(path, &[], body.to_string()).await;
        assert_eq!(
            (answer.status, answer.json()["model"].as_str()),
            (200, Some("gpt-4o")),
            "{path}: {}",
            answer.text()
        );
    }
    let mut body = chat_body("Hi");
    body.as_object_mut().unwrap().remove("model");
    let answer =
        gateway.post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for seen in azure.recorded() {
        assert_eq!((seen.path.as_str(), seen.query.as_deref()), ("/openai/v1/chat/completions", None));
        let body: serde_json::Value = serde_json::from_str(seen.body.as_deref().unwrap()).unwrap();
        assert_eq!(body["model"], "chat-east");
    }
}

#[tokio::test]
async fn a_null_model_on_a_classic_path_is_left_alone() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = r#"{"model": null, "messages": [{"role": "user", "content": "Hi"}]}"#;
    let answer = gateway.post("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", &[], body).await;
    assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some("gpt-4o")));
    assert_eq!(azure.recorded()[0].body.as_deref(), Some(body));
}

#[tokio::test]
async fn the_answer_tells_its_way_unless_that_is_switched_off() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let gateway = Gateway::start(&config).await;
    let answer =
        gateway.post("/v1/chat/completions", &[("x-request-id", "my-id-7")], chat_body("Hi").to_string()).await;
    assert_eq!(answer.header("x-azgate-key"), "east");
    assert_eq!(answer.header("x-azgate-deployment"), "chat-east");
    assert_eq!(answer.header("x-azgate-attempts"), "1");
    assert_eq!(answer.header("x-request-id"), "my-id-7");
    assert_ne!(answer.header("apim-request-id"), "");
    assert_ne!(answer.header("x-ms-region"), "");
    assert_ne!(answer.header("x-ratelimit-remaining-requests"), "");
    config["client"]["routing_headers"] = json!(false);
    let gateway = Gateway::start(&config).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.header("x-azgate-key"), answer.header("x-azgate-deployment")), (200, "", ""));
    assert_eq!(answer.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn traps_49_only_harmless_headers_reach_azure() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["client"]["forward_headers"] = json!(["x-team"]);
    config["providers"]["azure"]["keys"][0]["headers"] = json!({"x-cost-center": "42"});
    let gateway = Gateway::start(&config).await;
    let sent = [
        ("cookie", "a=b"),
        ("x-ms-client-request-id", "1"),
        ("x-api-key", "other"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-team", "blue"),
        ("user-agent", "test/1"),
        ("x-stainless-lang", "python"),
        ("traceparent", "00-1-2-01"),
        ("connection", "x-team, api-key"),
        ("te", "trailers"),
        ("x-cost-center", "7"),
    ];
    assert_eq!(gateway.post("/v1/chat/completions", &sent, chat_body("Hi").to_string()).await.status, 200);
    let seen = azure.recorded().remove(0);
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "accept-encoding",
            "api-key",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-cost-center",
            "x-team"
        ]
    );
    assert_eq!(seen.api_key_seen.as_deref(), Some("sim-key"));
    assert!(seen.headers.contains(&("x-cost-center".into(), "42".into())), "{:?}", seen.headers);
}

#[tokio::test]
async fn http2_callers_are_served_over_cleartext() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let plain = send_h2(gateway.address, "/v1/chat/completions", &headers, chat_body("Hi").to_string()).await;
    assert_eq!((plain.status, plain.json()["model"].as_str()), (200, Some("gpt-4o")));
    let stream = send_h2(gateway.address, "/v1/chat/completions", &headers, stream_body("Hi").to_string()).await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
}

#[tokio::test]
async fn pipelined_and_kept_alive_requests_are_all_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let body = chat_body("Hi").to_string();
    let one = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(one.repeat(3).as_bytes()).await.unwrap();
    let mut read = String::new();
    while read.matches("HTTP/1.1 200").count() < 3 || !read.ends_with('}') {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "{read}");
        read.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert_eq!(azure.recorded().len(), 3);
}

#[tokio::test]
async fn health_is_told_to_strangers() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    assert_eq!(get(gateway.address, "/healthz").await.status, 200);
    assert_eq!(send(gateway.address, Method::HEAD, "/api/hello", &[], "").await.status, 200);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(gateway.admin, path).await.status, 200, "{path}");
    }
    assert_eq!(get(gateway.admin, "/api/config").await.status, 403);
    assert_eq!(get(gateway.admin, "/x").await.status, 404);
}
