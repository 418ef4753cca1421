//! Tokens of Entra ID: for which scopes, for which keys, and what becomes of a key without one.

use std::time::Duration;

use azgate::simulator::identity::IdentitySettings;
use azgate::simulator::{Recorded, Rule, Running, Script, Settings};
use serde_json::{Value, json};

use crate::support::*;

/// A simulated Azure whose tokens live for so long.
pub async fn issuing(lifetime: Duration) -> Running {
    let identity = IdentitySettings { lifetime, ..IdentitySettings::default() };
    azure_with(Settings { identity, ..Settings::default() }).await
}

/// A configuration whose one key is the service principal of the simulator.
pub fn principal(azure: &Running) -> Value {
    let mut config = config(&azure.base_url());
    let key = &mut config["providers"]["azure"]["keys"][0];
    key.as_object_mut().unwrap().remove("value");
    let entra = &mut key["azure_key_config"];
    entra["authority_host"] = json!(azure.base_url());
    entra["tenant_id"] = json!("sim-tenant");
    entra["client_id"] = json!("sim-client");
    entra["client_secret"] = json!("sim-secret");
    config
}

/// The requests of the data plane.
pub fn data_plane(azure: &Running) -> Vec<Recorded> {
    azure.recorded().into_iter().filter(|request| !request.path.ends_with("/token")).collect()
}

pub fn headers<'a>(request: &'a Recorded, name: &str) -> Vec<&'a str> {
    request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn traps_26_scopes_are_what_the_key_says_and_two_never_mix() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let mut config = principal(&azure);
    config["providers"]["azure"]["keys"][0]["models"] = json!([]);
    let mut project = config["providers"]["azure"]["keys"][0].clone();
    project["name"] = json!("project");
    project["aliases"] = json!({"projected": "chat-east"});
    project["azure_key_config"]["scopes"] = json!(["https://ai.azure.com/.default"]);
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(project);
    let gateway = Gateway::start(&config).await;
    for round in 0..20 {
        for (model, audience) in
            [("gpt-4o", "https://cognitiveservices.azure.com"), ("projected", "https://ai.azure.com")]
        {
            azure.clear();
            let mut body = chat_body("hello");
            body["model"] = json!(model);
            assert_eq!(gateway.chat(&body).await.status, 200, "{round} {model}");
            let sent = data_plane(&azure);
            let token = headers(&sent[0], "authorization")[0].strip_prefix("Bearer ").unwrap();
            assert_eq!(azure.identity().read(token).unwrap().aud, audience);
        }
    }
    assert_eq!(azure.stats().tokens_issued, 2, "one for each scope, for all requests");
}

#[tokio::test]
async fn a_key_without_a_token_is_passed_by_and_the_cause_stays_in_the_log() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let mut config = principal(&azure);
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["client_secret"] = json!("canary-wrong-secret");
    let mut second = key("second", &azure.base_url());
    second["priority"] = json!(1);
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(second);
    let gateway = Gateway::start(&config).await;
    let answer = gateway.chat(&chat_body("hello")).await;
    assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "second"));
    azure.script(&Script::default().then(Rule::new("status=401").key("sim-key"))).unwrap();
    let answer = gateway.chat(&chat_body("hello")).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "credential_unavailable"));
    assert!(!answer.text().contains("AADSTS") && !answer.text().contains("sim-client"), "{}", answer.text());
    let words = "AADSTS7000215: Invalid client secret provided.";
    wait_until("the platform's own words", || gateway.log().contains(words)).await;
    assert!(!gateway.log().contains("canary-wrong-secret"));
}
