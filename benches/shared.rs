//! What shared counters add to a request: one question to a Redis on this machine before the first attempt, and for callers
//! whose requests at the same time are limited, one word more before the last part of the answer. Needs `redis-server`.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod accounts;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use azgate::governance::{Account, Clock, Governor, Kind};
use divan::{Bencher, black_box};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// A Redis of the bench's own, ended by its process id.
struct Redis(Child);

impl Redis {
    fn start() -> (Self, SocketAddr) {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        (Self(child), address)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With a rate of requests and of tokens, a budget, and perhaps a limit of requests at the same time, for a key, its team
/// and its customer.
#[divan::bench(args = [false, true], sample_count = 2_000, sample_size = 1)]
fn reserve_and_settle(bencher: Bencher<'_, '_>, slots: bool) {
    let (runtime, (_redis, address)) = (Runtime::new().unwrap(), Redis::start());
    let governor = Governor::sharing(&format!("redis://{address}")).unwrap();
    let (worker, shared) = (governor.take_worker().unwrap(), Arc::clone(governor.shared.as_ref().unwrap()));
    runtime.spawn(worker.run(|_| ()));
    while !shared.is_up() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let limits = accounts::limits(slots.then_some(1_000));
    let kinds = [Kind::VirtualKey, Kind::Team, Kind::Customer];
    let members = kinds.map(|kind| governor.member(kind, "m", limits.clone()));
    let (account, clock) = (Arc::new(Account::new(members.to_vec())), Clock::default());
    let demand = accounts::demand();
    let mut alone = 0;
    bencher.bench_local(|| {
        runtime.block_on(async {
            let (hold, standing) = shared.reserve(&account, black_box(demand), clock.now()).await.unwrap();
            alone += u64::from(standing.is_none());
            hold.settle(accounts::USED).await;
        });
    });
    eprintln!("{alone} requests that the store did not answer within 20 ms");
}
