//! What the gateway is measured against: Pingora's own proxying through its hooks, one thread, that only sets a path and
//! a credential.

use async_trait::async_trait;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::upstreams::peer::HttpPeer;

struct Passthrough {
    upstream: std::net::SocketAddr,
    tls: bool,
}

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.upstream, self.tls, "localhost".to_owned());
        peer.options.verify_cert = false;
        peer.options.verify_hostname = false;
        Ok(Box::new(peer))
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> Result<bool> {
        session.set_keepalive(Some(75));
        Ok(false)
    }

    async fn upstream_request_filter(&self, _: &mut Session, request: &mut RequestHeader, (): &mut ()) -> Result<()> {
        request.set_raw_path(b"/openai/deployments/chat/chat/completions?api-version=2024-10-21")?;
        request.remove_header("authorization");
        request.insert_header("api-key", "key")?;
        request.insert_header("host", "localhost")
    }
}

/// `PORT UPSTREAM tls|plain`
pub fn run(arguments: &[String]) {
    // One thread has a scheduler for one, as in the gateway.
    let conf =
        ServerConf { threads: 1, work_stealing: false, upstream_keepalive_pool_size: 1_024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), conf);
    server.bootstrap();
    let app = Passthrough { upstream: arguments[1].parse().unwrap(), tls: arguments[2] == "tls" };
    let mut service = http_proxy_service(&server.configuration, app);
    service.add_tcp(&format!("127.0.0.1:{}", arguments[0]));
    server.add_service(service);
    server.run_forever()
}
