//! Forms with files (RFC 7578) as they stream by: where each field stands, and the text of the short ones. Files are
//! passed over, whatever their size, but for the lines of a batch, in which model names hide.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::members::{Member, Members};
use super::places::{Place, Places};

/// Longest text of a field that is kept. The gateway acts on names and switches.
const LONGEST_TEXT: usize = 4 * 1024;

/// Longest head of one part.
const LONGEST_HEAD: usize = 8 * 1024;

/// Parts of one form. A form that repeats them on purpose has more.
const MOST_PARTS: usize = 256;

/// RFC 2046, section 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// Where a line of a batch names its model.
static MODEL: Place<()> = Place::noted(());
static LINE: Place<()> = Place::object(&[("body", &Place::object(&[("model", &MODEL)]))]);

/// Longest model name of a batch line that is kept.
const LONGEST_MODEL: usize = 512;

/// Why a body is no form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormError {
    #[error("the content type is not `multipart/form-data` with a boundary")]
    NoBoundary,
    #[error("the head of a part is longer than {LONGEST_HEAD} bytes")]
    HeadTooLong,
    #[error("a part has no `Content-Disposition: form-data` with a name")]
    NoName,
    #[error("the form has more than {MOST_PARTS} parts")]
    TooManyParts,
    #[error("the form ends before its last boundary")]
    Unfinished,
}

/// One field of a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    pub name: String,
    /// It is a file: it has a file name.
    pub file: bool,
    /// Where its content stands.
    pub value: Range<u64>,
    /// Its text, where that is short and no file's.
    pub text: Option<String>,
}

/// A form that was read to its end.
#[derive(Debug)]
pub struct Form {
    pub fields: Vec<Field>,
    /// Where the first part begins, boundary included: another one may be put before it.
    pub start: u64,
    pub boundary: String,
    /// The names of models in the lines of the first file, and where they stand; quotes included.
    pub models: Vec<(Range<u64>, String)>,
    /// There are more of them than anyone may send.
    pub too_many_models: bool,
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
    lines: Places<()>,
    /// Where the file begins whose lines are read.
    lines_from: Option<u64>,
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
            lines: Places::new(&LINE).keeping(LONGEST_MODEL),
            lines_from: None,
        })
    }

    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), FormError> {
        self.window.extend_from_slice(chunk);
        while self.step()? {}
        Ok(())
    }

    pub fn finish(self) -> Result<Form, FormError> {
        if self.state != State::End {
            return Err(FormError::Unfinished);
        }
        let from = self.lines_from.unwrap_or_default();
        let model = |found| {
            let name: String = self.lines.plain(found)?.to_owned();
            Some((from + found.value.start..from + found.value.end, name))
        };
        Ok(Form {
            models: self.lines.found().iter().filter_map(model).collect(),
            too_many_models: self.lines.overflowed(),
            fields: self.fields,
            start: self.start,
            boundary: self.boundary,
        })
    }

    /// Positions count two made-up bytes before the body.
    fn position(&self, in_window: usize) -> u64 {
        (self.at + in_window as u64).saturating_sub(2)
    }

    /// Understands one more thing; false when that takes more bytes.
    fn step(&mut self) -> Result<bool, FormError> {
        match self.state {
            State::Preamble => {
                let Some(found) = memmem::find(&self.window, &self.delimiter) else { return Ok(self.wait(false)) };
                self.start = self.position(found + 2);
                self.pass(found + self.delimiter.len());
                self.state = State::Boundary;
            }
            State::Boundary => {
                if self.window.starts_with(b"--") {
                    self.state = State::End;
                } else if let Some(line) = memmem::find(&self.window, b"\r\n") {
                    self.pass(line);
                    self.state = State::Head;
                } else if self.window.len() > LONGEST_HEAD {
                    return Err(FormError::HeadTooLong);
                } else {
                    return Ok(false);
                }
            }
            State::Head => {
                // The line end of the boundary is still there, so an empty head is found too.
                let Some(end) = memmem::find(&self.window, b"\r\n\r\n") else {
                    return if self.window.len() > LONGEST_HEAD { Err(FormError::HeadTooLong) } else { Ok(false) };
                };
                self.part(end)?;
                self.pass(end + 4);
                self.state = State::Content;
            }
            State::Content => {
                let Some(found) = memmem::find(&self.window, &self.delimiter) else { return Ok(self.wait(true)) };
                self.content(found);
                self.end_of_part(found);
                self.pass(found + self.delimiter.len());
                self.state = State::Boundary;
            }
            State::End => {
                self.pass(self.window.len());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes over what cannot be part of a delimiter any more.
    fn wait(&mut self, content: bool) -> bool {
        let sure = self.window.len().saturating_sub(self.delimiter.len() - 1);
        if content {
            self.content(sure);
        }
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
        let (name, file) = disposition(&head).ok_or(FormError::NoName)?;
        let start = self.position(head_end + 4);
        if file && self.lines_from.is_none() {
            self.lines_from = Some(start);
        }
        self.text.clear();
        self.fields.push(Field { name, file, value: start..start, text: None });
        Ok(())
    }

    /// The front of the window belongs to the content of the last part.
    fn content(&mut self, count: usize) {
        let Some(field) = self.fields.last() else { return };
        let part = &self.window[..count];
        if !field.file {
            let room = (LONGEST_TEXT + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(&part[..count.min(room)]);
        } else if self.lines_from == Some(field.value.start) {
            self.lines.feed(part);
        }
    }

    fn end_of_part(&mut self, in_window: usize) {
        let end = self.position(in_window);
        let Some(field) = self.fields.last_mut() else { return };
        field.value.end = end;
        if !field.file && self.text.len() <= LONGEST_TEXT {
            field.text = String::from_utf8(std::mem::take(&mut self.text)).ok();
        }
    }
}

impl Form {
    /// The fields of these names as members of an object would be noted, so that what is planned for a body in JSON holds
    /// for a form too: the text of each as a JSON value, at the place of the field's content.
    pub fn members(&self, names: &'static [&'static str]) -> Members {
        let member = |field: &Field| {
            let name = names.iter().find(|name| **name == field.name)?;
            let raw = match field.text.as_deref()? {
                "true" => Bytes::from_static(b"true"),
                "false" => Bytes::from_static(b"false"),
                text => Bytes::from(serde_json::to_vec(text).ok()?),
            };
            Some(Member {
                name,
                exact: true,
                key_start: field.value.start,
                value: field.value.clone(),
                comma: None,
                next: None,
                raw,
            })
        };
        let found: Vec<Member> = self.fields.iter().filter(|field| !field.file).filter_map(member).collect();
        let count = found.len();
        Members::new(found, count, 0)
    }

    /// A field more, as the bytes that go in at `start`.
    pub fn field(&self, name: &str, text: &str) -> Bytes {
        let boundary = &self.boundary;
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").into()
    }

    /// The field that counts: the last of that name which is no file.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|field| field.name == name && !field.file)?.text.as_deref()
    }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let (media, parameters) = content_type.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let fits =
        (1..=LONGEST_BOUNDARY).contains(&boundary.len()) && boundary.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    fits.then_some(boundary)
}

/// The name of a field, and whether it is a file.
fn disposition(head: &str) -> Option<(String, bool)> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = lines.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (kind, parameters) = value.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let file = parameter(parameters, "filename").is_some() || parameter(parameters, "filename*").is_some();
    Some((parameter(parameters, "name")?, file))
}

/// One of the parameters `a=b; c="d"`.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    loop {
        text = text.trim_start_matches([';', ' ', '\t']);
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = rest;
    }
}

/// The text up to the closing quote, and what follows.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &text[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests;
