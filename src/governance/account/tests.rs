//! Accounts under many schedules, with explicit time, against a plain model of what limits mean.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::governance::ledger::{Estimate, Holding};
use crate::governance::limits::{Period, Span};

const NOON: Moment = Moment { steady: 1_795_953_600_000, wall: 1_795_953_600 };

fn later(millis: u64) -> Moment {
    Moment { steady: NOON.steady + millis, wall: NOON.wall + millis as i64 / 1_000 }
}

fn member(kind: Kind, limits: Limits) -> Arc<Member> {
    Arc::new(Member { subject: Subject { kind, name: "m".into() }, limits, ledger: Arc::default() })
}

fn account(limits: Limits) -> Arc<Account> {
    Arc::new(Account::new(vec![member(Kind::VirtualKey, limits)]))
}

fn demand(tokens: u64, cost: u64) -> Demand {
    Demand { tokens: Estimate::exactly(tokens), cost: Estimate::exactly(cost) }
}

fn per_minute(requests: Option<u64>, tokens: Option<u64>) -> Limits {
    Limits { rates: [[requests, None, None], [tokens, None, None]], ..Limits::default() }
}

fn budget(period: Period, micro: u64) -> Limits {
    let mut limits = Limits::default();
    limits.budgets[period as usize] = Some(micro);
    limits
}

#[test]
fn n_per_minute_admits_n_at_once_and_not_one_more() {
    let account = account(per_minute(Some(600), None));
    let kept: Vec<_> = (0..600).map(|_| account.reserve(demand(1, 0), NOON).unwrap()).collect();
    let refused = account.reserve(demand(1, 0), NOON).unwrap_err();
    assert_eq!(refused.excess.what, What::Rate(Measure::Requests, Span::Minute));
    assert_eq!(refused.excess.wait, Some(61_000));
    assert_eq!(kept.last().unwrap().1.requests, Some(Room { limit: 600, remaining: 0, reset: 61_000 }));
    drop(kept);
    assert!(account.reserve(demand(1, 0), NOON).is_ok(), "what never was counts nothing");
}

#[test]
fn all_of_the_tree_or_nothing_of_it() {
    let team = member(Kind::Team, per_minute(None, Some(100)));
    let of = |key| Arc::new(Account::new(vec![key, Arc::clone(&team)]));
    let (a, b) = (member(Kind::VirtualKey, per_minute(Some(5), None)), member(Kind::VirtualKey, Limits::default()));
    let (a_account, b_account) = (of(Arc::clone(&a)), of(b));
    let (held, _) = b_account.reserve(demand(90, 0), NOON).unwrap();
    for _ in 0..20 {
        let refused = a_account.reserve(demand(20, 0), NOON).unwrap_err();
        assert_eq!(refused.subject.kind, Kind::Team);
    }
    assert_eq!(a.ledger.lock().held(), Holding::default(), "the key was not charged for what its team refused");
    held.settle(Used { tokens: 30, cost: 0 }, later(10));
    let admitted: Vec<_> = (0..20).filter_map(|_| a_account.reserve(demand(10, 0), later(20)).ok()).collect();
    assert_eq!(admitted.len(), 5);
}

#[test]
fn traps_60_a_budget_for_ten_admits_ten_of_a_thousand_at_once_and_settles_to_the_micro_dollar() {
    let tree = vec![
        member(Kind::VirtualKey, budget(Period::Month, 10 * 1_234)),
        member(Kind::Team, budget(Period::Total, 1_000_000)),
        member(Kind::Customer, budget(Period::Day, 1_000_000)),
    ];
    let account = Arc::new(Account::new(tree));
    let (start, admitted) = (Barrier::new(8), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                let kept: Vec<_> = (0..125).filter_map(|_| account.reserve(demand(10, 1_234), NOON).ok()).collect();
                admitted.fetch_add(kept.len() as u64, Ordering::Relaxed);
                for (reservation, _) in kept {
                    reservation.settle(Used { tokens: 9, cost: 1_234 }, later(5));
                }
            });
        }
    });
    // Threads settle while others reserve, and what is settled stays spent.
    assert_eq!(admitted.into_inner(), 10);
    for member in account.members() {
        let books = member.ledger.lock();
        assert_eq!((books.held(), books.spending.spent(Period::Total)), (Holding::default(), 12_340));
    }
}

#[test]
fn traps_45_a_hundred_at_once_against_a_limit_for_ten_let_ten_in() {
    let account = account(per_minute(None, Some(1_000)));
    let (start, admitted) = (Barrier::new(4), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                let kept: Vec<_> = (0..25).filter_map(|_| account.reserve(demand(100, 0), NOON).ok()).collect();
                admitted.fetch_add(kept.len() as u64, Ordering::Relaxed);
                start.wait();
            });
        }
    });
    assert_eq!(admitted.into_inner(), 10);
    assert_eq!(account.wait(demand(1_000, 0), NOON), 0, "all were dropped, as after a crash of their tasks");
}

#[test]
fn a_guess_never_keeps_out_who_has_the_limit_to_himself() {
    let guess = Demand { tokens: Estimate { sure: 50, likely: 5_000 }, cost: Estimate { sure: 1, likely: 900 } };
    let mut limits = per_minute(None, Some(1_000));
    limits.budgets[0] = Some(500);
    let account = account(limits);
    let (only, standing) = account.reserve(guess, NOON).unwrap();
    assert_eq!(standing.tokens.unwrap().remaining, 0);
    assert!(account.reserve(guess, NOON).is_err());
    only.settle(Used { tokens: 70, cost: 2 }, later(1));
    let sure = Demand { tokens: Estimate::exactly(1_001), ..Demand::default() };
    let refused = account.reserve(sure, later(120_000)).unwrap_err();
    assert_eq!((refused.excess.wait, refused.excess.needed), (None, 1_001), "waiting does not help");
}

#[test]
fn slots_come_back_however_a_request_ends() {
    let account = account(Limits { concurrent: Some(2), ..Limits::default() });
    let (first, _) = account.reserve(demand(1, 0), NOON).unwrap();
    let second = account.reserve(demand(1, 0), NOON).unwrap();
    assert_eq!(account.reserve(demand(1, 0), NOON).unwrap_err().excess.what, What::Concurrency);
    first.settle(Used::default(), NOON);
    drop(second);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _both = [account.reserve(demand(1, 0), NOON).unwrap(), account.reserve(demand(1, 0), NOON).unwrap()];
        panic!("in the middle of a request");
    }));
    assert!(panicked.is_err());
    assert_eq!(account.members()[0].ledger.lock().held(), Holding::default());
}

#[test]
fn limits_change_at_once_and_what_was_used_stays() {
    let old = member(Kind::VirtualKey, budget(Period::Month, 1_000));
    let ledger = Arc::clone(&old.ledger);
    let with = |limits| {
        let subject = old.subject.clone();
        Arc::new(Account::new(vec![Arc::new(Member { subject, limits, ledger: Arc::clone(&ledger) })]))
    };
    let before = Arc::new(Account::new(vec![Arc::clone(&old)]));
    before.reserve(demand(1, 800), NOON).unwrap().0.settle(Used { tokens: 1, cost: 800 }, NOON);
    assert!(before.reserve(demand(1, 300), NOON).is_err());
    assert!(with(budget(Period::Month, 2_000)).reserve(demand(1, 300), NOON).is_ok());
    assert!(with(budget(Period::Day, 900)).reserve(demand(1, 300), NOON).is_err(), "a new budget knows what was spent");
}

#[test]
fn a_request_that_began_before_a_limit_came_takes_nothing_from_others() {
    let free = account(Limits::default());
    let subject = free.members()[0].subject.clone();
    let ledger = Arc::clone(&free.members()[0].ledger);
    let limited = Member { subject, limits: per_minute(None, Some(1_000)), ledger };
    let limited = Arc::new(Account::new(vec![Arc::new(limited)]));
    let (before, _) = free.reserve(demand(900, 0), NOON).unwrap();
    let (after, _) = limited.reserve(demand(600, 0), NOON).unwrap();
    before.settle(Used { tokens: 5, cost: 0 }, NOON);
    assert!(limited.reserve(demand(401, 0), NOON).is_err());
    assert!(limited.reserve(demand(400, 0), NOON).is_ok());
    drop(after);
}

#[test]
fn refusals_say_what_would_be_right() {
    let told = |limits, demand| account(limits).reserve(demand, NOON).unwrap_err().to_string();
    assert_eq!(
        told(per_minute(None, Some(10)), demand(11, 0)),
        "virtual key `m` may use 10 tokens per minute, and this request alone may need 11; shorten the prompt or lower the limit of its output"
    );
    assert_eq!(
        told(budget(Period::Month, 2_500_000), demand(1, 2_500_001)),
        "virtual key `m` may spend 2.50 USD per month, and this request may cost 2.500001 USD, which is more than is left"
    );
}

/// Schedules that are tried; `AZGATE_SCHEDULES` asks for more.
fn schedules() -> u64 {
    std::env::var("AZGATE_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// A schedule of requests that come, end, are dropped and wait, and what a plain list of them says was used.
struct Schedule {
    dice: fastrand::Rng,
    account: Arc<Account>,
    limits: [u64; 4],
    now: Moment,
    open: Vec<Reservation>,
    /// When each finished request was let in, and its tokens.
    done: Vec<(u64, u64)>,
    spent: u64,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let [requests, tokens, concurrent, money] =
            [dice.u64(1..12), dice.u64(20..200), dice.u64(1..5), dice.u64(50..500)];
        let mut limits = per_minute(Some(requests), Some(tokens));
        limits.concurrent = Some(concurrent);
        limits.budgets[Period::Total as usize] = Some(money);
        let account = account(limits);
        let limits = [requests, tokens, concurrent, money];
        Self { dice, account, limits, now: NOON, open: Vec::new(), done: Vec::new(), spent: 0 }
    }

    fn step(&mut self) {
        match self.dice.u32(0..10) {
            0..=3 => {
                let demand = demand(self.dice.u64(1..60), self.dice.u64(0..60));
                self.open.extend(self.account.reserve(demand, self.now).ok().map(|(reservation, _)| reservation));
            }
            4..=6 if !self.open.is_empty() => {
                let reservation = self.open.swap_remove(self.dice.usize(0..self.open.len()));
                let (demand, share) = (reservation.demand(), self.dice.u64(0..=100));
                let part = |estimate: Estimate| estimate.likely * share / 100;
                let used = Used { tokens: part(demand.tokens), cost: part(demand.cost) };
                self.done.push((reservation.at().steady, used.tokens));
                self.spent += used.cost;
                reservation.settle(used, self.now);
            }
            7 if !self.open.is_empty() => drop(self.open.swap_remove(self.dice.usize(0..self.open.len()))),
            _ => self.now = later(self.now.steady - NOON.steady + self.dice.u64(0..40_000)),
        }
    }

    /// What the limits promise, at this moment.
    fn check(&self, seed: u64) {
        let [requests, tokens, concurrent, money] = self.limits;
        let held: u64 = self.open.iter().map(|reservation| reservation.demand().cost.likely).sum();
        assert!(self.spent + held <= money, "schedule {seed}: {} + {held} spent of {money}", self.spent);
        assert!(self.open.len() as u64 <= concurrent, "schedule {seed}: {} at once", self.open.len());
        let running = self.open.iter().map(|one| (one.at().steady, one.demand().tokens.likely));
        let all = self.done.iter().copied().chain(running).filter(|(at, _)| at + 60_000 > self.now.steady);
        let (count, sum) = all.fold((0, 0), |(count, sum), (_, tokens)| (count + 1, sum + tokens));
        assert!(count <= requests && sum <= tokens, "schedule {seed}: {count} requests, {sum} tokens in a minute");
    }
}

/// Whatever the schedule, what is used within any minute, at the same time and in a period stays within the limits, and
/// in the end nothing is held.
#[test]
fn no_schedule_gets_more_than_the_limits() {
    for seed in 0..schedules() {
        let mut schedule = Schedule::new(seed);
        for _ in 0..20 {
            schedule.step();
            schedule.check(seed);
        }
        schedule.open.clear();
        let books = schedule.account.members()[0].ledger.lock();
        assert_eq!(
            (books.held(), books.spending.spent(Period::Total)),
            (Holding::default(), schedule.spent),
            "schedule {seed}"
        );
    }
}
