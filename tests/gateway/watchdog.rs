//! Systemd's watchdog hears from a gateway whose workers get on, and not from one with a worker that is stuck. A worker is
//! stopped from outside, as a debugger does it, in the middle of a task; the rest of the process goes on.

use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::Manager;
use crate::support::*;

/// What systemd allows between two signs of life; the gateway gives four in that time.
const ALLOWED: Duration = Duration::from_millis(800);

/// A thread that is stopped; it goes on when this is dropped. Only the thread that made it may drop it.
struct Stopped(Pid);

impl Stopped {
    fn new(thread: Pid) -> Self {
        ptrace::seize(thread, ptrace::Options::empty()).expect("a child's thread may be traced");
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

/// A thread on which requests are served.
fn worker(gateway: &Gateway) -> Pid {
    let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let worker = threads
        .map(|thread| thread.unwrap().path())
        .find(|thread| std::fs::read_to_string(thread.join("comm")).unwrap().trim() == "BG proxy")
        .expect("there are workers");
    Pid::from_raw(worker.file_name().unwrap().to_str().unwrap().parse().unwrap())
}

/// Keeps the worker busy: whoever stops it meets it in a task, most likely.
async fn ask_without_end(address: std::net::SocketAddr) {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let many = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(50);
    tokio::spawn(async move { while writing.write_all(&many).await.is_ok() {} });
    while reading.read(&mut [0; 16 * 1024]).await.is_ok_and(|length| length > 0) {}
}

// One thread, because only it may let go what it has stopped. One worker has a scheduler of its own kind.
#[tokio::test]
async fn systemd_hears_nothing_while_the_only_worker_is_stuck_and_again_when_it_gets_on() {
    a_stuck_worker_is_noticed(1).await;
}

#[tokio::test]
async fn systemd_hears_nothing_while_one_of_two_workers_is_stuck() {
    a_stuck_worker_is_noticed(2).await;
}

async fn a_stuck_worker_is_noticed(workers: usize) {
    let azure = azure().await;
    let manager = Manager::new();
    let mut config = config(&azure.base_url());
    config["server"]["worker_threads"] = json!(workers);
    let allowed = ALLOWED.as_micros().to_string();
    let gateway =
        Gateway::start_with(&config, &[("NOTIFY_SOCKET", &manager.path()), ("WATCHDOG_USEC", &allowed)]).await;
    manager.until("READY=1").await;
    let asking = [(); 4].map(|()| tokio::spawn(ask_without_end(gateway.address)));
    for _ in 0..4 {
        assert!(manager.hears("WATCHDOG=1", 5 * ALLOWED).await, "a busy worker is no stuck one");
    }
    for attempt in 1.. {
        assert!(attempt < 30, "the worker was asleep each time it was stopped");
        let stopped = Stopped::new(worker(&gateway));
        // It takes two looks to see that nothing happens; what was told meanwhile does not count.
        tokio::time::sleep(ALLOWED).await;
        while manager.hears("WATCHDOG=1", Duration::from_millis(1)).await {}
        let quiet = !manager.hears("WATCHDOG=1", ALLOWED).await;
        drop(stopped);
        if quiet {
            break;
        }
    }
    assert!(gateway.log().contains("has been stuck in one task"));
    assert!(manager.hears("WATCHDOG=1", 5 * ALLOWED).await, "a worker that gets on is forgiven");
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
}
