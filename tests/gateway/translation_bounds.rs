//! Where translation ends: what a caller may ask for, and how large an answer may be.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::support::*;

#[tokio::test]
async fn counting_tokens_here_is_a_request_for_the_callers_rates() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["governance"]["virtual_keys"][0]["rate_limit"] = json!({"requests_per_minute": 2});
    let gateway = Gateway::start(&config).await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}).to_string();
    for left in ["1", "0"] {
        let counted = gateway.post("/v1/messages/count_tokens", &[], body.clone()).await;
        assert_eq!((counted.status, counted.json()["input_tokens"].as_u64()), (200, Some(10)), "{}", counted.text());
        assert_eq!(counted.header("x-ratelimit-remaining-requests"), left);
    }
    let refused = gateway.post("/v1/messages/count_tokens", &[], body).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(!refused.header("retry-after").is_empty());
    assert!(azure.recorded().is_empty(), "nothing was asked");
    let line = gateway.request_lines(3).await.remove(2);
    assert_eq!((&line["operation"], &line["status"]), (&json!("count_tokens"), &json!(429)));
}

#[tokio::test]
async fn an_answer_too_large_to_be_translated_is_an_error_in_the_callers_dialect() {
    let upstream = upstream(|mut stream| async move {
        let head = read_head(&mut stream).await.unwrap();
        read_body(&mut stream, &head).await;
        let text = "x".repeat(33 * 1024 * 1024);
        let answer = plain_answer(&format!(r#"{{"status":"completed","output":[{{"text":"{text}"}}]}}"#));
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let gateway = Gateway::start(&config(&format!("http://{upstream}"))).await;
    let body = json!({"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    let refused = gateway.post("/v1/messages", &[], body.to_string()).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (502, &json!("api_error")), "{}", refused.text());
    assert!(refused.text().contains("larger than 32 MiB"), "{}", refused.text());
    assert_eq!(gateway.request_lines(1).await[0]["code"], "upstream_broken");
}
