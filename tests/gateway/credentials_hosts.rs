//! Identities that a host offers: in its environment, of its cluster, as a virtual machine, in App Service, under Azure Arc.

use std::time::Duration;

use azgate::simulator::identity::{Application, IdentitySettings};
use azgate::simulator::{Running, Settings};
use serde_json::{Value, json};

use crate::credentials::{data_plane, issuing, principal};
use crate::support::*;

/// A key that names no credential.
fn bare(azure: &Running) -> Value {
    let mut config = principal(azure);
    let entra = &mut config["providers"]["azure"]["keys"][0]["azure_key_config"];
    for name in ["tenant_id", "client_id", "client_secret"] {
        entra.as_object_mut().unwrap().remove(name);
    }
    config
}

/// Who the token of the last request belongs to.
async fn served_as(azure: &Running, config: &Value, variables: &[(&str, &str)]) -> String {
    let gateway = Gateway::start_with(config, variables).await;
    let answer = gateway.chat(&chat_body("hello")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = data_plane(azure);
    let shown = sent.last().unwrap().headers.iter().find(|(name, _)| name == "authorization").expect("a token");
    azure.identity().read(shown.1.strip_prefix("Bearer ").unwrap()).unwrap().appid
}

#[tokio::test]
async fn a_virtual_machine_gives_the_systems_identity_or_an_assigned_one() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let base = azure.base_url();
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", base.as_str())];
    assert_eq!(served_as(&azure, &bare(&azure), &variables).await, "sim-system-assigned");
    let mut assigned = bare(&azure);
    assigned["providers"]["azure"]["keys"][0]["azure_key_config"]["managed_identity_client_id"] =
        json!("sim-user-assigned");
    assert_eq!(served_as(&azure, &assigned, &variables).await, "sim-user-assigned");
}

#[tokio::test]
async fn app_service_gives_an_identity_to_whoever_knows_its_header() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let endpoint = format!("{}/msi/token", azure.base_url());
    let variables = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "sim-identity-header")];
    assert_eq!(served_as(&azure, &bare(&azure), &variables).await, "sim-system-assigned");
}

#[tokio::test]
async fn azure_arc_wants_to_see_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let identity = IdentitySettings { arc_directory: Some(directory.path().to_owned()), ..IdentitySettings::default() };
    let azure = azure_with(Settings { identity, ..Settings::default() }).await;
    let endpoint = format!("{}/arc/metadata/identity/oauth2/token", azure.base_url());
    let imds = azure.base_url();
    let shown = directory.path().display().to_string();
    let variables =
        [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IMDS_ENDPOINT", &imds), ("AZGATE_ARC_KEY_DIRECTORY", &shown)];
    assert_eq!(served_as(&azure, &bare(&azure), &variables).await, "sim-system-assigned");
    // A file elsewhere is not read, whoever asks for it.
    let elsewhere = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IMDS_ENDPOINT", imds.as_str())];
    let gateway = Gateway::start_unready(&bare(&azure), &elsewhere).await;
    wait_until("the refusal", || gateway.log().contains("a file outside of `/var/opt/azcmagent/tokens`")).await;
}

#[tokio::test]
async fn the_environment_and_the_cluster_go_before_the_machine() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let base = azure.base_url();
    let of_machine = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", base.as_str());
    let tenant = ("AZURE_TENANT_ID", "sim-tenant");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "token-of-the-cluster").unwrap();
    azure.identity().register(Application::new("workload").federated("token-of-the-cluster"));
    let path = file.path().display().to_string();
    let of_cluster = ("AZURE_FEDERATED_TOKEN_FILE", path.as_str());
    let workload = [of_machine, tenant, of_cluster, ("AZURE_CLIENT_ID", "workload")];
    assert_eq!(served_as(&azure, &bare(&azure), &workload).await, "workload");
    let principal =
        [of_machine, tenant, of_cluster, ("AZURE_CLIENT_ID", "sim-client"), ("AZURE_CLIENT_SECRET", "sim-secret")];
    assert_eq!(served_as(&azure, &bare(&azure), &principal).await, "sim-client");
    // The environment names the authority where the configuration leaves the public cloud's.
    let mut elsewhere = bare(&azure);
    elsewhere["providers"]["azure"]["keys"][0]["azure_key_config"].as_object_mut().unwrap().remove("authority_host");
    let named = [tenant, principal[3], principal[4], ("AZURE_AUTHORITY_HOST", base.as_str())];
    assert_eq!(served_as(&azure, &elsewhere, &named).await, "sim-client");
}

#[tokio::test]
async fn traps_56_half_a_principal_in_the_environment_is_no_reason_to_use_another_identity() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let base = azure.base_url();
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", base.as_str()), ("AZURE_CLIENT_SECRET", "sim-secret")];
    let gateway = Gateway::start_unready(&bare(&azure), &variables).await;
    wait_until("the complaint", || gateway.log().contains("but `AZURE_TENANT_ID` is not; set it too")).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.code(), "credential_unavailable");
    assert_eq!(azure.stats().tokens_asked, 0);
}
