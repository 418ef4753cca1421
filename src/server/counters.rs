//! Keeps the counters of limits and budgets in the state directory: read once at the start, written behind at most half
//! a second late, and a last time when the process ends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use prometheus::IntGauge;

use crate::base::locks::lock;
use crate::config::file::Server;
use crate::governance::{CounterFile, Governor, Saved, StateError};

/// How often changed counters are written. A process that is killed loses what it counted since.
const INTERVAL: Duration = Duration::from_millis(250);

/// The counters of the process and their file.
pub struct Counters {
    governor: Arc<Governor>,
    file: CounterFile,
    state: Mutex<State>,
    /// 1 while the file is up to date, 0 when it cannot be written.
    success: IntGauge,
}

/// Whether this process writes the file, and how that goes.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Another process writes it still; during an upgrade that is the one before this. What it counts is counted here
    /// too, as soon as it has written it.
    Waiting {
        told: bool,
        /// What is counted of it so far.
        seen: Vec<Saved>,
    },
    Writing,
    /// The last save failed and is to be done again.
    Failing,
}

/// Where counters are to be kept, if anywhere: the configured directory, or the one that systemd made for the service.
pub fn directory(server: &Server) -> Option<PathBuf> {
    let of_systemd = || {
        let all = std::env::var("STATE_DIRECTORY").ok()?;
        all.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
    };
    server.state_directory.clone().or_else(of_systemd)
}

impl Counters {
    /// Takes over what an earlier process has saved.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(directory: &std::path::Path, governor: Arc<Governor>, success: IntGauge) -> Result<Self, StateError> {
        let file = CounterFile::open(directory)?;
        let (alone, found) = (file.claim(), file.load());
        found.warnings.iter().for_each(|warning| log::error!("{warning}"));
        let now = governor.clock.now();
        governor.ledgers.restore(&found.counters, now);
        success.set(1);
        log::info!("{} counters were taken over from {}", found.counters.len(), directory.display());
        if !alone {
            governor.ledgers.follow(&found.counters, &found.counters, true, now);
        }
        let state = if alone { State::Writing } else { State::Waiting { told: false, seen: found.counters } };
        Ok(Self { governor, file, state: Mutex::new(state), success })
    }

    /// Writes what has changed. Blocks while it does.
    pub fn save(&self) {
        let mut state = lock(&self.state);
        if let State::Waiting { told, seen } = &mut *state {
            // First the claim: what is read after it is the last that the other has written.
            let claimed = self.file.claim();
            let found = self.file.load();
            if found.warnings.is_empty() || claimed {
                self.governor.ledgers.follow(seen, &found.counters, !claimed, self.governor.clock.now());
                *seen = found.counters;
            }
            if !claimed {
                if !std::mem::replace(told, true) {
                    log::warn!(
                        "another process writes the counters in the state directory; this one waits until it ends"
                    );
                }
                return;
            }
            *state = State::Writing;
        }
        let counters = match *state {
            State::Failing => Some(self.governor.ledgers.all()),
            _ => self.governor.ledgers.changed(),
        };
        let Some(counters) = counters else { return };
        match self.file.save(&counters) {
            Ok(()) => *state = State::Writing,
            Err(error) => {
                if *state == State::Writing {
                    log::error!("the counters cannot be saved, and a restart would lose what is counted now: {error}");
                }
                *state = State::Failing;
            }
        }
        self.success.set(i64::from(*state == State::Writing));
    }
}

/// Writes behind for as long as the process runs.
pub struct Keeper(pub Arc<Counters>);

#[async_trait]
impl BackgroundService for Keeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut ending = false;
        loop {
            tokio::select! {
                changed = shutdown.changed(), if !ending => {
                    // Requests in progress end after this, and are counted: the process's last act is a save as well.
                    ending = true;
                    if changed.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let counters = Arc::clone(&self.0);
            // A panic in there was logged, and the next turn is another try.
            let _ = tokio::task::spawn_blocking(move || counters.save()).await;
        }
    }
}
