//! The identity platform of the simulator: who gets a token, for what, and which tokens open the data plane.

use std::time::Duration;

use azgate::simulator::identity::{Application, IdentitySettings};
use azgate::simulator::{Rule, Running, Script, Settings, start};
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::client::*;

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const TOKEN: &str = "/sim-tenant/oauth2/v2.0/token";

async fn issuing(identity: IdentitySettings) -> Running {
    start(Settings { identity, ..Settings::default() }).await.expect("a free port")
}

async fn ask(azure: &Running, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").extend_pairs(fields);
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    send(azure.addr(), request.body(Full::from(form.finish())).expect("a request")).await
}

async fn token_for(azure: &Running, scope: &str) -> String {
    let fields = [("client_id", "sim-client"), ("client_secret", "sim-secret"), ("scope", scope)];
    let reply = ask(azure, TOKEN, &fields).await;
    reply.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", reply.text())).to_owned()
}

async fn chat_with(azure: &Running, path: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let body = chat_body("gpt-4o", "hi", json!({}));
    send(azure.addr(), with_headers(path, &body, &[("authorization", &bearer)])).await
}

#[tokio::test]
async fn a_token_opens_both_ways_until_it_expires_or_is_revoked() {
    let azure = issuing(IdentitySettings { lifetime: Duration::from_secs(2), ..Default::default() }).await;
    let begun = std::time::Instant::now();
    let token = token_for(&azure, SCOPE).await;
    for path in [V1_CHAT, CLASSIC_CHAT] {
        assert_eq!(chat_with(&azure, path, &token).await.status, 200, "{path}");
    }
    tokio::time::sleep(Duration::from_millis(2_050).saturating_sub(begun.elapsed())).await;
    let reply = chat_with(&azure, V1_CHAT, &token).await;
    assert_eq!((reply.status, &reply.error()["code"]), (401, &json!("Unauthorized")));
    let token = token_for(&azure, SCOPE).await;
    assert_eq!(chat_with(&azure, V1_CHAT, &token).await.status, 200);
    azure.identity().revoke();
    assert_eq!(chat_with(&azure, V1_CHAT, &token).await.status, 401);
    assert_eq!(azure.stats().tokens_turned_away, 2);
}

#[tokio::test]
async fn a_foreign_token_and_one_for_another_audience_open_nothing() {
    let (azure, other) = (issuing(IdentitySettings::default()).await, issuing(IdentitySettings::default()).await);
    let foreign = token_for(&other, SCOPE).await;
    assert_eq!(chat_with(&azure, V1_CHAT, &foreign).await.status, 401);
    let elsewhere = token_for(&azure, "https://management.azure.com/.default").await;
    let reply = chat_with(&azure, CLASSIC_CHAT, &elsewhere).await;
    assert!(reply.message().contains("audience is incorrect"), "{}", reply.text());
}

#[tokio::test]
async fn refusals_say_which_part_is_wrong() {
    let azure = issuing(IdentitySettings::default()).await;
    let good = [("client_id", "sim-client"), ("client_secret", "sim-secret"), ("scope", SCOPE)];
    let with =
        |name: &str, value: &'static str| good.map(|(known, text)| (known, if known == name { value } else { text }));
    for (path, fields, status, code) in [
        ("/other/oauth2/v2.0/token", good, 400, "AADSTS90002"),
        (TOKEN, with("client_id", "nobody"), 400, "AADSTS700016"),
        (TOKEN, with("client_secret", "wrong"), 401, "AADSTS7000215"),
        (TOKEN, with("scope", "https://ai.azure.com"), 400, "AADSTS1002012"),
        (TOKEN, with("scope", "https://nothing.example/.default"), 400, "AADSTS500011"),
    ] {
        let reply = ask(&azure, path, &fields).await;
        let described = reply.json()["error_description"].as_str().unwrap_or_default().to_owned();
        assert_eq!(reply.status, status, "{described}");
        assert!(described.starts_with(code) && described.contains("\r\nTrace ID"), "{described}");
    }
    let assertion = [
        ("client_id", "sim-client"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "e30.e30.e30"),
    ];
    let reply = ask(&azure, TOKEN, &assertion).await;
    assert!(reply.text().contains("AADSTS700027"), "{}", reply.text());
    azure.identity().register(Application::new("sim-client").secret("rotated"));
    assert_eq!(ask(&azure, TOKEN, &good).await.status, 401);
}

#[tokio::test]
async fn managed_identities_want_their_headers_and_speak_in_strings() {
    let azure = issuing(IdentitySettings::default()).await;
    let get = |path: &'static str, headers: &'static [(&'static str, &'static str)]| {
        let mut request = Request::get(format!("{path}&resource=https%3A%2F%2Fai.azure.com"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(azure.addr(), request.body(Full::default()).expect("a request"))
    };
    let imds = "/metadata/identity/oauth2/token?api-version=2018-02-01";
    let service = "/msi/token?api-version=2019-08-01";
    for (path, headers, status) in [
        (imds, &[("metadata", "true")][..], 200),
        (imds, &[], 400),
        (imds, &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")], 403),
        ("/metadata/identity/oauth2/token?api-version=2018-02-01&client_id=unknown", &[("metadata", "true")], 400),
        (service, &[("x-identity-header", "sim-identity-header")], 200),
        (service, &[("x-identity-header", "wrong")], 401),
        ("/arc/metadata/identity/oauth2/token?api-version=2020-06-01", &[("metadata", "true")], 404),
    ] {
        let reply = get(path, headers).await;
        assert_eq!(reply.status, status, "{path} {headers:?} {}", reply.text());
        assert!(status != 200 || reply.json()["expires_on"].is_string(), "{}", reply.text());
    }
}

#[tokio::test]
async fn faults_of_the_token_endpoint_are_in_its_own_words() {
    let azure = issuing(IdentitySettings::default()).await;
    azure.script(&Script::default().then(Rule::new("status=503").path_contains("/token"))).expect("a script");
    let reply = ask(&azure, TOKEN, &[]).await;
    assert_eq!((reply.status, &reply.json()["error"]), (503, &json!("temporarily_unavailable")));
    assert_eq!(azure.stats().tokens_issued, 0);
}
