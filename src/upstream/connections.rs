//! The connections of one process: new ones, and those that wait for another exchange; and which protocol a connection
//! speaks: HTTP/2 where the host's rules allow it and the server chose it by ALPN (RFC 7301), else HTTP/1.1.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::v2::Connector;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::sync::OwnedSemaphorePermit;

use super::fault::{Fault, brief};
use super::host::{Host, IDLE, Way};
use super::idle::Idle;
use super::race::race;
use crate::base::limit::until;

/// How long the connection to one address is waited for before the next is tried as well (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// Pingora makes the connections and keeps those over HTTP/2.
pub struct Connections {
    connector: Connector,
    idle: Arc<Idle>,
}

/// A connection, or one stream of one, ready for a request.
pub(super) enum Line {
    Http1(Stream),
    Http2(Box<Http2Session>),
}

/// A line and where it came from.
pub(super) struct Opened {
    pub line: Line,
    pub way: Arc<Way>,
    /// It had served another exchange before.
    pub reused: bool,
    /// Its place among the exchanges that the host may have in progress.
    pub room: OwnedSemaphorePermit,
}

impl Connections {
    pub fn new(conf: &ServerConf) -> Self {
        let connector = Connector::new(Some(ConnectorOptions::from_server_conf(conf)));
        Self { connector, idle: Arc::default() }
    }

    /// A pooled line, or a new one. `fresh` forbids pooled ones. Room among the exchanges in progress, the look-up of the
    /// name and the connection itself share one limit.
    pub(super) async fn open(&self, host: &Host, fresh: bool) -> Result<Opened, Fault> {
        let limit = host.connect_timeout;
        let end = Instant::now() + limit;
        let room = match Arc::clone(host.room()).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => {
                let full = || Fault::Full { host: host.authority.clone(), most: host.most_exchanges(), limit };
                let waited = until(end, pin!(Arc::clone(host.room()).acquire_owned())).await;
                waited.ok().and_then(Result::ok).ok_or_else(full)?
            }
        };
        let addresses = until(end, pin!(host.addresses())).await.map_err(|_| host.unresolved())??;
        if !fresh && let Some(first) = addresses.first() {
            let way = host.way(*first, &self.idle);
            if let Some(line) = self.pooled(&way).await {
                return Ok(Opened { line, way, reused: true, room });
            }
        }
        let connecting = pin!(race(addresses, HEAD_START, |address| self.connect(host, address)));
        match until(end, connecting).await {
            Ok(Some(connected)) => connected.map(|(line, way)| Opened { line, way, reused: false, room }),
            Ok(None) | Err(_) => Err(late(host)),
        }
    }

    async fn connect(&self, host: &Host, address: SocketAddr) -> Result<(Line, Arc<Way>), Fault> {
        let way = host.way(address, &self.idle);
        // Boxed for the sake of every task that holds it: connecting is rare, and its state is large.
        let line = match Box::pin(self.connector.new_http_session::<HttpPeer, ()>(&way.peer)).await {
            Ok(HttpSession::H1(session)) => Line::Http1(session.into_inner()),
            Ok(HttpSession::H2(session)) => Line::Http2(Box::new(session)),
            Ok(HttpSession::Custom(())) => return Err(late(host)),
            Err(error) if is_timeout(&error) => return Err(late(host)),
            Err(error) => return Err(Fault::Connect { host: host.authority.clone(), cause: brief(&error) }),
        };
        host.connected(&way);
        Ok((line, way))
    }

    async fn pooled(&self, way: &Way) -> Option<Line> {
        if way.peer.options.alpn.get_max_http_version() == 2 {
            // A pooled connection that turns out to be closing is no reason to fail.
            if let Ok(Some(session)) = self.connector.reused_http_session(&way.peer).await {
                return Some(Line::Http2(Box::new(session)));
            }
        }
        match way.peer.options.alpn.get_min_http_version() {
            1 => way.waiting.take().map(Line::Http1),
            // What waits there was put by somebody who leaves the server the choice.
            _ => None,
        }
    }

    pub(super) fn give_back_http1(&self, stream: Stream, way: &Way) {
        self.idle.put(&way.waiting, stream);
    }

    pub(super) fn give_back_http2(&self, session: Http2Session, way: &Way) {
        self.connector.release_http_session(session, &way.peer, Some(IDLE));
    }
}

fn late(host: &Host) -> Fault {
    Fault::ConnectTimeout { host: host.authority.clone(), limit: host.connect_timeout }
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout)
}
