//! Probes the endpoints of the configuration in force, each at its own pace, and says when one changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::azure;
use crate::pool::{Health, HealthRules, Probe, Turn, Unwell};
use crate::provider::{self, Service};
use crate::snapshot::{Key, Snapshot};
use crate::upstream::{Host, race};

/// How soon a reload is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// How long the probe of one address is waited for before the next is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

pub struct Checkup {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
}

/// An endpoint that is being probed.
struct Watched {
    /// Held, so that no other gets its place in memory, by which it is known.
    _health: Arc<Health>,
    host: Arc<Host>,
    probing: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

#[async_trait]
impl BackgroundService for Checkup {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut watched = HashMap::new();
        loop {
            follow(&self.snapshot.load(), &mut watched);
            tokio::select! {
                _ = shutdown.changed() => return,
                () = sleep(LOOK) => {}
            }
        }
    }
}

/// Begins to probe what is new in a configuration or is connected to in another way, and ends with what is gone.
fn follow(snapshot: &Snapshot, watched: &mut HashMap<usize, Watched>) {
    let mut present = HashMap::new();
    for provider in &snapshot.providers {
        for key in provider.keys.iter().filter(|key| key.health.rules.is_some()) {
            present.entry(Arc::as_ptr(&key.health).addr()).or_insert((provider.service, key));
        }
    }
    watched
        .retain(|health, watched| present.get(health).is_some_and(|(_, key)| key.host.is_reached_like(&watched.host)));
    for (known, (service, key)) in present {
        let Some(rules) = key.health.rules else { continue };
        watched.entry(known).or_insert_with(|| Watched {
            _health: Arc::clone(&key.health),
            host: Arc::clone(&key.host),
            probing: tokio::spawn(probe(rules, Arc::clone(&key.health), Arc::clone(&key.host), target(service, key)))
                .abort_handle(),
        });
    }
}

/// A request that every service answers without a credential, if only with 401.
fn target(service: Service, key: &Key) -> String {
    let base = &key.host.endpoint.base_path;
    match service {
        Service::Azure => azure::models_target(base, &key.version),
        Service::OpenAi | Service::Anthropic => provider::target(base, "models"),
    }
}

async fn probe(rules: HealthRules, health: Arc<Health>, host: Arc<Host>, target: String) {
    let probe = Probe::new(&rules, host.any_peer(), &host.authority, &target);
    let mut last = Instant::now();
    loop {
        // Neither the endpoints of one gateway nor the gateways of a fleet are to probe in step.
        sleep(rules.interval.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        let answered = health.has_answered_since(std::mem::replace(&mut last, Instant::now()));
        let found = if answered { Ok(()) } else { look(&probe, &host, rules.timeout).await };
        match health.observe(found.is_ok()) {
            Some(Turn::Worse) => {
                let why = found.err().map(|why| why.to_string()).unwrap_or_default();
                log::warn!("endpoint {} is not well, its keys are passed by: {why}", host.endpoint);
            }
            Some(Turn::Better) => log::info!("endpoint {} is well again", host.endpoint),
            None => {}
        }
    }
}

/// One address that is well is enough.
async fn look(probe: &Probe, host: &Host, limit: Duration) -> Result<(), Unwell> {
    let late = || Unwell::unknown(&format!("its name was not resolved within {limit:?}"));
    let addresses = timeout(limit, host.addresses()).await.map_err(|_| late())?;
    let addresses = addresses.map_err(|error| Unwell::unknown(&error))?;
    let found = race(addresses, HEAD_START, |address| probe.run(address)).await;
    found.unwrap_or_else(|| Err(Unwell::unknown(&"the name has no address")))
}
