//! One exchange over HTTP/1.1 (RFC 9112). Head and body of a request that fits go out in one write, and while a larger
//! one goes out, an answer that comes before its end is seen. Reading and framing of answers is Pingora's.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::{HttpSession, http_req_header_to_wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::early::{Coming, Early};
use super::fault::{Fault, MOST_INTERIM, brief};
use super::segment::{Queue, Segment, Source};
use crate::base::limit::within;

/// Below this a request goes out in one write, and nobody looks for an early answer meanwhile: it fits any socket buffer.
const ONE_WRITE: u64 = 64 * 1024;

/// How long a server that stopped reading may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) struct Http1 {
    session: HttpSession,
    /// The request was not sent to its end, so the connection cannot be used again.
    cut_short: bool,
}

impl Http1 {
    /// Sends a request.
    pub(super) async fn begin(
        stream: Stream,
        head: &RequestHeader,
        body: Vec<Segment>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let head = http_req_header_to_wire(head);
        let head = head.ok_or_else(|| Fault::Write("the request line holds a forbidden byte".to_owned()))?;
        let source = Source::new(head.freeze(), body);
        let source = if source.len() <= ONE_WRITE { source.whole() } else { Err(source) };
        let (stream, cut_short) = match source {
            Ok(queue) => (send_at_once(stream, queue, limit).await?, false),
            Err(source) => send_watching(stream, source, limit).await?,
        };
        Ok(Self { session: HttpSession::new(stream), cut_short })
    }

    pub(super) async fn head(&mut self) -> Result<(), Fault> {
        for interim in 0..MOST_INTERIM {
            let read = self.session.read_response().await;
            // A server that has said something has seen the request.
            read.map_err(|error| if interim == 0 { Fault::in_head(&error) } else { Fault::Broken(brief(&error)) })?;
            let head = self.session.resp_header().expect("read_response succeeded");
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                return Err(Fault::Malformed("it switches protocols, which nobody asked for".to_owned()));
            }
            if !head.status.is_informational() {
                return Ok(());
            }
        }
        Err(Fault::too_many_interim())
    }

    pub(super) fn answer(&self) -> Option<&ResponseHeader> {
        self.session.resp_header()
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        self.session.read_body_bytes().await.map_err(|error| Fault::in_body(&error))
    }

    /// The connection, when another exchange may use it; it is closed otherwise.
    pub(super) fn end(mut self) -> Option<Stream> {
        if !self.cut_short {
            self.session.respect_keepalive();
            // Nothing is waited for where the connection is to be kept, nor should anybody wait where it is not.
            return self.session.reuse().now_or_never().flatten();
        }
        None
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
/// answer is lost if the connection is reset while nobody reads. Returns whether the request was cut short.
async fn send_watching(stream: Stream, mut source: Source, limit: Duration) -> Result<(Stream, bool), Fault> {
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
    let stream = reader.unsplit(writer);
    if answer.bytes.is_empty() {
        return if finished { Ok((stream, false)) } else { Err(failed.map_or(Fault::ClosedEarly, Fault::Write)) };
    }
    Ok((Box::new(Early { first: answer.bytes.freeze(), rest: stream }), true))
}

fn stuck(limit: Duration) -> Fault {
    Fault::Write(format!("no progress for {limit:?}"))
}
