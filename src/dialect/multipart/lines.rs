//! The lines of a batch (JSON Lines): in each of them the name of a model hides.

use std::ops::Range;

use memchr::memchr2;

use super::super::places::{Found, Place, Places};
use super::Flaw;

/// Where a line names its model.
static MODEL: Place<()> = Place::noted(());
static LINE: Place<()> = Place::object(&[("body", &Place::object(&[("model", &MODEL)]))]);

/// Longest name of a model that is kept.
pub(super) const LONGEST_MODEL: usize = 512;

/// The pass over the content of one file.
#[derive(Debug)]
pub(super) struct Lines {
    /// Where the content begins.
    from: u64,
    places: Places<()>,
    /// The present line has something on it.
    begun: bool,
    /// Models that the lines before it have named.
    named: usize,
    flaw: Option<Flaw>,
}

impl Lines {
    pub fn from(start: u64) -> Self {
        Self { from: start, places: Places::new(&LINE).keeping(LONGEST_MODEL), begun: false, named: 0, flaw: None }
    }

    /// Whether these are the lines of the content that begins there.
    pub fn are_of(&self, start: u64) -> bool {
        self.from == start
    }

    pub fn feed(&mut self, mut part: &[u8]) {
        while let Some(end) = memchr2(b'\n', b'\r', part) {
            let (line, rest) = part.split_at(end + 1);
            self.line(line);
            self.end_of_line();
            part = rest;
        }
        self.line(part);
    }

    fn line(&mut self, part: &[u8]) {
        self.begun |= !part.trim_ascii().is_empty();
        self.places.feed(part);
    }

    /// Whoever reads line by line and skips those that are broken sees others than whoever reads on: a line is a document.
    fn end_of_line(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let named = self.places.found().len();
        if !self.places.is_between() {
            self.flaw.get_or_insert(Flaw::NotJson);
        } else if named == self.named {
            self.flaw.get_or_insert(Flaw::Unnamed);
        }
        self.named = named;
    }

    /// The models and where they stand, quotes included; and why those may not be all.
    pub fn finish(mut self) -> (Vec<(Range<u64>, String)>, Option<Flaw>) {
        // The last line may lack its end.
        self.feed(b"\n");
        let model = |found: &Found<()>| {
            let place = self.from + found.value.start..self.from + found.value.end;
            Some((place, self.places.plain(found)?.to_owned()))
        };
        let models: Vec<_> = self.places.found().iter().filter_map(model).collect();
        let flaw = match () {
            () if self.places.overflowed() => Some(Flaw::TooMany),
            () if self.places.is_lost() => Some(Flaw::NotJson),
            () if self.places.is_disguised() || models.len() < self.places.found().len() => Some(Flaw::Disguised),
            () => self.flaw,
        };
        (models, flaw)
    }
}
