//! The requests of Pingora's connections, one after the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pingora::ErrorType;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use tokio::sync::watch;

use super::patience::HEAD_BYTES;
use crate::base::limit;
use crate::proxy::{Gateway, connection};

/// Requests that one HTTP/2 connection may have in progress.
const STREAMS: u32 = 250;

/// How long an HTTP/2 connection without requests stays open.
const IDLE: Duration = Duration::from_secs(300);

pub struct Requests {
    gateway: Gateway,
    options: HttpServerOptions,
    streams: H2Options,
    /// Whether idle connections are to close.
    closing: watch::Sender<bool>,
}

impl Requests {
    pub fn new(gateway: Gateway) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(IDLE);
        let mut streams = default_h2_options();
        streams.max_concurrent_streams(STREAMS).max_header_list_size(HEAD_BYTES as u32);
        Self { gateway, options, streams, closing: watch::Sender::new(false) }
    }

    /// Waits for a request. `false` where none comes, or none that can be served; the caller was told why.
    async fn read(&self, session: &mut ServerSession) -> bool {
        let mut closing = self.closing.subscribe();
        let read = tokio::select! {
            biased;
            read = session.read_request() => read,
            _ = closing.wait_for(|closing| *closing) => return false,
        };
        let refused = match read {
            // Tunnels are not this gateway's business, and their framing is not that of requests (RFC 9112, section 6.3).
            Ok(true) if session.req_header().method == Method::CONNECT => 405,
            Ok(more) => return more,
            Err(error) if matches!(error.etype, ErrorType::InvalidHTTPHeader) => 400,
            Err(error) => {
                log::debug!("no request could be read: {error}");
                session.shutdown().await;
                return false;
            }
        };
        if let Err(error) = session.respond_error(refused).await {
            log::debug!("the caller could not be told: {error}");
        }
        session.shutdown().await;
        false
    }
}

#[async_trait]
impl HttpServerApp for Requests {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !self.read(&mut session).await {
            return None;
        }
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        connection::head_complete();
        // In a box, so that a connection which waits for a request has no room for one, and made in its place: moving what
        // answers a request there would take as long as a tenth of the answering.
        // Requests over HTTP/2 have tasks of their own.
        let whole =
            limit::sharing(Box::into_pin(Box::write(Box::new_uninit(), self.gateway.answer(&mut session)))).await;
        connection::head_awaited();
        if !whole {
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        // In a box as well: what answers a request would have room for its end all the time.
        let stream = Box::into_pin(Box::write(Box::new_uninit(), session.finish())).await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.streams.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.closing.send_replace(true);
    }
}
