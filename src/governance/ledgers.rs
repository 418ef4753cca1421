//! All ledgers of the process, by subject: what a reload and a restart find again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::account::{Kind, Subject};
use super::ledger::{Books, Holding, Ledger};
use super::limits::{Measure, Period, Span};
use super::moment::Moment;
use super::spending::Spending;
use super::window::Window;
use crate::base::locks::lock;

/// The ledgers. The lock is taken when a configuration is built and when counters are saved, never for a request.
#[derive(Debug, Default)]
pub struct Ledgers {
    by_subject: Mutex<HashMap<Subject, Arc<Ledger>>>,
}

/// The counters of one subject as they are saved. What running requests hold counts only for a process that takes over
/// from one which is still there: a crash must not hold anything for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub kind: Kind,
    pub name: Arc<str>,
    /// Number of the period and micro-dollars spent in it, per day, week, month and in total.
    pub spent: [(i64, u64); 4],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<SavedWindow>,
    /// Requests that run, and micro-dollars that they may still cost.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub held: (u64, u64),
}

fn is_nothing(held: &(u64, u64)) -> bool {
    *held == (0, 0)
}

/// One window: the slots in which something was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWindow {
    pub measure: Measure,
    pub span: Span,
    pub slots: Vec<(u64, u64)>,
}

impl Ledgers {
    /// The ledger of a subject, which it keeps for the life of the process.
    pub fn of(&self, subject: &Subject) -> Arc<Ledger> {
        let mut ledgers = self.lock();
        if let Some(ledger) = ledgers.get(subject) {
            return Arc::clone(ledger);
        }
        Arc::clone(ledgers.entry(subject.clone()).or_default())
    }

    /// All counters, when any has changed since they were last asked for.
    pub fn changed(&self) -> Option<Vec<Saved>> {
        // All are asked, so that what is saved now is not saved again.
        let changed = self.lock().values().filter(|ledger| ledger.take_changed()).count();
        (changed > 0).then(|| self.all())
    }

    /// All counters that count anything.
    pub fn all(&self) -> Vec<Saved> {
        self.lock().iter().filter_map(|(subject, ledger)| saved(subject, ledger)).collect()
    }

    /// Takes over what an earlier process has saved. Call before any request.
    pub fn restore(&self, saved: &[Saved], now: Moment) {
        let mut ledgers = self.lock();
        for one in saved {
            let (books, ledger) = (restored(one, now), ledgers.entry(subject(one)).or_default());
            *ledger.lock() = books;
        }
    }

    /// Counts what another process has counted between two saves of the same file; this one knows `before` already. What
    /// requests of the other hold is held here too while it is there.
    pub fn follow(&self, before: &[Saved], after: &[Saved], there: bool, now: Moment) {
        let key = |saved: &Saved| (saved.kind, Arc::clone(&saved.name));
        let before: HashMap<_, _> = before.iter().map(|saved| (key(saved), saved)).collect();
        for saved in after {
            let (known, ledger) = (before.get(&key(saved)).copied(), self.of(&subject(saved)));
            if known == Some(saved) {
                continue;
            }
            let mut books = ledger.lock();
            let grown = saved.total().saturating_sub(known.map_or(0, Saved::total));
            if grown > 0 {
                books.spending.spend(grown, now.wall);
            }
            for window in &saved.windows {
                let known = known.and_then(|known| known.window(window.measure, window.span));
                follow_window(&mut books, known, window, now);
            }
            drop(books);
            ledger.touch();
        }
        let held: HashMap<_, _> = after.iter().filter(|_| there).map(|saved| (key(saved), saved.held)).collect();
        for (subject, ledger) in &*self.lock() {
            let (requests, cost) = held.get(&(subject.kind, Arc::clone(&subject.name))).copied().unwrap_or_default();
            ledger.lock().elsewhere = Holding { requests, cost };
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Arc<Ledger>>> {
        lock(&self.by_subject)
    }
}

impl Saved {
    fn total(&self) -> u64 {
        self.spent[Period::Total as usize].1
    }

    fn window(&self, measure: Measure, span: Span) -> Option<&SavedWindow> {
        self.windows.iter().find(|window| (window.measure, window.span) == (measure, span))
    }
}

fn subject(saved: &Saved) -> Subject {
    Subject { kind: saved.kind, name: Arc::clone(&saved.name) }
}

fn follow_window(books: &mut Books, known: Option<&SavedWindow>, window: &SavedWindow, now: Moment) {
    let count = |slots: &[(u64, u64)], number: u64| {
        slots.iter().find(|(found, _)| *found == number).map_or(0, |(_, count)| *count)
    };
    for (number, counted) in &window.slots {
        let known = known.map_or(0, |known| count(&known.slots, *number));
        if known != *counted {
            let own = books.windows[window.measure as usize][window.span as usize].get_or_insert_default();
            own.correct(window.span, now.steady, *number, known, *counted);
        }
    }
}

/// `None` for counters that count nothing.
fn saved(subject: &Subject, ledger: &Ledger) -> Option<Saved> {
    let books = ledger.lock();
    let spent = books.spending.saved();
    let all = Measure::ALL.into_iter().flat_map(|measure| Span::ALL.map(|span| (measure, span)));
    let windows = all.filter_map(|(measure, span)| {
        let slots: Vec<_> = books.windows[measure as usize][span as usize].as_ref()?.slots().collect();
        (!slots.is_empty()).then_some(SavedWindow { measure, span, slots })
    });
    let windows: Vec<_> = windows.collect();
    let Holding { requests, cost } = books.held();
    let counts = requests > 0 || !windows.is_empty() || spent.iter().any(|(_, amount)| *amount > 0);
    let held = (requests, cost);
    counts.then(|| Saved { kind: subject.kind, name: Arc::clone(&subject.name), spent, windows, held })
}

fn restored(saved: &Saved, now: Moment) -> Books {
    let mut books = Books::default();
    books.spending = Spending::restored(saved.spent);
    for window in &saved.windows {
        let restored = Window::restored(&window.slots, window.span, now.steady);
        books.windows[window.measure as usize][window.span as usize] = Some(Box::new(restored));
    }
    books
}
