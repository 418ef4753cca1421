//! Stage 8: The answer goes back: head, then body, in the caller's dialect, with its usage read in passing.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderValue, Version, header};
use pingora::protocols::http::ServerSession;

use super::body::Body;
use super::exchange::{Attempt, Candidate, Received, Reply, Reserved};
use super::foreign::{self, Foreign};
use super::limits::Tab;
use super::reading::Reading;
use super::refuse::{Refusal, Stop};
use super::waits::{caller_takes, while_caller_stays};
use super::{head, stream};
use crate::base::limit::until;
use crate::dialect::usage::{Background, Usage};
use crate::dialect::{filter_results, translate};
use crate::governance::Billed;
use crate::snapshot::{ClientRules, Snapshot};
use crate::telemetry::Metrics;
use crate::upstream::{self, Connections};

/// Bytes of a plain answer that are held until it is complete, so that an answer that breaks off becomes an honest
/// error. Larger ones are passed on as they come.
const HELD: usize = 32 * 1024 * 1024;

/// Bytes that are written at a time, and that the caller must take within the limit on silence: a larger part would cut
/// off a caller who is slow but steady.
const ONE_WRITE: usize = 256 * 1024;

/// What the answer is told about its way.
pub struct Route<'a> {
    pub received: &'a Received,
    pub rules: &'a ClientRules,
    pub candidate: &'a Candidate,
    pub reading: Reading,
    pub attempts: &'a [Attempt],
    /// Another attempt may take the place of this answer, as long as nothing of it was shown.
    pub replaceable: bool,
    /// Until the first of the keys' gates opens, when all are closed.
    pub soonest: Option<Duration>,
    pub reserved: &'a Reserved,
    pub billed: &'a Billed,
    pub snapshot: &'a Snapshot,
    pub deadline: Instant,
    pub started: Instant,
}

/// An answer whose head is there.
pub struct Answered {
    pub head: Parts,
    pub exchange: upstream::Exchange,
    /// What was read of the body to judge the answer.
    pub read: Vec<Bytes>,
    /// That was all of it.
    pub whole: bool,
    /// The usage chunk was asked for by the gateway and is not for the caller.
    pub hide_usage: bool,
    /// How it becomes the caller's, where the upstream speaks another dialect.
    pub reply: Option<translate::Reply>,
    /// Pieces of earlier reasoning that the upstream was not told.
    pub dropped_reasoning: usize,
}

pub struct Relay<'a> {
    pub session: &'a mut ServerSession,
    pub connections: &'a Connections,
    pub metrics: &'a Metrics,
    pub reply: &'a mut Reply,
    pub tab: &'a mut Tab,
    /// The request's body, while it may have to be sent again.
    pub request: &'a mut Body,
    pub route: Route<'a>,
}

impl Answered {
    /// What was read of the body.
    pub fn words(&self) -> Vec<u8> {
        self.read.concat()
    }
}

impl Relay<'_> {
    pub async fn run(&mut self, answered: Box<Answered>) -> Result<(), Stop> {
        self.reply.dropped_reasoning = answered.dropped_reasoning;
        let head = &answered.head;
        let of = |name: header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let readable = matches!(of(header::CONTENT_ENCODING), "" | "identity");
        let media = of(header::CONTENT_TYPE).split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if media == "text/event-stream" && head.status.is_success() {
            self.reply.stream = true;
            return match readable {
                true => stream::relay(self, answered).await,
                false => Box::pin(stream::opaque(self, answered)).await,
            };
        }
        let editable = readable && head.status.is_success();
        if head.status.is_success() && self.route.reading.is_for_machines(&media) {
            return Box::pin(self.pass_on(answered, false)).await;
        }
        self.plain(answered, editable).await
    }

    /// A plain answer: held until complete, then sent with its length.
    async fn plain(&mut self, mut answered: Box<Answered>, editable: bool) -> Result<(), Stop> {
        let mut length = answered.read.iter().map(Bytes::len).sum::<usize>();
        let mut answer = self.route.reading.plain();
        let mut more = !answered.whole;
        while more {
            let mut chunks = Vec::new();
            more = self.read(&mut answered.exchange, &mut chunks).await.map_err(Stop::rejected)?;
            for chunk in chunks {
                length += chunk.len();
                if editable {
                    answer.feed(&chunk);
                }
                answered.read.push(chunk);
            }
            if more && length > HELD && editable && self.route.reading.meter().is_none() {
                let message = format!("the upstream's answer is larger than {} MiB", HELD / (1024 * 1024));
                return Err(Refusal::new(502, "upstream_broken", message).into());
            }
            if more && length > HELD {
                // In a box, as whatever is rare: every request would have room for it.
                return Box::pin(self.pass_on(answered, editable)).await;
            }
        }
        let Answered { head, exchange, read: mut rope, .. } = *answered;
        exchange.end(self.connections);
        let foreign = foreign::of(&self.route, head.status, &rope);
        let out = head::of(self, head);
        if let Some(foreign) = foreign {
            return self.foreign(out, foreign?).await;
        }
        if editable {
            let background = answer.background();
            let (edited, usage) = answer.finish(rope);
            if self.is_own(usage, background) {
                self.reply.usage = usage;
            }
            rope = edited;
            if self.route.reading.strip_filter_results
                && let Some(stripped) = filter_results::remove(&joined(&mut rope.clone()))
            {
                rope = vec![stripped.into()];
            }
        }
        self.whole(out, rope).await
    }

    /// An answer that is all there.
    async fn whole(&mut self, mut head: Parts, mut rope: Vec<Bytes>) -> Result<(), Stop> {
        let length: usize = rope.iter().map(Bytes::len).sum();
        head.headers.insert(header::CONTENT_LENGTH, length.into());
        rope.retain(|part| !part.is_empty());
        if length <= ONE_WRITE {
            self.settle().await;
            return self.at_once(head, rope, length as u64).await;
        }
        let mut rest = rope.pop().unwrap_or_default();
        let last = rest.split_off(rest.len().saturating_sub(ONE_WRITE));
        self.begin(head).await?;
        self.send_all(rope).await?;
        self.send(rest).await?;
        self.settle().await;
        self.seen();
        self.write(last, true).await
    }

    /// Writes an answer that the caller can take within one limit: each write with a limit of its own would cost as much as
    /// the writing.
    async fn at_once(&mut self, head: Parts, mut rope: Vec<Bytes>, length: u64) -> Result<(), Stop> {
        self.reply.status = Some(head.status);
        let begun = (length > 0).then(|| self.route.started.elapsed());
        let session = &mut *self.session;
        let write = pin!(async move {
            session.write_response_header(Box::new(head.into())).await?;
            let last = rope.pop().unwrap_or_default();
            for part in rope {
                session.write_response_body(part, false).await?;
            }
            session.write_response_body(last, true).await
        });
        let taken = pin!(caller_takes(self.route.candidate.provider.timeouts.exchange.idle, write));
        self.reply.waiting(taken).await?;
        self.reply.bytes_out += length;
        self.reply.first_event = self.reply.first_event.or(begun);
        Ok(())
    }

    /// Whether the usage of an answer is this request's own: what is read again was counted when it was made, but for what
    /// was made in the background, which is counted by who first sees it complete.
    pub fn is_own(&mut self, usage: Option<Usage>, background: Option<Background>) -> bool {
        let Some(made) = background else { return self.route.reading.counts() };
        let first = usage.is_some() && self.route.billed.is_first(&made.id);
        self.reply.made_by = first.then_some(made.model);
        first
    }

    /// An answer in other words than the upstream's.
    async fn foreign(&mut self, mut out: Parts, answer: Foreign) -> Result<(), Stop> {
        self.reply.usage = answer.usage;
        out.status = answer.status;
        out.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.whole(out, vec![answer.body.into()]).await
    }

    /// An answer that is not held: what was read of it, then the rest as it comes. Of a `readable` one the usage is
    /// still read, but nothing is edited.
    pub async fn pass_on(&mut self, answered: Box<Answered>, readable: bool) -> Result<(), Stop> {
        let Answered { head, mut exchange, read, .. } = *answered;
        // What has a length is flushed by Pingora when its buffer is full, chunks as they come: only a file keeps its length.
        let length = head.headers.get(header::CONTENT_LENGTH).filter(|_| self.route.reading.keeps_length()).cloned();
        let mut out = head::of(self, head);
        match &length {
            Some(length) => {
                out.headers.insert(header::CONTENT_LENGTH, length.clone());
            }
            None => self.unframed(&mut out),
        }
        // A caller may take the last promised byte for the end.
        let mut left = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        self.begin(out).await?;
        let mut meter = self.route.reading.meter().filter(|_| readable);
        let (mut chunks, mut more) = (read, true);
        loop {
            if let Some(meter) = &mut meter {
                chunks.iter().for_each(|chunk| meter.feed(chunk));
            }
            if let Some(left) = &mut left {
                *left = left.saturating_sub(chunks.iter().map(Bytes::len).sum());
            }
            if left == Some(0) {
                self.settle().await;
            }
            self.send_all(chunks).await?;
            if !more {
                break;
            }
            chunks = Vec::new();
            // The head is out: a break can only be shown by breaking off as well.
            more = self.read(&mut exchange, &mut chunks).await.map_err(|stop| self.cut(stop))?;
        }
        self.reply.usage = meter.and_then(|meter| meter.finish(Vec::new()).1);
        exchange.end(self.connections);
        self.settle().await;
        self.end().await
    }

    /// Frees what the request has taken from limits, before the caller can see the end of its answer. What it has used
    /// must be known.
    pub async fn settle(&mut self) {
        self.tab.settle(self.route.attempts, self.reply, self.route.snapshot).await;
    }

    /// Reads more of the answer; watches the caller and the clock meanwhile.
    async fn read(&mut self, exchange: &mut upstream::Exchange, chunks: &mut Vec<Bytes>) -> Result<bool, Stop> {
        let limit = self.route.candidate.provider.timeouts.request;
        let read = pin!(exchange.read(chunks));
        match while_caller_stays(self.session, self.reply, until(self.route.deadline, read)).await? {
            Ok(read) => read.map_err(|fault| Refusal::from(fault).into()),
            Err(_) => Err(Refusal::timed_out(limit).into()),
        }
    }

    /// Framing of an answer whose length is not known: chunks on HTTP/1.1, the stream's own end on HTTP/2.
    pub fn unframed(&mut self, head: &mut Parts) {
        if self.session.req_header().version == Version::HTTP_11 {
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        } else if !self.session.is_http2() {
            self.session.set_keepalive(None);
        }
    }

    pub async fn begin(&mut self, head: Parts) -> Result<(), Stop> {
        self.reply.status = Some(head.status);
        // Nothing can be asked again, and the answer may take minutes.
        *self.request = Body::default();
        let write = pin!(self.session.write_response_header(Box::new(head.into())));
        let taken = pin!(caller_takes(self.route.candidate.provider.timeouts.exchange.idle, write));
        self.reply.waiting(taken).await
    }

    pub async fn send_all(&mut self, parts: Vec<Bytes>) -> Result<(), Stop> {
        for part in parts {
            self.send(part).await?;
        }
        Ok(())
    }

    pub async fn send(&mut self, mut part: Bytes) -> Result<(), Stop> {
        while !part.is_empty() {
            self.seen();
            self.write(part.split_to(part.len().min(ONE_WRITE)), false).await?;
        }
        Ok(())
    }

    /// The caller sees something of the body.
    fn seen(&mut self) {
        self.reply.first_event.get_or_insert_with(|| self.route.started.elapsed());
    }

    pub async fn end(&mut self) -> Result<(), Stop> {
        self.write(Bytes::new(), true).await
    }

    /// Sends a comment of the gateway's own, which nobody waits for.
    pub async fn comment(&mut self, comment: Bytes) -> Result<(), Stop> {
        self.write(comment, false).await
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> Result<(), Stop> {
        self.reply.bytes_out += piece.len() as u64;
        let write = pin!(self.session.write_response_body(piece, end));
        let taken = pin!(caller_takes(self.route.candidate.provider.timeouts.exchange.idle, write));
        self.reply.waiting(taken).await
    }

    /// The answer has begun and cannot be completed.
    fn cut(&mut self, stop: Stop) -> Stop {
        match stop {
            Stop::Refused(refusal) => {
                super::refuse::note(&refusal, self.reply);
                Stop::Cut
            }
            other => other,
        }
    }
}

/// Several parts as one, copying only when there is more than one: each write is a chunk and a flush of its own.
pub fn joined(parts: &mut Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.drain(..).for_each(|part| all.extend_from_slice(&part));
    all.freeze()
}
