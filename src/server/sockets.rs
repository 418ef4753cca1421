//! The sockets that the process listens on: handed over by systemd (`LISTEN_FDS`) or by the process before this one, or
//! made here. A socket is known by its address, so that nothing depends on the order in which they are handed over.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::file::Server;

/// Connections that may wait to be accepted; the kernel takes its own limit when that is lower.
const BACKLOG: i32 = 65_535;

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {cause}")]
    Bind { address: SocketAddr, cause: std::io::Error },
    #[error("cannot use a socket that was handed over: {0}")]
    Inherit(std::io::Error),
    #[error(
        "a socket for {0} was handed over, and neither `server.listen` nor `server.admin.listen` names that address; \
         write the same addresses into the configuration and into the socket unit"
    )]
    Unnamed(SocketAddr),
    #[error("cannot speak TLS: {0}")]
    Tls(String),
    #[error(transparent)]
    State(#[from] crate::governance::StateError),
    #[error("cannot keep in mind who brought which object: {0}")]
    Objects(std::io::Error),
}

/// What the process listens on.
#[derive(Debug)]
pub struct Sockets {
    /// In the order of `server.listen`.
    pub callers: Vec<TcpListener>,
    pub operators: TcpListener,
}

/// What was handed over.
#[derive(Default)]
struct Inherited {
    listeners: Vec<(SocketAddr, TcpListener)>,
    predecessor: Option<UnixDatagram>,
}

impl Sockets {
    /// Takes what was handed over and makes the rest, each address once: Pingora itself would try for half a minute and
    /// then go on without the listener. Comes with the line to the process that is to be replaced, if there is one.
    ///
    /// Call before the first thread is started: it takes `LISTEN_FDS` out of the environment.
    pub fn gather(server: &Server) -> Result<(Self, Option<UnixDatagram>), StartError> {
        let mut inherited = Inherited::take()?;
        let callers = server.listen.iter().map(|address| inherited.or_bind(*address)).collect::<Result<_, _>>()?;
        let operators = inherited.or_bind(server.admin.listen)?;
        match inherited.listeners.first() {
            // The predecessor had an address that is no longer wanted.
            Some(_) if inherited.predecessor.is_some() => {}
            Some((address, _)) => return Err(StartError::Unnamed(*address)),
            None => {}
        }
        Ok((Self { callers, operators }, inherited.predecessor))
    }

    /// The same sockets once more, for another process.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let callers = self.callers.iter().map(TcpListener::try_clone).collect::<Result<_, _>>()?;
        Ok(Self { callers, operators: self.operators.try_clone()? })
    }
}

impl Inherited {
    fn take() -> Result<Self, StartError> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..handed.len() {
            if let Ok(Some(line)) = handed.take_unix_datagram(index) {
                inherited.predecessor = Some(line);
            } else if let Some(listener) = handed.take_tcp_listener(index).map_err(StartError::Inherit)? {
                let address = listener.local_addr().map_err(StartError::Inherit)?;
                listener.set_nonblocking(true).map_err(StartError::Inherit)?;
                inherited.listeners.push((address, listener));
            }
        }
        Ok(inherited)
    }

    fn or_bind(&mut self, address: SocketAddr) -> Result<TcpListener, StartError> {
        let found = self.listeners.iter().position(|(inherited, _)| *inherited == address);
        match found {
            Some(index) => Ok(self.listeners.swap_remove(index).1),
            None => bind(address).map_err(|cause| StartError::Bind { address, cause }),
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
