//! A connection on which the other side has begun to answer before the request was out: the bytes that were read
//! while writing come first, then the connection itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

#[derive(Debug)]
pub(super) struct Early {
    pub(super) first: Bytes,
    pub(super) rest: Stream,
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
