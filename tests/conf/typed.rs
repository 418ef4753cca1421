//! What a sound file means: references followed, addresses in one form, defaults, order.

use std::time::Duration;

use azgate::config::file::{ApiVersion, Family, File, KeyHash, ProviderKind, UpstreamApi};

use crate::surroundings::Surroundings;

fn file(text: &str) -> File {
    let surroundings = Surroundings::azure()
        .variable("CREDENTIALS_DIRECTORY", "/run/credentials/azgate")
        .file("/run/credentials/azgate/key", "from-credential\n")
        .file("/etc/key", "from-file\r\n");
    surroundings.parse(text).map(|loaded| loaded.file).unwrap_or_else(|problems| panic!("{problems}"))
}

fn with_keys(keys: &str) -> File {
    file(&format!(r#"{{"providers": {{"azure": {{"keys": [{keys}]}}}}}}"#))
}

#[test]
fn references_lead_to_variables_files_and_credentials() {
    let file = with_keys(
        r#"{"name": "a", "value": "env.AZURE_API_KEY", "azure_key_config": {"endpoint": "env.AZURE_ENDPOINT"}},
           {"name": "b", "value": "file./etc/key", "azure_key_config": {"endpoint": "acme-west"}},
           {"name": "c", "value": "cred.key", "azure_key_config": {"endpoint": "https://ACME.openai.azure.com/"}},
           {"name": "d", "value": "plain", "azure_key_config": {"endpoint": "http://127.0.0.1:9000/base/"}}"#,
    );
    let keys = &file.providers.get("azure").unwrap().keys;
    let values: Vec<&str> = keys.iter().map(|key| key.value.as_ref().unwrap().expose()).collect();
    assert_eq!(values, ["azure-secret", "from-file", "from-credential", "plain"]);
    let endpoint = |index: usize| keys[index].azure_key_config.as_ref().unwrap().endpoint.as_ref().unwrap().to_string();
    assert_eq!(endpoint(0), "https://acme.openai.azure.com");
    assert_eq!(endpoint(1), "https://acme-west.openai.azure.com");
    assert_eq!(endpoint(2), "https://acme.openai.azure.com");
    assert_eq!(endpoint(3), "http://127.0.0.1:9000/base");
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let file = with_keys(
        r#"{"name": "a", "value": "secret-1", "headers": {"x-key": "secret-2"}, "azure_key_config": {"endpoint": "acme",
            "tenant_id": "t", "client_id": "c", "client_secret": "secret-3"}}"#,
    );
    let printed = format!("{file:?} {}", serde_json::to_string(&file).unwrap());
    assert!(printed.contains("acme") && !printed.contains("secret-"), "{printed}");
}

#[test]
fn what_is_left_out_has_its_default() {
    let file = with_keys(r#"{"name": "a", "azure_key_config": {"endpoint": "acme"}}"#);
    let provider = file.providers.get("azure").unwrap();
    let key = &provider.keys[0];
    assert!(key.enabled && key.models.matches("anything") && key.weight == 1.0 && key.value.is_none());
    assert_eq!(key.azure_key_config.as_ref().unwrap().api_version, ApiVersion::Dated("2024-10-21".to_owned()));
    assert_eq!(provider.kind(), ProviderKind::Azure);
    assert_eq!(provider.network_config.connect_timeout_in_seconds, Duration::from_secs(5));
    assert_eq!(provider.network_config.retry_backoff_initial, Duration::from_millis(100));
    assert_eq!(file.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(file.client.direct_endpoints.len(), 3);
    assert!(file.client.enforce_auth_on_inference && !file.client.allow_direct_keys);
}

#[test]
fn aliases_are_texts_or_objects_and_keep_their_order() {
    let file = with_keys(
        r#"{"name": "a", "azure_key_config": {"endpoint": "acme", "deployments": {"old": "old-d", "B": "lost"}}, "aliases": {
            "z": "z-d", "b": {"model_id": "b-d", "model_family": "anthropic"}, "a": {"model_id": "a-d", "api": "chat"}}}"#,
    );
    let aliases = &file.providers.get("azure").unwrap().keys[0].aliases;
    let found: Vec<(&str, &str)> = aliases.iter().map(|(name, alias)| (name, alias.model_id.as_str())).collect();
    assert_eq!(found, [("z", "z-d"), ("b", "b-d"), ("a", "a-d"), ("old", "old-d")]);
    assert_eq!(aliases.get("b").unwrap().model_family, Some(Family::Anthropic));
    assert_eq!(aliases.get("a").unwrap().api, Some(UpstreamApi::Chat));
}

#[test]
fn types_and_addresses_follow_from_names() {
    let file = file(
        r#"{"providers": {
            "openai": {"keys": [{"name": "o", "value": "k"}]},
            "anthropic": {"keys": [{"name": "a", "value": "k"}]},
            "groq": {"custom_provider_config": {"base_provider_type": "openai"},
                     "network_config": {"base_url": "https://api.groq.com/openai"}},
            "europe": {"type": "azure", "keys": [{"name": "e", "azure_key_config": {"endpoint": "acme", "api_version": "v1"}}]}}}"#,
    );
    let found: Vec<(&str, ProviderKind, Option<String>)> = file
        .providers
        .iter()
        .map(|(name, provider)| {
            (name, provider.kind(), provider.network_config.base_url.as_ref().map(ToString::to_string))
        })
        .collect();
    let expected = [
        ("openai", ProviderKind::Openai, Some("https://api.openai.com".to_owned())),
        ("anthropic", ProviderKind::Anthropic, Some("https://api.anthropic.com".to_owned())),
        ("groq", ProviderKind::OpenaiCompatible, Some("https://api.groq.com/openai".to_owned())),
        ("europe", ProviderKind::Azure, None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn times_may_have_fractions_and_units() {
    let file = file(
        r#"{"providers": {"azure": {"keys": [{"name": "a", "azure_key_config": {"endpoint": "acme"}}], "network_config": {
            "first_byte_timeout_in_seconds": 0.25, "retry_backoff_initial": 250.5, "retry_backoff_max": "1.5s"}}}}"#,
    );
    let network = &file.providers.get("azure").unwrap().network_config;
    assert_eq!(network.first_byte_timeout_in_seconds, Duration::from_millis(250));
    assert_eq!(network.retry_backoff_initial, Duration::from_micros(250_500));
    assert_eq!(network.retry_backoff_max, Duration::from_millis(1500));
}

#[test]
fn a_virtual_key_is_known_by_its_hash_however_it_is_given() {
    let hash = KeyHash::of("azure-secret").to_string().to_uppercase();
    let file = file(&format!(
        r#"{{"providers": {{"azure": {{"keys": [{{"name": "a", "azure_key_config": {{"endpoint": "acme"}}}}]}}}},
            "governance": {{"virtual_keys": [
              {{"name": "by-hash", "key_hash": "{hash}", "allowed_networks": ["10.0.0.7/8", "::1"],
                "expires_at": "2027-01-01T01:00:00+01:00"}},
              {{"name": "by-value", "value": "cred.key"}}]}}}}"#
    ));
    let keys = &file.governance.virtual_keys;
    assert_eq!(keys[0].hash(), Some(KeyHash::of("azure-secret")));
    assert_eq!(keys[1].hash(), Some(KeyHash::of("from-credential")));
    assert_eq!(keys[0].expires_at.unwrap().to_string(), "2027-01-01T00:00:00Z");
    let networks: Vec<String> = keys[0].allowed_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
}
