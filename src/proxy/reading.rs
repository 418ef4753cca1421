//! How bodies are read on their way: which dialect a request's is noted in, and how an answer's is changed back.

use std::sync::Arc;

use bytes::Bytes;

use super::form::Form;
use super::refuse::Refusal;
use crate::dialect::answer::Answer;
use crate::dialect::chat::ChatStream;
use crate::dialect::responses::{Bound, Named, References, ResponsesAnswer, ResponsesStream};
use crate::dialect::stream::ChunkTransform;
use crate::dialect::{Members, Operation, Peek, Usage};

/// Top-level members of a request that the gateway acts on.
const FIELDS: &[&str] =
    &["model", "stream", "stream_options", "deployment", "endpoint", "fallbacks", "prompt_cache_key"];

/// Notes what matters of a request's body, in one pass while it arrives.
pub struct Request {
    peek: Peek,
    references: Option<References>,
}

/// What was noted.
pub struct Noted {
    pub members: Members,
    /// What a Responses request refers to.
    pub references: Vec<Named>,
}

impl Request {
    pub fn new(operation: Operation) -> Self {
        Self { peek: Peek::new(FIELDS), references: Form::speaks_responses(operation).then(References::default) }
    }

    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.references.iter_mut().for_each(|references| references.feed(chunk));
        Ok(self.peek.feed(chunk)?)
    }

    pub fn finish(self) -> Result<Noted, Refusal> {
        let members = self.peek.finish()?;
        let too_many = || Refusal::new(400, "bad_request", "the input has too many items").param("input");
        let references = self.references.map_or(Some(Vec::new()), References::finish).ok_or_else(too_many)?;
        Ok(Noted { members, references })
    }
}

/// How the answer to one attempt is read and changed for its caller.
#[derive(Clone)]
pub struct Reading {
    pub operation: Operation,
    /// The caller's own spelling of the model, as a JSON string; `None` where it named none.
    pub echo: Option<Bytes>,
    /// The usage chunk was asked for by the gateway and is not for the caller.
    pub hide_usage: bool,
    /// How the caller knows what the resource makes.
    pub bound: Option<Arc<dyn Bound>>,
    pub strip_filter_results: bool,
}

/// Reads a plain answer.
pub enum Plain {
    Chat(Answer),
    Responses(ResponsesAnswer),
}

impl Reading {
    pub fn stream(&self) -> Box<dyn ChunkTransform> {
        let echo = self.echo.clone();
        if Form::speaks_responses(self.operation) {
            let stream = ResponsesStream::native(echo, self.bound.clone());
            return Box::new(if self.strip_filter_results { stream.without_filter_results() } else { stream });
        }
        let stream = ChatStream::new(echo, self.hide_usage);
        Box::new(if self.strip_filter_results { stream.without_filter_results() } else { stream })
    }

    pub fn plain(&self) -> Plain {
        let echo = self.echo.clone();
        if Form::speaks_responses(self.operation) {
            return Plain::Responses(ResponsesAnswer::new(echo, self.bound.clone()));
        }
        Plain::Chat(Answer::new(echo))
    }

    /// Reads the usage of an answer that is not changed; `None` where every answer is.
    pub fn meter(&self) -> Option<Plain> {
        (!Form::speaks_responses(self.operation)).then(|| Plain::Chat(Answer::new(None)))
    }

    /// Whether the usage of an answer is this request's own: what is read again was counted when it was made.
    pub fn counts(&self) -> bool {
        !Form::is_about_object(self.operation)
    }
}

impl Plain {
    pub fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Chat(answer) => answer.feed(chunk),
            Self::Responses(answer) => answer.feed(chunk),
        }
    }

    /// The answer for the caller, as slices of `rope`, and the tokens it reports.
    pub fn finish(self, rope: Vec<Bytes>) -> (Vec<Bytes>, Option<Usage>) {
        match self {
            Self::Chat(answer) => answer.finish(rope),
            Self::Responses(answer) => answer.finish(rope),
        }
    }
}
