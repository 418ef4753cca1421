//! `azgate check --online` goes to the token step by step, in the identity platform's own words.

use std::time::Duration;

use azgate::simulator::Settings;
use serde_json::{Value, json};

use crate::credentials::{issuing, principal};
use crate::support::*;

/// Runs the check; whether it is content, and its answer.
async fn check(config: &Value, variables: &[(&str, &str)]) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("azgate.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_azgate"))
        .args(["check", "--online", "--config"])
        .arg(&path)
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("sim-secret") && !said.contains("eyJ"), "{said}");
    (output.status.success(), said)
}

#[tokio::test]
async fn each_step_to_a_token_is_told() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let good = principal(&azure);
    let (content, said) = check(&good, &[]).await;
    assert!(content, "{said}");
    assert!(said.contains("service principal `sim-client` with a secret") && said.contains("good for 3"), "{said}");
    assert!(said.contains("the credential is accepted"), "{said}");
    let entra = |name: &str, value: Value| {
        let mut config = good.clone();
        config["providers"]["azure"]["keys"][0]["azure_key_config"][name] = value;
        config
    };
    for (config, words) in [
        (entra("client_secret", json!("wrong")), "AADSTS7000215: Invalid client secret provided."),
        (entra("tenant_id", json!("nowhere")), "AADSTS90002: Tenant 'nowhere' not found."),
        (entra("client_id", json!("nobody")), "AADSTS700016: Application with identifier 'nobody'"),
        (entra("authority_host", json!("http://127.0.0.1:1")), "127.0.0.1:1 cannot be reached"),
        (entra("scopes", json!(["https://management.azure.com/.default"])), "audience is incorrect"),
    ] {
        let (content, said) = check(&config, &[]).await;
        assert!(!content && said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn the_token_endpoint_is_trusted_by_the_keys_certificates_or_the_systems() {
    let azure = azure_with(Settings { tls: true, ..Settings::default() }).await;
    let mut config = principal(&azure);
    let (content, said) = check(&config, &[]).await;
    assert!(!content && said.contains("cannot be reached: invalid peer certificate"), "{said}");
    let pem = azure.certificate_pem().unwrap().to_owned();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &pem).unwrap();
    let (_, said) = check(&config, &[("SSL_CERT_FILE", &file.path().display().to_string())]).await;
    assert!(said.contains("good for 3"), "{said}");
    config["providers"]["azure"]["network_config"]["ca_cert_pem"] = json!(pem);
    let (content, said) = check(&config, &[]).await;
    assert!(content, "{said}");
}
