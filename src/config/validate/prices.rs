//! Budgets that some model never touches, because nobody knows its price.

use std::collections::HashSet;

use crate::config::build::prices;
use crate::config::file::{Budget, File, VirtualKey};
use crate::config::read::Place;
use crate::governance::Prices;

/// As many models are named in one warning.
const NAMED: usize = 5;

/// A model without a price, and where it stands.
type Unpriced<'a> = (&'a str, Place<'a>);

pub fn check(file: &File, root: &Place<'_>) {
    let groups = Groups::new(file);
    let budgeted: Vec<_> = file.governance.virtual_keys.iter().filter(|caller| groups.limit(caller)).collect();
    // Most files have no budget, and looking up all models takes its time.
    if budgeted.is_empty() {
        return;
    }
    let open = |provider: &str, key: &str, model: &str| {
        budgeted.iter().any(|caller| {
            caller.allowed_providers.matches(provider)
                && caller.allowed_keys.matches(key)
                && (caller.allowed_models.matches(model)
                    || caller.allowed_models.matches(&format!("{provider}/{model}")))
        })
    };
    let unpriced = unpriced(file, &prices(&file.pricing), root, open);
    let Some((_, first)) = unpriced.first() else { return };
    let named: Vec<_> = unpriced.iter().take(NAMED).map(|(name, _)| format!("`{name}`")).collect();
    let others = match unpriced.len() - named.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let named = format!("{}{others}", named.join(", "));
    first.warn(format!(
        "no price is known for {named}, so that requests cost the budgets of their callers nothing; \
         add prices by these names to `pricing`"
    ));
}

/// The models that some caller with a budget may name, and that have no price; each once.
fn unpriced<'a>(
    file: &'a File,
    prices: &Prices,
    root: &Place<'a>,
    open: impl Fn(&str, &str, &str) -> bool,
) -> Vec<Unpriced<'a>> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for (provider, settings) in file.providers.iter() {
        let keys = root.member("providers").member(provider).member("keys");
        for (index, key) in settings.keys.iter().enumerate().filter(|(_, key)| key.enabled) {
            let place = keys.element(index);
            let aliases = key.aliases.iter().map(|(name, alias)| {
                (
                    name,
                    vec![alias.model_name.as_deref().unwrap_or(name), alias.model_id.as_str()],
                    place.member("aliases").member(name),
                )
            });
            let literals = key.models.literals().map(|name| (name, Vec::new(), place.member("models")));
            for (name, others, place) in aliases.chain(literals) {
                let unknown = prices.find(others.into_iter().chain([name])).is_none();
                if unknown && open(provider, &key.name, name) && seen.insert(name.to_ascii_lowercase()) {
                    found.push((name, place));
                }
            }
        }
    }
    found
}

/// The groups that have a budget, or whose customer has one.
struct Groups {
    teams: HashSet<String>,
}

impl Groups {
    fn new(file: &File) -> Self {
        let customers = file.governance.customers.iter().filter(|customer| limits(&customer.budget));
        let customers: HashSet<_> = customers.map(|customer| customer.name.to_lowercase()).collect();
        let of =
            |customer: &Option<String>| customer.as_ref().is_some_and(|name| customers.contains(&name.to_lowercase()));
        let teams = file.governance.teams.iter().filter(|team| limits(&team.budget) || of(&team.customer));
        Self { teams: teams.map(|team| team.name.to_lowercase()).collect() }
    }

    fn limit(&self, caller: &VirtualKey) -> bool {
        let team = caller.team.as_ref().is_some_and(|name| self.teams.contains(&name.to_lowercase()));
        caller.enabled && (limits(&caller.budget) || team)
    }
}

fn limits(budget: &Budget) -> bool {
    *budget != Budget::default()
}
