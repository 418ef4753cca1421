//! Settings that are read and checked, and that this version does not act on. Each feature that lands removes its lines.

/// Path (`*` for any name or index) and what to know. A warning is given when a file sets such a field away from its
/// default.
pub const NOT_YET: &[(&str, &str)] = &[
    ("providers.*.keys.*.aliases.*.azure", "the key's own endpoint and version are used"),
    ("logs_store", "requests are not recorded"),
];
