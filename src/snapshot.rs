//! What one configuration means at run time. Immutable; a request holds one `Arc<Snapshot>` from its first byte to its
//! last, so that it is served wholly by one generation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::azure::credential::Tokens;
use crate::azure::{ApiVersion, BetaRules};
use crate::base::endpoint::OriginPattern;
use crate::base::globs::Globs;
use crate::base::{KeySet, Label};
use crate::catalog::Catalog;
use crate::governance::{Account, Callers, Governor, Prices};
use crate::objects::{Origin, Register};
use crate::pool::{Balance, BreakerRules, Health, Memory, Rotations, Sessions};
use crate::provider::{Credential, Service};
use crate::upstream::{Directory, Host, Limits};

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
    pub providers: Vec<Arc<Provider>>,
    pub fallbacks: Fallbacks,
    /// For requests with a caller's own key.
    pub direct_timeouts: Timeouts,
    pub direct_breaker: BreakerRules,
    /// In progress with one host at most.
    pub direct_exchanges: u32,
    /// Where hosts are; the same in every generation.
    pub directory: Arc<Directory>,
    /// Who brought what; the same in every generation.
    pub register: Arc<Register>,
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
    /// Callers may use each other's stored objects.
    pub share_objects: bool,
}

pub struct Provider {
    pub name: Arc<str>,
    pub label: Label,
    pub service: Service,
    pub balance: Balance,
    pub rotations: Arc<Rotations>,
    pub sessions: Arc<Sessions>,
    /// Keys of the same priority, the best first.
    pub tiers: Vec<KeySet>,
    pub retries: Retries,
    pub breaker: BreakerRules,
    /// In the order of the catalog.
    pub keys: Vec<Arc<Key>>,
    pub timeouts: Timeouts,
    /// Which features of `anthropic-beta` pass.
    pub beta: BetaRules,
}

/// One key of a provider: where it leads and what it presents there.
pub struct Key {
    pub name: Arc<str>,
    pub label: Label,
    pub host: Arc<Host>,
    pub proof: Proof,
    pub version: ApiVersion,
    /// The resource it leads to, which knows what it made and nobody else does.
    pub origin: Origin,
    /// How the key has behaved.
    pub memory: Arc<Memory>,
    /// Whether the endpoint is well, for all keys that lead there.
    pub health: Arc<Health>,
    /// The key's own limits.
    pub account: Arc<Account>,
    /// Added to every request, over a caller's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What proves the right to use a key.
#[derive(Debug, Clone)]
pub enum Proof {
    Nothing,
    Fixed(Credential),
    /// Tokens of Entra ID; keys with the same identity share them.
    Token(Arc<Tokens>),
}

/// Which models may answer in place of another.
#[derive(Debug, Default)]
pub struct Fallbacks {
    /// By `provider/model` or bare model, in lower case; each names `provider/model`.
    by_model: HashMap<Box<str>, Vec<Box<str>>>,
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

/// Tokens are the same while they are of one cache, which equal identities share over reloads.
impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => true,
            (Self::Fixed(a), Self::Fixed(b)) => a == b,
            (Self::Token(a), Self::Token(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Proof {
    /// Whether it could be shown now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Nothing | Self::Fixed(_) => true,
            Self::Token(tokens) => tokens.left().is_some(),
        }
    }
}

impl Fallbacks {
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Self {
        let pair = |(model, others): (&str, &[String])| {
            (model.to_ascii_lowercase().into(), others.iter().map(|other| other.as_str().into()).collect())
        };
        Self { by_model: pairs.into_iter().map(pair).collect() }
    }

    /// The fallbacks of a provider's model. An entry that names the provider goes before one that names only the model.
    pub fn of(&self, provider: &str, model: &str) -> &[Box<str>] {
        if self.by_model.is_empty() {
            return &[];
        }
        let full = format!("{provider}/{model}").to_ascii_lowercase();
        let bare = &full[provider.len() + 1..];
        self.by_model.get(full.as_str()).or_else(|| self.by_model.get(bare)).map_or(&[], Vec::as_slice)
    }
}

impl Snapshot {
    /// The caches of tokens, one per identity.
    pub fn tokens(&self) -> Vec<Arc<Tokens>> {
        let mut found: Vec<Arc<Tokens>> = Vec::new();
        for key in self.providers.iter().flat_map(|provider| &provider.keys) {
            if let Proof::Token(tokens) = &key.proof
                && !found.iter().any(|known| Arc::ptr_eq(known, tokens))
            {
                found.push(Arc::clone(tokens));
            }
        }
        found
    }

    /// Keys without a token that are alone in serving some model: requests for it could only fail.
    pub fn unproven(&self) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        for (place, provider) in self.providers.iter().enumerate() {
            let ready: KeySet = (0..provider.keys.len()).filter(|key| provider.keys[*key].proof.is_ready()).collect();
            for (index, key) in provider.keys.iter().enumerate() {
                if !key.proof.is_ready() && self.catalog.needs(place, index, &ready) {
                    found.push(Arc::clone(&key.name));
                }
            }
        }
        found
    }

    /// The provider keys that a list of names admits, per provider; `None` when it admits all.
    pub fn keys_named(globs: &Globs, providers: &[Arc<Provider>]) -> Option<Vec<KeySet>> {
        let admitted = |provider: &Arc<Provider>| {
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

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).field("keys", &self.keys).finish_non_exhaustive()
    }
}
