//! The processes that take part: started, pinned to a processor, looked at, and ended.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

/// The key that every request shows.
pub const KEY: &str = "bench-key";

#[derive(Debug, Clone)]
pub enum Kind {
    Gateway { binary: String, size: Size },
    Passthrough,
    Nginx,
}

/// How much is configured.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub keys: usize,
    pub aliases: usize,
}

pub const SMALL: Size = Size { keys: 1, aliases: 1 };
pub const LARGE: Size = Size { keys: 100_000, aliases: 1_000 };

impl Kind {
    pub fn name(&self) -> String {
        match self {
            Self::Gateway { binary, size: Size { keys, aliases } } => {
                let build = binary.rsplit('/').next().unwrap_or(binary);
                format!("{build}, {keys} keys, {aliases} aliases")
            }
            Self::Passthrough => "pass-through".to_owned(),
            Self::Nginx => "nginx".to_owned(),
        }
    }
}

/// Something that forwards requests to the upstream.
pub struct Contender {
    pub name: String,
    pub address: SocketAddr,
    child: Child,
    files: tempfile::TempDir,
}

pub struct Upstream {
    pub address: SocketAddr,
    tls: bool,
    child: Child,
    _files: tempfile::TempDir,
}

/// The load runs on processor 0.
pub fn pin_self() {
    let _ = Command::new("taskset").args(["-cp", "0", &std::process::id().to_string()]).stdout(Stdio::null()).status();
}

impl Upstream {
    pub fn start(tls: bool) -> Self {
        let files = tempfile::tempdir().unwrap();
        let address = free();
        let mut command = pinned(0, std::env::current_exe().unwrap().to_str().unwrap());
        command.args(["upstream", &address.port().to_string()]);
        if tls {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let (certificate, key) = (files.path().join("certificate"), files.path().join("key"));
            std::fs::write(&certificate, pair.cert.pem()).unwrap();
            std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
            command.arg(certificate).arg(key);
        }
        let child = command.spawn().unwrap();
        until_listening(address);
        Self { address, tls, child, _files: files }
    }
}

impl Contender {
    /// `None` when it is not installed.
    pub fn start(kind: &Kind, upstream: &Upstream) -> Option<Self> {
        Self::start_under(&[], kind, upstream)
    }

    /// Under valgrind, which counts its instructions when it is told to.
    pub fn start_counted(kind: &Kind, upstream: &Upstream) -> Option<Self> {
        Self::start_under(&["valgrind", "--tool=callgrind", "--instr-atstart=no"], kind, upstream)
    }

    fn start_under(tool: &[&str], kind: &Kind, upstream: &Upstream) -> Option<Self> {
        let files = tempfile::tempdir().unwrap();
        let address = free();
        let pinned = |program: &str| {
            let mut command = pinned(1, tool.first().unwrap_or(&program));
            command.args(tool.iter().skip(1));
            if !tool.is_empty() {
                command.arg(format!("--callgrind-out-file={}/callgrind.out", files.path().display())).arg(program);
            }
            command
        };
        let mut command = match kind {
            Kind::Gateway { binary, size } => {
                let path = files.path().join("azgate.json");
                std::fs::write(&path, gateway(address, upstream, *size)).unwrap();
                let mut command = pinned(binary);
                command.args(["run", "--config"]).arg(path);
                command
            }
            Kind::Passthrough => {
                let mut command = pinned(std::env::current_exe().unwrap().to_str().unwrap());
                let tls = if upstream.tls { "tls" } else { "plain" };
                command.args(["passthrough", &address.port().to_string(), &upstream.address.to_string(), tls]);
                command
            }
            Kind::Nginx => {
                let path = files.path().join("nginx.conf");
                std::fs::write(&path, nginx(address, upstream, files.path())).unwrap();
                let mut command = pinned("nginx");
                command.args(["-e", "stderr", "-c"]).arg(path);
                command
            }
        };
        if matches!(kind, Kind::Nginx) && Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            return None;
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until_listening(address);
        Some(Self { name: kind.name(), address, child, files })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its own files are.
    pub fn files(&self) -> &std::path::Path {
        self.files.path()
    }

    /// Processor time so far, of all threads.
    pub fn processor_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = |task: std::io::Result<std::fs::DirEntry>| -> u64 {
            let schedule = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            schedule.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(tasks.map(nanos).sum())
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gateway(address: SocketAddr, upstream: &Upstream, size: Size) -> String {
    let scheme = if upstream.tls { "https" } else { "http" };
    let mut callers = vec![json!({"name": "bench", "value": KEY})];
    callers
        .extend((1..size.keys).map(|key| json!({"name": format!("caller-{key}"), "key_hash": format!("{key:064x}")})));
    let mut aliases = json!({"gpt-4o": "chat"});
    (1..size.aliases).for_each(|alias| aliases[format!("model-{alias}")] = json!(format!("deployment-{alias}")));
    json!({
        "server": {"listen": [address.to_string()], "admin": {"listen": free().to_string()}, "worker_threads": 1},
        "providers": {"azure": {
            "keys": [{
                "name": "east", "value": "key", "aliases": aliases,
                "azure_key_config": {"endpoint": format!("{scheme}://localhost:{}", upstream.address.port()), "api_version": "2024-10-21"},
            }],
            "network_config": {"insecure_skip_verify": true},
        }},
        "governance": {"virtual_keys": callers},
    })
    .to_string()
}

fn nginx(address: SocketAddr, upstream: &Upstream, files: &std::path::Path) -> String {
    let mut conf = String::new();
    let scheme = if upstream.tls { "https" } else { "http" };
    let files = files.display();
    write!(
        conf,
        "daemon off; master_process off; worker_processes 1; pid {files}/pid; error_log /dev/null;
events {{ worker_connections 20000; }}
http {{
  access_log off; client_body_temp_path {files}/b; proxy_temp_path {files}/p; fastcgi_temp_path {files}/f;
  uwsgi_temp_path {files}/u; scgi_temp_path {files}/s;
  upstream azure {{ server {}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen {address}; keepalive_requests 100000000;
    location / {{
      proxy_pass {scheme}://azure/openai/deployments/chat/chat/completions?api-version=2024-10-21; proxy_http_version 1.1;
      proxy_set_header Connection ''; proxy_set_header Authorization ''; proxy_set_header api-key key; proxy_buffering off;
    }}
  }}
}}",
        upstream.address
    )
    .unwrap();
    conf
}

fn pinned(processor: usize, program: &str) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new("taskset");
    // The load has pinned itself, so that the count is of no use to whoever asks later.
    command.args(["-c", &processor.min(processors.max(2) - 1).to_string(), program]);
    command.stdin(Stdio::null());
    command
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn until_listening(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
