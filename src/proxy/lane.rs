//! The exchange lane: operations with a JSON body. The attempts are an ordinary loop, since the body is held and
//! nothing goes to the caller before the answer is known to be worth having.

use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;

use super::exchange::{Attempt, Caller, Candidate, Choice, Plan, Received, Reply, Reserved};
use super::refuse::{Refusal, Stop};
use super::relay::{Relay, Route};
use super::send::Prepared;
use super::{judge, pick, send};
use crate::azure;
use crate::base::KeySet;
use crate::dialect::Operation;
use crate::routing::{Course, Next, RetryBudget, Verdict};
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::upstream::{self, Connections, Fault};

/// How long a caller may take nothing of an answer that is the gateway's own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer that is not wanted is read over up to this size and time, for the sake of its connection.
const LEFT_BEHIND: usize = 64 * 1024;
const LEAVING: Duration = Duration::from_millis(200);

/// What the lane works with: the earlier stages' results, and where to note its own.
pub struct Lane<'a> {
    pub session: &'a mut ServerSession,
    pub connections: &'a Connections,
    pub metrics: &'a Metrics,
    pub snapshot: &'a Snapshot,
    pub received: &'a Received,
    pub operation: Operation,
    /// The operation's path at the upstream.
    pub path: &'static str,
    pub caller: &'a Caller,
    pub plan: &'a Plan,
    pub reserved: &'a Reserved,
    pub budget: &'a RetryBudget,
    pub started: Instant,
    pub attempts: &'a mut Vec<Attempt>,
    pub reply: &'a mut Reply,
}

impl Lane<'_> {
    /// Sends the request, to another key where that helps, and relays the answer.
    pub async fn run(mut self) -> Result<(), Stop> {
        self.budget.earn();
        let (all, most) = (pick::keys(self.plan), self.most_retries());
        let mut course = Course::new(all.clone(), most);
        let mut candidate = self.pick(&all)?;
        loop {
            let rules = &self.snapshot.client;
            let form = send::Form { operation: self.operation, path: self.path };
            let prepared = send::prepare(self.session.req_header(), form, self.plan, &candidate, rules)?;
            let deadline = self.started + candidate.timeouts.request;
            let sent_before = self.attempts.len();
            let answered = self.attempt(&candidate, &prepared, deadline).await?;
            let verdict = match &answered {
                Ok((_, head)) => judge::status(head.status),
                Err(fault) => judge::failure(fault),
            };
            let sent = u32::try_from(self.attempts.len() - sent_before).unwrap_or(u32::MAX);
            match (self.another(&mut course, &candidate, sent, verdict).await?, answered) {
                (Some(next), Ok((exchange, _))) => {
                    self.leave(exchange).await;
                    candidate = next;
                }
                (Some(next), Err(_)) => candidate = next,
                (None, Ok((exchange, head))) => {
                    let replaceable = course.goes_on(candidate.index) && head.status.is_success();
                    let hint = azure::wait(&head.headers, SystemTime::now());
                    match self.relay(&candidate, &prepared, exchange, head, replaceable).await {
                        Err(Stop::Rejected { refusal, throttled }) => {
                            let verdict = self.reject(&candidate, throttled.then_some(hint));
                            match self.another(&mut course, &candidate, 0, verdict).await? {
                                Some(next) => candidate = next,
                                None => return Err(self.last(*refusal).into()),
                            }
                        }
                        ended => return ended,
                    }
                }
                (None, Err(fault)) => return Err(self.last(Refusal::from(fault)).into()),
            }
        }
    }

    fn most_retries(&self) -> u32 {
        match &self.plan.choice {
            Choice::Pool { provider, .. } => self.snapshot.providers[*provider].retries.most,
            Choice::Direct(_) => 0,
        }
    }

    fn pick(&self, among: &KeySet) -> Result<Candidate, Refusal> {
        pick::next(self.plan, self.snapshot, among).ok_or_else(|| pick::none(self.plan, self.snapshot))
    }

    /// The candidate to try next, when there is reason and leave to try again. Waits where it is the same one.
    async fn another(
        &mut self,
        course: &mut Course,
        tried: &Candidate,
        sent: u32,
        verdict: Verdict,
    ) -> Result<Option<Candidate>, Stop> {
        match course.after(tried.index, sent, verdict, self.budget) {
            Next::Stop => Ok(None),
            Next::Elsewhere(keys) => Ok(pick::next(self.plan, self.snapshot, &keys)),
            Next::Again(keys, times) => {
                let wait = self.backoff(times);
                if Instant::now() + wait >= self.started + tried.timeouts.request {
                    return Ok(None);
                }
                let session = &mut *self.session;
                let waited = self.reply.waiting(async {
                    tokio::select! {
                        biased;
                        () = pingora::time::sleep(wait) => Ok(()),
                        () = caller_leaves(session) => Err(Stop::CallerLeft),
                    }
                });
                waited.await?;
                Ok(pick::next(self.plan, self.snapshot, &keys))
            }
        }
    }

    /// Doubling with every time, and a random part of that, so that callers who failed together do not come back together.
    fn backoff(&self, times: u32) -> Duration {
        let Choice::Pool { provider, .. } = &self.plan.choice else { return Duration::ZERO };
        let retries = self.snapshot.providers[*provider].retries;
        let doubled = retries.first_wait.saturating_mul(1u32.checked_shl(times - 1).unwrap_or(u32::MAX));
        doubled.min(retries.longest_wait).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Reads over a short answer that nobody wants, so that its connection can be used again.
    async fn leave(&self, mut exchange: upstream::Exchange) {
        let drain = async {
            let (mut chunks, mut length) = (Vec::new(), 0);
            while length < LEFT_BEHIND && exchange.read(&mut chunks).await.unwrap_or(false) {
                length += chunks.drain(..).map(|chunk| chunk.len()).sum::<usize>();
            }
        };
        // What takes longer is closed instead.
        let _ = timeout(LEAVING, drain).await;
        exchange.end(self.connections).await;
    }

    fn last(&self, refusal: Refusal) -> Refusal {
        Refusal { tried_again: self.attempts.len() > 1, ..refusal }
    }

    /// An answer turned out broken before any of it was shown. `throttled` holds the answer's hint when it was for that.
    fn reject(&mut self, candidate: &Candidate, throttled: Option<Option<Duration>>) -> Verdict {
        let outcome = if throttled.is_some() { "throttled" } else { "broken" };
        self.metrics.attempt(&candidate.key.label, outcome);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = outcome;
        }
        self.reply.status = None;
        self.reply.stream_failure = None;
        judge::learn_rejection(candidate, throttled)
    }

    async fn relay(
        &mut self,
        candidate: &Candidate,
        prepared: &Prepared,
        exchange: upstream::Exchange,
        head: ResponseHeader,
        replaceable: bool,
    ) -> Result<(), Stop> {
        if let Some(refusal) = judge::credential_refused(&head, candidate, self.caller) {
            self.leave(exchange).await;
            return Err(self.last(refusal).into());
        }
        let throttled = head.status == StatusCode::TOO_MANY_REQUESTS;
        let route = Route {
            received: self.received,
            rules: &self.snapshot.client,
            candidate,
            echo: &self.plan.echo,
            attempts: self.attempts.len(),
            replaceable,
            soonest: throttled.then(|| pick::soonest(self.plan, self.snapshot)).flatten(),
            reserved: self.reserved,
            hide_usage: prepared.hide_usage,
            deadline: self.started + candidate.timeouts.request,
            started: self.started,
        };
        let relay = Relay {
            session: &mut *self.session,
            connections: self.connections,
            metrics: self.metrics,
            reply: &mut *self.reply,
            route,
        };
        relay.run(exchange, head).await
    }

    /// One attempt on a candidate, with one fresh connection when a pooled one turned out to be closing.
    async fn attempt(
        &mut self,
        candidate: &Candidate,
        prepared: &Prepared,
        deadline: Instant,
    ) -> Result<Result<(upstream::Exchange, ResponseHeader), Fault>, Stop> {
        let mut fresh = false;
        loop {
            let begun = Instant::now();
            let answered = {
                let exchange = exchange(self.connections, candidate, prepared, fresh);
                let session = &mut *self.session;
                self.reply.waiting(async {
                    tokio::select! {
                        biased;
                        answered = until(deadline, exchange) => Ok(answered),
                        () = caller_leaves(session) => Err(Stop::CallerLeft),
                    }
                })
            };
            let answered =
                answered.await.inspect_err(|_| self.note(candidate, "caller_left", begun.elapsed(), None))?;
            let limit = candidate.timeouts.request;
            let Ok(answered) = answered else {
                self.note(candidate, "request_timeout", begun.elapsed(), None);
                return Err(Refusal::timed_out(limit).into());
            };
            match answered {
                Ok((exchange, head)) => {
                    let id = head.headers.get("apim-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
                    self.note(candidate, judge::outcome(head.status), begun.elapsed(), id);
                    judge::learn(candidate, &head);
                    return Ok(Ok((exchange, head)));
                }
                Err((fault, reused)) => {
                    self.note(candidate, judge::fault(&fault), begun.elapsed(), None);
                    if fresh || !judge::deserves_fresh_connection(&fault, reused) {
                        judge::learn_fault(candidate, &fault);
                        return Ok(Err(fault));
                    }
                    fresh = true;
                }
            }
        }
    }

    fn note(&mut self, candidate: &Candidate, outcome: &'static str, duration: Duration, upstream_id: Option<String>) {
        self.metrics.attempt(&candidate.key.label, outcome);
        self.attempts.push(Attempt { candidate: candidate.clone(), outcome, duration, upstream_id });
    }
}

/// Sends the request and waits for the answer's head.
async fn exchange(
    connections: &Connections,
    candidate: &Candidate,
    prepared: &Prepared,
    fresh: bool,
) -> Result<(upstream::Exchange, ResponseHeader), (Fault, bool)> {
    let limits = candidate.timeouts.exchange;
    let host = &candidate.key.host;
    let begun = upstream::Exchange::begin(connections, host, &prepared.head, prepared.body.clone(), limits, fresh);
    let mut exchange = begun.await?;
    match exchange.head().await {
        Ok(head) => Ok((exchange, head)),
        Err(fault) => Err((fault, exchange.reused)),
    }
}

/// Waits for a future until a moment. Pingora's coarse timers: a precise one of the runtime's would wake the event loop
/// for every request and every event of a stream.
pub async fn until<F: Future>(deadline: Instant, future: F) -> Result<F::Output, pingora::time::Elapsed> {
    timeout(deadline.saturating_duration_since(Instant::now()), future).await
}

/// Writes to the caller. One who takes nothing of it for so long is as good as gone, and holds an upstream meanwhile.
pub async fn caller_takes(limit: Duration, write: impl Future<Output = pingora::Result<()>>) -> Result<(), Stop> {
    let written = timeout(limit, write).await;
    written.ok().and_then(Result::ok).ok_or(Stop::CallerLeft)
}

/// Ends when the caller has gone: its connection or stream was closed or reset. Pingora's call does not end otherwise,
/// since nothing more is expected of the caller and a pipelined request waits for its turn.
pub async fn caller_leaves(session: &mut ServerSession) {
    while session.read_body_or_idle(true).await.is_ok() {}
}
