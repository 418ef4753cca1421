//! Asks for the addresses of a name: `/etc/hosts` first, then name servers, in their order. Remembers nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::{Either, select};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::time::timeout;

use super::race::race;

/// Longest look-up as a whole. Nobody waits for it that long, but an answer that comes late serves whoever comes later.
const LIMIT: Duration = Duration::from_secs(15);

/// How long one name server is waited for; lost packets are sent again within it.
const SERVER_LIMIT: Duration = Duration::from_secs(12);

/// How long the first name server has the field to itself.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long the other family of addresses is waited for when one is there. RFC 8305, section 3, has 50 ms for a single
/// connection; an answer that is kept is worth a little more.
const OTHER_FAMILY: Duration = Duration::from_millis(100);

/// How long an entry of `/etc/hosts` is used before the file is looked at again.
const HOSTS_TTL: Duration = Duration::from_secs(30);

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Whom to ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServers {
    /// None: those of `/etc/resolv.conf`, with its search domains.
    pub servers: Vec<SocketAddr>,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

impl Default for NameServers {
    fn default() -> Self {
        Self { servers: Vec::new(), ipv6: true }
    }
}

pub(super) struct Resolver {
    name_servers: NameServers,
    surroundings: ArcSwapOption<Surroundings>,
}

/// What the system's files say, and clients made from it.
struct Surroundings {
    stamps: [Stamp; 2],
    hosts: Hosts,
    servers: Vec<TokioResolver>,
    search: Vec<String>,
    /// Names with fewer dots are looked for in the search domains first.
    ndots: usize,
}

/// When a file was changed, and its length.
type Stamp = Option<(SystemTime, u64)>;

/// The addresses of a name, in the order to try them.
#[derive(Debug)]
pub(super) struct Found {
    pub ips: Vec<IpAddr>,
    pub ttl: Duration,
}

/// Why there are none.
#[derive(Debug)]
pub(super) struct Missing {
    pub cause: String,
    /// How long that is known to hold (RFC 2308), where a name server has said so.
    pub ttl: Option<Duration>,
}

impl Resolver {
    pub(super) fn new(name_servers: NameServers) -> Self {
        Self { name_servers, surroundings: ArcSwapOption::empty() }
    }

    pub(super) fn name_servers(&self) -> &NameServers {
        &self.name_servers
    }

    pub(super) async fn ask(&self, name: &str) -> Result<Found, Missing> {
        let asked = timeout(LIMIT, async {
            let surroundings = self.surroundings().await?;
            match surroundings.in_hosts(name) {
                Some(ips) => Ok(Found { ips, ttl: HOSTS_TTL }),
                None => self.ask_servers(&surroundings, name).await,
            }
        });
        let late = || Missing::because(format!("no answer from a name server within {LIMIT:?}"));
        let found = asked.await.unwrap_or_else(|_| Err(late()))?;
        Ok(Found { ips: in_order(&found.ips, is_routable), ..found })
    }

    /// The name as it stands and in the search domains, in the order of resolv.conf(5); the first that has addresses.
    async fn ask_servers(&self, surroundings: &Surroundings, name: &str) -> Result<Found, Missing> {
        let mut missing = None;
        for full in surroundings.full_names(name) {
            let asked = race(&surroundings.servers, HEAD_START, |server| self.ask_server(server, full.clone())).await;
            match asked {
                Some(Ok(Ok(found))) => return Ok(found),
                Some(Ok(Err(why)) | Err(why)) => drop(missing.get_or_insert(why)),
                None => {}
            }
        }
        Err(missing.unwrap_or_else(|| Missing::because("there is no name server to ask".to_owned())))
    }

    /// Asks one name server for both families at once. That there is no such name is an answer; the outer error is for
    /// a server that has none, so that another is worth asking.
    async fn ask_server(&self, server: &TokioResolver, name: Name) -> Result<Result<Found, Missing>, Missing> {
        let v4 = Box::pin(server.ipv4_lookup(name.clone()));
        if !self.name_servers.ipv6 {
            return answered(v4.await);
        }
        let v6 = Box::pin(server.ipv6_lookup(name));
        let (first, other) = match select(v4, v6).await {
            Either::Left((first, other)) => (answered(first), Either::Left(other)),
            Either::Right((first, other)) => (answered(first), Either::Right(other)),
        };
        match first {
            Ok(Ok(mut found)) => {
                if let Ok(Ok(other)) = timeout(OTHER_FAMILY, other).await.map(answered)
                    && let Ok(other) = other
                {
                    found.ips.extend(other.ips);
                    found.ttl = found.ttl.min(other.ttl);
                }
                Ok(Ok(found))
            }
            first => match (first, answered(other.await)) {
                (_, Ok(Ok(found))) => Ok(Ok(found)),
                (Ok(Err(missing)), Ok(Err(_))) => Ok(Err(missing)),
                (Err(failed), _) | (_, Err(failed)) => Err(failed),
                (first, _) => first,
            },
        }
    }

    /// Reads the system's files again when they have changed.
    async fn surroundings(&self) -> Result<Arc<Surroundings>, Missing> {
        let stamps = [stamp(HOSTS).await, stamp(RESOLV_CONF).await];
        if let Some(known) = self.surroundings.load_full().filter(|known| known.stamps == stamps) {
            return Ok(known);
        }
        let name_servers = self.name_servers.clone();
        let read = tokio::task::spawn_blocking(move || Surroundings::read(&name_servers, stamps)).await;
        let read = read.map_err(|error| Missing::because(error.to_string()))?;
        let fresh = Arc::new(read.map_err(|error| Missing::because(error.to_string()))?);
        self.surroundings.store(Some(Arc::clone(&fresh)));
        Ok(fresh)
    }
}

impl Surroundings {
    fn read(name_servers: &NameServers, stamps: [Stamp; 2]) -> Result<Self, NetError> {
        let hosts = Hosts::from_system().unwrap_or_else(|error| {
            log::warn!("{HOSTS} cannot be read: {error}");
            Hosts::default()
        });
        let (config, options) = if name_servers.servers.is_empty() {
            read_system_conf().unwrap_or_else(|error| {
                log::warn!("{RESOLV_CONF} names no name server, so one is asked at 127.0.0.1: {error}");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
            })
        } else {
            let servers = name_servers.servers.iter().map(name_server).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        };
        let (_, search, servers) = config.into_parts();
        let servers = servers.into_iter().map(|server| client(server, &options)).collect::<Result<_, _>>()?;
        let search = search.iter().map(ToString::to_string).collect();
        Ok(Self { stamps, hosts, servers, search, ndots: options.ndots })
    }

    fn in_hosts(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = Name::from_str_relaxed(name.to_ascii_lowercase()).ok()?;
        let of = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of);
        let ips: Vec<_> = found.flat_map(|lookup| addresses(&lookup).collect::<Vec<_>>()).collect();
        (!ips.is_empty()).then_some(ips)
    }

    fn full_names(&self, name: &str) -> Vec<Name> {
        let (bare, dots) = (name.trim_end_matches('.'), name.matches('.').count());
        let itself = std::iter::once(format!("{bare}."));
        let searched = self.search.iter().map(|domain| format!("{bare}.{}.", domain.trim_end_matches('.')));
        let names: Vec<String> = if name.ends_with('.') || bare.eq_ignore_ascii_case("localhost") {
            itself.collect()
        } else if dots >= self.ndots {
            itself.chain(searched).collect()
        } else {
            searched.chain(itself).collect()
        };
        names.iter().filter_map(|name| Name::from_str_relaxed(name).ok()).collect()
    }
}

impl Missing {
    fn because(cause: String) -> Self {
        Self { cause, ttl: None }
    }
}

async fn stamp(path: &str) -> Stamp {
    let read: io::Result<_> = tokio::fs::metadata(Path::new(path)).await;
    read.and_then(|metadata| Ok((metadata.modified()?, metadata.len()))).ok()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connection = |protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(address.ip(), true, vec![connection(ProtocolConfig::Udp), connection(ProtocolConfig::Tcp)])
}

/// A client of one name server, without a cache: answers are kept by [`super::address`].
fn client(server: NameServerConfig, options: &ResolverOpts) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let opts = builder.options_mut();
    *opts = options.clone();
    opts.timeout = SERVER_LIMIT;
    opts.attempts = 1;
    opts.cache_size = 0;
    opts.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

fn answered(looked_up: Result<Lookup, NetError>) -> Result<Result<Found, Missing>, Missing> {
    match looked_up {
        Ok(lookup) => {
            let ips: Vec<IpAddr> = addresses(&lookup).collect();
            let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
            let ttl = Duration::from_secs(ttl.into());
            let none = || Missing { cause: "the name has no address".to_owned(), ttl: Some(ttl) };
            Ok(if ips.is_empty() { Err(none()) } else { Ok(Found { ips, ttl }) })
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            let cause = match none.response_code {
                hickory_resolver::proto::op::ResponseCode::NXDomain => "the name does not exist (NXDOMAIN)".to_owned(),
                _ => "the name has no address".to_owned(),
            };
            Ok(Err(Missing { cause, ttl: none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into())) }))
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => {
            Err(Missing::because(format!("the name server failed: {code}")))
        }
        Err(NetError::Timeout) => Err(Missing::because("the name server does not answer".to_owned())),
        Err(error) => Err(Missing::because(format!("the name server cannot be asked: {error}"))),
    }
}

fn addresses(lookup: &Lookup) -> impl Iterator<Item = IpAddr> + '_ {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr())
}

/// Both families in turn, IPv6 first (RFC 8305, section 4), those without a route last.
fn in_order(ips: &[IpAddr], is_routable: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let mut rest = Vec::new();
    let (mut v6, mut v4) = (Vec::new(), Vec::new());
    for ip in ips {
        match ip {
            _ if v6.contains(ip) || v4.contains(ip) || rest.contains(ip) => {}
            ip if !is_routable(*ip) => rest.push(*ip),
            IpAddr::V6(_) => v6.push(*ip),
            IpAddr::V4(_) => v4.push(*ip),
        }
    }
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::with_capacity(ips.len());
    loop {
        let pair = (v6.next(), v4.next());
        ordered.extend(pair.0.into_iter().chain(pair.1));
        if pair == (None, None) {
            ordered.extend(rest);
            return ordered;
        }
    }
}

/// Whether this machine knows a way to the address; connecting a datagram socket sends nothing.
fn is_routable(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((ip, 53))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_addresses_without_a_route_come_last() {
        let found = ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "192.0.2.1"]);
        let ordered = in_order(&found, |ip| ip != found[1]);
        assert_eq!(ordered, ips(&["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.3", "192.0.2.2"]));
        assert_eq!(in_order(&found[..2], |_| false), found[..2]);
    }

    fn surroundings(search: &[&str], ndots: usize) -> Surroundings {
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf("192.0.2.7 Printer printer.lan # here\n2001:db8::7 printer\n".as_bytes()).unwrap();
        let search = search.iter().map(|&domain| domain.to_owned()).collect();
        Surroundings { stamps: [None; 2], hosts, servers: Vec::new(), search, ndots }
    }

    #[test]
    fn names_are_searched_as_resolv_conf_says() {
        let names = |name: &str, ndots| -> Vec<String> {
            surroundings(&["a.lan", "b.lan."], ndots).full_names(name).iter().map(ToString::to_string).collect()
        };
        assert_eq!(names("ollama", 1), ["ollama.a.lan.", "ollama.b.lan.", "ollama."]);
        assert_eq!(names("x.example", 1), ["x.example.", "x.example.a.lan.", "x.example.b.lan."]);
        assert_eq!(names("x.example", 2)[0], "x.example.a.lan.");
        assert_eq!(names("x.example.", 5), ["x.example."]);
        assert_eq!(names("localhost", 1), ["localhost."]);
    }

    #[test]
    fn the_hosts_file_comes_first_whatever_the_case() {
        let known = surroundings(&[], 1);
        assert_eq!(known.in_hosts("PRINTER"), Some(ips(&["192.0.2.7", "2001:db8::7"])));
        assert_eq!(known.in_hosts("printer.lan"), Some(ips(&["192.0.2.7"])));
        assert_eq!(known.in_hosts("other.lan"), None);
    }
}
