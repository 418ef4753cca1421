//! Virtual keys that open nothing: every request with them would be refused.

use std::collections::HashMap;

use crate::{
    base::Globs,
    config::{
        file::{File, Key, VirtualKey},
        read::Place,
    },
};

pub fn check(file: &File, place: &Place<'_>) {
    if file.providers.iter().all(|(_, provider)| provider.keys.is_empty()) {
        return;
    }
    // Many callers have the same lists, and each look through all keys and aliases takes its time.
    let mut known = HashMap::new();
    for (index, caller) in file.governance.virtual_keys.iter().enumerate() {
        let lists = [&caller.allowed_providers, &caller.allowed_models, &caller.allowed_keys].map(Globs::patterns);
        if !*known.entry(lists).or_insert_with(|| reaches_any(caller, file)) {
            place.element(index).warn(
                "no configured model is open to this key; widen `allowed_models`, `allowed_providers` or `allowed_keys`",
            );
        }
    }
}

fn reaches_any(caller: &VirtualKey, file: &File) -> bool {
    let mut providers = file.providers.iter().filter(|(name, _)| caller.allowed_providers.matches(name));
    providers.any(|(name, provider)| provider.keys.iter().any(|key| reaches(caller, name, key)))
}

/// Whether some model is certain, or at least not impossible, to be served to this caller by this key.
fn reaches(caller: &VirtualKey, provider: &str, key: &Key) -> bool {
    if !key.enabled || !caller.allowed_keys.matches(&key.name) || caller.allowed_models.is_empty() {
        return false;
    }
    let prefix = format!("{provider}/");
    let serves = |name: &str| key.models.matches(name) && !key.blacklisted_models.matches(name);
    let open = |name: &str| {
        let allowed = caller.allowed_models.matches(name) || caller.allowed_models.matches(&format!("{prefix}{name}"));
        allowed && !key.blacklisted_models.matches(name)
    };
    key.models.has_wildcard() && caller.allowed_models.has_wildcard()
        || caller.allowed_models.literals().any(|name| serves(name.strip_prefix(&prefix).unwrap_or(name)))
        || key.models.literals().any(open)
        || key.aliases.names().any(open)
}
