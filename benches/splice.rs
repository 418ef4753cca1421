//! Peek and a new model, beside a document tree that is parsed, changed and written again.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

mod bodies;

use azgate::dialect::splice::apply;
use azgate::dialect::{Edits, Peek};
use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde_json::Value;

fn main() {
    divan::main();
}

#[divan::bench(args = bodies::NAMES)]
fn edit_in_place(bencher: Bencher<'_, '_>, name: &str) {
    let body = Bytes::from(bodies::named(name));
    let deployment = Bytes::from_static(b"\"my-deployment\"");
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let mut peek = Peek::new(&["model", "stream"]);
        peek.feed(black_box(&body)).unwrap();
        let members = peek.finish().unwrap();
        let mut edits = Edits::new(&members);
        edits.replace_all("model", deployment.clone());
        apply(&edits.pieces(body.len() as u64), std::slice::from_ref(&body))
    });
}

#[divan::bench(args = bodies::NAMES)]
fn document_tree(bencher: Bencher<'_, '_>, name: &str) {
    let body = bodies::named(name);
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let mut tree: Value = serde_json::from_slice(black_box(&body)).unwrap();
        tree["model"] = "my-deployment".into();
        serde_json::to_vec(&tree).unwrap()
    });
}
