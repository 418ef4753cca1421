//! Readiness at the beginning, and the end: when told to stop, the process waits for what is in flight and not longer.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::time::{Instant, sleep, timeout};

use super::census::Census;
use super::counters::Counters;
use super::ending::Ending;
use super::front::Stage;
use super::notify::{Note, ServiceManager};
use super::upgrade;
use crate::admin::Readiness;
use crate::governance::Governor;
use crate::telemetry::{Metrics, logging};

/// How often the requests in flight are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long connections may take to close once nothing is in flight: HTTP/2 writes the end of its answers after them.
const CLOSING: Duration = Duration::from_millis(300);

/// How long the last requests may take to be told to the shared state.
const TELLING: Duration = Duration::from_secs(2);

pub struct Drain {
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
    pub census: Arc<Census>,
    pub stage: Arc<Stage>,
    pub ending: Arc<Ending>,
    pub manager: Arc<ServiceManager>,
    /// Who is to be replaced.
    pub predecessor: Option<UnixDatagram>,
    /// The addresses, for people.
    pub listen: String,
    pub grace: Duration,
    pub counters: Option<Arc<Counters>>,
    pub governor: Arc<Governor>,
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.announce() => {}
            _ = shutdown.changed() => return self.end().await,
        }
        // An error means that the sender is gone, which is the end as well.
        let _ = shutdown.changed().await;
        self.end().await;
    }
}

impl Drain {
    /// Says that the gateway is ready once callers are accepted.
    async fn announce(&self) {
        self.stage.accepting().await;
        self.readiness.configured();
        log::info!("ready; listening on {}", self.listen);
        if let Some(Err(error)) = self.predecessor.as_ref().map(upgrade::take_over) {
            log::warn!("the process before this one could not be told to stop: {error}");
        }
        let status = format!("serving on {}", self.listen);
        self.manager.tell(&[Note::Ready, Note::Status(&status)]);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "Pingora sleeps out its grace time even when nothing is left to wait for"
    )]
    async fn end(&self) {
        let begun = Instant::now();
        self.readiness.drain();
        log::info!("draining {} requests, for at most {} s", self.metrics.requests_active.get(), self.grace.as_secs());
        if !self.ending.is_handed_over() {
            self.manager.tell(&[Note::Stopping, Note::Status("draining")]);
        }
        // A worker that is stuck never gets there, and must not keep the process.
        let _ = timeout(self.grace, self.stage.parted()).await;
        let mut idle_since = Instant::now();
        while begun.elapsed() < self.grace {
            if self.metrics.requests_active.get() > 0 {
                idle_since = Instant::now();
            } else if self.census.open() == 0 || idle_since.elapsed() >= CLOSING {
                break;
            }
            sleep(LOOK).await;
        }
        let left = self.metrics.requests_active.get();
        if left > 0 {
            log::warn!("stopping with {left} requests in flight: the grace time is over");
        } else {
            log::info!("stopped after {} ms, nothing was in flight", begun.elapsed().as_millis());
        }
        if let Some(shared) = &self.governor.shared {
            let told = Instant::now();
            while !shared.is_settled() && told.elapsed() < TELLING {
                sleep(LOOK).await;
            }
        }
        if let Some(counters) = &self.counters {
            counters.save();
        }
        logging::flush();
        std::process::exit(0);
    }
}
