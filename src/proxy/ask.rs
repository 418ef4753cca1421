//! One candidate is asked, and asked once more where that is known to help: over a fresh connection, with another token,
//! or without the reasoning that its resource cannot read.

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderName, StatusCode};

use super::exchange::{Attempt, Candidate};
use super::form::Form;
use super::lane::{Lane, Left, SHORT};
use super::refuse::{Refusal, Stop};
use super::relay::Answered;
use super::send::Prepared;
use super::{judge, names, prove, send, speech};
use crate::dialect::translate::Recall;
use crate::pool::Waiting;
use crate::provider::Credential;
use crate::routing::Verdict;
use crate::upstream::{self, Connections, Fault};

/// Azure's own id of a request, in its answer.
static UPSTREAM_ID: HeaderName = HeaderName::from_static("apim-request-id");

impl Lane<'_> {
    /// Asks one candidate.
    pub(super) async fn try_on(&mut self, candidate: &Candidate, waiting: Waiting) -> Result<(Verdict, Left), Stop> {
        let begun = Instant::now();
        let credential = pin!(prove::credential(candidate));
        let mut credential = match self.in_time(candidate, credential).await? {
            Ok(credential) => credential,
            Err(refusal) => {
                self.note(candidate, "no_token", begun, None);
                return Ok((Verdict::Closed, Left::Refusal(Box::new(refusal))));
            }
        };
        let mut prepared = self.prepare(candidate, credential.as_ref(), Recall::Own).await?;
        let mut asked = self.ask(candidate, &prepared, waiting).await?;
        if asked.as_ref().is_ok_and(|answered| answered.head.status == StatusCode::UNAUTHORIZED)
            && let Some(other) = self.other_token(candidate, credential.as_ref()).await?
        {
            credential = Some(other);
            prepared = self.prepare(candidate, credential.as_ref(), Recall::Own).await?;
            asked = self.ask_instead(candidate, &prepared, asked).await?;
        }
        let unread = |answered: &Answered| judge::reasoning_is_unreadable(answered.head.status, &answered.words());
        if prepared.reasoning.kept > 0 && asked.as_deref().is_ok_and(unread) {
            prepared = self.prepare(candidate, credential.as_ref(), Recall::Nothing).await?;
            asked = self.ask_instead(candidate, &prepared, asked).await?;
        }
        Ok(match asked {
            Ok(answered) => (judge::answer(&answered.head, &answered.words()), Left::Answer(answered)),
            Err(fault) => (judge::failure(&fault), Left::Refusal(Box::new(fault.into()))),
        })
    }

    async fn other_token(
        &mut self,
        candidate: &Candidate,
        refused: Option<&Credential>,
    ) -> Result<Option<Credential>, Stop> {
        let renewed = pin!(prove::renewed(candidate, refused));
        self.in_time(candidate, renewed).await
    }

    /// Asks again in the place of what came of it before.
    async fn ask_instead(
        &mut self,
        candidate: &Candidate,
        prepared: &Prepared,
        before: Result<Box<Answered>, Fault>,
    ) -> Result<Result<Box<Answered>, Fault>, Stop> {
        if let Ok(answered) = before {
            self.leave(Left::Answer(answered)).await;
        }
        let waiting = candidate.key.memory.latency.wait();
        self.ask(candidate, prepared, waiting).await
    }

    async fn prepare(
        &self,
        candidate: &Candidate,
        credential: Option<&Credential>,
        recall: Recall,
    ) -> Result<Prepared, Refusal> {
        let (head, rules) = (self.session.req_header(), &self.snapshot.client);
        let (asked, prompt) = ((self.received, self.form.operation), self.reply.prompt_tokens);
        if let Some(translated) = speech::translate(asked, self.plan, prompt, candidate, recall).await? {
            return send::prepare_translated(head, translated, (candidate, credential), rules);
        }
        let names = names::at(candidate, self.plan, &self.snapshot.catalog);
        send::prepare(head, &self.form, self.plan, (candidate, credential), names, rules)
    }

    /// One attempt on a candidate, with one fresh connection when a pooled one turned out to be closing.
    async fn ask(
        &mut self,
        candidate: &Candidate,
        prepared: &Prepared,
        waiting: Waiting,
    ) -> Result<Result<Box<Answered>, Fault>, Stop> {
        // A connection that was used before may close under a request, and nobody knows then whether that was taken.
        let mut fresh = Form::is_sent_once(self.form.operation);
        loop {
            let begun = Instant::now();
            let exchange = pin!(exchange(self.connections, candidate, prepared, fresh));
            let answered = match self.in_time(candidate, exchange).await {
                Ok(answered) => answered,
                Err(stop) => {
                    let outcome = if matches!(stop, Stop::CallerLeft) { "caller_left" } else { "request_timeout" };
                    self.note(candidate, outcome, begun, None);
                    return Err(stop);
                }
            };
            match answered {
                Ok(answered) => {
                    drop(waiting);
                    self.note(candidate, judge::outcome(answered.head.status), begun, Some(&answered.head));
                    judge::learn(candidate, &answered.head, begun.elapsed());
                    return Ok(Ok(answered));
                }
                Err((fault, reused)) => {
                    self.note(candidate, judge::fault(&fault), begun, None);
                    if fresh || !judge::deserves_fresh_connection(&fault, reused) {
                        judge::learn_fault(candidate, &fault);
                        return Ok(Err(fault));
                    }
                    fresh = true;
                }
            }
        }
    }

    fn note(&mut self, candidate: &Candidate, outcome: &'static str, begun: Instant, head: Option<&Parts>) {
        let id = head.and_then(|head| head.headers.get(&UPSTREAM_ID)).and_then(|id| id.to_str().ok());
        // There is hardly ever a second one, and a vector would begin with room for four.
        self.attempts.reserve_exact(1);
        self.attempts.push(Attempt {
            candidate: candidate.clone(),
            outcome,
            duration: begun.elapsed(),
            upstream_id: id.map(str::to_owned),
        });
    }
}

/// Sends the request and waits for the answer's head, and for its words where it takes those to judge it.
async fn exchange(
    connections: &Connections,
    candidate: &Candidate,
    prepared: &Prepared,
    fresh: bool,
) -> Result<Box<Answered>, (Fault, bool)> {
    let limits = candidate.provider.timeouts.exchange;
    let host = &candidate.key.host;
    let begun = upstream::Exchange::begin(connections, host, &prepared.head, prepared.body.clone(), limits, fresh);
    let mut exchange = begun.await?;
    // An answer that had begun was worked on: its connection is no reason to ask again.
    let head = exchange.head().await.map_err(|fault| (fault, exchange.reused))?;
    let (mut read, mut whole) = (Vec::new(), false);
    if judge::needs_words(head.status) {
        while !whole && read.iter().map(Bytes::len).sum::<usize>() < SHORT {
            whole = !exchange.read(&mut read).await.map_err(|fault| (fault, false))?;
        }
    }
    Ok(Box::new(Answered {
        head,
        exchange,
        read,
        whole,
        hide_usage: prepared.hide_usage,
        reply: prepared.reply.clone(),
        dropped_reasoning: prepared.reasoning.dropped,
    }))
}
