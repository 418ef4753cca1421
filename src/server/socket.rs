//! A caller's connection as Pingora sees one. Reads go straight to whoever parses them; writes are gathered until they
//! are flushed, in a buffer that exists only while there is something to write, so that an idle connection holds none.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// What is gathered at most: a head and a short body go out in one write.
const GATHER: usize = 16 * 1024;

/// How HTTP/2 begins on a cleartext connection (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// Looked at, and still to be read.
    seen: Vec<u8>,
    gathered: Vec<u8>,
    digest: Arc<SocketDigest>,
    accepted: SystemTime,
}

impl Socket {
    /// # Errors
    /// When the connection is gone already.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        let digest = Arc::new(SocketDigest::from_raw_fd(stream.as_raw_fd()));
        Ok(Self { stream, seen: Vec::new(), gathered: Vec::new(), digest, accepted: SystemTime::now() })
    }

    /// Writes what was gathered, all of it.
    fn poll_gathered(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut written = 0;
        let done = loop {
            if written == self.gathered.len() {
                break Ok(());
            }
            match Pin::new(&mut self.stream).poll_write(context, &self.gathered[written..]) {
                Poll::Ready(Ok(0)) => break Err(ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => written += length,
                Poll::Ready(Err(error)) => break Err(error),
                Poll::Pending => {
                    self.gathered.drain(..written);
                    return Poll::Pending;
                }
            }
        };
        self.gathered = Vec::new();
        Poll::Ready(done)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let socket = self.get_mut();
        if socket.seen.is_empty() {
            return Pin::new(&mut socket.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(socket.seen.len());
        buffer.put_slice(&socket.seen[..length]);
        socket.seen.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let socket = self.get_mut();
        if socket.gathered.len() + bytes.len() > GATHER {
            ready!(socket.poll_gathered(context))?;
        }
        if bytes.len() >= GATHER {
            return Pin::new(&mut socket.stream).poll_write(context, bytes);
        }
        socket.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_gathered(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let socket = self.get_mut();
        ready!(socket.poll_gathered(context))?;
        Pin::new(&mut socket.stream).poll_shutdown(context)
    }
}

#[async_trait]
impl Peek for Socket {
    /// Waits until the first bytes tell HTTP/2 from HTTP/1.1. Where they do not begin like HTTP/2 fewer bytes than
    /// asked for are enough, since a whole request may be shorter than that.
    async fn try_peek(&mut self, buffer: &mut [u8]) -> Result<bool> {
        while self.seen.len() < buffer.len() && PREFACE.starts_with(&self.seen) {
            let mut chunk = [0; PREFACE.len()];
            let room = &mut chunk[..buffer.len() - self.seen.len()];
            match self.stream.read(room).await? {
                0 if self.seen.is_empty() => return Err(Error::from(ErrorKind::UnexpectedEof)),
                0 => break,
                length => self.seen.extend_from_slice(&chunk[..length]),
            }
        }
        let length = buffer.len().min(self.seen.len());
        buffer[..length].copy_from_slice(&self.seen[..length]);
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // A caller that is gone does not hear the end.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let (establishment_duration, offload_wait_duration) = (None, None);
        vec![Some(TimingDigest { established_ts: self.accepted, establishment_duration, offload_wait_duration })]
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}
