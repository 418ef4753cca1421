//! Streams of typed events (Messages, Responses) to a caller of the same dialect: everything passes as it is, save the
//! name of the model, which echoes the caller's own spelling, and what a dialect replaces besides.

use std::ops::Range;

use bytes::Bytes;

use super::Dialect;
use super::error::{self, ErrorView};
use super::filter_results;
use super::sse::{Frame, Frames};
use super::stream::{ChunkTransform, Progress, Relays, Stitch, StreamFault};
use super::usage::{Background, Usage};

/// What a dialect reads in the data of an event.
pub trait Events: Send {
    /// `None` for data that is no event of the dialect, which passes.
    fn read(&mut self, data: &[u8]) -> Option<Noted>;

    /// The event that ends a stream which broke off.
    fn broken(&self, dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
        error::render_event(dialect, error)
    }
}

/// What matters of an event.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Noted {
    /// Where in the data the model's name stands, quotes included.
    pub model: Option<Range<usize>>,
    /// Other values, or places between two bytes, and what stands there for the caller.
    pub replaced: Vec<(Range<usize>, Bytes)>,
    /// There is output, or the reason for which it ended.
    pub content: bool,
    /// It says that the stream failed: an object that holds the `error`.
    pub error: Option<Bytes>,
    /// It is the last event of a stream that is complete.
    pub ended: bool,
    /// What was used until now.
    pub usage: Option<Usage>,
    /// The response that the stream is about, if it is made in the background.
    pub background: Option<Background>,
}

#[derive(Default, Debug)]
pub struct EchoStream<E> {
    events: E,
    frames: Frames,
    echo: Option<Bytes>,
    strip_filter_results: bool,
    progress: Progress,
}

impl<E: Events + Default> EchoStream<E> {
    /// `echo` is the caller's name of the model as a JSON string, quotes included.
    pub fn new(echo: Option<Bytes>) -> Self {
        Self::of(E::default(), echo)
    }
}

impl<E: Events> EchoStream<E> {
    /// The same for events that are read in a way of their own.
    pub fn of(events: E, echo: Option<Bytes>) -> Self {
        Self { events, frames: Frames::default(), echo, strip_filter_results: false, progress: Progress::default() }
    }

    /// Removes content filter results too.
    pub fn without_filter_results(mut self) -> Self {
        self.strip_filter_results = true;
        self
    }

    /// A frame whose data is not one line: nothing to do, or rare enough to be put together anew.
    fn relay_lines(&mut self, frame: &Frame, out: &mut Stitch<'_>) {
        let Some(data) = frame.data() else { return out.keep(frame.raw.clone()) };
        let edits = self.note(&data);
        if edits.is_empty() {
            return out.keep(frame.raw.clone());
        }
        out.new_part(frame.with_data(&edited(&data, edits)));
    }

    /// Counts the event, and says what is to be replaced in it, in order.
    fn note(&mut self, data: &[u8]) -> Vec<(Range<usize>, Bytes)> {
        self.progress.events += 1;
        let Some(noted) = self.events.read(data) else { return Vec::new() };
        if noted.content {
            self.progress.content_event();
        }
        self.progress.error = noted.error.or(self.progress.error.take());
        self.progress.ended |= noted.ended;
        self.progress.usage = noted.usage.or(self.progress.usage);
        self.progress.background = noted.background.or(self.progress.background.take());
        let mut edits = noted.replaced;
        if let (Some(model), Some(echo)) = (noted.model, &self.echo) {
            edits.push((model, echo.clone()));
            edits.sort_by_key(|(place, _)| place.start);
        }
        edits
    }
}

/// The data with other parts in the place of some.
fn edited(data: &[u8], edits: Vec<(Range<usize>, Bytes)>) -> Vec<u8> {
    let (mut edited, mut done) = (Vec::with_capacity(data.len()), 0);
    for (place, new) in edits {
        edited.extend_from_slice(&data[done..place.start]);
        edited.extend_from_slice(&new);
        done = place.end;
    }
    edited.extend_from_slice(&data[done..]);
    edited
}

impl<E: Events> Relays for EchoStream<E> {
    fn frames(&mut self) -> &mut Frames {
        &mut self.frames
    }

    fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn relay(&mut self, frame: Frame, out: &mut Stitch<'_>) {
        let stripped = self.strip_filter_results.then(|| filter_results::remove(&frame.data()?)).flatten();
        if let Some(data) = stripped {
            let edits = self.note(&data);
            return out.new_part(frame.with_data(&edited(&data, edits)));
        }
        let Some(range) = frame.single_data_range() else { return self.relay_lines(&frame, out) };
        let mut done = 0;
        for (place, new) in self.note(&frame.raw[range.clone()]) {
            out.keep(frame.raw.slice(done..range.start + place.start));
            out.new_part(new);
            done = range.start + place.end;
        }
        out.keep(frame.raw.slice(done..));
    }
}

impl<E: Events> ChunkTransform for EchoStream<E> {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        self.relay_chunk(chunk, out)
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

    fn broken(&self, dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
        self.events.broken(dialect, error)
    }
}
