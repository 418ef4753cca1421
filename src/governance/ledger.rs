//! The counters of one subject, whatever its limits are at the moment. A ledger outlives reloads; the limits that it is
//! held against come with each request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::limits::{Limits, Measure, Period, Span};
use super::moment::Moment;
use super::spending::Spending;
use super::window::Window;
use crate::base::locks::lock;

/// Counters behind a lock of their own.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
    /// Something has changed since it was last saved.
    changed: AtomicBool,
}

/// The counters themselves.
#[derive(Debug, Default, Clone)]
pub struct Books {
    /// The latest moment seen. Callers read the clock before they come here, so one may be a little behind another.
    pub(super) latest: u64,
    running: u64,
    /// Micro-dollars that running requests may still cost.
    reserved: u64,
    /// What the process holds that this one takes over from, until it has ended.
    pub(super) elsewhere: Holding,
    pub(super) spending: Spending,
    /// By measure and span; there once a limit has asked for it.
    pub(super) windows: [[Option<Box<Window>>; 3]; 2],
}

/// What running requests hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    pub requests: u64,
    /// Micro-dollars that they may still cost.
    pub cost: u64,
}

/// What one request may take at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    pub tokens: Estimate,
    /// Micro-dollars; 0 when the price is not known.
    pub cost: Estimate,
}

/// What is expected, and the part of it that is no guess.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The prompt, and the output that the request allows itself.
    pub sure: u64,
    /// The same with the output that the model usually makes, where the request sets no limit. At least `sure`.
    pub likely: u64,
}

/// What a request has used in truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub tokens: u64,
    /// Micro-dollars.
    pub cost: u64,
}

/// The windows, by measure and span, from which a request has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken([[bool; 3]; 2]);

/// Which limit has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    Rate(Measure, Span),
    Concurrency,
    Budget(Period),
}

/// A limit without room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    pub what: What,
    pub limit: u64,
    /// What the request needs.
    pub needed: u64,
    /// Milliseconds until there may be room; `None` when there never will be.
    pub wait: Option<u64>,
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub limit: u64,
    pub remaining: u64,
    /// Milliseconds until all of it is there again, if nothing more is used.
    pub reset: u64,
}

/// A slot becomes free when some request ends, and nobody knows when that is.
const SLOT_WAIT: u64 = 1_000;

impl Estimate {
    pub fn exactly(amount: u64) -> Self {
        Self { sure: amount, likely: amount }
    }

    /// What has to be free under a limit. A guess never keeps out a request that has the limit to itself.
    pub(super) fn needed(self, limit: u64) -> u64 {
        self.likely.min(limit.max(self.sure))
    }
}

impl Demand {
    pub(super) fn of(&self, measure: Measure) -> Estimate {
        match measure {
            Measure::Requests => Estimate::exactly(1),
            Measure::Tokens => self.tokens,
        }
    }
}

impl Ledger {
    /// A panic elsewhere leaves the counters whole: each change of them is made of steps that cannot fail.
    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    pub(super) fn touch(&self) {
        // Only the first change of many writes to memory that other threads read.
        if !self.changed.load(Ordering::Relaxed) {
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Whether something has changed since this was last asked.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::AcqRel)
    }
}

impl Books {
    /// The limit that keeps a request out for the longest, if one does.
    pub fn excess(&mut self, limits: &Limits, demand: &Demand, now: Moment) -> Option<Excess> {
        let mut worst = None;
        let mut note = |excess: Excess| {
            let longest = |worst: &Excess| match (worst.wait, excess.wait) {
                (Some(worst), Some(wait)) => worst >= wait,
                (worst, _) => worst.is_none(),
            };
            if !worst.as_ref().is_some_and(longest) {
                worst = Some(excess);
            }
        };
        if let Some(limit) = limits.concurrent.filter(|limit| self.running + self.elsewhere.requests >= *limit) {
            note(Excess { what: What::Concurrency, limit, needed: 1, wait: Some(SLOT_WAIT) });
        }
        for (measure, span, limit) in rates(limits) {
            let needed = demand.of(measure).needed(limit);
            let wait = match &mut self.windows[measure as usize][span as usize] {
                Some(window) => window.wait(span, now.steady, needed, limit),
                None => (needed <= limit).then_some(0),
            };
            if wait != Some(0) {
                note(Excess { what: What::Rate(measure, span), limit, needed, wait });
            }
        }
        self.spending.advance(now.wall);
        for (period, limit) in budgets(limits) {
            let (needed, spent) = (demand.cost.needed(limit), self.spending.spent(period));
            // A free request still needs a budget that is not spent.
            let taken = spent.saturating_add(self.reserved).saturating_add(self.elsewhere.cost);
            if taken.saturating_add(needed) > limit || taken >= limit {
                let fits = needed <= limit && limit > 0;
                // What others have reserved may come back sooner than the next period begins.
                let held = spent.saturating_add(needed) <= limit && spent < limit;
                let renewed = || self.spending.until_renewed(period, now.wall).map(|seconds| seconds * 1_000);
                let wait = if held { Some(SLOT_WAIT) } else { fits.then(renewed).flatten() };
                note(Excess { what: What::Budget(period), limit, needed, wait });
            }
        }
        worst
    }

    /// Takes what a request may use. Asks no limit. Returns from which windows it has taken, for the settlement: a reload
    /// may bring limits in the meantime.
    pub fn take(&mut self, limits: &Limits, demand: &Demand, now: Moment) -> Taken {
        self.latest = self.latest.max(now.steady);
        self.running += 1;
        self.reserved = self.reserved.saturating_add(demand.cost.likely);
        let mut taken = Taken::default();
        for (measure, span, _) in rates(limits) {
            let window = self.windows[measure as usize][span as usize].get_or_insert_default();
            window.take(span, now.steady, demand.of(measure).likely);
            taken.0[measure as usize][span as usize] = true;
        }
        taken
    }

    /// Gives back what a request has taken, and counts what it has used; without `used` it never was.
    pub fn settle(&mut self, demand: &Demand, at: Moment, taken: Taken, used: Option<Used>, now: Moment) {
        self.running = self.running.saturating_sub(1);
        self.reserved = self.reserved.saturating_sub(demand.cost.likely);
        for measure in Measure::ALL {
            let counted = match (measure, used) {
                (Measure::Requests, used) => u64::from(used.is_some()),
                (Measure::Tokens, used) => used.map_or(0, |used| used.tokens),
            };
            for span in Span::ALL.into_iter().filter(|span| taken.0[measure as usize][*span as usize]) {
                if let Some(window) = &mut self.windows[measure as usize][span as usize] {
                    window.settle(span, at.steady, demand.of(measure).likely, counted);
                }
            }
        }
        if let Some(used) = used {
            self.spending.spend(used.cost, now.wall);
        }
    }

    /// What is left of the rate that leaves least of a measure.
    pub fn room(&mut self, limits: &Limits, measure: Measure, now: Moment) -> Option<Room> {
        let of_measure = rates(limits).filter(|(found, ..)| *found == measure);
        let rooms = of_measure.map(|(_, span, limit)| match &mut self.windows[measure as usize][span as usize] {
            Some(window) => Room {
                limit,
                remaining: limit.saturating_sub(window.used(span, now.steady)),
                reset: window.until_empty(span, now.steady),
            },
            None => Room { limit, remaining: limit, reset: 0 },
        });
        rooms.min_by_key(|room| room.remaining)
    }

    /// What requests of this process hold.
    pub(super) fn held(&self) -> Holding {
        Holding { requests: self.running, cost: self.reserved }
    }
}

/// The rates that are limited.
pub(super) fn rates(limits: &Limits) -> impl Iterator<Item = (Measure, Span, u64)> + '_ {
    let all = Measure::ALL.into_iter().flat_map(|measure| Span::ALL.map(|span| (measure, span)));
    all.filter_map(|(measure, span)| Some((measure, span, limits.rate(measure, span)?)))
}

/// The budgets that are limited.
pub(super) fn budgets(limits: &Limits) -> impl Iterator<Item = (Period, u64)> + '_ {
    Period::ALL.into_iter().filter_map(|period| Some((period, limits.budget(period)?)))
}
