//! How many connections there are, in all and from each address, and how many there may be.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::base::locks::lock;
use crate::config::file::Server;
use crate::telemetry::Metrics;

/// The connections of callers. Counted when one is accepted and when it ends, never per request.
pub struct Census {
    limits: ArcSwap<Limits>,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Limits {
    /// `usize::MAX` for no limit.
    all: usize,
    address: usize,
    /// Many callers come from the address of a proxy, so that the limit per address says nothing there.
    proxies: Vec<IpNet>,
}

/// A connection's place; given back when it is dropped.
pub struct Place {
    census: Arc<Census>,
    /// Where it counts, unless it came from a proxy.
    address: Option<IpAddr>,
}

/// Which limit leaves no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    All,
    Address,
}

impl Census {
    pub fn new(server: &Server, metrics: Arc<Metrics>) -> Self {
        Self {
            limits: ArcSwap::from_pointee(Limits::of(server)),
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            metrics,
        }
    }

    /// Other limits from now on. Connections that are open stay.
    pub fn limit(&self, server: &Server) {
        self.limits.store(Arc::new(Limits::of(server)));
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let limits = self.limits.load();
        let peer = peer.to_canonical();
        let address = (!limits.proxies.iter().any(|network| network.contains(&peer))).then(|| block(peer));
        if self.open.fetch_add(1, Ordering::Relaxed) >= limits.all {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(self.refused(Full::All));
        }
        if let Some(address) = address {
            let mut counts = lock(&self.by_address);
            let count = counts.entry(address).or_default();
            if *count >= limits.address {
                drop(counts);
                self.open.fetch_sub(1, Ordering::Relaxed);
                return Err(self.refused(Full::Address));
            }
            *count += 1;
        }
        self.metrics.connections_active.inc();
        Ok(Place { census: Arc::clone(self), address })
    }

    fn refused(&self, full: Full) -> Full {
        let limit = match full {
            Full::All => "all",
            Full::Address => "address",
        };
        self.metrics.connections_refused.with_label_values(&[limit]).inc();
        full
    }
}

impl Limits {
    fn of(server: &Server) -> Self {
        let limit = |most: u32| if most == 0 { usize::MAX } else { most as usize };
        Self {
            all: limit(server.max_connections),
            address: limit(server.max_connections_per_address),
            proxies: server.trusted_proxies.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.census.open.fetch_sub(1, Ordering::Relaxed);
        self.census.metrics.connections_active.dec();
        let Some(address) = self.address else { return };
        let mut counts = lock(&self.census.by_address);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 around it.
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(all: u32, address: u32, proxies: &[&str]) -> Arc<Census> {
        let server = Server {
            max_connections: all,
            max_connections_per_address: address,
            trusted_proxies: proxies.iter().map(|network| network.parse().unwrap()).collect(),
            ..Server::default()
        };
        Arc::new(Census::new(&server, Arc::new(Metrics::new())))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limits_hold_and_places_come_back() {
        let census = census(3, 2, &[]);
        let (a, b) = (census.admit(ip("10.0.0.1")).unwrap(), census.admit(ip("::ffff:10.0.0.1")).unwrap());
        assert_eq!(census.admit(ip("10.0.0.1")).err(), Some(Full::Address));
        let c = census.admit(ip("10.0.0.2")).unwrap();
        assert_eq!(census.admit(ip("10.0.0.3")).err(), Some(Full::All));
        drop((a, b, c));
        assert_eq!(census.open(), 0);
        assert!(census.by_address.lock().unwrap().is_empty(), "nothing is remembered of who has left");
        assert_eq!(census.metrics.connections_active.get(), 0);
    }

    #[test]
    fn an_ipv6_caller_counts_with_its_whole_network_and_a_proxy_not_at_all() {
        let census = census(0, 1, &["10.9.0.0/16"]);
        let _one = census.admit(ip("2001:db8::1")).unwrap();
        assert_eq!(census.admit(ip("2001:db8::2")).err(), Some(Full::Address));
        let _other = census.admit(ip("2001:db8:0:1::1")).unwrap();
        let _proxied = [census.admit(ip("10.9.0.1")), census.admit(ip("10.9.0.1"))].map(|place| place.ok().unwrap());
    }

    #[test]
    fn limits_hold_under_concurrency_and_change_at_once() {
        let census = census(10, 0, &[]);
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter_map(|_| census.admit(ip("10.0.0.1")).ok()).collect::<Vec<_>>()))
                .collect();
            let held: Vec<Vec<Place>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            held.iter().map(Vec::len).sum()
        });
        assert_eq!((admitted, census.open()), (10, 0));
        census.limit(&Server { max_connections: 1, ..Server::default() });
        let _only = census.admit(ip("10.0.0.1")).unwrap();
        assert_eq!(census.admit(ip("10.0.0.1")).err(), Some(Full::All));
    }
}
