//! Translation between dialects: what a caller says in one is said to an upstream in another, and what the upstream
//! answers goes back the same way. `docs/translation.md` has the tables, field by field.
//!
//! A request is read into [`request`], which knows no dialect, and written from there. An answer is told, piece by piece
//! ([`answer`]), by whoever reads the upstream's dialect to whoever writes the caller's. So each dialect is read and
//! written in one place, and a direction is a pair of them.

mod answer;
mod bridge;
mod carried;
mod chat;
mod count;
mod cut;
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
use cut::Cut;
use request::{Part, Proof, Request};

pub use carried::{Carried, Look, carried};
pub use count::tokens;
pub use model::{Host, Recall, Target};
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
    pub reasoning: Reasoning,
}

/// What became of the reasoning of earlier turns: how many pieces of it go to the upstream, and how many do not, because
/// it could not read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    pub kept: usize,
    pub dropped: usize,
}

/// The way back.
#[derive(Clone, Debug)]
pub struct Reply {
    caller: Protocol,
    upstream: Protocol,
    voice: voice::Voice,
    origin: String,
    answer_tool: Option<&'static str>,
    /// Stop sequences that the upstream does not know, so that the answer is cut at them here.
    stop: Vec<String>,
    prompt_tokens: u64,
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
    /// The size of the prompt as far as it can be told, for an answer that is cut before its own count comes.
    pub prompt_tokens: u64,
    /// The session that the caller's program names.
    pub session: Option<&'a str>,
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
    let mut request = caller.read(body)?;
    let session = presented.session.or(request.user.as_deref()).map(ids::hash);
    request.cache_key = request.cache_key.or(session);
    let stop = stops_to_cut(&request, upstream, target)?;
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
    let (origin, prompt_tokens) = (target.origin.to_owned(), presented.prompt_tokens);
    let reply = Reply { caller, upstream, voice, origin, answer_tool, stop, prompt_tokens };
    let reasoning = reasoning(&request, upstream, target);
    Ok(Translated { upstream, body: Bytes::from(body.to_string()), reply, reasoning })
}

/// The stop sequences that the upstream is not told, because it would refuse them.
fn stops_to_cut(request: &Request, upstream: Protocol, target: &Target<'_>) -> Result<Vec<String>, Refused> {
    let told = match upstream {
        Protocol::Messages => true,
        Protocol::Chat => chat::request_write::takes_stops(request, target),
        Protocol::Responses => false,
    };
    if told {
        return Ok(Vec::new());
    }
    cut::check(&request.stop)?;
    Ok(request.stop.clone())
}

fn reasoning(request: &Request, upstream: Protocol, target: &Target<'_>) -> Reasoning {
    let mut reasoning = Reasoning::default();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        let Part::Thought(thought) = part else { continue };
        let kept = match (upstream, &thought.proof) {
            (_, Proof::Signature(signature)) if signature.is_empty() => continue,
            (Protocol::Responses, Proof::Encrypted { origin, .. }) => target.recalls(origin),
            (Protocol::Messages, Proof::Signature(_) | Proof::Redacted(_)) => true,
            _ => false,
        };
        *(if kept { &mut reasoning.kept } else { &mut reasoning.dropped }) += 1;
    }
    reasoning
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
        match self.caller {
            Protocol::Chat => self.bridge(reader, chat::answer_write::Writer::new(voice)),
            Protocol::Responses => self.bridge(reader, responses::answer_write::Writer::new(voice)),
            Protocol::Messages => self.bridge(reader, messages::answer_write::Writer::new(voice)),
        }
    }

    fn bridge(&self, reader: impl Read + 'static, writer: impl Write + 'static) -> Box<dyn ChunkTransform> {
        Box::new(Bridge::new(reader, writer, Cut::new(&self.stop), self.prompt_tokens))
    }

    /// Turns a whole answer into the caller's.
    ///
    /// # Errors
    /// When it is not in the upstream's protocol.
    pub fn whole(&self, body: &[u8]) -> Result<Whole, Unreadable> {
        let (mut collected, mut cut) = (Collected::default(), Cut::new(&self.stop));
        let mut telling = cut.telling(&mut collected);
        match self.upstream {
            Protocol::Chat => chat::answer_read::Reader::default().whole(body, &mut telling)?,
            Protocol::Responses => responses::answer_read::Reader::new(&self.origin).whole(body, &mut telling)?,
            Protocol::Messages => messages::answer_read::Reader::new(self.answer_tool).whole(body, &mut telling)?,
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
            (Protocol::Messages, 408) => 504,
            (Protocol::Messages, 503) => 529,
            (Protocol::Chat | Protocol::Responses, 529) => 503,
            _ => status,
        }
    }

    fn failed(&self, failure: &Failure) -> Vec<u8> {
        self.voice.failure(self.caller.dialect(), failure)
    }
}

#[cfg(test)]
mod tests;
