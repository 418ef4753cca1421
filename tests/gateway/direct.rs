//! Callers with a provider key of their own: only their key travels, and only to where it is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use azgate::simulator::Settings;

use crate::support::*;

/// Counts every connection; none should ever come.
async fn canary() -> (u16, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let touched = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&touched);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, touched)
}

#[tokio::test]
async fn a_callers_own_key_goes_to_the_endpoint_it_came_with_and_nothing_else_does() {
    let azure = azure().await;
    let theirs = azure_with(Settings { keys: vec!["their-key".into()], ..Settings::default() }).await;
    let mut config = config(&azure.base_url());
    config["client"]["allow_direct_keys"] = json!(true);
    config["client"]["direct_endpoints"] = json!([theirs.base_url()]);
    let gateway = Gateway::start(&config).await;
    let endpoint = theirs.base_url();
    for name in ["x-azgate-azure-endpoint", "x-bf-azure-endpoint"] {
        for credential in ["api-key", "x-api-key"] {
            let headers = [(credential, "their-key"), (name, endpoint.as_str())];
            let answer = send(
                gateway.address,
                http::Method::POST,
                "/v1/chat/completions",
                &headers,
                chat_body("Hi").to_string(),
            )
            .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let mut body = chat_body("Hi");
    body["endpoint"] = json!(endpoint);
    let answer = send(
        gateway.address,
        http::Method::POST,
        "/v1/chat/completions",
        &[("authorization", "Bearer their-key")],
        body.to_string(),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        theirs.recorded().iter().all(|seen| seen.api_key_seen.as_deref() == Some("their-key")
            && !seen.body.as_deref().unwrap().contains("endpoint"))
    );
    assert!(azure.recorded().is_empty());
}

#[tokio::test]
async fn whoever_mixes_keys_and_endpoints_is_refused() {
    let azure = azure().await;
    let theirs = azure_with(Settings { keys: vec!["their-key".into()], ..Settings::default() }).await;
    let endpoint = theirs.base_url();
    let mut config = config(&azure.base_url());
    config["client"]["allow_direct_keys"] = json!(true);
    config["client"]["direct_endpoints"] = json!([endpoint]);
    let gateway = Gateway::start(&config).await;
    let mut body = chat_body("Hi");
    body["endpoint"] = json!(endpoint);
    let wrong = send(
        gateway.address,
        http::Method::POST,
        "/v1/chat/completions",
        &[("api-key", "wrong"), ("x-azgate-azure-endpoint", &endpoint)],
        chat_body("Hi").to_string(),
    )
    .await;
    assert_eq!(wrong.status, 401, "their own key, so the upstream's own answer");
    let nowhere = send(
        gateway.address,
        http::Method::POST,
        "/v1/chat/completions",
        &[("api-key", "their-key")],
        chat_body("Hi").to_string(),
    )
    .await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (400, "missing_endpoint"));
    let stolen = gateway
        .post("/v1/chat/completions", &[("x-azgate-azure-endpoint", &endpoint)], chat_body("Hi").to_string())
        .await;
    assert_eq!(
        (stolen.status, stolen.code().as_str()),
        (403, "endpoint_not_allowed"),
        "a virtual key goes nowhere of the caller's choice"
    );
    let stolen = gateway.chat(&body).await;
    assert_eq!((stolen.status, stolen.code().as_str()), (403, "endpoint_not_allowed"));
}

#[tokio::test]
async fn direct_keys_are_off_unless_switched_on() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let headers = [("api-key", "their-key"), ("x-azgate-azure-endpoint", "https://acme.openai.azure.com")];
    let answer =
        send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, chat_body("Hi").to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_api_key"));
}

/// TRAPS 62: every disguise of an inner address, through every field in which a caller can name one.
#[tokio::test]
async fn traps_62_no_disguise_of_an_address_is_ever_connected_to() {
    let azure = azure().await;
    let (port, touched) = canary().await;
    let mut config = config(&azure.base_url());
    config["client"]["allow_direct_keys"] = json!(true);
    let gateway = Gateway::start(&config).await;
    let mut refused = 0;
    for endpoint in endpoints(port) {
        for place in ["x-azgate-azure-endpoint", "x-bf-azure-endpoint", "body"] {
            let mut body = chat_body("Hi");
            let mut headers = vec![("api-key", "their-key")];
            if place == "body" {
                body["endpoint"] = json!(endpoint);
            } else if http::HeaderValue::from_str(&endpoint).is_ok() {
                headers.push((place, &endpoint));
            } else {
                continue;
            }
            let answer =
                send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body.to_string()).await;
            assert!(matches!(answer.status, 400 | 403), "{endpoint} by {place}: {} {}", answer.status, answer.text());
            refused += 1;
        }
    }
    assert!(refused > 500, "{refused}");
    assert_eq!(touched.load(Ordering::SeqCst), 0, "the canary was touched");
    assert!(azure.recorded().is_empty());
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn endpoints(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "127.127.127.127",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00::1]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "foo.localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.169.254.",
        "[::ffff:169.254.169.254]",
        "168.63.129.16",
        "100.64.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "metadata.google.internal",
        "metadata",
        "instance-data",
        "127.0.0.1.nip.io",
        "localtest.me",
        "spoofed.burpcollaborator.net",
        "acme.openai.azure.com.evil.example",
        "evil-openai.azure.com",
        "openai.azure.com",
        ".openai.azure.com",
        "acme..openai.azure.com",
        "a.b.openai.azure.com",
        "openai.azure.com.evil.example",
        "acme.openai.azure.com@127.0.0.1",
        "127.0.0.1#.openai.azure.com",
        "127.0.0.1?.openai.azure.com",
        "127.0.0.1/.openai.azure.com",
        "127.0.0.1\\.openai.azure.com",
        "127.0.0.1%2f.openai.azure.com",
        "127.0.0.1%00.openai.azure.com",
        "127.0.0.1;.openai.azure.com",
        "user:pass@acme.openai.azure.com",
        "acme.openai.azure.com:80@127.0.0.1",
        "①②⑦.⓪.⓪.①",
        "１２７.０.０.１",
        "127。0。0。1",
        "acme.openai.azure。com.evil.example",
        "xn--fiqs8s.openai.azure.com.evil.example",
        "acme.ｏｐｅｎａｉ.azure.com.evil",
        "acme.openai.azure.com\t.evil.example",
        "acme.openai.azure.com\u{200b}.evil.example",
        "acme.openai.azure.co",
        "acme.openai.azure.comx",
        "xacme.openai.azurexcom",
        "*.openai.azure.com",
        "%2a.openai.azure.com",
    ];
    let mut all = Vec::new();
    for host in hosts {
        for form in [
            "https://{}:{p}",
            "http://{}:{p}",
            "{}:{p}",
            "//{}:{p}",
            "https:{}:{p}",
            "https:///{}:{p}",
            "ftp://{}:{p}",
            "gopher://{}:{p}",
        ] {
            all.push(form.replace("{}", host).replace("{p}", &port.to_string()));
        }
    }
    for odd in [
        "",
        " ",
        "https://",
        "http://",
        "file:///etc/passwd",
        "unix:/run/x",
        "javascript:alert(1)",
        "https://acme.openai.azure.com/path",
        "https://acme.openai.azure.com?x",
        "https://acme.openai.azure.com#x",
        "https://acme.openai.azure.com:99999",
        "https://acme.openai.azure.com:8443",
        "http://acme.openai.azure.com",
        "https://acme.openai.azure.com\r\nhost: x",
    ] {
        all.push(odd.to_owned());
    }
    all
}
