//! SIGUSR2: another process, started from the program file as it is now, takes over the listening sockets while this one
//! goes on serving. Both accept for a moment, from the same queues; then this one stops accepting and drains. No
//! connection is refused, since the sockets are open all the time, and none is cut, since nobody ends it.
//!
//! The successor finds the sockets as systemd would hand them over, with one more beside them: a line to this process,
//! on which it says that it serves. Until it does, nothing has changed here.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use command_fds::{CommandFdExt, FdMapping};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};

use super::EarlySignals;
use super::ending::Ending;
use super::notify::{Note, ServiceManager};
use super::sockets::Sockets;

/// Where handed-over descriptors begin (`sd_listen_fds(3)`).
const FIRST_DESCRIPTOR: i32 = 3;

/// How long a successor may take until it serves.
const START: Duration = Duration::from_secs(60);

/// What the successor says when it serves.
const SERVING: &[u8] = b"serving";

pub struct Upgrade {
    pub sockets: Sockets,
    pub program: Program,
    pub early: Arc<EarlySignals>,
    pub manager: Arc<ServiceManager>,
    pub ending: Arc<Ending>,
}

/// How this process was started. Kept from the start on: once the file is replaced, nobody could tell its path.
pub struct Program {
    path: io::Result<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    pub fn this() -> Self {
        Self { path: std::env::current_exe(), arguments: std::env::args_os().skip(1).collect() }
    }
}

/// Tells the process that is to be replaced that this one serves.
pub fn take_over(predecessor: &UnixDatagram) -> io::Result<()> {
    predecessor.send(SERVING).map(drop)
}

#[async_trait]
impl BackgroundService for Upgrade {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut asked = match signal(SignalKind::user_defined2()) {
            Ok(asked) => asked,
            Err(error) => return log::error!("SIGUSR2 cannot be received, so nobody can take over: {error}"),
        };
        // One that came while the process was starting, when only a flag could take it.
        let mut early = self.early.upgrade.swap(false, Ordering::AcqRel);
        loop {
            if !std::mem::take(&mut early) {
                tokio::select! {
                    _ = shutdown.changed() => return,
                    _ = asked.recv() => {}
                }
            }
            self.manager.tell(&[Note::Status("starting a successor")]);
            match self.hand_over().await {
                Ok(successor) => {
                    log::info!("process {successor} has taken over the listening sockets");
                    self.manager.tell(&[Note::MainPid(successor), Note::Status("serving")]);
                    return self.ending.handed_over();
                }
                Err(error) => {
                    log::error!("nobody has taken over, this process goes on: {error}");
                    self.manager.tell(&[Note::Status("serving; the last upgrade failed, see the log")]);
                }
            }
        }
    }
}

impl Upgrade {
    /// Starts a successor and waits until it serves. Its process id.
    async fn hand_over(&self) -> io::Result<u32> {
        let (line, theirs) = UnixDatagram::pair()?;
        let mut child = tokio::process::Command::from(self.command(theirs.into())?).spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("the successor ended at once"))?;
        line.set_nonblocking(true)?;
        let line = tokio::net::UnixDatagram::from_std(line)?;
        let mut said = [0; SERVING.len()];
        let failed = tokio::select! {
            heard = line.recv(&mut said) => match heard {
                Ok(_) if said == *SERVING => return Ok(pid),
                Ok(_) => "the successor said something else than that it serves".to_owned(),
                Err(error) => error.to_string(),
            },
            ended = child.wait() => match ended {
                Ok(status) => format!("the successor ended ({status}); it wrote why"),
                Err(error) => error.to_string(),
            },
            () = tokio::time::sleep(START) => format!("the successor did not serve within {} s", START.as_secs()),
        };
        let _ = child.kill().await;
        Err(io::Error::other(failed))
    }

    fn command(&self, line: OwnedFd) -> io::Result<Command> {
        let path = self.program.path.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        let sockets = self.sockets.try_clone()?;
        let listeners = sockets.callers.into_iter().chain([sockets.operators]).map(OwnedFd::from);
        let numbered = listeners.chain([line]).zip(FIRST_DESCRIPTOR..);
        let mappings: Vec<_> = numbered.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = Command::new(path);
        command.args(&self.program.arguments);
        command.env("LISTEN_FDS", mappings.len().to_string());
        // These name this process; without them they mean whoever reads them.
        for variable in ["LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(variable);
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Ok(command)
    }
}
