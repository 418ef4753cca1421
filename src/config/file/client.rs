//! Section `client`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::{self, OriginText};
use crate::base::OriginPattern;

/// What callers may do and see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// Whether each request must show a valid virtual key. When false, requests without one pass as the anonymous
    /// caller, without limits.
    pub enforce_auth_on_inference: bool,
    /// Whether a credential that is no virtual key is passed on as the caller's own provider key.
    pub allow_direct_keys: bool,
    /// Origins that a caller with a direct key may name as the Azure endpoint: scheme, host and port; `*` stands for
    /// exactly one label of the host.
    #[serde(deserialize_with = "form::list::<OriginText, _>")]
    #[schemars(with = "Vec<OriginText>")]
    pub direct_endpoints: Vec<OriginPattern>,
    /// Names of request headers that are passed on to the upstream beside those it needs. Credentials, cookies and
    /// hop-by-hop headers cannot be passed on.
    pub forward_headers: Vec<String>,
    /// Whether Azure's content-filter annotations are removed from answers.
    pub strip_content_filter_results: bool,
    /// Whether callers may use each other's stored responses, files, batches and videos. When false, an id is worth
    /// something to the virtual key that got it only; changing this makes earlier ids unknown.
    pub share_objects: bool,
    /// Whether answers carry `x-azgate-key`, `x-azgate-deployment` and `x-azgate-attempts`.
    pub routing_headers: bool,
}

impl Default for Client {
    fn default() -> Self {
        let origins = ["openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"];
        let patterns = origins.iter().filter_map(|host| OriginPattern::parse(&format!("https://*.{host}")).ok());
        Self {
            enforce_auth_on_inference: true,
            allow_direct_keys: false,
            direct_endpoints: patterns.collect(),
            forward_headers: Vec::new(),
            strip_content_filter_results: false,
            share_objects: false,
            routing_headers: true,
        }
    }
}
