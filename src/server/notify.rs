//! What the process tells systemd (`sd_notify(3)`): datagrams to the socket that `$NOTIFY_SOCKET` names.

use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The manager of the service; without one nothing is told.
#[derive(Debug, Default)]
pub struct ServiceManager {
    line: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// What is told.
#[derive(Debug, Clone, Copy)]
pub enum Note<'a> {
    /// The listeners are bound, and the configuration is in force.
    Ready,
    /// The configuration is read again; `Ready` follows.
    Reloading,
    Stopping,
    /// Every worker is alive.
    Watchdog,
    /// Another process is the service from now on.
    MainPid(u32),
    /// For `systemctl status`; one line.
    Status(&'a str),
}

impl ServiceManager {
    /// The manager that the environment names.
    pub fn from_environment() -> Self {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let path = path.to_string_lossy();
        let address = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&*path),
        };
        let connected = address.and_then(|address| {
            let line = UnixDatagram::unbound()?;
            line.connect_addr(&address)?;
            // A manager that does not read must not hold up the gateway.
            line.set_nonblocking(true)?;
            Ok(line)
        });
        match connected {
            Ok(line) => Self { line: Some(line), watchdog: watchdog() },
            Err(error) => {
                log::warn!("`$NOTIFY_SOCKET` ({path}) cannot be used, so systemd is told nothing: {error}");
                Self::default()
            }
        }
    }

    /// How often the manager wants to hear of living workers, at least.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub fn tell(&self, notes: &[Note<'_>]) {
        let Some(line) = &self.line else { return };
        let text: String = notes.iter().map(|note| format!("{note}\n")).collect();
        if let Err(error) = line.send(text.as_bytes()) {
            log::warn!("systemd could not be told {:?}: {error}", text.trim_end());
        }
    }
}

/// `$WATCHDOG_USEC`, unless `$WATCHDOG_PID` means another process.
fn watchdog() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros = variable("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
    ours.then(|| Duration::from_micros(micros))
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            Self::Reloading => write!(f, "RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()),
            Self::Stopping => f.write_str("STOPPING=1"),
            Self::Watchdog => f.write_str("WATCHDOG=1"),
            Self::MainPid(pid) => write!(f, "MAINPID={pid}"),
            Self::Status(text) => write!(f, "STATUS={text}"),
        }
    }
}

/// The time that tells systemd an old `RELOADING` from a new one.
fn monotonic_micros() -> u128 {
    // The clock exists on every Linux, so that reading it cannot fail.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| Duration::from(now).as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_written_as_systemd_reads_them() {
        assert_eq!(Note::Ready.to_string(), "READY=1");
        assert_eq!(Note::MainPid(7).to_string(), "MAINPID=7");
        assert_eq!(Note::Status("a b").to_string(), "STATUS=a b");
        let reloading = Note::Reloading.to_string();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!((micros.parse::<f64>().unwrap() / 1e6 - uptime).abs() < 86_400.0, "{micros} beside {uptime} s");
    }
}
