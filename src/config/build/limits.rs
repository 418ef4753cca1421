//! Limits and prices, from dollars as they are written to the integers that are counted.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::file::{Budget, Customer, Governance, Key, Members, Price, RateLimit, Team, VirtualKey};
use crate::governance::{self, Account, Governor, Kind, Limits, Member, Prices};

/// Micro-dollars in a dollar; by chance also picodollars per token in a dollar per million tokens.
const MICRO: f64 = 1e6;

pub fn limits(rate: &RateLimit, budget: &Budget) -> Limits {
    let budgets = [budget.daily_limit_usd, budget.weekly_limit_usd, budget.monthly_limit_usd, budget.total_limit_usd];
    Limits {
        rates: [
            [rate.requests_per_minute, rate.requests_per_hour, rate.requests_per_day],
            [rate.tokens_per_minute, rate.tokens_per_hour, rate.tokens_per_day],
        ],
        concurrent: rate.concurrent_requests,
        budgets: budgets.map(|dollars| dollars.map(millionths)),
    }
}

pub fn prices(pricing: &Members<Price>) -> Prices {
    Prices::new(pricing.iter().map(|(model, price)| (model.to_owned(), self::price(price))))
}

fn price(price: &Price) -> governance::Price {
    let or = |own: Option<f64>, other: f64| millionths(own.unwrap_or(other));
    governance::Price {
        input: millionths(price.input_per_million),
        cached_input: or(price.cached_input_per_million, price.input_per_million),
        cache_write: or(price.cache_write_per_million, price.input_per_million),
        output: millionths(price.output_per_million),
        reasoning: or(price.reasoning_per_million, price.output_per_million),
        long: None,
    }
}

/// Validation keeps amounts between 0 and a billion, so that rounding is all that is left to do.
fn millionths(dollars: f64) -> u64 {
    (dollars * MICRO).round() as u64
}

/// What a provider key allows itself.
pub fn key_account(key: &Key, governor: &Governor) -> Arc<Account> {
    let limits = limits(&key.rate_limit, &Budget::default());
    if limits.is_unlimited() {
        return Arc::default();
    }
    Arc::new(Account::new(vec![governor.member(Kind::ProviderKey, &key.name, limits)]))
}

/// The groups that virtual keys may belong to, by name in any case of letters.
pub struct Groups<'a> {
    governor: &'a Governor,
    teams: HashMap<String, (Arc<Member>, Option<Arc<Member>>)>,
}

impl<'a> Groups<'a> {
    pub fn new(governance: &Governance, governor: &'a Governor) -> Self {
        let customer = |customer: &Customer| {
            let limits = limits(&customer.rate_limit, &customer.budget);
            (customer.name.to_lowercase(), governor.member(Kind::Customer, &customer.name, limits))
        };
        let customers: HashMap<_, _> = governance.customers.iter().map(customer).collect();
        let team = |team: &Team| {
            let customer = team.customer.as_ref().and_then(|name| customers.get(&name.to_lowercase())).cloned();
            let limits = limits(&team.rate_limit, &team.budget);
            (team.name.to_lowercase(), (governor.member(Kind::Team, &team.name, limits), customer))
        };
        Self { governor, teams: governance.teams.iter().map(team).collect() }
    }

    /// What a virtual key's requests are charged to: the key, its team and its team's customer.
    pub fn account(&self, key: &VirtualKey) -> Arc<Account> {
        let limits = limits(&key.rate_limit, &key.budget);
        let own = self.governor.member(Kind::VirtualKey, &key.name, limits);
        let team = key.team.as_ref().and_then(|name| self.teams.get(&name.to_lowercase())).cloned();
        let groups = team.into_iter().flat_map(|(team, customer)| [Some(team), customer]).flatten();
        Arc::new(Account::new(std::iter::once(own).chain(groups).collect()))
    }
}
