//! One exchange over HTTP/1.1 (RFC 9112). Head and body of a request that fits go out in one write, and while a larger
//! one goes out, an answer that comes before its end is seen. What arrives is read into one buffer, out of which the
//! body is cut in place.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::response::Parts;
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::{self, Rest};
use super::body::{Body, Taken};
use super::early::Coming;
use super::fault::{Fault, MOST_INTERIM};
use super::segment::{Queue, Segment, Source};
use crate::base::limit::within;

/// Below this a request goes out in one write, and nobody looks for an early answer meanwhile: it fits any socket buffer.
const ONE_WRITE: u64 = 64 * 1024;

/// How long a server that stopped reading may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Room for one read of a head, with the body of a short answer.
const HEAD_ROOM: usize = 4 * 1024;

/// Room for one read of a body: as little as an event takes while little arrives, since a stream that stands still keeps it.
const LEAST_ROOM: usize = 1024;
const MOST_ROOM: usize = 64 * 1024;

pub(super) struct Http1 {
    stream: Stream,
    /// What was read and not yet taken.
    arrived: BytesMut,
    /// Interim answers that were read over.
    interim: usize,
    /// For the next read.
    room: usize,
    /// The largest room that what has arrived lies in.
    block: usize,
    /// The request was a HEAD.
    to_head: bool,
    /// The request was sent to its end; otherwise the connection cannot be used again.
    sent: bool,
    /// What follows the head, once that was taken.
    rest: Option<Rest>,
}

impl Http1 {
    /// Sends a request.
    pub(super) async fn begin(
        stream: Stream,
        head: &RequestHeader,
        body: Vec<Segment>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let to_head = head.method == Method::HEAD;
        let head = http_req_header_to_wire(head);
        let head = head.ok_or_else(|| Fault::Write("the request line holds a forbidden byte".to_owned()))?;
        let source = Source::new(head.freeze(), body);
        let source = if source.len() <= ONE_WRITE { source.whole() } else { Err(source) };
        let (stream, coming, sent) = match source {
            Ok(queue) => (send_at_once(stream, queue, limit).await?, Coming::default(), true),
            Err(source) => send_watching(stream, source, limit).await?,
        };
        let Coming { bytes: arrived, interim } = coming;
        Ok(Self { stream, arrived, interim, room: HEAD_ROOM, block: 0, to_head, sent, rest: None })
    }

    /// Waits for the head of the final answer.
    pub(super) async fn head(&mut self) -> Result<Parts, Fault> {
        loop {
            match answer::head(&mut self.arrived).map_err(|malformed| Fault::Malformed(malformed.to_string()))? {
                Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Fault::Malformed("it switches protocols, which nobody asked for".to_owned()));
                }
                Some(head) if head.status.is_informational() => {
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Err(Fault::too_many_interim());
                    }
                    continue;
                }
                Some(head) => {
                    let rest = answer::rest(&head, self.to_head);
                    let rest = rest.map_err(|malformed| Fault::Malformed(malformed.to_string()))?;
                    self.room = match rest.body {
                        Body::Exactly(length) => (length as usize).clamp(LEAST_ROOM, MOST_ROOM),
                        Body::Chunked(_) | Body::UntilClosed => LEAST_ROOM,
                    };
                    self.rest = Some(rest);
                    return Ok(head);
                }
                None => {}
            }
            // A server that has said something has seen the request.
            let silent = self.interim == 0 && self.arrived.is_empty();
            match self.fill().await {
                Ok(1..) => {}
                Ok(0) | Err(_) if silent => return Err(Fault::ClosedEarly),
                Ok(0) => return Err(Fault::Broken("the connection was closed within the head".to_owned())),
                Err(error) => return Err(Fault::Broken(error.to_string())),
            }
        }
    }

    /// Waits for more of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let Some(Rest { body, .. }) = &mut self.rest else { return Ok(None) };
            match body.take(&mut self.arrived).map_err(|malformed| Fault::Broken(malformed.to_string()))? {
                Taken::Some(bytes) => return Ok(Some(bytes)),
                Taken::End => return Ok(None),
                Taken::Nothing => {}
            }
            let to_its_end = matches!(body, Body::UntilClosed);
            match self.fill().await {
                Ok(1..) => {}
                Ok(0) if to_its_end => return Ok(None),
                Ok(0) => return Err(Fault::Broken("the connection was closed".to_owned())),
                Err(error) => return Err(Fault::Broken(error.to_string())),
            }
        }
    }

    /// Reads what has arrived; zero when the connection was closed.
    async fn fill(&mut self) -> io::Result<usize> {
        if self.arrived.is_empty() && self.block > 2 * self.room {
            (self.arrived, self.block) = (BytesMut::new(), 0);
        }
        if self.arrived.capacity() - self.arrived.len() < self.room / 4 {
            self.arrived.reserve(self.room);
            self.block = self.block.max(self.room);
        }
        let read = self.stream.read_buf(&mut self.arrived).await?;
        if self.arrived.len() == self.arrived.capacity() {
            self.room = (self.room * 2).min(MOST_ROOM);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(LEAST_ROOM);
        }
        Ok(read)
    }

    /// The connection, when another exchange may use it; it is closed otherwise.
    pub(super) fn end(self) -> Option<Stream> {
        // Bytes behind the end of an answer belong to nothing that was asked.
        let over = self.rest.is_some_and(|rest| rest.persists && rest.body.is_over()) && self.arrived.is_empty();
        (over && self.sent).then_some(self.stream)
    }
}

async fn send_at_once(mut stream: Stream, mut queue: Queue, limit: Duration) -> Result<Stream, Fault> {
    let write = pin!(async {
        stream.write_all_buf(&mut queue).await?;
        stream.flush().await
    });
    let written = within(limit, write).await.map_err(|_| stuck(limit))?;
    written.map_err(|error| Fault::Write(error.to_string()))?;
    Ok(stream)
}

/// Writes while listening: a server may refuse a large body before it is all there (RFC 9112, section 9.3), and its
/// answer is lost if the connection is reset while nobody reads. Returns what has arrived, and whether all was sent.
async fn send_watching(stream: Stream, mut source: Source, limit: Duration) -> Result<(Stream, Coming, bool), Fault> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut answer = Coming::default();
    let mut failed = None;
    while let Some(queue) = source.next().await.map_err(Fault::Body)? {
        debug_assert!(queue.has_remaining());
        let write = pin!(writer.write_buf(queue));
        let progress = tokio::select! {
            biased;
            read = reader.read_buf(&mut answer.bytes) => match read {
                Ok(length) if length > 0 && !answer.is_final()? => continue,
                read => {
                    failed = read.err().map(|error| error.to_string());
                    break;
                }
            },
            written = within(limit, write) => written,
        };
        match progress {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                // The refusal may still be waiting to be read.
                failed = Some(error.to_string());
                let _ = within(LAST_WORDS, pin!(reader.read_buf(&mut answer.bytes))).await;
                break;
            }
            Err(_) => return Err(stuck(limit)),
        }
    }
    let finished = source.is_empty() && failed.is_none();
    if finished {
        let flushed = within(limit, pin!(writer.flush())).await.map_err(|_| stuck(limit))?;
        flushed.map_err(|error| Fault::Write(error.to_string()))?;
    }
    if !finished && answer.bytes.is_empty() && answer.interim == 0 {
        return Err(failed.map_or(Fault::ClosedEarly, Fault::Write));
    }
    Ok((reader.unsplit(writer), answer, finished))
}

fn stuck(limit: Duration) -> Fault {
    Fault::Write(format!("no progress for {limit:?}"))
}
