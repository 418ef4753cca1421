//! The operators' listener, outside of Pingora's services: it answers while the process drains too.

use std::net::TcpListener;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::ending::Ending;
use crate::admin::{self, Admin};

pub struct Operators {
    pub admin: Arc<Admin>,
    pub listener: TcpListener,
    pub ending: Arc<Ending>,
}

#[async_trait]
impl BackgroundService for Operators {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let listener = match self.listener.try_clone().and_then(tokio::net::TcpListener::from_std) {
            Ok(listener) => listener,
            Err(error) => return log::error!("the operators' listener does not work: {error}"),
        };
        let replaced = async {
            let _ = shutdown.changed().await;
            // The socket is a successor's: whoever asks there must not hear of a process that drains.
            if !self.ending.is_handed_over() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = admin::serve(Arc::clone(&self.admin), listener) => {}
            () = replaced => {}
        }
    }
}
