//! The state that all connections of one simulator share: the resource, the script in force, the record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use http::{header, request};

use super::faults::Fault;
use super::identity::Identity;
use super::record::{Log, Stats};
use super::resource::Resource;
use super::script::{Live, Script, ScriptError, Seen};
use super::settings::Settings;
use crate::base::locks;

#[derive(Debug)]
pub struct Simulation {
    pub resource: Resource,
    pub identity: Arc<Identity>,
    pub log: Arc<Log>,
    script: RwLock<Arc<Live>>,
    scheme: &'static str,
}

impl Simulation {
    pub fn new(settings: &Settings) -> Self {
        let identity = Arc::new(Identity::new(&settings.identity));
        Self {
            resource: Resource::new(settings, Arc::clone(&identity)),
            identity,
            log: Arc::new(Log::new(settings.record)),
            script: RwLock::default(),
            scheme: if settings.tls { "https" } else { "http" },
        }
    }

    /// Where a request was sent to, without its path.
    pub fn origin(&self, head: &request::Parts) -> String {
        let named = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = named.or_else(|| head.uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
        format!("{}://{host}", self.scheme)
    }

    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.identity.counters;
        Stats {
            tokens_asked: read(&counters.asked),
            tokens_issued: read(&counters.issued),
            tokens_turned_away: read(&counters.turned_away),
            ..self.log.stats()
        }
    }

    /// Puts a script in force in place of the one before.
    pub fn script(&self, script: &Script) -> Result<(), ScriptError> {
        let live = Arc::new(Live::new(script)?);
        *locks::write(&self.script) = live;
        Ok(())
    }

    pub fn script_needs_deployment(&self) -> bool {
        self.live().needs_deployment()
    }

    pub fn script_fault(&self, seen: &Seen<'_>) -> Option<Fault> {
        self.live().fault_for(seen)
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&locks::read(&self.script))
    }
}
