//! What one configuration means at run time. Immutable; a request holds one `Arc<Snapshot>` from its first byte to its
//! last, so that it is served wholly by one generation.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::azure::ApiVersion;
use crate::base::endpoint::OriginPattern;
use crate::base::globs::Globs;
use crate::base::{KeySet, Label};
use crate::catalog::Catalog;
use crate::governance::{Callers, Governor, Prices};
use crate::pool::{Breaker, BreakerRules, Gates, Rotations};
use crate::upstream::{Host, Limits};

pub struct Snapshot {
    /// 1 for the configuration the process started with; one more for each reload.
    pub generation: u64,
    pub client: ClientRules,
    /// Bytes of a request's body.
    pub largest_body: u64,
    pub trusted_proxies: Vec<IpNet>,
    pub callers: Callers,
    pub prices: Prices,
    /// Counters and what was learned; the same in every generation.
    pub governor: Arc<Governor>,
    pub catalog: Catalog,
    /// In the order of the catalog.
    pub providers: Vec<Provider>,
    /// For requests with a caller's own key.
    pub direct_timeouts: Timeouts,
    pub direct_breaker: BreakerRules,
    /// When the configuration came into force, in seconds since 1970.
    pub created: i64,
}

/// What callers may do, and what they are told.
pub struct ClientRules {
    pub enforce_auth: bool,
    pub allow_direct_keys: bool,
    pub direct_endpoints: Vec<OriginPattern>,
    /// Headers of callers that go on to upstreams besides the built-in ones, in lower case.
    pub forward_headers: Vec<HeaderName>,
    pub strip_filter_results: bool,
    pub routing_headers: bool,
}

pub struct Provider {
    pub name: Arc<str>,
    pub label: Label,
    pub rotations: Arc<Rotations>,
    /// Keys of the same priority, the best first.
    pub tiers: Vec<KeySet>,
    pub retries: Retries,
    pub breaker: BreakerRules,
    /// In the order of the catalog.
    pub keys: Vec<Arc<Key>>,
    pub timeouts: Timeouts,
}

/// One key of a provider: where it leads and what it presents there.
pub struct Key {
    pub name: Arc<str>,
    pub label: Label,
    pub host: Arc<Host>,
    /// The header that proves the gateway's right to call; its value is marked sensitive. `None` when the key has no
    /// credential.
    pub credential: Option<(HeaderName, HeaderValue)>,
    pub version: ApiVersion,
    /// Where the key has been throttled, and until when.
    pub gates: Arc<Gates>,
    /// Whether the key is sick.
    pub breaker: Arc<Breaker>,
    /// Added to every request, over a caller's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How often and how soon a request is tried again after a failure.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    pub most: u32,
    pub first_wait: Duration,
    pub longest_wait: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    pub exchange: Limits,
    /// For a request as a whole, its stream included.
    pub request: Duration,
}

impl Snapshot {
    /// The provider keys that a list of names admits, per provider; `None` when it admits all.
    pub fn keys_named(globs: &Globs, providers: &[Provider]) -> Option<Vec<KeySet>> {
        let admitted = |provider: &Provider| {
            let keys = provider.keys.iter().enumerate();
            keys.filter(|(_, key)| globs.matches(&key.name)).map(|(index, _)| index).collect()
        };
        (!globs.patterns().iter().any(|pattern| pattern == "*")).then(|| providers.iter().map(admitted).collect())
    }
}

/// Names only: a key holds a credential.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("host", &self.host.authority).finish_non_exhaustive()
    }
}
