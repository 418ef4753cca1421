//! Several keys: exact proportions, whoever asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::*;

fn weighted(azure: &str, weights: &[(&str, f64)]) -> Value {
    let mut config = config(azure);
    let keys = weights.iter().map(|(name, weight)| {
        let mut key = key(name, azure);
        key["weight"] = json!(weight);
        key
    });
    config["providers"]["azure"]["keys"] = keys.collect();
    config
}

#[tokio::test]
async fn requests_are_shared_out_exactly_by_weight() {
    let azure = azure().await;
    let gateway =
        Gateway::start(&weighted(&azure.base_url(), &[("a", 5.0), ("b", 2.5), ("c", 0.5), ("off", 0.0)])).await;
    let asked = (0..160).map(|_| async { gateway.chat(&chat_body("Hi")).await.header("x-azgate-key").to_owned() });
    let mut counts = BTreeMap::new();
    for name in futures_util::future::join_all(asked).await {
        *counts.entry(name).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("a".into(), 100), ("b".into(), 50), ("c".into(), 10)]));
}

#[tokio::test]
async fn a_reload_with_the_same_weights_does_not_start_over() {
    let azure = azure().await;
    let config = weighted(&azure.base_url(), &[("a", 1.0), ("b", 1.0)]);
    let gateway = Gateway::start(&config).await;
    let mut served = Vec::new();
    for round in 0..6 {
        served.push(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key").to_owned());
        gateway.reload(&config);
        let wanted = f64::from(round + 2);
        gateway.until_metric("azgate_config_generation", wanted).await;
    }
    assert_eq!(served, ["a", "b", "a", "b", "a", "b"]);
}

#[tokio::test]
async fn only_keys_that_serve_the_model_are_asked() {
    let azure = azure().await;
    let mut config = weighted(&azure.base_url(), &[("a", 1.0), ("b", 1.0), ("c", 1.0)]);
    let keys = &mut config["providers"]["azure"]["keys"];
    keys[0]["models"] = json!(["gpt-4*"]);
    keys[0]["aliases"] = json!({});
    keys[1]["models"] = json!(["text-*"]);
    keys[1]["aliases"] = json!({});
    keys[2]["blacklisted_models"] = json!(["gpt-4o-mini"]);
    let gateway = Gateway::start(&config).await;
    let served = |model: &'static str| {
        let gateway = &gateway;
        async move {
            let mut names = std::collections::BTreeSet::new();
            for _ in 0..6 {
                let mut body = chat_body("Hi");
                body["model"] = json!(model);
                names.insert(gateway.chat(&body).await.header("x-azgate-key").to_owned());
            }
            names.into_iter().collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(served("gpt-4o").await, "a c");
    assert_eq!(served("gpt-4o-mini").await, "a");
    assert_eq!(served("gpt-4.1").await, "a c");
}

#[tokio::test]
async fn a_callers_list_of_keys_holds() {
    let azure = azure().await;
    let mut config = weighted(&azure.base_url(), &[("a", 1.0), ("b", 1.0)]);
    config["governance"]["virtual_keys"][0]["allowed_keys"] = json!(["b"]);
    let gateway = Gateway::start(&config).await;
    for _ in 0..4 {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "b");
    }
}
