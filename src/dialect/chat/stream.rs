//! Streams of chat completions and completions to a caller of the same dialect: almost everything passes as it is.
//!
//! What changes: the value of `model`, which echoes the caller's own spelling; the usage chunk when only the gateway
//! asked for it; filter results when they are to be removed.

use std::ops::Range;

use bytes::Bytes;

use super::super::filter_results;
use super::super::sse::{Frame, Frames};
use super::super::stream::{ChunkTransform, Progress, Relays, Stitch, StreamFault};
use super::super::usage::Usage;
use super::chunk::Chunk;

const END: &[u8] = b"[DONE]";

#[derive(Default, Debug)]
pub struct ChatStream {
    frames: Frames,
    echo: Option<Bytes>,
    hide_usage: bool,
    strip_filter_results: bool,
    /// The last frame went with its CR, and the LF that may follow must go too.
    drops_line_feed: bool,
    progress: Progress,
}

impl ChatStream {
    /// `echo` is the caller's name of the model as a JSON string, quotes included. `hide_usage` drops the usage chunk,
    /// for callers who did not ask for it.
    pub fn new(echo: Option<Bytes>, hide_usage: bool) -> Self {
        Self { echo, hide_usage, ..Self::default() }
    }

    /// Removes content filter results too. A chunk that holds the verdict on the prompt and nothing else goes whole:
    /// its empty `choices` are what clients that want no filter results stumble over.
    pub fn without_filter_results(mut self) -> Self {
        self.strip_filter_results = true;
        self
    }

    /// A frame whose data is not one line: nothing to do, or rare enough to be put together anew.
    fn relay_lines(&mut self, frame: Frame, out: &mut Stitch<'_>) {
        let edited = frame.data().and_then(|data| {
            if self.note_end(&data) {
                return None;
            }
            let chunk = Chunk::read(&data)?;
            self.note(&chunk, || Bytes::copy_from_slice(&data));
            if self.drops(&chunk) {
                return Some(Bytes::new());
            }
            let stripped = if self.strip_filter_results { filter_results::remove(&data) } else { None };
            let echoed = self.with_echo(stripped.as_deref().unwrap_or(&data));
            echoed.or(stripped).map(|data| frame.with_data(&data))
        });
        let Some(edited) = edited else { return out.keep(frame.raw) };
        self.drops_line_feed = frame.raw.ends_with(b"\r");
        if !edited.is_empty() {
            out.new_part(edited);
        }
    }

    /// Counts the event, and says whether it is the end mark.
    fn note_end(&mut self, data: &[u8]) -> bool {
        let ended = data.trim_ascii() == END;
        self.progress.ended |= ended;
        self.progress.events += u64::from(!ended);
        ended
    }

    fn note(&mut self, chunk: &Chunk, data: impl FnOnce() -> Bytes) {
        if chunk.content {
            self.progress.content_event();
        }
        if chunk.error {
            self.progress.error = Some(data());
        } else if let Some(usage) = &chunk.usage {
            let usage = Usage::from_chat(&data()[usage.clone()]);
            self.progress.usage = usage.or(self.progress.usage);
        }
    }

    fn drops(&self, chunk: &Chunk) -> bool {
        let usage_only = self.hide_usage && chunk.usage.is_some() && !chunk.prompt_filter;
        let verdict_only = self.strip_filter_results && chunk.prompt_filter && chunk.usage.is_none();
        chunk.no_choices && !chunk.error && (usage_only || verdict_only)
    }

    fn with_echo(&self, data: &[u8]) -> Option<Vec<u8>> {
        let echo = self.echo.as_ref()?;
        let Range { start, end } = Chunk::read(data)?.model?;
        Some([&data[..start], echo, &data[end..]].concat())
    }
}

impl Relays for ChatStream {
    fn frames(&mut self) -> &mut Frames {
        &mut self.frames
    }

    fn progress_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn relay(&mut self, frame: Frame, out: &mut Stitch<'_>) {
        if std::mem::take(&mut self.drops_line_feed) && frame.raw == "\n" {
            return;
        }
        let Some(range) = frame.single_data_range() else { return self.relay_lines(frame, out) };
        let data = &frame.raw[range.clone()];
        if self.note_end(data) {
            return out.keep(frame.raw);
        }
        let Some(chunk) = Chunk::read(data) else { return out.keep(frame.raw) };
        self.note(&chunk, || frame.raw.slice(range.clone()));
        if self.drops(&chunk) {
            self.drops_line_feed = frame.raw.ends_with(b"\r");
            return;
        }
        if self.strip_filter_results
            && let Some(rest) = filter_results::remove(data)
        {
            let data = self.with_echo(&rest).unwrap_or(rest);
            out.keep(frame.raw.slice(..range.start));
            out.new_part(data.into());
            return out.keep(frame.raw.slice(range.end..));
        }
        match (&self.echo, chunk.model) {
            (Some(echo), Some(model)) => {
                out.keep(frame.raw.slice(..range.start + model.start));
                out.new_part(echo.clone());
                out.keep(frame.raw.slice(range.start + model.end..));
            }
            _ => out.keep(frame.raw),
        }
    }
}

impl ChunkTransform for ChatStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        self.relay_chunk(chunk, out)
    }

    /// An event that was broken off is no event and is dropped: the relay says that the stream is broken. The end mark
    /// without its blank line counts all the same, because clients take it so, and gets what it lacks.
    fn finish(&mut self, out: &mut Vec<Bytes>) {
        let Some(frame) = self.frames.rest() else { return };
        let ends = frame.data().is_some_and(|data| data.trim_ascii() == END);
        if !ends && !frame.is_silent() {
            return;
        }
        let mut stitch = Stitch::new(Bytes::new(), out);
        stitch.keep(frame.raw);
        if ends {
            self.progress.ended = true;
            stitch.new_part(Bytes::from_static(b"\n\n"));
        }
        self.progress.bytes_out += stitch.finish();
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

#[cfg(test)]
pub(in crate::dialect) mod tests;
