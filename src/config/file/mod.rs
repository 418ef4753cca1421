//! The configuration file as written: one structure per section, defaults in one `Default` each. The doc comments are
//! the reference that operators read; the schema and the README are generated from them.

mod client;
pub mod form;
mod governance;
mod ignored;
mod key;
mod members;
mod network;
mod pricing;
mod provider;
mod server;
mod stores;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::azure::ApiVersion;
pub use client::Client;
pub use governance::{Budget, Customer, Governance, KeyHash, RateLimit, Team, VirtualKey};
pub use ignored::Ignored;
pub use key::{Alias, AliasAzure, AzureKeyConfig, Family, Key, UpstreamApi};
pub use members::Members;
pub use network::NetworkConfig;
pub use pricing::Price;
pub use provider::{
    Balance, CircuitBreaker, CustomProviderConfig, HealthCheck, HealthCheckKind, Provider, ProviderKind,
};
pub use server::{Admin, Dns, Server, Tls};
pub use stores::{LogsStore, LogsStoreKind, SharedState, SharedStateKind};

/// Configuration of azgate: one JSON file.
///
/// Strings that hold a secret or an address may be references: `env.NAME` (environment variable), `file./path`
/// (contents of a file, without the newline at its end) or `cred.NAME` (systemd credential).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["providers"]))]
pub struct File {
    /// Where editors find the schema of this file. Without effect at run time.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// The process itself: where it listens, limits, shutdown.
    pub server: Server,
    /// What callers may do and see.
    pub client: Client,
    /// Upstreams by name. The names `azure`, `openai` and `anthropic` imply their type. A name in front of a model
    /// (`azure/gpt-4o`) fixes the provider.
    pub providers: Members<Provider>,
    /// Models to try when every key for a model has failed: `provider/model`, or a bare model name, to a list of
    /// `provider/model`, tried in order.
    pub fallbacks: Members<Vec<String>>,
    /// Virtual keys, teams and customers, and what each may use and spend.
    pub governance: Governance,
    /// Prices by model name, in US dollars per million tokens. They override the built-in ones.
    pub pricing: Members<Price>,
    /// Where several gateways share rate limits and budgets. Without it, each gateway counts for itself.
    pub shared_state: Option<SharedState>,
    /// The record of finished requests.
    pub logs_store: LogsStore,
}
