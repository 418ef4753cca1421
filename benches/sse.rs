//! A hundred small events of an Azure stream with another model name, as one chunk and as one chunk each.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod events;

use azgate::dialect::chat::ChatStream;
use azgate::dialect::sse::Frames;
use azgate::dialect::stream::ChunkTransform;
use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde_json::Value;

const EVENTS: usize = 100;

fn main() {
    divan::main();
}

#[divan::bench]
fn frames_alone(bencher: Bencher<'_, '_>) {
    let chunk = Bytes::from(events::chat().repeat(EVENTS));
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let mut frames = Frames::default();
        frames.push(black_box(&chunk).clone());
        let mut length = 0;
        while let Some(frame) = frames.next_frame().unwrap() {
            length += frame.raw.len();
        }
        length
    });
}

#[divan::bench]
fn echo_in_one_chunk(bencher: Bencher<'_, '_>) {
    relay(bencher, vec![Bytes::from(events::chat().repeat(EVENTS))]);
}

#[divan::bench]
fn echo_in_a_chunk_each(bencher: Bencher<'_, '_>) {
    relay(bencher, vec![Bytes::from(events::chat()); EVENTS]);
}

/// What building a tree for each event would cost.
#[divan::bench]
fn document_trees(bencher: Bencher<'_, '_>) {
    let event = events::chat();
    let data = event.trim_start_matches("data: ").trim_end();
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let mut length = 0;
        for _ in 0..EVENTS {
            let mut tree: Value = serde_json::from_str(black_box(data)).unwrap();
            tree["model"] = "azure/gpt-4o".into();
            length += format!("data: {tree}\n\n").len();
        }
        length
    });
}

fn relay(bencher: Bencher<'_, '_>, chunks: Vec<Bytes>) {
    let echo = Bytes::from_static(b"\"azure/gpt-4o\"");
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let mut stream = ChatStream::new(Some(echo.clone()), true);
        let mut out = Vec::new();
        for chunk in &chunks {
            stream.push(black_box(chunk).clone(), &mut out).unwrap();
        }
        assert_eq!(stream.progress().content_events, EVENTS as u64);
        out
    });
}
