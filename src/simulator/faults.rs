//! The fault language: one line of text that says what shall go wrong with one answer, and its parsed form.
//! Carrying a fault out is left to `wire` (bytes) and `exchange` (heads and replaced answers).

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::sse::{Framing, LineEnd};

/// The language, as shown to whoever gets it wrong.
pub const HELP: &str = "\
A fault is a list of words, separated by comma or semicolon, in the header `x-sim-fault` or in a script rule. \
Answer: status=N, code=TEXT, message=TEXT, retry-after=TEXT, retry-after-ms=TEXT, extra-header=NAME:VALUE, html, empty-body, \
echo-request, early-answer (before the request body is read; 413 unless a status is given). \
Time: delay=MS or head-delay=MS (before the head), body-delay=MS (between head and body), drip-ms=MS (between pieces), stall-before-head. \
Breaks: reset-before-head, close-before-head, and one of stall, reset, close (or cut), truncate, stream-reset followed by \
-after-bytes=N or -after-events=N: `reset-after-bytes=10`, `truncate-after-events=3`; error-event-at=N. \
`truncate` ends the body cleanly, `close` ends the connection, `reset` sends RST, `stream-reset` resets one HTTP/2 stream. \
Framing: split=N (pieces of N bytes), crlf, cr, no-space, bom, comments, multi-line, gzip, content-length-too-long, \
content-length-too-short (HTTP/1.1), interim-100s=N (HTTP/1.1), keep-alive=off, goaway (HTTP/2). \
Azure: no-delta, async-filter or async-filter=blocked. \
Example: `status=429; retry-after-ms=250`";

/// What shall go wrong with one answer. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    pub status: Option<u16>,
    pub code: Option<String>,
    pub message: Option<String>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub replacement: Option<Replacement>,
    pub reading: Reading,
    pub head_delay: Duration,
    pub before_head: Option<BeforeHead>,
    pub body: BodyFault,
    pub interim: usize,
    pub parting: Option<Parting>,
    pub oddities: Oddities,
}

/// What stands in place of the real body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    Html,
    Empty,
    /// A JSON account of the request as it arrived.
    Echo,
}

/// When the answer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    #[default]
    WholeBodyFirst,
    AnswerEarly,
}

/// What happens where the head should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeHead {
    Stall,
    Reset,
    Close,
}

/// How the connection is to be given up after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    KeepAliveOff,
    GoAway,
}

/// What happens to the bytes of the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BodyFault {
    pub delay: Duration,
    pub end: Option<(Point, Ending)>,
    pub split: Option<usize>,
    pub drip: Duration,
    pub framing: Framing,
    pub coding: Coding,
    pub length: Length,
}

/// Where in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Bytes(usize),
    Events(usize),
}

/// How the body ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Stall,
    Reset,
    Close,
    /// As if complete.
    Truncate,
    /// HTTP/2: RST_STREAM. HTTP/1.1: as [`Ending::Close`].
    StreamReset,
    /// An error event, then a clean end without `[DONE]`.
    ErrorEvent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    #[default]
    Identity,
    Gzip,
}

/// How the announced length relates to the real one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    #[default]
    Right,
    TooLong,
    TooShort,
}

/// Shapes that Azure really sends and that readers trip over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    pub role_chunk: RoleChunk,
    pub async_filter: Option<AsyncFilter>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleChunk {
    #[default]
    WithDelta,
    WithoutDelta,
}

/// The asynchronous content filter: its verdict comes in events of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsyncFilter {
    Passes,
    Blocks,
}

/// Why a fault text was not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FaultError {
    #[error("unknown fault `{0}`")]
    Unknown(String),
    #[error("fault `{word}` has the value `{value}`, expected {expected}")]
    Value { word: String, value: String, expected: &'static str },
}

impl Fault {
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let mut fault = Self::default();
        for word in text.split([',', ';']).map(str::trim).filter(|word| !word.is_empty()) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => (word, ""),
            };
            let term = Term { word, value };
            let known = fault.answer_word(name, &term)?
                || fault.time_word(name, &term)?
                || fault.end_word(name, &term)?
                || fault.framing_word(name, &term)?;
            if !known {
                return Err(FaultError::Unknown(word.to_owned()));
            }
        }
        Ok(fault)
    }

    fn answer_word(&mut self, name: &str, term: &Term<'_>) -> Result<bool, FaultError> {
        match name {
            "status" => self.status = Some(term.status()?),
            "code" => self.code = Some(term.value.to_owned()),
            "message" => self.message = Some(term.value.to_owned()),
            "retry-after" | "retry-after-ms" => {
                let header = if name == "retry-after" { "retry-after" } else { "retry-after-ms" };
                let value = HeaderValue::from_str(term.value).map_err(|_| term.expected("a header value"))?;
                self.headers.push((HeaderName::from_static(header), value));
            }
            "extra-header" => self.headers.push(term.header()?),
            "html" => self.replacement = Some(Replacement::Html),
            "empty-body" => self.replacement = Some(Replacement::Empty),
            "echo-request" => self.replacement = Some(Replacement::Echo),
            "early-answer" => self.reading = Reading::AnswerEarly,
            "no-delta" => self.oddities.role_chunk = RoleChunk::WithoutDelta,
            "async-filter" => {
                self.oddities.async_filter = Some(match term.value {
                    "" | "pass" => AsyncFilter::Passes,
                    "blocked" => AsyncFilter::Blocks,
                    _ => return Err(term.expected("`pass` or `blocked`")),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn time_word(&mut self, name: &str, term: &Term<'_>) -> Result<bool, FaultError> {
        match name {
            "delay" | "head-delay" => self.head_delay = term.millis()?,
            "body-delay" => self.body.delay = term.millis()?,
            "drip-ms" => self.body.drip = term.millis()?,
            "stall-before-head" => self.before_head = Some(BeforeHead::Stall),
            "reset-before-head" => self.before_head = Some(BeforeHead::Reset),
            "close-before-head" => self.before_head = Some(BeforeHead::Close),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn end_word(&mut self, name: &str, term: &Term<'_>) -> Result<bool, FaultError> {
        if name == "error-event-at" {
            self.body.end = Some((Point::Events(term.number()?), Ending::ErrorEvent));
            return Ok(true);
        }
        let Some((ending, unit)) = name.split_once("-after-") else { return Ok(false) };
        let ending = match ending {
            "stall" => Ending::Stall,
            "reset" => Ending::Reset,
            "close" | "cut" => Ending::Close,
            "truncate" => Ending::Truncate,
            "stream-reset" => Ending::StreamReset,
            _ => return Ok(false),
        };
        let point: fn(usize) -> Point = match unit {
            "bytes" => Point::Bytes,
            "events" => Point::Events,
            _ => return Ok(false),
        };
        self.body.end = Some((point(term.number()?), ending));
        Ok(true)
    }

    fn framing_word(&mut self, name: &str, term: &Term<'_>) -> Result<bool, FaultError> {
        let body = &mut self.body;
        match name {
            "split" => body.split = Some(term.number()?).filter(|size| *size > 0),
            "crlf" => body.framing.line_end = LineEnd::CrLf,
            "cr" => body.framing.line_end = LineEnd::Cr,
            "no-space" => body.framing.no_space = true,
            "bom" => body.framing.bom = true,
            "comments" => body.framing.comments = true,
            "multi-line" => body.framing.multi_line = true,
            "gzip" => body.coding = Coding::Gzip,
            "content-length-too-long" => body.length = Length::TooLong,
            "content-length-too-short" => body.length = Length::TooShort,
            "interim-100s" => self.interim = term.number()?.min(1000),
            "goaway" => self.parting = Some(Parting::GoAway),
            "keep-alive" if term.value == "off" => self.parting = Some(Parting::KeepAliveOff),
            "keep-alive" => return Err(term.expected("`off`")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// One word of the text, for reading its value.
struct Term<'a> {
    word: &'a str,
    value: &'a str,
}

impl Term<'_> {
    fn expected(&self, expected: &'static str) -> FaultError {
        FaultError::Value { word: self.word.to_owned(), value: self.value.to_owned(), expected }
    }

    fn number(&self) -> Result<usize, FaultError> {
        self.value.parse().map_err(|_| self.expected("a whole number"))
    }

    fn millis(&self) -> Result<Duration, FaultError> {
        Ok(Duration::from_millis(self.value.parse().map_err(|_| self.expected("milliseconds"))?))
    }

    fn status(&self) -> Result<u16, FaultError> {
        self.value.parse().ok().filter(|n| (200..=599).contains(n)).ok_or_else(|| self.expected("a status, 200 to 599"))
    }

    fn header(&self) -> Result<(HeaderName, HeaderValue), FaultError> {
        let (name, value) = self.value.split_once(':').ok_or_else(|| self.expected("NAME:VALUE"))?;
        let name = name.trim().parse().map_err(|_| self.expected("a header name before the colon"))?;
        let value = value.trim().parse().map_err(|_| self.expected("a header value after the colon"))?;
        Ok((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_combine_and_both_separators_work() {
        let fault =
            Fault::parse("status=429; retry-after-ms=250, delay=200 ,reset-after-bytes=10;crlf").expect("valid");
        assert_eq!(fault.status, Some(429));
        assert_eq!(fault.headers[0].0, "retry-after-ms");
        assert_eq!(fault.head_delay, Duration::from_millis(200));
        assert_eq!(fault.body.end, Some((Point::Bytes(10), Ending::Reset)));
        assert_eq!(fault.body.framing.line_end, LineEnd::CrLf);
        assert_eq!(Fault::parse("  "), Ok(Fault::default()));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(Fault::parse("stats=4"), Err(FaultError::Unknown("stats=4".into())));
        for bad in ["status=99", "delay=soon", "split=x", "keep-alive=on", "extra-header=x", "burn-after-bytes=2"] {
            let error = Fault::parse(bad).expect_err(bad).to_string();
            assert!(error.contains(bad), "{error}");
        }
    }

    #[test]
    fn the_help_text_names_every_word() {
        for word in
            ["status=", "drip-ms=", "error-event-at=", "interim-100s=", "goaway", "async-filter", "early-answer"]
        {
            assert!(HELP.contains(word), "{word}");
        }
    }
}
