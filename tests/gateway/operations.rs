//! The other operations with a JSON body, and those that are not there.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn embeddings_and_legacy_completions_work_over_both_addressings() {
    let azure = azure().await;
    for config in [config(&azure.base_url()), config_v1(&azure.base_url())] {
        let gateway = Gateway::start(&config).await;
        let body = json!({"model": "embed", "input": ["a", "b"], "encoding_format": "base64"});
        let answer = gateway.post("/v1/embeddings", &[], body.to_string()).await;
        assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some("embed")), "{}", answer.text());
        assert!(answer.json()["data"][1]["embedding"].is_string());
        let body = json!({"model": "instruct", "prompt": "Once"});
        let answer = gateway.post("/openai/completions", &[], body.to_string()).await;
        assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some("instruct")), "{}", answer.text());
        let body = json!({"model": "INSTRUCT", "prompt": "Once", "stream": true});
        let answer = gateway.post("/v1/completions", &[], body.to_string()).await;
        assert!(
            answer.events().iter().filter(|event| event["model"] != "").all(|event| event["model"] == "INSTRUCT"),
            "{}",
            answer.text()
        );
        assert!(answer.text().ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn a_large_embedding_answer_comes_whole() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let inputs: Vec<String> = (0..512).map(|i| format!("text {i}")).collect();
    let answer = gateway.post("/v1/embeddings", &[], json!({"model": "embed", "input": inputs}).to_string()).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 512);
    assert!(answer.body.len() > 4_000_000 && answer.complete, "{}", answer.body.len());
}

#[tokio::test]
async fn operations_that_azure_lacks_are_named() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for path in ["/v1/images/variations", "/v1/assistants", "/v1/fine_tuning/jobs"] {
        let answer = gateway.post(path, &[], "{}").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "unsupported_operation"),
            "{path}: {}",
            answer.text()
        );
    }
    assert!(azure.recorded().is_empty());
}

#[tokio::test]
async fn traps_63_unknown_paths_are_refused_and_never_forwarded() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for path in [
        "/",
        "/v1",
        "/openai/v1/unknown",
        "/v1/chat/completions/../../files",
        "/v1/chat",
        "/openai/deployments/gpt-4o",
        "/v2/chat/completions",
    ] {
        let answer = gateway.post(path, &[], chat_body("Hi").to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}: {}", answer.text());
    }
    let answer = gateway.post("/anthropic/v1/unknown", &[], "{}").await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
    assert!(azure.recorded().is_empty());
}
