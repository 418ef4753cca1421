//! The state that all connections of one simulator share: the resource, the script in force, the record.

use std::sync::{Arc, PoisonError, RwLock};

use super::faults::Fault;
use super::record::Log;
use super::resource::Resource;
use super::script::{Live, Script, ScriptError, Seen};
use super::settings::Settings;

#[derive(Debug)]
pub struct Simulation {
    pub resource: Resource,
    pub log: Arc<Log>,
    script: RwLock<Arc<Live>>,
}

impl Simulation {
    pub fn new(settings: &Settings) -> Self {
        Self { resource: Resource::new(settings), log: Arc::new(Log::new(settings.record)), script: RwLock::default() }
    }

    /// Puts a script in force in place of the one before.
    pub fn script(&self, script: &Script) -> Result<(), ScriptError> {
        let live = Arc::new(Live::new(script)?);
        *self.script.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    pub fn script_needs_deployment(&self) -> bool {
        self.live().needs_deployment()
    }

    pub fn script_fault(&self, seen: &Seen<'_>) -> Option<Fault> {
        self.live().fault_for(seen)
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.script.read().unwrap_or_else(PoisonError::into_inner))
    }
}
