//! The file of counters in the state directory: written as a whole beside the old one and renamed over it, so that a
//! process that is killed leaves either of the two. A file that cannot be trusted is set aside, never written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ledgers::Saved;

const NAME: &str = "counters.json";
/// The save before the last, for when the last is damaged.
const PREVIOUS: &str = "counters.previous.json";
const FRESH: &str = "counters.new.json";
const LOCK: &str = "counters.lock";

/// Version of the format. A reader of another version sets the file aside.
const FORMAT: u32 = 1;

/// The counters in one directory.
#[derive(Debug)]
pub struct CounterFile {
    directory: PathBuf,
    lock: File,
}

/// What was found, and what to tell the operator about it.
#[derive(Debug, Default)]
pub struct Found {
    pub counters: Vec<Saved>,
    pub warnings: Vec<String>,
}

/// Why counters cannot be kept in a directory.
#[derive(Debug, thiserror::Error)]
#[error("the state directory {directory} cannot be used: {error}")]
pub struct StateError {
    directory: PathBuf,
    error: io::Error,
}

/// The second line of the file; the first is the SHA-256 of it.
#[derive(Serialize, Deserialize)]
struct Content<'a> {
    format: u32,
    counters: std::borrow::Cow<'a, [Saved]>,
}

impl CounterFile {
    /// Makes the directory where it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let refuse = |error| StateError { directory: directory.to_owned(), error };
        fs::create_dir_all(directory).map_err(refuse)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join(LOCK));
        Ok(Self { directory: directory.to_owned(), lock: lock.map_err(refuse)? })
    }

    /// Whether this process may write: only one does. Once it may, it may until it ends.
    pub fn claim(&self) -> bool {
        self.lock.try_lock().is_ok()
    }

    /// Reads the last save, or else the one before.
    pub fn load(&self) -> Found {
        let mut found = Found::default();
        for name in [NAME, PREVIOUS] {
            let path = self.directory.join(name);
            let text = match fs::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    found.warnings.push(format!("{} cannot be read: {error}", path.display()));
                    continue;
                }
            };
            match parse(&text) {
                Ok(counters) => {
                    found.counters = counters;
                    return found;
                }
                Err(why) => found.warnings.push(self.set_aside(&path, &why)),
            }
        }
        found
    }

    /// # Errors
    /// When the file cannot be written; the old one is there still.
    pub fn save(&self, counters: &[Saved]) -> io::Result<()> {
        let content = Content { format: FORMAT, counters: counters.into() };
        let json = serde_json::to_vec(&content).map_err(io::Error::other)?;
        let [name, previous, fresh] = [NAME, PREVIOUS, FRESH].map(|name| self.directory.join(name));
        let mut file = File::create(&fresh)?;
        file.write_all(HEXLOWER.encode(&Sha256::digest(&json)).as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(&json)?;
        file.write_all(b"\n")?;
        file.sync_data()?;
        // A second name for the old file, so that at no moment there is none.
        let _ = fs::remove_file(&previous);
        let _ = fs::hard_link(&name, &previous);
        fs::rename(&fresh, &name)
    }

    fn set_aside(&self, path: &Path, why: &str) -> String {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let unused = (1..).map(|number| self.directory.join(format!("{stem}.damaged-{number}.json")));
        let aside = unused.into_iter().find(|path| !path.exists()).unwrap_or_default();
        let (shown, kept) = (path.display(), aside.display());
        match fs::rename(path, &aside) {
            Ok(()) => format!("{shown} {why}; it is kept as {kept} and its counters are not used"),
            Err(error) => format!("{shown} {why}, and cannot be set aside as {kept}: {error}"),
        }
    }
}

fn parse(text: &[u8]) -> Result<Vec<Saved>, String> {
    let text = text.strip_suffix(b"\n").ok_or("is cut off")?;
    let cut = text.iter().position(|byte| *byte == b'\n').ok_or("is cut off")?;
    let (sum, json) = (&text[..cut], &text[cut + 1..]);
    if HEXLOWER.encode(&Sha256::digest(json)).as_bytes() != sum {
        return Err("is damaged: its content does not match its checksum".to_owned());
    }
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let version: Version = serde_json::from_slice(json).map_err(|error| format!("is not understood: {error}"))?;
    if version.format != FORMAT {
        return Err(format!("has format {}, and this version reads format {FORMAT}", version.format));
    }
    let content: Content<'_> = serde_json::from_slice(json).map_err(|error| format!("is not understood: {error}"))?;
    Ok(content.counters.into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::governance::account::{Account, Kind, Member, Subject};
    use crate::governance::ledger::{Demand, Estimate, Holding, Used};
    use crate::governance::ledgers::Ledgers;
    use crate::governance::limits::{Limits, Period, Span};
    use crate::governance::moment::Moment;

    const NOON: Moment = Moment { steady: 1_795_953_600_000, wall: 1_795_953_600 };

    fn account(ledgers: &Ledgers) -> Arc<Account> {
        let limits = Limits { rates: [[Some(3), None, None], [None, None, Some(1_000)]], ..Limits::default() };
        let subject = Subject { kind: Kind::VirtualKey, name: "a".into() };
        let ledger = ledgers.of(&subject);
        Arc::new(Account::new(vec![Arc::new(Member { subject, limits, ledger })]))
    }

    fn demand() -> Demand {
        Demand { tokens: Estimate::exactly(100), cost: Estimate::exactly(7) }
    }

    /// A process that has settled one request and left another one running.
    fn used() -> (Ledgers, Vec<Saved>) {
        let ledgers = Ledgers::default();
        let account = account(&ledgers);
        account.reserve(demand(), NOON).unwrap().0.settle(Used { tokens: 80, cost: 5 }, NOON);
        std::mem::forget(account.reserve(demand(), NOON).unwrap().0);
        let saved = ledgers.changed().expect("something has changed");
        assert_eq!(ledgers.changed(), None);
        (ledgers, saved)
    }

    #[test]
    fn counters_survive_a_restart_and_reservations_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = CounterFile::open(&directory.path().join("made")).unwrap();
        assert!(file.load().counters.is_empty());
        let (_, saved) = used();
        file.save(&saved).unwrap();
        let (found, ledgers) = (file.load(), Ledgers::default());
        assert_eq!((&found.counters, found.warnings.len()), (&saved, 0));
        ledgers.restore(&found.counters, NOON);
        let account = account(&ledgers);
        let books = account.members()[0].ledger.lock().clone();
        assert_eq!((books.held(), books.spending.spent(Period::Month)), (Holding::default(), 5));
        // Of three requests a minute two were let in before.
        assert!(account.reserve(demand(), NOON).is_ok_and(|(kept, _)| {
            std::mem::forget(kept);
            true
        }));
        assert!(account.reserve(demand(), NOON).is_err());
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_the_save_before_it_counts() {
        let directory = tempfile::tempdir().unwrap();
        let (path, (_, saved)) = (directory.path().join(NAME), used());
        let file = CounterFile::open(directory.path()).unwrap();
        for (damage, told) in [
            (b"".as_slice(), "is cut off"),
            (b"not counters\nat all\n", "does not match its checksum"),
            (b"\xff\x00", "is cut off"),
        ] {
            file.save(&saved).unwrap();
            file.save(&saved).unwrap();
            fs::write(&path, damage).unwrap();
            let found = file.load();
            assert_eq!(found.counters, saved);
            assert!(found.warnings.len() == 1 && found.warnings[0].contains(told), "{:?}", found.warnings);
            assert!(!path.exists());
        }
        let aside = |entry: &io::Result<fs::DirEntry>| {
            entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged")
        };
        assert_eq!(fs::read_dir(directory.path()).unwrap().filter(aside).count(), 3);
    }

    #[test]
    fn every_single_wrong_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = CounterFile::open(directory.path()).unwrap();
        file.save(&used().1).unwrap();
        let good = fs::read(directory.path().join(NAME)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_err(), "byte {at}");
            assert!(parse(&good[..at]).is_err(), "cut at {at}");
        }
        let newer = good
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|cut| String::from_utf8_lossy(&good[cut + 1..]).replace("\"format\":1", "\"format\":2"))
            .unwrap();
        let newer = newer.trim_end();
        let newer = format!("{}\n{newer}\n", HEXLOWER.encode(&Sha256::digest(newer)));
        assert_eq!(parse(newer.as_bytes()), Err("has format 2, and this version reads format 1".to_owned()));
    }

    #[test]
    fn one_process_writes_and_the_next_follows_what_the_other_counts_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let first = CounterFile::open(directory.path()).unwrap();
        assert!(first.claim());
        let (ledgers, saved) = used();
        first.save(&saved).unwrap();
        let second = CounterFile::open(directory.path()).unwrap();
        assert!(!second.claim());
        let (taken_over, loaded) = (Ledgers::default(), second.load().counters);
        taken_over.restore(&loaded, NOON);
        taken_over.follow(&loaded, &loaded, true, NOON);
        let elsewhere = |ledgers: &Ledgers| account(ledgers).members()[0].ledger.lock().elsewhere;
        assert_eq!(elsewhere(&taken_over), Holding { requests: 1, cost: 7 }, "it runs in the first process");
        for (ledgers, cost) in [(&ledgers, 30), (&taken_over, 200)] {
            account(ledgers).reserve(demand(), NOON).unwrap().0.settle(Used { tokens: 1, cost }, NOON);
        }
        first.save(&ledgers.changed().unwrap()).unwrap();
        let seen = second.load().counters;
        taken_over.follow(&loaded, &seen, true, NOON);
        let used = |ledgers: &Ledgers| {
            let (account, minute) = (account(ledgers), Span::Minute);
            let mut books = account.members()[0].ledger.lock();
            let requests = books.windows[0][minute as usize].as_mut().unwrap().used(minute, NOON.steady);
            (books.spending.spent(Period::Month), requests)
        };
        // Four requests in all, of which one runs in the first process still.
        assert_eq!((used(&taken_over), used(&ledgers)), ((235, 4), (35, 3)));
        drop(first);
        assert!(second.claim());
        taken_over.follow(&seen, &second.load().counters, false, NOON);
        assert_eq!((used(&taken_over), elsewhere(&taken_over)), ((235, 4), Holding::default()));
    }
}
