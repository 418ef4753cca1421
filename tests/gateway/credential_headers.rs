//! Every operation with each way to prove who asks: exactly one header carries a credential, and it is the right one.

use std::time::Duration;

use azgate::simulator::identity::Application;
use azgate::simulator::{Recorded, Running};
use serde_json::{Value, json};

use crate::credentials::{data_plane, headers, issuing, principal};
use crate::every_operation::{
    Step, Walk, is_good, of_claude, of_files, of_models, of_other_ways, of_responses, of_uploads_and_videos,
};
use crate::support::*;

const CERTIFICATE: &str = include_str!("certificates/application.pem");

/// What a request shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    /// An API key, in the header that its family has for it.
    Key(&'static str),
    /// An API key as a token.
    BearerKey(&'static str),
    /// A token of this client.
    TokenOf(&'static str),
    Nothing,
}

fn every_step() -> Vec<Step> {
    [of_models(), of_responses(), of_files(), of_uploads_and_videos(), of_claude(), of_other_ways()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_23_every_operation_shows_exactly_one_credential_by_every_method() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    azure.identity().register(Application::new("cert-client").certificate(CERTIFICATE));
    let metadata = azure.base_url();
    let variables = [("CERTIFICATE", CERTIFICATE), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata.as_str())];
    for (config, shown) in methods(&azure) {
        for version in ["2024-10-21", "v1"] {
            let mut config = config.clone();
            let key = &mut config["providers"]["azure"]["keys"][0];
            key["azure_key_config"]["api_version"] = json!(version);
            (key["models"], key["aliases"]) = (json!(["*"]), json!({}));
            let gateway = Gateway::start_with(&config, &variables).await;
            walk(&azure, &gateway, &every_step(), shown).await;
            assert!(!gateway.log().contains("canary"));
        }
    }
}

/// A key of each method, and what it is to show.
fn methods(azure: &Running) -> Vec<(Value, Shown)> {
    let mut with_secret = principal(azure);
    with_secret["providers"]["azure"]["keys"][0]["value"] = json!("canary-key-that-is-not-used");
    let mut with_certificate = principal(azure);
    let entra = &mut with_certificate["providers"]["azure"]["keys"][0]["azure_key_config"];
    entra.as_object_mut().unwrap().remove("client_secret");
    entra["client_id"] = json!("cert-client");
    entra["client_certificate"] = json!("env.CERTIFICATE");
    let mut of_host = principal(azure);
    for name in ["tenant_id", "client_id", "client_secret"] {
        of_host["providers"]["azure"]["keys"][0]["azure_key_config"].as_object_mut().unwrap().remove(name);
    }
    vec![
        (config(&azure.base_url()), Shown::Key("sim-key")),
        (with_secret, Shown::TokenOf("sim-client")),
        (with_certificate, Shown::TokenOf("cert-client")),
        (of_host, Shown::TokenOf("sim-system-assigned")),
    ]
}

/// Takes all steps and looks at what arrived.
async fn walk(azure: &Running, gateway: &Gateway, steps: &[Step], shown: Shown) {
    let mut walk = Walk::default();
    for step in steps {
        azure.clear();
        let answer = walk.take(gateway, step).await;
        let what = format!("{shown:?} {} {}", step.method, step.path);
        assert!(is_good(&answer), "{what}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let sent = data_plane(azure);
        let [request] = sent.as_slice() else { panic!("{what}: {sent:?}") };
        check(azure, request, shown, &what);
    }
}

fn check(azure: &Running, request: &Recorded, shown: Shown, what: &str) {
    let seen = ["api-key", "x-api-key", "authorization"].map(|name| headers(request, name));
    let (family, claude) = (&request.path, request.path.starts_with("/anthropic/"));
    let expected: [Vec<&str>; 3] = match shown {
        Shown::Key(key) if claude => [vec![], vec![key], vec![]],
        Shown::Key(key) => [vec![key], vec![], vec![]],
        Shown::BearerKey(_) | Shown::TokenOf(_) => [vec![], vec![], seen[2].clone()],
        Shown::Nothing => [vec![], vec![], vec![]],
    };
    assert_eq!(seen, expected, "{what} at {family}");
    let token = seen[2].first().map(|value| value.strip_prefix("Bearer ").expect("a bearer token"));
    match shown {
        Shown::TokenOf(client) => {
            assert_eq!(seen[2].len(), 1, "{what}");
            let token = azure.identity().read(token.unwrap()).expect("a token of the simulator");
            assert_eq!(token.appid, client, "{what}");
        }
        Shown::BearerKey(key) => assert_eq!((seen[2].len(), token), (1, Some(key)), "{what}"),
        Shown::Key(_) | Shown::Nothing => {}
    }
    assert!(!request.headers.iter().any(|(_, value)| value.contains("canary") || value.contains(KEY)), "{what}");
}

/// A configuration with one provider that is not Azure, at the simulator's address.
fn house(azure: &Running, kind: &str, base: &str, keys: &Value) -> Value {
    let mut config = config(&azure.base_url());
    let network = json!({"base_url": format!("{}{base}", azure.base_url())});
    config["providers"] = json!({"house": {"type": kind, "keys": keys, "network_config": network}});
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_services_serve_every_operation_that_they_have_with_their_own_header() {
    let azure = azure().await;
    let keys = json!([{"name": "house", "value": "sim-key", "models": ["*"]}]);
    let of_openai =
        || [of_models(), of_responses(), of_files(), of_uploads_and_videos()].into_iter().flatten().collect::<Vec<_>>();
    for (kind, base, steps, shown) in [
        ("openai", "/openai", of_openai(), Shown::BearerKey("sim-key")),
        ("openai_compatible", "/openai/v1", of_openai(), Shown::BearerKey("sim-key")),
        ("anthropic", "/anthropic", of_claude(), Shown::Key("sim-key")),
    ] {
        let gateway = Gateway::start(&house(&azure, kind, base, &keys)).await;
        walk(&azure, &gateway, &steps, shown).await;
    }
    // One without keys is asked without a credential, and the caller's own stays here.
    let gateway = Gateway::start(&house(&azure, "openai_compatible", "/openai", &json!([]))).await;
    for step in of_models() {
        azure.clear();
        assert_eq!(Walk::default().take(&gateway, &step).await.status, 502, "the simulator wants a credential");
        for request in azure.recorded() {
            check(&azure, &request, Shown::Nothing, step.path);
        }
    }
}
