//! An answer as every dialect means it: told piece by piece by whoever reads it, to whoever writes it down. A plain answer
//! and a stream are told alike.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Visitor};

use super::refused::Unreadable;
use super::request::Proof;
use crate::dialect::Dialect;
use crate::dialect::usage::Usage;

/// How OpenAI and Claude say that a prompt does not fit.
const TOO_LONG: &str = "context_length_exceeded";
const TOO_LONG_IN_WORDS: &str = "prompt is too long";

/// Hears an answer. What is said belongs to the piece that was begun last; texts of the same kind are one piece.
pub trait Tell {
    /// The answer has begun, with what is counted by then.
    fn start(&mut self, usage: Option<Usage>);
    fn text(&mut self, text: &str);
    fn refusal(&mut self, text: &str);
    /// What the model lets others see of its thoughts.
    fn thinking(&mut self, text: &str);
    /// What was thought is complete, and this makes it valid later.
    fn proof(&mut self, proof: Proof);
    /// A call of a tool begins; its arguments follow.
    fn call(&mut self, id: &str, name: &str);
    fn arguments(&mut self, part: &str);
    /// The piece is complete.
    fn close(&mut self);
    /// The whole answer is complete.
    fn finish(&mut self, stop: Stop, usage: Option<Usage>);
    /// The answer failed and will not be completed.
    fn fail(&mut self, failure: &Failure);
}

/// Reads an upstream's answer and tells it.
pub trait Read: Send {
    /// One event of a stream.
    fn event(&mut self, data: &[u8], to: &mut dyn Tell) -> Result<Seen, Unreadable>;

    /// A whole answer.
    fn whole(&mut self, body: &[u8], to: &mut dyn Tell) -> Result<(), Unreadable>;

    /// A failure was announced, and what follows may say more about it.
    fn waits(&self) -> bool {
        false
    }

    /// The stream is over, and this was still open.
    fn over(&mut self, _: &mut dyn Tell) -> Seen {
        Seen::default()
    }
}

/// Writes a stream for the caller.
pub trait Write: Tell + Send {
    /// What was written since the last time.
    fn take(&mut self) -> Vec<u8>;

    /// The event that says that the stream broke off, where it takes more than the dialect's usual error event.
    fn broken(&self, _: &Failure) -> Option<Vec<u8>> {
        None
    }
}

/// What an event meant for the stream as a whole.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Seen {
    pub content: bool,
    pub ended: bool,
    pub usage: Option<Usage>,
    /// Why the stream failed, in the shape of an OpenAI error.
    pub error: Option<Bytes>,
}

/// Why an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    #[default]
    End,
    /// A stop sequence of the request, where it is known which.
    Sequence(Option<String>),
    Limit,
    Calls,
    /// The model refused, or a filter struck.
    Refusal,
    /// The model wants to be asked to go on.
    Pause,
}

/// Why an upstream's answer failed, as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub code: Option<String>,
    pub message: String,
}

/// A piece of a whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Refusal(String),
    Thinking { text: String, proof: Option<Proof> },
    Call { id: String, name: String, arguments: String },
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub pieces: Vec<Piece>,
    pub stop: Stop,
    pub usage: Usage,
    pub failure: Option<Failure>,
    /// The last piece may be added to.
    open: bool,
}

impl Tell for Collected {
    fn start(&mut self, _: Option<Usage>) {}

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut().filter(|_| self.open) {
            Some(Piece::Text(said)) => said.push_str(text),
            _ => self.push(Piece::Text(text.to_owned())),
        }
    }

    fn refusal(&mut self, text: &str) {
        match self.pieces.last_mut().filter(|_| self.open) {
            Some(Piece::Refusal(said)) => said.push_str(text),
            _ => self.push(Piece::Refusal(text.to_owned())),
        }
    }

    fn thinking(&mut self, text: &str) {
        match self.pieces.last_mut().filter(|_| self.open) {
            Some(Piece::Thinking { text: said, .. }) => said.push_str(text),
            _ => self.push(Piece::Thinking { text: text.to_owned(), proof: None }),
        }
    }

    fn proof(&mut self, proof: Proof) {
        match self.pieces.last_mut().filter(|_| self.open) {
            Some(Piece::Thinking { proof: known, .. }) => *known = Some(proof),
            _ => self.push(Piece::Thinking { text: String::new(), proof: Some(proof) }),
        }
        self.open = false;
    }

    fn call(&mut self, id: &str, name: &str) {
        self.push(Piece::Call { id: id.to_owned(), name: name.to_owned(), arguments: String::new() });
    }

    fn arguments(&mut self, part: &str) {
        if let Some(Piece::Call { arguments, .. }) = self.pieces.last_mut() {
            arguments.push_str(part);
        }
    }

    fn close(&mut self) {
        self.open = false;
    }

    fn finish(&mut self, stop: Stop, usage: Option<Usage>) {
        self.stop = stop;
        self.usage = usage.unwrap_or_default();
    }

    fn fail(&mut self, failure: &Failure) {
        self.failure = Some(failure.clone());
    }
}

impl Collected {
    fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
        self.open = true;
    }

    /// All of the text, without what was thought and called.
    pub fn text(&self) -> String {
        let text = |piece: &Piece| if let Piece::Text(text) = piece { Some(text.clone()) } else { None };
        self.pieces.iter().filter_map(text).collect()
    }

    pub fn calls(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }))
    }
}

/// A text of an event, borrowed where it needs no unescaping.
#[derive(Clone, Debug, Default)]
pub struct Said<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Said<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Said(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Said(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Texts)
    }
}

impl Failure {
    /// Reads the object that stands in `error`, whoever wrote it. The status is the one that its words stand for.
    pub fn read(error: &serde_json::Value) -> Self {
        let text = |name: &str| match error.get(name) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let code = text("code").or_else(|| text("type"));
        let message = text("message").unwrap_or_else(|| "the upstream's answer failed".to_owned());
        Self { status: status_of(code.as_deref().unwrap_or_default()), code, message }
    }

    /// The same for callers of a dialect, who shorten their conversation on the very words, or on the code, that its maker
    /// has for a prompt that does not fit.
    pub fn told_to(&self, dialect: Dialect) -> Cow<'_, Self> {
        let (code, words) = (self.code.as_deref() == Some(TOO_LONG), self.message.starts_with(TOO_LONG_IN_WORDS));
        match (dialect, code, words) {
            (Dialect::Anthropic, true, false) => {
                let message = format!("{TOO_LONG_IN_WORDS}: {}", self.message);
                Cow::Owned(Self { message, ..self.clone() })
            }
            (Dialect::OpenAi, false, true) => Cow::Owned(Self { code: Some(TOO_LONG.to_owned()), ..self.clone() }),
            _ => Cow::Borrowed(self),
        }
    }

    /// The data of an error event as OpenAI writes it, which the relay understands.
    pub fn data(&self) -> Bytes {
        let error = serde_json::json!({"error": {"code": self.code, "message": self.message}});
        Bytes::from(error.to_string())
    }
}

fn status_of(code: &str) -> u16 {
    match code {
        "429" | "too_many_requests" | "rate_limit_exceeded" | "rate_limit_error" => 429,
        "overloaded_error" | "503" | "529" => 503,
        "invalid_request_error" | "invalid_prompt" | "context_length_exceeded" | "content_filter" => 400,
        "timeout_error" | "408" | "504" => 504,
        _ => 500,
    }
}
