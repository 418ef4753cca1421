//! The course of one request over the keys that may serve it: who was tried, what came of it, and what is still allowed.

use super::budget::RetryBudget;
use crate::base::KeySet;

/// Upstream requests for one request, whatever happens.
const MOST_SENT: u32 = 16;

/// What an attempt says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller's answer, good or bad.
    Keep,
    /// A closed door: throttled, credential refused, deployment unknown, not reachable. Another key may be open.
    Closed,
    /// Broken or too late: the work may be done again, here or elsewhere.
    Sick,
}

/// What may be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The outcome stands.
    Stop,
    /// One of these keys, at once.
    Elsewhere(KeySet),
    /// One of these keys, which have failed before, after a while; the number says how often that has happened.
    Again(KeySet, u32),
}

#[derive(Debug)]
pub struct Course {
    keys: KeySet,
    /// Tried already.
    tried: KeySet,
    /// Their doors are closed for this request.
    shut: KeySet,
    sent: u32,
    retries: u32,
    most_retries: u32,
}

impl Course {
    /// Over `keys`, with at most `most_retries` after failures that are no closed doors.
    pub fn new(keys: KeySet, most_retries: u32) -> Self {
        Self { keys, tried: KeySet::default(), shut: KeySet::default(), sent: 0, retries: 0, most_retries }
    }

    /// Keys that were not tried yet.
    pub fn untried(&self) -> KeySet {
        self.keys.without(&self.tried)
    }

    /// Whether a failure of the attempt in progress could be made good.
    pub fn goes_on(&self, key: usize) -> bool {
        let others = self.untried().iter().any(|other| other != key);
        self.sent + 1 < MOST_SENT && (others || self.retries < self.most_retries)
    }

    /// An attempt with `key` ended, having sent `sent` requests. A retry after a failure is paid from the budget.
    pub fn after(&mut self, key: usize, sent: u32, verdict: Verdict, budget: &RetryBudget) -> Next {
        self.sent += sent;
        self.tried.insert(key);
        if verdict == Verdict::Closed {
            self.shut.insert(key);
        }
        if verdict == Verdict::Keep || self.sent >= MOST_SENT {
            return Next::Stop;
        }
        let untried = self.untried();
        if verdict == Verdict::Closed {
            return if untried.is_empty() { Next::Stop } else { Next::Elsewhere(untried) };
        }
        if self.retries >= self.most_retries || !budget.spend() {
            return Next::Stop;
        }
        self.retries += 1;
        if untried.is_empty() {
            Next::Again(self.keys.without(&self.shut), self.retries)
        } else {
            Next::Elsewhere(untried)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &[usize]) -> KeySet {
        keys.iter().copied().collect()
    }

    #[test]
    fn a_kept_answer_ends_the_course() {
        let mut course = Course::new(set(&[0, 1]), 2);
        assert_eq!(course.after(0, 1, Verdict::Keep, &RetryBudget::default()), Next::Stop);
    }

    #[test]
    fn traps_17_closed_doors_are_passed_by_without_counting() {
        let mut course = Course::new(set(&[0, 1, 2, 3, 4]), 0);
        let budget = RetryBudget::default();
        for key in 0..4 {
            assert!(matches!(course.after(key, 1, Verdict::Closed, &budget), Next::Elsewhere(_)), "{key}");
        }
        assert_eq!(course.after(4, 1, Verdict::Closed, &budget), Next::Stop);
    }

    #[test]
    fn failures_count_and_end() {
        let mut course = Course::new(set(&[0, 1, 2, 3]), 2);
        let budget = RetryBudget::default();
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Elsewhere(set(&[1, 2, 3])));
        assert_eq!(course.after(1, 1, Verdict::Sick, &budget), Next::Elsewhere(set(&[2, 3])));
        assert_eq!(course.after(2, 1, Verdict::Sick, &budget), Next::Stop);
    }

    #[test]
    fn a_sole_key_that_fails_is_tried_again_and_one_that_is_closed_is_not() {
        let budget = RetryBudget::default();
        let mut course = Course::new(set(&[0]), 2);
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Again(set(&[0]), 1));
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Again(set(&[0]), 2));
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Stop);
        let mut course = Course::new(set(&[0, 1]), 2);
        assert_eq!(course.after(0, 1, Verdict::Closed, &budget), Next::Elsewhere(set(&[1])));
        assert_eq!(course.after(1, 1, Verdict::Sick, &budget), Next::Again(set(&[1]), 1));
    }

    #[test]
    fn an_empty_budget_and_sixteen_requests_are_the_end() {
        let budget = RetryBudget::default();
        while budget.spend() {}
        assert_eq!(Course::new(set(&[0, 1]), 9).after(0, 1, Verdict::Sick, &budget), Next::Stop);
        let mut course = Course::new((0..40).collect(), 0);
        let sent = (0..40).take_while(|key| course.after(*key, 1, Verdict::Closed, &budget) != Next::Stop).count();
        assert_eq!(sent as u32, MOST_SENT - 1);
    }
}
