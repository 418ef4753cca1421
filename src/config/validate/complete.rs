//! Fills in what the file leaves to be concluded. Reports nothing.

use crate::{
    base::Endpoint,
    config::file::{Alias, AzureKeyConfig, File, Key, ProviderKind},
};

/// Completes a decoded file, whether or not it is sound.
pub fn complete(file: &mut File) {
    for (name, provider) in file.providers.iter_mut() {
        let custom = provider.custom_provider_config.as_ref().and_then(|custom| custom.base_provider_type);
        let custom =
            custom.map(|kind| if kind == ProviderKind::Openai { ProviderKind::OpenaiCompatible } else { kind });
        provider.kind = provider.kind.or(ProviderKind::implied_by(name)).or(custom);
        if provider.network_config.base_url.is_none() {
            provider.network_config.base_url = provider.kind.and_then(own_address);
        }
        provider.keys.iter_mut().for_each(complete_key);
    }
}

/// Where the services live that have one address for everybody.
fn own_address(kind: ProviderKind) -> Option<Endpoint> {
    match kind {
        ProviderKind::Openai => Some(Endpoint::https("api.openai.com")),
        ProviderKind::Anthropic => Some(Endpoint::https("api.anthropic.com")),
        ProviderKind::Azure | ProviderKind::OpenaiCompatible => None,
    }
}

fn complete_key(key: &mut Key) {
    let Some(azure) = &mut key.azure_key_config else { return };
    for (name, deployment) in azure.deployments.iter() {
        if !key.aliases.names().any(|alias| alias.eq_ignore_ascii_case(name)) {
            key.aliases.push(name, Alias { model_id: deployment.to_owned(), ..Alias::default() });
        }
    }
    azure.scopes.retain(|scope| !scope.trim().is_empty());
    if azure.scopes.is_empty() {
        azure.scopes = AzureKeyConfig::default().scopes;
    }
}
