//! Metrics of money and limits.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::{Apart, Register};
use crate::base::Label;

/// What requests cost, and which were kept out.
#[derive(Debug)]
pub struct LimitMetrics {
    cost: IntCounterVec,
    price_unknown: IntCounterVec,
    rejections: IntCounterVec,
    cost_apart: Apart,
    price_unknown_apart: Apart,
    rejections_apart: Apart,
    /// 1 while counters are kept in the state directory.
    pub state_save_success: IntGauge,
    /// 1 while the shared state answers.
    pub shared_state_up: IntGauge,
    /// Requests whose usage the shared state will never hear of.
    pub shared_state_lost: IntCounter,
}

impl LimitMetrics {
    pub(super) fn new(register: &Register<'_>) -> Self {
        Self {
            cost: register.counters(
                "azgate_cost_micro_usd_total",
                "What requests have cost, in millionths of a US dollar.",
                &["model", "caller"],
            ),
            price_unknown: register.counters(
                "azgate_price_unknown_total",
                "Requests whose cost is not counted because their model has no price.",
                &["model", "caller"],
            ),
            rejections: register.counters(
                "azgate_limit_rejections_total",
                "Requests refused because of a limit, by what it counts and whose it is.",
                &["reason", "scope", "caller"],
            ),
            cost_apart: Apart::default(),
            price_unknown_apart: Apart::default(),
            rejections_apart: Apart::default(),
            shared_state_up: register.gauge(
                "azgate_shared_state_up",
                "1 while the shared state answers in time, 0 when this gateway counts for itself.",
            ),
            shared_state_lost: register.counter(
                "azgate_shared_state_lost_total",
                "Requests that ended faster than the shared state could be told, so that their usage is missing in it.",
            ),
            state_save_success: register.gauge(
                "azgate_state_save_success",
                "1 while the counters are kept in the state directory, 0 when they cannot be, or are not to be.",
            ),
        }
    }

    /// What a request has cost, in micro-dollars.
    pub fn cost(&self, model: &Label, caller: &Label, micro: u64) {
        let id = |caller: &Label| [model.id(), caller.id(), 0, 0, 0, 0, 2];
        let series = |caller: &Label| self.cost.with_label_values(&[model.text(), caller.text()]);
        self.cost_apart.count(id, caller, micro, series);
    }

    /// A request that cost nobody knows what.
    pub fn price_unknown(&self, model: &Label, caller: &Label) {
        let id = |caller: &Label| [model.id(), caller.id(), 0, 0, 0, 0, 3];
        let series = |caller: &Label| self.price_unknown.with_label_values(&[model.text(), caller.text()]);
        self.price_unknown_apart.count(id, caller, 1, series);
    }

    /// A request that a limit kept out.
    pub fn rejection(&self, reason: &Label, scope: &Label, caller: &Label) {
        let id = |caller: &Label| [reason.id(), scope.id(), caller.id(), 0, 0, 0, 4];
        let series = |caller: &Label| self.rejections.with_label_values(&[reason.text(), scope.text(), caller.text()]);
        self.rejections_apart.count(id, caller, 1, series);
    }
}
