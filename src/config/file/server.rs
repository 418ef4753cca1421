//! Section `server`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::{self, NameServerText, NetworkText, PlainText, Seconds, SecretText, SocketText};
use crate::base::Secret;

/// The process itself: where it listens, limits, shutdown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Addresses for callers, `IP:port`. A change takes effect at the next start.
    #[serde(deserialize_with = "form::list::<SocketText, _>")]
    #[schemars(with = "Vec<SocketText>")]
    pub listen: Vec<SocketAddr>,
    /// Encrypts the listeners for callers. Without it they speak plain HTTP.
    pub tls: Option<Tls>,
    /// The listener for operators.
    pub admin: Admin,
    /// Threads that serve requests; 0 means one per processor. A change takes effect at the next start.
    pub worker_threads: usize,
    /// Largest request body, in megabytes (1 to 1024); a larger one is answered 413.
    pub max_request_body_mb: u32,
    /// Connections of callers in all; 0 means no limit. Whoever comes when there are as many is answered 503.
    pub max_connections: u32,
    /// Connections from one address, for IPv6 from one /64 network; 0 means no limit. Addresses in `trusted_proxies` have
    /// no limit of their own.
    pub max_connections_per_address: u32,
    /// Seconds that running requests and streams get to end when the process is stopped.
    #[serde(with = "form::seconds")]
    #[schemars(with = "Seconds")]
    pub shutdown_grace_seconds: Duration,
    /// Networks of proxies in front of the gateway. Only from these is the address of the caller taken from
    /// `x-forwarded-for`.
    #[serde(deserialize_with = "form::list::<NetworkText, _>")]
    #[schemars(with = "Vec<NetworkText>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Where the addresses of upstreams are looked up.
    pub dns: Dns,
    /// Directory for what must survive a restart: counters, budgets, who brought which file, logs. Without it, the
    /// directory that systemd names in `$STATE_DIRECTORY`; without that too, nothing is saved. A change takes effect at
    /// the next start.
    pub state_directory: Option<PathBuf>,
}

/// Encryption of the listeners for callers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["certificate", "private_key"]))]
pub struct Tls {
    /// Certificate chain in PEM, the server's own certificate first; usually `file./path`.
    #[serde(deserialize_with = "form::one::<PlainText, _>")]
    #[schemars(with = "PlainText")]
    pub certificate: String,
    /// Private key of the certificate in PEM; usually `file./path` or `cred.NAME`.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "SecretText")]
    pub private_key: Option<Secret>,
    /// Certificates in PEM; when set, callers must show a certificate that one of these has signed.
    #[serde(deserialize_with = "form::optional::<PlainText, _>")]
    #[schemars(with = "Option<PlainText>")]
    pub client_ca: Option<String>,
}

/// Where the addresses of upstreams are looked up. `/etc/hosts` always comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name servers, `IP` or `IP:port`, in the order to ask them. Without any, those of `/etc/resolv.conf` with its
    /// search domains; with some, names are looked up as they are written.
    #[serde(deserialize_with = "form::list::<NameServerText, _>")]
    #[schemars(with = "Vec<NameServerText>")]
    pub servers: Vec<SocketAddr>,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
}

/// The listener for operators: health, metrics, administration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address for operators, `IP:port`. A change takes effect at the next start.
    #[serde(deserialize_with = "form::one::<SocketText, _>")]
    #[schemars(with = "SocketText")]
    pub listen: SocketAddr,
    /// Key that `/api` and `/logs` ask for as a bearer token. Without it they answer 403.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "Option<SecretText>")]
    pub key: Option<Secret>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 8080).into()],
            tls: None,
            admin: Admin::default(),
            worker_threads: 0,
            max_request_body_mb: 100,
            max_connections: 20_000,
            max_connections_per_address: 5_000,
            shutdown_grace_seconds: Duration::from_secs(300),
            trusted_proxies: Vec::new(),
            dns: Dns::default(),
            state_directory: None,
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), ipv6: true }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 8081).into(), key: None }
    }
}
