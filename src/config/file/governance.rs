//! Section `governance`: who may call, and what each may use and spend.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use ipnet::IpNet;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::form::{self, NetworkText, SecretText};
use crate::base::{Globs, Secret};

/// Virtual keys, teams and customers, and what each may use and spend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Governance {
    /// Keys that callers show to the gateway.
    pub virtual_keys: Vec<VirtualKey>,
    /// Groups of virtual keys with common limits.
    pub teams: Vec<Team>,
    /// Groups of teams with common limits.
    pub customers: Vec<Customer>,
}

/// A key that callers show to the gateway, and what it opens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct VirtualKey {
    /// Name of the key, unique among virtual keys. Stands in logs and metrics.
    pub name: String,
    /// SHA-256 of the key in hexadecimal; `azgate key hash` prints it. Either this or `value`.
    #[schemars(with = "Option<String>", extend("pattern" = "^[0-9A-Fa-f]{64}$"))]
    pub key_hash: Option<KeyHash>,
    /// The key itself, as a reference. Either this or `key_hash`.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "Option<SecretText>")]
    pub value: Option<Secret>,
    /// Whether the key is accepted; a disabled one is answered 401.
    pub enabled: bool,
    /// When the key ends, RFC 3339. Without it, never.
    #[serde(with = "form::timestamp")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires_at: Option<Timestamp>,
    /// Providers that the key may use; `*` is a wildcard.
    #[schemars(with = "Vec<String>")]
    pub allowed_providers: Globs,
    /// Models that the key may name; `*` is a wildcard.
    #[schemars(with = "Vec<String>")]
    pub allowed_models: Globs,
    /// Names of provider keys that requests of this key may use; `*` is a wildcard.
    #[schemars(with = "Vec<String>")]
    pub allowed_keys: Globs,
    /// Networks from which the key is accepted, or single addresses. Without it, all.
    #[serde(deserialize_with = "form::list::<NetworkText, _>")]
    #[schemars(with = "Vec<NetworkText>")]
    pub allowed_networks: Vec<IpNet>,
    /// What the key may spend.
    pub budget: Budget,
    /// How much the key may do.
    pub rate_limit: RateLimit,
    /// Team whose limits count too.
    pub team: Option<String>,
}

/// Virtual keys with common limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct Team {
    /// Name of the team, unique among teams.
    pub name: String,
    /// Customer whose limits count too.
    pub customer: Option<String>,
    /// What all keys of the team together may spend.
    pub budget: Budget,
    /// How much all keys of the team together may do.
    pub rate_limit: RateLimit,
}

/// Teams with common limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct Customer {
    /// Name of the customer, unique among customers.
    pub name: String,
    /// What all teams of the customer together may spend.
    pub budget: Budget,
    /// How much all teams of the customer together may do.
    pub rate_limit: RateLimit,
}

/// Limits of spending. A limit that is absent does not limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// US dollars per day (UTC).
    pub daily_limit_usd: Option<f64>,
    /// US dollars per week, from Monday (UTC).
    pub weekly_limit_usd: Option<f64>,
    /// US dollars per calendar month (UTC).
    pub monthly_limit_usd: Option<f64>,
    /// US dollars in total; never renewed.
    pub total_limit_usd: Option<f64>,
}

/// Limits of use. A limit that is absent does not limit. Windows slide: no minute, hour or day, wherever it begins, holds
/// more than the limit, and all of it may be used at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Requests per hour.
    pub requests_per_hour: Option<u64>,
    /// Requests per day.
    pub requests_per_day: Option<u64>,
    /// Tokens per minute, input and output together.
    pub tokens_per_minute: Option<u64>,
    /// Tokens per hour, input and output together.
    pub tokens_per_hour: Option<u64>,
    /// Tokens per day, input and output together.
    pub tokens_per_day: Option<u64>,
    /// Requests that may run at the same time.
    pub concurrent_requests: Option<u64>,
}

/// SHA-256 of a virtual key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl VirtualKey {
    /// By what the key is looked up: the hash in the file, or the hash of the value. Present on every loaded key.
    pub fn hash(&self) -> Option<KeyHash> {
        self.key_hash.or_else(|| self.value.as_ref().map(|value| KeyHash::of(value.expose())))
    }
}

impl Default for VirtualKey {
    fn default() -> Self {
        Self {
            name: String::new(),
            key_hash: None,
            value: None,
            enabled: true,
            expires_at: None,
            allowed_providers: Globs::all(),
            allowed_models: Globs::all(),
            allowed_keys: Globs::all(),
            allowed_networks: Vec::new(),
            budget: Budget::default(),
            rate_limit: RateLimit::default(),
            team: None,
        }
    }
}

impl RateLimit {
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

impl KeyHash {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            de::Error::custom("this is no SHA-256; write 64 hexadecimal digits, as `azgate key hash` prints them")
        })
    }
}
