//! Stage 5: The next candidate: which of the keys that may serve the request takes it, among those whose gates are open
//! and who are not sick.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::{Candidate, Plan, Target};
use super::limits;
use super::refuse::Refusal;
use crate::base::KeySet;
use crate::catalog::Deployment;
use crate::governance::{Demand, Reservation};
use crate::pool::{Balance, Rotation, Waiting};
use crate::snapshot::{Key, Snapshot};

/// Told where a key's own limits never have room for a request as large as this.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// A candidate, and the place that it takes among those who wait for its key.
pub struct Picked {
    pub candidate: Candidate,
    /// Held until the answer's head is there.
    pub waiting: Waiting,
    /// What was taken from the key's own limits.
    pub hold: Option<Reservation>,
}

/// Picks among the keys of one target.
pub struct Pick<'a> {
    pub plan: &'a Plan,
    pub target: &'a Target,
    pub snapshot: &'a Snapshot,
    /// What the request takes from the key's own limits.
    pub demand: Demand,
    pub now: Instant,
}

impl Pick<'_> {
    /// The next key among these, of the best priority that has an open one.
    pub fn next(&self, among: &KeySet) -> Option<Picked> {
        let Target { provider, keys, knowing, .. } = self.target;
        let open = |key: usize| among.contains(key) && self.is_open(key);
        let hold = Cell::new(None);
        let of = |keys: &KeySet| {
            provider.tiers.iter().find_map(|tier| {
                let tier = tier.and(keys);
                tier.iter().any(open).then(|| self.of_tier(&tier, open, &hold)).flatten()
            })
        };
        let index = of(knowing).or_else(|| of(keys))?;
        let (key, deployment) = (Arc::clone(&provider.keys[index]), self.deployment(index));
        let price = limits::price(self.target, &deployment, self.snapshot);
        Some(Picked {
            hold: hold.take(),
            waiting: key.memory.latency.wait(),
            candidate: Candidate { provider: Arc::clone(provider), index, deployment, price, key },
        })
    }

    /// Whether any of these keys could be asked now.
    pub fn any_open(&self, among: &KeySet) -> bool {
        among.iter().any(|key| self.is_open(key))
    }

    /// One of the keys of a priority that are open: the session's own if it may, else as the provider balances.
    fn of_tier(&self, tier: &KeySet, open: impl Fn(usize) -> bool, hold: &Cell<Option<Reservation>>) -> Option<usize> {
        let provider = &self.target.provider;
        // The turns are those of all keys that may serve, tried or not: what is left shares in the same proportion.
        let rotation = provider.rotations.of(tier);
        // Entering last: it makes this request the probe of a breaker that is half-open.
        let enter = |key: &usize| {
            let key = &provider.keys[*key];
            let held = self.take(key);
            held.is_some_and(|held| {
                key.memory.breaker.enter(&provider.breaker, self.now) && {
                    hold.set(held);
                    true
                }
            })
        };
        let used_last = self.plan.session.and_then(|session| provider.sessions.key(session));
        let own = used_last.filter(|key| open(*key) && rotation.has_room(*key, self.now));
        let chosen = own.or_else(|| self.balanced(&rotation, &open)).filter(enter);
        let in_turn = || rotation.next_open(|key| open(key) && enter(&key));
        // Keys without any weight have no turns, but serve while no other is open.
        let key = chosen.or_else(in_turn).or_else(|| tier.iter().find(|key| open(*key) && enter(key)))?;
        rotation.count(key, self.now);
        self.plan.session.into_iter().for_each(|session| provider.sessions.remember(session, key));
        Some(key)
    }

    fn balanced(&self, rotation: &Rotation, open: impl Fn(usize) -> bool) -> Option<usize> {
        let keys = &self.target.provider.keys;
        match self.target.provider.balance {
            Balance::Weighted => rotation.next_open(open),
            Balance::LeastLatency => {
                rotation.cheaper_of_two(fastrand::f64, open, |key| keys[key].memory.latency.cost())
            }
            Balance::Headroom => {
                let share = |key: usize| keys[key].memory.headroom.share(&self.deployment(key).name, self.now);
                rotation.by_share(fastrand::f64, open, share)
            }
        }
    }

    fn is_open(&self, key: usize) -> bool {
        let provider = &self.target.provider;
        let admitted = provider.keys[key].memory.breaker.admits(&provider.breaker, self.now);
        admitted && self.wait(key).is_none() && (is_well(self.target, key) || self.none_is_well())
    }

    /// Whether every endpoint that could serve the request is unwell: then the probes may be wrong, and nothing is lost
    /// by trying.
    fn none_is_well(&self) -> bool {
        !self.plan.targets.iter().any(|target| target.keys.iter().any(|key| is_well(target, key)))
    }

    /// How long until a key's gate opens. The deployment's name is worked out only when some gate of the key is closed.
    fn wait(&self, index: usize) -> Option<Duration> {
        let key: &Key = &self.target.provider.keys[index];
        let gates = &key.memory.gates;
        let throttled =
            if gates.are_open(self.now) { None } else { gates.wait(&self.deployment(index).name, self.now) };
        throttled.max(self.own_wait(key))
    }

    /// How long until the key's own limits have room.
    fn own_wait(&self, key: &Key) -> Option<Duration> {
        if key.account.is_unlimited() {
            return None;
        }
        let wait = key.account.wait(self.demand, self.snapshot.governor.clock.now());
        (wait > 0).then(|| Duration::from_millis(wait).min(LONGEST_WAIT))
    }

    /// Takes from the key's own limits, if there are any; `None` when they have no room.
    fn take(&self, key: &Key) -> Option<Option<Reservation>> {
        if key.account.is_unlimited() {
            return Some(None);
        }
        let taken = key.account.reserve(self.demand, self.snapshot.governor.clock.now());
        taken.ok().map(|(reservation, _)| Some(reservation))
    }

    /// What the model is called on a key.
    pub fn deployment(&self, key: usize) -> Deployment {
        self.target.deployment(key, &self.snapshot.catalog)
    }
}

fn is_well(target: &Target, key: usize) -> bool {
    target.provider.keys[key].health.is_well()
}

/// Why there is none: every gate is closed, or no key is there at all.
pub fn none(plan: &Plan, snapshot: &Snapshot, demand: Demand) -> Refusal {
    match soonest(plan, snapshot, demand) {
        Some(wait) => Refusal::all_throttled(plan.model(), wait),
        None => Refusal::no_key(plan.model()),
    }
}

/// How long until the first closed gate opens, over all models that may answer; `None` when one is open already.
pub fn soonest(plan: &Plan, snapshot: &Snapshot, demand: Demand) -> Option<Duration> {
    let now = Instant::now();
    let picks = plan.targets.iter().map(|target| Pick { plan, target, snapshot, demand, now });
    picks.flat_map(|pick| pick.target.keys.iter().map(move |key| pick.wait(key)).collect::<Vec<_>>()).min().flatten()
}
