//! The list of models is the gateway's own, live, and the caller's own.

use serde_json::{Value, json};

use crate::support::*;

fn ids(answer: &Answer) -> Vec<String> {
    let data = answer.json()["data"].clone();
    data.as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_shows_what_a_caller_may_use() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["providers"]["azure"]["keys"][0]["models"] = json!(["gpt-5", "o*"]);
    config["governance"]["virtual_keys"] =
        json!([{"name": "all", "value": KEY}, {"name": "few", "value": "few", "allowed_models": ["gpt-4o", "dot*"]}]);
    let gateway = Gateway::start(&config).await;
    let all = gateway.get("/v1/models").await;
    assert_eq!(ids(&all), ["Instruct", "dotted", "embed", "gpt-4o", "gpt-5"]);
    assert_eq!(
        (all.json()["object"].as_str(), all.json()["data"][0]["object"].as_str()),
        (Some("list"), Some("model"))
    );
    for path in [
        "/openai/models?api-version=2024-10-21",
        "/openai/v1/models",
        "/openai/deployments/x/models?api-version=2024-10-21",
    ] {
        assert_eq!(ids(&gateway.get(path).await), ids(&all), "{path}");
    }
    let few = send(gateway.address, http::Method::GET, "/v1/models", &[("api-key", "few")], "").await;
    assert_eq!(ids(&few), ["dotted", "gpt-4o"]);
    assert_eq!(send(gateway.address, http::Method::GET, "/v1/models", &[], "").await.status, 401);
    assert!(azure.recorded().is_empty(), "nobody is asked");
}

#[tokio::test]
async fn one_model_can_be_asked_for_in_any_spelling() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for path in ["/v1/models/gpt-4o", "/v1/models/GPT-4O", "/v1/models/azure%2Fgpt-4o", "/v1/models/azure/gpt-4o"] {
        assert_eq!(gateway.get(path).await.json()["id"], "gpt-4o", "{path}");
    }
    let missing = gateway.get("/v1/models/nope").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "model_not_found"));
}

#[tokio::test]
async fn anthropics_shape_has_pages() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let first = gateway.get("/anthropic/v1/models?limit=3").await.json();
    assert_eq!((first["has_more"].as_bool(), first["data"].as_array().unwrap().len()), (Some(true), 3));
    assert_eq!(first["data"][0]["type"], "model");
    let last = first["last_id"].as_str().unwrap();
    let second: Value = gateway.get(&format!("/anthropic/v1/models?limit=1000&after_id={last}")).await.json();
    assert_eq!((second["has_more"].as_bool(), second["data"].as_array().unwrap().len()), (Some(false), 1));
}

#[tokio::test]
async fn the_list_follows_a_reload() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let gateway = Gateway::start(&config).await;
    config["providers"]["azure"]["keys"][0]["aliases"] = json!({"fresh": "chat-east"});
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    assert_eq!(ids(&gateway.get("/v1/models").await), ["fresh"]);
}

#[tokio::test]
async fn a_key_that_nobody_checked_opens_no_list() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["client"]["allow_direct_keys"] = json!(true);
    let gateway = Gateway::start(&config).await;
    for path in ["/v1/models", "/anthropic/v1/models"] {
        let answer = send(gateway.address, http::Method::GET, path, &[("api-key", "whatever")], "").await;
        assert_eq!(ids(&answer), Vec::<String>::new(), "{}", answer.text());
    }
    let one = send(gateway.address, http::Method::GET, "/v1/models/gpt-4o", &[("api-key", "whatever")], "").await;
    assert_eq!(one.status, 404);
}
