//! The gateway as a process of the bench's own, on loopback, ended by its id.

#![allow(dead_code, reason = "not every bench asks for everything")]

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    _files: tempfile::TempDir,
}

impl Gateway {
    /// Starts one, on listeners of its own whatever the configuration says, and waits until it accepts callers.
    pub async fn start(mut config: Value) -> Self {
        let files = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, admin) = (free(), free());
        config["server"]["listen"] = json!([address.to_string()]);
        config["server"]["admin"] = json!({"listen": admin.to_string()});
        let path = files.path().join("azgate.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_azgate"));
        command.args(["run", "--config"]).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Self { child: command.spawn().unwrap(), address, admin, _files: files };
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gateway
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line of the process' status, in KiB, such as `VmRSS`.
    pub fn kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let kib = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
        kib.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number behind an argument of the bench.
pub fn number(name: &str, default: u64) -> u64 {
    let mut after = std::env::args().skip_while(|argument| argument != name).skip(1);
    after.next().map_or(default, |text| text.parse().expect("a number"))
}
