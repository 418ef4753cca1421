//! One scan for a handful of top-level members, beside two parsers that do the same lazily.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod bodies;

use std::borrow::Cow;
use std::collections::HashMap;

use azgate::dialect::Peek;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde_json::value::RawValue;

const FIELDS: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "deployment",
    "endpoint",
    "fallbacks",
    "previous_response_id",
    "prompt_cache_key",
    "user",
];

fn main() {
    divan::main();
}

#[divan::bench(args = bodies::NAMES)]
fn azgate(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |body| {
        let mut peek = Peek::new(FIELDS);
        peek.feed(body).unwrap();
        peek.finish().unwrap().iter().count()
    });
}

/// As a body arrives from a socket.
#[divan::bench(args = bodies::NAMES)]
fn azgate_in_16k_chunks(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |body| {
        let mut peek = Peek::new(FIELDS);
        for chunk in body.chunks(16 * 1024) {
            peek.feed(chunk).unwrap();
        }
        peek.finish().unwrap().iter().count()
    });
}

#[divan::bench(args = bodies::NAMES)]
fn sonic_rs(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |body| {
        let members = sonic_rs::to_object_iter(body).map(|member| member.unwrap());
        let noted: Vec<_> = members.filter(|(name, _)| FIELDS.contains(&name.as_ref())).collect();
        noted.len()
    });
}

#[divan::bench(args = bodies::NAMES)]
fn serde_json_raw(bencher: Bencher<'_, '_>, name: &str) {
    run(bencher, name, |body| {
        let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).unwrap();
        FIELDS.iter().filter(|name| members.contains_key(**name)).count()
    });
}

fn run(bencher: Bencher<'_, '_>, name: &str, work: impl Fn(&[u8]) -> usize + Sync) {
    let body = bodies::named(name);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| work(black_box(&body)));
}
