//! One connection below hyper: a byte pipe that can be cut at will and that can carry bytes hyper would never write.
//! What to cut and when is left to the faults.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use crate::base::locks::lock;

/// How a connection is to be ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// FIN without finishing what was being said.
    Close,
    /// RST.
    Reset,
    /// HTTP/2: GOAWAY, then go on with what is open. HTTP/1.1: no further request on this connection.
    GoAway,
}

/// The handle a request has on its connection.
#[derive(Debug)]
pub struct Line {
    pub id: u64,
    cut: AtomicU8,
    wake: Notify,
    outbox: Mutex<Outbox>,
}

/// Bytes written around hyper's own, HTTP/1.1 only.
#[derive(Debug, Default)]
struct Outbox {
    /// Before the next byte that hyper writes.
    before: Bytes,
    /// After everything hyper has buffered, on its next flush.
    after: Bytes,
}

impl Line {
    pub fn new(id: u64) -> Self {
        Self { id, cut: AtomicU8::new(0), wake: Notify::new(), outbox: Mutex::default() }
    }

    pub fn cut(&self, how: Cut) {
        self.cut.store(how as u8 + 1, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Waits until [`Line::cut`] is called.
    pub async fn to_be_cut(&self) -> Cut {
        self.wake.notified().await;
        match self.cut.load(Ordering::SeqCst) {
            1 => Cut::Close,
            2 => Cut::Reset,
            _ => Cut::GoAway,
        }
    }

    /// Whether this side has ended the connection on purpose.
    pub fn is_cut(&self) -> bool {
        matches!(self.cut.load(Ordering::SeqCst), 1 | 2)
    }

    pub fn write_before_next(&self, bytes: Bytes) {
        self.outbox().before = bytes;
    }

    pub fn write_after_flush(&self, bytes: Bytes) {
        self.outbox().after = bytes;
    }

    fn outbox(&self) -> std::sync::MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }
}

/// The bytes of a connection, encrypted or not.
#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What hyper reads from and writes to.
#[derive(Debug)]
pub struct Pipe {
    transport: Transport,
    line: Arc<Line>,
}

impl Pipe {
    pub fn plain(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { transport: Transport::Plain(stream), line }
    }

    pub fn tls(stream: TlsStream<TcpStream>, line: Arc<Line>) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), line }
    }

    fn socket(&self) -> &TcpStream {
        match &self.transport {
            Transport::Plain(stream) => stream,
            Transport::Tls(stream) => stream.get_ref().0,
        }
    }

    fn inner(&mut self) -> Pin<&mut dyn Duplex> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream),
            Transport::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    /// Writes out one of the two boxes; what the socket does not take stays in it.
    fn drain(&mut self, which: fn(&mut Outbox) -> &mut Bytes, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut pending = std::mem::take(which(&mut self.line.outbox()));
            if pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = self.inner().poll_write(cx, &pending);
            if let Poll::Ready(Ok(count)) = written {
                pending.advance(count);
            }
            *which(&mut self.line.outbox()) = pending;
            ready!(written)?;
        }
    }
}

/// A linger of zero turns the close that follows into RST.
impl Drop for Pipe {
    fn drop(&mut self) {
        if self.line.cut.load(Ordering::SeqCst) == Cut::Reset as u8 + 1 {
            let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.drain(|outbox| &mut outbox.before, cx))?;
        self.inner().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.drain(|outbox| &mut outbox.before, cx))?;
        self.inner().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.transport, Transport::Plain(_))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(|outbox| &mut outbox.after, cx))?;
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
