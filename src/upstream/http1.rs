//! One exchange over HTTP/1.1 (RFC 9112). Head and body of a request that fits go out in one write, and while a larger
//! one goes out, an answer that comes before its end is seen. What arrives is read into one buffer, out of which the
//! body is cut in place.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use http::response::Parts;
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer::{self, Rest};
use super::content::{Content, Taken};
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
    incoming: Incoming,
    /// For the next read.
    room: usize,
    /// The most that `arrived` was given at once, and about what it keeps.
    block: usize,
    /// The request was sent to its end; otherwise the connection cannot be used again.
    sent: bool,
    /// A head that came before that, until it is asked for.
    early: Option<Parts>,
    /// What follows the head, once that was asked for.
    rest: Option<Rest>,
}

/// What comes in.
#[derive(Debug, Default)]
struct Incoming {
    /// Read and not yet taken.
    arrived: BytesMut,
    /// Interim answers that were read over: a server may send them unasked (RFC 9110, section 15.2).
    interim: usize,
}

impl Http1 {
    /// Sends a request of any other method than HEAD.
    pub(super) async fn begin(
        stream: Stream,
        head: &RequestHeader,
        body: Vec<Segment>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        debug_assert!(head.method != Method::HEAD, "nothing here asks so, and no answer is read so");
        let head = http_req_header_to_wire(head);
        let head = head.ok_or_else(|| Fault::Write("the request line holds a forbidden byte".to_owned()))?;
        let source = Source::new(head.freeze(), body);
        let source = if source.len() <= ONE_WRITE { source.whole() } else { Err(source) };
        let mut incoming = Incoming::default();
        let (stream, early, sent) = match source {
            Ok(queue) => (send_at_once(stream, queue, limit).await?, None, true),
            Err(source) => send_watching(stream, source, &mut incoming, limit).await?,
        };
        Ok(Self { stream, incoming, room: HEAD_ROOM, block: 0, sent, early, rest: None })
    }

    /// Waits for the head of the final answer.
    pub(super) async fn head(&mut self) -> Result<Parts, Fault> {
        let mut head = loop {
            if let Some(head) = self.early.take() {
                break head;
            }
            if let Some(head) = self.incoming.head()? {
                break head;
            }
            let silent = self.incoming.is_silent();
            match self.fill().await {
                Ok(1..) => {}
                Ok(0) | Err(_) if silent => return Err(Fault::ClosedEarly),
                Ok(0) => return Err(Fault::Broken("the connection was closed within the head".to_owned())),
                Err(error) => return Err(Fault::Broken(error.to_string())),
            }
        };
        let rest = answer::rest(&mut head)?;
        self.room = match rest.content {
            Content::Exactly(length) => {
                usize::try_from(length).map_or(MOST_ROOM, |length| length.clamp(LEAST_ROOM, MOST_ROOM))
            }
            Content::Chunked(_) | Content::UntilClosed => LEAST_ROOM,
        };
        self.rest = Some(rest);
        Ok(head)
    }

    /// Waits for more of the content; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let Some(Rest { content, .. }) = &mut self.rest else { return Ok(None) };
            let taken = content.take(&mut self.incoming.arrived);
            match taken.map_err(|malformed| Fault::Broken(malformed.to_string()))? {
                Taken::Some(bytes) => return Ok(Some(bytes)),
                Taken::End => return Ok(None),
                Taken::Nothing => {}
            }
            let to_its_end = matches!(content, Content::UntilClosed);
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
        let arrived = &mut self.incoming.arrived;
        if arrived.is_empty() && self.block > 2 * self.room {
            (*arrived, self.block) = (BytesMut::new(), 0);
        }
        if arrived.capacity() - arrived.len() < self.room / 4 {
            arrived.reserve(self.room);
            self.block = self.block.max(self.room);
        }
        let read = self.stream.read_buf(arrived).await?;
        if arrived.len() == arrived.capacity() {
            self.room = (self.room * 2).min(MOST_ROOM);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(LEAST_ROOM);
        }
        Ok(read)
    }

    /// The connection, when another exchange may use it; it is closed otherwise.
    pub(super) fn end(mut self) -> Option<Stream> {
        // Bytes behind the end of an answer belong to nothing that was asked.
        let over = self.rest.is_some_and(|rest| rest.persists && rest.content.is_over());
        if over && self.sent && self.incoming.arrived.is_empty() {
            return Some(self.stream);
        }
        // TLS says so before it closes; nobody waits for that.
        let _ = self.stream.shutdown().now_or_never();
        None
    }
}

impl Incoming {
    /// Takes the head of the final answer, and interim ones before it; `None` while it is not all there.
    fn head(&mut self) -> Result<Option<Parts>, Fault> {
        while let Some(head) = answer::head(&mut self.arrived)? {
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Fault::Malformed("it switches protocols, which nobody asked for".to_owned()));
            }
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(Fault::too_many_interim());
            }
        }
        Ok(None)
    }

    /// Whether nothing was said. A server that has said something has seen the request.
    fn is_silent(&self) -> bool {
        self.interim == 0 && self.arrived.is_empty()
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
/// answer is lost if the connection is reset while nobody reads. Returns the head of such an answer, and whether all was sent.
async fn send_watching(
    stream: Stream,
    mut source: Source,
    incoming: &mut Incoming,
    limit: Duration,
) -> Result<(Stream, Option<Parts>, bool), Fault> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut early, mut failed) = (None, None);
    while let Some(queue) = source.next().await.map_err(Fault::Body)? {
        debug_assert!(queue.has_remaining());
        let write = pin!(writer.write_buf(queue));
        let progress = tokio::select! {
            biased;
            read = reader.read_buf(&mut incoming.arrived) => {
                match read {
                    Ok(1..) => early = incoming.head()?,
                    Ok(0) => failed = Some(Fault::ClosedEarly),
                    Err(error) => failed = Some(Fault::Write(error.to_string())),
                }
                if early.is_none() && failed.is_none() {
                    continue;
                }
                break;
            },
            written = within(limit, write) => written,
        };
        match progress {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                // The refusal may still be waiting to be read.
                failed = Some(Fault::Write(error.to_string()));
                let _ = within(LAST_WORDS, pin!(reader.read_buf(&mut incoming.arrived))).await;
                break;
            }
            Err(_) => return Err(stuck(limit)),
        }
    }
    let sent = source.is_empty() && failed.is_none() && early.is_none();
    match failed {
        Some(fault) if incoming.is_silent() => return Err(fault),
        _ if sent => {
            let flushed = within(limit, pin!(writer.flush())).await.map_err(|_| stuck(limit))?;
            flushed.map_err(|error| Fault::Write(error.to_string()))?;
        }
        _ => {}
    }
    Ok((reader.unsplit(writer), early, sent))
}

fn stuck(limit: Duration) -> Fault {
    Fault::Write(format!("no progress for {limit:?}"))
}
