//! How long the door waits for callers to speak, and how much of it: Pingora limits each read alone, so that a byte now
//! and then would hold a connection for hours. Wraps a connection once it is decrypted.

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answers;
use crate::base::limit::Limit;
use crate::proxy::connection::{Heads, Turn};

/// For the first bytes on a connection.
pub const FIRST_BYTES: Duration = Duration::from_secs(10);

/// For the next request on a connection that has served one. Pingora would set a timer for each, and keeps those.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// For a whole request head, from its first byte.
const HEAD: Duration = Duration::from_secs(10);

/// Bytes of a head, request line and headers together.
pub const HEAD_BYTES: usize = 64 * 1024;

/// How long a caller who was refused may go on sending, so that it gets to see why instead of a reset.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that gives up on callers who do not finish their heads.
#[derive(Debug)]
pub struct Patient<S> {
    inner: S,
    heads: Heads,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The connection's first bytes are awaited, as many as are still missing.
    Silent { missing: usize, limit: Limit },
    /// A request is served.
    Busy,
    /// The next request is awaited, and nothing of it is there.
    Quiet { turn: Turn, limit: Limit },
    /// Part of a head is there.
    Head { turn: Turn, bytes: usize, limit: Limit },
    /// The caller was told off and is listened to no more.
    Refused { limit: Limit },
}

/// Why a caller is listened to no more.
enum Enough {
    /// Between two requests.
    Silence,
    /// With the answer to a head that is too large or too slow.
    Head(&'static [u8]),
}

impl<S: IO> Patient<S> {
    /// `least` bytes are the fewest that say anything.
    pub fn new(inner: S, heads: Heads, least: usize) -> Self {
        Self { inner, heads, state: State::Silent { missing: least, limit: Limit::after(FIRST_BYTES) } }
    }

    /// Whether a caller has kept silent for too long; `length` more bytes have come.
    fn is_silent(&mut self, length: usize, context: &mut Context<'_>) -> bool {
        let State::Silent { missing, limit } = &mut self.state else { return false };
        if length >= *missing {
            self.state = State::Busy;
            return false;
        }
        *missing -= length;
        limit.is_over(context)
    }

    /// Takes note of `length` more bytes, which may be too many for a head.
    fn count(&mut self, turn: Turn, length: usize) -> Option<Enough> {
        match &mut self.state {
            State::Head { turn: current, bytes, .. } if *current == turn => *bytes += length,
            _ => self.state = State::Head { turn, bytes: length, limit: Limit::after(HEAD) },
        }
        matches!(&self.state, State::Head { bytes, .. } if *bytes > HEAD_BYTES)
            .then_some(Enough::Head(answers::HEAD_TOO_LARGE))
    }

    /// Nothing more has come for now, perhaps for too long.
    fn wait(&mut self, turn: Turn, context: &mut Context<'_>) -> Option<Enough> {
        if matches!(self.state, State::Silent { .. }) {
            return None;
        }
        if let State::Head { turn: current, limit, .. } = &mut self.state
            && *current == turn
        {
            return limit.is_over(context).then_some(Enough::Head(answers::HEAD_TOO_SLOW));
        }
        if !matches!(&self.state, State::Quiet { turn: current, .. } if *current == turn) {
            self.state = State::Quiet { turn, limit: Limit::after(KEEP_ALIVE) };
        }
        let State::Quiet { limit, .. } = &mut self.state else { return None };
        limit.is_over(context).then_some(Enough::Silence)
    }

    /// Answers and then reads over whatever still comes, until the caller ends or the time is over: the end of what
    /// there is to read.
    fn refuse(&mut self, answer: &[u8], context: &mut Context<'_>) {
        // Nothing was written since the last answer was flushed, so that there is room for this one.
        let _ = Pin::new(&mut self.inner).poll_write(context, answer);
        let _ = Pin::new(&mut self.inner).poll_flush(context);
        self.state = State::Refused { limit: Limit::after(LINGER) };
    }

    /// Ready with nothing read when the connection is to be closed.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let State::Refused { limit } = &mut self.state else { return Poll::Ready(Ok(())) };
        let mut scratch = [0; 4096];
        loop {
            if limit.is_over(context) {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: IO> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let patient = self.get_mut();
        if matches!(patient.state, State::Refused { .. }) {
            return patient.linger(context);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut patient.inner).poll_read(context, buffer);
        if patient.is_silent(buffer.filled().len() - before, context) {
            buffer.set_filled(before);
            return Poll::Ready(Ok(()));
        }
        let Some(turn) = patient.heads.awaited() else {
            return read;
        };
        let enough = match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                patient.count(turn, buffer.filled().len() - before)
            }
            Poll::Ready(_) => None,
            Poll::Pending => patient.wait(turn, context),
        };
        let Some(enough) = enough else { return read };
        buffer.set_filled(before);
        match enough {
            Enough::Silence => Poll::Ready(Ok(())),
            Enough::Head(answer) => {
                patient.refuse(answer, context);
                patient.linger(context)
            }
        }
    }
}

impl<S: IO> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[async_trait]
impl<S: IO> Peek for Patient<S> {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> Result<bool> {
        self.inner.try_peek(buffer).await
    }
}

#[async_trait]
impl<S: IO> Shutdown for Patient<S> {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl<S: IO> UniqueID for Patient<S> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl<S: IO> Ssl for Patient<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl<S: IO> GetTimingDigest for Patient<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for Patient<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for Patient<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use pingora::protocols::l4::stream::Stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::base::limit::sharing;
    use crate::proxy::connection::{head_awaited, head_complete};

    /// A connection on which one request was read, and its caller.
    async fn served(heads: &Heads) -> (Patient<Stream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut patient = Patient::new(Stream::from(listener.accept().await.unwrap().0), heads.clone(), 1);
        caller.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(patient.read(&mut [0; 64]).await.unwrap() > 0);
        head_complete();
        (patient, caller)
    }

    /// Over TLS nothing else limits it: there the first bytes cannot be looked at beforehand.
    #[tokio::test]
    async fn a_connection_that_never_says_anything_is_closed_sooner() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut patient = Patient::new(Stream::from(listener.accept().await.unwrap().0), Heads::default(), 1);
        tokio::time::pause();
        let begun = Instant::now();
        assert_eq!(sharing(pin!(patient.read(&mut [0]))).await.unwrap(), 0);
        assert!(begun.elapsed() >= FIRST_BYTES && begun.elapsed() < FIRST_BYTES * 2);
    }

    #[tokio::test]
    async fn a_connection_without_a_further_request_is_closed_after_a_while() {
        let heads = Heads::default();
        let connection = heads.clone().serve(async {
            let (mut patient, mut caller) = served(&heads).await;
            tokio::time::pause();
            // However long a request is served.
            assert!(timeout(KEEP_ALIVE * 100, patient.read(&mut [0])).await.is_err());
            for _ in 0..3 {
                head_awaited();
                assert!(timeout(KEEP_ALIVE / 2, patient.read(&mut [0])).await.is_err());
                caller.write_all(b"G").await.unwrap();
                assert_eq!(patient.read(&mut [0]).await.unwrap(), 1);
                head_complete();
            }
            head_awaited();
            let begun = Instant::now();
            assert_eq!(patient.read(&mut [0]).await.unwrap(), 0);
            assert!(begun.elapsed() >= KEEP_ALIVE && begun.elapsed() < KEEP_ALIVE + HEAD);
        });
        sharing(pin!(connection)).await;
    }
}
