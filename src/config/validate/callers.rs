//! Section `governance`: who calls, and to which groups they belong.

use std::collections::{HashMap, HashSet};

use super::names::{Names, check_globs};
use crate::{
    base::Globs,
    config::{
        environment::is_reference,
        file::{File, Governance, KeyHash, VirtualKey},
        read::{Place, nearest},
    },
};

/// The things of one kind that may be referred to, by name and without regard to case.
struct Known<'a> {
    what: &'static str,
    names: Vec<&'a str>,
    lower: HashSet<String>,
    /// Some of them were wrong and are not here, so that no name can be called unknown.
    has_gaps: bool,
}

impl<'a> Known<'a> {
    fn new(what: &'static str, names: impl Iterator<Item = &'a str>, has_gaps: bool) -> Self {
        let names: Vec<&str> = names.collect();
        let lower = names.iter().map(|name| name.to_lowercase()).collect();
        Self { what, names, lower, has_gaps }
    }

    /// Checks that a name leads to something.
    fn check(&self, name: Option<&str>, place: &Place<'_>) {
        let Some(name) = name else { return };
        if self.has_gaps || self.lower.contains(&name.to_lowercase()) {
            return;
        }
        let what = self.what;
        let hint = match nearest(name, self.names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("name a {what} that stands in this file"),
        };
        place.error(format!("there is no {what} `{name}`; {hint}"));
    }

    /// Checks a list of names with wildcards.
    fn check_globs(&self, globs: &Globs, place: &Place<'_>) {
        check_globs(globs, place);
        for (index, pattern) in globs.patterns().iter().enumerate() {
            if !pattern.contains('*') && !pattern.is_empty() {
                self.check(Some(pattern), &place.element(index));
            }
        }
    }
}

pub fn check(file: &File, root: &Place<'_>) {
    let (governance, place) = (&file.governance, root.member("governance"));
    check_groups(governance, &place);
    let teams =
        Known::new("team", governance.teams.iter().map(|team| team.name.as_str()), place.member("teams").has_gaps());
    let providers = Known::new("provider", file.providers.names(), root.member("providers").has_gaps());
    let keys = file.providers.iter().flat_map(|(_, provider)| &provider.keys);
    let keys = Known::new("key", keys.map(|key| key.name.as_str()), has_key_gaps(file, &root.member("providers")));
    let list = place.member("virtual_keys");
    let (mut names, mut hashes) = (Names::of("virtual key"), HashMap::new());
    for (index, key) in governance.virtual_keys.iter().enumerate() {
        let place = list.element(index);
        names.take(&key.name, &place.member("name"));
        check_secret(key, &mut hashes, &place);
        check_globs(&key.allowed_models, &place.member("allowed_models"));
        providers.check_globs(&key.allowed_providers, &place.member("allowed_providers"));
        keys.check_globs(&key.allowed_keys, &place.member("allowed_keys"));
        let networks = place.member("allowed_networks");
        if key.allowed_networks.is_empty() && networks.is_list() && !networks.has_gaps() {
            networks.error("an empty list lets nobody in; list networks, or leave the field out to allow all");
        }
        teams.check(key.team.as_deref(), &place.member("team"));
    }
}

/// Whether names of keys may be missing.
fn has_key_gaps(file: &File, place: &Place<'_>) -> bool {
    place.has_gaps() || file.providers.names().any(|name| place.member(name).member("keys").has_gaps())
}

fn check_groups(governance: &Governance, place: &Place<'_>) {
    let customers = Known::new(
        "customer",
        governance.customers.iter().map(|customer| customer.name.as_str()),
        place.member("customers").has_gaps(),
    );
    let (mut names, list) = (Names::of("customer"), place.member("customers"));
    for (index, customer) in governance.customers.iter().enumerate() {
        names.take(&customer.name, &list.element(index).member("name"));
    }
    let (mut names, list) = (Names::of("team"), place.member("teams"));
    for (index, team) in governance.teams.iter().enumerate() {
        let place = list.element(index);
        names.take(&team.name, &place.member("name"));
        customers.check(team.customer.as_deref(), &place.member("customer"));
    }
}

fn check_secret(key: &VirtualKey, hashes: &mut HashMap<KeyHash, String>, place: &Place<'_>) {
    let (hash, value) = (place.member("key_hash"), place.member("value"));
    match (&key.key_hash, &key.value) {
        (Some(_), Some(_)) => value.error("the key is given twice; keep either `key_hash` or `value`"),
        (None, None) if !value.is_mended() => {
            hash.error(
                "the key itself is missing; add `key_hash` (`azgate key hash` prints it), or `value` as a reference",
            );
        }
        _ => {}
    }
    if value.text().is_some_and(|text| !is_reference(text)) {
        value.warn("this key can be read by everybody who sees the file; write its `key_hash`, or a reference");
    }
    let Some(found) = key.hash() else { return };
    if let Some(first) = hashes.get(&found) {
        place.error(format!("the virtual key at {first} is the same secret; give each caller one of its own"));
    } else {
        hashes.insert(found, place.position());
    }
}
