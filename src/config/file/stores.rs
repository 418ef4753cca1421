//! Sections `shared_state` and `logs_store`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::{self, SecretText};
use crate::base::Secret;

/// Where several gateways share rate limits and budgets. A change takes effect at the next start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["url"]))]
pub struct SharedState {
    /// The kind of store.
    #[serde(rename = "type")]
    pub kind: SharedStateKind,
    /// Address of the store with its credentials, such as `rediss://user:password@host:6380`.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "SecretText")]
    pub url: Option<Secret>,
}

/// Kinds of stores for shared state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedStateKind {
    /// Redis, or a service that speaks its protocol.
    #[default]
    Redis,
}

/// The record of finished requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogsStore {
    /// Whether finished requests are recorded.
    pub enabled: bool,
    /// The kind of store.
    #[serde(rename = "type")]
    pub kind: LogsStoreKind,
    /// Address of a PostgreSQL database with its credentials. SQLite needs none: its file is in the state directory.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "Option<SecretText>")]
    pub url: Option<Secret>,
    /// Days that records are kept.
    pub retention_days: u32,
    /// Megabytes that records may take; the oldest go first.
    pub max_megabytes: u32,
    /// Whether prompts and answers are recorded too, not only their sizes.
    pub log_content: bool,
}

/// Kinds of stores for records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogsStoreKind {
    /// A file in the state directory.
    #[default]
    Sqlite,
    /// A PostgreSQL database, for several gateways.
    Postgres,
}

impl Default for LogsStore {
    fn default() -> Self {
        Self {
            enabled: false,
            kind: LogsStoreKind::Sqlite,
            url: None,
            retention_days: 30,
            max_megabytes: 1024,
            log_content: false,
        }
    }
}
