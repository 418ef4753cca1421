//! Section `providers.*.network_config`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Ignored, Members,
    form::{self, EndpointText, Milliseconds, PlainText, Seconds, SecretText},
};
use crate::base::{Endpoint, Secret};

/// Addresses, timeouts, retries and headers of connections to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Address of the provider. `/v1` is added, unless the path names a version itself, as `/v1` or `/v1beta/openai` do.
    /// Types `openai` and `anthropic` know theirs; `openai_compatible` needs it; for `azure` it stands in each key as
    /// `azure_key_config.endpoint`.
    #[serde(deserialize_with = "form::optional::<EndpointText, _>")]
    #[schemars(with = "Option<EndpointText>")]
    pub base_url: Option<Endpoint>,
    /// Seconds until a request that is not streamed must be answered in full.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub default_request_timeout_in_seconds: Duration,
    /// Seconds until a connection must stand, TLS included.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub connect_timeout_in_seconds: Duration,
    /// Seconds until the head of an answer must have arrived.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub first_byte_timeout_in_seconds: Duration,
    /// Seconds of silence after which a stream counts as broken.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub stream_idle_timeout_in_seconds: Duration,
    /// Further attempts after a 5xx, a timeout or a broken connection.
    pub max_retries: u32,
    /// Milliseconds before the first further attempt; each one after that waits twice as long, less some chance.
    #[serde(with = "form::milliseconds")]
    #[schemars(with = "Milliseconds")]
    pub retry_backoff_initial: Duration,
    /// Longest wait between two attempts, in milliseconds.
    #[serde(with = "form::milliseconds")]
    #[schemars(with = "Milliseconds")]
    pub retry_backoff_max: Duration,
    /// Headers to add to each request, by name.
    #[serde(skip_serializing, deserialize_with = "form::members::<SecretText, _>")]
    #[schemars(with = "Members<SecretText>")]
    pub extra_headers: Members<Secret>,
    /// Certificates in PEM that are trusted beside those of the system.
    #[serde(deserialize_with = "form::optional::<PlainText, _>")]
    #[schemars(with = "Option<PlainText>")]
    pub ca_cert_pem: Option<String>,
    /// Whether certificates go unchecked. For tests only.
    pub insecure_skip_verify: bool,
    /// Requests in progress with one host at most; each takes a connection over HTTP/1.1, and a stream of one over HTTP/2.
    /// One more waits for as long as connecting may take, and then goes to another key, or is answered 503.
    pub max_conns_per_host: u32,
    /// Whether only HTTP/2 is spoken. Otherwise HTTP/1.1.
    pub enforce_http2: bool,
    /// Values of `anthropic-beta` by prefix: true passes them on, false removes them. Overrides the built-in table.
    pub beta_header_overrides: Members<bool>,
    /// Accepted and ignored.
    pub stream_throughput_guard: Option<Ignored>,
    /// Accepted and ignored: the address in this file is used as it is.
    pub allow_private_network: Option<Ignored>,
    /// Accepted and ignored.
    pub keep_alive_timeout_in_seconds: Option<Ignored>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            default_request_timeout_in_seconds: Duration::from_secs(600),
            connect_timeout_in_seconds: Duration::from_secs(5),
            first_byte_timeout_in_seconds: Duration::from_secs(300),
            stream_idle_timeout_in_seconds: Duration::from_secs(120),
            max_retries: 2,
            retry_backoff_initial: Duration::from_millis(100),
            retry_backoff_max: Duration::from_millis(2000),
            extra_headers: Members::default(),
            ca_cert_pem: None,
            insecure_skip_verify: false,
            max_conns_per_host: 5000,
            enforce_http2: false,
            beta_header_overrides: Members::default(),
            stream_throughput_guard: None,
            allow_private_network: None,
            keep_alive_timeout_in_seconds: None,
        }
    }
}
