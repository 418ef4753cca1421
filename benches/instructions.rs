//! Instructions that the parts of the hot path take, counted by valgrind: `cargo bench --bench instructions`. Fails when a
//! count differs by more than 3 % from `benches/instructions.txt`; `-- --update` writes that file anew.
//!
//! Counts come out the same however busy the machine is. They depend on compiler, C library and processor, so that a
//! newer one of those is a reason for new counts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails may panic, and prints its results")]

mod accounts;
mod bodies;
mod events;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use azgate::dialect::chat::ChatStream;
use azgate::dialect::splice::apply;
use azgate::dialect::stream::ChunkTransform;
use azgate::dialect::{Edits, Peek, classify};
use azgate::governance::{Account, Clock, Governor, Kind, Prompt};
use azgate::pool::Rotation;
use bytes::Bytes;

/// Where the expected counts stand.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// By how much a count may differ.
const TOLERANCE: f64 = 0.03;

/// Makes everything that is ready beforehand, and returns what is counted.
type Case = fn() -> Box<dyn FnMut()>;

const CASES: [(&str, Case); 9] = [
    ("classify a path", classify_path),
    ("peek, chat 1k", || peek("chat 1k")),
    ("peek, agent 100k", || peek("agent 100k")),
    ("splice, chat 1k", || splice("chat 1k")),
    ("splice, agent 100k", || splice("agent 100k")),
    ("prompt estimate, agent 100k", || prompt("agent 100k")),
    ("stream of 100 events", stream),
    ("pick a key of four", pick),
    ("reserve and settle", reserve_and_settle),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("count") => counted(&arguments[1]),
        Some("--update") => update(),
        _ => return compare(),
    }
    ExitCode::SUCCESS
}

/// Runs one case under the eyes of valgrind: twice, so that what is done once only is not counted.
fn counted(name: &str) {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
    let mut run = case();
    run();
    measured(&mut *run);
}

/// What valgrind counts, by this function's name.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    black_box(run)();
}

fn count(name: &str) -> u64 {
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions*measured*"]);
    command.arg(format!("--callgrind-out-file={}", out.path().display()));
    command.arg(std::env::current_exe().unwrap()).args(["count", name]);
    let run = command.output().expect("valgrind is not installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let profile = std::fs::read_to_string(out.path()).unwrap();
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    let count = total.trim().parse().unwrap();
    assert!(count > 0, "valgrind counted nothing in {name}");
    count
}

fn update() {
    let lines = CASES.map(|(name, _)| format!("{:>10}  {name}\n", count(name)));
    std::fs::write(TABLE, lines.concat()).unwrap();
}

fn compare() -> ExitCode {
    let table = std::fs::read_to_string(TABLE).unwrap();
    let expected: BTreeMap<&str, u64> = table
        .lines()
        .map(|line| line.trim().split_once("  ").unwrap())
        .map(|(count, name)| (name, count.parse().unwrap()))
        .collect();
    let mut differ = 0;
    for (name, _) in CASES {
        let (count, expected) = (count(name), expected.get(name).copied().unwrap_or(0));
        let change = count as f64 / expected as f64 - 1.0;
        let differs = change.abs() > TOLERANCE;
        differ += usize::from(differs);
        println!("{count:>10}  {:>+6.1} %  {name}{}", change * 100.0, if differs { "  <- differs" } else { "" });
    }
    println!("{} passed, {differ} failed", CASES.len() - differ);
    if differ > 0 {
        println!("where that is meant, `cargo bench --bench instructions -- --update` writes {TABLE}");
    }
    ExitCode::from(u8::from(differ > 0))
}

fn classify_path() -> Box<dyn FnMut()> {
    Box::new(|| {
        let path = black_box("/openai/deployments/gpt-4o/chat/completions");
        assert!(classify("POST", path).is_ok());
    })
}

fn peek(body: &str) -> Box<dyn FnMut()> {
    let body = bodies::named(body);
    Box::new(move || {
        let mut peek = Peek::new(&["model", "stream", "stream_options", "deployment", "fallbacks", "user"]);
        peek.feed(black_box(&body)).unwrap();
        black_box(peek.finish().unwrap());
    })
}

fn splice(body: &str) -> Box<dyn FnMut()> {
    let body = Bytes::from(bodies::named(body));
    let deployment = Bytes::from_static(b"\"my-deployment\"");
    let mut peek = Peek::new(&["model", "stream"]);
    peek.feed(&body).unwrap();
    let members = peek.finish().unwrap();
    Box::new(move || {
        let mut edits = Edits::new(black_box(&members));
        edits.replace_all("model", deployment.clone());
        black_box(apply(&edits.pieces(body.len() as u64), std::slice::from_ref(&body)));
    })
}

fn prompt(body: &str) -> Box<dyn FnMut()> {
    let body = bodies::named(body);
    Box::new(move || {
        let mut prompt = Prompt::default();
        black_box(&body).chunks(16 * 1024).for_each(|chunk| prompt.feed(chunk));
        black_box(prompt.tokens());
    })
}

/// A chunk for each event, as they come from Azure.
fn stream() -> Box<dyn FnMut()> {
    let (event, echo) = (Bytes::from(events::chat()), Bytes::from_static(b"\"azure/gpt-4o\""));
    Box::new(move || {
        let mut stream = ChatStream::new(Some(echo.clone()), true);
        let mut out = Vec::new();
        for _ in 0..100 {
            stream.push(black_box(&event).clone(), &mut out).unwrap();
            out.clear();
        }
        assert_eq!(stream.progress().content_events, 100);
    })
}

fn pick() -> Box<dyn FnMut()> {
    let rotation = Rotation::new(&[(0, 5.0), (1, 3.0), (2, 1.0), (3, 1.0)]);
    Box::new(move || {
        // A cycle with one closed key.
        for _ in 0..8 {
            assert!(black_box(&rotation).next_open(|key| key != 2).is_some());
        }
    })
}

/// A key with a rate of requests and of tokens and a budget, in a team of a customer.
fn reserve_and_settle() -> Box<dyn FnMut()> {
    let (governor, clock) = (Governor::default(), Clock::default());
    let limits = accounts::limits(None);
    let kinds = [(Kind::VirtualKey, "key"), (Kind::Team, "team"), (Kind::Customer, "customer")];
    let members = kinds.map(|(kind, name)| governor.member(kind, name, limits.clone()));
    let account = Arc::new(Account::new(members.to_vec()));
    let demand = accounts::demand();
    Box::new(move || {
        let (reservation, standing) = account.reserve(black_box(demand), clock.now()).unwrap();
        reservation.settle(accounts::USED, clock.now());
        black_box(standing);
    })
}
