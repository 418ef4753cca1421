//! One provider key: its credential, address and aliases.

use http::HeaderValue;

use super::{
    headers,
    names::{check_globs, is_printable},
    providers::check_base,
};
use crate::azure::credential::Certificate;
use crate::config::{
    file::{Alias, AzureKeyConfig, Key, ProviderKind},
    read::Place,
};

/// Largest weight: far beyond use, and sums of weights stay exact.
const HEAVIEST: f64 = 1e6;

pub fn check(key: &Key, kind: ProviderKind, place: &Place<'_>) {
    if !(0.0..=HEAVIEST).contains(&key.weight) {
        place.member("weight").error("this weight is out of range; expected a number from 0 to 1000000");
    }
    check_globs(&key.models, &place.member("models"));
    check_globs(&key.blacklisted_models, &place.member("blacklisted_models"));
    headers::check_added(&key.headers, &place.member("headers"));
    check_aliases(key, &place.member("aliases"));
    check_value(key, kind, &place.member("value"));
    let azure = place.member("azure_key_config");
    match (&key.azure_key_config, kind) {
        (Some(config), ProviderKind::Azure) => check_azure(config, &azure),
        (None, ProviderKind::Azure) => missing_endpoint(&azure),
        (Some(_), _) => {
            azure.error("this belongs to keys of Azure; remove it, or set the provider's `type` to `azure`")
        }
        (None, _) => {}
    }
}

fn check_value(key: &Key, kind: ProviderKind, place: &Place<'_>) {
    match &key.value {
        Some(_) if has_principal(key) => {
            place.warn("the service principal goes first, so that this API key is never used; remove one of the two");
        }
        Some(value) if HeaderValue::from_str(value.expose()).is_err() => {
            place.error("this key cannot stand in a header; check it for line breaks and other stray characters");
        }
        None if matches!(kind, ProviderKind::Openai | ProviderKind::Anthropic) => {
            place.error("the API key is missing; add `value`, such as `env.OPENAI_API_KEY`");
        }
        None if place.text() == Some("") && kind == ProviderKind::Azure && !has_principal(key) => {
            place.warn("the API key is empty, so that the managed identity of the host is used; leave the field out");
        }
        _ => {}
    }
}

fn has_principal(key: &Key) -> bool {
    key.azure_key_config
        .as_ref()
        .is_some_and(|azure| azure.client_secret.is_some() || azure.client_certificate.is_some())
}

fn missing_endpoint(azure: &Place<'_>) {
    azure
        .member("endpoint")
        .error("the address of the Azure resource is missing; add `endpoint`, such as `env.AZURE_ENDPOINT`");
}

fn check_azure(config: &AzureKeyConfig, place: &Place<'_>) {
    match &config.endpoint {
        None => missing_endpoint(place),
        Some(endpoint) => check_base(endpoint, &place.member("endpoint")),
    }
    check_principal(config, place);
    if !config.authority_host.base_path.is_empty() {
        place.member("authority_host").error("this address has a path; leave it out, the tenant stands in `tenant_id`");
    }
    if !(0.1..=0.9).contains(&config.token_refresh_after) {
        place.member("token_refresh_after").error("this part is out of range; expected a number from 0.1 to 0.9");
    }
    for (index, scope) in config.scopes.iter().enumerate() {
        if !is_printable(scope) || scope.contains(' ') {
            let place = place.member("scopes").element(index);
            place.error("this is no scope; write one such as `https://cognitiveservices.azure.com/.default`");
        }
    }
    let identifiers = [
        ("tenant_id", &config.tenant_id),
        ("client_id", &config.client_id),
        ("managed_identity_client_id", &config.managed_identity_client_id),
    ];
    for (name, identifier) in identifiers {
        if identifier
            .as_ref()
            .is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)))
        {
            place.member(name).error("this is no identifier of Entra; expected a GUID, or a domain for the tenant");
        }
    }
    let deployments = place.member("deployments");
    for (name, deployment) in config.deployments.iter() {
        if deployment.is_empty() {
            deployments.member(name).error("the deployment is empty; name it as it is named on Azure");
        }
    }
}

/// A service principal has three parts. With fewer, another credential would be used without a word.
fn check_principal(config: &AzureKeyConfig, place: &Place<'_>) {
    let certificate = config.client_certificate.as_ref().map(|pem| Certificate::parse(pem.expose()));
    match (&config.client_secret, certificate) {
        (Some(_), Some(_)) => {
            place.member("client_certificate").error("there is a `client_secret` as well; remove one of the two");
        }
        (None, Some(Err(why))) => {
            let place = place.member("client_certificate");
            place.error(format!("{why}; put the certificate and its RSA key into one PEM text"));
        }
        _ => {}
    }
    let parts = [
        ("tenant_id", config.tenant_id.is_some()),
        ("client_id", config.client_id.is_some()),
        ("client_secret", config.client_secret.is_some() || config.client_certificate.is_some()),
    ];
    if parts.iter().all(|(_, there)| !there) {
        return;
    }
    for (name, _) in parts.iter().filter(|(_, there)| !there) {
        place.member(name).error(format!("`{name}` of the service principal is missing; set all of `tenant_id`, `client_id` and `client_secret`, or none"));
    }
}

fn check_aliases(key: &Key, place: &Place<'_>) {
    let mut seen = std::collections::HashMap::new();
    for (name, alias) in key.aliases.iter() {
        let place = place.member(name);
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            place.error("this name is empty or has spaces in it; write it as callers do");
        }
        if let Some(first) = seen.insert(name.to_lowercase(), place.position()) {
            place.error(format!("the alias at {first} is the same but for case; remove one of them"));
        }
        check_alias(alias, &place);
    }
}

fn check_alias(alias: &Alias, place: &Place<'_>) {
    let model = if place.text().is_some() { place.clone() } else { place.member("model_id") };
    let id = &alias.model_id;
    if id.trim().is_empty() {
        model.error("the deployment is missing; name it as it is named on Azure");
    } else if id.trim() != id || id.chars().any(char::is_control) {
        model.error("the deployment's name has spaces around it or control characters in it; remove them");
    }
    if let Some(endpoint) = alias.azure.as_ref().and_then(|azure| azure.endpoint.as_ref()) {
        check_base(endpoint, &place.member("azure").member("endpoint"));
    }
}
