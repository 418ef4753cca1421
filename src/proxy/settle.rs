//! Stage 10: Once, at the end of every request however it ended: count it and write its line.

use serde::Serialize;

use super::exchange::{Attempt, Caller, Exchange};
use super::limits::Bill;
use crate::base::Label;
use crate::dialect::usage::Usage;
use crate::governance::{Measure, Tokens as Counts, What};
use crate::telemetry::{Metrics, RequestSeries, TokenSeries, logging};

/// Status of a request whose caller left before there was one (nginx's convention).
const CALLER_LEFT: u16 = 499;

/// Labels that are the same for every request, interned once.
pub struct Labels {
    pub none: Label,
    pub anonymous: Label,
    pub direct: Label,
    kinds: [Label; 5],
    /// What a limit counts, and whose it is.
    reasons: [Label; 4],
    scopes: [Label; 4],
    operations: Vec<(&'static str, Label)>,
}

/// One line of the log.
#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    level: &'static str,
    event: &'static str,
    request_id: &'a str,
    caller: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<std::net::IpAddr>,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    stream: bool,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_ms: Option<f64>,
    overhead_ms: f64,
    bytes_in: u64,
    bytes_out: u64,
    attempts: Vec<Tried<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Tokens>,
    /// Micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micro_usd: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    price_unknown: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    usage_estimated: bool,
    /// Pieces of earlier reasoning that the upstream was not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_reasoning: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    caller_left: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_retry: Option<u32>,
    generation: u64,
}

#[derive(Serialize)]
struct Tried<'a> {
    provider: &'a str,
    key: &'a str,
    deployment: &'a str,
    outcome: &'a str,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Tokens {
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
}

impl Labels {
    pub fn new(operations: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            none: Label::new("none"),
            anonymous: Label::new("anonymous"),
            direct: Label::new("direct"),
            kinds: ["input", "cached_input", "cache_write", "output", "reasoning"].map(Label::new),
            reasons: ["requests", "tokens", "concurrency", "budget"].map(Label::new),
            scopes: ["virtual_key", "team", "customer", "provider_key"].map(Label::new),
            operations: operations.into_iter().map(|name| (name, Label::new(name))).collect(),
        }
    }

    fn reason(&self, what: What) -> &Label {
        &self.reasons[match what {
            What::Rate(Measure::Requests, _) => 0,
            What::Rate(Measure::Tokens, _) => 1,
            What::Concurrency => 2,
            What::Budget(_) => 3,
        }]
    }

    fn operation(&self, name: &str) -> &Label {
        self.operations.iter().find(|(known, _)| *known == name).map_or(&self.none, |(_, label)| label)
    }
}

/// Counts the request and writes its line.
pub async fn settle(exchange: &mut Exchange, labels: &Labels, metrics: &Metrics) {
    let bill = close(exchange).await;
    let exchange = &*exchange;
    let Some(received) = &exchange.received else { return };
    let reply = &exchange.reply;
    let operation = labels.operation(received.operation.map_or("none", |operation| operation.name()));
    let caller = caller(exchange.caller.as_ref(), labels);
    let status = reply.status.map_or(CALLER_LEFT, |status| status.as_u16());
    let last = exchange.attempts.last();
    let model = exchange.plan.as_ref().map_or(&labels.none, |plan| &plan.model_label);
    let provider = last.map_or(&labels.none, |attempt| &attempt.candidate.provider.label);
    let key = last.map_or(&labels.none, |attempt| &attempt.candidate.key.label);
    for attempt in &exchange.attempts {
        metrics.attempt(&attempt.candidate.key.label, attempt.outcome);
    }
    metrics.request(RequestSeries { operation, provider, key, model, status, caller });
    count_tokens(reply.usage.as_ref(), model, caller, labels, metrics);
    count_money(&bill, model, caller, metrics);
    if let Some((what, kind)) = reply.exceeded {
        metrics.limits.rejection(labels.reason(what), &labels.scopes[kind as usize], caller);
    }
    let duration = exchange.started.elapsed();
    metrics.took(operation, duration, reply.first_event);
    let overhead = duration.saturating_sub(reply.waited);
    metrics.overhead.observe(overhead.as_secs_f64());
    if reply.caller_left {
        metrics.client_cancelled.inc();
    }
    logging::line(&Line {
        ts: logging::now(),
        level: if status >= 500 || reply.stream_failure.is_some() { "warn" } else { "info" },
        event: "request",
        request_id: &received.id,
        caller: caller.text(),
        client_address: received.address,
        operation: operation.text(),
        model: exchange.plan.as_ref().map(|plan| plan.model()),
        status,
        code: reply.code,
        cause: reply.cause.as_deref(),
        stream: reply.stream,
        duration_ms: millis(duration),
        first_event_ms: reply.first_event.map(millis),
        overhead_ms: millis(overhead),
        bytes_in: reply.bytes_in,
        bytes_out: reply.bytes_out,
        attempts: exchange.attempts.iter().map(tried).collect(),
        usage: reply.usage.map(tokens),
        cost_micro_usd: bill.cost.filter(|_| bill.tokens.is_some()),
        price_unknown: bill.cost.is_none(),
        usage_estimated: reply.usage_estimated,
        dropped_reasoning: Some(reply.dropped_reasoning).filter(|count| *count > 0),
        caller_left: reply.caller_left,
        stream_failure: reply.stream_failure,
        client_retry: received.retry_count.filter(|count| *count > 0),
        generation: exchange.snapshot.generation,
    });
}

/// Ends what the request has reserved and teaches what its answer has shown.
async fn close(exchange: &mut Exchange) -> Bill {
    let (reply, snapshot) = (&mut exchange.reply, &exchange.snapshot);
    let bill = exchange.tab.settle(&exchange.attempts, reply, snapshot).await;
    let Some(plan) = &exchange.plan else { return bill };
    if let Some(usage) = reply.usage.filter(|_| !reply.usage_estimated && reply.made_by.is_none()) {
        snapshot.governor.sizes.learn(plan.model_label.id(), usage.output);
    }
    if let (None, Some(Counts { input, .. })) = (reply.usage, bill.tokens) {
        reply.usage = Some(Usage { input, ..Usage::default() });
        reply.usage_estimated = true;
    }
    bill
}

fn caller<'a>(caller: Option<&'a Caller>, labels: &'a Labels) -> &'a Label {
    match caller {
        Some(Caller::Virtual(key)) => &key.label,
        Some(Caller::Anonymous) => &labels.anonymous,
        Some(Caller::Direct { .. }) => &labels.direct,
        None => &labels.none,
    }
}

fn count_tokens(usage: Option<&Usage>, model: &Label, caller: &Label, labels: &Labels, metrics: &Metrics) {
    let Some(usage) = usage else { return };
    let counts = [usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning];
    for (kind, count) in labels.kinds.iter().zip(counts) {
        metrics.tokens(TokenSeries { model, caller, kind }, count);
    }
}

fn count_money(bill: &Bill, model: &Label, caller: &Label, metrics: &Metrics) {
    match (bill.tokens, bill.cost) {
        (Some(_), Some(cost)) => metrics.limits.cost(model, caller, cost),
        (Some(_), None) => metrics.limits.price_unknown(model, caller),
        (None, _) => {}
    }
}

fn tried(attempt: &Attempt) -> Tried<'_> {
    Tried {
        provider: &attempt.candidate.provider.name,
        key: &attempt.candidate.key.name,
        deployment: &attempt.candidate.deployment.name,
        outcome: attempt.outcome,
        duration_ms: millis(attempt.duration),
        upstream_id: attempt.upstream_id.as_deref(),
    }
}

fn tokens(usage: Usage) -> Tokens {
    let Usage { input, cached_input, cache_write, output, reasoning } = usage;
    Tokens { input, cached_input, cache_write, output, reasoning }
}

fn millis(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
