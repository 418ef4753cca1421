//! Limits of provider keys steer the choice before anyone throttles.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_key_over_its_own_limit_is_passed_by_and_all_of_them_are_a_429() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let with = |name: &str, limit: u64| {
        let mut key = key(name, &azure.base_url());
        key["rate_limit"] = json!({"requests_per_minute": limit});
        key
    };
    config["providers"]["azure"]["keys"] = json!([with("small", 2), with("large", 5)]);
    let gateway = Gateway::start(&config).await;
    let mut used = Vec::new();
    for _ in 0..7 {
        let answer = gateway.chat(&chat_body("Hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        used.push(answer.header("x-azgate-key").to_owned());
    }
    assert_eq!(used.iter().filter(|name| *name == "small").count(), 2, "{used:?}");
    let refused = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "all_keys_throttled"));
    assert!((50..=61).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(azure.recorded().len(), 7, "Azure was spared");
}

#[tokio::test]
async fn a_keys_slots_come_back_and_a_failed_attempt_frees_its_key() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["rate_limit"] = json!({"concurrent_requests": 1});
    let gateway = Gateway::start(&config).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "100")];
    let body = stream_body(&"word ".repeat(100)).to_string();
    let running = open(gateway.address, "/v1/chat/completions", &headers, body).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.code(), "all_keys_throttled");
    drop(running);
    until_admitted(&gateway, "a caller who left").await;
    gateway.post("/v1/chat/completions", &[("x-sim-fault", "status=500")], chat_body("Hi").to_string()).await;
    until_admitted(&gateway, "a failed attempt").await;
}
