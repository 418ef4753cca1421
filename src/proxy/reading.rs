//! How bodies are read on their way: which dialect a request's is noted in, and how an answer's is changed back.

use std::sync::Arc;

use bytes::Bytes;

use super::form::{Coding, Form};
use super::refuse::Refusal;
use super::speech;
use crate::dialect::answer::Answer;
use crate::dialect::chat::ChatStream;
use crate::dialect::media::MediaStream;
use crate::dialect::messages::MessagesStream;
use crate::dialect::multipart::{self, Multipart};
use crate::dialect::responses::{Bound, Named, References, ResponsesAnswer, ResponsesStream};
use crate::dialect::stream::ChunkTransform;
use crate::dialect::translate::{self, Look, Protocol};
use crate::dialect::usage::Background;
use crate::dialect::{Members, Operation, Peek, Usage};

/// Top-level members of a request that the gateway acts on.
const FIELDS: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "deployment",
    "endpoint",
    "fallbacks",
    "prompt_cache_key",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "purpose",
];

/// The same of a form. The gateway's own fields are for bodies in JSON.
const FORM_FIELDS: &[&str] = &["model", "stream", "purpose"];

/// Notes what matters of a request's body, in one pass while it arrives.
pub enum Request {
    Json { peek: Box<Peek>, references: Option<Box<References>>, look: Option<Look> },
    Form(Box<Multipart>),
}

/// What was noted.
pub struct Noted {
    pub members: Members,
    /// What a Responses request refers to.
    pub references: Vec<Named>,
    /// The protocol in whose places reasoning may be that was packed here.
    pub suspects: Option<Protocol>,
    /// The form that the body is.
    pub form: Option<multipart::Form>,
}

impl Request {
    /// For an operation whose request has that content type.
    pub fn new(operation: Operation, content_type: &str) -> Result<Self, Refusal> {
        let is_form = content_type.trim_start().to_ascii_lowercase().starts_with("multipart/");
        if Form::coding(operation) == Coding::Form || (Form::coding(operation) == Coding::Either && is_form) {
            return Ok(Self::Form(Box::new(Multipart::new(content_type)?)));
        }
        let references = Form::has_ids(operation).then(Box::<References>::default);
        let look = speech::of_body(operation).and_then(Look::new);
        Ok(Self::Json { peek: Box::new(Peek::new(FIELDS)), references, look })
    }

    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json { .. })
    }

    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Json { peek, references, look } => {
                look.iter_mut().for_each(|look| look.feed(chunk));
                references.iter_mut().for_each(|references| references.feed(chunk));
                Ok(peek.feed(chunk)?)
            }
            Self::Form(form) => Ok(form.feed(chunk)?),
        }
    }

    pub fn finish(self) -> Result<Noted, Refusal> {
        let (peek, references, look) = match self {
            Self::Json { peek, references, look } => (peek, references, look),
            Self::Form(form) => {
                let form = form.finish()?;
                let members = form.members(FORM_FIELDS);
                return Ok(Noted { members, references: Vec::new(), suspects: None, form: Some(form) });
            }
        };
        let members = peek.finish()?;
        let too_many = || Refusal::new(400, "bad_request", "the input has too many items").param("input");
        let references = references.map_or(Some(Vec::new()), |references| references.finish()).ok_or_else(too_many)?;
        Ok(Noted { members, references, suspects: look.and_then(|look| look.suspects()), form: None })
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
    /// How the answer becomes the caller's, where the upstream speaks another dialect.
    pub translated: Option<translate::Reply>,
}

/// Reads a plain answer.
pub enum Plain {
    Chat(Answer),
    Responses(ResponsesAnswer),
}

impl Reading {
    pub fn stream(&self) -> Box<dyn ChunkTransform> {
        if let Some(reply) = &self.translated {
            return reply.stream();
        }
        let echo = self.echo.clone();
        if Form::speaks_responses(self.operation) {
            let stream = ResponsesStream::native(echo, self.bound.clone());
            return Box::new(if self.strip_filter_results { stream.without_filter_results() } else { stream });
        }
        if self.operation == Operation::Messages {
            return Box::new(MessagesStream::new(echo));
        }
        if Form::makes_media(self.operation) {
            return Box::new(MediaStream::new(None));
        }
        let stream = ChatStream::new(echo, self.hide_usage);
        Box::new(if self.strip_filter_results { stream.without_filter_results() } else { stream })
    }

    pub fn plain(&self) -> Plain {
        let echo = self.echo.clone();
        if Form::has_ids(self.operation) {
            return Plain::Responses(ResponsesAnswer::new(echo, self.bound.clone()));
        }
        Plain::Chat(self.answer(echo))
    }

    fn answer(&self, echo: Option<Bytes>) -> Answer {
        match self.operation {
            Operation::Messages => Answer::of_messages(echo),
            operation if Form::makes_media(operation) => Answer::of_media(echo),
            _ => Answer::new(echo),
        }
    }

    /// Whether an answer of that media type is sound, pictures or plain text: nothing is read in it, and it passes as it
    /// comes.
    pub fn is_for_machines(&self, media: &str) -> bool {
        Form::is_content(self.operation) || (Form::makes_media(self.operation) && media != "application/json")
    }

    /// Whether the length of an answer that passes as it comes is worth more to its caller than its first bytes at once.
    pub fn keeps_length(&self) -> bool {
        Form::is_content(self.operation)
    }

    /// Reads the usage of an answer that is not changed; `None` where every answer is.
    pub fn meter(&self) -> Option<Plain> {
        let changed = Form::has_ids(self.operation) || self.translated.is_some();
        (!changed).then(|| Plain::Chat(self.answer(None)))
    }

    /// Whether a stream has one end mark, after which nothing comes that counts. Streams of several pictures have one each.
    pub fn ends_once(&self) -> bool {
        !Form::makes_media(self.operation)
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

    /// The response that the answer is about, if it was made in the background.
    pub fn background(&self) -> Option<Background> {
        match self {
            Self::Chat(_) => None,
            Self::Responses(answer) => answer.background(),
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
