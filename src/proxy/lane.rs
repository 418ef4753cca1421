//! The exchange lane: operations with a JSON body. The attempts are an ordinary loop, since the body is held and
//! nothing goes to the caller before the answer is known to be worth having.

use std::time::{Duration, Instant};

use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;

use super::exchange::{Attempt, Caller, Candidate, Plan, Received, Reply};
use super::refuse::{Refusal, Stop};
use super::relay::{Relay, Route};
use super::send::Prepared;
use super::{judge, pick, send};
use crate::dialect::Operation;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::upstream::{self, Connections, Fault};

/// How long a caller may take nothing of an answer that is the gateway's own.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
    pub started: Instant,
    pub attempts: &'a mut Vec<Attempt>,
    pub reply: &'a mut Reply,
}

impl Lane<'_> {
    /// Sends the request and relays the answer.
    pub async fn run(mut self) -> Result<(), Stop> {
        let candidate = pick::next(self.plan, self.snapshot)?;
        let rules = &self.snapshot.client;
        let form = send::Form { operation: self.operation, path: self.path };
        let prepared = send::prepare(self.session.req_header(), form, self.plan, &candidate, rules)?;
        let deadline = self.started + candidate.timeouts.request;
        let (exchange, head) = self.attempt(&candidate, &prepared, deadline).await?;
        if let Some(refusal) = judge::credential_refused(&head, &candidate, self.caller) {
            exchange.end(self.connections).await;
            return Err(refusal.into());
        }
        let route = Route {
            received: self.received,
            rules,
            candidate: &candidate,
            echo: &self.plan.echo,
            attempts: self.attempts.len(),
            hide_usage: prepared.hide_usage,
            deadline,
            started: self.started,
        };
        let relay = Relay {
            session: self.session,
            connections: self.connections,
            metrics: self.metrics,
            reply: self.reply,
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
    ) -> Result<(upstream::Exchange, ResponseHeader), Stop> {
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
                    return Ok((exchange, head));
                }
                Err((fault, reused)) => {
                    self.note(candidate, judge::fault(&fault), begun.elapsed(), None);
                    if fresh || !judge::deserves_fresh_connection(&fault, reused) {
                        return Err(Refusal::from(fault).into());
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
