//! What holds for every translated stream: any splitting gives the same, and the caller's dialect keeps its own order.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::dialect::chat::stream::tests::recorded;

/// From, to and input of every golden stream.
fn cases() -> Vec<(Protocol, Protocol, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translation/streams.json");
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let text = |case: &Value, name: &str| case[name].as_str().unwrap().to_owned();
    cases.iter().map(|case| (protocol(&text(case, "from")), protocol(&text(case, "to")), text(case, "input"))).collect()
}

fn data(out: &str) -> Vec<Value> {
    out.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

#[test]
fn blocks_of_messages_come_one_after_the_other_and_end() {
    for (from, to, input) in cases().into_iter().filter(|(_, to, _)| *to == Protocol::Messages) {
        let (out, progress) = run(&reply(to, from), &input, &[usize::MAX]);
        let (mut open, mut next) = (None, 0);
        for event in data(&out) {
            let index = event["index"].as_u64();
            match event["type"].as_str().unwrap() {
                "content_block_start" => {
                    assert_eq!((open, index), (None, Some(next)), "{out}");
                    open = index;
                    next += 1;
                }
                "content_block_delta" => assert_eq!(open, index, "{out}"),
                "content_block_stop" => assert_eq!(open.take(), index, "{out}"),
                "message_delta" => assert_eq!(open, None, "{out}"),
                _ => {}
            }
        }
        let ends = out.matches("event: message_stop\n").count() + out.matches("event: error\n").count();
        assert!(ends == 1 || !(progress.ended || progress.error.is_some()), "{out}");
        assert!(out.matches("event: message_start\n").count() <= 1, "{out}");
    }
}

#[test]
fn events_of_responses_are_numbered_without_a_gap() {
    for (from, to, input) in cases().into_iter().filter(|(_, to, _)| *to == Protocol::Responses) {
        let (out, _) = run(&reply(to, from), &input, &[usize::MAX]);
        for (index, event) in data(&out).iter().enumerate() {
            assert_eq!(event["sequence_number"], index, "{out}");
        }
    }
}

#[test]
fn traps_51_only_a_complete_stream_has_a_normal_end() {
    for (from, to, input) in cases() {
        let (out, progress) = run(&reply(to, from), &input, &[usize::MAX]);
        let normal = ["[DONE]", "message_stop", "response.completed", "response.incomplete"];
        let told = normal.iter().any(|end| out.contains(end));
        assert_eq!(told, progress.ended, "{input}\n{out}");
        let broken = reply(to, from).stream().broken(
            to.dialect(),
            &crate::dialect::error::ErrorView {
                status: 502,
                code: "upstream_broken",
                message: "it broke off",
                param: None,
                request_id: "req-1",
            },
        );
        let broken = String::from_utf8(broken.to_vec()).unwrap();
        assert!(broken.contains("it broke off") && !normal.iter().any(|end| broken.contains(end)), "{broken}");
    }
}

/// Of recorded streams, the text that a caller gets is the text that was said.
#[test]
fn recorded_streams_say_the_same_in_every_dialect() {
    let said = |out: &str, places: &[&str]| -> String {
        let texts = data(&out.replace("data:{", "data: {"));
        texts.iter().filter_map(|event| places.iter().find_map(|place| event.pointer(place)?.as_str())).collect()
    };
    for (path, input) in recorded("sse") {
        let input = String::from_utf8(input).unwrap();
        let (from, to, there, back) = if input.contains("\"message_start\"") {
            (Protocol::Messages, Protocol::Chat, "/delta/text", "/choices/0/delta/content")
        } else if input.contains("chat.completion.chunk") {
            (Protocol::Chat, Protocol::Messages, "/choices/0/delta/content", "/delta/text")
        } else {
            continue;
        };
        let (out, progress) = run(&reply(to, from), &input, &[13, 400]);
        if progress.ended && progress.error.is_none() {
            assert_eq!(said(&out, &[back]), said(&input, &[there]), "{path:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_splitting_changes_anything(sizes in prop::collection::vec(1..60_usize, 1..6)) {
        for (from, to, input) in cases() {
            let whole = run(&reply(to, from), &input, &[usize::MAX]);
            prop_assert_eq!(&run(&reply(to, from), &input, &sizes), &whole);
            prop_assert_eq!(&run(&reply(to, from), &input.replace('\n', "\r\n"), &sizes), &whole);
        }
    }

    #[test]
    fn no_input_panics(pieces in prop::collection::vec(prop::sample::select(vec![
        "data: ", "event: error", "{", "}", "[", "]", "\"type\":", "\"content_block_start\"", "\"content_block\":", "\"index\":0", "\"delta\":",
        "\"choices\":", "\"tool_calls\":", "\"response.output_item.done\"", "\"item\":", "\"usage\":", "null", ",", "\"", "\n", "\n\n", "1",
    ]), 0..40), sizes in prop::collection::vec(1..6_usize, 1..6)) {
        let input = pieces.concat();
        for from in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
            for to in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
                prop_assert_eq!(run(&reply(to, from), &input, &sizes), run(&reply(to, from), &input, &[usize::MAX]));
            }
        }
    }
}
