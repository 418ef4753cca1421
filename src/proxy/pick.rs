//! Stage 5: The next candidate: whose turn it is among the keys that may serve the request and whose gates are open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::direct;
use super::exchange::{Candidate, Choice, Plan};
use super::refuse::Refusal;
use crate::base::KeySet;
use crate::catalog::Deployment;
use crate::snapshot::{Key, Snapshot};

/// All keys that may serve the request.
pub fn keys(plan: &Plan) -> KeySet {
    match &plan.choice {
        Choice::Direct(_) => KeySet::from_iter([0]),
        Choice::Pool { keys, .. } => keys.clone(),
    }
}

/// The next key in turn among these, of the best priority that has an open one.
pub fn next(plan: &Plan, snapshot: &Snapshot, among: &KeySet) -> Option<Candidate> {
    let provider = match &plan.choice {
        Choice::Direct(key) => {
            return Some(Candidate {
                provider: direct::PROVIDER.clone(),
                index: 0,
                key: Arc::clone(key),
                deployment: Deployment::literal(&plan.model),
                timeouts: snapshot.direct_timeouts,
                breaker: snapshot.direct_breaker,
            });
        }
        Choice::Pool { provider, .. } => *provider,
    };
    let (entry, all, now) = (&snapshot.providers[provider], keys(plan), Instant::now());
    let open = |key: usize| {
        among.contains(key)
            && entry.keys[key].breaker.admits(&entry.breaker, now)
            && wait(plan, snapshot, &entry.keys[key], key, now).is_none()
    };
    // Entering last: it makes this request the probe of a breaker that is half-open.
    let enter = |key: &usize| entry.keys[*key].breaker.enter(&entry.breaker, now);
    // The turns are those of all keys that may serve, tried or not: what is left shares in the same proportion.
    let turn = entry.tiers.iter().find_map(|tier| {
        let tier = tier.and(&all);
        let turn = || entry.rotations.of(&tier).next_open(open).or_else(|| tier.iter().find(|key| open(*key)));
        tier.iter().any(open).then(turn).flatten().filter(enter)
    })?;
    Some(Candidate {
        provider: entry.label.clone(),
        index: turn,
        key: Arc::clone(&entry.keys[turn]),
        deployment: deployment(plan, snapshot, turn),
        timeouts: entry.timeouts,
        breaker: entry.breaker,
    })
}

/// Why there is none: every gate is closed, or no key is there at all.
pub fn none(plan: &Plan, snapshot: &Snapshot) -> Refusal {
    match soonest(plan, snapshot) {
        Some(wait) => Refusal::all_throttled(&plan.model, wait),
        None => Refusal::no_key(&plan.model),
    }
}

/// How long until the first closed gate opens; `None` when one is open already, or there is none.
pub fn soonest(plan: &Plan, snapshot: &Snapshot) -> Option<Duration> {
    let Choice::Pool { provider, keys, .. } = &plan.choice else { return None };
    let (entry, now) = (&snapshot.providers[*provider], Instant::now());
    keys.iter().map(|key| wait(plan, snapshot, &entry.keys[key], key, now)).min().flatten()
}

/// How long until a key's gate opens. The deployment's name is worked out only when some gate of the key is closed.
fn wait(plan: &Plan, snapshot: &Snapshot, key: &Key, index: usize, now: Instant) -> Option<Duration> {
    if key.gates.are_open(now) { None } else { key.gates.wait(&deployment(plan, snapshot, index).name, now) }
}

fn deployment(plan: &Plan, snapshot: &Snapshot, key: usize) -> Deployment {
    let catalog = &snapshot.catalog;
    match &plan.choice {
        Choice::Pool { provider, deployment: Some(name), .. } => {
            let offered = catalog.offered(*provider, key, name);
            offered.unwrap_or_else(|| catalog.deployment(*provider, key, &plan.model))
        }
        Choice::Pool { provider, deployment: None, .. } => catalog.deployment(*provider, key, &plan.model),
        Choice::Direct(_) => Deployment::literal(&plan.model),
    }
}
