//! A reader that walks JSON text once, goes into what its caller asks for and skips the rest.
//!
//! For text that is complete in memory: event data, nested objects. It trusts the text to be roughly JSON and answers
//! `None` where it is not; strict reading of whole bodies is [`super::peek`].

use std::ops::Range;

use super::scan::{Nest, is_space, string_end};

#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self::from(text, 0)
    }

    pub fn from(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// How far the reading has come.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, left in place.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !is_space(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Walks an object. `member` gets each name as written between the quotes, and must read its value.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            member(self, &self.text[name.start + 1..name.end - 1])?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Walks an array. `element` must read its value.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            element(self)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Skips one value and says where it stood.
    pub fn value(&mut self) -> Option<Range<usize>> {
        match self.peek()? {
            b'"' => self.string(),
            bracket @ (b'{' | b'[') => {
                let start = self.at;
                let length = Nest::open(bracket).skip(&self.text[start + 1..]).ok()??;
                self.at = start + 1 + length;
                Some(start..self.at)
            }
            _ => {
                let start = self.at;
                let rest = &self.text[start..];
                let length = rest.iter().position(|b| matches!(b, b',' | b']' | b'}') || is_space(*b));
                self.at = start + length.unwrap_or(rest.len());
                (self.at > start).then_some(start..self.at)
            }
        }
    }

    /// Skips one value and gives its text.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        self.value().map(|range| &self.text[range])
    }

    /// Skips a string, quotes included.
    fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let start = self.at - 1;
        self.at += string_end(&self.text[self.at..], &mut false)?;
        Some(start..self.at)
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Takes the next byte that is not white space, which must be this one.
    pub fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        Cursor::new(text.as_bytes()).object(|at, name| {
            let value = at.text()?;
            found.push((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?));
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn walks_members_and_skips_values() {
        let text = r#" { "a" : [1,{"b":"]}"}] , "c":-1.5e3,"d":"\"" , "e":null}"#;
        let expected = [("a", r#"[1,{"b":"]}"}]"#), ("c", "-1.5e3"), ("d", r#""\"""#), ("e", "null")];
        assert_eq!(names(text).unwrap(), expected);
        assert_eq!(names("{}"), Some(vec![]));
    }

    #[test]
    fn broken_text_is_none() {
        for text in ["", "{", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":[1}", "{\"a\":1 2}", "{a:1}"] {
            assert_eq!(names(text), None, "{text}");
        }
    }
}
