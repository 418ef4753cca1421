//! The gateway beside a bare Pingora pass-through and nginx, on one machine, in interleaved rounds:
//! `cargo bench --bench compare -- [--rounds N] [--seconds N] [--plain] [--only NAME,NAME] [--beside BINARY]…`. Prints a
//! table; with `--instructions` one of instructions in place of times. `--beside` takes part with another build of the gateway (or a script that starts one), `--only` with those
//! whose names begin so.
//!
//! Load and upstream share processor 0, whoever is measured has processor 1 and one worker thread. What counts is the
//! processor time of the measured process; each figure is the median over the rounds. nginx is left out where it is
//! not installed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails may panic, and prints its results")]

mod instructions;
mod load;
mod passthrough;
mod process;
mod upstream;

use std::collections::BTreeMap;
use std::time::Duration;

use process::{Contender, Kind, LARGE, SMALL};

struct Arguments {
    rounds: usize,
    time: Duration,
    /// Cleartext upstream only.
    plain: bool,
    /// Count instructions in place of times.
    instructions: bool,
    kinds: Vec<Kind>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("upstream") => upstream::run(&arguments[1..]),
        Some("passthrough") => passthrough::run(&arguments[1..]),
        _ => compare(&parse(&arguments)),
    }
}

fn parse(arguments: &[String]) -> Arguments {
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let number = |name: &str, default| after(name).map_or(default, |text| text.parse().expect("a number"));
    let only: Vec<&str> = after("--only").map_or(vec![""], |names| names.split(',').collect());
    Arguments {
        rounds: number("--rounds", 5),
        time: Duration::from_secs(number("--seconds", 3) as u64),
        plain: arguments.iter().any(|argument| argument == "--plain"),
        instructions: arguments.iter().any(|argument| argument == "--instructions"),
        kinds: kinds(arguments)
            .into_iter()
            .filter(|kind| only.iter().any(|only| kind.name().starts_with(only)))
            .collect(),
    }
}

fn kinds(arguments: &[String]) -> Vec<Kind> {
    let ours = env!("CARGO_BIN_EXE_azgate");
    let mut kinds = vec![
        Kind::Gateway { binary: ours.to_owned(), size: SMALL },
        Kind::Gateway { binary: ours.to_owned(), size: LARGE },
        Kind::Passthrough,
        Kind::Nginx,
    ];
    let beside = arguments.windows(2).filter(|pair| pair[0] == "--beside");
    kinds.extend(beside.map(|pair| Kind::Gateway { binary: pair[1].clone(), size: SMALL }));
    kinds
}

/// The figures of one contender, by name, one for each round.
type Figures = BTreeMap<&'static str, Vec<f64>>;

fn compare(arguments: &Arguments) {
    process::pin_self();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for tls in [false, true] {
        if tls && arguments.plain {
            continue;
        }
        println!("\n### {} to the upstream\n", if tls { "TLS" } else { "Cleartext" });
        let upstream = process::Upstream::start(tls);
        if arguments.instructions {
            runtime.block_on(instructions::table(&arguments.kinds, &upstream));
            continue;
        }
        let contenders: Vec<Contender> =
            arguments.kinds.iter().filter_map(|kind| Contender::start(kind, &upstream)).collect();
        let mut figures: Vec<Figures> = contenders.iter().map(|_| Figures::new()).collect();
        for _ in 0..arguments.rounds {
            let direct = (!tls).then(|| runtime.block_on(load::paced(upstream.address, arguments.time)));
            for (contender, figures) in contenders.iter().zip(&mut figures) {
                runtime.block_on(round(contender, arguments.time, direct.as_ref(), figures));
            }
        }
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            let idle = runtime.block_on(load::idle_streams(contender));
            figures.insert("KiB per idle stream", vec![idle]);
        }
        print_table(&contenders, &figures);
    }
}

async fn round(contender: &Contender, time: Duration, direct: Option<&load::Latencies>, figures: &mut Figures) {
    let mut note = |name, figure| figures.entry(name).or_default().push(figure);
    let before = contender.processor_time();
    let requests = load::unary(contender.address, time).await;
    note("µs CPU per request", per(contender.processor_time() - before, requests));
    let before = contender.processor_time();
    let events = load::streams(contender.address).await;
    note("µs CPU per event", per(contender.processor_time() - before, events));
    let latencies = load::paced(contender.address, time).await;
    let (added_to, p50, p99) = match direct {
        Some(direct) => (direct, "µs added, p50", "µs added, p99"),
        None => (&load::Latencies::default(), "µs, p50", "µs, p99"),
    };
    note(p50, latencies.quantile(0.5) - added_to.quantile(0.5));
    note(p99, latencies.quantile(0.99) - added_to.quantile(0.99));
}

fn per(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// One row per figure; in brackets the ratio to the pass-through, or to the first where that takes no part.
fn print_table(contenders: &[Contender], figures: &[Figures]) {
    let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
    println!("| | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    let base = contenders.iter().position(|contender| contender.name == Kind::Passthrough.name()).unwrap_or(0);
    for name in figures[0].keys() {
        let medians: Vec<f64> = figures.iter().map(|figures| median(&figures[name])).collect();
        let cell = |figure: &f64| format!("{figure:.1} ({:.2})", figure / medians[base]);
        println!("| {name} | {} |", medians.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}
