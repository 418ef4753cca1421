//! Section `providers`: one upstream service, its keys and how they are chosen.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Ignored, Key, NetworkConfig,
    form::{self, Seconds},
};

/// One upstream service and the keys to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    /// What the provider speaks. Implied by the names `azure`, `openai` and `anthropic`; any other name needs it.
    #[serde(rename = "type")]
    pub kind: Option<ProviderKind>,
    /// Credentials, and where each leads. A provider of type `openai_compatible` may do without.
    pub keys: Vec<Key>,
    /// How a key is chosen among those of the best priority.
    pub balance: Balance,
    /// Addresses, timeouts, retries and headers of connections to this provider.
    pub network_config: NetworkConfig,
    /// When a key that keeps failing is left alone for a while.
    pub circuit_breaker: CircuitBreaker,
    /// How endpoints are probed while they are idle. Probes cost no tokens.
    pub health_check: HealthCheck,
    /// Accepted from existing files: its base type is taken for `type` when that is absent.
    #[schemars(extend("deprecated" = true))]
    pub custom_provider_config: Option<CustomProviderConfig>,
    /// Accepted and ignored: requests are not queued per provider.
    pub concurrency_and_buffer_size: Option<Ignored>,
    /// Accepted and ignored: connections go directly to the provider.
    pub proxy_config: Option<Ignored>,
    /// Accepted and ignored.
    pub send_back_raw_request: Option<Ignored>,
    /// Accepted and ignored: answers keep the upstream's own form.
    pub send_back_raw_response: Option<Ignored>,
    /// Accepted and ignored.
    pub store_raw_request_response: Option<Ignored>,
    /// Accepted and ignored: upstream request identifiers are always passed through.
    pub provider_request_id: Option<Ignored>,
    /// Accepted and ignored: cache markers are the caller's own.
    pub prompt_cache: Option<Ignored>,
    /// Accepted and ignored.
    pub description: Option<Ignored>,
    /// Accepted and ignored.
    pub config_hash: Option<Ignored>,
    /// Accepted and ignored.
    pub status: Option<Ignored>,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Azure OpenAI, and Claude on Azure.
    Azure,
    /// The OpenAI API.
    Openai,
    /// The Anthropic API.
    Anthropic,
    /// Any other service that speaks the OpenAI API.
    OpenaiCompatible,
}

/// How a key is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// In exact proportion to the weights.
    #[default]
    Weighted,
    /// The faster of two random keys.
    LeastLatency,
    /// By what Azure says is left of each key's quota.
    Headroom,
}

/// When a key that keeps failing is left alone for a while. Throttling (429) never counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// Failures in a row that open the breaker; 0 switches this rule off.
    pub consecutive_failures: u32,
    /// Share of failed requests in the window, above 0 and up to 1, that opens the breaker.
    pub failure_ratio: f64,
    /// Requests that the window must hold before the ratio counts.
    pub min_requests: u32,
    /// Length of the window, in seconds.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub window_seconds: Duration,
    /// Seconds until an open breaker lets one request through to see whether the key works again.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub open_seconds: Duration,
}

/// How endpoints are probed while they are idle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// What a probe does.
    pub kind: HealthCheckKind,
    /// Seconds between two probes, give or take a quarter; an answered request stands for one.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub interval_seconds: Duration,
    /// Seconds after which a probe has failed.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub timeout_seconds: Duration,
    /// Failed probes in a row that close an endpoint.
    pub unhealthy_threshold: u32,
    /// Good probes in a row that open it again.
    pub healthy_threshold: u32,
}

/// What a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheckKind {
    /// No probes.
    Off,
    /// Opens a connection.
    Tcp,
    /// Opens a connection and completes the TLS handshake.
    Tls,
    /// Asks for the list of models without a credential; any answer below 500 is good.
    Http,
}

/// Part of existing files for providers of the operator's own naming.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CustomProviderConfig {
    /// `openai` or `anthropic`: what the provider speaks. `openai` stands for type `openai_compatible`.
    pub base_provider_type: Option<ProviderKind>,
    /// Accepted and ignored: a provider without keys is called without a credential.
    pub is_key_less: Option<Ignored>,
    /// Accepted and ignored.
    pub allowed_requests: Option<Ignored>,
    /// Accepted and ignored.
    pub request_path_overrides: Option<Ignored>,
}

impl Provider {
    /// What the provider speaks. Set on every provider that was loaded.
    pub fn kind(&self) -> ProviderKind {
        self.kind.unwrap_or(ProviderKind::OpenaiCompatible)
    }
}

impl ProviderKind {
    /// The type that a provider's name implies.
    pub fn implied_by(name: &str) -> Option<Self> {
        match name {
            "azure" => Some(Self::Azure),
            "openai" => Some(Self::Openai),
            "anthropic" => Some(Self::Anthropic),
            _ => None,
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 20,
            window_seconds: Duration::from_secs(10),
            open_seconds: Duration::from_secs(10),
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: HealthCheckKind::Tls,
            interval_seconds: Duration::from_secs(10),
            timeout_seconds: Duration::from_secs(2),
            unhealthy_threshold: 3,
            healthy_threshold: 1,
        }
    }
}
