//! All ledgers of the process, by subject: what a reload and a restart find again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::account::{Kind, Subject};
use super::ledger::{Books, Ledger};
use super::limits::{Measure, Span};
use super::moment::Moment;
use super::spending::Spending;
use super::window::Window;

/// The ledgers. The lock is taken when a configuration is built and when counters are saved, never for a request.
#[derive(Debug, Default)]
pub struct Ledgers {
    by_subject: Mutex<HashMap<Subject, Arc<Ledger>>>,
}

/// The counters of one subject as they are saved. What running requests have reserved is not among them: a crash
/// must not hold anything for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub kind: Kind,
    pub name: Arc<str>,
    /// Number of the period and micro-dollars spent in it, per day, week, month and in total.
    pub spent: [(i64, u64); 4],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<SavedWindow>,
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
            let subject = Subject { kind: one.kind, name: Arc::clone(&one.name) };
            let (books, ledger) = (restored(one, now), ledgers.entry(subject).or_default());
            *ledger.lock() = books;
        }
    }

    /// Adds what another process has spent between two saves of the same file, which both had loaded from it.
    pub fn add_growth(&self, before: &[Saved], after: &[Saved], now: Moment) {
        let key = |saved: &Saved| (saved.kind, Arc::clone(&saved.name));
        let before: HashMap<_, _> = before.iter().map(|saved| (key(saved), saved)).collect();
        let total = |saved: &Saved| saved.spent[super::limits::Period::Total as usize].1;
        for saved in after {
            let grown = total(saved).saturating_sub(before.get(&key(saved)).map_or(0, |before| total(before)));
            if grown > 0 {
                let ledger = self.of(&Subject { kind: saved.kind, name: Arc::clone(&saved.name) });
                ledger.lock().spending.spend(grown, now.wall);
                ledger.touch();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, Arc<Ledger>>> {
        self.by_subject.lock().unwrap_or_else(PoisonError::into_inner)
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
    let counts = !windows.is_empty() || spent.iter().any(|(_, amount)| *amount > 0);
    counts.then(|| Saved { kind: subject.kind, name: Arc::clone(&subject.name), spent, windows })
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
