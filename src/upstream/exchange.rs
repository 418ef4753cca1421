//! One HTTP/1.1 exchange: head and body out in as few writes as possible, the answer in as it comes (RFC 9112).
//!
//! Reading and framing of the answer is Pingora's `HttpSession`; writing is done here, because head and body of a
//! request that fits go out in one write, and because an answer that comes before the request is out must be seen.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::{HttpSession, http_req_header_to_wire};
use pingora::upstreams::peer::{HttpPeer, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::early::{Coming, Early};
use super::fault::{Fault, brief, head_fault, is_timeout};
use super::host::Host;

/// Below this a request goes out in one write, and nobody looks for an early answer meanwhile: it fits any socket buffer.
const ONE_WRITE: u64 = 64 * 1024;

/// Interim answers (1xx) that are read over before the final one; more are a broken server.
pub(super) const MOST_INTERIM: usize = 32;

/// A connection that was closed just as the request came is found closed within this time. Whatever breaks later may
/// have been worked on.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How much is collected from what has already arrived before it is handed on.
const ONE_READ: usize = 64 * 1024;

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

/// A part of a request's body.
#[derive(Debug, Clone)]
pub enum Segment {
    Memory(Bytes),
    /// `length` bytes of an open file from `at`.
    File {
        file: std::sync::Arc<std::fs::File>,
        at: u64,
        length: u64,
    },
}

/// An exchange whose request is out.
pub struct Exchange {
    session: HttpSession,
    peer: std::sync::Arc<HttpPeer>,
    /// Whether the connection had served another exchange before.
    pub reused: bool,
    limits: Limits,
    /// The request was not sent to its end, so the connection cannot be used again.
    cut_short: bool,
    /// A break that was met while collecting; told once what arrived before it was handed on.
    broken: Option<Fault>,
}

impl Exchange {
    /// Connects, or takes a pooled connection, and sends the request. `fresh` forbids pooled connections.
    pub async fn begin(
        connector: &TransportConnector,
        host: &Host,
        head: &RequestHeader,
        body: Vec<Segment>,
        limits: Limits,
        fresh: bool,
    ) -> Result<Self, (Fault, bool)> {
        let (stream, peer, reused) = connect(connector, host, fresh).await.map_err(|fault| (fault, false))?;
        let head = http_req_header_to_wire(head);
        let head = head.ok_or_else(|| (Fault::Write("the request line holds a forbidden byte".to_owned()), reused))?;
        let sent = send(stream, head.freeze(), body, limits.write).await;
        let (stream, cut_short) = sent.map_err(|fault| (fault, reused))?;
        Ok(Self { session: HttpSession::new(stream), peer, reused, limits, cut_short, broken: None })
    }

    /// The head of the final answer.
    pub async fn head(&mut self) -> Result<ResponseHeader, Fault> {
        let (limit, begun) = (self.limits.first_byte, Instant::now());
        let read = timeout(limit, self.read_head()).await;
        match read.unwrap_or(Err(Fault::FirstByteTimeout(limit))) {
            Err(Fault::ClosedEarly) if begun.elapsed() > AT_ONCE => Err(Fault::Abandoned(begun.elapsed())),
            head => head,
        }
    }

    async fn read_head(&mut self) -> Result<ResponseHeader, Fault> {
        for interim in 0..MOST_INTERIM {
            let read = self.session.read_response().await;
            read.map_err(|error| if interim == 0 { head_fault(&error) } else { Fault::Broken(brief(&error)) })?;
            let head = self.session.resp_header().expect("read_response succeeded");
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                return Err(Fault::Malformed("it switches protocols, which nobody asked for".to_owned()));
            }
            if !head.status.is_informational() {
                return Ok(head.clone());
            }
        }
        Err(Fault::too_many_interim())
    }

    /// Waits for more of the body and takes what else has already arrived, so that a burst of small chunks costs its
    /// reader one write. `false` at the end of the body.
    pub async fn read(&mut self, chunks: &mut Vec<Bytes>) -> Result<bool, Fault> {
        if let Some(fault) = self.broken.take() {
            return Err(fault);
        }
        let limit = self.limits.idle;
        let first = timeout(limit, self.session.read_body_bytes()).await.map_err(|_| Fault::Idle(limit))?;
        let Some(first) = first.map_err(|error| Fault::Broken(brief(&error)))? else { return Ok(false) };
        let mut length = first.len();
        chunks.push(first);
        while length < ONE_READ {
            match self.session.read_body_bytes().now_or_never() {
                Some(Ok(Some(more))) => {
                    length += more.len();
                    chunks.push(more);
                }
                Some(Ok(None)) => return Ok(false),
                Some(Err(error)) => {
                    self.broken = Some(Fault::Broken(brief(&error)));
                    break;
                }
                None => break,
            }
        }
        Ok(true)
    }

    /// Puts the connection back for others when the answer was read to its end, and closes it otherwise.
    pub async fn end(mut self, connector: &TransportConnector) {
        if self.cut_short || !self.session.is_body_done() {
            return self.session.shutdown().await;
        }
        self.session.respect_keepalive();
        if let Some(stream) = self.session.reuse().await {
            connector.release_stream(stream, self.peer.reuse_hash(), Some(Host::idle_timeout()));
        }
    }
}

async fn connect(
    connector: &TransportConnector,
    host: &Host,
    fresh: bool,
) -> Result<(Stream, std::sync::Arc<HttpPeer>, bool), Fault> {
    let limit = host.connect_timeout;
    let late = || Fault::ConnectTimeout { host: host.authority.clone(), limit };
    let deadline = tokio::time::Instant::now() + limit;
    let addresses = tokio::time::timeout_at(deadline, host.addresses()).await.map_err(|_| late())??;
    let mut last = late();
    for address in addresses {
        let peer = host.peer(address);
        let stream = async {
            if fresh {
                connector.new_stream(&*peer).await.map(|stream| (stream, false))
            } else {
                connector.get_stream(&*peer).await
            }
        };
        match tokio::time::timeout_at(deadline, stream).await {
            Ok(Ok((stream, reused))) => return Ok((stream, peer, reused)),
            Ok(Err(error)) if is_timeout(&error) => last = late(),
            Ok(Err(error)) => last = Fault::Connect { host: host.authority.clone(), cause: brief(&error) },
            Err(_) => {
                host.move_on();
                return Err(late());
            }
        }
        host.move_on();
    }
    Err(last)
}

/// Sends head and body. Returns the connection and whether the request was cut short by an early answer.
async fn send(stream: Stream, head: Bytes, body: Vec<Segment>, limit: Duration) -> Result<(Stream, bool), Fault> {
    let length: u64 = body.iter().map(Segment::len).sum();
    let in_memory = body.iter().all(|segment| matches!(segment, Segment::Memory(_)));
    if length <= ONE_WRITE && in_memory {
        send_at_once(stream, head, body, limit).await
    } else {
        send_watching(stream, head, body, limit).await
    }
}

async fn send_at_once(
    mut stream: Stream,
    head: Bytes,
    body: Vec<Segment>,
    limit: Duration,
) -> Result<(Stream, bool), Fault> {
    let mut queue =
        Queue { parts: std::iter::once(head).chain(body.into_iter().filter_map(Segment::memory)).collect() };
    let write = async {
        stream.write_all_buf(&mut queue).await?;
        stream.flush().await
    };
    let written = timeout(limit, write).await.map_err(|_| Fault::Write(format!("no progress for {limit:?}")))?;
    written.map_err(|error| Fault::Write(error.to_string()))?;
    Ok((stream, false))
}

/// Writes while listening: a server may refuse a large body before it is all there (RFC 9112, section 9.3), and its
/// answer is lost if the connection is reset while nobody reads.
async fn send_watching(
    stream: Stream,
    head: Bytes,
    body: Vec<Segment>,
    limit: Duration,
) -> Result<(Stream, bool), Fault> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut answer = Coming::default();
    let mut source = Source { segments: body.into(), queue: Queue { parts: VecDeque::from([head]) } };
    let mut failed = None;
    while let Some(queue) = source.next().await? {
        let progress = tokio::select! {
            biased;
            read = reader.read_buf(&mut answer.bytes) => match read {
                Ok(length) if length > 0 && !answer.is_final()? => continue,
                read => {
                    failed = read.err().map(|error| error.to_string());
                    break;
                }
            },
            written = timeout(limit, writer.write_buf(queue)) => written,
        };
        match progress {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                // The refusal may still be waiting to be read.
                failed = Some(error.to_string());
                let _ = timeout(Duration::from_millis(500), reader.read_buf(&mut answer.bytes)).await;
                break;
            }
            Err(_) => return Err(Fault::Write(format!("no progress for {limit:?}"))),
        }
    }
    let finished = source.is_empty() && failed.is_none();
    if finished {
        timeout(limit, writer.flush())
            .await
            .map_err(|_| Fault::Write(format!("no progress for {limit:?}")))?
            .map_err(|error| Fault::Write(error.to_string()))?;
    }
    let stream = reader.unsplit(writer);
    if answer.bytes.is_empty() {
        return if finished { Ok((stream, false)) } else { Err(failed.map_or(Fault::ClosedEarly, Fault::Write)) };
    }
    Ok((Box::new(Early { first: answer.bytes.freeze(), rest: stream }), true))
}

/// Buffers waiting to be written, offered to the socket together.
#[derive(Debug)]
struct Queue {
    parts: VecDeque<Bytes>,
}

impl Buf for Queue {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts.iter().filter(|part| !part.is_empty());
        out.iter_mut().zip(parts).map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.parts.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if !front.is_empty() {
                break;
            }
            self.parts.pop_front();
        }
    }
}

/// The rest of a request's body, read from its file piece by piece.
#[derive(Debug)]
struct Source {
    segments: VecDeque<Segment>,
    queue: Queue,
}

impl Source {
    /// What is to be written next; `None` when all is out.
    async fn next(&mut self) -> Result<Option<&mut Queue>, Fault> {
        while !self.queue.has_remaining() {
            match self.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Memory(bytes)) => self.queue.parts.push_back(bytes),
                Some(Segment::File { file, at, length }) => {
                    let piece = length.min(256 * 1024);
                    if length > piece {
                        let rest = Segment::File {
                            file: std::sync::Arc::clone(&file),
                            at: at + piece,
                            length: length - piece,
                        };
                        self.segments.push_front(rest);
                    }
                    self.queue.parts.push_back(read_piece(file, at, piece).await?);
                }
            }
        }
        Ok(Some(&mut self.queue))
    }

    fn is_empty(&self) -> bool {
        self.segments.is_empty() && !self.queue.has_remaining()
    }
}

async fn read_piece(file: std::sync::Arc<std::fs::File>, at: u64, length: u64) -> Result<Bytes, Fault> {
    use std::os::unix::fs::FileExt;
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; length as usize];
        file.read_exact_at(&mut piece, at).map(|()| piece)
    });
    let piece = read.await.map_err(|error| Fault::Body(std::io::Error::other(error)))?;
    piece.map(Bytes::from).map_err(Fault::Body)
}

impl Segment {
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn memory(self) -> Option<Bytes> {
        match self {
            Self::Memory(bytes) => Some(bytes),
            Self::File { .. } => None,
        }
    }
}
