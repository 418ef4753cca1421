//! The login of Azure CLI, and where the name of whoever issues tokens is looked up.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::credentials::{data_plane, issuing, principal};
use crate::name_server::{Manner, NameServer};
use crate::support::*;

/// A program named `az` in a directory of its own.
fn azure_cli(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("az");
    std::fs::write(&path, format!("#!/bin/sh\necho \"$*\" >> {0}/calls\n{script}\n", directory.path().display()))
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[tokio::test]
async fn a_developers_login_serves_with_one_call_of_azure_cli() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let form = "grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret\
                &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = "/sim-tenant/oauth2/v2.0/token";
    let token = send(azure.addr(), http::Method::POST, path, &headers, form).await.json()["access_token"].clone();
    let ends = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3_000;
    let answer = json!({"accessToken": token, "expires_on": ends, "tokenType": "Bearer", "tenant": "sim-tenant"});
    let cli = azure_cli(&format!("echo '{answer}'"));
    let variable = format!("{}:/usr/bin:/bin", cli.path().display());
    let gateway = Gateway::start_with(&developer(&azure.base_url()), &[("PATH", &variable)]).await;
    for _ in 0..5 {
        assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    }
    let calls = std::fs::read_to_string(cli.path().join("calls")).unwrap();
    assert_eq!(calls, "account get-access-token -o json --scope https://cognitiveservices.azure.com/.default\n");
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    let sent = data_plane(&azure);
    assert!(sent.last().unwrap().headers.contains(&("authorization".to_owned(), bearer)), "{sent:?}");
    let left = gateway.metric("azgate_token_expiry_seconds", &["key=\"east\""]).await;
    assert!((2_900.0..=3_000.0).contains(&left), "{left}: as the tool has told");
    assert!(!gateway.log().contains(token.as_str().unwrap()));
}

#[tokio::test]
async fn a_developer_without_a_login_reads_in_the_tools_own_words_what_to_do() {
    let azure = azure().await;
    let cli = azure_cli("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
    let variable = format!("{}:/usr/bin:/bin", cli.path().display());
    let gateway = Gateway::start_unready(&developer(&azure.base_url()), &[("PATH", &variable)]).await;
    wait_until("its words", || gateway.log().contains("Please run 'az login'")).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.code(), "credential_unavailable");
    // Where the tool is missing, that is said too.
    let gateway = Gateway::start_unready(&developer(&azure.base_url()), &[("PATH", "/nowhere")]).await;
    wait_until("a failure", || gateway.log().contains("login of Azure CLI got no token")).await;
}

/// A key that relies on the login of Azure CLI.
fn developer(azure: &str) -> Value {
    let mut config = config(azure);
    let key = &mut config["providers"]["azure"]["keys"][0];
    key.as_object_mut().unwrap().remove("value");
    key["azure_key_config"]["azure_cli_login"] = json!(true);
    config
}

/// TLS for a name of its own in front of a simulator; where it listens, and the certificate.
async fn encrypted(name: &str, azure: SocketAddr) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let address = upstream(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut inside) = acceptor.accept(stream).await else { return };
            let mut outside = TcpStream::connect(azure).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        }
    });
    (address.await, made.cert.pem())
}

#[tokio::test]
async fn whoever_issues_tokens_is_found_by_the_configured_name_servers_and_through_their_outage() {
    let azure = issuing(Duration::from_secs(3)).await;
    let (issuer, certificate) = encrypted("issuer.test", azure.addr()).await;
    let names = NameServer::start(Manner::Addresses(vec![issuer.ip()], 1)).await;
    let mut config = principal(&azure);
    config["server"]["dns"] = json!({"servers": [names.address.to_string()]});
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": certificate});
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["authority_host"] =
        json!(format!("https://issuer.test:{}", issuer.port()));
    let gateway = Gateway::start(&config).await;
    assert!(names.asked() > 0, "the system's resolver was asked instead");
    names.answers(Manner::ServerFailure);
    let issued = azure.stats().tokens_issued;
    wait_until("tokens without a name server", || azure.stats().tokens_issued > issued + 1).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    assert!(!gateway.log().contains("got no token"), "{}", gateway.log());
}
