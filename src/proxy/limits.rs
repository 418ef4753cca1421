//! Stage 3b: What a request may use is taken from its caller's limits before the first attempt, and what it has used is
//! counted in its place at the end.

use std::time::Instant;

use http::HeaderValue;
use pingora::http::ResponseHeader;

use super::exchange::{Attempt, Caller, Plan, Reply, Reserved, Target};
use super::form::Form;
use super::pick::Pick;
use super::refuse::Refusal;
use crate::catalog::Deployment;
use crate::dialect::{Members, Operation};
use crate::governance::{Demand, Estimate, Price, Prices, Reservation, Room, Standing, Tokens, Used};
use crate::snapshot::Snapshot;

/// Where callers limit the output of a request, in the dialects that have such a limit.
const OUTPUT_LIMITS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// More tokens than any request has, and more micro-dollars than any costs: a caller may allow himself anything.
const MOST: u64 = 1_000_000_000_000_000;

/// Counts what a request has used in the place of what was reserved. One that was never sent leaves no trace.
pub fn settle(
    reserved: Option<Reserved>,
    key_hold: Option<Reservation>,
    bill: &Bill,
    attempts: &[Attempt],
    snapshot: &Snapshot,
) {
    if let Some(hold) = key_hold.filter(|_| !attempts.is_empty()) {
        hold.settle(bill.used(), snapshot.governor.clock.now());
    }
    let Some(Reserved { reservation, hold, .. }) = reserved.filter(|_| !attempts.is_empty()) else { return };
    reservation.into_iter().for_each(|own| own.settle(bill.used(), snapshot.governor.clock.now()));
    hold.into_iter().for_each(|shared| shared.settle(bill.used()));
}

/// Reserves the prompt, and the output that the request allows itself or that its model usually makes.
pub async fn reserve(
    operation: Operation,
    caller: &Caller,
    plan: &Plan,
    snapshot: &Snapshot,
    prompt: u64,
) -> Result<Reserved, Refusal> {
    let (output, prices) = (output(operation, plan, snapshot), expected_prices(plan, snapshot));
    let cost = |output| {
        let tokens = Tokens { input: prompt, output, ..Tokens::default() };
        prices.iter().map(|price| price.cost(&tokens)).max().unwrap_or(0).min(MOST)
    };
    let tokens = |output: u64| prompt.saturating_add(output).min(MOST);
    let demand = Demand {
        tokens: Estimate { sure: tokens(output.sure), likely: tokens(output.likely) },
        cost: Estimate { sure: cost(output.sure), likely: cost(output.likely) },
    };
    let Caller::Virtual(key) = caller else {
        return Ok(Reserved { demand, reservation: None, hold: None, standing: Standing::default() });
    };
    let (governor, now) = (&snapshot.governor, snapshot.governor.clock.now());
    let reserved = key.account.reserve(demand, now);
    let (reservation, standing) = reserved.map_err(Refusal::from)?;
    let mut reserved = Reserved { demand, reservation: Some(reservation), hold: None, standing };
    if let Some(shared) = governor.shared.as_ref().filter(|_| !key.account.is_unlimited()) {
        let (hold, shared_standing) = shared.reserve(&key.account, demand, now).await?;
        reserved.hold = Some(hold);
        reserved.standing = shared_standing.unwrap_or(standing);
    }
    Ok(reserved)
}

/// Tells the caller what his limits leave. Resets are milliseconds, as Azure writes them.
pub fn tell(head: &mut ResponseHeader, standing: &Standing) {
    let mut insert = |names: [&'static str; 3], room: Option<Room>| {
        let Some(Room { limit, remaining, reset }) = room else { return };
        for (name, value) in names.into_iter().zip([limit, remaining, reset]) {
            // The names are this function's own, so inserting cannot fail.
            let _ = head.insert_header(name, HeaderValue::from(value));
        }
    };
    insert(
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
        standing.requests,
    );
    insert(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"], standing.tokens);
}

/// What a request that was sent has used: as reported, or else as far as is known of it.
pub struct Bill {
    /// `None` when nothing was used.
    pub tokens: Option<Tokens>,
    /// Micro-dollars; `None` when the price is not known.
    pub cost: Option<u64>,
}

/// Works out the bill. A caller who left while the upstream was at work is charged for the prompt, which was read.
pub fn bill(attempts: &[Attempt], reply: &Reply, prices: &Prices) -> Bill {
    let Some(last) = attempts.last() else { return Bill { tokens: None, cost: Some(0) } };
    let given_up = matches!(last.outcome, "caller_left" | "request_timeout" | "first_byte_timeout");
    let interrupted = reply.usage.is_none() && (given_up || reply.caller_left && last.outcome == "success");
    let tokens = match reply.usage {
        Some(usage) => Some(Tokens {
            input: usage.input,
            cached_input: usage.cached_input,
            cache_write: usage.cache_write,
            output: usage.output,
            reasoning: usage.reasoning,
        }),
        None => interrupted.then(|| Tokens { input: reply.prompt_tokens, ..Tokens::default() }),
    };
    let made_by = || prices.find([reply.made_by.as_deref()?]).copied();
    let price = last.candidate.price.or_else(made_by);
    Bill { cost: tokens.map_or(Some(0), |tokens| Some(price?.cost(&tokens))), tokens }
}

impl Bill {
    pub fn used(&self) -> Used {
        Used { tokens: self.tokens.map_or(0, |tokens| tokens.total()), cost: self.cost.unwrap_or(0) }
    }
}

fn output(operation: Operation, plan: &Plan, snapshot: &Snapshot) -> Estimate {
    // Nothing is made of an object that is there already, nor by counting.
    let counts = matches!(operation, Operation::Embeddings | Operation::CountTokens | Operation::ResponseInputTokens);
    if counts || Form::is_about_object(operation) || Form::stores(operation) || Form::is_list(operation) {
        return Estimate::default();
    }
    let choices = number(&plan.members, "n").unwrap_or(1).max(1);
    match OUTPUT_LIMITS.iter().find_map(|name| number(&plan.members, name)) {
        Some(limit) => Estimate::exactly(limit.saturating_mul(choices)),
        None => {
            let learned = snapshot.governor.sizes.expected(plan.model_label.id());
            Estimate { sure: 0, likely: learned.saturating_mul(choices) }
        }
    }
}

fn number(members: &Members, name: &str) -> Option<u64> {
    members.last(name)?.as_u64()
}

/// The prices of the models that may answer, each on the first key that serves it: which one will is not known yet.
fn expected_prices(plan: &Plan, snapshot: &Snapshot) -> Vec<Price> {
    let price_of = |target: &Target| {
        let pick = Pick { plan, target, snapshot, demand: Demand::default(), now: Instant::now() };
        price(target, &pick.deployment(target.keys.iter().next()?), snapshot)
    };
    plan.targets.iter().filter_map(price_of).collect()
}

/// What a token costs: by the model that is said to be behind the deployment, else by its name as the caller writes it, or
/// else by the deployment's.
pub fn price(target: &Target, deployment: &Deployment, snapshot: &Snapshot) -> Option<Price> {
    let told = deployment.model.as_deref().into_iter();
    snapshot.prices.find(told.chain([target.model.as_str(), &deployment.name])).copied()
}
