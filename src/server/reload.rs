//! SIGHUP: the configuration is read again and replaces the old one as a whole, or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};

use super::census::Census;
use super::notify::{Note, ServiceManager};
use super::tls::Certificate;
use super::{Source, Start, overridden};
use crate::azure::credential::Tokens;
use crate::config::{self, File, file};
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;

/// How long a reload waits for the first tokens of new identities.
const FIRST_TOKENS: Duration = Duration::from_secs(5);

pub struct Reload {
    pub start: Start,
    /// What the process was started with; some of it cannot change while it runs.
    pub running: File,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub metrics: Arc<Metrics>,
    pub certificate: Option<Arc<Certificate>>,
    pub census: Arc<Census>,
    pub manager: Arc<ServiceManager>,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return log::error!("SIGHUP cannot be received, so nothing can be reloaded: {error}"),
        };
        self.snapshot.load().tokens().iter().for_each(Tokens::keep);
        // One that came while the process was starting, when only a flag could take it.
        if self.start.early.hangup.swap(false, Ordering::AcqRel) {
            self.announced().await;
        }
        loop {
            tokio::select! {
                _ = shutdown.changed() => return,
                _ = hangup.recv() => self.announced().await,
            }
        }
    }
}

impl Reload {
    /// Tells systemd, which waits for the second note, whatever became of it.
    async fn announced(&self) {
        self.manager.tell(&[Note::Reloading]);
        self.reload().await;
        let status = match self.metrics.config_reload_success.get() {
            1 => format!("serving configuration {}", self.metrics.config_generation.get()),
            _ => "serving; the last reload was refused, see the log".to_owned(),
        };
        self.manager.tell(&[Note::Ready, Note::Status(&status)]);
    }

    async fn reload(&self) {
        let Source::File(path) = self.start.source.clone() else {
            return log::info!("nothing to reload: the configuration is built in");
        };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let loaded = match read {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(problems)) => return self.refuse(&shown, &problems.to_string()),
            Err(error) => return self.refuse(&shown, &error.to_string()),
        };
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        let file = overridden(loaded.file, &self.start);
        for setting in needs_restart(&self.running, &file) {
            log::warn!("`{setting}` has changed but stays as it was until the service is restarted");
        }
        if let (Some(certificate), Some(tls)) = (&self.certificate, &file.server.tls)
            && let Err(why) = certificate.replace(tls)
        {
            return self.refuse(&shown, &why);
        }
        self.census.limit(&file.server);
        let old = self.snapshot.load_full();
        let new = config::build(&file, Some(&old));
        self.get_tokens(&new).await;
        let generation = new.generation;
        self.snapshot.store(Arc::new(new));
        self.metrics.config_generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.metrics.config_reload_success.set(1);
        log::info!("configuration {generation} from {shown} is in force");
    }

    /// New identities get their first token, or fail to, while the old configuration still serves.
    async fn get_tokens(&self, new: &Snapshot) {
        let tokens = new.tokens();
        tokens.iter().for_each(Tokens::keep);
        futures_util::future::join_all(tokens.iter().map(|tokens| tokens.settled(FIRST_TOKENS))).await;
    }

    fn refuse(&self, shown: &str, problems: &str) {
        self.metrics.config_reload_success.set(0);
        log::error!("{shown} was not loaded; the configuration in force stays:\n{problems}");
    }
}

/// Settings that differ and cannot change while the process runs.
fn needs_restart(running: &File, new: &File) -> Vec<&'static str> {
    let (a, b) = (&running.server, &new.server);
    let differs = [
        ("shared_state", running.shared_state != new.shared_state),
        ("server.listen", a.listen != b.listen),
        ("server.admin.listen", a.admin.listen != b.admin.listen),
        ("server.admin.key", a.admin.key != b.admin.key),
        ("server.tls", a.tls.is_some() != b.tls.is_some()),
        ("server.tls.client_ca", client_ca(a) != client_ca(b)),
        ("server.state_directory", a.state_directory != b.state_directory),
        ("server.worker_threads", a.worker_threads != b.worker_threads),
        ("server.shutdown_grace_seconds", a.shutdown_grace_seconds != b.shutdown_grace_seconds),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn client_ca(server: &file::Server) -> Option<&String> {
    server.tls.as_ref().and_then(|tls| tls.client_ca.as_ref())
}
