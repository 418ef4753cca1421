//! Counters that several gateways share, in Redis. Every request asks one script, which checks and takes at once; what it
//! has used is told behind its back. A store that is away, slow or empty stops nobody: each gateway then goes by its own
//! ledger, which it keeps in any case, so that together they let through at most the limit times their number.

mod cluster;
mod message;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, Script, Value};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::account::{Account, Exceeded, Standing};
use super::ledger::{Demand, Used};
use super::moment::Moment;
use message::{Full, Reserve, Settle, keys, limited};
pub use worker::{Health, Worker};

/// How long a request waits for the store.
pub const PATIENCE: Duration = Duration::from_millis(20);

/// Why the store is left alone.
const LATE: &str = "it does not answer in time";

/// What requests may tell faster than the worker listens, which does so at least every few seconds.
const QUEUE: usize = 65_536;

/// The store, as requests see it.
#[derive(Debug)]
pub struct Shared {
    /// Absent while the store is away.
    connection: ArcSwapOption<MultiplexedConnection>,
    reserve: Script,
    settle: Script,
    queue: mpsc::Sender<Told>,
    /// Names requests: the process, drawn by lot, and a number.
    process: u64,
    next: AtomicU64,
    /// The store has failed a request, and the worker is to look after it.
    failed: AtomicBool,
    /// Settlements that the store does not have yet.
    owed: AtomicU64,
    /// Settlements that nobody could take, since the last look.
    lost: AtomicU64,
}

/// What a request has taken from the store, or may have. Settled or dropped, it tells the worker.
#[derive(Debug)]
pub struct Hold {
    shared: Arc<Shared>,
    account: Arc<Account>,
    demand: Demand,
    id: String,
    held: Held,
    wall: i64,
    /// Known at the end; without it the request never was.
    used: Option<Used>,
    told: bool,
}

/// Whether the store has set something aside for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// At that moment by its own clock.
    Since(u64),
    /// It was asked and did not answer in time.
    Perhaps,
    /// It was not asked, being away.
    Nothing,
}

/// What the worker is told.
#[derive(Debug)]
enum Told {
    Began {
        keys: Vec<String>,
        entries: Vec<String>,
        id: String,
    },
    Ended {
        keys: Vec<String>,
        settle: Settle,
        held: Held,
    },
    /// The store knows already.
    Settled {
        id: String,
    },
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
            settle: Script::new(include_str!("settle.lua")),
            queue,
            process: fastrand::u64(..),
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            owed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
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
        let mut hold =
            Hold { shared, account, demand, id, held: Held::Nothing, wall: now.wall, used: None, told: false };
        let Some(connection) = self.connection.load().as_deref().cloned() else { return Ok((hold, None)) };
        hold.held = Held::Perhaps;
        match self.ask(&asked, &hold.account, connection).await {
            Some(Answer::Taken { at, rooms }) => {
                hold.held = Held::Since(at);
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

    async fn ask(&self, asked: &Reserve, account: &Account, mut connection: MultiplexedConnection) -> Option<Answer> {
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
            Err(_) => self.fail(LATE),
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
            self.lost.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Hold {
    /// Tells what the request has used. Where requests at the same time are limited, the store is told at once, and has as
    /// long for it as for its answers: the caller may ask any gateway next. Otherwise, and when it fails, the worker tells.
    pub async fn settle(mut self, used: Used) {
        self.used = Some(used);
        let slots = limited(&self.account).any(|member| member.limits.concurrent.is_some());
        let connection = self.shared.connection.load().as_deref().cloned();
        if let (true, Some(connection)) = (slots && self.held != Held::Nothing, connection) {
            let (keys, settle) = (keys(&self.account), self.settlement());
            let told = tell(&self.shared.settle, &keys, &settle, connection);
            match tokio::time::timeout(PATIENCE, told).await {
                Ok(Ok(())) => {
                    self.told = true;
                    self.shared.tell(Told::Settled { id: settle.id });
                }
                Ok(Err(error)) => drop(self.shared.fail(&error.to_string())),
                Err(_) => drop(self.shared.fail(LATE)),
            }
        }
    }

    fn begin(&self) {
        let settle = self.settlement();
        self.shared.tell(Told::Began { keys: keys(&self.account), entries: settle.entries(), id: self.id.clone() });
    }

    fn end(&mut self) {
        let nothing = self.held == Held::Nothing && self.used.is_none();
        if std::mem::replace(&mut self.told, true) || nothing {
            return;
        }
        self.shared.owed.fetch_add(1, Ordering::AcqRel);
        let (keys, settle) = (keys(&self.account), self.settlement());
        self.shared.tell(Told::Ended { keys, settle, held: self.held });
    }

    fn settlement(&self) -> Settle {
        let at = if let Held::Since(at) = self.held { Some(at) } else { None };
        Settle::new(self.id.clone(), at, &self.account, &self.demand, self.used, self.wall)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells the store of the end of a request, which it counts once however often it is told.
async fn tell(
    script: &Script,
    keys: &[String],
    settle: &Settle,
    mut connection: MultiplexedConnection,
) -> Result<(), RedisError> {
    let Ok(json) = serde_json::to_string(settle) else { return Ok(()) };
    let mut call = script.prepare_invoke();
    keys.iter().for_each(|key| {
        call.key(key);
    });
    call.arg(json).invoke_async::<()>(&mut connection).await
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
