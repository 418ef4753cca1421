//! What the simulated tenant knows of an application: the credentials that prove it.

use serde::{Deserialize, Serialize};

/// An application that may ask for tokens.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Application {
    pub id: String,
    pub secrets: Vec<String>,
    /// Certificates as PEM; a signed assertion may come from any of them.
    pub certificates: Vec<String>,
    /// Assertions of other issuers that are trusted as they stand (workload identity).
    pub federated: Vec<String>,
}

impl Application {
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    pub fn certificate(mut self, pem: impl Into<String>) -> Self {
        self.certificates.push(pem.into());
        self
    }

    pub fn federated(mut self, assertion: impl Into<String>) -> Self {
        self.federated.push(assertion.into());
        self
    }
}
