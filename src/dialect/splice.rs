//! Edits of a JSON body in place: what changes is new, what does not stays the caller's bytes, uncopied.
//!
//! [`Edits`] are built against the [`Members`] that a peek found, turned into [`Piece`]s, and applied to the body, which
//! may lie in memory as a rope or be streamed from a file.

use std::ops::Range;

use bytes::Bytes;

use super::members::{Member, Members};
use super::peek::JsonError;

/// A part of the edited body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// These bytes of the original.
    Keep(Range<u64>),
    New(Bytes),
}

/// Edits of one object. Of two replacements of one value the later counts; what is done inside of a value that is
/// removed or replaced is lost with it.
#[derive(Clone, Debug)]
pub struct Edits<'m> {
    members: &'m Members,
    replaced: Vec<(Range<u64>, Bytes)>,
    removed: Vec<&'m Member>,
    appended: Vec<Bytes>,
}

impl<'m> Edits<'m> {
    pub fn new(members: &'m Members) -> Self {
        Self { members, replaced: Vec::new(), removed: Vec::new(), appended: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.removed.is_empty() && self.appended.is_empty()
    }

    /// Puts `value` (JSON text) in the place of the member's value.
    pub fn replace(&mut self, member: &Member, value: impl Into<Bytes>) {
        self.replaced.retain(|(range, _)| *range != member.value);
        self.replaced.push((member.value.clone(), value.into()));
    }

    /// Replaces every member of that name, so that it does not matter which of them the upstream reads.
    pub fn replace_all(&mut self, name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        for member in self.members.all(name) {
            self.replace(member, value.clone());
        }
    }

    /// Puts `value` in the place of a part that lies deeper than the members.
    pub fn replace_part(&mut self, part: Range<u64>, value: impl Into<Bytes>) {
        self.replaced.push((part, value.into()));
    }

    pub fn remove(&mut self, member: &'m Member) {
        if !self.removed.iter().any(|known| known.key_start == member.key_start) {
            self.removed.push(member);
        }
    }

    pub fn remove_all(&mut self, name: &str) {
        for member in self.members.all(name) {
            self.remove(member);
        }
    }

    /// Adds a member, such as `"stream":true`, behind the last one.
    pub fn append(&mut self, member: impl Into<Bytes>) {
        self.appended.push(member.into());
    }

    /// Adds a member behind the last one of `object`, a member whose value is an object.
    pub fn insert_into(&mut self, object: &Member, member: &[u8]) -> Result<(), JsonError> {
        let (at, any) = object.members(&[])?.insert_at();
        let before = self.replaced.iter().any(|(range, _)| *range == (at..at));
        let comma: &[u8] = if any || before { b"," } else { b"" };
        self.replaced.push((at..at, [comma, member].concat().into()));
        Ok(())
    }

    /// The edited body in order, for an original of that many bytes.
    pub fn pieces(&self, length: u64) -> Vec<Piece> {
        let mut edits = self.removals();
        edits.extend(self.replaced.iter().cloned());
        edits.extend(self.additions());
        // Stable, so that several additions at one place keep their order.
        edits.sort_by_key(|(range, _)| range.start);

        let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
        let mut done = 0;
        for (range, new) in edits {
            if range.start < done {
                continue;
            }
            if range.start > done {
                pieces.push(Piece::Keep(done..range.start));
            }
            if !new.is_empty() {
                pieces.push(Piece::New(new));
            }
            done = range.end;
        }
        if done < length {
            pieces.push(Piece::Keep(done..length));
        }
        pieces
    }

    pub fn length_after(&self, length: u64) -> u64 {
        length_of(&self.pieces(length))
    }

    /// What to cut. A member goes with the comma before it; a run of members at the front has none, and goes up to the
    /// name of the first member that stays.
    fn removals(&self) -> Vec<(Range<u64>, Bytes)> {
        let mut removed = self.removed.clone();
        removed.sort_by_key(|member| member.key_start);
        let mut cuts: Vec<(Range<u64>, Bytes)> = Vec::with_capacity(removed.len());
        let mut front = None;
        for member in removed {
            let in_front = member.comma.is_none() || front == Some(member.key_start);
            let cut = match member.comma {
                Some(comma) if !in_front => comma..member.value.end,
                _ => member.key_start..member.next.unwrap_or(member.value.end),
            };
            if in_front {
                front = member.next;
            }
            cuts.push((cut, Bytes::new()));
        }
        cuts
    }

    fn additions(&self) -> impl Iterator<Item = (Range<u64>, Bytes)> {
        let (at, _) = self.members.insert_at();
        let mut any = self.members.count() > self.removed.len();
        self.appended.iter().map(move |member| {
            let comma: &[u8] = if std::mem::replace(&mut any, true) { b"," } else { b"" };
            (at..at, [comma, member].concat().into())
        })
    }
}

/// The bytes that pieces stand for.
pub fn length_of(pieces: &[Piece]) -> u64 {
    let length = |piece: &Piece| match piece {
        Piece::Keep(range) => range.end - range.start,
        Piece::New(bytes) => bytes.len() as u64,
    };
    pieces.iter().map(length).sum()
}

/// The edited body as slices of the original and the new parts. What the rope does not reach is left out.
pub fn apply(pieces: &[Piece], rope: &[Bytes]) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(pieces.len() + rope.len());
    let (mut index, mut base) = (0, 0_u64);
    for piece in pieces {
        let range = match piece {
            Piece::New(bytes) => {
                out.push(bytes.clone());
                continue;
            }
            Piece::Keep(range) => range,
        };
        while let Some(chunk) = rope.get(index) {
            let end = base + chunk.len() as u64;
            let (from, to) = (range.start.max(base), range.end.min(end));
            if from < to {
                out.push(chunk.slice((from - base) as usize..(to - base) as usize));
            }
            if range.end <= end {
                break;
            }
            base = end;
            index += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests;
