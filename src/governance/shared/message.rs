//! What the scripts are told, and how their answers are read.

use serde::Serialize;

use crate::governance::account::{Account, Exceeded, Member, Standing};
use crate::governance::ledger::{self, Demand, Excess, Room, Used, What};
use crate::governance::limits::{Measure, Period, Span};
use crate::governance::moment::Moment;
use crate::governance::spending::{self, Spending};

/// The common beginning of all keys. Its braces keep them together in one slot of a cluster, as one script needs them.
pub const PREFIX: &str = "azgate:{limits}";

/// For how long a gateway may be silent before what its requests have reserved is given back.
pub const LEASE: u64 = 45_000;

/// For how long it is remembered that a request was settled.
const REMEMBER: u64 = 600_000;

/// A question to `reserve.lua`.
#[derive(Serialize)]
pub struct Reserve {
    pub id: String,
    lease: u64,
    subjects: Vec<Wanted>,
}

#[derive(Serialize)]
struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrent: Option<u64>,
    /// Micro-dollars to reserve.
    cost: u64,
    rates: Vec<Rate>,
    budgets: Vec<Budget>,
}

#[derive(Serialize)]
struct Rate {
    name: String,
    span: u64,
    limit: u64,
    needed: u64,
    take: u64,
}

#[derive(Serialize)]
struct Budget {
    name: &'static str,
    number: i64,
    limit: u64,
    needed: u64,
    /// Milliseconds until it is renewed, or -1.
    wait: i64,
}

/// What `settle.lua` is told.
#[derive(Debug, Clone, Serialize)]
pub struct Settle {
    pub id: String,
    /// When it was reserved, by the store's clock; absent when nobody knows whether it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    lease: u64,
    remember: u64,
    subjects: Vec<Settled>,
}

/// Which settlements can be added up: those of the same subjects under the same limits in the same periods.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    keys: Vec<String>,
    /// Names of rates, and names and numbers of budgets, by subject.
    limits: Vec<(Vec<String>, Vec<Numbered>)>,
}

#[derive(Debug, Clone, Serialize)]
struct Settled {
    cost: u64,
    spent: u64,
    rates: Vec<UsedRate>,
    budgets: Vec<Numbered>,
}

#[derive(Debug, Clone, Serialize)]
struct UsedRate {
    name: String,
    span: u64,
    take: u64,
    used: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
struct Numbered {
    name: &'static str,
    number: i64,
}

/// The members that are limited at all; nobody asks about the others.
pub fn limited(account: &Account) -> impl Iterator<Item = &Member> {
    account.members().iter().map(|member| &**member).filter(|member| !member.limits.is_unlimited())
}

/// The keys of the limited members.
pub fn keys(account: &Account) -> Vec<String> {
    let key = |member: &Member| format!("{PREFIX}:{}:{}", member.subject.kind.name(), member.subject.name);
    limited(account).map(key).collect()
}

impl Reserve {
    pub fn new(id: String, account: &Account, demand: &Demand, now: Moment) -> Self {
        let mut calendar = Spending::default();
        calendar.advance(now.wall);
        let wanted = |member: &Member| Wanted {
            concurrent: member.limits.concurrent,
            cost: demand.cost.likely,
            rates: ledger::rates(&member.limits)
                .map(|(measure, span, limit)| rate(measure, span, limit, demand))
                .collect(),
            budgets: ledger::budgets(&member.limits)
                .map(|(period, limit)| {
                    let needed = demand.cost.needed(limit);
                    let renewed = || calendar.until_renewed(period, now.wall).map(|seconds| seconds as i64 * 1_000);
                    let wait = (needed <= limit && limit > 0).then(renewed).flatten().unwrap_or(-1);
                    Budget { name: name(period), number: spending::number_of(period, now.wall), limit, needed, wait }
                })
                .collect(),
        };
        Self { id, lease: LEASE, subjects: limited(account).map(wanted).collect() }
    }

    /// What the limit is that a script found full.
    pub fn exceeded(&self, account: &Account, full: &Full) -> Option<Exceeded> {
        let (member, wanted) = (limited(account).nth(full.subject)?, self.subjects.get(full.subject)?);
        let wait = u64::try_from(full.wait).ok();
        let (what, limit, needed) = match full.what.as_str() {
            "rate" => {
                let (measure, span, limit) = ledger::rates(&member.limits).nth(full.index)?;
                (What::Rate(measure, span), limit, wanted.rates.get(full.index)?.needed)
            }
            "budget" => {
                let (period, limit) = ledger::budgets(&member.limits).nth(full.index)?;
                (What::Budget(period), limit, wanted.budgets.get(full.index)?.needed)
            }
            _ => (What::Concurrency, member.limits.concurrent?, 1),
        };
        let excess = Excess { what, limit, needed, wait };
        let standing = Self::standing(account, &full.rooms);
        Some(Exceeded { subject: member.subject.clone(), excess, standing })
    }

    /// What is left, from the pairs of room and reset that a script answered with, in the order of the rates.
    pub fn standing(account: &Account, rooms: &[(u64, u64)]) -> Standing {
        let rates = limited(account).flat_map(|member| ledger::rates(&member.limits));
        let rooms: Vec<_> = rates
            .zip(rooms)
            .map(|((measure, _, limit), (remaining, reset))| {
                (measure, Room { limit, remaining: *remaining, reset: *reset })
            })
            .collect();
        let nearest = |wanted| {
            let of = rooms.iter().filter(|(measure, _)| *measure == wanted).map(|(_, room)| *room);
            of.min_by_key(|room| room.remaining)
        };
        Standing { requests: nearest(Measure::Requests), tokens: nearest(Measure::Tokens) }
    }
}

impl Settle {
    pub fn new(id: String, at: Option<u64>, account: &Account, demand: &Demand, used: Option<Used>, wall: i64) -> Self {
        let used_of = |measure| match (measure, used) {
            (_, None) => 0,
            (Measure::Requests, Some(_)) => 1,
            (Measure::Tokens, Some(used)) => used.tokens,
        };
        let settled = |member: &Member| Settled {
            cost: demand.cost.likely,
            spent: used.map_or(0, |used| used.cost),
            rates: ledger::rates(&member.limits)
                .map(|(measure, span, limit)| {
                    let Rate { name, span, take, .. } = rate(measure, span, limit, demand);
                    UsedRate { name, span, take, used: used_of(measure) }
                })
                .collect(),
            budgets: ledger::budgets(&member.limits)
                .map(|(period, _)| Numbered { name: name(period), number: spending::number_of(period, wall) })
                .collect(),
        };
        Self { id, at, lease: LEASE, remember: REMEMBER, subjects: limited(account).map(settled).collect() }
    }

    pub fn shape(&self, keys: &[String]) -> Shape {
        let limits = self
            .subjects
            .iter()
            .map(|subject| (subject.rates.iter().map(|rate| rate.name.clone()).collect(), subject.budgets.clone()));
        Shape { keys: keys.to_vec(), limits: limits.collect() }
    }

    /// Counts as a request of its own that was never reserved: what it has used is used now, whenever that is told.
    pub fn alone(self, id: String) -> Self {
        Self { id, at: None, ..self }
    }

    /// Adds what another request of the same shape has used.
    pub fn add(&mut self, other: &Self) {
        for (subject, other) in self.subjects.iter_mut().zip(&other.subjects) {
            subject.spent = subject.spent.saturating_add(other.spent);
            for (rate, other) in subject.rates.iter_mut().zip(&other.rates) {
                rate.used = rate.used.saturating_add(other.used);
            }
        }
    }

    /// The entries of the request, in the order of the keys.
    pub fn entries(&self) -> Vec<String> {
        self.subjects.iter().map(|subject| format!("{}|{}", self.id, subject.cost)).collect()
    }
}

impl Shape {
    pub fn keys(&self) -> Vec<String> {
        self.keys.clone()
    }
}

/// A limit without room, as `reserve.lua` tells it.
#[derive(Debug, PartialEq, Eq)]
pub struct Full {
    pub subject: usize,
    pub what: String,
    pub index: usize,
    pub wait: i64,
    pub rooms: Vec<(u64, u64)>,
}

fn rate(measure: Measure, span: Span, limit: u64, demand: &Demand) -> Rate {
    let estimate = demand.of(measure);
    let (needed, take) = (estimate.needed(limit), estimate.likely);
    Rate { name: format!("{measure}:{span}"), span: span.millis(), limit, needed, take }
}

fn name(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Total => "total",
    }
}
