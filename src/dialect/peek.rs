//! One resumable pass over a JSON body that notes a handful of top-level members by name.
//!
//! Strict at the top level, because what we authorise must be what the upstream reads: one object, its grammar
//! complete, nothing behind it. Nested values are only skipped. [`super::members`] holds what was found,
//! [`super::splice`] edits it.

use std::ops::Range;

use bytes::Bytes;

use super::members::{Member, Members};
use super::scan::{Flaw, Nest, is_space, string_end};

/// Longest value of a noted member. They are names, numbers and small objects; an unlimited copy would be an attack.
pub const LONGEST_VALUE: usize = 64 * 1024;

/// Members that are noted of one body. There are a handful of fields; only a body that repeats them on purpose has more.
const MOST_FOUND: usize = 64;

/// Each character of a name may be written as `\u0000`.
const ESCAPED_CHARACTER: usize = 6;

/// Room for what a usual body brings, so that it is allocated once.
const FOUND_AT_FIRST: usize = 8;
const VALUES_AT_FIRST: usize = 256;

const BYTE_ORDER_MARK: u8 = 0xEF;

/// Text that is not the JSON that the top level of a body must be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invalid JSON at byte {at}: expected {expected}")]
pub struct JsonError {
    /// Bytes before the place of the error.
    pub at: u64,
    pub expected: &'static str,
}

/// The pass itself: feed it every chunk, then finish it.
#[derive(Debug)]
pub struct Peek {
    fields: &'static [&'static str],
    /// Bytes before the current chunk.
    base: u64,
    state: State,
    nest: Nest,
    escaped: bool,
    /// The part of a name that came with earlier chunks, opening quote included.
    name: Vec<u8>,
    draft: Draft,
    found: Vec<Found>,
    /// The values of noted members, one after the other.
    values: Vec<u8>,
    count: usize,
    /// Where the last value ended so far.
    last_end: u64,
    /// Whether the member before the current one is the last of `found`.
    follows_found: bool,
}

/// A member that is being read.
#[derive(Default, Debug)]
struct Draft {
    field: Option<Field>,
    comma: Option<u64>,
    key_start: u64,
    value_start: u64,
    /// Where its value begins in `values`.
    copied_from: usize,
}

/// Which listed field a name is, and whether in the very same letters.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    exact: bool,
}

#[derive(Debug)]
struct Found {
    field: Field,
    comma: Option<u64>,
    key_start: u64,
    value: Range<u64>,
    next: Option<u64>,
    copied: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Start,
    FirstName,
    Name,
    InName,
    Colon,
    Value,
    InString,
    InNest,
    InScalar(Scalar),
    AfterValue,
    Done,
}

/// A number, `true`, `false` or `null` that is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scalar {
    /// What is left of the word.
    Word(&'static [u8]),
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Peek {
    /// Notes members whose name is one of `fields`.
    pub fn new(fields: &'static [&'static str]) -> Self {
        Self::at(fields, 0)
    }

    /// For an object that stands inside other text: all positions count from `base`.
    pub(super) fn at(fields: &'static [&'static str], base: u64) -> Self {
        Self {
            fields,
            base,
            state: State::Start,
            nest: Nest::default(),
            escaped: false,
            name: Vec::new(),
            draft: Draft::default(),
            found: Vec::with_capacity(FOUND_AT_FIRST),
            values: Vec::with_capacity(VALUES_AT_FIRST),
            count: 0,
            last_end: 0,
            follows_found: false,
        }
    }

    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), JsonError> {
        let mut at = 0;
        while at < chunk.len() {
            at = match self.state {
                State::InString | State::InNest | State::InScalar(_) => self.value(chunk, at)?,
                State::InName => self.name(chunk, at)?,
                _ => self.between(chunk, at)?,
            };
        }
        self.base += chunk.len() as u64;
        Ok(())
    }

    pub fn finish(self) -> Result<Members, JsonError> {
        if self.state != State::Done {
            return Err(JsonError { at: self.base, expected: self.wanted() });
        }
        let values = Bytes::from(self.values);
        let members = self.found.into_iter().map(|found| Member {
            name: found.field.name,
            exact: found.field.exact,
            key_start: found.key_start,
            value: found.value,
            comma: found.comma,
            next: found.next,
            raw: values.slice(found.copied),
        });
        Ok(Members::new(members.collect(), self.count, self.last_end))
    }

    /// One byte between the parts of the top level.
    fn between(&mut self, chunk: &[u8], at: usize) -> Result<usize, JsonError> {
        let byte = chunk[at];
        if is_space(byte) {
            return Ok(at + 1);
        }
        let position = self.base + at as u64;
        self.state = match (self.state, byte) {
            (State::Start, b'{') => State::FirstName,
            (State::FirstName | State::Name, b'"') => {
                self.begin(position);
                State::InName
            }
            (State::FirstName, b'}') => {
                self.last_end = position;
                State::Done
            }
            (State::AfterValue, b'}') => State::Done,
            (State::Colon, b':') => State::Value,
            (State::Value, _) => return self.begin_value(chunk, at),
            (State::AfterValue, b',') => {
                self.draft.comma = Some(position);
                State::Name
            }
            _ => {
                let mark = self.state == State::Start && byte == BYTE_ORDER_MARK;
                let expected = if mark { "`{`, not a byte order mark" } else { self.wanted() };
                return Err(JsonError { at: position, expected });
            }
        };
        if self.state == State::InName { self.name(chunk, at) } else { Ok(at + 1) }
    }

    fn begin(&mut self, key_start: u64) {
        if std::mem::take(&mut self.follows_found)
            && let Some(before) = self.found.last_mut()
        {
            before.next = Some(key_start);
        }
        self.draft.key_start = key_start;
        self.count += 1;
        self.name.clear();
        self.escaped = false;
    }

    /// Reads a name, from its opening quote or from where the last chunk broke it off.
    fn name(&mut self, chunk: &[u8], at: usize) -> Result<usize, JsonError> {
        let fresh = self.name.is_empty();
        let inside = at + usize::from(fresh);
        let end = string_end(&chunk[inside..], &mut self.escaped).map(|length| inside + length);
        let part = &chunk[at..end.unwrap_or(chunk.len())];
        if end.is_none() || !fresh {
            // One byte more than the longest spelling is enough to know that it is none of ours.
            let room = (self.longest_name() + 1).saturating_sub(self.name.len());
            self.name.extend_from_slice(&part[..part.len().min(room)]);
        }
        let Some(end) = end else { return Ok(chunk.len()) };
        let field = self.identify(if fresh { part } else { &self.name });
        self.draft.field =
            field.ok_or(JsonError { at: self.draft.key_start, expected: "a member name with valid escapes" })?;
        self.state = State::Colon;
        Ok(end)
    }

    /// Which field a name in its quotes is; `None` when its escapes are wrong.
    fn identify(&self, quoted: &[u8]) -> Option<Option<Field>> {
        if quoted.len() > self.longest_name() {
            return Some(None);
        }
        let plain = &quoted[1..quoted.len() - 1];
        if plain.contains(&b'\\') {
            let text: String = serde_json::from_slice(quoted).ok()?;
            return Some(self.find(text.as_bytes()));
        }
        Some(self.find(plain))
    }

    /// Bytes of the longest spelling of a listed name, quotes included.
    fn longest_name(&self) -> usize {
        self.fields.iter().map(|name| name.len()).max().unwrap_or(0) * ESCAPED_CHARACTER + 2
    }

    fn find(&self, name: &[u8]) -> Option<Field> {
        let exact = self.fields.iter().find(|field| field.as_bytes() == name);
        let near = || self.fields.iter().find(|field| field.as_bytes().eq_ignore_ascii_case(name));
        exact.map(|name| Field { name, exact: true }).or_else(|| near().map(|name| Field { name, exact: false }))
    }

    fn begin_value(&mut self, chunk: &[u8], at: usize) -> Result<usize, JsonError> {
        let byte = chunk[at];
        self.draft.value_start = self.base + at as u64;
        self.draft.copied_from = self.values.len();
        self.state = match byte {
            b'"' => {
                self.escaped = false;
                State::InString
            }
            b'{' | b'[' => {
                self.nest = Nest::open(byte);
                State::InNest
            }
            _ => match Scalar::begin(byte) {
                Some(scalar) => State::InScalar(scalar),
                None => return Err(JsonError { at: self.draft.value_start, expected: "a value" }),
            },
        };
        self.copy(&chunk[at..=at])?;
        Ok(at + 1)
    }

    fn value(&mut self, chunk: &[u8], at: usize) -> Result<usize, JsonError> {
        let rest = &chunk[at..];
        let end = match self.state {
            State::InString => string_end(rest, &mut self.escaped),
            State::InNest => self.nest.skip(rest).map_err(|flaw| self.error(at, flaw))?,
            State::InScalar(scalar) => {
                let (scalar, end) = scalar.skip(rest).map_err(|flaw| self.error(at, flaw))?;
                self.state = State::InScalar(scalar);
                end
            }
            _ => Some(0),
        };
        let length = end.unwrap_or(rest.len());
        self.copy(&rest[..length])?;
        if end.is_some() {
            self.end_value(self.base + (at + length) as u64)?;
        }
        Ok(at + length)
    }

    fn end_value(&mut self, end: u64) -> Result<(), JsonError> {
        self.state = State::AfterValue;
        self.last_end = end;
        let Draft { field, comma, key_start, value_start, copied_from } = self.draft;
        if let Some(field) = field {
            if self.found.len() == MOST_FOUND {
                return Err(JsonError {
                    at: key_start,
                    expected: "each field once; this one has been given over and over",
                });
            }
            let copied = copied_from..self.values.len();
            self.found.push(Found { field, comma, key_start, value: value_start..end, next: None, copied });
            self.follows_found = true;
        }
        Ok(())
    }

    fn copy(&mut self, part: &[u8]) -> Result<(), JsonError> {
        if self.draft.field.is_some() {
            if self.values.len() - self.draft.copied_from + part.len() > LONGEST_VALUE {
                let expected = "a shorter value: this field holds at most 64 KiB";
                return Err(JsonError { at: self.draft.value_start, expected });
            }
            self.values.extend_from_slice(part);
        }
        Ok(())
    }

    fn error(&self, at: usize, flaw: Flaw) -> JsonError {
        JsonError { at: self.base + (at + flaw.at) as u64, expected: flaw.expected }
    }

    /// What would have been right where the text is wrong or ends.
    fn wanted(&self) -> &'static str {
        match self.state {
            State::Start => "`{`",
            State::FirstName => "a member name or `}`",
            State::Name => "a member name",
            State::Colon => "`:` after a member name",
            State::Value => "a value",
            State::InName | State::InString => "a closing `\"`",
            State::InNest if self.nest.in_string() => "a closing `\"`",
            State::InNest => "a closing bracket",
            State::InScalar(_) | State::AfterValue => "`,` or `}` after a value",
            State::Done => "nothing after the closing `}`",
        }
    }
}

impl Scalar {
    fn begin(byte: u8) -> Option<Self> {
        Some(match byte {
            b't' => Self::Word(b"rue"),
            b'f' => Self::Word(b"alse"),
            b'n' => Self::Word(b"ull"),
            b'-' => Self::Minus,
            b'0' => Self::Zero,
            b'1'..=b'9' => Self::Digits,
            _ => return None,
        })
    }

    /// Reads on: the state reached, and the index of the first byte that is not of the scalar, if it came.
    fn skip(mut self, bytes: &[u8]) -> Result<(Self, Option<usize>), Flaw> {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.step(byte) {
                Some(next) => self = next,
                None if self.is_complete() => return Ok((self, Some(at))),
                None => return Err(Flaw { at, expected: "a value" }),
            }
        }
        Ok((self, None))
    }

    fn step(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Word([first, rest @ ..]), _) if *first == byte => Self::Word(rest),
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Digits, b'0'..=b'9') => Self::Digits,
            (Self::Zero | Self::Digits, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Digits | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    fn is_complete(self) -> bool {
        matches!(self, Self::Word([]) | Self::Zero | Self::Digits | Self::Fraction | Self::ExponentDigits)
    }
}

#[cfg(test)]
pub(super) mod tests;
