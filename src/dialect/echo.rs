//! Streams of typed events (Messages, Responses) to a caller of the same dialect: everything passes as it is, save the
//! name of the model, which echoes the caller's own spelling.

use std::ops::Range;

use bytes::Bytes;

use super::sse::{Frame, Frames};
use super::stream::{ChunkTransform, Progress, Stitch, StreamFault};
use super::usage::Usage;

/// What a dialect reads in the data of an event.
pub trait Events: Send {
    /// `None` for data that is no event of the dialect, which passes.
    fn read(&mut self, data: &[u8]) -> Option<Noted>;
}

/// What matters of an event.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Noted {
    /// Where in the data the model's name stands, quotes included.
    pub model: Option<Range<usize>>,
    /// There is output, or the reason for which it ended.
    pub content: bool,
    /// It says that the stream failed.
    pub error: bool,
    /// It is the last event of a stream that is complete.
    pub ended: bool,
    /// What was used until now.
    pub usage: Option<Usage>,
}

#[derive(Default, Debug)]
pub struct EchoStream<E> {
    events: E,
    frames: Frames,
    echo: Option<Bytes>,
    progress: Progress,
}

impl<E: Events + Default> EchoStream<E> {
    /// `echo` is the caller's name of the model as a JSON string, quotes included.
    pub fn new(echo: Option<Bytes>) -> Self {
        Self { echo, ..Self::default() }
    }
}

impl<E: Events> EchoStream<E> {
    fn relay(&mut self, frame: Frame, out: &mut Stitch<'_>) {
        let Some(range) = frame.single_data_range() else { return self.relay_lines(&frame, out) };
        match (self.note(&frame.raw[range.clone()]), &self.echo) {
            (Some(model), Some(echo)) => {
                out.keep(frame.raw.slice(..range.start + model.start));
                out.new_part(echo.clone());
                out.keep(frame.raw.slice(range.start + model.end..));
            }
            _ => out.keep(frame.raw),
        }
    }

    /// A frame whose data is not one line: nothing to do, or rare enough to be put together anew.
    fn relay_lines(&mut self, frame: &Frame, out: &mut Stitch<'_>) {
        let Some(data) = frame.data() else { return out.keep(frame.raw.clone()) };
        match (self.note(&data), &self.echo) {
            (Some(model), Some(echo)) => {
                out.new_part(frame.with_data(&[&data[..model.start], echo, &data[model.end..]].concat()));
            }
            _ => out.keep(frame.raw.clone()),
        }
    }

    /// Counts the event, and says where its model stands.
    fn note(&mut self, data: &[u8]) -> Option<Range<usize>> {
        self.progress.events += 1;
        let noted = self.events.read(data)?;
        if noted.content {
            self.progress.content_event();
        }
        if noted.error {
            self.progress.error = Some(Bytes::copy_from_slice(data));
        }
        self.progress.ended |= noted.ended;
        self.progress.usage = noted.usage.or(self.progress.usage);
        noted.model
    }
}

impl<E: Events> ChunkTransform for EchoStream<E> {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        let mut stitch = Stitch::new(chunk.clone(), out);
        self.frames.push(chunk);
        let result = loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.relay(frame, &mut stitch),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault.into()),
            }
        };
        self.progress.bytes_out += stitch.finish();
        result
    }

    /// An event that was broken off is no event and is dropped: the relay says that the stream is broken. The last event
    /// without its blank line counts all the same, and gets what it lacks.
    fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Some(frame) = self.frames.rest() else { return };
        let mut stitch = Stitch::new(Bytes::new(), out);
        if frame.is_silent() {
            stitch.keep(frame.raw);
        } else if frame.data().and_then(|data| self.events.read(&data)).is_some_and(|noted| noted.ended) {
            self.relay(frame, &mut stitch);
            stitch.new_part(Bytes::from_static(b"\n\n"));
        }
        self.progress.bytes_out += stitch.finish();
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}
