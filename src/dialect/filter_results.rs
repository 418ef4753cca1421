//! Removal of Azure's content filter members from JSON text, at any depth, leaving every other byte as it is.
//!
//! For `strip_content_filter_results`: whole answers and the data of single events. Text is taken as the upstream's own
//! JSON; what is not JSON is left alone.

use std::ops::Range;

use memchr::memmem;

use super::cursor::Cursor;
use super::scan::string_end;

const NAMES: [&[u8]; 4] =
    [b"content_filter_results", b"prompt_filter_results", b"content_filter_offsets", b"prompt_annotations"];

/// What the Responses dialect calls them. It also echoes the caller's own schemas, so only its own places count.
const RESPONSES_NAME: &[u8] = b"content_filters";
const RESPONSES_DEPTH: usize = 2;

/// The text without the members; `None` when there are none.
pub fn remove(text: &[u8]) -> Option<Vec<u8>> {
    if memmem::find(text, b"_filter").is_none() && memmem::find(text, b"prompt_annotations").is_none() {
        return None;
    }
    let cuts = Walk { text, at: 0, levels: Vec::new(), cuts: Vec::new() }.run()?;
    if cuts.is_empty() {
        return None;
    }
    let mut rest = Vec::with_capacity(text.len());
    let mut done = 0;
    for cut in cuts {
        rest.extend_from_slice(&text[done..cut.start]);
        done = cut.end;
    }
    rest.extend_from_slice(&text[done..]);
    Some(rest)
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    levels: Vec<Level>,
    cuts: Vec<Range<usize>>,
}

/// An open array or object.
struct Level {
    object: bool,
    /// The next string is a name.
    at_name: bool,
    /// A member or element stays, so that the next one needs its comma.
    kept: bool,
    /// The comma before the next name.
    comma: usize,
}

impl Walk<'_> {
    fn run(mut self) -> Option<Vec<Range<usize>>> {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    let object = byte == b'{';
                    self.levels.push(Level { object, at_name: object, kept: false, comma: self.at });
                    self.at += 1;
                }
                b'}' | b']' => {
                    let level = self.levels.pop()?;
                    if level.object != (byte == b'}') {
                        return None;
                    }
                    self.at += 1;
                }
                b',' => {
                    let at = self.at;
                    if let Some(level) = self.levels.last_mut() {
                        level.comma = at;
                        level.at_name = level.object;
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        self.levels.is_empty().then_some(self.cuts)
    }

    fn string(&mut self) -> Option<()> {
        let start = self.at;
        self.at += 1 + string_end(&self.text[start + 1..], &mut false)?;
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut().filter(|level| level.at_name) else { return Some(()) };
        level.at_name = false;
        let name = &self.text[start + 1..self.at - 1];
        if NAMES.contains(&name) || (name == RESPONSES_NAME && depth <= RESPONSES_DEPTH) {
            return self.cut(start);
        }
        level.kept = true;
        Some(())
    }

    /// Cuts the member whose name starts at `name` and was just read: with the comma before it, or, where nothing
    /// stays before it, with the comma behind it.
    fn cut(&mut self, name: usize) -> Option<()> {
        let mut after = Cursor::from(self.text, self.at);
        after.expect(b':')?;
        self.at = after.value()?.end;
        let level = self.levels.last_mut()?;
        if level.kept {
            self.cuts.push(level.comma..self.at);
            return Some(());
        }
        if after.peek()? == b',' {
            after.expect(b',')?;
            after.peek()?;
            self.at = after.position();
            level.at_name = true;
        }
        self.cuts.push(name..self.at);
        Some(())
    }
}

#[cfg(test)]
mod tests;
