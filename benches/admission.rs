//! What admission costs: an estimate of the prompt, and a reservation with its settlement, for one virtual key and for a
//! hundred thousand.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod accounts;
mod bodies;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use azgate::governance::{Account, Clock, Governor, Kind, Prompt};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench(args = bodies::NAMES)]
fn prompt(bencher: Bencher<'_, '_>, name: &str) {
    let body = bodies::named(name);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let mut prompt = Prompt::default();
        black_box(&body).chunks(16 * 1024).for_each(|chunk| prompt.feed(chunk));
        prompt.tokens()
    });
}

/// A key with a rate of requests and of tokens and a budget, in one of a hundred teams of one customer.
#[divan::bench(args = [1, 100_000], threads = [1, 2])]
fn reserve_and_settle(bencher: Bencher<'_, '_>, keys: usize) {
    let (governor, clock) = (Governor::default(), Clock::default());
    let limits = accounts::limits(None);
    let customer = governor.member(Kind::Customer, "customer", limits.clone());
    let teams: Vec<_> = (0..100).map(|n| governor.member(Kind::Team, &format!("team-{n}"), limits.clone())).collect();
    let account = |n: usize| {
        let key = governor.member(Kind::VirtualKey, &format!("key-{n}"), limits.clone());
        Arc::new(Account::new(vec![key, Arc::clone(&teams[n % 100]), Arc::clone(&customer)]))
    };
    let (accounts, next) = ((0..keys).map(account).collect::<Vec<_>>(), AtomicUsize::new(0));
    let demand = accounts::demand();
    bencher.bench(|| {
        // A step that meets all keys, in an order that no cache foresees.
        let account = &accounts[next.fetch_add(61_801, Ordering::Relaxed) % keys];
        let (reservation, standing) = account.reserve(black_box(demand), clock.now()).unwrap();
        reservation.settle(accounts::USED, clock.now());
        standing
    });
}
