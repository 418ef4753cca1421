//! One event of a Messages stream, looked at in one walk and without a copy.

use std::ops::Range;

use bytes::Bytes;

use super::super::cursor::Cursor;
use super::super::echo::{Events, Noted};
use super::tally::Tally;

/// Blocks that begin empty; every other kind is output as soon as it begins.
const EMPTY_AT_FIRST: [&[u8]; 2] = [b"\"text\"", b"\"thinking\""];

/// The events of one stream, with what was counted so far.
#[derive(Default, Debug)]
pub struct MessagesEvents {
    tally: Tally,
}

/// The members of an event that matter, as text.
#[derive(Default)]
struct Event<'a> {
    kind: &'a [u8],
    model: Option<Range<usize>>,
    usage: Option<&'a [u8]>,
    /// The type of the block that begins.
    block: &'a [u8],
    stops: bool,
}

impl Events for MessagesEvents {
    fn read(&mut self, data: &[u8]) -> Option<Noted> {
        let event = Event::read(data)?;
        let counted = event.usage.is_some_and(|usage| self.tally.update(usage));
        Some(Noted {
            content: match event.kind {
                b"\"content_block_delta\"" => true,
                b"\"content_block_start\"" => !EMPTY_AT_FIRST.contains(&event.block),
                b"\"message_delta\"" => event.stops,
                _ => false,
            },
            error: (event.kind == b"\"error\"").then(|| Bytes::copy_from_slice(data)),
            ended: event.kind == b"\"message_stop\"",
            usage: counted.then(|| self.tally.usage()),
            model: event.model,
            ..Noted::default()
        })
    }
}

impl<'a> Event<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut event = Self::default();
        let mut at = Cursor::new(data);
        at.object(|at, name| {
            match name {
                b"type" => event.kind = at.text()?,
                b"message" if at.peek()? == b'{' => at.object(|at, name| {
                    match name {
                        b"model" => event.model = Some(at.value()?).filter(|range| is_text(&data[range.clone()])),
                        b"usage" => event.usage = Some(at.text()?),
                        _ => {
                            at.value()?;
                        }
                    }
                    Some(())
                })?,
                b"content_block" if at.peek()? == b'{' => at.object(|at, name| {
                    let value = at.text()?;
                    if name == b"type" {
                        event.block = value;
                    }
                    Some(())
                })?,
                b"delta" if at.peek()? == b'{' => at.object(|at, name| {
                    let value = at.text()?;
                    event.stops |= name == b"stop_reason" && value != b"null";
                    Some(())
                })?,
                b"usage" => event.usage = Some(at.text()?),
                _ => {
                    at.value()?;
                }
            }
            Some(())
        })?;
        (at.at_end() && !event.kind.is_empty()).then_some(event)
    }
}

fn is_text(value: &[u8]) -> bool {
    value.len() > 2 && value[0] == b'"'
}
