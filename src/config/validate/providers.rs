//! Section `providers`: names, types, addresses, and the keys of each as a whole.

use super::{
    headers, keys,
    listeners::check_pem,
    names::{Names, is_printable},
};
use crate::{
    base::Endpoint,
    config::{
        file::{File, Key, NetworkConfig, Provider, ProviderKind},
        read::Place,
    },
    upstream,
};

/// Ends of Azure's addresses that the gateway adds itself, longest first.
const ADDED: [&str; 5] = ["/openai/v1", "/anthropic/v1", "/v1", "/anthropic", "/openai"];

pub fn check(file: &File, place: &Place<'_>) {
    if file.providers.is_empty() && !place.has_gaps() {
        let state = if place.is_present() { "there is no provider" } else { "this section is missing" };
        place.error(format!("{state}; name at least one provider, such as `azure`, with its keys"));
    }
    let mut names = Names::of("key");
    for (index, (name, provider)) in file.providers.iter().enumerate() {
        let place = place.member(name);
        check_name(name, file.providers.names().take(index), &place);
        check_provider(name, provider, &place);
        let keys = place.member("keys");
        if provider.keys.is_empty()
            && provider.kind() != ProviderKind::OpenaiCompatible
            && !file.client.allow_direct_keys
        {
            keys.warn("there is no key, so that every request for this provider fails; add one");
        }
        for (index, key) in provider.keys.iter().enumerate() {
            names.take(&key.name, &keys.element(index).member("name"));
            keys::check(key, provider.kind(), &keys.element(index));
        }
        check_weights(&provider.keys, &keys);
    }
}

/// Checks that an address on Azure does not end in what is appended to it.
pub fn check_base(endpoint: &Endpoint, place: &Place<'_>) {
    let path = endpoint.base_path.to_ascii_lowercase();
    if let Some(end) = ADDED.into_iter().find(|end| path.ends_with(end)) {
        place.error(format!("the address ends in `{end}`; leave that out, the gateway adds it"));
    } else if path.contains("/deployments") {
        place.error("the address names a deployment; end it before `/openai/deployments`");
    }
}

/// Whether somebody pasted the address of one operation in the place of the service's.
fn ends_in_an_operation(endpoint: &Endpoint) -> bool {
    let path = endpoint.base_path.to_ascii_lowercase();
    ["/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/models"]
        .into_iter()
        .any(|operation| path.ends_with(operation))
}

fn check_name<'a>(name: &str, mut earlier: impl Iterator<Item = &'a str>, place: &Place<'_>) {
    if name.is_empty() || !is_printable(name) || name.contains(['/', ' ', '*']) {
        place.error(
            "a provider's name stands in front of a model, as in `azure/gpt-4o`; use letters, digits and hyphens",
        );
    }
    if earlier.any(|earlier| earlier.eq_ignore_ascii_case(name)) {
        place.error("another provider has this name too; provider names differ in more than case");
    }
}

fn check_provider(name: &str, provider: &Provider, place: &Place<'_>) {
    let kind = place.member("type");
    match (provider.kind, ProviderKind::implied_by(name)) {
        (None, _) => {
            kind.error("the type is missing; expected `azure`, `openai`, `anthropic` or `openai_compatible`");
            return;
        }
        (Some(given), Some(implied)) if given != implied => {
            kind.error(format!("the name `{name}` implies another type; leave the type out, or rename the provider"));
        }
        _ => {}
    }
    check_network(&provider.network_config, provider.kind(), &place.member("network_config"));
}

fn check_network(network: &NetworkConfig, kind: ProviderKind, place: &Place<'_>) {
    let base_url = place.member("base_url");
    match (&network.base_url, kind) {
        (None, ProviderKind::OpenaiCompatible) => {
            base_url.error("the address of this provider is missing; add `base_url`, such as `http://127.0.0.1:11434`");
        }
        (Some(_), ProviderKind::Azure) => {
            base_url.warn("this is ignored for Azure; the address stands in each key as `azure_key_config.endpoint`");
        }
        (Some(endpoint), _) if ends_in_an_operation(endpoint) => {
            base_url.error("the address names an operation; end it before that, the gateway adds it");
        }
        _ => {}
    }
    headers::check_added(&network.extra_headers, &place.member("extra_headers"));
    if let Some(pem) = &network.ca_cert_pem {
        let place = place.member("ca_cert_pem");
        check_pem(pem, "CERTIFICATE", &place);
        if let Err(why) = upstream::certificates(pem)
            && pem.contains("CERTIFICATE-----")
        {
            place.error(format!("{why}; expected the authority's certificate as `openssl x509` prints it"));
        }
    }
    if network.insecure_skip_verify {
        place
            .member("insecure_skip_verify")
            .warn("anybody on the way can read the credentials; trust `ca_cert_pem` instead");
    }
    let overrides = place.member("beta_header_overrides");
    for prefix in network.beta_header_overrides.names() {
        if prefix.is_empty() || prefix.contains([' ', ',']) || !is_printable(prefix) {
            overrides.member(prefix).error("this is no value of `anthropic-beta`; write the beginning of one");
        }
    }
}

fn check_weights(keys: &[Key], place: &Place<'_>) {
    let mut enabled = keys.iter().filter(|key| key.enabled).peekable();
    if enabled.peek().is_some() && enabled.all(|key| key.weight == 0.0) {
        place.error("no key would ever be chosen, all weights are 0; give at least one a weight above 0");
    }
}
