//! Frames against a plain reading of the WHATWG rules, over any splitting.

use proptest::prelude::*;

use super::super::peek::tests::split;
use super::*;

type Event = (Option<Vec<u8>>, Vec<u8>);

/// The rules as they are written, over the whole input: line by line, dispatch at blank lines.
fn plain_reading(input: &[u8]) -> Vec<Event> {
    let input = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < input.len() {
        match input[at] {
            b'\n' | b'\r' => {
                at += usize::from(input[at..].starts_with(b"\r\n"));
                lines.push(std::mem::take(&mut line));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    let (mut events, mut data, mut name) = (Vec::new(), None::<Vec<u8>>, Vec::new());
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            events.extend(data.take().map(|data| ((!name.is_empty()).then_some(name), data)));
            continue;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => data = Some(value.to_vec()),
            },
            b"event" => name = value.to_vec(),
            _ => {}
        }
    }
    events
}

fn frames(input: &[u8], sizes: &[usize]) -> (Vec<Event>, Vec<u8>) {
    let (mut frames, mut events, mut raw) = (Frames::default(), Vec::new(), Vec::new());
    for chunk in split(input, sizes) {
        frames.push(chunk.into());
        while let Some(frame) = frames.next_frame().unwrap() {
            raw.extend_from_slice(&frame.raw);
            events.extend(frame.data().map(|data| (frame.event().map(<[u8]>::to_vec), data.into_owned())));
            if let Some(range) = frame.single_data_range() {
                assert_eq!(frame.data().unwrap(), &frame.raw[range]);
            }
        }
    }
    raw.extend(frames.rest().map(|tail| tail.raw.to_vec()).unwrap_or_default());
    (events, raw)
}

fn check(input: &[u8], sizes: &[usize]) {
    let (events, raw) = frames(input, sizes);
    assert_eq!(raw, input, "every byte once");
    assert_eq!(events, plain_reading(input), "{:?} in {sizes:?}", String::from_utf8_lossy(input));
}

proptest! {
    #[test]
    fn any_stream_in_any_splitting_reads_as_the_rules_say(
        parts in prop::collection::vec(prop::sample::select(vec![
            "\n", "\n", "\r", "\r\n", "\r\n", "data:", "data: ", "data", "data : x", "event: e", "event:", "id: 1", ":", ": ping",
            " ", "x", "é😀", "{\"a\":1}", "[DONE]", "\u{feff}", "\0",
        ]), 0..40),
        sizes in prop::collection::vec(1..6_usize, 1..6),
    ) {
        let input = parts.concat().into_bytes();
        check(&input, &sizes);
        check(&input, &[1]);
        check(&input, &[usize::MAX]);
    }
}

#[test]
fn all_line_ends_and_spellings_are_read() {
    for input in [
        "data: a\n\ndata:b\n\n",
        "data: a\r\n\r\ndata:b\r\n\r\n",
        "data: a\r\rdata:b\r\r",
        "data: a\n\r\ndata:b\r\r\n",
        "\u{feff}data: a\n\n: comment\n\nid: 1\nretry: 5\ndata:b\n\n",
        "\u{feff}\ndata: a\n\n\n\n\ndata:b\n\n",
        "dat: x\ndatax: y\ndata: a\n\n\r\n\r\n:\n\ndata:b\n\n",
    ] {
        let (events, _) = frames(input.as_bytes(), &[usize::MAX]);
        assert_eq!(events, [(None, b"a".to_vec()), (None, b"b".to_vec())], "{input:?}");
    }
    let input = "event: delta\ndata: {\ndata:  1\ndata\ndata:}\n\ndata:\n\ndata\n\nevent: none\n\n";
    let (events, _) = frames(input.as_bytes(), &[usize::MAX]);
    let expected = [(Some(b"delta".to_vec()), b"{\n 1\n\n}".to_vec()), (None, vec![]), (None, vec![])];
    assert_eq!(events, expected);
}

#[test]
fn an_event_is_out_with_the_byte_that_ends_it() {
    for (input, at) in [("data: a\n\n", 9), ("data: a\r\r", 9), ("data: a\r\n\r\n", 10), ("data: a\n\r\n", 9)] {
        let mut frames = Frames::default();
        let complete = input.bytes().position(|byte| {
            frames.push(Bytes::copy_from_slice(&[byte]));
            frames.next_frame().unwrap().is_some()
        });
        assert_eq!(complete, Some(at - 1), "{input:?}");
    }
}

#[test]
fn frames_within_a_chunk_are_slices_and_carry_their_whole_line_end() {
    let chunk = Bytes::from_static(b"data: a\r\n\r\ndata: b\r\n\r\n");
    let mut frames = Frames::default();
    frames.push(chunk.clone());
    let first = frames.next_frame().unwrap().unwrap();
    let second = frames.next_frame().unwrap().unwrap();
    assert_eq!((&first.raw[..], &second.raw[..]), (&b"data: a\r\n\r\n"[..], &b"data: b\r\n\r\n"[..]));
    assert_eq!((first.raw.as_ptr(), second.raw.as_ptr()), (chunk.as_ptr(), chunk[11..].as_ptr()));
    assert_eq!((frames.next_frame().unwrap(), frames.rest()), (None, None));
}

#[test]
fn huge_frames_end_in_an_error_in_any_splitting() {
    let line = Bytes::from(vec![b'x'; FRAME_LIMIT / 4]);
    let mut frames = Frames::default();
    for _ in 0..4 {
        frames.push(line.clone());
        assert_eq!(frames.next_frame(), Ok(None));
    }
    frames.push(Bytes::from_static(b"x"));
    assert_eq!(frames.next_frame(), Err(FrameTooLong));
    let whole = [&line[..], &line, &line, &line, b"\n\n"].concat();
    frames.push(whole.into());
    assert_eq!(frames.next_frame(), Err(FrameTooLong));
    frames.push(Bytes::from_static(b"data: a\n\n"));
    assert!(frames.next_frame().unwrap().is_some());
}

#[test]
fn a_huge_frame_byte_by_byte_takes_linear_time() {
    let mut frames = Frames::default();
    let byte = Bytes::from_static(b"x");
    for _ in 0..2_000_000 {
        frames.push(byte.clone());
        assert_eq!(frames.next_frame(), Ok(None));
    }
    assert_eq!(frames.rest().unwrap().raw.len(), 2_000_000);
}

#[test]
fn rendered_anew_an_event_keeps_its_other_fields() {
    let mut frames = Frames::default();
    frames.push(Bytes::from_static(b"\xEF\xBB\xBFevent: e\r\nid:7\r\ndata: a\r\ndata: b\r\n\r\n"));
    let frame = frames.next_frame().unwrap().unwrap();
    assert_eq!(frame.with_data(b"c\nd"), &b"event: e\nid: 7\ndata: c\ndata: d\n\n"[..]);
}

#[test]
fn recorded_streams_read_as_the_rules_say() {
    for (path, input) in super::super::chat::stream::tests::recorded("sse") {
        check(&input, &[usize::MAX]);
        check(&input, &[1]);
        check(&input, &[7, 300, 1]);
        assert!(!plain_reading(&input).is_empty(), "{path:?}");
    }
}
