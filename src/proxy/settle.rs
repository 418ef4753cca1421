//! Stage 10: Once, at the end of every request however it ended: count it and write its line.

use std::time::Duration;

use super::exchange::{Attempt, Caller, Exchange, Received};
use super::limits::Bill;
use crate::base::Label;
use crate::dialect::usage::Usage;
use crate::governance::{Measure, Tokens as Counts, What};
use crate::telemetry::line::name;
use crate::telemetry::{Line, Metrics, RequestSeries, TokenSeries, logging};

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
    let operation = labels.operation(received.operation_name());
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
    write_line(exchange, received, caller, &bill, (status, duration, overhead));
}

/// The request's story in one line.
fn write_line(
    exchange: &Exchange,
    received: &Received,
    caller: &Label,
    bill: &Bill,
    (status, duration, overhead): (u16, Duration, Duration),
) {
    let reply = &exchange.reply;
    let level = if status >= 500 || reply.stream_failure.is_some() { "warn" } else { "info" };
    let mut line = Line::new(level, "request");
    line.text(name!("request_id"), &received.id);
    line.text(name!("caller"), caller.text());
    line.text_if(name!("client_address"), received.address.map(|address| address.to_string()).as_deref());
    line.text(name!("operation"), received.operation_name());
    line.text_if(name!("model"), exchange.plan.as_ref().map(|plan| plan.model()));
    line.number(name!("status"), status.into());
    line.text_if(name!("code"), reply.code);
    line.text_if(name!("cause"), reply.cause.as_deref());
    line.boolean(name!("stream"), reply.stream);
    line.millis(name!("duration_ms"), duration);
    reply.first_event.into_iter().for_each(|first| line.millis(name!("first_event_ms"), first));
    line.millis(name!("overhead_ms"), overhead);
    line.number(name!("bytes_in"), reply.bytes_in);
    line.number(name!("bytes_out"), reply.bytes_out);
    line.list(name!("attempts"), &exchange.attempts, tried);
    reply.usage.iter().for_each(|usage| line.object(name!("usage"), |line| tokens(line, usage)));
    // Micro-dollars.
    line.number_if(name!("cost_micro_usd"), bill.cost.filter(|_| bill.tokens.is_some()));
    line.mark(name!("price_unknown"), bill.cost.is_none());
    line.mark(name!("usage_estimated"), reply.usage_estimated);
    // Pieces of earlier reasoning that the upstream was not told.
    line.number_if(name!("dropped_reasoning"), Some(reply.dropped_reasoning as u64).filter(|count| *count > 0));
    line.mark(name!("caller_left"), reply.caller_left);
    line.text_if(name!("stream_failure"), reply.stream_failure);
    line.number_if(name!("client_retry"), received.retry_count.filter(|count| *count > 0).map(u64::from));
    line.number(name!("generation"), exchange.snapshot.generation);
    logging::write(line);
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

fn tried(line: &mut Line, Attempt { candidate, outcome, duration, upstream_id }: &Attempt) {
    line.text(name!("provider"), &candidate.provider.name);
    line.text(name!("key"), &candidate.key.name);
    line.text(name!("deployment"), &candidate.deployment.name);
    line.text(name!("outcome"), outcome);
    line.millis(name!("duration_ms"), *duration);
    line.text_if(name!("upstream_id"), upstream_id.as_deref());
}

fn tokens(line: &mut Line, usage: &Usage) {
    line.number(name!("input"), usage.input);
    line.number(name!("cached_input"), usage.cached_input);
    line.number(name!("cache_write"), usage.cache_write);
    line.number(name!("output"), usage.output);
    line.number(name!("reasoning"), usage.reasoning);
}
