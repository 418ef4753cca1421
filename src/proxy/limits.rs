//! Stage 3b: What a request may use is taken from its caller's limits before the first attempt, and what it has used is
//! counted in its place at the end.

use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use pingora::http::ResponseHeader;

use super::exchange::{Attempt, Caller, Plan, Reply, Reserved, Target};
use super::form::Form;
use super::pick::Pick;
use super::refuse::Refusal;
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Members, Operation};
use crate::governance::{Clock, Demand, Estimate, Hold, Price, Prices, Reservation, Room, Standing, Tokens, Used};
use crate::snapshot::Snapshot;

/// Where callers limit the output of a request, in the dialects that have such a limit.
const OUTPUT_LIMITS: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];

/// More tokens than any request has, and more micro-dollars than any costs: a caller may allow himself anything.
const MOST: u64 = 1_000_000_000_000_000;

/// No window is longer than a day, in milliseconds.
const MOST_RESET: u64 = 2 * 86_400_000;

/// What a request has taken from limits, until its bill is made. Dropped without a bill, it gives everything back.
#[derive(Debug, Default)]
pub struct Tab {
    /// From the caller's; none for callers without a virtual key, whom nothing limits.
    own: Option<Reservation>,
    /// The same from the counters that gateways share.
    shared: Option<Hold>,
    /// What the last attempt has taken from its key's own limits.
    key: Option<Reservation>,
    bill: Option<Bill>,
}

impl Tab {
    /// Takes from another key. The last one was asked and has given nothing.
    pub fn hold_key(&mut self, hold: Option<Reservation>, clock: &Clock) {
        if let Some(last) = std::mem::replace(&mut self.key, hold) {
            last.settle(Used::default(), clock.now());
        }
    }

    /// Counts a request that was answered here and has used nothing else.
    pub async fn settle_here(&mut self, clock: &Clock) {
        self.own.take().into_iter().for_each(|own| own.settle(Used::default(), clock.now()));
        if let Some(shared) = self.shared.take() {
            shared.settle(Used::default()).await;
        }
    }

    pub fn is_settled(&self) -> bool {
        self.bill.is_some()
    }

    /// Makes the bill, once: counts what was used in the place of what was reserved. To be called before the caller can
    /// see that its answer is complete, since it may ask again at once. A request that was never sent leaves no trace.
    pub async fn settle(&mut self, attempts: &[Attempt], reply: &Reply, snapshot: &Snapshot) -> Bill {
        if let Some(bill) = self.bill {
            return bill;
        }
        let bill = *self.bill.insert(bill(attempts, reply, &snapshot.prices));
        let (sent, clock) = (!attempts.is_empty(), &snapshot.governor.clock);
        let (own, key) = (self.own.take(), self.key.take());
        let shared = self.shared.take().filter(|_| sent);
        own.into_iter().chain(key).filter(|_| sent).for_each(|held| held.settle(bill.used(), clock.now()));
        if let Some(shared) = shared {
            shared.settle(bill.used()).await;
        }
        bill
    }
}

/// Reserves the prompt, and the output that the request allows itself or that its model usually makes.
pub async fn reserve(
    operation: Operation,
    caller: &Caller,
    plan: &Plan,
    snapshot: &Snapshot,
    prompt: u64,
    tab: &mut Tab,
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
        return Ok(Reserved { demand, standing: Standing::default() });
    };
    let (governor, now) = (&snapshot.governor, snapshot.governor.clock.now());
    let reserved = key.account.reserve(demand, now);
    let (reservation, mut standing) = reserved.map_err(Refusal::from)?;
    tab.own = Some(reservation);
    if let Some(shared) = governor.shared.as_ref().filter(|_| !key.account.is_unlimited()) {
        let (hold, shared_standing) = shared.reserve(&key.account, demand, now).await?;
        tab.shared = Some(hold);
        standing = shared_standing.unwrap_or(standing);
    }
    Ok(Reserved { demand, standing })
}

/// Headers that tell of limits, wherever they come from.
pub fn tells_of_limits(name: &str) -> bool {
    name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
}

static NAMES: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ],
    [
        HeaderName::from_static("x-ratelimit-limit-tokens"),
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ],
];
static ANTHROPICS_NAMES: [[HeaderName; 3]; 2] = [
    [
        HeaderName::from_static("anthropic-ratelimit-requests-limit"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ],
    [
        HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ],
];

/// Tells the caller what his limits leave. Resets are milliseconds, as Azure writes them; callers who speak to Claude get
/// Anthropic's own headers too, whose resets are moments.
pub fn told(standing: &Standing, dialect: Dialect) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let rooms = [standing.requests, standing.tokens];
    let azures = of(&NAMES, rooms, HeaderValue::from);
    let anthropics = (dialect == Dialect::Anthropic).then(|| of(&ANTHROPICS_NAMES, rooms, moment));
    azures.chain(anthropics.into_iter().flatten())
}

/// The same in an answer of the gateway's own.
pub fn tell(head: &mut ResponseHeader, standing: &Standing, dialect: Dialect) {
    // The names are this file's own and the values are numbers and dates, so inserting cannot fail.
    told(standing, dialect).for_each(|(name, value)| drop(head.insert_header(name, value)));
}

fn of(
    names: &'static [[HeaderName; 3]; 2],
    rooms: [Option<Room>; 2],
    reset_as: fn(u64) -> HeaderValue,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let known = names.iter().zip(rooms).filter_map(|(names, room)| Some((names, room?)));
    known.flat_map(move |(names, Room { limit, remaining, reset })| {
        names.iter().cloned().zip([limit.into(), remaining.into(), reset_as(reset)])
    })
}

/// When so many milliseconds are over, in whole seconds and never before.
fn moment(reset: u64) -> HeaderValue {
    let moment = Timestamp::now() + Duration::from_millis(reset.min(MOST_RESET));
    let moment = Timestamp::from_second(moment.as_second() + 1).unwrap_or(moment);
    HeaderValue::try_from(moment.to_string()).expect("a date is plain text")
}

/// What a request that was sent has used: as reported, or else as far as is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Bill {
    /// `None` when nothing was used.
    pub tokens: Option<Tokens>,
    /// Micro-dollars; `None` when the price is not known.
    pub cost: Option<u64>,
}

/// Works out the bill. A caller who left while the upstream was at work is charged for the prompt, which was read.
fn bill(attempts: &[Attempt], reply: &Reply, prices: &Prices) -> Bill {
    let Some(last) = attempts.last() else { return Bill { tokens: None, cost: Some(0) } };
    let outcome = reply.stream_failure.unwrap_or(last.outcome);
    let given_up = matches!(outcome, "caller_left" | "request_timeout" | "first_byte_timeout");
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
