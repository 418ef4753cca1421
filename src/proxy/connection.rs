//! What the door and the data path tell each other about an HTTP/1.1 connection: whether a request's head is awaited.
//! Both run in the connection's own task, so that the task itself carries it; requests over HTTP/2 have tasks of their
//! own and tell nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

tokio::task_local! {
    static HEADS: Heads;
}

/// Counts the changes between "a head is awaited" (even) and "a head is complete" (odd).
#[derive(Debug, Clone, Default)]
pub struct Heads(Arc<AtomicU32>);

/// One head that is awaited; another one is another turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn(u32);

impl Heads {
    /// The head that is awaited now; `None` while a request is served.
    pub fn awaited(&self) -> Option<Turn> {
        let turn = self.0.load(Ordering::Relaxed);
        turn.is_multiple_of(2).then_some(Turn(turn))
    }

    /// For a connection that does not speak HTTP/1.1: no head is ever awaited.
    pub fn never() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }

    /// Runs what serves the connection.
    pub async fn serve<F: Future>(self, serving: F) -> F::Output {
        HEADS.scope(self, serving).await
    }
}

/// The head of the task's request is complete.
pub fn head_complete() {
    let _ = HEADS.try_with(|heads| heads.0.fetch_or(1, Ordering::Relaxed));
}

/// The task's request is over; the next head may come.
pub fn head_awaited() {
    let _ = HEADS.try_with(|heads| {
        if heads.awaited().is_none() {
            heads.0.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_is_a_turn_of_its_own() {
        let heads = Heads::default();
        let first = heads.awaited().unwrap();
        heads
            .clone()
            .serve(async {
                head_complete();
                assert_eq!(heads.awaited(), None);
                head_awaited();
                assert!(heads.awaited().is_some_and(|turn| turn != first));
            })
            .await;
        assert_eq!(Heads::never().awaited(), None);
    }

    #[tokio::test]
    async fn a_task_that_is_no_connection_tells_nobody() {
        head_complete();
        head_awaited();
    }
}
