//! Callers with a provider key of their own: their endpoint is checked against the allow-list, and becomes a provider with
//! one key that lives as long as the request. Only the caller's own credential ever goes there.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::exchange::Target;
use super::refuse::Refusal;
use crate::azure::{self, ApiVersion, BetaRules};
use crate::base::endpoint::Endpoint;
use crate::base::{KeySet, Label};
use crate::objects::Origin;
use crate::pool::{Balance, Rotations};
use crate::provider::{Credential, Service};
use crate::snapshot::{Key, Proof, Provider, Retries, Snapshot};
use crate::upstream::{Host, Protocols, Reach, Rules};

/// The version for a caller's own key, when its path names none.
const VERSION: ApiVersion = ApiVersion::V1;

/// Labels of what goes to a caller's own endpoint, interned once.
static PROVIDER: LazyLock<Label> = LazyLock::new(|| Label::new("azure"));
static KEY: LazyLock<Label> = LazyLock::new(|| Label::new("direct"));

/// Where a caller's own key leads, for a model that is called by its deployment's name. Nothing is tried twice there: the
/// quota is the caller's.
pub fn target(
    endpoint: &str,
    credential: &Credential,
    deployment: String,
    snapshot: &Snapshot,
) -> Result<Target, Refusal> {
    let key = key(endpoint, credential, snapshot)?;
    let sole = KeySet::from_iter([0]);
    let provider = Provider {
        name: "azure".into(),
        label: PROVIDER.clone(),
        service: Service::Azure,
        balance: Balance::Weighted,
        rotations: Arc::new(Rotations::new([1.0])),
        sessions: Arc::default(),
        tiers: vec![sole.clone()],
        retries: Retries { most: 0, first_wait: Duration::ZERO, longest_wait: Duration::ZERO },
        breaker: snapshot.direct_breaker,
        keys: vec![Arc::new(key)],
        timeouts: snapshot.direct_timeouts,
        beta: BetaRules::default(),
    };
    Ok(Target {
        provider: Arc::new(provider),
        place: None,
        keys: sole,
        knowing: KeySet::default(),
        model: deployment,
        deployment: None,
    })
}

/// A key for the endpoint that a caller named.
fn key(endpoint: &str, credential: &Credential, snapshot: &Snapshot) -> Result<Key, Refusal> {
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
    let address = snapshot.directory.address(&endpoint.host, endpoint.port, reach);
    let rules = Rules {
        connect_timeout: Duration::from_secs(5),
        most_exchanges: snapshot.direct_exchanges,
        protocols: Protocols::Offered,
        insecure_skip_verify: false,
        certificates: None,
    };
    let origin = Origin::new(&azure::resource(&endpoint));
    let host = Host::new(endpoint, address, rules);
    Ok(Key {
        origin,
        name: "direct".into(),
        label: KEY.clone(),
        host: Arc::new(host),
        proof: Proof::Fixed(credential.clone()),
        version: VERSION,
        account: Arc::default(),
        memory: Arc::default(),
        health: Arc::default(),
        headers: Vec::new(),
    })
}
