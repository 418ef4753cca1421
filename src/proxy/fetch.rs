//! Documents that are not the caller's answer by themselves, but go into it: asked for like any other, over the keys of one
//! target of the plan.

use std::pin::pin;

use bytes::Bytes;
use http::StatusCode;

use super::exchange::Candidate;
use super::form::Form;
use super::lane::{Lane, Left};
use super::refuse::{Refusal, Stop};
use super::relay::Answered;
use super::{judge, pick};
use crate::base::KeySet;
use crate::routing::{Course, Leg, Verdict};

/// Largest document.
const LARGEST: usize = 32 * 1024 * 1024;

impl Lane<'_> {
    /// Asks one target of the plan; `None` where there is no such thing.
    pub async fn document(&mut self, form: Form, target: usize) -> Result<Option<Bytes>, Stop> {
        self.form = form;
        let leg = |(number, other): (usize, &super::exchange::Target)| Leg {
            keys: if number == target { other.keys.clone() } else { KeySet::default() },
            most_retries: other.provider.retries.most,
        };
        let mut course = Course::new(self.plan.targets.iter().enumerate().map(leg).collect());
        let mut picked = self.first(&mut course)?;
        loop {
            let candidate = picked.candidate;
            self.tab.hold_key(picked.hold, &self.snapshot.governor.clock);
            let (verdict, left) = self.try_on(&candidate, picked.waiting).await?;
            let left = match (verdict, left) {
                (Verdict::Keep, Left::Answer(answered)) if answered.head.status.is_success() => {
                    return self.whole(&candidate, *answered).await.map(Some);
                }
                (_, left) => left,
            };
            match self.another(&mut course, &candidate, verdict).await? {
                Some(next) => {
                    self.leave(left).await;
                    picked = next;
                }
                None => return self.without(&candidate, left).await,
            }
        }
    }

    async fn whole(&mut self, candidate: &Candidate, answered: Answered) -> Result<Bytes, Stop> {
        let Answered { mut exchange, mut read, whole, .. } = answered;
        let mut more = !whole;
        while more {
            if read.iter().map(Bytes::len).sum::<usize>() > LARGEST {
                return Err(broken(candidate, "is larger than any list").into());
            }
            more = self.in_time(candidate, pin!(exchange.read(&mut read))).await?.map_err(Refusal::from)?;
        }
        exchange.end(self.connections);
        Ok(super::relay::joined(&mut read))
    }

    /// There is no other attempt, and what the last one left is no document.
    async fn without(&mut self, candidate: &Candidate, left: Left) -> Result<Option<Bytes>, Stop> {
        let answered = match left {
            Left::Refusal(refusal) => return Err((*refusal).into()),
            Left::Answer(answered) => answered,
        };
        let status = answered.head.status;
        let refused = judge::credential_refused(&answered.head, candidate, self.caller);
        self.leave(Left::Answer(answered)).await;
        match (status, refused) {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (_, Some(refusal)) => Err(refusal.into()),
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                let wait = pick::soonest(self.plan, self.snapshot, self.reserved.demand).unwrap_or_default();
                Err(Refusal::all_throttled(self.form.operation.name(), wait).into())
            }
            _ => Err(broken(candidate, &format!("was {status}")).into()),
        }
    }
}

fn broken(candidate: &Candidate, what: &str) -> Refusal {
    let message = "one of the resources that keep such objects did not answer, and a list without its objects would not be \
                   the whole";
    Refusal::new(502, "upstream_broken", message).because(format!("the answer to key `{}` {what}", candidate.key.name))
}
