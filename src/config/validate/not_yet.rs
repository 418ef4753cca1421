//! Settings that are read and checked, and that this version does not act on. Each feature that lands removes its lines.

use crate::config::file::ProviderKind;

/// Path (`*` for any name or index) and what to know. A warning is given when a file sets such a field away from its
/// default.
pub const NOT_YET: &[(&str, &str)] = &[
    ("server.state_directory", "nothing is saved"),
    ("providers.*.keys.*.azure_key_config.tenant_id", "service principals are not used"),
    ("providers.*.keys.*.azure_key_config.client_id", "service principals are not used"),
    ("providers.*.keys.*.azure_key_config.client_secret", "service principals are not used"),
    ("providers.*.keys.*.azure_key_config.scopes", "no tokens are asked for"),
    ("providers.*.keys.*.azure_key_config.authority_host", "no tokens are asked for"),
    ("providers.*.keys.*.azure_key_config.managed_identity_client_id", "managed identities are not used"),
    ("providers.*.keys.*.aliases.*.azure", "the key's own endpoint and version are used"),
    ("providers.*.keys.*.rate_limit", "the key is not limited"),
    ("providers.*.health_check", "endpoints are not probed"),
    ("governance.virtual_keys.*.budget", "spending is not limited"),
    ("governance.virtual_keys.*.rate_limit", "the key is not limited"),
    ("governance.virtual_keys.*.team", "teams have no limits"),
    ("governance.teams", "teams have no limits"),
    ("governance.customers", "customers have no limits"),
    ("pricing", "costs are not calculated"),
    ("shared_state", "each gateway counts for itself"),
    ("logs_store", "requests are not recorded"),
];

/// Types of providers that are not served, with what to know.
pub const PROVIDERS_NOT_YET: &[(ProviderKind, &str)] = &[];

/// What to know of Azure keys without an API key, while only API keys are used.
pub const TOKENS_NOT_YET: Option<&str> = Some("only API keys are used, so that this key fails");
