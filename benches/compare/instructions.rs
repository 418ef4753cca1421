//! Instructions in user space, counted by valgrind: the same however busy the machine is, unlike every time.

use std::process::Command;

use super::load;
use super::process::{Contender, Kind, Upstream};
use super::upstream::EVENTS;

/// Asked before counting begins, so that connections, caches and lazily made things are there.
const BEFORE: usize = 100;

const REQUESTS: usize = 1_000;
const STREAMS: usize = 10;

/// Prints a table of its own.
pub async fn table(kinds: &[Kind], upstream: &Upstream) {
    println!("| | instructions per request | per event |\n|---|---|---|");
    for kind in kinds {
        let Some(contender) = Contender::start_counted(kind, upstream) else { continue };
        load::in_a_row(contender.address, BEFORE, false).await;
        contender.control(&["-z"]);
        contender.control(&["-i", "on"]);
        load::in_a_row(contender.address, REQUESTS, false).await;
        contender.control(&["-i", "off"]);
        let requests = contender.counted() / REQUESTS as u64;
        load::in_a_row(contender.address, 1, true).await;
        contender.control(&["-z"]);
        contender.control(&["-i", "on"]);
        load::in_a_row(contender.address, STREAMS, true).await;
        contender.control(&["-i", "off"]);
        let events = contender.counted() / (STREAMS as u64 * EVENTS);
        println!("| {} | {requests} | {events} |", contender.name);
    }
}

impl Contender {
    fn control(&self, order: &[&str]) {
        let mut command = Command::new("callgrind_control");
        let done = command.args(order).arg(self.id().to_string()).output().expect("valgrind is not installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// What was counted since the last call.
    fn counted(&self) -> u64 {
        let before = self.profiles();
        self.control(&["-d"]);
        let path = self.profiles().into_iter().find(|path| !before.contains(path)).expect("a profile was written");
        let profile = std::fs::read_to_string(path).unwrap();
        profile.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap().trim().parse().unwrap()
    }

    fn profiles(&self) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.files()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("callgrind.")).collect()
    }
}
