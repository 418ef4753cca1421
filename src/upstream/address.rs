//! Name -> addresses, off the request path: an answer is kept and refreshed in the background, and the last good
//! answer serves while the resolver is slow or broken. Only the first look-up of a name is waited for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// How long an answer is used before it is asked for again. `getaddrinfo` tells no TTL; Azure's front doors answer
/// with 30 to 300 seconds.
const FRESH: Duration = Duration::from_secs(30);

/// Which addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any: the operator named the host.
    Any,
    /// A caller named the host: neither this machine nor the cloud's own service addresses (SPEC, "Direct keys").
    /// Private networks stay reachable, since a private endpoint is how many resources are deployed.
    NotLocal,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum Unresolvable {
    #[error("`{name}` could not be resolved: {cause}")]
    Failed { name: String, cause: String },
    #[error("`{name}` resolves to {address}, which callers may not reach")]
    Forbidden { name: String, address: IpAddr },
}

/// The addresses of one host and port.
#[derive(Debug)]
pub struct Address {
    name: String,
    port: u16,
    reach: Reach,
    answer: ArcSwapOption<Answer>,
    refreshing: AtomicBool,
    /// Which of several addresses is in use; moves on when one cannot be connected to.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Address {
    /// `name` is a host name or an IP literal without brackets.
    pub fn new(name: impl Into<String>, port: u16, reach: Reach) -> Self {
        Self {
            name: name.into(),
            port,
            reach,
            answer: ArcSwapOption::empty(),
            refreshing: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
        }
    }

    /// All addresses, the one to try first in front.
    pub async fn all(self: &Arc<Self>) -> Result<Vec<SocketAddr>, Unresolvable> {
        if let Ok(ip) = self.name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let answer = match self.answer.load_full() {
            Some(answer) => {
                self.refresh_when_stale(&answer);
                answer
            }
            None => self.look_up().await?,
        };
        let mut addresses = answer.addresses.clone();
        let turn = self.turn.load(Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(turn);
        Ok(addresses)
    }

    /// The address that was tried first cannot be connected to: begin with the next one from now on.
    pub fn move_on(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    fn refresh_when_stale(self: &Arc<Self>, answer: &Answer) {
        if answer.at.elapsed() < FRESH || self.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let address = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = address.look_up().await {
                log::warn!("{error}; the last good addresses stay in use");
            }
            address.refreshing.store(false, Ordering::Release);
        });
    }

    async fn look_up(&self) -> Result<Arc<Answer>, Unresolvable> {
        let failed = |cause: String| Unresolvable::Failed { name: self.name.clone(), cause };
        let found = tokio::net::lookup_host((self.name.as_str(), self.port)).await;
        let addresses: Vec<SocketAddr> = found.map_err(|error| failed(error.to_string()))?.collect();
        if addresses.is_empty() {
            return Err(failed("the name has no address".to_owned()));
        }
        if self.reach == Reach::NotLocal
            && let Some(forbidden) = addresses.iter().map(|address| address.ip()).find(|ip| is_local(*ip))
        {
            return Err(Unresolvable::Forbidden { name: self.name.clone(), address: forbidden });
        }
        let answer = Arc::new(Answer { addresses, at: Instant::now() });
        self.answer.store(Some(Arc::clone(&answer)));
        Ok(answer)
    }
}

/// Addresses of this machine and of the cloud's own services: loopback, unspecified, link-local (169.254.169.254 is
/// the metadata service), multicast and reserved ranges, and Azure's virtual public address 168.63.129.16. Addresses
/// that embed an IPv4 address are judged by it.
fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.octets()[0] == 0
                || ip.octets()[0] >= 240
                || ip.octets() == [168, 63, 129, 16]
        }
        IpAddr::V6(ip) => {
            let s = ip.segments();
            let embedded = |high: u16, low: u16| {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                is_local(IpAddr::from([a, b, c, d]))
            };
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || s[0] & 0xffc0 == 0xfe80
                || s[0] & 0xffc0 == 0xfec0
                || (s[..6] == [0, 0, 0, 0, 0, 0xffff] && embedded(s[6], s[7]))
                || (s[..6] == [0; 6] && embedded(s[6], s[7]))
                || (s[..2] == [0x64, 0xff9b] && embedded(s[6], s[7]))
                || (s[0] == 0x2002 && embedded(s[1], s[2]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_service_addresses_are_known_in_every_disguise() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
        ] {
            assert!(is_local(text.parse().unwrap()), "{text}");
        }
        for text in ["10.1.2.3", "172.16.0.1", "20.42.1.1", "2603:1030::1", "fd00::1"] {
            assert!(!is_local(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_to_callers() {
        let address = Arc::new(Address::new("localhost", 1, Reach::NotLocal));
        assert!(matches!(address.all().await, Err(Unresolvable::Forbidden { .. })));
        assert!(Arc::new(Address::new("localhost", 1, Reach::Any)).all().await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_has_gone_stale_still_serves() {
        let address = Arc::new(Address::new("does-not-exist.invalid", 1, Reach::Any));
        let at = Instant::now().checked_sub(FRESH * 2).unwrap();
        let old: SocketAddr = "192.0.2.1:1".parse().unwrap();
        address.answer.store(Some(Arc::new(Answer { addresses: vec![old], at })));
        assert_eq!(address.all().await.unwrap(), [old]);
    }
}
