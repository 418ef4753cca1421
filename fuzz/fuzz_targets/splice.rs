//! What the scanner takes for an object is one, and a replaced model changes nothing else.
#![no_main]

use azgate::dialect::splice::apply;
use azgate::dialect::{Edits, Peek};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((size, body)) = data.split_first() else { return };
    let chunks: Vec<Bytes> = body.chunks(usize::from(*size).max(1)).map(Bytes::copy_from_slice).collect();
    let mut peek = Peek::new(&["model", "stream", "deployment"]);
    if chunks.iter().any(|chunk| peek.feed(chunk).is_err()) {
        return;
    }
    let Ok(members) = peek.finish() else { return };
    let mut edits = Edits::new(&members);
    edits.replace_all("model", "\"changed\"");
    edits.remove_all("deployment");
    let changed = apply(&edits.pieces(body.len() as u64), &chunks).concat();
    assert_eq!(changed.len() as u64, edits.length_after(body.len() as u64));
    // The scanner may be laxer than a parser within values that it passes over, but never the other way round.
    let Ok(before) = serde_json::from_slice::<Value>(body) else { return };
    let after: Value = serde_json::from_slice(&changed).expect("the edited object is one");
    let mut wanted = before;
    let members = wanted.as_object_mut().expect("an object");
    members.remove("deployment");
    if let Some(model) = members.get_mut("model") {
        *model = "changed".into();
    }
    assert_eq!(after, wanted);
});
