//! A sliding window in sixty slots: how much was used within the last minute, hour or day.
//!
//! The bounds are exact. A slot counts until all of it is older than the span, so no stretch of time as long as the
//! span ever holds more than the limit, wherever it begins; the whole limit may be used at once; and what was used
//! comes back after one span and at most a sixtieth of it more.

use std::collections::VecDeque;

use super::limits::Span;

/// Slots of one span.
const SLOTS: u64 = 60;

/// What was used, by slot. Only slots in which something was used are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of the slot and its count, in rising order.
    slots: VecDeque<(u64, u64)>,
    total: u64,
}

impl Window {
    /// A window as it was saved, on the clock of now. Slots of the future, left by a clock that was ahead, are moved
    /// to the present: nothing that was used is forgotten, and nothing blocks for longer than the span.
    pub fn restored(saved: &[(u64, u64)], span: Span, now: u64) -> Self {
        let present = slot(span, now);
        let mut window = Self::default();
        for (number, count) in saved {
            window.add((*number).min(present), *count);
        }
        window
    }

    pub fn slots(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.slots.iter().copied()
    }

    /// What counts now.
    pub fn used(&mut self, span: Span, now: u64) -> u64 {
        let present = slot(span, now);
        while let Some((number, count)) = self.slots.front().copied().filter(|(number, _)| number + SLOTS < present) {
            self.slots.pop_front();
            self.total -= count;
            debug_assert!(number < present);
        }
        self.total
    }

    /// Uses an amount now, which is never earlier than the last time.
    pub fn take(&mut self, span: Span, now: u64, amount: u64) {
        self.add(slot(span, now), amount);
    }

    /// Replaces what was taken at a moment by what was used in truth. Where that moment counts no more, nothing is left
    /// to correct.
    pub fn settle(&mut self, span: Span, at: u64, taken: u64, used: u64) {
        let Ok(found) = self.slots.binary_search_by_key(&slot(span, at), |(number, _)| *number) else { return };
        let count = &mut self.slots[found].1;
        let corrected = count.saturating_sub(taken).saturating_add(used);
        self.total = self.total - *count + corrected;
        *count = corrected;
    }

    /// Counts what another process has counted in one slot in the place of what was known of that before.
    pub fn correct(&mut self, span: Span, now: u64, number: u64, known: u64, counted: u64) {
        let number = number.min(slot(span, now));
        let at = self.slots.partition_point(|(found, _)| *found < number);
        if self.slots.get(at).is_none_or(|(found, _)| *found != number) {
            self.slots.insert(at, (number, 0));
        }
        let count = &mut self.slots[at].1;
        let corrected = count.saturating_sub(known).saturating_add(counted);
        self.total = (self.total - *count).saturating_add(corrected);
        *count = corrected;
    }

    /// Milliseconds until `amount` fits under the limit if nothing else is used; 0 when it fits now, `None` when it
    /// never does.
    pub fn wait(&mut self, span: Span, now: u64, amount: u64, limit: u64) -> Option<u64> {
        let room = limit.checked_sub(amount)?;
        let mut used = self.used(span, now);
        let mut wait = 0;
        for (number, count) in &self.slots {
            if used <= room {
                break;
            }
            used -= count;
            wait = until_over(span, *number, now);
        }
        Some(wait)
    }

    /// Milliseconds until nothing counts any more.
    pub fn until_empty(&mut self, span: Span, now: u64) -> u64 {
        self.used(span, now);
        self.slots.back().map_or(0, |(number, _)| until_over(span, *number, now))
    }

    fn add(&mut self, number: u64, amount: u64) {
        self.total = self.total.saturating_add(amount);
        match self.slots.back_mut() {
            Some((last, count)) if *last == number => *count = count.saturating_add(amount),
            _ => self.slots.push_back((number, amount)),
        }
    }
}

fn slot(span: Span, now: u64) -> u64 {
    now / (span.millis() / SLOTS)
}

fn until_over(span: Span, number: u64, now: u64) -> u64 {
    ((number + SLOTS + 1) * (span.millis() / SLOTS)).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What an ideal limiter would know: everything that was admitted, and when.
    fn most_within(events: &[(u64, u64)], span: u64) -> u64 {
        let within = |from: u64| events.iter().filter(|(at, _)| (from..from + span).contains(at)).map(|(_, n)| n).sum();
        events.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }

    proptest! {
        // Each case is a schedule of its own; together with the ledger's they are over a million decisions.
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn no_stretch_of_time_holds_more_than_the_limit(
            limit in 1..20_u64,
            steps in prop::collection::vec((0..9_000_u64, 1..8_u64), 1..80),
        ) {
            let (mut window, mut now, mut admitted) = (Window::default(), 1_000_000, Vec::new());
            for (pause, amount) in steps {
                now += pause;
                let wait = window.wait(Span::Minute, now, amount, limit);
                prop_assert_eq!(wait == Some(0), window.used(Span::Minute, now) + amount <= limit);
                prop_assert_eq!(wait.is_none(), amount > limit);
                if wait == Some(0) {
                    window.take(Span::Minute, now, amount);
                    admitted.push((now, amount));
                } else if let Some(wait) = wait {
                    // The wait that was named is exact: a moment before it does not fit, then it does.
                    prop_assert!(window.clone().wait(Span::Minute, now + wait - 1, amount, limit) > Some(0));
                    prop_assert_eq!(window.clone().wait(Span::Minute, now + wait, amount, limit), Some(0));
                    prop_assert!(wait <= 61_000);
                }
            }
            prop_assert!(most_within(&admitted, 60_000) <= limit);
        }

        #[test]
        fn corrections_leave_exactly_what_was_used(uses in prop::collection::vec((0..3_000_u64, 0..50_u64, 0..50_u64), 1..40)) {
            let (mut window, mut now, mut taken) = (Window::default(), 1_000_000, Vec::new());
            for (pause, reserved, used) in &uses {
                now += pause;
                window.take(Span::Hour, now, *reserved);
                taken.push((now, *reserved, *used));
            }
            for (at, reserved, used) in taken.iter().rev() {
                window.settle(Span::Hour, *at, *reserved, *used);
            }
            prop_assert_eq!(window.used(Span::Hour, now), uses.iter().map(|(_, _, used)| used).sum::<u64>());
        }
    }

    #[test]
    fn the_whole_limit_is_there_at_once_and_comes_back_after_the_span() {
        let (mut window, now) = (Window::default(), 60_000_500);
        window.take(Span::Minute, now, 100);
        assert_eq!(window.wait(Span::Minute, now, 1, 100), Some(60_500));
        assert_eq!(window.used(Span::Minute, now + 60_000), 100);
        assert_eq!(window.used(Span::Minute, now + 61_000), 0);
        assert_eq!(window.until_empty(Span::Minute, now + 61_000), 0);
    }

    #[test]
    fn what_another_process_has_counted_is_added_and_corrected() {
        let (mut window, now) = (Window::default(), 60_000_500);
        window.take(Span::Minute, now, 5);
        // Of this second, of one before it, and of one that this process has not come to.
        for (number, known, counted) in [(60_000, 0, 7), (59_990, 0, 3), (60_900, 0, 1)] {
            window.correct(Span::Minute, now, number, known, counted);
        }
        assert_eq!(window.slots().collect::<Vec<_>>(), [(59_990, 3), (60_000, 13)]);
        window.correct(Span::Minute, now, 60_000, 7, 2);
        assert_eq!(window.used(Span::Minute, now), 11);
        assert_eq!(window.used(Span::Minute, now + 61_000), 0);
    }

    #[test]
    fn what_a_clock_ahead_has_left_is_counted_from_now() {
        let day_ahead = 1_000_000 + Span::Day.millis();
        let saved = [(slot(Span::Minute, day_ahead), 7), (slot(Span::Minute, day_ahead) + 1, 2)];
        let mut window = Window::restored(&saved, Span::Minute, 1_000_000);
        assert_eq!(window.used(Span::Minute, 1_000_000), 9);
        assert_eq!(window.used(Span::Minute, 1_000_000 + 61_000), 0);
    }
}
