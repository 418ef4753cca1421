//! One look at a host, step by step, for an operator who wants to know where it fails: name, connection, TLS, answer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::server::configuration::ServerConf;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connections::Connections;
use super::exchange::{Exchange, Limits};
use super::host::Host;
use crate::base::Scheme;

/// Bytes of an answer that are read; a list of models is smaller.
const LARGEST: usize = 4 * 1024 * 1024;

const PATIENCE: Duration = Duration::from_secs(10);

/// One step and what came of it.
#[derive(Debug)]
pub struct Step {
    pub name: &'static str,
    /// What was found, or why it failed.
    pub result: Result<String, String>,
    pub duration: Duration,
}

/// An answer to the last step.
#[derive(Debug)]
pub struct Probed {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Takes the steps up to an answer to `GET target`; the steps end with the first that fails.
pub async fn probe(host: &Host, target: &str, headers: &[(HeaderName, HeaderValue)]) -> (Vec<Step>, Option<Probed>) {
    let mut steps = Vec::new();
    let begun = Instant::now();
    let mut note = |name, begun: Instant, result: Result<String, String>| {
        let good = result.is_ok();
        steps.push(Step { name, result, duration: begun.elapsed() });
        good
    };
    let addresses = match timeout(PATIENCE, host.addresses()).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return (fail(steps, "resolve", begun, error.to_string()), None),
        Err(_) => return (fail(steps, "resolve", begun, format!("no answer within {PATIENCE:?}")), None),
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    note("resolve", begun, Ok(shown.join(", ")));
    let begun = Instant::now();
    let connected = timeout(host.connect_timeout, TcpStream::connect(&addresses[..])).await;
    let connected = match connected {
        Ok(Ok(stream)) => stream.peer_addr().map(|peer| peer.to_string()).map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {:?}", host.connect_timeout)),
    };
    if !note("connect", begun, connected) {
        return (steps, None);
    }
    let step = if host.endpoint.scheme == Scheme::Https { "tls" } else { "send" };
    let begun = Instant::now();
    let mut exchange = match begin(host, target, headers).await {
        Ok(exchange) => exchange,
        Err(why) => return (fail(steps, step, begun, why), None),
    };
    note(step, begun, Ok("done".to_owned()));
    let begun = Instant::now();
    match read(&mut exchange).await {
        Ok(probed) => {
            note("answer", begun, Ok(probed.status.to_string()));
            (steps, Some(probed))
        }
        Err(why) => (fail(steps, "answer", begun, why), None),
    }
}

fn fail(mut steps: Vec<Step>, name: &'static str, begun: Instant, why: String) -> Vec<Step> {
    steps.push(Step { name, result: Err(why), duration: begun.elapsed() });
    steps
}

async fn begin(host: &Host, target: &str, headers: &[(HeaderName, HeaderValue)]) -> Result<Exchange, String> {
    let said = |error: Box<pingora::Error>| error.to_string();
    let mut head = RequestHeader::build(Method::GET, target.as_bytes(), Some(headers.len() + 1)).map_err(said)?;
    head.insert_header(http::header::HOST, host.authority.as_str()).map_err(said)?;
    for (name, value) in headers {
        head.insert_header(name.clone(), value.clone()).map_err(said)?;
    }
    let connections = Connections::new(&ServerConf::default());
    let limits = Limits { write: PATIENCE, first_byte: PATIENCE, idle: PATIENCE };
    let begun = Exchange::begin(&connections, host, &head, Vec::new(), limits, true).await;
    begun.map_err(|(fault, _)| fault.to_string())
}

async fn read(exchange: &mut Exchange) -> Result<Probed, String> {
    let status = exchange.head().await.map_err(|fault| fault.to_string())?.status;
    let mut chunks = Vec::new();
    while exchange.read(&mut chunks).await.map_err(|fault| fault.to_string())? {
        if chunks.iter().map(Bytes::len).sum::<usize>() > LARGEST {
            break;
        }
    }
    Ok(Probed { status, body: chunks.concat().into() })
}
