//! When something happens, on both clocks that limits go by. Everything in this folder is told the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds on a clock that never jumps. It began at the wall clock's time when the process started, so that
    /// saved windows mean the same to the next process. Windows of rates go by it.
    pub steady: u64,
    /// Seconds since 1970 as the wall clock says, which may jump. Budgets go by it: a month is a month of the calendar.
    pub wall: i64,
}

/// Where moments come from in a running process.
#[derive(Debug)]
pub struct Clock {
    begun: Instant,
    origin: u64,
}

impl Default for Clock {
    fn default() -> Self {
        let origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self { begun: Instant::now(), origin: u64::try_from(origin).unwrap_or(u64::MAX / 2) }
    }
}

impl Clock {
    pub fn now(&self) -> Moment {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX / 2);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Moment { steady: self.origin.saturating_add(elapsed), wall: i64::try_from(wall).unwrap_or(i64::MAX) }
    }
}
