//! The course of one request over the models that may answer it and the keys that serve each: who was tried, what came of
//! it, and what is still allowed.

use super::budget::RetryBudget;
use crate::base::KeySet;

/// Upstream requests for one request, whatever happens.
const MOST_SENT: usize = 16;

/// What an attempt says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The caller's answer, good or bad.
    Keep,
    /// A closed door: throttled, credential refused, deployment unknown, not reachable. Another key may be open.
    Closed,
    /// Broken or too late: the work may be done again, here or elsewhere.
    Sick,
    /// Broken, and the upstream itself says that asking it again is no use. Another key may do better.
    Hopeless,
}

/// What may be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The outcome stands.
    Stop,
    /// An untried key of this leg at once, else the next leg.
    Elsewhere,
    /// The same, but before the next leg a key that has failed may be tried once more, after a while; the number says how
    /// often a failure was made good so far.
    Again(u32),
    /// The next leg, whose keys have not failed yet.
    Beyond,
}

/// One of the models that may answer: the keys that serve it, and how often a failure there may be made good.
#[derive(Debug, Clone)]
pub struct Leg {
    pub keys: KeySet,
    pub most_retries: u32,
}

#[derive(Debug)]
pub struct Course {
    legs: Vec<Leg>,
    at: usize,
    /// Of this leg, tried already.
    tried: KeySet,
    /// Of this leg, closed for this request.
    shut: KeySet,
    /// Failures of this leg that were made good.
    retries: u32,
}

impl Course {
    /// Over the model that was asked for, then its fallbacks.
    pub fn new(legs: Vec<Leg>) -> Self {
        Self { legs, at: 0, tried: KeySet::default(), shut: KeySet::default(), retries: 0 }
    }

    /// The number of the present leg.
    pub fn leg(&self) -> usize {
        self.at
    }

    /// Keys of this leg that were not tried yet.
    pub fn untried(&self) -> KeySet {
        self.keys().without(&self.tried)
    }

    /// Keys of this leg whose doors are not closed, tried or not.
    pub fn unshut(&self) -> KeySet {
        self.keys().without(&self.shut)
    }

    /// Goes on to the next leg, if there is one.
    pub fn next_leg(&mut self) -> bool {
        if self.at + 1 >= self.legs.len() {
            return false;
        }
        *self = Self { at: self.at + 1, ..Self::new(std::mem::take(&mut self.legs)) };
        true
    }

    /// Whether a failure of the attempt with `key`, after `sent` requests in all, could be made good.
    pub fn goes_on(&self, key: usize, sent: usize) -> bool {
        let others = self.untried().iter().any(|other| other != key);
        sent < MOST_SENT && (others || self.has_retries() || self.has_next_leg())
    }

    /// An attempt with `key` ended, after `sent` requests in all. A retry of the same model after a failure is paid from the
    /// budget.
    pub fn after(&mut self, key: usize, sent: usize, verdict: Verdict, budget: &RetryBudget) -> Next {
        self.tried.insert(key);
        if matches!(verdict, Verdict::Closed | Verdict::Hopeless) {
            self.shut.insert(key);
        }
        if verdict == Verdict::Keep || sent >= MOST_SENT {
            return Next::Stop;
        }
        if verdict == Verdict::Closed {
            return Next::Elsewhere;
        }
        if self.has_retries() && budget.spend() {
            self.retries += 1;
            return Next::Again(self.retries);
        }
        // Another model has not failed yet, so asking it adds nothing to a storm: sick ones are soon left alone altogether.
        if self.has_next_leg() { Next::Beyond } else { Next::Stop }
    }

    fn keys(&self) -> &KeySet {
        &self.legs[self.at].keys
    }

    fn has_retries(&self) -> bool {
        self.retries < self.legs[self.at].most_retries
    }

    fn has_next_leg(&self) -> bool {
        self.at + 1 < self.legs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &[usize]) -> KeySet {
        keys.iter().copied().collect()
    }

    fn course(keys: &[usize], most_retries: u32) -> Course {
        Course::new(vec![Leg { keys: set(keys), most_retries }])
    }

    #[test]
    fn a_kept_answer_ends_the_course() {
        assert_eq!(course(&[0, 1], 2).after(0, 1, Verdict::Keep, &RetryBudget::default()), Next::Stop);
    }

    #[test]
    fn traps_17_closed_doors_are_passed_by_without_counting() {
        let mut course = course(&[0, 1, 2, 3, 4], 0);
        let budget = RetryBudget::default();
        for key in 0..4 {
            assert_eq!(course.after(key, key + 1, Verdict::Closed, &budget), Next::Elsewhere, "{key}");
            assert_eq!(course.untried(), (key + 1..5).collect());
        }
        assert_eq!(course.after(4, 5, Verdict::Closed, &budget), Next::Elsewhere);
        assert!(course.untried().is_empty() && course.unshut().is_empty() && !course.next_leg());
    }

    #[test]
    fn failures_count_and_end() {
        let mut course = course(&[0, 1, 2, 3], 2);
        let budget = RetryBudget::default();
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Again(1));
        assert_eq!(course.untried(), set(&[1, 2, 3]));
        assert_eq!(course.after(1, 2, Verdict::Sick, &budget), Next::Again(2));
        assert_eq!(course.after(2, 3, Verdict::Sick, &budget), Next::Stop);
    }

    #[test]
    fn a_key_that_failed_may_be_tried_again_and_one_that_is_closed_may_not() {
        let budget = RetryBudget::default();
        let mut course = course(&[0, 1, 2], 9);
        assert_eq!(course.after(0, 1, Verdict::Closed, &budget), Next::Elsewhere);
        assert_eq!(course.after(1, 2, Verdict::Hopeless, &budget), Next::Again(1));
        assert_eq!(course.after(2, 3, Verdict::Sick, &budget), Next::Again(2));
        assert_eq!((course.untried(), course.unshut()), (set(&[]), set(&[2])));
    }

    #[test]
    fn fallbacks_come_when_a_model_is_exhausted_each_with_retries_of_its_own() {
        let legs = [set(&[0]), set(&[0, 1])].map(|keys| Leg { keys, most_retries: 1 });
        let mut course = Course::new(legs.to_vec());
        let budget = RetryBudget::default();
        assert_eq!(course.after(0, 1, Verdict::Sick, &budget), Next::Again(1));
        assert!(course.goes_on(0, 2), "there is a fallback");
        assert_eq!(course.after(0, 2, Verdict::Sick, &budget), Next::Beyond);
        assert!(course.next_leg());
        assert_eq!((course.leg(), course.untried()), (1, set(&[0, 1])));
        assert_eq!(course.after(0, 3, Verdict::Sick, &budget), Next::Again(1));
        assert!(course.goes_on(0, 3));
        assert_eq!(course.after(1, 4, Verdict::Sick, &budget), Next::Stop);
        assert!(!course.next_leg());
        while budget.spend() {}
        assert_eq!(Course::new(legs.to_vec()).after(0, 1, Verdict::Sick, &budget), Next::Beyond, "free of the budget");
    }

    #[test]
    fn an_empty_budget_and_sixteen_requests_are_the_end() {
        let budget = RetryBudget::default();
        while budget.spend() {}
        assert_eq!(course(&[0, 1], 9).after(0, 1, Verdict::Sick, &budget), Next::Stop);
        let many: Vec<usize> = (0..40).collect();
        let mut course = course(&many, 0);
        let going =
            many.iter().take_while(|key| course.after(**key, **key + 1, Verdict::Closed, &budget) != Next::Stop);
        assert_eq!(going.count(), MOST_SENT - 1);
    }
}
