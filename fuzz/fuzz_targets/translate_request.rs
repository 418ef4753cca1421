//! Requests from every dialect into every other: none panics, what is written is JSON that can be read again, and of a
//! body in the upstream's own dialect only the reasoning goes that was packed here.
#![no_main]

mod dialects;

use azgate::dialect::translate::{self, Host, Look, Protocol, Recall, Refused, Target};
use dialects::{PRESENTED, PROTOCOLS};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const MODELS: [&str; 6] = ["gpt-4o", "gpt-5.2", "mine", "claude-3-5-haiku", "claude-sonnet-4-6", "claude-opus-4-7"];
const HOSTS: [Host; 3] = [Host::OldAzure, Host::Azure, Host::Maker];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let (from, to) = (PROTOCOLS[choice % 3], PROTOCOLS[choice / 3 % 3]);
    let (model, host) = (MODELS[choice / 9 % 6], HOSTS[choice % 3]);
    let target = Target { deployment: model, model, origin: "AAAAAAAA", recall: Recall::Own, host };
    if let Ok(translated) = translate::request(from, to, body, &target, &PRESENTED) {
        let written: Value = serde_json::from_slice(&translated.body).expect("JSON");
        assert_eq!(written["model"], model);
        let again = translate::request(to, from, &translated.body, &target, &PRESENTED);
        assert!(!matches!(again, Err(Refused::NotJson(_))), "{again:?}");
    }
    let _ = translate::tokens(body);
    stripped(from, body);
});

fn stripped(protocol: Protocol, body: &[u8]) {
    let carried = translate::carried(protocol, body);
    let Some(mut look) = Look::new(protocol) else { return assert!(carried.is_empty()) };
    body.chunks(3).for_each(|chunk| look.feed(chunk));
    assert!(carried.is_empty() || look.suspects().is_some(), "seen while it arrived");
    let (mut left, mut done) = (Vec::new(), 0);
    for place in carried.iter().map(|carried| &carried.place) {
        if place.start as usize >= done {
            left.extend_from_slice(&body[done..place.start as usize]);
            done = place.end as usize;
        }
    }
    left.extend_from_slice(&body[done..]);
    // Names and proofs with escapes are nobody's: neither this gateway nor its clients write them.
    let Ok(before) = serde_json::from_slice::<Value>(body) else { return };
    if body.contains(&b'\\') {
        return;
    }
    let after: Value = serde_json::from_slice(&left).expect("what is left is JSON");
    assert_eq!(after, without(protocol, before));
}

fn without(protocol: Protocol, mut body: Value) -> Value {
    let packed = |block: &Value, kind: &str, field: &str, prefix: &str| {
        block["type"] == kind && block[field].as_str().is_some_and(|proof| proof.starts_with(prefix))
    };
    match protocol {
        Protocol::Chat => {}
        Protocol::Responses => {
            if let Some(items) = body.get_mut("input").and_then(Value::as_array_mut) {
                items.retain(|item| !packed(item, "reasoning", "encrypted_content", "azg1c."));
            }
        }
        Protocol::Messages => {
            if let Some(turns) = body.get_mut("messages").and_then(Value::as_array_mut) {
                turns.retain_mut(|turn| {
                    let Some(blocks) = turn.get_mut("content").and_then(Value::as_array_mut) else { return true };
                    let before = blocks.len();
                    blocks.retain(|block| !packed(block, "thinking", "signature", "azg1."));
                    before == 0 || !blocks.is_empty()
                });
            }
        }
    }
    body
}
