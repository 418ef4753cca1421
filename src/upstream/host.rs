//! One upstream host: how it is addressed in requests, and the Pingora peer to connect to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::address::{Address, Unresolvable};
use crate::base::endpoint::{Endpoint, Scheme};

/// Azure's front doors close idle connections after about four minutes; ours go first, so that a request hardly
/// ever meets a connection that is being closed.
const IDLE: Duration = Duration::from_secs(55);

/// How the other side's certificate is judged.
#[derive(Clone, Default)]
pub struct TlsRules {
    pub insecure_skip_verify: bool,
    /// Trusted instead of the system's roots.
    pub certificates: Option<Arc<[WrappedX509]>>,
}

pub struct Host {
    pub endpoint: Endpoint,
    /// Value of the `Host` header.
    pub authority: String,
    pub connect_timeout: Duration,
    tls: TlsRules,
    address: Arc<Address>,
    /// The peer for the address in use; a peer is costly to build, and there is nearly always one.
    peer: ArcSwapOption<(SocketAddr, Arc<HttpPeer>)>,
}

impl TlsRules {
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
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let parsed = parsed.map_err(|error| format!("not a PEM certificate: {error}"))?;
    if parsed.is_empty() {
        return Err("no certificate in the PEM text".to_owned());
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &parsed {
        roots.add(certificate.clone()).map_err(|error| format!("certificate cannot be a trust anchor: {error}"))?;
    }
    Ok(parsed.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect())
}

impl Host {
    pub fn new(endpoint: Endpoint, address: Arc<Address>, tls: TlsRules, connect_timeout: Duration) -> Self {
        Self { authority: endpoint.authority(), endpoint, connect_timeout, tls, address, peer: ArcSwapOption::empty() }
    }

    /// The peers to try, one per address, the one that worked last in front.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Unresolvable> {
        self.address.all().await
    }

    /// Where the host is, for another configuration to go on with.
    pub fn address(&self) -> Arc<Address> {
        Arc::clone(&self.address)
    }

    pub(super) fn move_on(&self) {
        self.address.move_on();
    }

    pub(super) fn peer(&self, address: SocketAddr) -> Arc<HttpPeer> {
        if let Some(known) = self.peer.load().as_ref().filter(|known| known.0 == address) {
            return Arc::clone(&known.1);
        }
        let peer = Arc::new(self.build_peer(address));
        self.peer.store(Some(Arc::new((address, Arc::clone(&peer)))));
        peer
    }

    pub(super) const fn idle_timeout() -> Duration {
        IDLE
    }

    fn build_peer(&self, address: SocketAddr) -> HttpPeer {
        // The name must not be empty: Pingora verifies no certificate without one.
        let mut peer = HttpPeer::new(address, self.endpoint.scheme == Scheme::Https, self.endpoint.host.clone());
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.verify_cert = !self.tls.insecure_skip_verify;
        peer.options.verify_hostname = !self.tls.insecure_skip_verify;
        peer.options.ca = self.tls.certificates.clone();
        // Pingora's pools tell peers apart by much, but not by whose certificates they trust.
        peer.group_key = self.tls.trusted();
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
    use crate::upstream::Reach;

    #[test]
    fn connections_are_shared_only_by_those_who_trust_the_same_certificates() {
        let address = Arc::new(Address::new("127.0.0.1", 443, Reach::Any));
        let reuse = |certificates: Option<&str>| {
            let tls = TlsRules {
                insecure_skip_verify: false,
                certificates: certificates.map(|pem| super::certificates(pem).unwrap()),
            };
            let host = Host::new(Endpoint::https("a.example"), Arc::clone(&address), tls, Duration::from_secs(1));
            host.peer("127.0.0.1:443".parse().unwrap()).reuse_hash()
        };
        let authority = || rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
        let (one, other) = (authority(), authority());
        assert_eq!(reuse(Some(&one)), reuse(Some(&one)));
        assert_ne!(reuse(Some(&one)), reuse(Some(&other)));
        assert_ne!(reuse(Some(&one)), reuse(None));
    }
}
