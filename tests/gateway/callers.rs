//! Virtual keys: every way to show one, and every reason to turn one away.

use http::Method;
use serde_json::{Value, json};

use crate::support::*;

fn with_keys(azure: &str, keys: Value) -> Value {
    let mut config = config(azure);
    config["governance"]["virtual_keys"] = keys;
    config
}

async fn ask(gateway: &Gateway, headers: &[(&str, &str)], model: &str) -> Answer {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    send(gateway.address, Method::POST, "/v1/chat/completions", headers, body.to_string()).await
}

#[tokio::test]
async fn all_five_header_forms_admit() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let bearer = format!("bearer {KEY}");
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("api-key", KEY),
        ("x-api-key", KEY),
        ("x-bf-vk", KEY),
        ("x-azgate-vk", KEY),
    ] {
        assert_eq!(ask(&gateway, &[(name, value)], "gpt-4o").await.status, 200, "{name}");
    }
    let among_others =
        ask(&gateway, &[("authorization", "Bearer unknown"), ("api-key", "other"), ("x-azgate-vk", KEY)], "gpt-4o")
            .await;
    assert_eq!(among_others.status, 200, "any one that is valid admits");
    assert!(azure.recorded().iter().all(|seen| seen.api_key_seen.as_deref() == Some("sim-key")));
}

#[tokio::test]
async fn whoever_has_no_valid_key_is_refused_in_the_dialects_own_shape() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let wrong = format!("Bearer {KEY}x");
    let basic = format!("Basic {KEY}");
    for headers in [
        vec![],
        vec![("authorization", wrong.as_str())],
        vec![("api-key", "")],
        vec![("authorization", basic.as_str())],
    ] {
        let answer = ask(&gateway, &headers, "gpt-4o").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_api_key"), "{headers:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.json()["error"]["message"].is_string() && answer.json()["error"]["type"].is_string());
    }
    let anthropic = send(gateway.address, Method::POST, "/anthropic/v1/messages", &[], "{}").await;
    assert_eq!(
        (anthropic.status, anthropic.json()["type"].as_str(), anthropic.json()["error"]["type"].as_str()),
        (401, Some("error"), Some("authentication_error"))
    );
    assert!(azure.recorded().is_empty());
}

#[tokio::test]
async fn a_key_by_its_hash_works_and_lists_are_enforced() {
    use sha2::{Digest, Sha256};
    let azure = azure().await;
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(b"hashed"));
    let keys = json!([
        {"name": "hashed", "key_hash": hash, "allowed_models": ["gpt-4o*", "dotted"]},
        {"name": "expired", "value": "expired", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "future", "value": "future", "expires_at": "2999-01-01T00:00:00Z"},
        {"name": "off", "value": "off", "enabled": false},
        {"name": "elsewhere", "value": "elsewhere", "allowed_networks": ["10.0.0.0/8"]},
        {"name": "here", "value": "here", "allowed_networks": ["127.0.0.0/8"]},
        {"name": "other-provider", "value": "other-provider", "allowed_providers": ["openai"]},
        {"name": "nothing", "value": "nothing", "allowed_models": []},
    ]);
    let mut config = with_keys(&azure.base_url(), keys);
    config["providers"]["openai"] = json!({"keys": [{"name": "openai", "value": "k"}]});
    let gateway = Gateway::start(&config).await;
    for (key, model, status, code) in [
        ("hashed", "gpt-4o", 200, ""),
        ("hashed", "azure/gpt-4o-mini", 200, ""),
        ("hashed", "gpt-5", 403, "model_not_allowed"),
        ("hashed", "chat-east", 403, "model_not_allowed"),
        ("expired", "gpt-4o", 401, "key_expired"),
        ("future", "gpt-4o", 200, ""),
        ("off", "gpt-4o", 401, "key_disabled"),
        ("elsewhere", "gpt-4o", 403, "address_not_allowed"),
        ("here", "gpt-4o", 200, ""),
        ("other-provider", "gpt-4o", 403, "provider_not_allowed"),
        ("nothing", "gpt-4o", 403, "model_not_allowed"),
    ] {
        let answer = ask(&gateway, &[("api-key", key)], model).await;
        assert_eq!(answer.status, status, "{key} {model}: {}", answer.text());
        if status != 200 {
            assert_eq!(answer.code(), code, "{key} {model}");
        }
    }
    let body = json!({"model": "gpt-4o", "deployment": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]});
    let sneaked =
        send(gateway.address, Method::POST, "/v1/chat/completions", &[("api-key", "hashed")], body.to_string()).await;
    assert_eq!(
        (sneaked.status, sneaked.code().as_str()),
        (404, "model_not_found"),
        "a deployment outside the list: {}",
        sneaked.text()
    );
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_counts_and_cannot_be_claimed_by_others() {
    let azure = azure().await;
    let keys = json!([{"name": "n", "value": "n", "allowed_networks": ["10.0.0.0/8"]}]);
    let mut config = with_keys(&azure.base_url(), keys);
    let untrusting = Gateway::start(&config).await;
    let claimed = [("api-key", "n"), ("x-forwarded-for", "10.1.1.1")];
    assert_eq!(ask(&untrusting, &claimed, "gpt-4o").await.status, 403);
    config["server"]["trusted_proxies"] = json!(["127.0.0.0/8", "192.168.0.0/16"]);
    let trusting = Gateway::start(&config).await;
    for (forwarded, status) in
        [("10.1.1.1", 200), ("10.1.1.1, 192.168.1.1", 200), ("10.1.1.1, 8.8.8.8", 403), ("8.8.8.8", 403), ("junk", 403)]
    {
        let answer = ask(&trusting, &[("api-key", "n"), ("x-forwarded-for", forwarded)], "gpt-4o").await;
        assert_eq!(answer.status, status, "{forwarded}");
    }
}

#[tokio::test]
async fn an_entry_that_a_trusted_proxy_wrote_is_never_skipped_for_one_of_the_callers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let azure = azure().await;
    // The proxy itself is inside the network too: not knowing the caller must not make it the caller.
    let keys = json!([{"name": "n", "value": "n", "allowed_networks": ["10.0.0.0/8", "127.0.0.0/8"]}]);
    let mut config = with_keys(&azure.base_url(), keys);
    config["server"]["trusted_proxies"] = json!(["127.0.0.0/8", "192.168.0.0/16"]);
    let gateway = Gateway::start(&config).await;
    for (forwarded, status) in [
        (&b"10.1.1.1:4711"[..], 200),
        (b"10.1.1.1, 192.168.1.1:80", 200),
        (b"10.1.1.1, 203.0.113.9:4711", 403),
        (b"10.1.1.1, [2001:db8::1]:443", 403),
        (b"10.1.1.1, [2001:db8::1]", 403),
        (b"10.1.1.1, unknown", 403),
        (b"10.1.1.1, _hidden", 403),
        (b"10.1.1.1,", 403),
        (b"junk", 403),
        (b"\xe9, 203.0.113.9", 403),
        (b"\xe9", 403),
        (b"10.1.1.1\r\nx-forwarded-for: \xe9, 203.0.113.9", 403),
    ] {
        let body = chat_body("Hi").to_string();
        let length = body.len();
        let head =
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: n\r\nconnection: close\r\nx-forwarded-for: ";
        let rest = format!("\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&[head, forwarded, rest.as_bytes()].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let shown = forwarded.escape_ascii();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {answer}");
    }
}

#[tokio::test]
async fn without_enforcement_strangers_pass_as_anonymous_but_bad_keys_do_not_become_good() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["client"]["enforce_auth_on_inference"] = json!(false);
    config["governance"]["virtual_keys"][0]["enabled"] = json!(false);
    let gateway = Gateway::start(&config).await;
    assert_eq!(ask(&gateway, &[], "gpt-4o").await.status, 200);
    assert_eq!(ask(&gateway, &[("api-key", "unknown")], "gpt-4o").await.status, 200);
    assert_eq!(ask(&gateway, &[("api-key", KEY)], "gpt-4o").await.code(), "key_disabled");
    assert_eq!(gateway.request_lines(3).await[0]["caller"], "anonymous");
}
