//! The front door: accepts callers, within the limits on connections, and hands each connection to Pingora once it says
//! something. Pingora's own listeners have no limit on connections, none on a TLS handshake below a minute, and none
//! at all on a caller who connects and keeps silent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::{ALPN, IO};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answers;
use super::census::{Census, Place};
use super::patience::{FIRST_BYTES, Patient};
use super::requests::Requests;
use super::socket::{PREFACE, Socket};
use crate::base::limit;
use crate::proxy::Gateway;
use crate::proxy::connection::Heads;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the accept loops rest after an error: descriptors have run out, most likely.
const REST: Duration = Duration::from_millis(100);

/// How long idle connections stay open once the process is to end. A request that is on its way to one still gets its
/// answer, with `connection: close`.
const PARTING: Duration = Duration::from_millis(400);

/// Callers without a place who are told so at the same time, and for how long each; the others are only cut off.
const TOLD: usize = 256;
const TELLING: Duration = Duration::from_secs(1);

pub struct Front {
    listeners: Vec<std::net::TcpListener>,
    door: Arc<Door>,
    /// The runtime that serves, once it does.
    pub workers: Arc<OnceLock<Handle>>,
    /// Has a permit once callers are accepted, and another one once idle connections were closed.
    pub stage: Arc<Stage>,
}

/// How far the door is in its life; each is awaited by one task.
#[derive(Debug)]
pub struct Stage {
    accepting: Semaphore,
    parted: Semaphore,
}

/// What serves the connections.
struct Door {
    requests: Arc<Requests>,
    tls: Option<Acceptor>,
    census: Arc<Census>,
    telling: Semaphore,
}

impl Front {
    pub fn new(
        gateway: Gateway,
        listeners: Vec<std::net::TcpListener>,
        tls: Option<Acceptor>,
        census: Arc<Census>,
    ) -> Self {
        let door = Door { requests: Arc::new(Requests::new(gateway)), tls, census, telling: Semaphore::new(TOLD) };
        let stage = Stage { accepting: Semaphore::new(0), parted: Semaphore::new(0) };
        Self { listeners, door: Arc::new(door), workers: Arc::default(), stage: Arc::new(stage) }
    }
}

impl Stage {
    pub async fn accepting(&self) {
        // The semaphores are never closed.
        let _ = self.accepting.acquire().await;
    }

    pub async fn parted(&self) {
        let _ = self.parted.acquire().await;
    }
}

#[async_trait]
impl BackgroundService for Front {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let _ = self.workers.set(Handle::current());
        for listener in &self.listeners {
            match listener.try_clone().and_then(TcpListener::from_std) {
                Ok(listener) => drop(tokio::spawn(accept(listener, Arc::clone(&self.door), shutdown.clone()))),
                Err(error) => log::error!("a listener does not work: {error}"),
            }
        }
        self.stage.accepting.add_permits(1);
        while !*shutdown.borrow_and_update() {
            if shutdown.changed().await.is_err() {
                break;
            }
        }
        if self.door.census.open() > 0 {
            sleep(PARTING).await;
        }
        ServerApp::cleanup(&*self.door.requests).await;
        self.stage.parted.add_permits(1);
    }
}

/// Accepts until the process is to end. The socket stays open, here or in a successor, so that nobody is refused.
async fn accept(listener: TcpListener, door: Arc<Door>, mut shutdown: ShutdownWatch) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => door.open(stream, peer, &shutdown),
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                log::warn!("no connection can be accepted: {error}");
                sleep(REST).await;
            }
        }
    }
}

/// Whether accepting failed because the caller was gone already.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

impl Door {
    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, shutdown: &ShutdownWatch) {
        let (door, shutdown) = (Arc::clone(self), shutdown.clone());
        match self.census.admit(peer.ip()) {
            Ok(place) => drop(tokio::spawn(async move {
                limit::sharing(pin!(door.serve(stream, peer.ip(), place, &shutdown))).await;
            })),
            Err(_) => drop(tokio::spawn(async move { door.turn_away(stream).await })),
        }
    }

    async fn serve(&self, stream: TcpStream, peer: IpAddr, _place: Place, shutdown: &ShutdownWatch) {
        let Ok(socket) = Socket::new(stream) else { return };
        match &self.tls {
            None => self.speak(socket, shutdown).await,
            // In a box of its own: a cleartext connection would have room for it as long as it lives.
            Some(tls) => Box::pin(self.speak_encrypted(tls, socket, peer, shutdown)).await,
        }
    }

    async fn speak_encrypted(&self, tls: &Acceptor, socket: Socket, peer: IpAddr, shutdown: &ShutdownWatch) {
        // Again in boxes: each would keep room for the other.
        let shaken = Box::pin(timeout(HANDSHAKE, tls.tls_handshake(socket))).await;
        match shaken {
            Ok(Ok(stream)) => Box::pin(self.speak(stream, shutdown)).await,
            Ok(Err(error)) => log::debug!("TLS handshake with {peer}: {error}"),
            Err(_) => log::debug!("TLS handshake with {peer}: not done within {} s", HANDSHAKE.as_secs()),
        }
    }

    async fn speak<S: IO + 'static>(&self, mut stream: S, shutdown: &ShutdownWatch) {
        let mut first = [0; PREFACE.len()];
        // What was looked at is read again by whoever comes next. An encrypted connection cannot be looked into.
        let looked = timeout(FIRST_BYTES, stream.try_peek(&mut first)).await;
        let Ok(Ok(looked)) = looked else { return };
        let (heads, least) = if looked && first == *PREFACE || stream.selected_alpn_proto() == Some(ALPN::H2) {
            (Heads::never(), PREFACE.len())
        } else {
            (Heads::default(), 1)
        };
        let stream = Patient::new(stream, heads.clone(), least);
        heads.serve(self.requests.process_new(Box::new(stream), shutdown)).await;
    }

    /// Says that there is no place, to as many as can be told without much effort.
    async fn turn_away(&self, mut stream: TcpStream) {
        let Ok(_permit) = self.telling.try_acquire() else { return };
        let answer = if self.tls.is_some() { answers::TOO_MANY_FOR_TLS } else { answers::TOO_MANY };
        let telling = async {
            stream.write_all(answer).await?;
            stream.shutdown().await?;
            // Closing with something unread would be a reset, which may overtake the answer.
            let mut scratch = [0; 4096];
            while stream.read(&mut scratch).await? > 0 {}
            io::Result::Ok(())
        };
        let _ = timeout(TELLING, telling).await;
    }
}
