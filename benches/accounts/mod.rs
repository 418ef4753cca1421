//! What benches reserve, and within which limits.

use azgate::governance::{Demand, Estimate, Limits, Used};

/// A rate of requests and of tokens, a monthly budget, and perhaps a limit of requests at the same time.
pub fn limits(concurrent: Option<u64>) -> Limits {
    Limits {
        rates: [[Some(1 << 40), None, None], [Some(1 << 40), None, None]],
        concurrent,
        budgets: [None, None, Some(1 << 50), None],
    }
}

pub fn demand() -> Demand {
    Demand { tokens: Estimate::exactly(500), cost: Estimate::exactly(1_000) }
}

pub const USED: Used = Used { tokens: 400, cost: 900 };
