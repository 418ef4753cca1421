//! Puts the process together: listeners, the configuration in force and its reload, the end. Knows nothing of what is
//! in a request.

mod checkup;
mod counters;
mod drain;
mod listeners;
mod readings;
mod reload;
mod shared_state;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arc_swap::ArcSwap;
use pingora::server::Server;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::services::background::background_service;

use crate::admin::{Admin, Readiness};
use crate::config::{self, File};
use crate::proxy::Gateway;
use crate::telemetry::{Metrics, logging};
use crate::upstream::Connections;

use counters::{Counters, Keeper};
pub use listeners::StartError;
use tls::Certificate;

/// Where the configuration comes from, and what the command line puts over it.
#[derive(Debug, Clone)]
pub struct Start {
    pub source: Source,
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    /// Set when a SIGHUP came before anyone could act on it.
    pub hangup: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    /// Embedded; there is nothing to reload.
    Text(String),
}

/// Serves until the process is told to end. Returns only when it cannot start.
///
/// # Errors
/// When an address cannot be listened on.
pub fn run(start: &Start, loaded: config::Loaded) -> Result<std::convert::Infallible, StartError> {
    let file = overridden(loaded.file, start);
    let operators = listeners::check(&file)?;
    let metrics = Arc::new(Metrics::new());
    logging::start(log::LevelFilter::Info, metrics.log_lines_dropped.clone());
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    let snapshot = Arc::new(ArcSwap::from_pointee(config::build(&file, None)));
    let governor = Arc::clone(&snapshot.load().governor);
    let counters = counters::directory(&file.server);
    let counters =
        counters.map(|path| Counters::open(&path, Arc::clone(&governor), metrics.limits.state_save_success.clone()));
    let counters = counters.transpose()?.map(Arc::new);
    metrics.config_generation.set(1);
    metrics.config_reload_success.set(1);
    let live = Arc::clone(&snapshot);
    metrics.watch_keys(move || readings::of(&live.load(), Instant::now()));
    let readiness = Arc::new(Readiness::default());

    let conf = server_conf(&file);
    let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), conf);
    server.bootstrap();
    let connections = Connections::new(&server.configuration);
    let gateway = Gateway::new(Arc::clone(&snapshot), connections, Arc::clone(&metrics));
    let certificate =
        file.server.tls.as_ref().map(Certificate::new).transpose().map_err(StartError::Tls)?.map(Arc::new);
    server.add_service(listeners::proxy(&server.configuration, gateway, &file, certificate.as_ref())?);
    let admin =
        Admin { readiness: Arc::clone(&readiness), metrics: Arc::clone(&metrics), key: file.server.admin.key.clone() };
    let operators = listeners::Operators { admin: Arc::new(admin), listener: operators };
    let mut operators = background_service("operators", operators);
    operators.threads = Some(1);
    server.add_service(operators);
    let drain = drain::Drain {
        readiness: Arc::clone(&readiness),
        metrics: Arc::clone(&metrics),
        listen: file.server.listen.clone(),
        grace: file.server.shutdown_grace_seconds,
        counters: counters.clone(),
        governor: Arc::clone(&governor),
    };
    server.add_service(background_service("drain", drain));
    let checkup = checkup::Checkup { snapshot: Arc::clone(&snapshot) };
    let mut checkup = background_service("checkup", checkup);
    checkup.threads = Some(1);
    server.add_service(checkup);
    if let Some(counters) = counters {
        server.add_service(background_service("counters", Keeper(counters)));
    }
    if let Some(worker) = governor.take_worker() {
        let up = metrics.limits.shared_state_up.clone();
        server.add_service(background_service("shared state", shared_state::SharedState::new(worker, up)));
    }
    let reload = reload::Reload { start: start.clone(), running: file, snapshot, metrics, certificate };
    server.add_service(background_service("reload", reload));
    server.run_forever()
}

/// The configuration with the command line's addresses in place of its own.
fn overridden(mut file: File, start: &Start) -> File {
    if let Some(listen) = start.listen {
        file.server.listen = vec![listen];
    }
    if let Some(listen) = start.admin_listen {
        file.server.admin.listen = listen;
    }
    file
}

fn server_conf(file: &File) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match file.server.worker_threads {
        0 => cores,
        threads => threads,
    };
    ServerConf {
        threads,
        // The drain ends the process as soon as nothing is in flight; this is the latest moment.
        grace_period_seconds: Some(file.server.shutdown_grace_seconds.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: 1_024,
        ..ServerConf::default()
    }
}
