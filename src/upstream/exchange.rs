//! One exchange with a host, whichever version of HTTP its connection speaks: the request out, the answer in as it comes.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::response::Parts;
use pingora::http::RequestHeader;
use tokio::sync::OwnedSemaphorePermit;

use super::connections::{Connections, Line, Opened};
use super::fault::Fault;
use super::host::{Host, Way};
use super::http1::Http1;
use super::http2::Http2;
use super::segment::Segment;
use crate::base::limit::within;

/// How much is collected from what has already arrived before it is handed on.
const ONE_READ: usize = 64 * 1024;

/// A connection that was closed just as the request came is found closed within this time. Whatever breaks later may
/// have been worked on.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Time limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest time without progress while writing the request.
    pub write: Duration,
    /// From the end of the request to the head of the answer.
    pub first_byte: Duration,
    /// Longest silence within the body of the answer.
    pub idle: Duration,
}

/// An exchange whose request is out. Dropping it closes the connection, or resets the stream.
pub struct Exchange {
    wire: Wire,
    way: Arc<Way>,
    /// Whether the connection had served another exchange before.
    pub reused: bool,
    limits: Limits,
    /// Its place among the exchanges that the host may have in progress.
    _room: OwnedSemaphorePermit,
    /// A break that was met while collecting; told once what arrived before it was handed on.
    broken: Option<Fault>,
}

enum Wire {
    Http1(Box<Http1>),
    Http2(Box<Http2>),
}

impl Exchange {
    /// Connects, or takes a pooled connection, and sends the request. `fresh` forbids pooled connections. A fault
    /// comes with whether the connection had been used before.
    pub async fn begin(
        connections: &Connections,
        host: &Host,
        head: &RequestHeader,
        body: Vec<Segment>,
        limits: Limits,
        fresh: bool,
    ) -> Result<Self, (Fault, bool)> {
        let Opened { line, way, reused, room } = connections.open(host, fresh).await.map_err(|fault| (fault, false))?;
        let wire = match line {
            Line::Http1(stream) => {
                let begun = Http1::begin(stream, head, body, limits.write).await;
                Wire::Http1(Box::new(begun.map_err(|fault| (fault, reused))?))
            }
            Line::Http2(session) => match Http2::begin(session, head, body, limits.write).await {
                Ok(begun) => Wire::Http2(Box::new(begun)),
                Err((fault, session)) => {
                    connections.give_back_http2(session, &way);
                    return Err((fault, reused));
                }
            },
        };
        Ok(Self { wire, way, reused, limits, _room: room, broken: None })
    }

    /// Waits for the head of the final answer.
    pub async fn head(&mut self) -> Result<Parts, Fault> {
        let (limit, begun) = (self.limits.first_byte, Instant::now());
        let read = match &mut self.wire {
            Wire::Http1(wire) => within(limit, pin!(wire.head())).await,
            Wire::Http2(wire) => within(limit, pin!(wire.head())).await,
        };
        match read.unwrap_or(Err(Fault::FirstByteTimeout(limit))) {
            Err(Fault::ClosedEarly) if begun.elapsed() > AT_ONCE => Err(Fault::Abandoned(begun.elapsed())),
            head => head,
        }
    }

    /// Waits for more of the body and takes what else has already arrived, so that a burst of small chunks costs its
    /// reader one write. `false` at the end of the body.
    pub async fn read(&mut self, chunks: &mut Vec<Bytes>) -> Result<bool, Fault> {
        if let Some(fault) = self.broken.take() {
            return Err(fault);
        }
        let limit = self.limits.idle;
        let first = within(limit, pin!(self.wire.chunk())).await.map_err(|_| Fault::Idle(limit))??;
        let Some(first) = first else { return Ok(false) };
        let mut length = first.len();
        chunks.push(first);
        while length < ONE_READ {
            match self.wire.chunk().now_or_never() {
                Some(Ok(Some(more))) => {
                    length += more.len();
                    chunks.push(more);
                }
                Some(Ok(None)) => return Ok(false),
                Some(Err(fault)) => {
                    self.broken = Some(fault);
                    break;
                }
                None => break,
            }
        }
        Ok(true)
    }

    /// Puts the connection back for others when the answer was read to its end, and closes it otherwise.
    pub fn end(self, connections: &Connections) {
        match self.wire {
            Wire::Http1(wire) => {
                if let Some(stream) = wire.end() {
                    connections.give_back_http1(stream, &self.way);
                }
            }
            Wire::Http2(wire) => connections.give_back_http2(wire.end(), &self.way),
        }
    }
}

impl Wire {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Http1(wire) => wire.chunk().await,
            Self::Http2(wire) => wire.chunk().await,
        }
    }
}
