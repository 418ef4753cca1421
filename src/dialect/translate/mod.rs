//! Translation between dialects: what a caller says in one is said to an upstream in another, and what the upstream
//! answers goes back the same way. `docs/translation.md` has the tables, field by field.
//!
//! A request is read into [`request`], which knows no dialect, and written from there. An answer is told, piece by piece
//! ([`answer`]), by whoever reads the upstream's dialect to whoever writes the caller's. So each dialect is read and
//! written in one place, and a direction is a pair of them.

mod answer;
mod bridge;
mod chat;
mod count;
mod fields;
mod functions;
mod ids;
mod messages;
mod model;
mod proof;
mod refused;
mod request;
mod responses;
mod schema;
mod voice;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Dialect;
use super::stream::ChunkTransform;
use super::usage::Usage;
use answer::{Collected, Failure, Read, Write};
use bridge::Bridge;
use request::Request;

pub use count::tokens;
pub use model::{Host, Target};
pub use proof::origin_in;
pub use refused::{Refused, Unreadable};

/// The protocols that are translated into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Chat,
    Responses,
    Messages,
}

/// A request in the upstream's protocol, and how its answer becomes the caller's.
#[derive(Debug)]
pub struct Translated {
    pub upstream: Protocol,
    pub body: Bytes,
    pub reply: Reply,
}

/// The way back.
#[derive(Clone, Debug)]
pub struct Reply {
    caller: Protocol,
    upstream: Protocol,
    voice: voice::Voice,
    origin: String,
    answer_tool: Option<&'static str>,
}

/// What the answer has to say besides what the model says.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The caller's own spelling of the model, as a JSON string.
    pub model: &'a str,
    pub request_id: &'a str,
    /// Seconds since 1970.
    pub now: i64,
    /// The caller of Chat Completions asked for the usage chunk.
    pub wants_usage: bool,
}

/// A whole answer for the caller.
#[derive(Debug)]
pub struct Whole {
    pub body: Vec<u8>,
    pub usage: Option<Usage>,
    /// The status of an answer that turned out to be a failure.
    pub failed: Option<u16>,
}

impl Protocol {
    /// The dialect in which its errors are.
    pub fn dialect(self) -> Dialect {
        if self == Self::Messages { Dialect::Anthropic } else { Dialect::OpenAi }
    }

    fn read(self, body: Map<String, Value>) -> Result<Request, Refused> {
        match self {
            Self::Chat => chat::request_read::read(body),
            Self::Responses => responses::request_read::read(body),
            Self::Messages => messages::request_read::read(body),
        }
    }
}

/// Translates a request.
///
/// # Errors
/// When a field means something that the upstream's protocol or model cannot do, or is not what its dialect says.
pub fn request(
    caller: Protocol,
    upstream: Protocol,
    body: &[u8],
    target: &Target<'_>,
    presented: &Presented<'_>,
) -> Result<Translated, Refused> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| Refused::NotJson(error.to_string()))?;
    let request = caller.read(body)?;
    let mut answer_tool = None;
    let body = match upstream {
        Protocol::Chat => chat::request_write::write(&request, target)?,
        Protocol::Responses => responses::request_write::write(&request, target)?,
        Protocol::Messages => {
            let written = messages::request_write::write(&request, target)?;
            answer_tool = written.answer_tool;
            written.body
        }
    };
    let free_text = request.tools.iter().filter(|tool| tool.free_text).map(|tool| tool.name.clone());
    let voice = voice::Voice {
        model: presented.model.to_owned(),
        request_id: presented.request_id.to_owned(),
        created: presented.now,
        wants_usage: presented.wants_usage,
        free_text: free_text.collect(),
    };
    let reply = Reply { caller, upstream, voice, origin: target.origin.to_owned(), answer_tool };
    Ok(Translated { upstream, body: Bytes::from(body.to_string()), reply })
}

impl Reply {
    /// Turns the upstream's stream into the caller's.
    pub fn stream(&self) -> Box<dyn ChunkTransform> {
        match self.upstream {
            Protocol::Chat => self.written(chat::answer_read::Reader::default()),
            Protocol::Responses => self.written(responses::answer_read::Reader::new(&self.origin)),
            Protocol::Messages => self.written(messages::answer_read::Reader::new(self.answer_tool)),
        }
    }

    fn written(&self, reader: impl Read + 'static) -> Box<dyn ChunkTransform> {
        let voice = self.voice.clone();
        fn bridge(reader: impl Read + 'static, writer: impl Write + 'static) -> Box<dyn ChunkTransform> {
            Box::new(Bridge::new(reader, writer))
        }
        match self.caller {
            Protocol::Chat => bridge(reader, chat::answer_write::Writer::new(voice)),
            Protocol::Responses => bridge(reader, responses::answer_write::Writer::new(voice)),
            Protocol::Messages => bridge(reader, messages::answer_write::Writer::new(voice)),
        }
    }

    /// Turns a whole answer into the caller's.
    ///
    /// # Errors
    /// When it is not in the upstream's protocol.
    pub fn whole(&self, body: &[u8]) -> Result<Whole, Unreadable> {
        let mut collected = Collected::default();
        match self.upstream {
            Protocol::Chat => chat::answer_read::Reader::default().whole(body, &mut collected)?,
            Protocol::Responses => responses::answer_read::Reader::new(&self.origin).whole(body, &mut collected)?,
            Protocol::Messages => messages::answer_read::Reader::new(self.answer_tool).whole(body, &mut collected)?,
        }
        if let Some(failure) = &collected.failure {
            let status = self.status(failure.status);
            return Ok(Whole { body: self.failed(failure), usage: None, failed: Some(status) });
        }
        let body = match self.caller {
            Protocol::Chat => chat::answer_write::whole(&collected, &self.voice),
            Protocol::Responses => responses::answer_write::whole(&collected, &self.voice),
            Protocol::Messages => messages::answer_write::whole(&collected, &self.voice),
        };
        Ok(Whole { body, usage: Some(collected.usage), failed: None })
    }

    /// Turns an error answer into the caller's. Of a body that is no error as the upstream's protocol has them, nothing
    /// but the status is told.
    pub fn error(&self, status: u16, body: &[u8]) -> Vec<u8> {
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut failure = match &parsed["error"] {
            error @ Value::Object(_) => Failure::read(error),
            _ => {
                let message = parsed["message"].as_str().unwrap_or("the upstream refused the request");
                Failure { code: None, message: message.to_owned(), status }
            }
        };
        failure.status = status;
        self.failed(&failure)
    }

    /// The status that the caller's clients expect: each maker has its own for being overloaded.
    pub fn status(&self, status: u16) -> u16 {
        match (self.caller, status) {
            (Protocol::Messages, 503) => 529,
            (Protocol::Chat | Protocol::Responses, 529) => 503,
            _ => status,
        }
    }

    fn failed(&self, failure: &Failure) -> Vec<u8> {
        // Claude Code shortens its conversation on these very words.
        let long = self.caller == Protocol::Messages && failure.code.as_deref() == Some("context_length_exceeded");
        if long && !failure.message.starts_with("prompt is too long") {
            let message = format!("prompt is too long: {}", failure.message);
            return self.voice.failure(self.caller.dialect(), &Failure { message, ..failure.clone() });
        }
        self.voice.failure(self.caller.dialect(), failure)
    }
}

#[cfg(test)]
mod tests;
