//! Addresses of upstreams: parsing and normal form of an endpoint, and patterns of allowed origins. Does not connect.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};
use url::{Host, Url};

/// Domain that a bare Azure resource name stands in.
const RESOURCE_DOMAIN: &str = "openai.azure.com";

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

/// Where an upstream is: `scheme://host[:port][/base/path]`, lower-case, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// Domain name, or IP address without brackets.
    pub host: String,
    pub port: u16,
    /// Empty, or begins with `/` and does not end with one.
    pub base_path: String,
}

/// Which origins a caller may name: exact scheme, whole host labels (`*` stands for exactly one), port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// Why a text is no endpoint. No message repeats the text: a key that was pasted into the wrong field stays unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("is not a URL; write `https://host`")]
    NotUrl,
    #[error(
        "is neither a URL nor the name of an Azure resource; write `https://acme-west.openai.azure.com` or `acme-west`"
    )]
    NoResource,
    #[error("has no scheme; begin with `https://`")]
    NoScheme,
    #[error("has a scheme other than `https`; begin with `https://`")]
    OtherScheme,
    #[error("is not encrypted; use `https` (`http` is for loopback addresses only)")]
    NotEncrypted,
    #[error("has a user name or password in it; give the credential in its own field")]
    UserInformation,
    #[error("has a query; leave out everything from `?` on")]
    Query,
    #[error("has a fragment; leave out everything from `#` on")]
    Fragment,
    #[error("has port 0; name the real port or leave it out")]
    PortZero,
    #[error("has a path; an allowed origin is scheme, host and port only")]
    PatternPath,
    #[error("has a `*` that is not a whole label; write `https://*.example.com`")]
    PartialLabel,
    #[error("has a `*` in the last two labels, which would allow hosts of strangers; write `https://*.example.com`")]
    WideOpen,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Endpoint {
    /// Reads the address of a service.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let endpoint = Self::of(&parse_url(text.trim())?)?;
        if endpoint.scheme == Scheme::Http && !endpoint.is_loopback() {
            return Err(EndpointError::NotEncrypted);
        }
        Ok(endpoint)
    }

    /// Reads the address of an Azure resource. A bare resource name `acme-west` means
    /// `https://acme-west.openai.azure.com`.
    pub fn parse_azure(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        if is_resource_name(text) {
            return Self::parse(&format!("https://{text}.{RESOURCE_DOMAIN}"));
        }
        Self::parse(text).map_err(|error| match error {
            EndpointError::NotUrl if !text.contains("://") => EndpointError::NoResource,
            error => error,
        })
    }

    /// The root of a host that is known to be sound.
    pub fn https(host: &str) -> Self {
        let (scheme, base_path) = (Scheme::Https, String::new());
        Self { scheme, host: host.to_owned(), port: scheme.default_port(), base_path }
    }

    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Value of a `Host` header: brackets around IPv6, port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    fn of(url: &Url) -> Result<Self, EndpointError> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(EndpointError::OtherScheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInformation);
        }
        if url.query().is_some() {
            return Err(EndpointError::Query);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        let host = match url.host().ok_or(EndpointError::NotUrl)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(EndpointError::PortZero);
        }
        Ok(Self { scheme, host, port, base_path: url.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority(), self.base_path)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl OriginPattern {
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        /// Stands in for `*` while the URL parser, which refuses it in some places, looks at the rest.
        const LABEL: &str = "azgate-any-label";
        let text = text.trim();
        let labels = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, _) = labels.split_once([':', '/']).unwrap_or((labels, ""));
        if host.split('.').any(|label| label.contains('*') && label != "*") {
            return Err(EndpointError::PartialLabel);
        }
        if host.contains('*') && (host.split('.').count() < 3 || host.split('.').rev().take(2).any(|l| l == "*")) {
            return Err(EndpointError::WideOpen);
        }
        let endpoint = Endpoint::parse(&text.replace('*', LABEL))?;
        if !endpoint.base_path.is_empty() {
            return Err(EndpointError::PatternPath);
        }
        Ok(Self { scheme: endpoint.scheme, host: endpoint.host.replace(LABEL, "*"), port: endpoint.port })
    }

    pub fn matches(&self, endpoint: &Endpoint) -> bool {
        self.scheme == endpoint.scheme && self.port == endpoint.port && self.matches_host(&endpoint.host)
    }

    fn matches_host(&self, host: &str) -> bool {
        let (mut wanted, mut found) = (self.host.split('.'), host.split('.'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some("*"), Some(label)) if !label.is_empty() => {}
                (Some(left), Some(right)) if left.eq_ignore_ascii_case(right) => {}
                _ => return false,
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        Endpoint { scheme: *scheme, host: host.clone(), port: *port, base_path: String::new() }.fmt(f)
    }
}

impl Serialize for OriginPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Azure resource names: 2 to 64 letters, digits and inner hyphens. 32 hexadecimal digits are an API key in the wrong
/// field, which must not become a host name that is looked up.
fn is_resource_name(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text != "localhost"
        && !(text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn parse_url(text: &str) -> Result<Url, EndpointError> {
    // The URL parser forgives these silently; an operator should learn of them.
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(EndpointError::NotUrl);
    }
    let Some((_, rest)) = text.split_once("://") else {
        return Err(if text.contains(['.', ':']) { EndpointError::NoScheme } else { EndpointError::NotUrl });
    };
    if rest.starts_with('/') {
        return Err(EndpointError::NotUrl);
    }
    Url::parse(text).map_err(|_| EndpointError::NotUrl)
}

#[cfg(test)]
mod tests;
