//! Who brought what, for lists alone: a resource lists the objects of all its callers and does not tell whose each is.
//!
//! What is kept of an object is a keyed hash that only its owner's key can make, so the file tells nobody anything. Every
//! process of one state directory adds to the same file and reads what the others have added. Nothing else rests on it: an
//! object that it does not know is missing from lists, and still there for whoever has its id.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use data_encoding::BASE64URL_NOPAD;

use super::seal::Trace;
use crate::base::locks::lock;

const NAME: &str = "objects";

/// The objects that were brought through gateways with the same state directory.
#[derive(Debug, Default)]
pub struct Register {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashSet<Trace>,
    file: Option<File>,
    /// How far the file was read.
    read: u64,
}

impl Register {
    /// Keeps what it knows in a directory from now on, and takes over what is there.
    ///
    /// # Errors
    /// When the file cannot be made or read.
    pub fn open(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(directory.join(NAME))?;
        // A process that died while it wrote may have left half a line.
        file.write_all(b"\n")?;
        let mut inner = self.inner();
        inner.file = Some(file);
        inner.catch_up()
    }

    /// Whether what is noted outlives the process.
    pub fn is_kept(&self) -> bool {
        self.inner().file.is_some()
    }

    /// Notes an object. Blocks while a short line is written.
    ///
    /// # Errors
    /// When it could not be written; it is known to this process all the same.
    pub fn note(&self, trace: Trace) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.known.insert(trace) {
            return Ok(());
        }
        let line = format!("{}\n", BASE64URL_NOPAD.encode(&trace));
        inner.file.as_mut().map_or(Ok(()), |file| file.write_all(line.as_bytes()))
    }

    /// Reads what other processes have noted since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn catch_up(&self) -> io::Result<()> {
        self.inner().catch_up()
    }

    pub fn knows(&self, trace: Trace) -> bool {
        self.inner().known.contains(&trace)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn catch_up(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(self.read))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        // Half a line is being written; it is read next time.
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = added[..whole].split(|byte| *byte == b'\n');
        self.known.extend(lines.filter_map(|line| Trace::try_from(BASE64URL_NOPAD.decode(line).ok()?).ok()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(number: u8) -> Trace {
        [number; 16]
    }

    #[test]
    fn processes_of_one_directory_know_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (Register::default(), Register::default());
        one.note(trace(1)).unwrap();
        assert!(one.knows(trace(1)) && !one.is_kept());
        one.open(directory.path()).unwrap();
        other.open(directory.path()).unwrap();
        one.note(trace(2)).unwrap();
        other.note(trace(3)).unwrap();
        one.catch_up().unwrap();
        other.catch_up().unwrap();
        assert!([&one, &other].iter().all(|register| register.knows(trace(2)) && register.knows(trace(3))));
        let later = Register::default();
        later.open(directory.path()).unwrap();
        assert!(later.knows(trace(2)) && later.knows(trace(3)) && !later.knows(trace(9)) && later.is_kept());
    }

    #[test]
    fn a_broken_line_costs_itself_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let one = Register::default();
        one.open(directory.path()).unwrap();
        one.note(trace(1)).unwrap();
        let mut file = OpenOptions::new().append(true).open(directory.path().join(NAME)).unwrap();
        file.write_all(b"AAAA").unwrap();
        let later = Register::default();
        later.open(directory.path()).unwrap();
        later.note(trace(2)).unwrap();
        one.catch_up().unwrap();
        assert!(one.knows(trace(2)) && later.knows(trace(1)));
    }
}
