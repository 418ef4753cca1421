//! Readiness at the beginning, and the end: when told to stop, the process waits for what is in flight and not longer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::counters::Counters;
use crate::admin::Readiness;
use crate::governance::Governor;
use crate::telemetry::{Metrics, logging};

/// How often the requests in flight are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long the last requests may take to be told to the shared state.
const TELLING: Duration = Duration::from_secs(2);

pub struct Drain {
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
    pub listen: Vec<SocketAddr>,
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
    /// Says that the gateway is ready once its own listeners answer.
    async fn announce(&self) {
        for address in &self.listen {
            while TcpStream::connect(reachable(*address)).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        }
        self.readiness.configured();
        let shown: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        log::info!("ready; listening on {}", shown.join(", "));
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "Pingora sleeps out its grace time even when nothing is left to wait for"
    )]
    async fn end(&self) {
        self.readiness.drain();
        let begun = Instant::now();
        log::info!("draining {} requests, for at most {} s", self.metrics.requests_active.get(), self.grace.as_secs());
        while self.metrics.requests_active.get() > 0 && begun.elapsed() < self.grace {
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

/// An address that reaches a listener on every interface.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}
