//! Virtual keys that open nothing: every request with them would be refused.

use crate::config::{
    file::{File, Key, VirtualKey},
    read::Place,
};

pub fn check(file: &File, place: &Place<'_>) {
    for (index, caller) in file.governance.virtual_keys.iter().enumerate() {
        if !file.providers.iter().any(|(name, provider)| {
            caller.allowed_providers.matches(name) && provider.keys.iter().any(|key| reaches(caller, name, key))
        }) && !file.providers.iter().all(|(_, provider)| provider.keys.is_empty())
        {
            let place = place.element(index);
            place.warn("no configured model is open to this key; widen `allowed_models`, `allowed_providers` or `allowed_keys`");
        }
    }
}

/// Whether some model is certain, or at least not impossible, to be served to this caller by this key.
fn reaches(caller: &VirtualKey, provider: &str, key: &Key) -> bool {
    if !key.enabled || !caller.allowed_keys.matches(&key.name) || caller.allowed_models.is_empty() {
        return false;
    }
    let open = |name: &str| {
        !key.blacklisted_models.matches(name)
            && (caller.allowed_models.matches(name) || caller.allowed_models.matches(&format!("{provider}/{name}")))
    };
    let wanted = |name: &str| key.models.matches(name) && !key.blacklisted_models.matches(name);
    key.aliases.names().any(open)
        || key.models.literals().any(open)
        || key.models.has_wildcard() && caller.allowed_models.has_wildcard()
        || caller
            .allowed_models
            .literals()
            .any(|name| wanted(name.strip_prefix(&format!("{provider}/")).unwrap_or(name)))
}
