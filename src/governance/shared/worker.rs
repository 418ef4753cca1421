//! What happens behind the requests' backs: connecting, finding out whether the store is well again, telling it what was
//! used, and saying that requests run still.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::cluster;
use super::message::{LEASE, Settle, Shape};
use super::{Held, PATIENCE, QUEUE, Shared, Told, tell};

/// How often the store is looked after.
const LOOK: Duration = Duration::from_millis(250);

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(2);

/// How long the store may take for what nobody waits for.
const BEHIND: Duration = Duration::from_secs(2);

/// How often running requests are told of: twice before their lease is over.
const RENEW: Duration = Duration::from_millis(LEASE / 3);

/// Settlements that are sent together.
const BATCH: usize = 128;

/// Looks after the store for as long as the process runs.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    client: redis::Client,
    told: mpsc::Receiver<Told>,
    renew: Script,
    /// Requests that run, by their ids: keys and entries.
    running: HashMap<String, (Vec<String>, Vec<String>)>,
    /// What is still to be told, the oldest first.
    owed: VecDeque<Owed>,
    /// The same of requests for which the store has set nothing aside: they need not be told of one by one, however long
    /// the store is away.
    sums: HashMap<Shape, Settle>,
    /// Names sums.
    summed: u64,
    renewed: Instant,
    /// Why there is no connection was said.
    complained: bool,
}

/// How the store is, as it is looked at again and again.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// Whether it answers.
    pub up: bool,
    /// Requests since the last look whose usage it will never hear of.
    pub lost: u64,
}

/// One settlement that is to be told.
#[derive(Debug)]
struct Owed {
    keys: Vec<String>,
    settle: Settle,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, client: redis::Client, told: mpsc::Receiver<Told>) -> Self {
        Self {
            shared,
            client,
            told,
            renew: Script::new(include_str!("renew.lua")),
            running: HashMap::new(),
            owed: VecDeque::new(),
            sums: HashMap::new(),
            summed: 0,
            renewed: Instant::now(),
            complained: false,
        }
    }

    /// Runs for ever. `report` is told how the store is, each time it is looked at.
    pub async fn run(mut self, report: impl Fn(Health)) {
        let mut told = Vec::new();
        loop {
            // What comes in between is gathered: the sooner it is told the better, but nobody waits for it.
            let looked = timeout(LOOK, self.told.recv_many(&mut told, QUEUE)).await;
            told.drain(..).for_each(|told| self.note(told));
            report(self.health());
            if looked.is_err() || !self.shared.is_up() {
                self.look().await;
                report(self.health());
                if !self.shared.is_up() {
                    tokio::time::sleep(LOOK).await;
                }
            }
            self.pay().await;
            if self.renewed.elapsed() >= RENEW {
                self.renew().await;
            }
        }
    }

    fn note(&mut self, told: Told) {
        match told {
            Told::Began { keys, entries, id } => {
                self.running.insert(id, (keys, entries));
            }
            Told::Ended { keys, settle, held: Held::Nothing } => self.sum(&keys, settle),
            Told::Settled { id } => drop(self.running.remove(&id)),
            Told::Ended { keys, settle, .. } => {
                self.running.remove(&settle.id);
                if self.owed.len() >= QUEUE
                    && let Some(oldest) = self.owed.pop_front()
                {
                    // What the store has set aside for it is given back when its lease is over, or leaves its window.
                    self.sum(&oldest.keys, oldest.settle);
                }
                self.owed.push_back(Owed { keys, settle });
            }
        }
    }

    fn sum(&mut self, keys: &[String], settle: Settle) {
        match self.sums.entry(settle.shape(keys)) {
            Entry::Occupied(mut sum) => {
                sum.get_mut().add(&settle);
                self.shared.owed.fetch_sub(1, Ordering::AcqRel);
            }
            Entry::Vacant(first) => {
                self.summed += 1;
                first.insert(settle.alone(format!("{:016x}-sum-{:x}", self.shared.process, self.summed)));
            }
        }
    }

    /// How the store is. Says what was lost.
    fn health(&self) -> Health {
        let lost = self.shared.lost.swap(0, Ordering::AcqRel);
        if lost > 0 {
            log::warn!(
                "what {lost} requests have used is missing in the shared state: they ended faster than it was told"
            );
        }
        Health { up: self.shared.is_up(), lost }
    }

    /// Connects where there is no connection. It is given to requests once the store answers as fast as they need it.
    async fn look(&mut self) {
        if self.shared.is_up() {
            return;
        }
        let connected = timeout(CONNECT, cluster::connect(&self.client)).await;
        let mut connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return self.complain(&error),
            Err(_) => return,
        };
        let ping = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
        if matches!(timeout(PATIENCE, ping).await, Ok(Ok(()))) {
            self.complained = false;
            let again = self.shared.failed.swap(false, Ordering::AcqRel);
            log::info!("the shared state answers{}", if again { " again" } else { "" });
            self.shared.connection.store(Some(Arc::new(connection)));
        }
    }

    /// Says once why there is no connection. Errors of the client name no password.
    fn complain(&mut self, error: &RedisError) {
        if !std::mem::replace(&mut self.complained, true) {
            log::warn!("the shared state cannot be used, and this gateway counts for itself: {error}");
        }
    }

    /// Tells what is owed. What is not confirmed is told again.
    async fn pay(&mut self) {
        while let Some(connection) = self.connection() {
            self.owed.extend(self.sums.drain().map(|(shape, settle)| Owed { keys: shape.keys(), settle }));
            if self.owed.is_empty() {
                return;
            }
            let script = &self.shared.settle;
            let batch = self.owed.iter().take(BATCH);
            let telling = batch.map(|Owed { keys, settle }| tell(script, keys, settle, connection.clone()));
            let all = futures_util::future::try_join_all(telling);
            match timeout(BEHIND, all).await {
                Ok(Ok(told)) => {
                    self.owed.drain(..told.len());
                    self.shared.owed.fetch_sub(told.len() as u64, Ordering::AcqRel);
                }
                Ok(Err(error)) => return drop(self.shared.fail(&error.to_string())),
                Err(_) => return drop(self.shared.fail("it does not answer")),
            }
        }
    }

    async fn renew(&mut self) {
        self.renewed = Instant::now();
        let Some(connection) = self.connection() else { return };
        for (keys, entries) in self.running.values() {
            let mut call = self.renew.prepare_invoke();
            keys.iter().for_each(|key| {
                call.key(key);
            });
            call.arg(LEASE);
            entries.iter().for_each(|entry| {
                call.arg(entry);
            });
            let mut connection = connection.clone();
            if !matches!(timeout(BEHIND, call.invoke_async::<()>(&mut connection)).await, Ok(Ok(()))) {
                return drop(self.shared.fail("it does not take renewals"));
            }
        }
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.shared.connection.load().as_deref().cloned()
    }
}
