//! Who pays for a request: a virtual key, its team and its customer, each with limits and a ledger. They are checked
//! together: a request takes from all of them or from none.

use std::fmt;
use std::sync::{Arc, MutexGuard};

use serde::{Deserialize, Serialize};

use super::ledger::{Books, Demand, Excess, Ledger, Room, Taken, Used, What};
use super::limits::{Limits, Measure};
use super::moment::Moment;

/// A virtual key, its team and its customer.
const MOST_MEMBERS: usize = 3;

/// What kind of thing has limits. Ledgers are locked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    VirtualKey,
    Team,
    Customer,
    /// A key of a provider, limited by its own settings.
    ProviderKey,
}

/// Something that has limits and a ledger. Its kind and name are its identity over reloads and restarts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub kind: Kind,
    pub name: Arc<str>,
}

/// A subject with the limits of one configuration.
#[derive(Debug)]
pub struct Member {
    pub subject: Subject,
    pub limits: Limits,
    pub ledger: Arc<Ledger>,
}

/// The subjects whose limits one request has to keep, in the order of their kinds.
#[derive(Debug, Default)]
pub struct Account {
    members: Vec<Arc<Member>>,
}

/// A limit that keeps a request out, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    pub subject: Subject,
    pub excess: Excess,
    /// What is left at this moment.
    pub standing: Standing,
}

/// How a caller stands after a request was let in: what the nearest limits leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    pub requests: Option<Room>,
    pub tokens: Option<Room>,
}

/// What a request has taken from an account. Dropped without being settled it gives everything back, so that a panic, a
/// caller who leaves or a refusal can leak nothing.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    demand: Demand,
    at: Moment,
    /// By member.
    taken: [Taken; MOST_MEMBERS],
    settled: bool,
}

impl Standing {
    /// Whether some rate is limited.
    pub fn is_limited(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }
}

impl Account {
    /// # Panics
    /// In tests, when the members do not stand in the order of their kinds: locks are taken in that order.
    pub fn new(members: Vec<Arc<Member>>) -> Self {
        debug_assert!(members.len() <= MOST_MEMBERS);
        debug_assert!(members.is_sorted_by_key(|member| member.subject.kind), "members stand in the order of locking");
        Self { members }
    }

    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    pub fn is_unlimited(&self) -> bool {
        self.members.iter().all(|member| member.limits.is_unlimited())
    }

    /// Takes what a request may use from every member, or from none.
    ///
    /// # Errors
    /// The limit without room that keeps the request out for the longest.
    pub fn reserve(self: &Arc<Self>, demand: Demand, now: Moment) -> Result<(Reservation, Standing), Box<Exceeded>> {
        // All locks are held at once, and always taken in this order.
        let mut books: Vec<_> = self.members.iter().map(|member| (member, member.ledger.lock())).collect();
        // Time goes on only, for each of them.
        let steady = books.iter().map(|(_, books)| books.latest).max().unwrap_or(0).max(now.steady);
        let now = Moment { steady, ..now };
        let mut worst: Option<(&Subject, Excess)> = None;
        for (member, books) in &mut books {
            if let Some(excess) = books.excess(&member.limits, &demand, now) {
                let wait = |excess: &Excess| excess.wait.unwrap_or(u64::MAX);
                if worst.is_none_or(|(_, worst)| wait(&worst) < wait(&excess)) {
                    worst = Some((&member.subject, excess));
                }
            }
        }
        if let Some((subject, excess)) = worst {
            let subject = subject.clone();
            return Err(Box::new(Exceeded { subject, excess, standing: standing(&mut books, now) }));
        }
        let mut taken = [Taken::default(); MOST_MEMBERS];
        for ((member, books), taken) in books.iter_mut().zip(&mut taken) {
            *taken = books.take(&member.limits, &demand, now);
            member.ledger.touch();
        }
        let standing = standing(&mut books, now);
        drop(books);
        Ok((Reservation { account: Arc::clone(self), demand, at: now, taken, settled: false }, standing))
    }

    /// How long until a request might be let in, in milliseconds; 0 when it would be now.
    pub fn wait(&self, demand: Demand, now: Moment) -> u64 {
        let waits = self.members.iter().filter_map(|member| {
            let excess = member.ledger.lock().excess(&member.limits, &demand, now)?;
            Some(excess.wait.unwrap_or(u64::MAX))
        });
        waits.max().unwrap_or(0)
    }
}

/// What the nearest limits of all these leave.
fn standing(books: &mut [(&Arc<Member>, MutexGuard<'_, Books>)], now: Moment) -> Standing {
    let mut nearest = |measure| {
        let rooms = books.iter_mut().filter_map(|(member, books)| books.room(&member.limits, measure, now));
        rooms.min_by_key(|room| room.remaining)
    };
    Standing { requests: nearest(Measure::Requests), tokens: nearest(Measure::Tokens) }
}

impl Reservation {
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// When it was made.
    pub fn at(&self) -> Moment {
        self.at
    }

    /// The normal end: counts what was used in the place of what was reserved.
    pub fn settle(mut self, used: Used, now: Moment) {
        self.end(Some(used), now);
    }

    fn end(&mut self, used: Option<Used>, now: Moment) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        for (member, taken) in self.account.members.iter().zip(self.taken) {
            member.ledger.lock().settle(&self.demand, self.at, taken, used, now);
            member.ledger.touch();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(None, self.at);
    }
}

impl Kind {
    /// As it stands in saved and shared counters.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::VirtualKey => "virtual_key",
            Self::Team => "team",
            Self::Customer => "customer",
            Self::ProviderKey => "provider_key",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VirtualKey => "virtual key",
            Self::Team => "team",
            Self::Customer => "customer",
            Self::ProviderKey => "key",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

impl std::error::Error for Exceeded {}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, excess: Excess { what, limit, needed, wait }, .. } = self;
        match (what, wait) {
            (What::Rate(measure, span), Some(wait)) => {
                write!(f, "{subject} may use {limit} {measure} per {span}, and this request needs {needed}; ")?;
                write!(f, "there is room in {} s", wait.div_ceil(1_000))
            }
            (What::Rate(measure, span), None) => {
                write!(
                    f,
                    "{subject} may use {limit} {measure} per {span}, and this request alone may need {needed}; "
                )?;
                f.write_str("shorten the prompt or lower the limit of its output")
            }
            (What::Concurrency, _) => write!(f, "{subject} may have {limit} requests running at the same time"),
            (What::Budget(period), Some(wait)) => {
                write!(f, "{subject} may spend {} {period}, and this request may cost ", dollars(*limit))?;
                write!(f, "{}, which is more than is left; try again in {} s", dollars(*needed), wait.div_ceil(1_000))
            }
            (What::Budget(period), None) => {
                write!(f, "{subject} may spend {} {period}, and this request may cost ", dollars(*limit))?;
                write!(f, "{}, which is more than is left", dollars(*needed))
            }
        }
    }
}

/// Micro-dollars as a price is written.
fn dollars(micro: u64) -> String {
    let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
    let cents = text.len() - 4;
    let (kept, finer) = text.split_at(cents);
    format!("{kept}{} USD", finer.trim_end_matches('0'))
}

#[cfg(test)]
mod tests;
