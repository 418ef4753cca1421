//! The body that hyper polls: walks the steps of `wire` and closes the request's entry in the record.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::line::{Cut, Line};
use super::record::{Entry, Outcome};
use super::wire::Step;

/// A body under way.
pub struct Flow {
    steps: std::vec::IntoIter<Step>,
    /// What is left of a body whose length is announced.
    exact: Option<u64>,
    /// Bytes behind the announced length (HTTP/1.1).
    surplus: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    line: Arc<Line>,
    entry: Option<Entry>,
    outcome: Outcome,
}

/// The body ends in an error on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the fault ends the body here")]
pub struct Broken;

impl Flow {
    pub fn new(steps: Vec<Step>, line: Arc<Line>, entry: Entry, outcome: Outcome) -> Self {
        let steps = steps.into_iter();
        let mut flow =
            Self { steps, exact: None, surplus: Bytes::new(), pause: None, line, entry: Some(entry), outcome };
        flow.close_if_done();
        flow
    }

    /// A body that belongs to no recorded request.
    pub fn unrecorded(bytes: Bytes, line: Arc<Line>) -> Self {
        let exact = Some(bytes.len() as u64);
        let steps = if bytes.is_empty() { Vec::new() } else { vec![Step::Send(bytes, 0)] };
        let steps = steps.into_iter();
        Self { steps, exact, surplus: Bytes::new(), pause: None, line, entry: None, outcome: Outcome::Answered }
    }

    /// Lets hyper announce the length.
    pub fn with_known_length(mut self) -> Self {
        let length = |step: &Step| if let Step::Send(bytes, _) = step { bytes.len() as u64 } else { 0 };
        self.exact = Some(self.steps.as_slice().iter().map(length).sum());
        self
    }

    pub fn with_surplus(mut self, surplus: Bytes) -> Self {
        self.surplus = surplus;
        self
    }

    fn close_if_done(&mut self) {
        if self.steps.len() == 0
            && let Some(mut entry) = self.entry.take()
        {
            entry.finish(self.outcome);
        }
    }

    fn send(&mut self, bytes: Bytes, events: u64) -> Frame<Bytes> {
        self.exact = self.exact.map(|left| left.saturating_sub(bytes.len() as u64));
        if events > 0
            && let Some(entry) = &self.entry
        {
            entry.events_sent(events);
        }
        if self.steps.len() == 0 && !self.surplus.is_empty() {
            self.line.write_after_flush(std::mem::take(&mut self.surplus));
        }
        self.close_if_done();
        Frame::data(bytes)
    }

    fn cut(&mut self, how: Cut) {
        if let Some(mut entry) = self.entry.take() {
            entry.finish(Outcome::Fault);
        }
        self.line.cut(how);
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.steps.next() {
                None => {
                    self.close_if_done();
                    return Poll::Ready(None);
                }
                Some(Step::Send(bytes, events)) => return Poll::Ready(Some(Ok(self.send(bytes, events)))),
                Some(Step::Flush) => {
                    // hyper flushes whenever a body has nothing ready.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Wait(time)) => self.pause = Some(Box::pin(sleep_until(Instant::now() + time))),
                Some(Step::Stall) => {
                    // Steps must not run out, or the body would count as complete.
                    self.steps = vec![Step::Stall, Step::Stall].into_iter();
                    return Poll::Pending;
                }
                Some(Step::Cut(how)) => {
                    self.cut(how);
                    self.steps = vec![Step::Stall].into_iter();
                    return Poll::Pending;
                }
                Some(Step::Fail) => {
                    if let Some(mut entry) = self.entry.take() {
                        entry.finish(Outcome::Fault);
                    }
                    return Poll::Ready(Some(Err(Broken)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
