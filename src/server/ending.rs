//! Why the process ends: told to by a signal, or replaced by a successor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Ending {
    handed_over: AtomicBool,
    replaced: Notify,
}

impl Ending {
    /// A successor serves: this process accepts nothing more and drains.
    pub fn handed_over(&self) {
        self.handed_over.store(true, Ordering::Release);
        self.replaced.notify_one();
    }

    /// Whether another process serves in this one's place.
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }
}

/// What Pingora waits for.
pub struct EndWatch(pub Arc<Ending>);

#[async_trait]
impl ShutdownSignalWatch for EndWatch {
    async fn recv(&self) -> ShutdownSignal {
        tokio::select! {
            () = received(SignalKind::terminate()) => ShutdownSignal::GracefulTerminate,
            () = received(SignalKind::quit()) => ShutdownSignal::GracefulTerminate,
            () = received(SignalKind::interrupt()) => ShutdownSignal::FastShutdown,
            () = self.0.replaced.notified() => ShutdownSignal::GracefulTerminate,
        }
    }
}

async fn received(kind: SignalKind) {
    match signal(kind).as_mut().map(Signal::recv) {
        Ok(received) => drop(received.await),
        Err(error) => {
            log::error!("{kind:?} cannot be received: {error}");
            std::future::pending().await
        }
    }
}
