//! A stream from one dialect into another: each event is read as soon as it is complete, and what it says is written
//! at once.

use bytes::Bytes;

use super::answer::{Failure, Read, Seen, Write};
use super::cut::Cut;
use crate::dialect::Dialect;
use crate::dialect::error::{ErrorView, render_event};
use crate::dialect::sse::{Frame, Frames};
use crate::dialect::stream::{ChunkTransform, Progress, StreamFault};
use crate::dialect::usage::Usage;

pub struct Bridge<R, W> {
    frames: Frames,
    reader: R,
    writer: W,
    cut: Cut,
    prompt_tokens: u64,
    progress: Progress,
}

impl<R: Read, W: Write> Bridge<R, W> {
    pub fn new(reader: R, writer: W, cut: Cut, prompt_tokens: u64) -> Self {
        Self { frames: Frames::default(), reader, writer, cut, prompt_tokens, progress: Progress::default() }
    }

    /// What comes behind the end, or behind a failure, is not for the caller.
    fn frame(&mut self, frame: &Frame) {
        let over = self.progress.ended || (self.progress.error.is_some() && !self.reader.waits());
        let Some(data) = frame.data().filter(|_| !over) else { return };
        let told = self.reader.event(&data, &mut self.cut.telling(&mut self.writer));
        let seen = told.unwrap_or_else(|unreadable| {
            let failure =
                Failure { status: 502, code: Some("upstream_broken".to_owned()), message: unreadable.to_string() };
            self.writer.fail(&failure);
            Seen { error: Some(failure.data()), ..Seen::default() }
        });
        self.progress.events += 1;
        self.note(seen);
        // The upstream has not counted yet, and is not waited for: the same is reckoned that the relay reckons.
        let Progress { usage, content_events, .. } = self.progress;
        let reckoned = Usage { input: self.prompt_tokens, output: content_events, ..Usage::default() };
        if self.cut.end(usage.or(Some(reckoned)), &mut self.writer) {
            self.progress.ended = true;
            self.progress.enough = true;
        }
    }

    fn note(&mut self, seen: Seen) {
        if seen.content {
            self.progress.content_event();
        }
        self.progress.ended |= seen.ended;
        self.progress.usage = seen.usage.or(self.progress.usage);
        if seen.error.is_some() {
            self.progress.error = seen.error;
        }
    }

    fn put(&mut self, out: &mut Vec<Bytes>) {
        let written = self.writer.take();
        if !written.is_empty() {
            self.progress.bytes_out += written.len() as u64;
            out.push(written.into());
        }
    }
}

impl<R: Read, W: Write> ChunkTransform for Bridge<R, W> {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamFault> {
        self.frames.push(chunk);
        let result = loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.frame(&frame),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault.into()),
            }
        };
        self.put(out);
        result
    }

    /// An event that was broken off is no event, unless it is the whole of the last one and only lacks its blank line.
    fn finish(&mut self, out: &mut Vec<Bytes>) {
        if let Some(frame) = self.frames.rest()
            && frame.data().is_some_and(|data| {
                data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(&data).is_ok()
            })
        {
            self.frame(&frame);
        }
        let seen = self.reader.over(&mut self.cut.telling(&mut self.writer));
        self.note(seen);
        self.put(out);
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn broken(&self, dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
        let (code, message) = (Some(error.code.to_owned()), error.message.to_owned());
        let event = self.writer.broken(&Failure { status: error.status, code, message });
        event.map_or_else(|| render_event(dialect, error), Bytes::from)
    }
}
