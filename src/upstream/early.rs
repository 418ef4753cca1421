//! An answer that comes before the request is out: telling a final one from interim ones, and the connection on which
//! it came, where the bytes that were read while writing come first, then the connection itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::fault::{Fault, MOST_INTERIM};

/// Longest head of an interim answer.
const LONGEST_HEAD: usize = 64 * 1024;

/// Bytes of `HTTP/1.1 100`, enough to know an answer's status.
const STATUS_END: usize = 12;

/// What was read while the request was still being written.
#[derive(Debug, Default)]
pub(super) struct Coming {
    pub(super) bytes: BytesMut,
    interim: usize,
}

#[derive(Debug)]
pub(super) struct Early {
    pub(super) first: Bytes,
    pub(super) rest: Stream,
}

impl Coming {
    /// Whether a final answer has begun, so that the rest of the request is not wanted. Interim answers are read over:
    /// a server may send them unasked, and then waits for the rest (RFC 9110, section 15.2).
    pub(super) fn is_final(&mut self) -> Result<bool, Fault> {
        while self.bytes.len() >= STATUS_END {
            let interim = self.bytes.starts_with(b"HTTP/1.") && self.bytes[9] == b'1' && self.bytes[9..12] != *b"101";
            if !interim {
                return Ok(true);
            }
            match memchr::memmem::find(&self.bytes, b"\r\n\r\n") {
                Some(_) if self.interim == MOST_INTERIM => return Err(Fault::too_many_interim()),
                Some(end) => self.bytes.advance(end + 4),
                None if self.bytes.len() > LONGEST_HEAD => return Ok(true),
                None => return Ok(false),
            }
            self.interim += 1;
        }
        Ok(false)
    }
}

impl AsyncRead for Early {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Early {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}

#[async_trait::async_trait]
impl Shutdown for Early {
    async fn shutdown(&mut self) {
        // The other side may be gone already, which is what is wanted.
        let _ = AsyncWriteExt::shutdown(&mut self.rest).await;
    }
}

impl UniqueID for Early {
    fn id(&self) -> UniqueIDType {
        self.rest.id()
    }
}

impl Ssl for Early {}
impl Peek for Early {}

impl GetTimingDigest for Early {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.rest.get_timing_digest()
    }
}

impl GetProxyDigest for Early {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.rest.get_proxy_digest()
    }
}

impl GetSocketDigest for Early {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.rest.get_socket_digest()
    }
}
