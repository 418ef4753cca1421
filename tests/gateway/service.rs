//! The process as a service: what it tells systemd, sockets that are handed to it, and a successor that takes over.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::*;

/// Stands in for systemd: what it was told, in order.
pub struct Manager {
    directory: tempfile::TempDir,
    socket: tokio::net::UnixDatagram,
}

impl Manager {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket: tokio::net::UnixDatagram::from_std(socket).unwrap(), directory }
    }

    pub fn path(&self) -> String {
        self.directory.path().join("notify").display().to_string()
    }

    async fn next(&self) -> String {
        let mut text = vec![0; 4096];
        let heard = tokio::time::timeout(Duration::from_secs(20), self.socket.recv(&mut text)).await;
        let length = heard.expect("nothing more was told").unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    /// What is told next that has a line which begins like this.
    pub async fn until(&self, begin: &str) -> String {
        loop {
            let note = self.next().await;
            if note.lines().any(|line| line.starts_with(begin)) {
                return note;
            }
        }
    }

    /// Whether a line that begins like this is told within that time.
    pub async fn hears(&self, begin: &str, within: Duration) -> bool {
        tokio::time::timeout(within, self.until(begin)).await.is_ok()
    }

    async fn main_pid(&self) -> u32 {
        let note = self.until("MAINPID=").await;
        note.lines().find_map(|line| line.strip_prefix("MAINPID=")).unwrap().parse().unwrap()
    }
}

/// Ends a process that this test did not start itself, but whose predecessor it did.
pub struct Orphan(pub u32);

impl Orphan {
    pub fn signal(&self, name: &str) {
        let _ =
            Command::new("kill").args(["-s", name, &self.0.to_string()]).stderr(std::process::Stdio::null()).status();
    }

    pub async fn ended(&self) {
        let status = format!("/proc/{}/stat", self.0);
        let gone = || std::fs::read_to_string(&status).map_or(true, |stat| stat.contains(") Z "));
        wait_until("the process ends", gone).await;
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

#[tokio::test]
async fn systemd_hears_of_readiness_reloads_and_the_end() {
    let azure = azure().await;
    let manager = Manager::new();
    let config = config(&azure.base_url());
    let variables = [("NOTIFY_SOCKET", manager.path()), ("WATCHDOG_USEC", "400000".to_owned())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut gateway = Gateway::start_with(&config, &variables).await;
    let ready = manager.until("READY=1").await;
    assert!(ready.contains(&format!("STATUS=serving on {}", gateway.address)), "{ready}");
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    manager.until("WATCHDOG=1").await;
    manager.until("WATCHDOG=1").await;

    gateway.reload(&config);
    let reloading = manager.until("RELOADING=1").await;
    let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(micros.parse::<u64>().unwrap() > 0, "{reloading}");
    assert!(manager.until("READY=1").await.contains("STATUS=serving configuration 2"));

    gateway.reload_text("{");
    manager.until("RELOADING=1").await;
    assert!(manager.until("READY=1").await.contains("the last reload was refused"));

    gateway.signal("TERM");
    manager.until("STOPPING=1").await;
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_manager_with_an_abstract_name_is_told_too() {
    use std::os::linux::net::SocketAddrExt;
    let azure = azure().await;
    let name = format!("azgate-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let _gateway = Gateway::start_with(&config(&azure.base_url()), &[("NOTIFY_SOCKET", &format!("@{name}"))]).await;
    let mut text = [0; 512];
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = socket.recv(&mut text).unwrap();
    assert!(text[..length].starts_with(b"READY=1\n"));
}

/// Starts a gateway with these listening sockets handed to it as systemd does.
fn activated(config: &std::path::Path, sockets: &[&std::net::TcpListener]) -> Child {
    let clones = sockets.iter().map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
    let mappings = clones.zip(3..).map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_azgate"));
    command.args(["run", "--config"]).arg(config).env("LISTEN_FDS", sockets.len().to_string());
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    command.fd_mappings(mappings).unwrap();
    command.spawn().unwrap()
}

fn write_config(azure: &str, listen: &str, admin: &str) -> tempfile::NamedTempFile {
    let mut config = config(azure);
    config["server"]["listen"] = json!([listen]);
    config["server"]["admin"]["listen"] = json!(admin);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), config.to_string()).unwrap();
    file
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn sockets_of_systemd_are_used_and_outlive_the_process() {
    let azure = azure().await;
    let [callers, operators] = [(); 2].map(|()| std::net::TcpListener::bind(free_address()).unwrap());
    let (address, admin) = (callers.local_addr().unwrap(), operators.local_addr().unwrap());
    let config = write_config(&azure.base_url(), &address.to_string(), &admin.to_string());
    for round in 0..2 {
        // In any order; whoever calls before the process runs waits and is served.
        let sockets = if round == 0 { [&callers, &operators] } else { [&operators, &callers] };
        let early = tokio::spawn(async move { get(address, "/healthz").await.status });
        let _process = Killed(activated(config.path(), &sockets));
        assert_eq!(early.await.unwrap(), 200);
        // Callers are served a moment before the operators are told so.
        while get(admin, "/readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_socket_that_no_address_names_is_an_error_that_says_which() {
    let [callers, other] = [(); 2].map(|()| std::net::TcpListener::bind(free_address()).unwrap());
    let address = callers.local_addr().unwrap();
    let config = write_config("http://127.0.0.1:9", &address.to_string(), &free_address().to_string());
    let process = activated(config.path(), &[&callers, &other]);
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("a socket for {} was handed over", other.local_addr().unwrap())), "{said}");
}

/// Twenty successors one after another, under requests on new and on kept connections and with live streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_upgrades_under_traffic_refuse_nobody_and_cut_no_stream() {
    let azure = azure().await;
    let manager = Manager::new();
    let gateway = Gateway::start_with(&config(&azure.base_url()), &[("NOTIFY_SOCKET", &manager.path())]).await;
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let address = gateway.address;
    let mut tasks = Vec::new();
    for kept in [true, true, false, false] {
        let (over, asked) = (Arc::clone(&over), Arc::clone(&asked));
        tasks.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                if kept {
                    asked.fetch_add(until_closed(address, &over).await, Ordering::Relaxed);
                } else {
                    assert_eq!(post_chat(address, "").await.status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }));
    }
    for _ in 0..10 {
        let over = Arc::clone(&over);
        tasks.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let answer = post_chat(address, "25").await;
                assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
            }
        }));
    }
    let mut processes = vec![Orphan(gateway.pid())];
    for round in 0..20 {
        let process = processes.last().unwrap();
        process.signal("USR2");
        let successor = Orphan(manager.main_pid().await);
        assert_ne!(successor.0, process.0, "round {round}");
        processes.push(successor);
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let process = processes.pop().unwrap();
    for replaced in processes {
        replaced.ended().await;
    }
    assert!(asked.load(Ordering::Relaxed) > 200, "{} requests", asked.load(Ordering::Relaxed));
    assert_eq!(get(gateway.admin, "/readyz").await.status, 200, "the last successor answers operators");
    process.signal("TERM");
    process.ended().await;
}

/// A chat, streamed with an event every so many milliseconds when those are given.
async fn post_chat(address: std::net::SocketAddr, interval: &str) -> Answer {
    let authorization = format!("Bearer {KEY}");
    let mut headers = vec![("authorization", authorization.as_str())];
    let body = if interval.is_empty() { chat_body("Hi") } else { stream_body(&"word ".repeat(40)) };
    if !interval.is_empty() {
        headers.push(("x-sim-event-interval-ms", interval));
    }
    collect(open(address, "/v1/chat/completions", &headers, body.to_string()).await).await
}

/// Requests on one connection for as long as the gateway keeps it; how many.
async fn until_closed(address: std::net::SocketAddr, over: &AtomicBool) -> u64 {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut asked = 0;
    while !over.load(Ordering::Relaxed) && sender.ready().await.is_ok() {
        let request = http::Request::post("/v1/chat/completions")
            .header("host", "gateway")
            .header("authorization", format!("Bearer {KEY}"))
            .body(Full::new(bytes::Bytes::from(chat_body("Hi").to_string())))
            .unwrap();
        let answer = collect(sender.send_request(request).await.expect("a kept connection is not cut")).await;
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    asked
}

#[tokio::test]
async fn a_successor_that_does_not_start_changes_nothing() {
    let azure = azure().await;
    let manager = Manager::new();
    let gateway = Gateway::start_with(&config(&azure.base_url()), &[("NOTIFY_SOCKET", &manager.path())]).await;
    std::fs::write(&gateway.config, "{").unwrap();
    gateway.signal("USR2");
    manager.until("STATUS=serving; the last upgrade failed").await;
    wait_until("it is said", || gateway.log().contains("nobody has taken over")).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    assert_eq!(get(gateway.admin, "/readyz").await.status, 200);
}

/// A busy machine may delay one start or another, but not each of them.
#[tokio::test]
async fn a_killed_gateway_is_ready_again_within_300_ms() {
    let azure = azure().await;
    let [callers, operators] = [(); 2].map(|()| free_address());
    let config = write_config(&azure.base_url(), &callers.to_string(), &operators.to_string());
    let mut times = Vec::new();
    while times.iter().all(|time| *time > Duration::from_millis(300)) {
        assert!(times.len() < 20, "{times:?}");
        let begun = Instant::now();
        let mut process = activated(config.path(), &[]);
        while TcpStream::connect(operators).await.is_err() || get(operators, "/readyz").await.status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
        assert_eq!(get(callers, "/healthz").await.status, 200);
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
