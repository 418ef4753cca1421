//! Virtual keys: looked up by the SHA-256 of what the caller presents, so that no plaintext key is kept in memory.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::HashMap;
use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::account::Account;
use crate::base::globs::Globs;
use crate::base::{KeySet, Label};

/// A caller's key and what it may be used for.
#[derive(Debug)]
pub struct VirtualKey {
    pub name: Arc<str>,
    pub label: Label,
    /// SHA-256 of the key's text.
    pub hash: [u8; 32],
    pub enabled: bool,
    pub expires_at: Option<Timestamp>,
    pub providers: Globs,
    pub models: Globs,
    /// The provider keys that may serve this caller, by provider; `None`: all of them.
    pub keys: Option<Vec<KeySet>>,
    /// Empty: any address.
    pub networks: Vec<IpNet>,
    /// What its requests are charged to, and within which limits.
    pub account: Arc<Account>,
}

/// Why a caller is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error(
        "no key was presented; send a virtual key as `Authorization: Bearer`, `api-key`, `x-api-key`, `x-bf-vk` or `x-azgate-vk`"
    )]
    NoKey,
    #[error("the presented key is not known here")]
    UnknownKey,
    #[error("virtual key `{key}` is disabled")]
    Disabled { key: Arc<str> },
    #[error("virtual key `{key}` expired at {at}")]
    Expired { key: Arc<str>, at: Timestamp },
    #[error("virtual key `{key}` may not be used from {address}")]
    Address { key: Arc<str>, address: String },
    #[error("virtual key `{key}` may not use provider `{provider}`")]
    Provider { key: Arc<str>, provider: Arc<str> },
    #[error("virtual key `{key}` may not use model `{model}`")]
    Model { key: Arc<str>, model: String },
}

/// All virtual keys of one configuration.
#[derive(Debug, Default)]
pub struct Callers {
    by_hash: HashMap<[u8; 32], Arc<VirtualKey>>,
}

/// SHA-256 of a presented key.
pub fn digest(presented: &str) -> [u8; 32] {
    Sha256::digest(presented.as_bytes()).into()
}

impl Callers {
    pub fn new(keys: impl IntoIterator<Item = VirtualKey>) -> Self {
        Self { by_hash: keys.into_iter().map(|key| (key.hash, Arc::new(key))).collect() }
    }

    /// The virtual key whose text was presented. One hash and one look-up, however many keys there are; the
    /// look-up itself compares digests of the secret, and the match is confirmed in constant time.
    pub fn find(&self, presented: &str) -> Option<&Arc<VirtualKey>> {
        let hash = digest(presented);
        self.by_hash.get(&hash).filter(|key| key.hash.ct_eq(&hash).into())
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}

impl VirtualKey {
    /// Those of a provider's keys that may serve this caller; `place` is the provider's.
    pub fn among(&self, place: usize, keys: KeySet) -> KeySet {
        match &self.keys {
            Some(allowed) => keys.and(&allowed[place]),
            None => keys,
        }
    }

    /// Whether the key is in force for a caller at `address`. An unknown address (a Unix socket) is refused by a
    /// key that lists networks.
    pub fn admit(&self, now: Timestamp, address: Option<IpAddr>) -> Result<(), Denied> {
        let key = || Arc::clone(&self.name);
        if !self.enabled {
            return Err(Denied::Disabled { key: key() });
        }
        if let Some(at) = self.expires_at.filter(|at| now >= *at) {
            return Err(Denied::Expired { key: key(), at });
        }
        let inside = |address: IpAddr| self.networks.iter().any(|network| network.contains(&address.to_canonical()));
        if self.networks.is_empty() || address.is_some_and(inside) {
            return Ok(());
        }
        let address = address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
        Err(Denied::Address { key: key(), address })
    }

    pub fn permits_provider(&self, provider: &Arc<str>) -> Result<(), Denied> {
        if self.providers.matches(provider) {
            return Ok(());
        }
        Err(Denied::Provider { key: Arc::clone(&self.name), provider: Arc::clone(provider) })
    }

    pub fn permits_model(&self, model: &str) -> Result<(), Denied> {
        if self.models.matches(model) {
            return Ok(());
        }
        Err(Denied::Model { key: Arc::clone(&self.name), model: model.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> VirtualKey {
        VirtualKey {
            name: "team-a".into(),
            label: Label::new("team-a"),
            hash: digest(text),
            enabled: true,
            expires_at: None,
            providers: Globs::all(),
            models: Globs::new(["claude-*", "gpt-4o"]),
            keys: None,
            networks: Vec::new(),
            account: Arc::default(),
        }
    }

    #[test]
    fn only_the_exact_text_finds_the_key() {
        let callers = Callers::new([key("azg-secret")]);
        assert!(callers.find("azg-secret").is_some());
        for wrong in ["", "azg-secre", "azg-secret ", "AZG-SECRET"] {
            assert!(callers.find(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_ends_at_the_moment_it_expires() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let key = VirtualKey { expires_at: Some(at), ..key("k") };
        assert!(key.admit(at - jiff::SignedDuration::from_millis(1), None).is_ok());
        assert_eq!(key.admit(at, None), Err(Denied::Expired { key: "team-a".into(), at }));
    }

    #[test]
    fn networks_are_enforced_also_for_mapped_addresses() {
        let key = VirtualKey { networks: vec!["10.0.0.0/8".parse().unwrap()], ..key("k") };
        let now = Timestamp::UNIX_EPOCH;
        assert!(key.admit(now, Some("10.1.2.3".parse().unwrap())).is_ok());
        assert!(key.admit(now, Some("::ffff:10.1.2.3".parse().unwrap())).is_ok());
        assert!(key.admit(now, Some("11.1.2.3".parse().unwrap())).is_err());
        assert!(key.admit(now, None).is_err());
    }

    #[test]
    fn model_list_takes_globs() {
        assert!(key("k").permits_model("claude-sonnet-4-6").is_ok());
        assert!(key("k").permits_model("gpt-4o-mini").is_err());
    }
}
