//! TRAPS 48: no secret and no content shows up anywhere.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn traps_48_no_secret_and_no_content_is_ever_shown() {
    const CANARIES: [&str; 6] = [
        "canary-upstream-key",
        "canary-virtual-key",
        "canary-admin-key",
        "canary-header",
        "canary-prompt",
        "canary-wrong-key",
    ];
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["server"]["admin"]["key"] = json!("env.CANARY_ADMIN");
    config["providers"]["azure"]["keys"][0]["value"] = json!("env.CANARY_UPSTREAM");
    config["providers"]["azure"]["keys"][0]["headers"] = json!({"x-secret": "canary-header"});
    config["governance"]["virtual_keys"][0]["value"] = json!("env.CANARY_VIRTUAL");
    let variables = [
        ("CANARY_UPSTREAM", CANARIES[0]),
        ("CANARY_VIRTUAL", CANARIES[1]),
        ("CANARY_ADMIN", CANARIES[2]),
        ("AZGATE_LOG", "trace"),
        ("RUST_LOG", "trace"),
    ];
    let gateway = Gateway::start_with(&config, &variables).await;
    let mut seen = String::new();
    for fault in ["", "status=500", "reset-before-head", "error-event-at=3", "cut-after-events=3", "status=401; html"] {
        for body in [chat_body("canary-prompt"), stream_body("canary-prompt")] {
            let headers = [("api-key", CANARIES[1]), ("x-api-key", CANARIES[5]), ("x-sim-fault", fault)];
            let answer =
                send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body.to_string()).await;
            seen.push_str(&format!("{:?}", answer.headers));
            if answer.status != 200 {
                seen.push_str(&answer.text());
            }
        }
    }
    let refused = send(
        gateway.address,
        http::Method::POST,
        "/v1/chat/completions",
        &[("api-key", CANARIES[5])],
        "{\"canary-prompt\"",
    )
    .await;
    seen.push_str(&refused.text());
    for key in [CANARIES[2], CANARIES[5]] {
        let authorization = format!("Bearer {key}");
        let answer =
            send(gateway.admin, http::Method::GET, "/api/config", &[("authorization", &authorization)], "").await;
        assert_eq!(answer.status, if key == CANARIES[2] { 404 } else { 401 });
        seen.push_str(&answer.text());
    }
    seen.push_str(&get(gateway.admin, "/metrics").await.text());
    gateway.reload_text(&config.to_string().replace("\"client\"", "\"cliant\""));
    wait_until("the refusal is logged", || gateway.log().contains("cliant")).await;
    seen.push_str(&gateway.log());
    for canary in CANARIES {
        assert!(!seen.contains(canary), "{canary} in: {}", excerpt(&seen, canary));
    }
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", gateway.pid())).unwrap();
    assert!(CANARIES.iter().all(|canary| !command_line.contains(canary)));
}

fn excerpt(text: &str, part: &str) -> String {
    let at = text.find(part).unwrap_or(0);
    text.chars().skip(at.saturating_sub(200)).take(400).collect()
}

#[tokio::test]
async fn traps_48_secrets_of_identities_and_their_tokens_are_never_shown() {
    let azure = crate::credentials::issuing(std::time::Duration::from_secs(2)).await;
    let application = azgate::simulator::identity::Application::new("sim-client");
    azure.identity().register(application.secret("canary-client-secret"));
    let mut config = crate::credentials::principal(&azure);
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["client_secret"] = json!("env.CANARY_SECRET");
    let variables = [("CANARY_SECRET", "canary-client-secret"), ("AZGATE_LOG", "trace"), ("RUST_LOG", "trace")];
    let gateway = Gateway::start_with(&config, &variables).await;
    let mut seen = String::new();
    for fault in ["", "status=401; html", "status=503", "html", "reset-before-head"] {
        let script = azgate::simulator::Script::default()
            .then(azgate::simulator::Rule::new(fault).path_contains("/token"))
            .then(azgate::simulator::Rule::new("status=401").path_contains("/chat/").times(2));
        azure.script(&script).unwrap();
        azure.identity().revoke();
        for _ in 0..3 {
            let answer = gateway.chat(&chat_body("hello")).await;
            seen.push_str(&format!("{:?}", answer.headers));
            seen.push_str(&answer.text());
        }
    }
    seen.push_str(&get(gateway.admin, "/metrics").await.text());
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["client_secret"] = json!("canary-client-secret-2");
    gateway.reload(&config);
    wait_until("the reload", || gateway.log().contains("configuration 2")).await;
    seen.push_str(&gateway.log());
    for secret in ["canary-client-secret", "eyJ"] {
        assert!(!seen.contains(secret), "{secret} in: {}", excerpt(&seen, secret));
    }
}
