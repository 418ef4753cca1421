//! Event streams as WHATWG defines them: bytes in, frames out, and not a byte lost.
//!
//! A frame is everything up to and including the blank line that ends it. Frames are given out as soon as they are
//! complete; what they mean is left to the dialects.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr2};

/// Longest frame that is put together. The largest real ones carry an image in base64.
pub const FRAME_LIMIT: usize = 16 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A frame longer than [`FRAME_LIMIT`]. What was read of it is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event of the stream is longer than {FRAME_LIMIT} bytes")]
pub struct FrameTooLong;

/// Cuts a byte stream into frames, whatever its splitting.
///
/// The raw frames one after the other are the input. A frame that lies within one chunk is a slice of it. When a chunk
/// ends between the CR and the LF of a blank line, the frame is given out at once and the LF becomes a blank frame of
/// its own, so that no event waits for the next.
#[derive(Default, Debug)]
pub struct Frames {
    /// What was pushed and not yet looked at.
    chunks: VecDeque<Bytes>,
    /// The part of the frame that came with earlier chunks.
    pending: Vec<u8>,
    lines: LineState,
    begun: bool,
}

/// One event, comment or blank line as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub raw: Bytes,
    /// Bytes of a byte order mark, which only the first frame may have.
    mark: usize,
}

#[derive(Default, Debug)]
struct LineState {
    /// The current line is not empty.
    in_line: bool,
    /// The last chunk ended with CR, so that a LF would belong to it.
    after_cr: bool,
}

/// The fields of a frame: name, and where in the frame the value stands.
struct Fields<'a> {
    raw: &'a [u8],
    at: usize,
}

impl Frames {
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next complete frame of what was pushed. After an error, everything pushed so far is gone.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLong> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            let end = self.lines.scan(&chunk, self.pending.is_empty());
            let part = end.map_or(chunk.len(), |end| end);
            if self.pending.len() + part > FRAME_LIMIT {
                *self = Self::default();
                return Err(FrameTooLong);
            }
            let part = chunk.split_to(part);
            self.push_front(chunk);
            if end.is_none() || !self.pending.is_empty() {
                self.pending.extend_from_slice(&part);
            }
            if end.is_some() {
                let raw = if self.pending.is_empty() { part } else { std::mem::take(&mut self.pending).into() };
                return Ok(Some(self.frame(raw)));
            }
        }
        Ok(None)
    }

    /// At the end of the input: the tail that no blank line ended.
    pub fn rest(&mut self) -> Option<Frame> {
        let mut raw = std::mem::take(&mut self.pending);
        for chunk in std::mem::take(&mut self.chunks) {
            raw.extend_from_slice(&chunk);
        }
        (!raw.is_empty()).then(|| self.frame(raw.into()))
    }

    fn push_front(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            self.chunks.push_front(rest);
        }
    }

    fn frame(&mut self, raw: Bytes) -> Frame {
        let first = !std::mem::replace(&mut self.begun, true);
        let mark = if first && raw.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Frame { raw, mark }
    }
}

impl LineState {
    /// The index after the blank line that ends the frame. `fresh`: no byte of the frame came before.
    fn scan(&mut self, chunk: &[u8], fresh: bool) -> Option<usize> {
        let mut at = 0;
        if std::mem::take(&mut self.after_cr) && chunk.first() == Some(&b'\n') {
            if fresh {
                return Some(1);
            }
            at = 1;
        }
        while let Some(length) = memchr2(b'\n', b'\r', &chunk[at..]) {
            let line_end = at + length;
            let blank = length == 0 && !self.in_line;
            self.in_line = false;
            at = line_end + 1;
            if chunk[line_end] == b'\r' {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(at);
            }
        }
        self.in_line |= at < chunk.len();
        None
    }
}

impl Frame {
    /// The data of the event, its lines joined by LF. `None` when it has none, which makes it no event.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut lines = self.values(b"data");
        let first = &self.raw[lines.next()?];
        let Some(second) = lines.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for line in std::iter::once(second).chain(lines) {
            joined.push(b'\n');
            joined.extend_from_slice(&self.raw[line]);
        }
        Some(Cow::Owned(joined))
    }

    /// Where in `raw` the data stands, when it is one line.
    pub fn single_data_range(&self) -> Option<Range<usize>> {
        let mut lines = self.values(b"data");
        let only = lines.next()?;
        lines.next().is_none().then_some(only)
    }

    /// The type of the event, when it names one.
    pub fn event(&self) -> Option<&[u8]> {
        self.values(b"event").last().map(|range| &self.raw[range]).filter(|name| !name.is_empty())
    }

    /// Whether there is nothing but blank lines and comments.
    pub fn is_silent(&self) -> bool {
        self.fields().next().is_none()
    }

    /// The same event with other data: its other fields, then the data, one line for each of its lines.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.raw.len() + data.len());
        for (name, value) in self.fields().filter(|(name, _)| *name != b"data") {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(&self.raw[value]);
            out.push(b'\n');
        }
        for line in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
        out.into()
    }

    fn values<'a>(&'a self, wanted: &'static [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        self.fields().filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
    }

    fn fields(&self) -> Fields<'_> {
        Fields { raw: &self.raw, at: self.mark }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.raw.len() {
            let start = self.at;
            let end = memchr2(b'\n', b'\r', &self.raw[start..]).map_or(self.raw.len(), |length| start + length);
            // The LF of a CRLF reads as one more empty line, which means nothing here.
            self.at = end + 1;
            let line = &self.raw[start..end];
            match memchr(b':', line) {
                Some(0) => {}
                Some(colon) => {
                    let value = start + colon + 1;
                    let space = usize::from(value < end && self.raw[value] == b' ');
                    return Some((&line[..colon], value + space..end));
                }
                None if line.is_empty() => {}
                None => return Some((line, end..end)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
