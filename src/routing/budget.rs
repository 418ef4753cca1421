//! The retry budget: while everything fails, retries stay a fraction of the requests, so that they cannot keep down what
//! they are waiting for.

use std::sync::atomic::{AtomicI64, Ordering};

/// Thousandths of a retry that each request earns: 20 %.
const EARNED: i64 = 200;
/// Thousandths of a retry that can be saved up: three retries at once.
const SAVED: i64 = 3_000;
const RETRY: i64 = 1_000;

/// Shared by all requests; atomics only.
#[derive(Debug)]
pub struct RetryBudget {
    balance: AtomicI64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { balance: AtomicI64::new(SAVED) }
    }
}

impl RetryBudget {
    /// A request has come.
    pub fn earn(&self) {
        let earn = |balance: i64| (balance < SAVED).then(|| (balance + EARNED).min(SAVED));
        // A full budget stays full.
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }

    /// Takes one retry, if there is one.
    pub fn spend(&self) -> bool {
        let spend = |balance: i64| (balance >= RETRY).then(|| balance - RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// A retry that was taken was not used: there was nobody to ask.
    pub fn give_back(&self) {
        self.balance.fetch_add(RETRY, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_and_three_more() {
        let budget = RetryBudget::default();
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.earn();
            while budget.spend() {
                retries += 1;
            }
        }
        assert!((200..=203).contains(&retries), "{retries}");
    }

    #[test]
    fn idle_time_saves_no_more_than_three() {
        let budget = RetryBudget::default();
        (0..100).for_each(|_| budget.earn());
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 3);
    }
}
