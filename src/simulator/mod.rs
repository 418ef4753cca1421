//! The simulated Azure: a resource as strict as the real one that answers without a model and fails on demand.
//! For load tests, CI and this project's own tests; it opens one listener and calls nobody.
//!
//! A request goes through `exchange`, which records it, finds its fault (`faults`, `script`) and asks `resource`:
//! `routes` → `auth` → deployment → `quota` → one file per operation; or `identity`, which issues tokens. `distort`, `wire` and `flow` put the answer on
//! the line, whole or broken. `/_sim/…` (`control`) is the same control that [`Running`] gives.
//!
//! Request headers of the simulator's own: `x-sim-fault` ([`faults::HELP`]), `x-sim-event-interval-ms` (pause between
//! the events of a stream) and `x-sim-tokens` (length of the answer). Marks in a prompt: `[[filter-prompt]]`,
//! `[[filter-completion]]`, `[[refuse]]`, `[[calls=N]]` (so many tool calls), `[[call NAME ARGUMENTS]]` (this very call, several of
//! them one after the other), and for Claude `[[redacted-thinking]]`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

mod answer;
mod auth;
mod body;
mod chat;
mod chat_messages;
mod chat_request;
mod chat_stream;
mod claude;
mod completions;
mod control;
mod distort;
mod embeddings;
mod errors;
mod exchange;
pub mod faults;
mod files;
mod filters;
mod flow;
mod form;
mod gzip;
pub mod identity;
mod line;
mod media;
mod model_rules;
mod models;
mod page;
mod quota;
mod record;
mod resource;
mod responses;
mod routes;
mod schema_instance;
pub mod script;
mod scripted;
mod server;
mod settings;
mod simulation;
mod sse;
mod tls;
mod tools;
mod uploads;
mod videos;
mod wire;
mod words;

pub use record::{Outcome, Recorded, Stats};
pub use script::{Match, Rule, Script, ScriptError};
pub use settings::{DEFAULT_KEY, Deployment, Kind, Settings};

use identity::Identity;
use simulation::Simulation;

/// How often [`Running::wait_for`] looks.
const LOOK: Duration = Duration::from_millis(5);

/// A simulator at work. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    authority_pem: Option<String>,
    simulation: Arc<Simulation>,
    accepting: JoinHandle<()>,
}

/// Starts a simulator on the current Tokio runtime.
pub async fn start(settings: Settings) -> io::Result<Running> {
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let identity = if settings.tls { Some(tls::identity(address.ip())?) } else { None };
    let simulation = Arc::new(Simulation::new(&settings));
    let acceptor = identity.as_ref().map(|identity| TlsAcceptor::from(Arc::clone(&identity.config)));
    let accepting = tokio::spawn(server::accept(listener, acceptor, Arc::clone(&simulation)));
    Ok(Running { address, authority_pem: identity.map(|identity| identity.authority_pem), simulation, accepting })
}

/// Runs a simulator until `until` is done: the command line's way. `ready` is told once it listens.
pub async fn serve(
    settings: Settings,
    script: Script,
    ready: impl FnOnce(&Running),
    until: impl Future<Output = ()>,
) -> io::Result<()> {
    let running = start(settings).await?;
    running.script(&script).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    ready(&running);
    until.await;
    running.stop().await;
    Ok(())
}

impl Running {
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:4711`, without a slash at the end.
    pub fn base_url(&self) -> String {
        let scheme = if self.authority_pem.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority to trust, if the simulator speaks TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }

    /// What was received so far, oldest first.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.simulation.log.recorded()
    }

    /// Forgets what was received.
    pub fn clear(&self) {
        self.simulation.log.clear();
    }

    pub fn stats(&self) -> Stats {
        self.simulation.stats()
    }

    /// Puts a script in force in place of the one before; an empty one ends it.
    pub fn script(&self, script: &Script) -> Result<(), ScriptError> {
        self.simulation.script(script)
    }

    /// Adds a deployment, or replaces the one of that name and fills its quota.
    pub fn add_deployment(&self, deployment: Deployment) {
        self.simulation.resource.add_deployment(deployment);
    }

    pub fn remove_deployment(&self, name: &str) -> bool {
        self.simulation.resource.remove_deployment(name)
    }

    /// Who issues tokens here.
    pub fn identity(&self) -> &Identity {
        &self.simulation.identity
    }

    /// Waits until the record satisfies `enough`, at most `limit` long; gives the last look at it.
    pub async fn wait_for(&self, limit: Duration, enough: impl Fn(&[Recorded]) -> bool) -> Vec<Recorded> {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let recorded = self.recorded();
            if enough(&recorded) || tokio::time::Instant::now() >= end {
                return recorded;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops, and returns when listener and connections are closed.
    pub async fn stop(mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
