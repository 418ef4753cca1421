//! What proves who asks for a token, and what the token is for. Equal identities share one cache.

use std::sync::Arc;

use super::certificate::Certificate;
use crate::base::{Endpoint, Secret};

/// Everything that tells one token from another.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub method: Method,
    /// Where tokens are issued, for all methods that ask Entra itself.
    pub authority: Endpoint,
    pub scopes: Vec<String>,
    /// Certificates, as PEM, that are trusted besides the system's.
    pub trusted: Option<String>,
    /// Fraction of a token's life after which it is refreshed in the background, and a random part later.
    pub refresh_after: f64,
}

/// How the asker proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    Secret(Principal, Secret),
    Certificate(Principal, Arc<Certificate>),
    /// What the host offers: a service principal or a workload identity in the environment, else its managed identity;
    /// the one assigned by the system, or the user-assigned one of this client id.
    Host {
        client: Option<String>,
    },
    /// The login of Azure CLI on a developer's machine.
    Cli,
}

/// An application and the directory it lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub tenant: String,
    pub client: String,
}

impl Identity {
    /// For operators: which identity this is. Holds no secret.
    pub fn shown(&self) -> String {
        match &self.method {
            Method::Secret(principal, _) => format!("service principal `{}` with a secret", principal.client),
            Method::Certificate(principal, _) => format!("service principal `{}` with a certificate", principal.client),
            Method::Host { client: Some(client) } => format!("managed identity `{client}`"),
            Method::Host { client: None } => "identity of the host".to_owned(),
            Method::Cli => "login of Azure CLI".to_owned(),
        }
    }
}
