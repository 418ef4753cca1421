//! What a key proves its right with: a service principal, else its API key, else what the host offers.

use std::sync::Arc;

use super::file::{AzureKeyConfig, Key, NetworkConfig};
use crate::azure::credential::{Certificate, Identity, Method, Principal, Tokens};
use crate::base::Dial;
use crate::provider::{Credential, Service};
use crate::snapshot::{Proof, Snapshot};

/// The caches of tokens that are there already: those of the configuration before, and those of keys that went before.
/// Keys with the same identity share one, so that nobody asks twice.
pub struct Caches {
    known: Vec<Arc<Tokens>>,
    /// How new ones reach whoever issues tokens.
    dial: Arc<dyn Dial>,
}

impl Caches {
    pub fn of(old: Option<&Snapshot>, dial: Arc<dyn Dial>) -> Self {
        Self { known: old.map(Snapshot::tokens).unwrap_or_default(), dial }
    }

    fn tokens(&mut self, identity: Identity) -> Arc<Tokens> {
        if let Some(known) = self.known.iter().find(|known| *known.identity() == identity) {
            return Arc::clone(known);
        }
        let fresh = Arc::new(Tokens::new(identity, Arc::clone(&self.dial)));
        self.known.push(Arc::clone(&fresh));
        fresh
    }
}

pub fn proof(key: &Key, network: &NetworkConfig, service: Service, caches: &mut Caches) -> Proof {
    let fixed = key.value.as_ref().and_then(|value| match service {
        Service::OpenAi => Credential::bearer(value.expose()),
        Service::Azure | Service::Anthropic => Credential::api_key(value.expose()),
    });
    if service != Service::Azure {
        return fixed.map_or(Proof::Nothing, Proof::Fixed);
    }
    let azure = key.azure_key_config.clone().unwrap_or_default();
    let method = match (principal(&azure), fixed) {
        (Some(method), _) => method,
        (None, Some(fixed)) => return Proof::Fixed(fixed),
        (None, None) if azure.azure_cli_login => Method::Cli,
        (None, None) => Method::Host { client: azure.managed_identity_client_id.clone() },
    };
    Proof::Token(caches.tokens(Identity {
        method,
        authority: azure.authority_host,
        scopes: azure.scopes,
        trusted: network.ca_cert_pem.clone(),
        refresh_after: azure.token_refresh_after,
    }))
}

/// A service principal that is complete; validation refuses one that is not.
fn principal(azure: &AzureKeyConfig) -> Option<Method> {
    let principal = Principal { tenant: azure.tenant_id.clone()?, client: azure.client_id.clone()? };
    match (&azure.client_secret, &azure.client_certificate) {
        (Some(secret), _) => Some(Method::Secret(principal, secret.clone())),
        (None, Some(pem)) => {
            let certificate = Certificate::parse(pem.expose()).ok()?;
            Some(Method::Certificate(principal, Arc::new(certificate)))
        }
        (None, None) => None,
    }
}
