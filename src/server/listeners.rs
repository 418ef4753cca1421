//! The addresses that the process listens on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::{HttpProxy, http_proxy_service_with_name};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::background::BackgroundService;
use pingora::services::listening::Service;

use crate::admin::{self, Admin};
use crate::config::File;
use crate::proxy::Gateway;

/// A connection's buffers. Reads are small; a head and a short body go out in one write.
const READ_BUFFER: usize = 4 * 1024;
const WRITE_BUFFER: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// Tries every address once: Pingora itself would try for half a minute and then go on without the listener.
/// The operators' listener is kept.
pub fn check(file: &File) -> Result<TcpListener, BindError> {
    let bind =
        |address: &SocketAddr| TcpListener::bind(address).map_err(|cause| BindError { address: *address, cause });
    file.server.listen.iter().try_for_each(|address| bind(address).map(drop))?;
    bind(&file.server.admin.listen)
}

pub fn proxy(conf: &Arc<ServerConf>, gateway: Gateway, file: &File) -> Service<HttpProxy<Gateway>> {
    let mut service = http_proxy_service_with_name(conf, gateway, "proxy");
    if let Some(app) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(Duration::from_secs(300));
        app.server_options = Some(options);
    }
    for address in &file.server.listen {
        service.add_listener(
            ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER)),
        );
    }
    service
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
