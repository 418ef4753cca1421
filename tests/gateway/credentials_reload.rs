//! Secrets that change, reloads, and readiness.

use std::time::Duration;

use azgate::simulator::identity::Application;
use azgate::simulator::{Rule, Script};
use serde_json::json;

use crate::credentials::{issuing, principal};
use crate::support::*;

#[tokio::test]
async fn traps_25_55_a_rotated_secret_works_after_a_reload_and_no_request_fails() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let mut config = principal(&azure);
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    azure.identity().register(Application::new("sim-client").secret("rotated-secret"));
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["client_secret"] = json!("rotated-secret");
    azure.script(&Script::default().then(Rule::new("delay=300").path_contains("/token"))).unwrap();
    gateway.reload(&config);
    while gateway.metric("azgate_config_generation", &[]).await < 2.0 {
        assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    }
    azure.identity().revoke();
    azure.script(&Script::default()).unwrap();
    assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200, "with a token that the new secret got");
    assert!(!gateway.log().contains("AADSTS"), "{}", gateway.log());
}

#[tokio::test]
async fn tokens_of_unchanged_identities_outlive_a_reload_and_are_shared() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let mut config = principal(&azure);
    let mut twin = config["providers"]["azure"]["keys"][0].clone();
    twin["name"] = json!("twin");
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(twin);
    let gateway = Gateway::start(&config).await;
    for generation in 2..5 {
        config["providers"]["azure"]["keys"][1]["weight"] = json!(generation);
        gateway.reload(&config);
        gateway.until_metric("azgate_config_generation", f64::from(generation)).await;
        for _ in 0..4 {
            assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
        }
    }
    assert_eq!(azure.stats().tokens_asked, 1);
}

#[tokio::test]
async fn traps_24_not_ready_until_a_key_that_is_alone_has_its_token() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let down = Script::default().then(Rule::new("status=503; retry-after-ms=10").path_contains("/token"));
    azure.script(&down).unwrap();
    let gateway = Gateway::start_unready(&principal(&azure), &[]).await;
    wait_until("a failure", || gateway.log().contains("got no token")).await;
    let answer = get(gateway.admin, "/readyz").await;
    assert_eq!((answer.status, answer.text().trim()), (503, "no token yet for: east"));
    azure.script(&Script::default()).unwrap();
    gateway.until_ready().await;
    // With another key for the same models nobody has to wait.
    azure.script(&down).unwrap();
    let mut config = principal(&azure);
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(key("second", &azure.base_url()));
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.metric("azgate_token_expiry_seconds", &["east"]).await, 0.0);
}

#[tokio::test]
async fn readiness_tells_of_a_token_that_is_lost_and_of_its_return() {
    let azure = issuing(Duration::from_secs(2)).await;
    let gateway = Gateway::start(&principal(&azure)).await;
    let said = async || {
        let answer = get(gateway.admin, "/readyz").await;
        (answer.status, answer.text().trim().to_owned())
    };
    assert_eq!(said().await, (200, "ready".to_owned()));
    azure.script(&Script::default().then(Rule::new("status=503").path_contains("/token"))).unwrap();
    let lost = (200, "ready, but no token now for: east".to_owned());
    let begun = std::time::Instant::now();
    while said().await != lost {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", said().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.chat(&chat_body("hello")).await.code(), "credential_unavailable");
    azure.script(&Script::default()).unwrap();
    wait_until("a token", || gateway.log().matches("has a token").count() == 2).await;
    assert_eq!(said().await, (200, "ready".to_owned()));
}
