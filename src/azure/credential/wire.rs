//! The transport of `azure_identity`: one request over one connection of its own. It remembers what the answer said, which
//! the crate does not tell, and gives an error for every refusal, so that the crate neither retries nor parses it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, Url};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::reply::{self, Times};
use super::roots;
use crate::base::locks::lock;
use crate::base::{Dial, Endpoint, Scheme};

/// Largest answer; a token with many groups in it has some kilobytes.
const LARGEST: usize = 1024 * 1024;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// The address of a virtual machine's metadata service.
const METADATA: &str = "169.254.169.254";

/// Why there is no token, in words for operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What stands in the configuration, the environment or a file cannot work.
    #[error("{0}")]
    Setup(String),
    #[error("{host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} refused with {status}: {text}")]
    Refused { host: String, status: StatusCode, text: String, retry_after: Option<Duration> },
    #[error("{host} gave no usable token: {cause}")]
    Unusable { host: String, cause: String },
}

/// An answer, whatever it says.
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One try to get a token.
pub struct Wire {
    authority: Endpoint,
    trusted: Option<String>,
    /// Where the metadata service is, if not where it always is.
    metadata: Option<Url>,
    dial: Arc<dyn Dial>,
    heard: Mutex<Heard>,
}

/// What the last answer said.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    pub host: String,
    pub times: Times,
    pub failure: Option<Failure>,
}

impl Wire {
    pub fn new(authority: &Endpoint, trusted: Option<&str>, metadata: Option<Url>, dial: Arc<dyn Dial>) -> Self {
        let (authority, trusted) = (authority.clone(), trusted.map(str::to_owned));
        Self { authority, trusted, metadata, dial, heard: Mutex::default() }
    }

    pub fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }

    fn note(&self, heard: Heard) {
        *lock(&self.heard) = heard;
    }

    /// The address that is meant. The crate knows no authority without TLS and one address of the metadata service.
    fn meant(&self, url: &Url) -> Url {
        let mut meant = url.clone();
        let same = |host: &str, port: u16| {
            url.host_str().map(|host| host.trim_matches(['[', ']'])) == Some(host)
                && url.port_or_known_default() == Some(port)
        };
        // Only between special schemes, so that setting one cannot fail.
        if self.authority.scheme == Scheme::Http && same(&self.authority.host, self.authority.port) {
            let _ = meant.set_port(Some(self.authority.port));
            let _ = meant.set_scheme("http");
        } else if let Some(metadata) = self.metadata.as_ref().filter(|_| same(METADATA, 80)) {
            let _ = meant.set_scheme(metadata.scheme());
            let _ = meant.set_host(metadata.host_str());
            let _ = meant.set_port(metadata.port());
        }
        meant
    }

    /// Sends a request and reads its answer, within the limits.
    pub async fn exchange(
        &self,
        method: http::Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answered, Failure> {
        let url = self.meant(url);
        let host = authority(&url);
        let unreachable = |cause: String| Failure::Unreachable { host: host.clone(), cause };
        let (name, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
        let name = name.trim_matches(['[', ']']).to_owned();
        let late = |limit: Duration| unreachable(format!("nothing came within {} s", limit.as_secs()));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|error| unreachable(error.to_string()))?);
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| unreachable(error.to_string()))?;
        *request.headers_mut() = headers;
        let connect = tokio::time::timeout(CONNECT, self.dial.dial(&name, port));
        let stream = connect.await.map_err(|_| late(CONNECT))?.map_err(unreachable)?;
        let answered = async {
            if url.scheme() == "https" {
                let config = self.tls().await.map_err(Failure::Setup)?;
                let server = ServerName::try_from(name).map_err(|error| unreachable(error.to_string()))?;
                let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await;
                ask(stream.map_err(|error| unreachable(error.to_string()))?, request).await.map_err(unreachable)
            } else {
                ask(stream, request).await.map_err(unreachable)
            }
        };
        tokio::time::timeout(ANSWER, answered).await.map_err(|_| late(ANSWER))?
    }

    /// The system's roots are files, many of them on some systems.
    async fn tls(&self) -> Result<rustls::ClientConfig, String> {
        let trusted = self.trusted.clone();
        let made = tokio::task::spawn_blocking(move || roots::client(trusted.as_deref())).await;
        made.map_err(|error| error.to_string())?
    }

    /// The answer of a platform that is to give a token: its times noted, a refusal as a failure.
    pub fn judge(&self, url: &Url, answered: &Answered) -> Result<serde_json::Value, Failure> {
        let host = authority(&self.meant(url));
        let judged = if answered.status.is_success() {
            serde_json::from_slice(&answered.body).map_err(|error| {
                let cause = format!("its answer is no JSON ({error}): {}", reply::error_text(&answered.body));
                Failure::Unusable { host: host.clone(), cause }
            })
        } else {
            let retry_after = crate::azure::wait(&answered.headers, SystemTime::now());
            let text = reply::error_text(&answered.body);
            Err(Failure::Refused { host: host.clone(), status: answered.status, text, retry_after })
        };
        let date = answered.headers.get(header::DATE).and_then(|value| value.to_str().ok());
        let date = date.and_then(|text| httpdate::parse_http_date(text).ok()).unwrap_or_else(SystemTime::now);
        let times = judged.as_ref().map(|document| reply::times(document, date)).unwrap_or_default();
        self.note(Heard { host, times, failure: judged.as_ref().err().cloned() });
        judged
    }

    async fn execute(&self, request: &Request) -> Result<serde_json::Value, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers().iter() {
            let pair = (HeaderName::from_bytes(name.as_str().as_bytes()), HeaderValue::from_str(value.as_str()));
            if let (Ok(name), Ok(value)) = pair {
                headers.insert(name, value);
            }
        }
        let method = if request.method() == Method::Post { http::Method::POST } else { http::Method::GET };
        let body = Bytes::from(request.body());
        let answered = self.exchange(method, request.url(), headers, body).await.inspect_err(|failure| {
            self.note(Heard { failure: Some(failure.clone()), ..Heard::default() });
        })?;
        self.judge(request.url(), &answered)
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("authority", &self.authority).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        match self.execute(request).await {
            Ok(document) => {
                let body = reply::mended(document).to_string();
                Ok(AsyncRawResponse::from_bytes(azure_core::http::StatusCode::Ok, Headers::new(), body))
            }
            Err(failure) => Err(azure_core::Error::with_message(ErrorKind::Credential, failure.to_string())),
        }
    }
}

/// Value of the `Host` header.
fn authority(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

async fn ask<S>(stream: S, request: http::Request<Full<Bytes>>) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let said = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    // Ends with the connection, which ends with the answer.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(said)?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| error.to_string())?;
    Ok(Answered { status: head.status, headers: head.headers, body: body.to_bytes() })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    struct Nowhere;

    #[async_trait]
    impl Dial for Nowhere {
        async fn dial(&self, _: &str, _: u16) -> Result<TcpStream, String> {
            Err("nowhere".to_owned())
        }
    }

    #[test]
    fn only_the_authority_loses_its_encryption_and_only_the_metadata_service_moves() {
        let loopback = Endpoint::parse("http://127.0.0.1:4711").unwrap();
        let moved = Url::parse("http://127.0.0.1:9").unwrap();
        let wire = Wire::new(&loopback, None, Some(moved), Arc::new(Nowhere));
        for (asked, meant) in [
            ("https://127.0.0.1:4711/t/oauth2/v2.0/token", "http://127.0.0.1:4711/t/oauth2/v2.0/token"),
            ("https://login.microsoftonline.com/t/token", "https://login.microsoftonline.com/t/token"),
            ("https://127.0.0.1:4712/t", "https://127.0.0.1:4712/t"),
            ("http://169.254.169.254/metadata/x?a=b", "http://127.0.0.1:9/metadata/x?a=b"),
        ] {
            assert_eq!(wire.meant(&Url::parse(asked).unwrap()).as_str(), meant);
        }
        let real = Wire::new(&Endpoint::https("login.microsoftonline.us"), None, None, Arc::new(Nowhere));
        let url = Url::parse("https://login.microsoftonline.us/t/token").unwrap();
        assert_eq!(real.meant(&url), url);
    }
}
