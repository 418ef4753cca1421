//! A request's body on its way out: parts in memory and parts of a file, read piece by piece.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Bytes that are read from a file at a time.
const PIECE: u64 = 256 * 1024;

/// A part of a request's body.
#[derive(Debug, Clone)]
pub enum Segment {
    Memory(Bytes),
    /// `length` bytes of an open file from `at`.
    File {
        file: Arc<File>,
        at: u64,
        length: u64,
    },
}

impl Segment {
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Buffers waiting to be written, offered to the socket together.
#[derive(Debug, Default)]
pub(super) struct Queue {
    parts: VecDeque<Bytes>,
}

/// What is still to be written of a request.
#[derive(Debug)]
pub(super) struct Source {
    segments: VecDeque<Segment>,
    queue: Queue,
}

impl Source {
    /// `first` goes in front of the body.
    pub(super) fn new(first: Bytes, body: Vec<Segment>) -> Self {
        Self { segments: body.into(), queue: Queue { parts: VecDeque::from([first]) } }
    }

    /// Everything at once, when all of it is in memory.
    pub(super) fn whole(mut self) -> Result<Queue, Self> {
        if self.segments.iter().any(|segment| matches!(segment, Segment::File { .. })) {
            return Err(self);
        }
        for segment in self.segments {
            if let Segment::Memory(bytes) = segment {
                self.queue.parts.push_back(bytes);
            }
        }
        Ok(self.queue)
    }

    pub(super) fn len(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum::<u64>() + self.queue.remaining() as u64
    }

    /// What is to be written next; `None` when all is out.
    pub(super) async fn next(&mut self) -> io::Result<Option<&mut Queue>> {
        while !self.queue.has_remaining() {
            self.queue.parts.clear();
            match self.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Memory(bytes)) => self.queue.parts.push_back(bytes),
                Some(Segment::File { file, at, length }) => {
                    let piece = length.min(PIECE);
                    if length > piece {
                        let rest = Segment::File { file: Arc::clone(&file), at: at + piece, length: length - piece };
                        self.segments.push_front(rest);
                    }
                    self.queue.parts.push_back(read_piece(file, at, piece).await?);
                }
            }
        }
        Ok(Some(&mut self.queue))
    }

    /// The next part as one buffer, and whether it is the last.
    pub(super) async fn take(&mut self) -> io::Result<Option<(Bytes, bool)>> {
        let Some(queue) = self.next().await? else { return Ok(None) };
        let part = queue.parts.pop_front().unwrap_or_default();
        Ok(Some((part, self.is_empty())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && !self.queue.has_remaining()
    }
}

impl Buf for Queue {
    fn remaining(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts.iter().filter(|part| !part.is_empty());
        out.iter_mut().zip(parts).map(|(slot, part)| *slot = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.parts.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if !front.is_empty() {
                break;
            }
            self.parts.pop_front();
        }
    }
}

async fn read_piece(file: Arc<File>, at: u64, length: u64) -> io::Result<Bytes> {
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; length as usize];
        file.read_exact_at(&mut piece, at).map(|()| piece)
    });
    read.await.map_err(io::Error::other)?.map(Bytes::from)
}
