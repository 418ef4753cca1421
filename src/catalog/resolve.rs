//! From a caller's model name to a provider and the keys that serve it (SPEC, "From model name to deployment").
//!
//! Everything that can be known from the configuration is worked out when the catalog is built: a configured name
//! costs one look-up however many aliases and keys there are. Only names that nobody configured are matched against
//! the keys' lists, and those are grouped, so that a thousand keys with the same lists are one match.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::deployment::{Deployment, Family};
use crate::base::globs::Globs;
use crate::base::{KeySet, Label};

/// Metric label of every name that the configuration does not spell out, so that callers cannot invent labels.
pub const OTHER: &str = "other";

/// What one key of a provider answers to.
#[derive(Debug)]
pub struct KeyNames {
    pub name: Arc<str>,
    /// By the alias in lower case.
    pub aliases: HashMap<Box<str>, Deployment>,
    pub models: Globs,
    /// Entries of `models` and aliases as written, for listing.
    pub spelled: Vec<Arc<str>>,
    pub blacklist: Globs,
    pub enabled: bool,
}

#[derive(Debug)]
pub struct ProviderNames {
    pub name: Arc<str>,
    /// The family of every model there, where the service has only one.
    pub family: Option<Family>,
    pub keys: Vec<KeyNames>,
}

#[derive(Debug)]
pub struct Catalog {
    pub(super) providers: Vec<Provider>,
    /// Which provider a bare name belongs to.
    claimed: HashMap<Box<str>, usize>,
    other: Label,
}

#[derive(Debug)]
pub(super) struct Provider {
    pub(super) names: ProviderNames,
    pub(super) known: HashMap<Box<str>, Known>,
    groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) keys: KeySet,
    pub(super) spelled: Arc<str>,
    label: Label,
}

/// Keys with the same lists.
#[derive(Debug)]
struct Group {
    models: Globs,
    blacklist: Globs,
    keys: KeySet,
}

/// A name that is served: by which provider, under which name, by which keys.
#[derive(Debug)]
pub struct Resolved<'a> {
    pub provider: usize,
    /// The name without the provider's prefix, in the caller's spelling.
    pub model: &'a str,
    pub keys: KeySet,
    /// The configured spelling, or [`OTHER`].
    pub label: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("model `{0}` is not served here; `GET /v1/models` lists the names that are")]
    Unknown(String),
    #[error("provider `{provider}` does not serve model `{model}`; `GET /v1/models` lists the names that are")]
    NotOfProvider { provider: Arc<str>, model: String },
}

impl Catalog {
    /// `providers` in the configuration's order, except that the one called `azure` wins where several name a model.
    pub fn new(providers: Vec<ProviderNames>) -> Self {
        let providers: Vec<Provider> = providers.into_iter().map(Provider::new).collect();
        let mut claimed = HashMap::new();
        for index in Self::preferred(&providers) {
            for name in providers[index].known.keys() {
                claimed.entry(name.clone()).or_insert(index);
            }
        }
        Self { providers, claimed, other: Label::new(OTHER) }
    }

    pub fn resolve<'a>(&self, requested: &'a str) -> Result<Resolved<'a>, Unresolved> {
        if let Some((provider, model)) = self.prefixed(requested) {
            return self.within(provider, model).ok_or_else(|| Unresolved::NotOfProvider {
                provider: Arc::clone(&self.providers[provider].names.name),
                model: model.to_owned(),
            });
        }
        let owner = self.claimed.get(&*lower(requested)).copied();
        let found = match owner {
            Some(provider) => self.within(provider, requested),
            None => Self::preferred(&self.providers).find_map(|provider| self.within(provider, requested)),
        };
        found.ok_or_else(|| Unresolved::Unknown(requested.to_owned()))
    }

    /// The deployment that `model` stands for on a key: its alias, else the name itself.
    pub fn deployment(&self, provider: usize, key: usize, model: &str) -> Deployment {
        let names = &self.providers[provider].names;
        match names.keys[key].aliases.get(&*lower(model)) {
            Some(deployment) => deployment.clone(),
            None => names.literal(model),
        }
    }

    /// The deployment that a caller named outright, when the key offers it: by its list of models or as the target
    /// of one of its aliases (whose family it then has).
    pub fn offered(&self, provider: usize, key: usize, deployment: &str) -> Option<Deployment> {
        let names = &self.providers[provider].names;
        let key = &names.keys[key];
        if key.blacklist.matches(deployment) {
            return None;
        }
        let aliased = key.aliases.values().find(|target| target.name.eq_ignore_ascii_case(deployment)).cloned();
        aliased.or_else(|| key.models.matches(deployment).then(|| names.literal(deployment)))
    }

    /// Whether some model of a provider would have no key to serve it, were there only its `ready` keys and not `key`.
    /// Models that only a pattern admits count as served where a ready key admits everything.
    pub fn needs(&self, provider: usize, key: usize, ready: &KeySet) -> bool {
        let provider = &self.providers[provider];
        let alone = |keys: &KeySet| keys.contains(key) && keys.and(ready).is_empty();
        let has_ready = |group: &&Group| !group.keys.and(ready).is_empty();
        let everything = provider.groups.iter().filter(has_ready).any(|group| group.models.names("*"));
        provider.known.values().any(|known| alone(&known.keys))
            || (!everything && provider.groups.iter().any(|group| group.models.has_wildcard() && alone(&group.keys)))
    }

    /// The label of names that the configuration does not spell out.
    pub fn other(&self) -> &Label {
        &self.other
    }

    fn prefixed<'a>(&self, requested: &'a str) -> Option<(usize, &'a str)> {
        let (prefix, model) = requested.split_once('/')?;
        let provider = self.providers.iter().position(|p| p.names.name.eq_ignore_ascii_case(prefix))?;
        Some((provider, model))
    }

    fn within<'a>(&self, index: usize, model: &'a str) -> Option<Resolved<'a>> {
        let provider = &self.providers[index];
        let (keys, label) = match provider.known.get(&*lower(model)) {
            Some(known) => (known.keys.clone(), known.label.clone()),
            None => (provider.matching(model), self.other.clone()),
        };
        (!model.is_empty() && !keys.is_empty()).then_some(Resolved { provider: index, model, keys, label })
    }

    /// `azure` first, then the configuration's order.
    fn preferred(providers: &[Provider]) -> impl Iterator<Item = usize> + '_ {
        let azure = providers.iter().position(|provider| &*provider.names.name == "azure");
        azure.into_iter().chain((0..providers.len()).filter(move |index| Some(*index) != azure))
    }
}

impl ProviderNames {
    fn literal(&self, model: &str) -> Deployment {
        let literal = Deployment::literal(model);
        Deployment { family: self.family.unwrap_or(literal.family), ..literal }
    }
}

impl Provider {
    fn new(names: ProviderNames) -> Self {
        let mut provider = Self { groups: groups(&names.keys), names, known: HashMap::new() };
        let mut known: HashMap<Box<str>, Known> = HashMap::new();
        for key in &provider.names.keys {
            for spelled in &key.spelled {
                let keys = provider.serving(&lower(spelled));
                let entry = || Known { keys, spelled: Arc::clone(spelled), label: Label::new(spelled) };
                known.entry(lower(spelled).into()).or_insert_with(entry);
            }
        }
        known.retain(|_, known| !known.keys.is_empty());
        provider.known = known;
        provider
    }

    /// Keys that serve a configured name: by alias or by list.
    fn serving(&self, lower: &str) -> KeySet {
        let by_alias = |key: &KeyNames| key.enabled && key.aliases.contains_key(lower) && !key.blacklist.matches(lower);
        let keys = self.names.keys.iter().enumerate();
        let aliased: KeySet = keys.filter(|(_, key)| by_alias(key)).map(|(index, _)| index).collect();
        aliased.or(&self.matching(lower))
    }

    fn matching(&self, model: &str) -> KeySet {
        let groups = self.groups.iter().filter(|group| group.models.matches(model) && !group.blacklist.matches(model));
        groups.fold(KeySet::default(), |keys, group| keys.or(&group.keys))
    }
}

fn groups(keys: &[KeyNames]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, key) in keys.iter().enumerate().filter(|(_, key)| key.enabled) {
        let same = groups.iter_mut().find(|group| group.models == key.models && group.blacklist == key.blacklist);
        match same {
            Some(group) => group.keys.insert(index),
            None => groups.push(Group {
                models: key.models.clone(),
                blacklist: key.blacklist.clone(),
                keys: KeySet::from_iter([index]),
            }),
        }
    }
    groups
}

impl KeyNames {
    /// The family and API of a configured alias are its own business; a name tells its family only by itself.
    /// `model` is what is said to be behind the target.
    pub fn alias(
        target: &str,
        family: Option<Family>,
        api: super::Api,
        alias: &str,
        model: Option<&str>,
    ) -> Deployment {
        let names = [alias, target].into_iter().chain(model);
        let told = names.map(Family::of).find(|family| *family == Family::Anthropic);
        let family = family.or(told).unwrap_or(Family::OpenAi);
        Deployment { name: target.into(), model: model.map(Arc::from), family, api }
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests;
