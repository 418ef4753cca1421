//! Callers with a provider key of their own: their endpoint is checked against the allow-list, and becomes a key that
//! lives as long as the request. Only the caller's own credential ever goes there.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use super::refuse::Refusal;
use crate::azure::{ApiVersion, KEY_HEADER};
use crate::base::Label;
use crate::base::endpoint::Endpoint;
use crate::snapshot::{Key, Snapshot};
use crate::upstream::{Address, Host, Protocols, Reach, Rules};

/// The version for a caller's own key, when its path names none.
const VERSION: ApiVersion = ApiVersion::V1;

/// Labels of what goes to a caller's own endpoint, interned once.
pub static PROVIDER: LazyLock<Label> = LazyLock::new(|| Label::new("azure"));
static KEY: LazyLock<Label> = LazyLock::new(|| Label::new("direct"));

/// A key for the endpoint that a caller named.
pub fn key(endpoint: &str, credential: &HeaderValue, snapshot: &Snapshot) -> Result<Key, Refusal> {
    let endpoint =
        Endpoint::parse(endpoint).map_err(|error| Refusal::endpoint_not_allowed(format!("the endpoint {error}")))?;
    if !endpoint.base_path.is_empty() {
        return Err(Refusal::endpoint_not_allowed(
            "the endpoint has a path; it must look like `https://name.openai.azure.com`",
        ));
    }
    if !snapshot.client.direct_endpoints.iter().any(|pattern| pattern.matches(&endpoint)) {
        return Err(Refusal::endpoint_not_allowed(
            "this endpoint is not on the gateway's list `client.direct_endpoints`",
        ));
    }
    // An operator who lists an address by number means that address.
    let reach = if endpoint.host.parse::<IpAddr>().is_ok() { Reach::Any } else { Reach::NotLocal };
    let address = Arc::new(Address::new(endpoint.host.clone(), endpoint.port, reach));
    let rules = Rules {
        connect_timeout: Duration::from_secs(5),
        protocols: Protocols::Offered,
        insecure_skip_verify: false,
        certificates: None,
    };
    let host = Host::new(endpoint, address, rules);
    Ok(Key {
        name: "direct".into(),
        label: KEY.clone(),
        host: Arc::new(host),
        credential: Some((credential_header(credential), credential.clone())),
        version: VERSION,
        gates: Arc::default(),
        breaker: Arc::default(),
        headers: Vec::new(),
    })
}

/// A bearer token goes on as one, an API key as a key. [`super::admit`] keeps the scheme with a token.
fn credential_header(credential: &HeaderValue) -> HeaderName {
    let bearer = credential.as_bytes().starts_with(b"Bearer ");
    if bearer { header::AUTHORIZATION } else { HeaderName::from_static(KEY_HEADER) }
}
