//! The addresses that the process listens on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerOptions;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::{HttpProxy, http_proxy_service_with_name};
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;

use crate::admin::Admin;
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
pub fn check(file: &File) -> Result<(), BindError> {
    for address in file.server.listen.iter().chain([&file.server.admin.listen]) {
        let bound = TcpListener::bind(address);
        bound.map_err(|cause| BindError { address: *address, cause })?;
    }
    Ok(())
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
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER)));
    }
    service
}

pub fn admin(admin: Admin, file: &File) -> Service<Admin> {
    let mut service = Service::new("admin".to_owned(), admin);
    service.threads = Some(1);
    service.add_tcp(&file.server.admin.listen.to_string());
    service
}
