//! Waiting for callers and upstreams, never without a limit.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::exchange::Reply;
use super::refuse::Stop;
use crate::base::limit::within;

/// How long a caller may take nothing of an answer that is the gateway's own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Writes to the caller. One who takes nothing of it for so long is as good as gone, and holds an upstream meanwhile.
pub async fn caller_takes(
    limit: Duration,
    write: impl Future<Output = pingora::Result<()>> + Unpin,
) -> Result<(), Stop> {
    let written = within(limit, write).await;
    written.ok().and_then(Result::ok).ok_or(Stop::CallerLeft)
}

/// Writes a whole answer of the gateway's own.
pub async fn tell(session: &mut ServerSession, head: ResponseHeader, body: Bytes) -> Result<(), Stop> {
    caller_takes(PATIENCE, pin!(session.write_response_header(Box::new(head)))).await?;
    caller_takes(PATIENCE, pin!(session.write_response_body(body, true))).await
}

/// Waits for something unless the caller leaves. The future is pinned where it was made: each layer around a future by
/// value would copy it, and hold room for it once more.
pub async fn while_caller_stays<F: Future + Unpin>(
    session: &mut ServerSession,
    reply: &mut Reply,
    future: F,
) -> Result<F::Output, Stop> {
    let waited = pin!(async {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = caller_leaves(session) => Err(Stop::CallerLeft),
        }
    });
    reply.waiting(waited).await
}

/// Ends when the caller has gone: its connection or stream was closed or reset. Pingora's call does not end otherwise,
/// since nothing more is expected of the caller and a pipelined request waits for its turn.
async fn caller_leaves(session: &mut ServerSession) {
    while session.read_body_or_idle(true).await.is_ok() {}
}
