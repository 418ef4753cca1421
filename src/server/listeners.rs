//! The addresses that the process listens on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerOptions, ServerApp};
use pingora::listeners::ListenerConfig;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::background::BackgroundService;
use pingora::services::listening::Service;

use crate::admin::{self, Admin};
use crate::config::File;
use crate::proxy::Gateway;

use super::tls::{self, Certificate};

/// A connection's buffers. Reads are small; a head and a short body go out in one write.
const READ_BUFFER: usize = 4 * 1024;
const WRITE_BUFFER: usize = 16 * 1024;

/// How long a caller may take for the first bytes on a connection, as many as tell HTTP/2 from HTTP/1.1.
const FIRST_BYTES: Duration = Duration::from_secs(30);
const PREFACE: usize = 24;

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {cause}")]
    Bind { address: SocketAddr, cause: std::io::Error },
    #[error("cannot speak TLS: {0}")]
    Tls(String),
    #[error(transparent)]
    State(#[from] crate::governance::StateError),
}

/// Tries every address once: Pingora itself would try for half a minute and then go on without the listener.
/// The operators' listener is kept.
pub fn check(file: &File) -> Result<TcpListener, StartError> {
    let bind = |address: &SocketAddr| {
        TcpListener::bind(address).map_err(|cause| StartError::Bind { address: *address, cause })
    };
    file.server.listen.iter().try_for_each(|address| bind(address).map(drop))?;
    bind(&file.server.admin.listen)
}

pub fn proxy(
    conf: &Arc<ServerConf>,
    gateway: Gateway,
    file: &File,
    certificate: Option<&Arc<Certificate>>,
) -> Result<Service<Door>, StartError> {
    let mut proxy = http_proxy(conf, gateway);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(Duration::from_secs(300));
    proxy.server_options = Some(options);
    let mut service = Service::new("proxy".to_owned(), Door(Arc::new(proxy)));
    for address in &file.server.listen {
        let buffers = L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER);
        let mut listener = ListenerConfig::tcp(address.to_string()).l4_buffer(buffers);
        if let (Some(tls), Some(certificate)) = (&file.server.tls, certificate) {
            listener = listener.tls(tls::settings(tls, Arc::clone(certificate)).map_err(StartError::Tls)?);
        }
        service.add_listener(listener);
    }
    Ok(service)
}

/// Lets connections in as soon as they say something. Pingora waits for the first bytes of a cleartext connection
/// without a limit, so whoever connects and keeps silent would stay for ever.
pub struct Door(Arc<HttpProxy<Gateway>>);

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let mut first = [0; PREFACE];
        // What was looked at is read again by whoever comes next.
        let looked = pingora::time::timeout(FIRST_BYTES, stream.try_peek(&mut first)).await;
        looked.ok()?.ok()?;
        self.0.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.0).await;
    }
}

/// The operators' listener, outside of Pingora's services: those stop listening as soon as the process is to end.
pub struct Operators {
    pub admin: Arc<Admin>,
    pub listener: TcpListener,
}

#[async_trait]
impl BackgroundService for Operators {
    async fn start(&self, _: ShutdownWatch) {
        let listener = self.listener.try_clone().and_then(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        });
        match listener {
            Ok(listener) => admin::serve(Arc::clone(&self.admin), listener).await,
            Err(error) => log::error!("the operators' listener does not work: {error}"),
        }
    }
}
