//! What all stream transforms share: their trait, what they report, and how their output keeps to slices.
//!
//! A transform is pure and synchronous: chunks of the upstream in, chunks for the caller out, nothing held back but an
//! event that is not complete.

use std::ops::Range;

use bytes::Bytes;

use super::Dialect;
use super::error::{self, ErrorView};
use super::sse::{Frame, FrameTooLong, Frames};
use super::usage::{Background, Usage};

/// Why a stream can't go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StreamFault {
    #[error(transparent)]
    FrameTooLong(#[from] FrameTooLong),
}

/// Turns the upstream's bytes into the caller's.
pub trait ChunkTransform: Send {
    /// Takes what arrived and adds what the caller may see of it. What was added before a fault is still good.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault>;

    /// The upstream ended, rightly or not: `progress().ended` tells.
    fn finish(&mut self, out: &mut Vec<Bytes>);

    fn progress(&self) -> &Progress;

    /// The event that tells a caller of `dialect` that the stream broke off: it stands in the place of the end.
    fn broken(&self, dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
        error::render_event(dialect, error)
    }
}

/// A transform that passes frames on, changed or not, as slices of what arrived.
pub(super) trait Relays {
    fn frames(&mut self) -> &mut Frames;

    fn relay(&mut self, frame: Frame, out: &mut Stitch<'_>);

    fn progress_mut(&mut self) -> &mut Progress;

    /// Takes a chunk and relays each frame that is complete by now.
    fn relay_chunk(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        let mut stitch = Stitch::new(chunk.clone(), out);
        self.frames().push(chunk);
        let result = loop {
            match self.frames().next_frame() {
                Ok(Some(frame)) => self.relay(frame, &mut stitch),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault.into()),
            }
        };
        self.progress_mut().bytes_out += stitch.finish();
        result
    }
}

/// What a stream has brought so far.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Progress {
    /// Events with data, the end mark excluded.
    pub events: u64,
    /// Events that carry output: from the first of them on, an attempt must not be repeated.
    pub content_events: u64,
    pub content_started: bool,
    /// The dialect's own end was seen (`[DONE]`).
    pub ended: bool,
    /// The caller has all of it, though the upstream goes on.
    pub enough: bool,
    /// The data of an error event.
    pub error: Option<Bytes>,
    pub usage: Option<Usage>,
    /// The response that the stream is about, if it is made in the background.
    pub background: Option<Background>,
    pub bytes_out: u64,
}

/// Collects output, and joins neighbouring slices of one chunk into one.
pub(super) struct Stitch<'a> {
    chunk: Bytes,
    /// The part of the chunk that was kept and not yet put out.
    run: Range<usize>,
    out: &'a mut Vec<Bytes>,
    written: u64,
}

impl Progress {
    pub(super) fn content_event(&mut self) {
        self.content_events += 1;
        self.content_started = true;
    }
}

impl<'a> Stitch<'a> {
    pub fn new(chunk: Bytes, out: &'a mut Vec<Bytes>) -> Self {
        Self { chunk, run: 0..0, out, written: 0 }
    }

    /// Puts out a part of the input as it is.
    pub fn keep(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        let offset = (part.as_ptr() as usize).checked_sub(self.chunk.as_ptr() as usize);
        match offset.filter(|offset| offset + part.len() <= self.chunk.len()) {
            Some(offset) if offset == self.run.end => self.run.end += part.len(),
            Some(offset) => {
                self.flush();
                self.run = offset..offset + part.len();
            }
            None => self.new_part(part),
        }
    }

    /// Puts out bytes that are not of the chunk.
    pub fn new_part(&mut self, part: Bytes) {
        self.flush();
        self.written += part.len() as u64;
        self.out.push(part);
    }

    /// Ends the output and says how many bytes it was.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.written
    }

    fn flush(&mut self) {
        let run = std::mem::replace(&mut self.run, 0..0);
        if !run.is_empty() {
            self.written += run.len() as u64;
            self.out.push(self.chunk.slice(run));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::peek::tests::split;
    use super::*;

    /// What a stream makes of an input that comes in pieces of these sizes.
    pub fn driven(stream: &mut dyn ChunkTransform, input: &[u8], sizes: &[usize]) -> (String, Progress) {
        let mut out = Vec::new();
        for chunk in split(input, sizes) {
            stream.push(chunk.into(), &mut out).unwrap();
        }
        stream.finish(&mut out);
        let (out, progress) = (out.concat(), stream.progress().clone());
        assert_eq!(progress.bytes_out, out.len() as u64);
        (String::from_utf8(out).unwrap(), progress)
    }

    #[test]
    fn neighbouring_slices_become_one() {
        let chunk = Bytes::from_static(b"abcdefghij");
        let mut out = Vec::new();
        let mut stitch = Stitch::new(chunk.clone(), &mut out);
        for part in [0..2, 2..5, 6..7, 7..8] {
            stitch.keep(chunk.slice(part));
        }
        stitch.new_part(Bytes::from_static(b"NEW"));
        stitch.keep(chunk.slice(8..10));
        stitch.keep(Bytes::from("elsewhere".to_owned()));
        assert_eq!(stitch.finish(), 21);
        assert_eq!(out, ["abcde", "gh", "NEW", "ij", "elsewhere"]);
        assert_eq!(out[0].as_ptr(), chunk.as_ptr(), "a slice, not a copy");
    }
}
