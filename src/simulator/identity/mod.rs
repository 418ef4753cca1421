//! The simulated identity platform: it issues tokens that expire, and the resource of the same simulator checks them.
//! Entra's token endpoint (client secret, certificate, federated assertion) and the managed-identity endpoints of a
//! virtual machine, App Service and Azure Arc. Faults by script reach these paths like any other.

use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::request;

mod application;
mod assertion;
mod entra;
mod errors;
mod managed;
mod token;

pub use application::Application;
pub use errors::Refused;
pub use token::Claims;

use super::answer::Answer;
use crate::base::locks;
use token::Signer;

/// The tenant of the simulator, the applications and identities it knows, and what they get.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    pub tenant: String,
    pub applications: Vec<Application>,
    /// Client ids of user-assigned identities besides the one assigned by the system.
    pub user_assigned: Vec<String>,
    /// What App Service wants to see in `x-identity-header`.
    pub app_service_secret: String,
    /// Where Azure Arc's challenge files are written; without it there is no Arc.
    pub arc_directory: Option<PathBuf>,
    /// How long a token lives.
    pub lifetime: Duration,
    /// After how long its holder is told to ask for the next one (`refresh_in`).
    pub refresh_in: Option<Duration>,
    /// Resources that tokens are issued for.
    pub resources: Vec<String>,
    /// Those of them that the data plane accepts as audience.
    pub audiences: Vec<String>,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        let resources = ["https://cognitiveservices.azure.com", "https://ai.azure.com", "https://management.azure.com"];
        let resources: Vec<String> = resources.map(str::to_owned).into();
        Self {
            tenant: "sim-tenant".to_owned(),
            applications: vec![Application::new("sim-client").secret("sim-secret")],
            user_assigned: vec!["sim-user-assigned".to_owned()],
            app_service_secret: "sim-identity-header".to_owned(),
            arc_directory: None,
            lifetime: Duration::from_secs(3_599),
            refresh_in: None,
            audiences: resources[..2].to_vec(),
            resources,
        }
    }
}

/// How often tokens were asked for, issued, and turned away by the data plane.
#[derive(Debug, Default)]
pub struct Counters {
    pub asked: AtomicU64,
    pub issued: AtomicU64,
    pub turned_away: AtomicU64,
}

#[derive(Debug)]
pub struct Identity {
    settings: IdentitySettings,
    applications: RwLock<Vec<Application>>,
    /// Of the tokens that are issued from now on.
    lifetime: RwLock<Duration>,
    signer: Signer,
    pub counters: Counters,
}

impl Identity {
    pub fn new(settings: &IdentitySettings) -> Self {
        Self {
            settings: settings.clone(),
            applications: RwLock::new(settings.applications.clone()),
            lifetime: RwLock::new(settings.lifetime),
            signer: Signer::new(),
            counters: Counters::default(),
        }
    }

    /// Whether a path belongs to the identity platform.
    pub fn owns(path: &str) -> bool {
        path.ends_with("/oauth2/v2.0/token") || managed::Host::of(path).is_some()
    }

    /// Answers a request for a token; `origin` is where the simulator is reached.
    pub fn answer(&self, head: &request::Parts, body: &[u8], origin: &str) -> Answer {
        self.counters.asked.fetch_add(1, Ordering::Relaxed);
        let answered = match managed::Host::of(head.uri.path()) {
            Some(host) => self.managed(host, head),
            None => self.entra(head, body, origin),
        };
        match answered {
            Ok(answer) => {
                self.counters.issued.fetch_add(1, Ordering::Relaxed);
                answer
            }
            Err(refused) => refused.answer(),
        }
    }

    /// What takes the place of an answer that a fault wants to have another status.
    pub fn failed(status: u16, message: Option<&str>) -> Answer {
        Refused::unavailable(status, message).answer()
    }

    /// Whether a token opens the data plane.
    pub fn admits(&self, token: &str) -> bool {
        let admitted = self.signer.read(token).is_some_and(|claims| {
            let audience = self.settings.audiences.contains(&claims.aud);
            audience && claims.exp > token::now() && claims.iat > self.signer.revoked_until()
        });
        if !admitted {
            self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// What a token of this simulator says, whether or not it still opens anything.
    pub fn read(&self, token: &str) -> Option<Claims> {
        self.signer.read(token)
    }

    /// No token that was issued until now opens anything any more.
    pub fn revoke(&self) {
        self.signer.revoke();
    }

    /// Tokens that are issued from now on live for so long.
    pub fn live_for(&self, lifetime: Duration) {
        *locks::write(&self.lifetime) = lifetime;
    }

    fn lifetime(&self) -> Duration {
        *locks::read(&self.lifetime)
    }

    /// Adds an application, or replaces the one of the same id.
    pub fn register(&self, application: Application) {
        let mut applications = locks::write(&self.applications);
        applications.retain(|known| known.id != application.id);
        applications.push(application);
    }

    fn application(&self, id: &str) -> Option<Application> {
        let applications = locks::read(&self.applications);
        applications.iter().find(|application| application.id == id).cloned()
    }

    fn issue(&self, application: &str, resource: &str) -> (String, Claims) {
        let settings = IdentitySettings { lifetime: self.lifetime(), ..self.settings.clone() };
        self.signer.issue(application, resource, &settings)
    }
}
