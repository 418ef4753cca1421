//! Runs what looks after the counters that gateways share.

use std::sync::Mutex;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use prometheus::{IntCounter, IntGauge};

use crate::base::locks::lock;
use crate::governance::{Health, Worker};

pub struct SharedState {
    worker: Mutex<Option<Worker>>,
    up: IntGauge,
    lost: IntCounter,
}

impl SharedState {
    pub fn new(worker: Worker, up: IntGauge, lost: IntCounter) -> Self {
        Self { worker: Mutex::new(Some(worker)), up, lost }
    }
}

#[async_trait]
impl BackgroundService for SharedState {
    /// Until the process ends: requests in progress while it drains are told of as well.
    async fn start(&self, _: ShutdownWatch) {
        let worker = lock(&self.worker).take();
        if let Some(worker) = worker {
            let report = |Health { up, lost }| {
                self.up.set(i64::from(up));
                self.lost.inc_by(lost);
            };
            worker.run(report).await;
        }
    }
}
