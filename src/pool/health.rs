//! Whether an endpoint is well, as probes of it tell that cost no tokens; and the probes, which are those of
//! `pingora-load-balancing`. Throttling and failing requests are no business of theirs: gates and breakers see those.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::upstreams::peer::{BasicPeer, HttpPeer, Peer};
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use crate::base::locks::lock;

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Opens a connection.
    Tcp,
    /// Opens a connection, with the TLS handshake where the endpoint is encrypted.
    Tls,
    /// Asks for the list of models without a credential: any answer below 500 is good.
    Http,
}

/// How an endpoint is probed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthRules {
    pub kind: ProbeKind,
    pub interval: Duration,
    pub timeout: Duration,
    /// Bad probes in a row that make it unwell.
    pub unhealthy: u32,
    /// Good ones that make it well again.
    pub healthy: u32,
}

/// What is known of one endpoint, by all keys that lead there. Belongs to the endpoint and its rules, not to a
/// configuration: it survives reloads.
#[derive(Debug)]
pub struct Health {
    /// `None`: nobody probes, and the endpoint counts as well.
    pub rules: Option<HealthRules>,
    unwell: AtomicBool,
    epoch: Instant,
    /// Milliseconds since the epoch at which a request was last answered; 0 for never.
    answered: AtomicU64,
    /// Probes in a row that contradict the present state.
    contradicting: Mutex<u32>,
}

/// A change of state, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Worse,
    Better,
}

impl Health {
    pub fn new(rules: Option<HealthRules>) -> Self {
        Self {
            rules,
            unwell: AtomicBool::new(false),
            // A past epoch, so that no moment is 0, which means never.
            epoch: Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now),
            answered: AtomicU64::new(0),
            contradicting: Mutex::new(0),
        }
    }

    pub fn is_well(&self) -> bool {
        !self.unwell.load(Ordering::Acquire)
    }

    /// A request was answered, which says more than a probe. Written once a second at most, since all keys and threads
    /// share it.
    pub fn answered(&self, now: Instant) {
        let now = self.millis(now);
        if self.rules.is_some() && now.saturating_sub(self.answered.load(Ordering::Relaxed)) >= 1_000 {
            self.answered.store(now, Ordering::Relaxed);
        }
    }

    /// Whether a request was answered since then, so that a probe would tell nothing new.
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.answered.load(Ordering::Relaxed) >= self.millis(then)
    }

    /// What a probe has found.
    pub fn observe(&self, good: bool) -> Option<Turn> {
        let rules = self.rules?;
        let mut contradicting = lock(&self.contradicting);
        if good == self.is_well() {
            *contradicting = 0;
            return None;
        }
        *contradicting += 1;
        if *contradicting < if good { rules.healthy } else { rules.unhealthy } {
            return None;
        }
        *contradicting = 0;
        self.unwell.store(!good, Ordering::Release);
        Some(if good { Turn::Better } else { Turn::Worse })
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

/// No probes.
impl Default for Health {
    fn default() -> Self {
        Self::new(None)
    }
}

/// Why an endpoint is not well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unwell(String);

/// A probe of one endpoint. Costly to make: it reads the system's trusted certificates.
pub struct Probe {
    check: Box<dyn HealthCheck + Send + Sync>,
    timeout: Duration,
}

impl Probe {
    /// `peer` says how the endpoint is connected to, at whatever address; `authority` and `target` are for requests.
    pub fn new(rules: &HealthRules, peer: HttpPeer, authority: &str, target: &str) -> Self {
        let check: Box<dyn HealthCheck + Send + Sync> = match rules.kind {
            ProbeKind::Tcp => connecting(&peer, ""),
            ProbeKind::Tls => connecting(&peer, if peer.tls() { peer.sni() } else { "" }),
            ProbeKind::Http => asking(peer, rules.timeout, authority, target),
        };
        Self { check, timeout: rules.timeout }
    }

    /// Probes the endpoint at one of its addresses.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub async fn run(&self, address: SocketAddr) -> Result<(), Unwell> {
        let backend = Backend { addr: address.into(), weight: 1, ext: http::Extensions::new() };
        match timeout(self.timeout, self.check.check(&backend)).await {
            Ok(checked) => checked.map_err(|error| Unwell::from(&*error)),
            Err(_) => Err(Unwell(format!("no sign of life within {:?}", self.timeout))),
        }
    }
}

fn connecting(peer: &HttpPeer, sni: &str) -> Box<TcpHealthCheck> {
    let mut template = BasicPeer::new("0.0.0.0:1");
    template.options = peer.options.clone();
    template.sni = sni.to_owned();
    let mut check = TcpHealthCheck::new();
    check.peer_template = template;
    check
}

fn asking(mut peer: HttpPeer, timeout: Duration, authority: &str, target: &str) -> Box<HttpHealthCheck> {
    peer.options.read_timeout = Some(timeout);
    let mut check = HttpHealthCheck::new(authority, false);
    check.peer_template = peer;
    if let Ok(mut request) = RequestHeader::build("GET", target.as_bytes(), Some(2)) {
        // A host that was connected to has a valid name.
        let _ = request.insert_header(http::header::HOST, authority);
        check.req = request;
    }
    check.validator = Some(Box::new(|answer| match answer.status.as_u16() {
        ..500 => Ok(()),
        status => Error::e_explain(ErrorType::HTTPStatus(status), "a server error"),
    }));
    Box::new(check)
}

impl Unwell {
    /// No address of the endpoint is known.
    pub fn unknown(cause: &impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

impl From<&Error> for Unwell {
    fn from(error: &Error) -> Self {
        let root = error.root_etype().as_str();
        let said = match error.root_etype() {
            ErrorType::HTTPStatus(status) => format!("it answers with {status}"),
            // What is wrong with a certificate stands in the message alone, at its end.
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => {
                let said = error.context.as_ref().map_or("", |said| said.as_str());
                format!("{root}: {}", said.rsplit_once("cause: ").map_or(said, |(_, cause)| cause))
            }
            _ => error.cause.as_ref().map_or_else(|| root.to_owned(), |cause| format!("{root}: {cause}")),
        };
        Self(said.chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: HealthRules = HealthRules {
        kind: ProbeKind::Tcp,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        unhealthy: 3,
        healthy: 2,
    };

    #[test]
    fn it_takes_so_many_in_a_row_to_change_its_state() {
        let health = Health::new(Some(RULES));
        let turns: Vec<_> = [false, false, true, false, false].map(|good| health.observe(good)).to_vec();
        assert_eq!(turns, [None; 5], "one good probe begins the count anew");
        assert!(health.is_well());
        assert_eq!(health.observe(false), Some(Turn::Worse));
        assert!(!health.is_well());
        assert_eq!([false, true, false, true].map(|good| health.observe(good)), [None; 4], "told once");
        assert_eq!(health.observe(true), Some(Turn::Better));
        assert!(health.is_well());
    }

    #[test]
    fn without_rules_everything_is_well() {
        let health = Health::default();
        assert!([false; 9].iter().all(|good| health.observe(*good).is_none()) && health.is_well());
        let now = Instant::now();
        health.answered(now);
        assert!(!health.has_answered_since(now));
    }

    #[test]
    fn an_answered_request_stands_for_the_next_probe() {
        let (health, now) = (Health::new(Some(RULES)), Instant::now());
        let after = |millis| now + Duration::from_millis(millis);
        assert!(!health.has_answered_since(now));
        health.answered(after(100));
        assert!(health.has_answered_since(now) && !health.has_answered_since(after(101)));
        health.answered(after(1_099));
        assert!(!health.has_answered_since(after(200)), "noted once a second");
        health.answered(after(1_100));
        assert!(health.has_answered_since(after(200)));
    }

    fn peer(address: SocketAddr) -> HttpPeer {
        HttpPeer::new(address, false, "a.example".to_owned())
    }

    #[tokio::test]
    async fn a_probe_connects_or_asks_and_says_what_is_wrong() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let rules = HealthRules { timeout: Duration::from_millis(300), ..RULES };
        assert_eq!(Probe::new(&rules, peer(address), "a.example", "/").run(address).await, Ok(()));
        let asking = HealthRules { kind: ProbeKind::Http, ..rules };
        let silent = Probe::new(&asking, peer(address), "a.example", "/models").run(address).await.unwrap_err();
        assert!(silent.to_string().contains("no sign of life") || silent.to_string().contains("Timedout"), "{silent}");
        drop(listener);
        let refused = Probe::new(&rules, peer(address), "a.example", "/").run(address).await.unwrap_err();
        assert!(refused.to_string().contains("Connect"), "{refused}");
    }
}
