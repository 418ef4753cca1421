//! One upstream host: how it is addressed in requests, and the Pingora peer to connect to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::utils::tls::{WrappedX509, parse_x509};
use tokio::sync::Semaphore;

use super::address::{Address, Unresolvable};
use super::idle::{Idle, Shelf};
use crate::base::certificate;
use crate::base::endpoint::{Endpoint, Scheme};

/// Azure's front doors close idle connections after about four minutes; ours go first, so that a request hardly
/// ever meets a connection that is being closed.
pub(super) const IDLE: Duration = Duration::from_secs(55);

/// Streams that one HTTP/2 connection carries at a time; servers allow at least as many (RFC 9113, section 6.5.2).
const STREAMS: usize = 100;

/// How often an HTTP/2 connection is asked for a sign of life.
const PING: Duration = Duration::from_secs(30);

/// How a host is connected to.
#[derive(Clone)]
pub struct Rules {
    pub connect_timeout: Duration,
    /// Exchanges in progress at most, of all keys that lead to the host.
    pub most_exchanges: u32,
    pub protocols: Protocols,
    pub insecure_skip_verify: bool,
    /// Trusted instead of the system's roots.
    pub certificates: Option<Arc<[WrappedX509]>>,
}

/// Which versions of HTTP are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 where the server chooses it by ALPN, else HTTP/1.1; over cleartext always HTTP/1.1.
    Offered,
    /// HTTP/2 only; over cleartext with prior knowledge.
    Http2,
}

pub struct Host {
    pub endpoint: Endpoint,
    /// Host and port, as they stand in the `Host` header.
    pub authority: String,
    /// The same, ready for a head.
    pub host_header: HeaderValue,
    pub connect_timeout: Duration,
    rules: Rules,
    address: Address,
    room: Arc<Semaphore>,
    /// The way that was taken last. One is costly to build, and there is nearly always one.
    way: ArcSwapOption<Way>,
}

/// How one address of a host is connected to, and the connections to it that wait.
pub(super) struct Way {
    address: SocketAddr,
    pub peer: HttpPeer,
    pub waiting: Arc<Shelf>,
}

impl Rules {
    /// A number of its own for each set of trusted certificates.
    fn trusted(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let certificates = self.certificates.iter().flat_map(|certificates| certificates.iter());
        certificates.for_each(|certificate| certificate.borrow_raw_cert().hash(&mut hasher));
        hasher.finish()
    }
}

/// Certificates from PEM text.
///
/// # Errors
/// Says what is wrong when the text holds no certificate or a broken one.
pub fn certificates(pem: &str) -> Result<Arc<[WrappedX509]>, String> {
    certificate::roots(pem)?;
    let parsed = certificate::certificates(pem)?;
    Ok(parsed.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect())
}

impl Host {
    pub fn new(endpoint: Endpoint, address: Address, rules: Rules) -> Self {
        let authority = endpoint.authority();
        Self {
            room: address.room(rules.most_exchanges),
            host_header: HeaderValue::from_str(&authority).expect("an endpoint is a host name or an address"),
            authority,
            connect_timeout: rules.connect_timeout,
            endpoint,
            rules,
            address,
            way: ArcSwapOption::empty(),
        }
    }

    /// The addresses to try, the one that worked last in front.
    ///
    /// # Errors
    /// When there is none. Waits for the first look-up of a name without a limit of its own.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, Unresolvable> {
        self.address.all().await
    }

    /// That a look-up took longer than there was time for.
    pub(super) fn unresolved(&self) -> Unresolvable {
        self.address.late(self.connect_timeout)
    }

    /// A place among the exchanges in progress is taken here.
    pub(super) fn room(&self) -> &Arc<Semaphore> {
        &self.room
    }

    pub(super) fn most_exchanges(&self) -> u32 {
        self.rules.most_exchanges
    }

    /// A new connection stands, so this address is tried first from now on.
    pub(super) fn connected(&self, way: &Arc<Way>) {
        self.address.worked(way.address);
        self.way.store(Some(Arc::clone(way)));
    }

    pub(super) fn way(&self, address: SocketAddr, idle: &Idle) -> Arc<Way> {
        if let Some(known) = self.way.load().as_ref().filter(|known| known.address == address) {
            return Arc::clone(known);
        }
        let peer = self.build_peer(address);
        let way = Arc::new(Way { address, waiting: idle.shelf(address, peer.reuse_hash()), peer });
        self.way.store(Some(Arc::clone(&way)));
        way
    }

    /// The peer for a probe, which puts the address in itself.
    pub fn any_peer(&self) -> HttpPeer {
        self.build_peer(SocketAddr::from(([0; 4], 0)))
    }

    /// Whether the other leads to the same place in the same way.
    pub fn is_reached_like(&self, other: &Self) -> bool {
        let rules = |host: &Self| (host.rules.protocols, host.rules.insecure_skip_verify, host.rules.trusted());
        self.endpoint == other.endpoint && rules(self) == rules(other)
    }

    fn build_peer(&self, address: SocketAddr) -> HttpPeer {
        // The name must not be empty: Pingora verifies no certificate without one.
        let tls = self.endpoint.scheme == Scheme::Https;
        let mut peer = HttpPeer::new(address, tls, self.endpoint.host.clone());
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.verify_cert = !self.rules.insecure_skip_verify;
        peer.options.verify_hostname = !self.rules.insecure_skip_verify;
        peer.options.ca = self.rules.certificates.clone();
        // Pingora's pools tell peers apart by much, but not by whose certificates they trust.
        peer.group_key = self.rules.trusted();
        match (self.rules.protocols, tls) {
            (Protocols::Offered, true) => peer.options.set_http_version(2, 1),
            (Protocols::Offered, false) => {}
            (Protocols::Http2, _) => peer.options.set_http_version(2, 2),
        }
        peer.options.max_h2_streams = STREAMS;
        peer.options.h2_ping_interval = Some(PING);
        peer.options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        debug_assert!(!peer.sni().is_empty());
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Directory, Reach};

    #[test]
    fn connections_are_shared_only_by_those_who_trust_the_same_certificates() {
        let address = Directory::default().address("127.0.0.1", 443, Reach::Any);
        let reuse = |pem: Option<&str>| {
            let rules = Rules {
                connect_timeout: Duration::from_secs(1),
                most_exchanges: 1,
                protocols: Protocols::Offered,
                insecure_skip_verify: false,
                certificates: pem.map(|pem| certificates(pem).unwrap()),
            };
            let host = Host::new(Endpoint::https("a.example"), address.clone(), rules);
            host.way("127.0.0.1:443".parse().unwrap(), &Idle::default()).peer.reuse_hash()
        };
        let authority = || rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
        let (one, other) = (authority(), authority());
        assert_eq!(reuse(Some(&one)), reuse(Some(&one)));
        assert_ne!(reuse(Some(&one)), reuse(Some(&other)));
        assert_ne!(reuse(Some(&one)), reuse(None));
    }
}
