//! Puts the process together: listeners, the configuration in force and its reload, the end. Knows nothing of what is
//! in a request.

mod answers;
mod census;
mod checkup;
mod counters;
mod drain;
mod ending;
mod front;
mod notify;
mod operators;
mod patience;
mod readings;
mod reload;
mod requests;
mod shared_state;
mod socket;
mod sockets;
mod tls;
mod upgrade;
mod watchdog;

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arc_swap::ArcSwap;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::{BackgroundService, background_service};

use crate::admin::{Admin, Readiness};
use crate::config::{self, File};
use crate::proxy::Gateway;
use crate::telemetry::{Metrics, logging};
use crate::upstream::Connections;

use census::Census;
use counters::{Counters, Keeper};
use ending::{EndWatch, Ending};
use front::Front;
use notify::ServiceManager;
use sockets::Sockets;
pub use sockets::StartError;
use tls::Certificate;

/// Where the configuration comes from, and what the command line puts over it.
#[derive(Debug, Clone)]
pub struct Start {
    pub source: Source,
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub early: Arc<EarlySignals>,
}

/// Set when a signal came before anyone could act on it.
#[derive(Debug, Default)]
pub struct EarlySignals {
    pub hangup: Arc<AtomicBool>,
    pub upgrade: Arc<AtomicBool>,
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
/// When an address cannot be listened on, or its certificate not be used.
pub fn run(start: &Start, loaded: config::Loaded) -> Result<std::convert::Infallible, StartError> {
    let program = upgrade::Program::this();
    let file = overridden(loaded.file, start);
    let (sockets, predecessor) = Sockets::gather(&file.server)?;
    let metrics = Arc::new(Metrics::new());
    logging::start(log::LevelFilter::Info, metrics.log_lines_dropped.clone());
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    Process::new(start, file, metrics)?.serve(sockets, predecessor, program)
}

/// What the parts of a running process share.
struct Process {
    start: Start,
    file: File,
    server: Server,
    snapshot: Arc<ArcSwap<crate::snapshot::Snapshot>>,
    /// Where counters outlive the process, if they do.
    counters: Option<Arc<Counters>>,
    metrics: Arc<Metrics>,
    census: Arc<Census>,
    certificate: Option<Arc<Certificate>>,
    readiness: Arc<Readiness>,
    manager: Arc<ServiceManager>,
    ending: Arc<Ending>,
}

impl Process {
    fn new(start: &Start, file: File, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let snapshot = Arc::new(ArcSwap::from_pointee(config::build(&file, None)));
        let counters = counters::directory(&file.server).map(|path| {
            let governor = Arc::clone(&snapshot.load().governor);
            Counters::open(&path, governor, metrics.limits.state_save_success.clone())
        });
        let counters = counters.transpose()?.map(Arc::new);
        if let Some(path) = counters::directory(&file.server) {
            snapshot.load().register.open(&path).map_err(StartError::Objects)?;
        }
        let live = Arc::clone(&snapshot);
        metrics.watch_keys(move || readings::of(&live.load(), Instant::now()));
        metrics.config_generation.set(1);
        metrics.config_reload_success.set(1);
        let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), server_conf(&file));
        server.bootstrap();
        let certificate = file.server.tls.as_ref().map(Certificate::new).transpose().map_err(StartError::Tls)?;
        Ok(Self {
            start: start.clone(),
            server,
            snapshot,
            counters,
            census: Arc::new(Census::new(&file.server, Arc::clone(&metrics))),
            metrics,
            certificate: certificate.map(Arc::new),
            readiness: Arc::default(),
            manager: Arc::new(ServiceManager::from_environment()),
            ending: Arc::default(),
            file,
        })
    }

    fn serve(
        mut self,
        sockets: Sockets,
        predecessor: Option<UnixDatagram>,
        program: upgrade::Program,
    ) -> Result<std::convert::Infallible, StartError> {
        let kept = sockets.try_clone().map_err(StartError::Inherit)?;
        let connections = Connections::new(&self.server.configuration);
        let gateway = Gateway::new(Arc::clone(&self.snapshot), connections, Arc::clone(&self.metrics));
        let tls = self.file.server.tls.as_ref().zip(self.certificate.clone());
        let tls = tls.map(|(tls, certificate)| tls::acceptor(tls, certificate)).transpose().map_err(StartError::Tls)?;
        let front = Front::new(gateway, sockets.callers, tls, Arc::clone(&self.census));
        let watchdog = watchdog::Watchdog { manager: Arc::clone(&self.manager), workers: Arc::clone(&front.workers) };
        let drain = drain::Drain {
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            census: Arc::clone(&self.census),
            stage: Arc::clone(&front.stage),
            ending: Arc::clone(&self.ending),
            manager: Arc::clone(&self.manager),
            predecessor,
            listen: self.file.server.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            grace: self.file.server.shutdown_grace_seconds,
            counters: self.counters.clone(),
            governor: Arc::clone(&self.snapshot.load().governor),
        };
        let admin = Admin {
            readiness: Arc::clone(&self.readiness),
            metrics: Arc::clone(&self.metrics),
            snapshot: Arc::clone(&self.snapshot),
            key: self.file.server.admin.key.clone(),
        };
        let operators = operators::Operators {
            admin: Arc::new(admin),
            listener: sockets.operators,
            ending: Arc::clone(&self.ending),
        };
        let upgrade = upgrade::Upgrade {
            sockets: kept,
            program,
            early: Arc::clone(&self.start.early),
            manager: Arc::clone(&self.manager),
            ending: Arc::clone(&self.ending),
        };
        let reload = reload::Reload {
            start: self.start.clone(),
            running: self.file.clone(),
            snapshot: Arc::clone(&self.snapshot),
            metrics: Arc::clone(&self.metrics),
            certificate: self.certificate.clone(),
            census: Arc::clone(&self.census),
            manager: Arc::clone(&self.manager),
        };
        self.add("proxy", front, self.server.configuration.threads);
        self.add("operators", operators, 1);
        self.add("drain", drain, 1);
        self.add("reload", reload, 1);
        self.add("upgrade", upgrade, 1);
        self.add("watchdog", watchdog, 1);
        self.add_memory();
        self.server.run(RunArgs { shutdown_signal: Box::new(EndWatch(self.ending)) });
        // Told to end at once.
        #[expect(clippy::disallowed_methods, reason = "the server has ended, and the process with it")]
        std::process::exit(0);
    }

    /// What learns and remembers in the background: the health of endpoints, the counters of limits.
    fn add_memory(&mut self) {
        let checkup = checkup::Checkup { snapshot: Arc::clone(&self.snapshot) };
        self.add("checkup", checkup, 1);
        if let Some(counters) = self.counters.clone() {
            self.add("counters", Keeper(counters), 1);
        }
        let worker = self.snapshot.load().governor.take_worker();
        if let Some(worker) = worker {
            let limits = &self.metrics.limits;
            let (up, lost) = (limits.shared_state_up.clone(), limits.shared_state_lost.clone());
            self.add("shared state", shared_state::SharedState::new(worker, up, lost), 1);
        }
    }

    fn add(&mut self, name: &str, part: impl BackgroundService + Send + Sync + 'static, threads: usize) {
        let mut service = background_service(name, part);
        service.threads = Some(threads);
        self.server.add_service(service);
    }
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
        // One worker has nobody to share its tasks with, and a scheduler for several costs it a fifth of its time.
        work_stealing: threads > 1,
        ..ServerConf::default()
    }
}
