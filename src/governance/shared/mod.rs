//! Counters that several gateways share, in Redis. Every request asks one script, which checks and takes at once; what it
//! has used is told behind its back. A store that is away, slow or empty stops nobody: each gateway then goes by its own
//! ledger, which it keeps in any case, so that together they let through at most the limit times their number.

mod message;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Script, Value};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::account::{Account, Exceeded, Standing};
use super::ledger::{Demand, Used};
use super::moment::Moment;
use message::{Full, Reserve, Settle, keys};
pub use worker::Worker;

/// How long a request waits for the store.
pub const PATIENCE: Duration = Duration::from_millis(20);

/// What is told behind a request's back may wait, for as long as the store is away: a minute's work of a busy gateway.
const QUEUE: usize = 65_536;

/// The store, as requests see it.
#[derive(Debug)]
pub struct Shared {
    /// Absent while the store is away.
    connection: ArcSwapOption<MultiplexedConnection>,
    reserve: Script,
    queue: mpsc::Sender<Told>,
    /// Names requests: the process, drawn by lot, and a number.
    process: u64,
    next: AtomicU64,
    /// The store has failed a request, and the worker is to look after it.
    failed: AtomicBool,
    /// Requests that have ended and are not told of yet.
    owed: AtomicU64,
}

/// What a request has taken from the store, or may have. Settled or dropped, it tells the worker.
#[derive(Debug)]
pub struct Hold {
    shared: Arc<Shared>,
    account: Arc<Account>,
    demand: Demand,
    id: String,
    /// By the store's clock; `None` when the store did not answer.
    at: Option<u64>,
    wall: i64,
    told: bool,
}

/// What the worker is told.
#[derive(Debug)]
enum Told {
    Began { keys: Vec<String>, entries: Vec<String>, id: String },
    Ended { keys: Vec<String>, settle: Settle },
}

/// Why an address cannot be used. Names no part of it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("this is no address of a Redis: {0}")]
pub struct BadAddress(String);

/// Checks the address of a store.
///
/// # Errors
/// When it is not one of the forms of `redis://`, `rediss://` or `unix://`.
pub fn check_address(url: &str) -> Result<(), BadAddress> {
    redis::Client::open(url).map(drop).map_err(|error| BadAddress(error.category().to_owned()))
}

impl Shared {
    /// # Errors
    /// When the address makes no sense.
    pub fn new(url: &str) -> Result<(Arc<Self>, Worker), BadAddress> {
        let client = redis::Client::open(url).map_err(|error| BadAddress(error.category().to_owned()))?;
        let (queue, told) = mpsc::channel(QUEUE);
        let shared = Arc::new(Self {
            connection: ArcSwapOption::empty(),
            reserve: Script::new(include_str!("reserve.lua")),
            queue,
            process: fastrand::u64(..),
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            owed: AtomicU64::new(0),
        });
        let worker = Worker::new(Arc::clone(&shared), client, told);
        Ok((shared, worker))
    }

    /// Whether the store answers.
    pub fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Whether everything that has ended is told of, as far as it can be now.
    pub fn is_settled(&self) -> bool {
        self.owed.load(Ordering::Acquire) == 0 || !self.is_up()
    }

    /// Asks the store for what a request may use. `None` for the standing when the store did not answer in time.
    ///
    /// # Errors
    /// The limit that is used up, over all gateways.
    pub async fn reserve(
        self: &Arc<Self>,
        account: &Arc<Account>,
        demand: Demand,
        now: Moment,
    ) -> Result<(Hold, Option<Standing>), Box<Exceeded>> {
        let id = format!("{:016x}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        let asked = Reserve::new(id.clone(), account, &demand, now);
        let (shared, account) = (Arc::clone(self), Arc::clone(account));
        let mut hold = Hold { shared, account, demand, id, at: None, wall: now.wall, told: false };
        match self.ask(&asked, &hold.account).await {
            Some(Answer::Taken { at, rooms }) => {
                hold.at = Some(at);
                hold.begin();
                let standing = Reserve::standing(&hold.account, &rooms);
                Ok((hold, Some(standing)))
            }
            Some(Answer::Full(full)) => {
                hold.told = true;
                match asked.exceeded(&hold.account, &full) {
                    Some(exceeded) => Err(Box::new(exceeded)),
                    None => Ok((hold, None)),
                }
            }
            None => Ok((hold, None)),
        }
    }

    async fn ask(&self, asked: &Reserve, account: &Account) -> Option<Answer> {
        let mut connection = MultiplexedConnection::clone(self.connection.load().as_ref()?);
        let json = serde_json::to_string(asked).ok()?;
        let mut call = self.reserve.prepare_invoke();
        keys(account).into_iter().for_each(|key| {
            call.key(key);
        });
        call.arg(json);
        let answered = tokio::time::timeout(PATIENCE, call.invoke_async::<Answer>(&mut connection)).await;
        match answered {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => self.fail(&error.to_string()),
            Err(_) => self.fail("it does not answer in time"),
        }
    }

    /// Goes on without the store, until the worker finds it well.
    fn fail(&self, why: &str) -> Option<Answer> {
        if self.connection.swap(None).is_some() {
            log::warn!("the shared state is left alone and this gateway counts for itself: {why}");
        }
        self.failed.store(true, Ordering::Release);
        None
    }

    fn tell(&self, told: Told) {
        if let Err(TrySendError::Full(Told::Ended { .. }) | TrySendError::Closed(Told::Ended { .. })) =
            self.queue.try_send(told)
        {
            self.owed.fetch_sub(1, Ordering::AcqRel);
            log::warn!("the shared state was away for too long: what a request has used is missing in it");
        }
    }
}

impl Hold {
    /// Tells what the request has used.
    pub fn settle(mut self, used: Used) {
        self.end(Some(used));
    }

    fn begin(&self) {
        let settle = self.settlement(None);
        self.shared.tell(Told::Began { keys: keys(&self.account), entries: settle.entries(), id: self.id.clone() });
    }

    fn end(&mut self, used: Option<Used>) {
        if !std::mem::replace(&mut self.told, true) {
            self.shared.owed.fetch_add(1, Ordering::AcqRel);
            self.shared.tell(Told::Ended { keys: keys(&self.account), settle: self.settlement(used) });
        }
    }

    fn settlement(&self, used: Option<Used>) -> Settle {
        Settle::new(self.id.clone(), self.at, &self.account, &self.demand, used, self.wall)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// An answer of `reserve.lua`.
enum Answer {
    Taken { at: u64, rooms: Vec<(u64, u64)> },
    Full(Full),
}

impl FromRedisValue for Answer {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let wrong = || redis::ParsingError::from("an answer that the script does not give");
        let Value::Array(all) = value else { return Err(wrong()) };
        let mut all = all.into_iter();
        let word = String::from_redis_value(all.next().ok_or_else(wrong)?)?;
        if word == "full" {
            let mut next = || all.next().ok_or_else(wrong);
            return Ok(Self::Full(Full {
                subject: usize::from_redis_value(next()?)?,
                what: String::from_redis_value(next()?)?,
                index: usize::from_redis_value(next()?)?,
                wait: i64::from_redis_value(next()?)?,
                rooms: rooms(all)?,
            }));
        }
        let at = u64::from_redis_value(all.next().ok_or_else(wrong)?)?;
        Ok(Self::Taken { at, rooms: rooms(all)? })
    }
}

/// What is left of each rate, and the milliseconds until all of it is there again.
fn rooms(rest: impl Iterator<Item = Value>) -> Result<Vec<(u64, u64)>, redis::ParsingError> {
    let numbers = rest.map(u64::from_redis_value).collect::<Result<Vec<_>, _>>()?;
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
