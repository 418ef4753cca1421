//! A request's body, held so that it can be sent as often as needed: in memory while it is small, in an unlinked
//! temporary file past that. What is sent is described by pieces of the original and new bytes; only small chunks are
//! copied, when they are gathered.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::dialect::splice::Piece;
use crate::upstream::Segment;

/// Bytes of one body that stay in memory.
const IN_MEMORY: u64 = 4 * 1024 * 1024;

/// Bytes that are gathered before they are written to the file.
const BATCH: usize = 1024 * 1024;

/// A chunk smaller than this joins the part before it, if that is smaller than [`PART`]. A part of its own costs about a
/// hundred bytes, so a caller who sends single bytes would take a hundred times what is allowed.
const SMALL: usize = 2 * 1024;
const PART: usize = 16 * 1024;

/// The beginning of a body by which it is recognised, in bytes: about the 1,024 tokens from which prompts are cached.
const BEGINNING: usize = 4 * 1024;

#[derive(Debug, Default)]
pub struct Body {
    rope: Vec<Bytes>,
    /// Where each part of the rope begins, counted from the body's start.
    starts: Vec<u64>,
    spilled: Option<Spilled>,
    length: u64,
}

/// The front of a long body; the rope holds what follows it.
#[derive(Debug)]
struct Spilled {
    file: Arc<File>,
    length: u64,
    /// A hash of the body's beginning.
    beginning: u64,
}

impl Body {
    pub fn len(&self) -> u64 {
        self.length
    }

    /// A hash of the body's beginning; `None` for a short body.
    pub fn beginning(&self) -> Option<u64> {
        let spilled = self.spilled.as_ref().map(|spilled| spilled.beginning);
        spilled.or_else(|| (self.length >= BEGINNING as u64).then(|| self.hash_beginning()))
    }

    /// # Errors
    /// When a long body cannot be written to a temporary file.
    pub async fn push(&mut self, chunk: Bytes) -> io::Result<()> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.append(chunk);
        let begun = self.spilled.as_ref().map_or(0, |spilled| spilled.length);
        let waiting = self.length - begun;
        let full = if self.spilled.is_some() { waiting >= BATCH as u64 } else { waiting > IN_MEMORY };
        if full { self.spill().await } else { Ok(()) }
    }

    /// The parts of the body that `pieces` describe.
    pub fn segments(&self, pieces: &[Piece]) -> Vec<Segment> {
        let mut segments = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::New(bytes) => segments.push(Segment::Memory(bytes.clone())),
                Piece::Keep(range) => self.keep(range.clone(), &mut segments),
            }
        }
        segments
    }

    /// All of it in one piece, for whoever has to read it.
    ///
    /// # Errors
    /// When what was written to the temporary file cannot be read.
    pub async fn whole(&self) -> io::Result<Bytes> {
        let mut all = BytesMut::with_capacity(usize::try_from(self.length).unwrap_or_default());
        if let Some(spilled) = &self.spilled {
            let (file, length) = (Arc::clone(&spilled.file), spilled.length);
            let read = tokio::task::spawn_blocking(move || {
                let mut front = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                file.read_exact_at(&mut front, 0)?;
                Ok::<_, io::Error>(front)
            });
            all.extend_from_slice(&read.await.map_err(io::Error::other)??);
        }
        self.rope.iter().for_each(|part| all.extend_from_slice(part));
        Ok(all.freeze())
    }

    fn keep(&self, mut range: Range<u64>, segments: &mut Vec<Segment>) {
        if let Some(spilled) = self.spilled.as_ref().filter(|spilled| range.start < spilled.length) {
            let end = range.end.min(spilled.length);
            let file = Arc::clone(&spilled.file);
            segments.push(Segment::File { file, at: range.start, length: end - range.start });
            range.start = end;
        }
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        for (start, part) in self.starts.iter().zip(&self.rope).skip(first) {
            if *start >= range.end {
                break;
            }
            let from = range.start.max(*start) - start;
            let to = range.end.min(start + part.len() as u64) - start;
            if from < to {
                segments.push(Segment::Memory(part.slice(from as usize..to as usize)));
            }
        }
    }

    fn append(&mut self, chunk: Bytes) {
        let start = self.length;
        self.length += chunk.len() as u64;
        if let Some(last) = self.rope.last_mut().filter(|last| chunk.len() < SMALL && last.len() < PART) {
            // Nobody else holds the part yet, so it grows where it is.
            let mut part = BytesMut::from(std::mem::take(last));
            part.extend_from_slice(&chunk);
            *last = part.freeze();
        } else {
            self.starts.push(start);
            self.rope.push(chunk);
        }
    }

    /// Of a body that is in memory. However it came in parts, the same bytes give the same hash.
    fn hash_beginning(&self) -> u64 {
        let (mut hash, mut missing) = (DefaultHasher::new(), BEGINNING);
        for part in &self.rope {
            let piece = &part[..part.len().min(missing)];
            hash.write(piece);
            missing -= piece.len();
        }
        hash.finish()
    }

    async fn spill(&mut self) -> io::Result<()> {
        let beginning = self.spilled.as_ref().map_or_else(|| self.hash_beginning(), |spilled| spilled.beginning);
        let rope = std::mem::take(&mut self.rope);
        self.starts.clear();
        let file = self.spilled.as_ref().map(|spilled| Arc::clone(&spilled.file));
        let written = tokio::task::spawn_blocking(move || {
            let file = file.map_or_else(|| tempfile::tempfile().map(Arc::new), Ok)?;
            rope.iter().try_for_each(|part| (&*file).write_all(part))?;
            Ok::<_, io::Error>(file)
        });
        let file = written.await.map_err(io::Error::other)??;
        self.spilled = Some(Spilled { file, length: self.length, beginning });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(segments: &[Segment]) -> Vec<u8> {
        let mut all = Vec::new();
        for segment in segments {
            match segment {
                Segment::Memory(bytes) => all.extend_from_slice(bytes),
                Segment::File { file, at, length } => {
                    let mut part = vec![0; *length as usize];
                    file.read_exact_at(&mut part, *at).unwrap();
                    all.extend_from_slice(&part);
                }
            }
        }
        all
    }

    #[tokio::test]
    async fn every_range_comes_back_from_memory_and_from_the_file() {
        for length in [1usize, 65_536, 3_000_000, 9_000_001] {
            let original: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
            let mut body = Body::default();
            for chunk in original.chunks(65_000) {
                body.push(Bytes::copy_from_slice(chunk)).await.unwrap();
            }
            assert_eq!(body.len(), length as u64);
            assert!(body.whole().await.unwrap() == original);
            assert_eq!(body.spilled.is_some(), length as u64 > IN_MEMORY);
            let end = length as u64;
            let cuts = [0, end / 3, end / 2, (end / 2 + 70_000).min(end), end];
            for from in cuts {
                for to in cuts.into_iter().filter(|to| *to >= from) {
                    let pieces = [Piece::Keep(from..to), Piece::New(Bytes::from_static(b"new"))];
                    let expected = [&original[from as usize..to as usize], b"new"].concat();
                    assert!(content(&body.segments(&pieces)) == expected, "{length}: {from}..{to}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_body_in_tiny_chunks_is_held_in_few_parts() {
        let original: Vec<u8> = (0..300_000).map(|i| (i * 31 % 251) as u8).collect();
        let mut body = Body::default();
        let mut rest = &original[..];
        // Single bytes, with a large chunk among them.
        for length in (0..100_000).map(|_| 1).chain([100_000]).chain((0..100_000).map(|_| 1)) {
            let (chunk, after) = rest.split_at(length);
            body.push(Bytes::copy_from_slice(chunk)).await.unwrap();
            rest = after;
        }
        assert!(body.rope.len() < 40, "{} parts", body.rope.len());
        let end = body.len();
        for (from, to) in [(0, end), (1, 99_999), (99_999, 200_001), (end - 1, end)] {
            let kept = content(&body.segments(&[Piece::Keep(from..to)]));
            assert!(kept == original[from as usize..to as usize], "{from}..{to}");
        }
    }
}
