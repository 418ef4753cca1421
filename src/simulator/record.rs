//! The memory of a simulated resource: what was received, what became of it, and counters for `/_sim/stats`.
//! Comparing what was sent with what arrived is left to the test that asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use http::{HeaderMap, Version, request};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::line::Line;
use crate::base::locks::lock;

/// Requests that are kept; older ones go.
const KEPT: usize = 10_000;

/// Bodies above this size are recorded by length and hash only.
const LARGEST_BODY: usize = 1 << 20;

/// One request and what became of it.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Recorded {
    /// 1 for the first request since the start.
    pub number: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub connection: u64,
    pub http_version: &'static str,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    /// In received order (names in lower case).
    pub headers: Vec<(String, String)>,
    pub body_length: u64,
    pub body_sha256: String,
    /// The body, if it is UTF-8 and at most 1 MiB.
    pub body: Option<String>,
    pub api_key_seen: Option<String>,
    pub deployment: Option<String>,
    /// 0 while no head has been sent.
    pub status: u16,
    pub events_sent: u64,
    pub outcome: Outcome,
    /// Counted from the arrival of the request's head.
    pub caller_left_after_ms: Option<u64>,
    pub finished_at_ms: Option<u64>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    InProgress,
    Answered,
    /// A fault was carried out to its end.
    Fault,
    CallerLeft,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct Stats {
    pub open_connections: u64,
    pub connections: u64,
    pub active_requests: u64,
    pub active_streams: u64,
    pub requests: u64,
    pub answered: u64,
    pub faults: u64,
    pub callers_left: u64,
    pub throttled: u64,
    pub events_sent: u64,
    /// Requests for a token, those that got one, and tokens that the data plane turned away.
    pub tokens_asked: u64,
    pub tokens_issued: u64,
    pub tokens_turned_away: u64,
}

/// The log of one simulator.
#[derive(Debug)]
pub struct Log {
    keep: bool,
    started: Instant,
    epoch_ms: u64,
    kept: Mutex<VecDeque<Arc<Mutex<Recorded>>>>,
    pub counters: Counters,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub open_connections: AtomicU64,
    pub connections: AtomicU64,
    active_requests: AtomicU64,
    active_streams: AtomicU64,
    requests: AtomicU64,
    answered: AtomicU64,
    faults: AtomicU64,
    callers_left: AtomicU64,
    throttled: AtomicU64,
    events_sent: AtomicU64,
}

impl Log {
    pub fn new(keep: bool) -> Self {
        let epoch_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
        Self { keep, started: Instant::now(), epoch_ms, kept: Mutex::default(), counters: Counters::default() }
    }

    /// Opens the entry of a request whose head has arrived.
    pub fn open(self: &Arc<Self>, head: &request::Parts, line: Arc<Line>) -> Entry {
        self.counters.active_requests.fetch_add(1, Ordering::Relaxed);
        let number = self.counters.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let started = Instant::now();
        let recorded = Arc::new(Mutex::new(self.first_facts(number, head, &line, started)));
        if self.keep {
            let mut kept = lock(&self.kept);
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(Arc::clone(&recorded));
        }
        Entry { log: Arc::clone(self), line, recorded, started, stage: Stage::Open }
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        lock(&self.kept).iter().map(|entry| lock(entry).clone()).collect()
    }

    pub fn clear(&self) {
        lock(&self.kept).clear();
    }

    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            open_connections: read(&counters.open_connections),
            connections: read(&counters.connections),
            active_requests: read(&counters.active_requests),
            active_streams: read(&counters.active_streams),
            requests: read(&counters.requests),
            answered: read(&counters.answered),
            faults: read(&counters.faults),
            callers_left: read(&counters.callers_left),
            throttled: read(&counters.throttled),
            events_sent: read(&counters.events_sent),
            tokens_asked: 0,
            tokens_issued: 0,
            tokens_turned_away: 0,
        }
    }

    fn first_facts(&self, number: u64, head: &request::Parts, line: &Line, now: Instant) -> Recorded {
        Recorded {
            number,
            at_ms: self.clock(now),
            connection: line.id,
            http_version: version_text(head.version),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: if self.keep { header_list(&head.headers) } else { Vec::new() },
            body_length: 0,
            body_sha256: String::new(),
            body: None,
            api_key_seen: None,
            deployment: None,
            status: 0,
            events_sent: 0,
            outcome: Outcome::InProgress,
            caller_left_after_ms: None,
            finished_at_ms: None,
        }
    }

    fn clock(&self, now: Instant) -> u64 {
        self.epoch_ms + millis(now.duration_since(self.started))
    }
}

/// The open entry of one request. Dropped before its end means: the caller left, or we cut the line.
#[derive(Debug)]
pub struct Entry {
    log: Arc<Log>,
    line: Arc<Line>,
    recorded: Arc<Mutex<Recorded>>,
    started: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Streaming,
    Closed,
}

impl Entry {
    pub fn body(&self, body: &[u8]) {
        if !self.log.keep {
            return;
        }
        let mut recorded = lock(&self.recorded);
        recorded.body_length = body.len() as u64;
        recorded.body_sha256 = sha256(body);
        recorded.body = Some(body)
            .filter(|body| body.len() <= LARGEST_BODY)
            .and_then(|body| std::str::from_utf8(body).ok())
            .map(str::to_owned);
    }

    pub fn addressed(&self, deployment: Option<&str>, key: Option<&str>) {
        let mut recorded = lock(&self.recorded);
        recorded.deployment = deployment.map(str::to_owned).or(recorded.deployment.take());
        recorded.api_key_seen = key.map(str::to_owned).or(recorded.api_key_seen.take());
    }

    pub fn head_sent(&mut self, status: u16, streams: bool) {
        lock(&self.recorded).status = status;
        if status == 429 {
            self.log.counters.throttled.fetch_add(1, Ordering::Relaxed);
        }
        if streams && self.stage == Stage::Open {
            self.stage = Stage::Streaming;
            self.log.counters.active_streams.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn events_sent(&self, events: u64) {
        lock(&self.recorded).events_sent += events;
        self.log.counters.events_sent.fetch_add(events, Ordering::Relaxed);
    }

    /// Ends the entry; a second call changes nothing.
    pub fn finish(&mut self, outcome: Outcome) {
        if self.stage == Stage::Closed {
            return;
        }
        let counters = &self.log.counters;
        if self.stage == Stage::Streaming {
            counters.active_streams.fetch_sub(1, Ordering::Relaxed);
        }
        self.stage = Stage::Closed;
        counters.active_requests.fetch_sub(1, Ordering::Relaxed);
        let total = match outcome {
            Outcome::CallerLeft => &counters.callers_left,
            Outcome::Fault => &counters.faults,
            Outcome::InProgress | Outcome::Answered => &counters.answered,
        };
        total.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut recorded = lock(&self.recorded);
        recorded.outcome = outcome;
        recorded.finished_at_ms = Some(self.log.clock(now));
        if outcome == Outcome::CallerLeft {
            recorded.caller_left_after_ms = Some(millis(now.duration_since(self.started)));
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.finish(if self.line.is_cut() { Outcome::Fault } else { Outcome::CallerLeft });
    }
}

/// Header fields as text, in the order in which they came.
pub fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

pub fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
