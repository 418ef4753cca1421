//! Forms with files (RFC 7578) as they stream by: where each field stands, and the text of the short ones. Files are
//! passed over, whatever their size, but for the lines of a batch, in which model names hide.

mod lines;
mod parameters;

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::members::{Member, Members};
use lines::{LONGEST_MODEL, Lines};
use parameters::{Disposition, boundary, disposition, is_encoded};

/// Longest text of a field that is kept. The gateway acts on names and switches.
const LONGEST_TEXT: usize = 4 * 1024;

/// Longest head of one part.
const LONGEST_HEAD: usize = 8 * 1024;

/// Parts of one form. A form that repeats them on purpose has more.
const MOST_PARTS: usize = 256;

/// What the file of an upload is called.
const FILE: &str = "file";

/// Why a body is no form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormError {
    #[error("the content type is not `multipart/form-data` with one boundary that everybody reads alike")]
    NoBoundary,
    #[error("the head of a part is longer than {LONGEST_HEAD} bytes")]
    HeadTooLong,
    #[error(
        "a part has no `Content-Disposition: form-data` with a name of letters, digits and `_.-[]`, or more than one, or \
         others than `name` and `filename`, or one that not everybody reads alike"
    )]
    NoName,
    /// To some readers that is a boundary, to others content that looks like one.
    #[error("a boundary has no line of its own, with a line end of two characters before and behind it")]
    LooseBoundary,
    /// Readers look for the first boundary in different ways, and some go on behind the last one.
    #[error("something stands before the form's first boundary or behind its last one")]
    Around,
    /// RFC 7578, section 4.7: senders should not use it.
    #[error("a part has a `Content-Transfer-Encoding` other than 7bit, 8bit or binary")]
    Encoded,
    #[error("the form has more than {MOST_PARTS} parts")]
    TooManyParts,
    #[error("the form ends before its last boundary")]
    Unfinished,
}

/// What a part of a form is, by its file name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It has none.
    Text,
    /// It has an empty one: to some servers a text, to others a file.
    Unclear,
    File,
}

/// One field of a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    /// Where its content stands.
    pub value: Range<u64>,
    /// Its text, where that is short and not surely a file's.
    pub text: Option<String>,
}

/// A form that was read to its end.
#[derive(Debug)]
pub struct Form {
    pub fields: Vec<Field>,
    /// Where the first part begins, boundary included: another one may be put before it.
    pub start: u64,
    pub boundary: String,
    /// The names of models in the lines of the first part that has a file name, and where they stand; quotes included.
    pub models: Vec<(Range<u64>, String)>,
    /// Why those may not be all that somebody else finds there.
    pub flaw: Option<Flaw>,
}

/// What is wrong with the lines of a file, for somebody who takes them for requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    #[error("the file has more lines than a batch may have")]
    TooMany,
    #[error("the file has a line that is no JSON document")]
    NotJson,
    #[error("the file has a line that names no model in `body.model`")]
    Unnamed,
    #[error(
        "a line of the file names its model in a way that not everybody reads alike: write `body` and `model` in these \
         letters, and the name as a string without escapes of at most {LONGEST_MODEL} bytes"
    )]
    Disguised,
}

/// The pass itself: feed it every chunk, then finish it.
#[derive(Debug)]
pub struct Multipart {
    boundary: String,
    /// What stands before each part but the first: a line end, and the boundary.
    delimiter: Vec<u8>,
    /// What was read and not yet understood, and where it begins.
    window: Vec<u8>,
    at: u64,
    state: State,
    fields: Vec<Field>,
    start: u64,
    text: Vec<u8>,
    /// Of the first part that has a file name.
    lines: Option<Lines>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: another part, or the end.
    Boundary,
    Head,
    Content,
    End,
}

impl Multipart {
    /// For a body of that content type.
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let boundary = boundary(content_type).ok_or(FormError::NoBoundary)?;
        Ok(Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            boundary,
            // The first boundary may stand at the very beginning: then its line end is made up.
            window: b"\r\n".to_vec(),
            at: 0,
            state: State::Preamble,
            fields: Vec::new(),
            start: 0,
            text: Vec::new(),
            lines: None,
        })
    }

    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), FormError> {
        self.window.extend_from_slice(chunk);
        while self.step()? {}
        Ok(())
    }

    pub fn finish(self) -> Result<Form, FormError> {
        // The last line may lack its end.
        let ends_here = || self.window.strip_prefix(b"--").is_some_and(is_blank);
        if !(self.state == State::End || self.state == State::Boundary && ends_here()) {
            return Err(FormError::Unfinished);
        }
        let (models, flaw) = self.lines.map(Lines::finish).unwrap_or_default();
        Ok(Form { models, flaw, fields: self.fields, start: self.start, boundary: self.boundary })
    }

    /// Positions count two made-up bytes before the body.
    fn position(&self, in_window: usize) -> u64 {
        (self.at + in_window as u64).saturating_sub(2)
    }

    /// Understands one more thing; false when that takes more bytes.
    fn step(&mut self) -> Result<bool, FormError> {
        match self.state {
            State::Preamble => {
                // At the very beginning, or behind a line end there.
                let at = |start: usize| self.window[start..].starts_with(&self.delimiter).then_some(start);
                let Some(found) = at(0).or_else(|| at(2)) else { return self.around() };
                self.start = self.position(found + 2);
                self.pass(found + self.delimiter.len());
                self.state = State::Boundary;
            }
            State::Boundary => return self.line(),
            State::Head => {
                // The line end of the boundary is still there, so an empty head is found too.
                let Some(end) = self.ending(b"\r\n\r\n")? else { return Ok(false) };
                let boundary = &self.delimiter[2..];
                if self.window.len() < end + 4 + boundary.len() {
                    return Ok(false);
                }
                if self.window[end + 4..].starts_with(boundary) {
                    return Err(FormError::LooseBoundary);
                }
                self.part(end)?;
                self.pass(end + 4);
                self.state = State::Content;
            }
            State::Content => {
                let Some(found) = self.delimiter()? else { return Ok(self.wait()) };
                self.content(found);
                self.end_of_part(found);
                self.pass(found + self.delimiter.len());
                self.state = State::Boundary;
            }
            State::End => {
                if !self.window.trim_ascii().is_empty() {
                    return Err(FormError::Around);
                }
                self.pass(self.window.len());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// There is no first boundary: not yet, or not where it belongs.
    fn around(&self) -> Result<bool, FormError> {
        let longest = [b"\r\n", &self.delimiter[..]].concat();
        let may_come = |whole: &[u8]| whole.starts_with(&self.window);
        if may_come(&longest) || may_come(&self.delimiter) { Ok(false) } else { Err(FormError::Around) }
    }

    /// Where the next delimiter stands, as far as it is there.
    fn delimiter(&self) -> Result<Option<usize>, FormError> {
        let Some(found) = memmem::find(&self.window, &self.delimiter[1..]) else { return Ok(None) };
        let before = found.checked_sub(1).filter(|before| self.window[*before] == b'\r');
        before.map(Some).ok_or(FormError::LooseBoundary)
    }

    /// Where the head, or the line, that the window begins with ends, as far as it is there.
    fn ending(&self, mark: &[u8]) -> Result<Option<usize>, FormError> {
        let end = memmem::find(&self.window, mark);
        // The mark itself may have come in part.
        let length = end.unwrap_or((self.window.len() + 1).saturating_sub(mark.len()));
        if length > LONGEST_HEAD { Err(FormError::HeadTooLong) } else { Ok(end) }
    }

    /// The rest of a boundary's line, which says whether it is the last one.
    fn line(&mut self) -> Result<bool, FormError> {
        let Some(end) = self.ending(b"\r\n")? else { return Ok(false) };
        let line = &self.window[..end];
        let (last, padding) = line.strip_prefix(b"--").map_or((false, line), |padding| (true, padding));
        if !is_blank(padding) {
            return Err(FormError::LooseBoundary);
        }
        self.pass(end);
        self.state = if last { State::End } else { State::Head };
        Ok(true)
    }

    /// Passes over what cannot be part of a delimiter any more.
    fn wait(&mut self) -> bool {
        let sure = self.window.len().saturating_sub(self.delimiter.len() - 1);
        self.content(sure);
        self.pass(sure);
        false
    }

    fn pass(&mut self, count: usize) {
        self.at += count as u64;
        self.window.drain(..count);
    }

    fn part(&mut self, head_end: usize) -> Result<(), FormError> {
        if self.fields.len() == MOST_PARTS {
            return Err(FormError::TooManyParts);
        }
        let head = String::from_utf8_lossy(&self.window[..head_end]).into_owned();
        if is_encoded(&head) {
            return Err(FormError::Encoded);
        }
        let Disposition { name, filename } = disposition(&head).ok_or(FormError::NoName)?;
        let start = self.position(head_end + 4);
        let kind = match filename.as_deref() {
            None => Kind::Text,
            Some("") => Kind::Unclear,
            Some(_) => Kind::File,
        };
        if kind != Kind::Text && self.lines.is_none() {
            self.lines = Some(Lines::from(start));
        }
        self.text.clear();
        self.fields.push(Field { name, kind, value: start..start, text: None });
        Ok(())
    }

    /// The front of the window belongs to the content of the last part.
    fn content(&mut self, count: usize) {
        let Some(field) = self.fields.last() else { return };
        let part = &self.window[..count];
        if field.kind != Kind::File {
            let room = (LONGEST_TEXT + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(&part[..count.min(room)]);
        }
        let start = field.value.start;
        self.lines.iter_mut().filter(|lines| lines.are_of(start)).for_each(|lines| lines.feed(part));
    }

    fn end_of_part(&mut self, in_window: usize) {
        let end = self.position(in_window);
        let Some(field) = self.fields.last_mut() else { return };
        field.value.end = end;
        if field.kind != Kind::File && self.text.len() <= LONGEST_TEXT {
            field.text = String::from_utf8(std::mem::take(&mut self.text)).ok();
        }
    }
}

impl Form {
    /// The fields of these names as members of an object would be noted, so that what is planned for a body in JSON holds
    /// for a form too: the text of each as a JSON value, at the place of the field's content. One that is too long, or no
    /// text, is `null`: it says nothing here, and is replaced where others of its name are.
    pub fn members(&self, names: &'static [&'static str]) -> Members {
        let member = |field: &Field| {
            let name = names.iter().find(|name| name.eq_ignore_ascii_case(&field.name))?;
            let raw = match field.text.as_deref() {
                None => Bytes::from_static(b"null"),
                Some("true") => Bytes::from_static(b"true"),
                Some("false") => Bytes::from_static(b"false"),
                Some(text) => Bytes::from(serde_json::to_vec(text).ok()?),
            };
            Some(Member {
                name,
                exact: *name == field.name,
                key_start: field.value.start,
                value: field.value.clone(),
                comma: None,
                next: None,
                raw,
            })
        };
        let found: Vec<Member> = self.fields.iter().filter_map(member).collect();
        let count = found.len();
        Members::new(found, count, 0)
    }

    /// A field more, as the bytes that go in at `start`.
    pub fn field(&self, name: &str, text: &str) -> Bytes {
        let boundary = &self.boundary;
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").into()
    }

    /// The file, where no other part could be taken for it: neither one with an empty file name, nor one that is called
    /// like the only file of an upload. Its lines are those that were read.
    pub fn only_file(&self) -> Option<&Field> {
        let could_be = |field: &&Field| field.kind != Kind::Text || field.name.eq_ignore_ascii_case(FILE);
        let mut found = self.fields.iter().filter(could_be);
        found.next().filter(|field| field.kind == Kind::File && found.next().is_none())
    }
}

fn is_blank(padding: &[u8]) -> bool {
    padding.iter().all(|byte| b" \t".contains(byte))
}

#[cfg(test)]
mod tests;
