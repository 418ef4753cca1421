//! Finds values at known places inside JSON text, at any depth and in any splitting: `input[3].id`,
//! `response.output[0].encrypted_content`.
//!
//! It reads no more of the structure than leads to those places, and takes the rest as [`super::scan`] does. Text that
//! is not JSON is read as far as it goes. Several documents may follow each other, as in JSON lines.

use std::ops::Range;

use super::scan::{Nest, is_space, string_end};

/// Longest text of a found value that is kept unless said otherwise; what is longer keeps its front.
const LONGEST: usize = 8 * 1024;

/// Values that are noted of one text. Only a text that repeats them on purpose has more.
const MOST_FOUND: usize = 100_000;

/// Longest name that is compared. No place has a longer one.
const LONGEST_NAME: usize = 64;

/// A place in a document: what a value there is noted as, or else where to go on from it.
#[derive(Debug)]
pub struct Place<T: 'static> {
    pub tag: Option<T>,
    pub members: &'static [(&'static str, &'static Place<T>)],
    pub elements: Option<&'static Place<T>>,
}

impl<T> Place<T> {
    /// Values here are noted.
    pub const fn noted(tag: T) -> Self {
        Self { tag: Some(tag), members: &[], elements: None }
    }

    /// An object whose members lead on.
    pub const fn object(members: &'static [(&'static str, &'static Self)]) -> Self {
        Self { tag: None, members, elements: None }
    }

    /// An array whose elements lead on.
    pub const fn array(elements: &'static Self) -> Self {
        Self { tag: None, members: &[], elements: Some(elements) }
    }

    /// Either of the two.
    pub const fn either(members: &'static [(&'static str, &'static Self)], elements: &'static Self) -> Self {
        Self { tag: None, members, elements: Some(elements) }
    }

    fn member(&self, name: &[u8]) -> Option<&'static Self> {
        self.members.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, place)| *place)
    }
}

/// A value that stands at one of the places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<T> {
    pub tag: T,
    /// Where it stands, counted from the first byte that was fed.
    pub value: Range<u64>,
    text: Range<usize>,
}

/// The pass itself.
#[derive(Debug)]
pub struct Places<T: 'static> {
    root: &'static Place<T>,
    /// Bytes before the current chunk.
    base: u64,
    state: State,
    /// The containers that were entered.
    entered: Vec<(&'static Place<T>, Container)>,
    /// The place of the value that comes next or is being read.
    place: Option<&'static Place<T>>,
    name: Vec<u8>,
    nest: Nest,
    escaped: bool,
    /// Where the value that is being read began, and where its text is kept.
    begun: (u64, usize),
    longest: usize,
    disguised: bool,
    found: Vec<Found<T>>,
    /// The texts of what was found, one after the other.
    texts: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    Object,
    Array,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Value,
    Name,
    InName,
    Colon,
    InString,
    InNest,
    InScalar,
    AfterValue,
    /// What came is no JSON: nothing more is found.
    Lost,
}

impl<T: Copy> Places<T> {
    pub fn new(root: &'static Place<T>) -> Self {
        Self {
            root,
            base: 0,
            state: State::Value,
            entered: Vec::new(),
            place: Some(root),
            name: Vec::new(),
            nest: Nest::default(),
            escaped: false,
            begun: (0, 0),
            longest: LONGEST,
            disguised: false,
            found: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Keeps no more than this of a value's text.
    pub fn keeping(mut self, longest: usize) -> Self {
        self.longest = longest;
        self
    }

    /// What was fed is one or more whole documents.
    pub fn is_complete(&self) -> bool {
        self.state == State::AfterValue && self.entered.is_empty()
    }

    /// Nothing of a document is open.
    pub fn is_between(&self) -> bool {
        self.entered.is_empty() && matches!(self.state, State::Value | State::AfterValue)
    }

    /// More was found than is noted.
    pub fn overflowed(&self) -> bool {
        self.found.len() >= MOST_FOUND
    }

    /// From some point on it was no JSON, and nothing more was found.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// A name was written with escapes, or like one that leads on but for the case of its letters: others may read more
    /// than was found here.
    pub fn is_disguised(&self) -> bool {
        self.disguised
    }

    /// Starts over, for another text.
    pub fn reset(&mut self) {
        self.base = 0;
        self.disguised = false;
        self.state = State::Value;
        self.place = Some(self.root);
        self.entered.clear();
        self.found.clear();
        self.texts.clear();
    }

    pub fn found(&self) -> &[Found<T>] {
        &self.found
    }

    /// The text of a found value, its front where it is too long.
    pub fn text(&self, found: &Found<T>) -> &[u8] {
        &self.texts[found.text.clone()]
    }

    /// The inside of a found string that is complete and has no escapes.
    pub fn plain(&self, found: &Found<T>) -> Option<&str> {
        let inside = self.text(found).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let whole = found.text.len() as u64 == found.value.end - found.value.start;
        (whole && !inside.contains(&b'\\')).then(|| std::str::from_utf8(inside).ok())?
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            at = self.step(chunk, at);
        }
        self.base += chunk.len() as u64;
    }

    /// Reads on from `at`; gives the place of the next byte to look at.
    fn step(&mut self, chunk: &[u8], at: usize) -> usize {
        let rest = &chunk[at..];
        match self.state {
            State::Lost => chunk.len(),
            State::InName => {
                let end = string_end(rest, &mut self.escaped);
                let part = &rest[..end.unwrap_or(rest.len())];
                let room = LONGEST_NAME.saturating_sub(self.name.len());
                self.name.extend_from_slice(&part[..part.len().min(room)]);
                if end.is_some() {
                    self.named();
                }
                at + part.len()
            }
            State::InString => {
                let end = string_end(rest, &mut self.escaped);
                self.take(rest, at, end)
            }
            State::InNest => match self.nest.skip(rest) {
                Ok(end) => self.take(rest, at, end),
                Err(_) => self.lose(chunk),
            },
            State::InScalar => {
                let end = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}') || is_space(*byte));
                // Numbers and names. Whatever else stands there may be a comment to somebody.
                let is_scalar = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                if !rest[..end.unwrap_or(rest.len())].iter().all(is_scalar) {
                    return self.lose(chunk);
                }
                self.take(rest, at, end)
            }
            _ if is_space(rest[0]) => at + 1,
            State::Value => self.value(chunk, at),
            State::Name => match rest[0] {
                b'"' => {
                    self.name.clear();
                    self.state = State::InName;
                    at + 1
                }
                b'}' => self.leave(at),
                _ => self.lose(chunk),
            },
            State::Colon if rest[0] == b':' => {
                self.state = State::Value;
                at + 1
            }
            State::Colon => self.lose(chunk),
            State::AfterValue => self.after(chunk, at),
        }
    }

    fn lose(&mut self, chunk: &[u8]) -> usize {
        self.state = State::Lost;
        chunk.len()
    }

    fn named(&mut self) {
        // The closing quote came with the name.
        let name = self.name.strip_suffix(b"\"").unwrap_or_default();
        let (object, _) = self.entered.last().copied().unzip();
        self.place = object.and_then(|object| object.member(name));
        let alike = || object.is_some_and(|object| object.members.iter().any(|(known, _)| alike(known, name)));
        self.disguised |= self.place.is_none() && (name.contains(&b'\\') || alike());
        self.state = State::Colon;
    }

    fn value(&mut self, chunk: &[u8], at: usize) -> usize {
        let byte = chunk[at];
        let into = match (byte, self.place) {
            (b'{', Some(place)) if !place.members.is_empty() => Some((place, Container::Object)),
            (b'[', Some(place)) if place.elements.is_some() => Some((place, Container::Array)),
            _ => None,
        };
        if let Some((place, container)) = into {
            self.entered.push((place, container));
            self.state = if container == Container::Object { State::Name } else { State::Value };
            self.place = place.elements.filter(|_| container == Container::Array);
            return at + 1;
        }
        self.begun = (self.base + at as u64, self.texts.len());
        match byte {
            b']' if matches!(self.entered.last(), Some((_, Container::Array))) => return self.leave(at),
            b'"' => self.state = State::InString,
            b'{' | b'[' => {
                self.nest = Nest::open(byte);
                self.state = State::InNest;
            }
            b',' | b':' | b']' | b'}' => return self.lose(chunk),
            _ => {
                self.state = State::InScalar;
                return at;
            }
        }
        self.keep(&chunk[at..=at]);
        at + 1
    }

    /// Takes what belongs to the value that is being read, which ends at `end` of `rest`.
    fn take(&mut self, rest: &[u8], at: usize, end: Option<usize>) -> usize {
        let length = end.unwrap_or(rest.len());
        self.keep(&rest[..length]);
        if end.is_some() {
            let (start, text) = self.begun;
            if let Some(tag) = self.place.and_then(|place| place.tag).filter(|_| !self.overflowed()) {
                let value = start..self.base + (at + length) as u64;
                self.found.push(Found { tag, value, text: text..self.texts.len() });
            }
            self.state = State::AfterValue;
        }
        at + length
    }

    fn keep(&mut self, part: &[u8]) {
        if self.place.is_some_and(|place| place.tag.is_some()) && !self.overflowed() {
            let room = self.longest.saturating_sub(self.texts.len() - self.begun.1);
            self.texts.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn after(&mut self, chunk: &[u8], at: usize) -> usize {
        let Some((place, container)) = self.entered.last() else {
            // The next document.
            self.place = Some(self.root);
            self.state = State::Value;
            return at;
        };
        match (chunk[at], container) {
            (b',', Container::Object) => self.state = State::Name,
            (b',', Container::Array) => {
                self.place = place.elements;
                self.state = State::Value;
            }
            (b'}', Container::Object) | (b']', Container::Array) => return self.leave(at),
            _ => return self.lose(chunk),
        }
        at + 1
    }

    fn leave(&mut self, at: usize) -> usize {
        self.entered.pop();
        self.state = State::AfterValue;
        at + 1
    }
}

fn alike(known: &str, name: &[u8]) -> bool {
    known.as_bytes().eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
