//! Pingora's pools of connections, and which protocol a connection speaks: HTTP/2 where the host's rules allow it and
//! the server chose it by ALPN (RFC 7301), else HTTP/1.1.

use std::sync::Arc;

use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::v2::Connector;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::server::configuration::ServerConf;
use pingora::time::timeout;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType};

use super::fault::{Fault, brief};
use super::host::{Host, IDLE};

/// The pools of one process.
pub struct Connections {
    connector: Connector,
}

/// A connection, or one stream of one, ready for a request.
pub(super) enum Line {
    Http1(Stream),
    Http2(Box<Http2Session>),
}

/// A line and where it came from.
pub(super) struct Opened {
    pub line: Line,
    pub peer: Arc<HttpPeer>,
    /// It had served another exchange before.
    pub reused: bool,
}

impl Connections {
    pub fn new(conf: &ServerConf) -> Self {
        Self { connector: Connector::new(Some(ConnectorOptions::from_server_conf(conf))) }
    }

    /// A pooled line, or a new one. `fresh` forbids pooled ones.
    pub(super) async fn open(&self, host: &Host, fresh: bool) -> Result<Opened, Fault> {
        let limit = host.connect_timeout;
        let late = || Fault::ConnectTimeout { host: host.authority.clone(), limit };
        let addresses = timeout(limit, host.addresses()).await.map_err(|_| late())??;
        let mut last = late();
        for address in addresses {
            let peer = host.peer(address);
            if !fresh && let Some(line) = self.pooled(&peer).await {
                return Ok(Opened { line, peer, reused: true });
            }
            // The peer's own limits cover TCP and TLS; this one covers the HTTP/2 preface as well.
            match timeout(limit, self.connector.new_http_session::<HttpPeer, ()>(&peer)).await {
                Ok(Ok(HttpSession::H1(session))) => {
                    return Ok(Opened { line: Line::Http1(session.into_inner()), peer, reused: false });
                }
                Ok(Ok(HttpSession::H2(session))) => {
                    return Ok(Opened { line: Line::Http2(Box::new(session)), peer, reused: false });
                }
                Ok(Ok(HttpSession::Custom(()))) => {}
                Ok(Err(error)) if is_timeout(&error) => last = late(),
                Ok(Err(error)) => last = Fault::Connect { host: host.authority.clone(), cause: brief(&error) },
                Err(_) => last = late(),
            }
            host.move_on();
        }
        Err(last)
    }

    async fn pooled(&self, peer: &HttpPeer) -> Option<Line> {
        if peer.options.alpn.get_max_http_version() == 2 {
            // A pooled connection that turns out to be closing is no reason to fail.
            if let Ok(Some(session)) = self.connector.reused_http_session(peer).await {
                return Some(Line::Http2(Box::new(session)));
            }
        }
        self.connector.transport().reused_stream(peer).await.map(Line::Http1)
    }

    pub(super) fn give_back_http1(&self, stream: Stream, peer: &HttpPeer) {
        self.connector.transport().release_stream(stream, peer.reuse_hash(), Some(IDLE));
    }

    pub(super) fn give_back_http2(&self, session: Http2Session, peer: &HttpPeer) {
        self.connector.release_http_session(session, peer, Some(IDLE));
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout)
}
