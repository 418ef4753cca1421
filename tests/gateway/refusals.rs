//! Errors of the gateway's own, and Azure's errors on their way through.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn every_bad_request_is_told_what_is_wrong_and_what_would_be_right() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for (body, code, says) in [
        ("", "invalid_json", "expected"),
        ("{", "invalid_json", "byte 1"),
        ("[1]", "invalid_json", "byte 0"),
        ("{\"model\" \"x\"}", "invalid_json", "`:`"),
        ("{\"model\":\"gpt-4o\"} x", "invalid_json", "byte 19"),
        ("\u{feff}{}", "invalid_json", "byte order mark"),
        ("{}", "missing_model", "`model`"),
        ("{\"model\":null}", "missing_model", "`model`"),
        ("{\"model\":\"\"}", "missing_model", "`model`"),
        ("{\"model\":7}", "bad_request", "must be a string"),
        (&format!("{{{}\"x\":1}}", "\"model\":1,".repeat(100)), "invalid_json", "each field once"),
        ("{\"model\":\"gpt-4o\",\"Model\":\"gpt-5\"}", "bad_request", "case of its letters"),
        ("{\"model\":\"gpt-4o\",\"fallbacks\":\"x\"}", "bad_request", "`fallbacks`"),
        ("{\"model\":\"gpt-4o\",\"deployment\":\"\"}", "bad_request", "`deployment`"),
        (&format!("{{\"model\":\"gpt-4o\",\"deployment\":\"{}\"}}", "d".repeat(257)), "bad_request", "`deployment`"),
    ] {
        let answer = gateway.post("/v1/chat/completions", &[], body.to_owned()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}: {}", answer.text());
        assert!(answer.text().contains(says), "{body}: {}", answer.text());
        assert_ne!(answer.header("x-request-id"), "");
    }
    let unknown = gateway.chat(&json!({"model": "nope", "messages": []})).await;
    // Every key of this configuration takes any name, so the upstream decides.
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "DeploymentNotFound"));
    assert_eq!(azure.recorded().len(), 1);
}

#[tokio::test]
async fn a_name_that_no_key_serves_is_a_404_of_the_gateway() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["models"] = json!([]);
    let gateway = Gateway::start(&config).await;
    for name in ["nope", "azure/nope", "other/nope"] {
        let answer = gateway.chat(&json!({"model": name, "messages": []})).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "model_not_found"), "{name}");
        assert!(answer.text().contains("nope"));
    }
    assert!(azure.recorded().is_empty());
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = gateway.get("/v1/chat/completions").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn traps_35_a_filtered_prompt_stays_a_400_and_is_sent_once() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let answer = gateway.chat(&chat_body("[[filter-prompt]]")).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "content_filter"));
    assert_eq!(answer.json()["error"]["innererror"]["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(azure.recorded().len(), 1);
    // TRAPS 36: an answer that was filtered half-way keeps its reason and its results.
    let cut = gateway.chat(&chat_body("[[filter-completion]]")).await;
    assert_eq!((cut.status, cut.json()["choices"][0]["finish_reason"].as_str()), (200, Some("content_filter")));
}

#[tokio::test]
async fn azures_errors_keep_status_body_and_headers() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 0, "min_requests": 1000});
    let gateway = Gateway::start(&config).await;
    for (fault, status) in [
        ("status=400", 400),
        ("status=404", 404),
        ("status=408", 408),
        ("status=500", 500),
        ("status=503; code=overloaded", 503),
        ("status=418; html", 418),
        ("status=500; empty-body", 500),
    ] {
        let answer = gateway.post("/v1/chat/completions", &[("x-sim-fault", fault)], chat_body("Hi").to_string()).await;
        assert_eq!(answer.status, status, "{fault}");
        assert_ne!(answer.header("apim-request-id"), "", "{fault}");
        assert!(!answer.text().contains("upstream_broken"));
    }
}

#[tokio::test]
async fn traps_14_a_throttled_caller_is_always_told_when_to_come_back() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    // A deployment each: what is throttled once is not asked again until its time.
    for (model, fault, seconds, millis) in [
        ("gpt-4o", "status=429; retry-after-ms=2500", "3", "2500"),
        ("gpt-4o-mini", "status=429; retry-after=7", "7", "7000"),
        ("gpt-4.1", "status=429; retry-after=86400", "60", "60000"),
        ("gpt-5", "status=429; retry-after=1.5", "2", "1500"),
    ] {
        let mut body = chat_body("Hi");
        body["model"] = json!(model);
        let answer = gateway.post("/v1/chat/completions", &[("x-sim-fault", fault)], body.to_string()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, seconds), "{fault}");
        let told: i64 = answer.header("retry-after-ms").parse().unwrap();
        let named: i64 = millis.parse().unwrap();
        assert!((named - 100..=named).contains(&told), "{fault}: {told}");
        let again = gateway.chat(&body).await;
        assert_eq!((again.status, again.code().as_str()), (429, "all_keys_throttled"), "{}", again.text());
        assert_eq!(again.header("retry-after"), seconds);
    }
    assert_eq!(azure.recorded().len(), 4, "a closed gate is not knocked at");
}

#[tokio::test]
async fn an_upstream_that_refuses_the_gateways_key_is_a_502_without_its_words() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["value"] = json!("wrong-upstream-key");
    let gateway = Gateway::start(&config).await;
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "credential_unavailable"));
    assert!(!answer.text().contains("subscription key"), "{}", answer.text());
    let line = gateway.request_lines(1).await.remove(0);
    assert!(line["cause"].as_str().unwrap().contains("`east`"), "{line}");
    assert_eq!(line["attempts"][0]["outcome"], "credential");
}

#[tokio::test]
async fn operations_that_claude_has_in_no_form_are_refused_by_name() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["aliases"]["opaque"] =
        json!({"model_id": "d1", "model_family": "anthropic"});
    let gateway = Gateway::start(&config).await;
    for model in ["claude-sonnet-4-6", "opaque"] {
        for (path, body) in [("/v1/completions", json!({"prompt": "Hi"})), ("/v1/embeddings", json!({"input": "Hi"}))] {
            let mut body = body;
            body["model"] = json!(model);
            let answer = gateway.post(path, &[], body.to_string()).await;
            let found = (answer.status, answer.code());
            assert_eq!(found, (400, "unsupported_operation".to_owned()), "{model} {path}: {}", answer.text());
        }
    }
    assert!(azure.recorded().is_empty());
}
