//! The exchange lane. The attempts are an ordinary loop, since the body is held and
//! nothing goes to the caller before the answer is known to be worth having.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::StatusCode;
use pingora::protocols::http::ServerSession;

use super::exchange::{Attempt, Caller, Candidate, Plan, Received, Reply, Reserved};
use super::form::Form;
use super::limits::Tab;
use super::pick::{Pick, Picked};
use super::reading::Reading;
use super::refuse::{Refusal, Stop};
use super::relay::{Answered, Relay, Route};
use super::waits::while_caller_stays;
use super::{judge, pick};
use crate::base::limit::{until, within};
use crate::routing::{Course, Leg, Next, RetryBudget, Verdict};
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::upstream::Connections;

/// Answers up to this size are read to judge them, or read over for the sake of their connections.
pub(super) const SHORT: usize = 64 * 1024;

/// How long the reading over may take.
const LEAVING: Duration = Duration::from_millis(200);

/// What the lane works with: the earlier stages' results, and where to note its own.
pub struct Lane<'a> {
    pub session: &'a mut ServerSession,
    pub connections: &'a Connections,
    pub metrics: &'a Metrics,
    pub snapshot: &'a Snapshot,
    pub received: &'a Received,
    pub form: Form,
    pub caller: &'a Caller,
    pub plan: &'a mut Plan,
    pub reserved: &'a Reserved,
    pub budget: &'a RetryBudget,
    pub started: Instant,
    pub tab: &'a mut Tab,
    pub attempts: &'a mut Vec<Attempt>,
    pub reply: &'a mut Reply,
}

/// What an attempt left: shown to the caller if no other attempt takes its place.
pub(super) enum Left {
    Answer(Box<Answered>),
    Refusal(Box<Refusal>),
}

impl Lane<'_> {
    /// Sends the request, to another key where that helps, and relays the answer.
    pub async fn run(mut self) -> Result<(), Stop> {
        self.budget.earn();
        let leg = |target: &super::exchange::Target| Leg {
            keys: target.keys.clone(),
            most_retries: if Form::is_sent_once(self.form.operation) { 0 } else { target.provider.retries.most },
        };
        let mut course = Course::new(self.plan.targets.iter().map(leg).collect());
        let mut picked = self.first(&mut course)?;
        loop {
            let candidate = picked.candidate;
            self.tab.hold_key(picked.hold, &self.snapshot.governor.clock);
            let (verdict, left) = self.try_on(&candidate, picked.waiting).await?;
            let (verdict, left) = match (verdict, left) {
                (Verdict::Keep, Left::Answer(answered)) => {
                    let replaceable =
                        answered.head.status.is_success() && course.goes_on(candidate.index, self.attempts.len());
                    match self.relay(&candidate, answered, replaceable).await {
                        Err(Stop::Rejected { refusal, throttled }) => {
                            (self.reject(&candidate, throttled), Left::Refusal(refusal))
                        }
                        ended => return ended,
                    }
                }
                judged => judged,
            };
            match self.another(&mut course, &candidate, verdict).await? {
                Some(next) => {
                    self.leave(left).await;
                    picked = next;
                }
                None => return self.end_with(&candidate, left).await,
            }
        }
    }

    /// Waits for something within the request's time, unless the caller leaves.
    pub(super) async fn in_time<F: Future + Unpin>(
        &mut self,
        candidate: &Candidate,
        future: F,
    ) -> Result<F::Output, Stop> {
        let limit = candidate.provider.timeouts.request;
        let waited = until(self.started + limit, future);
        let waited = while_caller_stays(self.session, self.reply, waited).await?;
        waited.map_err(|_| Refusal::timed_out(limit).into())
    }

    fn pick(&self, course: &Course) -> Pick<'_> {
        let target = &self.plan.targets[course.leg()];
        let demand = self.reserved.demand;
        Pick { plan: self.plan, target, snapshot: self.snapshot, demand, now: Instant::now() }
    }

    /// The key to begin with.
    pub(super) fn first(&self, course: &mut Course) -> Result<Picked, Refusal> {
        self.untried(course).ok_or_else(|| pick::none(self.plan, self.snapshot, self.reserved.demand))
    }

    /// An untried key of the present leg, else of the next ones.
    fn untried(&self, course: &mut Course) -> Option<Picked> {
        loop {
            let picked = self.pick(course).next(&course.untried());
            if picked.is_some() || !course.next_leg() {
                return picked;
            }
        }
    }

    /// The candidate to try next, when there is reason and leave to try again. Waits where it has failed before.
    pub(super) async fn another(
        &mut self,
        course: &mut Course,
        tried: &Candidate,
        verdict: Verdict,
    ) -> Result<Option<Picked>, Stop> {
        let times = match course.after(tried.index, self.attempts.len(), verdict, self.budget) {
            Next::Stop => return Ok(None),
            Next::Elsewhere => return Ok(self.untried(course)),
            Next::Beyond => return Ok(self.beyond(course)),
            Next::Again(times) => times,
        };
        if let Some(fresh) = self.pick(course).next(&course.untried()) {
            return Ok(Some(fresh));
        }
        if let Some(again) = self.after_a_while(course, tried, times).await? {
            return Ok(Some(again));
        }
        self.budget.give_back();
        Ok(self.beyond(course))
    }

    /// A key of the next legs.
    fn beyond(&self, course: &mut Course) -> Option<Picked> {
        if course.next_leg() { self.untried(course) } else { None }
    }

    /// A key that has failed before, once it had some time to recover.
    async fn after_a_while(&mut self, course: &Course, tried: &Candidate, times: u32) -> Result<Option<Picked>, Stop> {
        let (keys, wait) = (course.unshut(), self.backoff(tried, times));
        let late = Instant::now() + wait >= self.started + tried.provider.timeouts.request;
        if late || !self.pick(course).any_open(&keys) {
            return Ok(None);
        }
        while_caller_stays(self.session, self.reply, pin!(pingora::time::sleep(wait))).await?;
        Ok(self.pick(course).next(&keys))
    }

    /// Doubling with every time, and a random part of that, so that callers who failed together do not come back together.
    fn backoff(&self, tried: &Candidate, times: u32) -> Duration {
        let retries = tried.provider.retries;
        let doubled = retries.first_wait.saturating_mul(1u32.checked_shl(times - 1).unwrap_or(u32::MAX));
        doubled.min(retries.longest_wait).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Reads over a short answer that nobody wants, so that its connection can be used again.
    pub(super) async fn leave(&self, left: Left) {
        let Left::Answer(answered) = left else { return };
        let Answered { mut exchange, whole, .. } = *answered;
        if !whole {
            let drain = pin!(async {
                let (mut chunks, mut length) = (Vec::new(), 0);
                while length < SHORT && exchange.read(&mut chunks).await.unwrap_or(false) {
                    length += chunks.drain(..).map(|chunk| chunk.len()).sum::<usize>();
                }
            });
            // What takes longer is closed instead.
            let _ = within(LEAVING, drain).await;
        }
        exchange.end(self.connections);
    }

    /// There is no other attempt: what the last one left is the caller's.
    async fn end_with(&mut self, candidate: &Candidate, left: Left) -> Result<(), Stop> {
        let left = match left {
            Left::Refusal(refusal) => return Err(self.last(*refusal).into()),
            Left::Answer(answered) => answered,
        };
        if let Some(refusal) = judge::credential_refused(&left.head, candidate, self.caller) {
            self.leave(Left::Answer(left)).await;
            return Err(self.last(refusal).into());
        }
        match self.relay(candidate, left, false).await {
            Err(Stop::Rejected { refusal, throttled }) => {
                self.reject(candidate, throttled);
                Err(self.last(*refusal).into())
            }
            ended => ended,
        }
    }

    fn last(&self, refusal: Refusal) -> Refusal {
        let mut refusal = Refusal { tried_again: self.attempts.len() > 1, ..refusal };
        let may_be_there = refusal.code != "upstream_unreachable" && refusal.code != "credential_unavailable";
        if Form::is_sent_once(self.form.operation) && may_be_there {
            let why = "it was not sent again, since the resource may have taken it";
            refusal.message = format!("{}; {why}", refusal.message).into();
        }
        refusal
    }

    /// An answer turned out broken before any of it was shown. `throttled` holds the answer's hint when it was for that.
    fn reject(&mut self, candidate: &Candidate, throttled: Option<Option<Duration>>) -> Verdict {
        self.came_to(if throttled.is_some() { "throttled" } else { "broken" });
        self.reply.status = None;
        self.reply.stream_failure = None;
        judge::learn_rejection(candidate, throttled)
    }

    /// The last attempt came to another end than its head had promised.
    fn came_to(&mut self, outcome: &'static str) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.outcome = outcome;
        }
    }

    async fn relay(&mut self, candidate: &Candidate, answered: Box<Answered>, replaceable: bool) -> Result<(), Stop> {
        let throttled = answered.head.status == StatusCode::TOO_MANY_REQUESTS;
        let register = Form::is_listed(self.form.operation).then_some(&self.snapshot.register);
        let route = Route {
            received: self.received,
            rules: &self.snapshot.client,
            candidate,
            reading: Reading {
                operation: self.form.operation,
                echo: self.plan.echo.clone(),
                hide_usage: answered.hide_usage,
                translated: answered.reply.clone(),
                bound: self.plan.objects.outward(candidate.key.origin, register),
                strip_filter_results: self.snapshot.client.strip_filter_results,
            },
            attempts: self.attempts,
            replaceable,
            soonest: throttled.then(|| pick::soonest(self.plan, self.snapshot, self.reserved.demand)).flatten(),
            reserved: self.reserved,
            billed: &self.snapshot.governor.billed,
            snapshot: self.snapshot,
            deadline: self.started + candidate.provider.timeouts.request,
            started: self.started,
        };
        let mut relay = Relay {
            session: &mut *self.session,
            connections: self.connections,
            metrics: self.metrics,
            reply: &mut *self.reply,
            tab: &mut *self.tab,
            request: &mut self.plan.body,
            route,
        };
        let ended = relay.run(answered).await;
        if let (Some(reason), false) = (self.reply.stream_failure, matches!(ended, Err(Stop::Rejected { .. }))) {
            self.came_to(reason);
            judge::learn_break(candidate, reason);
        }
        ended
    }
}
