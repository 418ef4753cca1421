//! Real nginx and HAProxy as neighbours: before the gateway, behind it, or in its place.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::*;

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    HaProxy,
}

/// One that passes what comes to each of `doors` on to the address beside it. Addresses are those of TCP or, with a slash, of
/// Unix sockets. Killed when dropped.
pub struct Neighbour {
    child: Child,
    directory: tempfile::TempDir,
}

impl Neighbour {
    pub async fn start(kind: Kind, doors: &[(String, String)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let file = path.join("configuration");
        let mut command = match kind {
            Kind::Nginx => {
                std::fs::write(&file, nginx(path, doors)).unwrap();
                let mut command = Command::new(program("nginx"));
                command.arg("-p").arg(path).arg("-c").arg(&file);
                command
            }
            Kind::HaProxy => {
                std::fs::write(&file, haproxy(doors)).unwrap();
                let mut command = Command::new(program("haproxy"));
                command.arg("-db").arg("-f").arg(&file);
                command
            }
        };
        let log = std::fs::File::create(path.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let neighbour = Self { child: command.spawn().expect("nginx and haproxy are installed"), directory };
        for (door, _) in doors {
            match door.parse() {
                Ok(address) => until_listening(address).await,
                Err(_) => wait_until("the socket is listened at", || UnixStream::connect(door).is_ok()).await,
            }
        }
        neighbour
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("log of the neighbour:\n{}", log.unwrap_or_default());
        }
    }
}

/// Debian keeps them where only root's path leads.
fn program(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() { path } else { name.into() }
}

fn nginx(directory: &Path, doors: &[(String, String)]) -> String {
    let socket = |address: &str| if address.contains('/') { format!("unix:{address}") } else { address.to_owned() };
    let server = |(number, (door, to)): (usize, &(String, String))| {
        format!(
            "upstream u{number} {{ server {to}; keepalive 8; }}\n\
             server {{ listen {door}; location / {{ proxy_pass http://u{number}; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; proxy_set_header Host $http_host; proxy_buffering off; }} }}\n",
            to = socket(to),
            door = socket(door),
        )
    };
    let servers: String = doors.iter().enumerate().map(server).collect();
    let directory = directory.display();
    format!(
        "daemon off; master_process off; pid {directory}/pid; error_log stderr;\n\
         events {{ }}\n\
         http {{ access_log off; client_max_body_size 0; client_body_temp_path {directory}/body; proxy_temp_path \
         {directory}/proxy; fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;\n\
         {servers} }}\n"
    )
}

fn haproxy(doors: &[(String, String)]) -> String {
    let socket = |address: &str| if address.contains('/') { format!("unix@{address}") } else { address.to_owned() };
    let pair = |(number, (door, to)): (usize, &(String, String))| {
        format!(
            "frontend f{number}\n  bind {}\n  default_backend b{number}\nbackend b{number}\n  server s {}\n",
            socket(door),
            socket(to)
        )
    };
    let pairs: String = doors.iter().enumerate().map(pair).collect();
    format!(
        "defaults\n  mode http\n  timeout client 20s\n  timeout connect 20s\n  timeout server 20s\n  maxconn 200\n{pairs}"
    )
}
