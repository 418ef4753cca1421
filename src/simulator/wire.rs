//! From a body to the steps that write it: pieces, pauses, and the one place where it breaks. Pure; `flow` walks the steps.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::answer::{Content, Protocol};
use super::faults::{BodyFault, Coding, Ending, Point};
use super::gzip::Gzip;
use super::line::Cut;
use super::sse;

/// Time for the peer to read what was written before the line is cut; RST throws away what is still on its way.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// One thing to do while writing a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand over bytes, which complete so many events.
    Send(Bytes, u64),
    /// Let what was handed over leave before going on.
    Flush,
    Wait(Duration),
    /// Never go on.
    Stall,
    Cut(Cut),
    /// End the body with an error: HTTP/2 resets the stream.
    Fail,
}

/// A piece of the body that is one event, or the whole body.
#[derive(Clone, Debug)]
struct Piece {
    bytes: Bytes,
    events: u64,
}

/// The steps for a body under a fault.
pub fn steps(content: &Content, fault: &BodyFault) -> Vec<Step> {
    let interval = match content {
        Content::Events(events) => events.interval,
        _ => Duration::ZERO,
    };
    let protocol = match content {
        Content::Events(events) => events.protocol,
        _ => Protocol::default(),
    };
    let mut pieces = pieces(content, fault);
    let mut ending = None;
    if let Some((point, how)) = fault.end {
        ending = Some(how);
        match point {
            Point::Events(count) => pieces.truncate(count),
            Point::Bytes(_) => {}
        }
        if how == Ending::ErrorEvent {
            let payload = protocol.error_event();
            let name = protocol.name(&payload);
            let bytes = sse::event(name.as_deref(), &payload, &fault.framing, pieces.is_empty());
            pieces.push(Piece { bytes, events: 1 });
        }
    }
    if fault.coding == Coding::Gzip {
        let whole = !matches!(fault.end, Some((Point::Events(_), Ending::Stall | Ending::Close | Ending::Reset)));
        pieces = compressed(pieces, whole);
    }
    if let Some((Point::Bytes(limit), _)) = fault.end {
        pieces = cut_at(pieces, limit);
    }
    if let Some(size) = fault.split {
        pieces = split(&pieces, size);
    }
    let pause = if fault.drip.is_zero() { interval } else { fault.drip };
    write_out(pieces, fault.delay, pause, ending)
}

fn pieces(content: &Content, fault: &BodyFault) -> Vec<Piece> {
    match content {
        Content::Whole(bytes) | Content::Chunked(bytes) => vec![Piece { bytes: bytes.clone(), events: 0 }],
        Content::Events(events) => {
            let write = |(index, payload): (usize, &String)| Piece {
                bytes: sse::event(events.protocol.name(payload).as_deref(), payload, &fault.framing, index == 0),
                events: 1,
            };
            events.payloads.iter().enumerate().map(write).collect()
        }
    }
}

fn compressed(pieces: Vec<Piece>, whole: bool) -> Vec<Piece> {
    let mut gzip = Gzip::default();
    let mut out: Vec<Piece> =
        pieces.into_iter().map(|piece| Piece { bytes: gzip.block(&piece.bytes), events: piece.events }).collect();
    if whole {
        out.push(Piece { bytes: gzip.end(), events: 0 });
    }
    out
}

fn cut_at(pieces: Vec<Piece>, limit: usize) -> Vec<Piece> {
    let mut left = limit;
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if piece.bytes.len() > left {
            out.push(Piece { bytes: piece.bytes.slice(..left), events: 0 });
            break;
        }
        left -= piece.bytes.len();
        out.push(piece);
    }
    out
}

/// Pieces of `size` bytes, whatever the borders of the events were.
fn split(pieces: &[Piece], size: usize) -> Vec<Piece> {
    let mut whole = BytesMut::new();
    let mut borders = Vec::with_capacity(pieces.len());
    for piece in pieces {
        whole.extend_from_slice(&piece.bytes);
        borders.extend((0..piece.events).map(|_| whole.len()));
    }
    let mut whole = whole.freeze();
    let (mut out, mut end, mut borders) = (Vec::new(), 0, borders.into_iter().peekable());
    while !whole.is_empty() {
        let bytes = whole.split_to(size.min(whole.len()));
        end += bytes.len();
        let mut events = 0;
        while borders.next_if(|border| *border <= end).is_some() {
            events += 1;
        }
        out.push(Piece { bytes, events });
    }
    out
}

fn write_out(pieces: Vec<Piece>, delay: Duration, pause: Duration, ending: Option<Ending>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(pieces.len() * 2 + 4);
    if !delay.is_zero() {
        steps.push(Step::Wait(delay));
    }
    let count = pieces.len();
    for (index, piece) in pieces.into_iter().enumerate() {
        if !piece.bytes.is_empty() {
            steps.push(Step::Send(piece.bytes, piece.events));
        }
        if index + 1 < count {
            steps.push(if pause.is_zero() { Step::Flush } else { Step::Wait(pause) });
        }
    }
    let broken = match ending {
        None | Some(Ending::Truncate | Ending::ErrorEvent) => return steps,
        Some(Ending::Stall) => Step::Stall,
        Some(Ending::Reset) => Step::Cut(Cut::Reset),
        Some(Ending::Close) => Step::Cut(Cut::Close),
        Some(Ending::StreamReset) => Step::Fail,
    };
    steps.extend([Step::Wait(BEFORE_CUT), broken]);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::answer::Events;
    use crate::simulator::faults::Fault;

    fn stream(text: &str) -> Vec<Step> {
        let payloads = vec!["one".to_owned(), "two".to_owned(), "[DONE]".to_owned()];
        let content = Content::Events(Events { payloads, ..Events::default() });
        steps(&content, &Fault::parse(text).expect("fault").body)
    }

    fn sent(steps: &[Step]) -> (String, u64) {
        let mut all = (String::new(), 0);
        for step in steps {
            if let Step::Send(bytes, events) = step {
                all.0.push_str(std::str::from_utf8(bytes).expect("text"));
                all.1 += events;
            }
        }
        all
    }

    #[test]
    fn events_are_flushed_one_by_one() {
        let steps = stream("");
        assert_eq!(steps.iter().filter(|step| **step == Step::Flush).count(), 2);
        assert_eq!(sent(&steps), ("data: one\n\ndata: two\n\ndata: [DONE]\n\n".to_owned(), 3));
    }

    #[test]
    fn breaks_fall_where_they_are_asked_for() {
        let steps = stream("reset-after-bytes=14");
        assert_eq!(sent(&steps), ("data: one\n\ndat".to_owned(), 1));
        assert_eq!(steps.last(), Some(&Step::Cut(Cut::Reset)));
        let steps = stream("truncate-after-events=2");
        assert_eq!(sent(&steps), ("data: one\n\ndata: two\n\n".to_owned(), 2));
        let (text, events) = sent(&stream("error-event-at=1"));
        assert!(text.starts_with("data: one\n\ndata: {\"error\":") && !text.contains("DONE"), "{text}");
        assert_eq!(events, 2);
    }

    #[test]
    fn splitting_ignores_the_borders_of_events_but_counts_them() {
        let steps = stream("split=7; drip-ms=3");
        let sizes: Vec<usize> = steps
            .iter()
            .filter_map(|step| if let Step::Send(bytes, _) = step { Some(bytes.len()) } else { None })
            .collect();
        assert_eq!(sizes, [7, 7, 7, 7, 7, 1]);
        assert_eq!(sent(&steps).1, 3);
        assert!(steps.contains(&Step::Wait(Duration::from_millis(3))));
    }
}
