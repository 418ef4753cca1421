//! Money spent per day, week, month and in total, in micro-dollars.

use super::limits::Period;

const DAY: i64 = 86_400;

/// What was spent in each current period. Counted also where no budget is set, so that one that comes with a reload
/// knows what the period has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// Number of the period and what was spent in it, in the order of [`Period`].
    spent: [(i64, u64); 4],
}

impl Default for Spending {
    fn default() -> Self {
        Self { spent: [(i64::MIN, 0); 4] }
    }
}

impl Spending {
    pub fn restored(spent: [(i64, u64); 4]) -> Self {
        Self { spent }
    }

    pub fn saved(&self) -> [(i64, u64); 4] {
        self.spent
    }

    /// Begins new periods. A wall clock that goes back does not bring a budget back: the later period stays in force
    /// until its successor begins. One that was ahead by more than a period is taken for wrong: then the true period
    /// goes on with what was spent, so that nothing blocks for years.
    pub fn advance(&mut self, wall: i64) {
        for (period, (number, amount)) in Period::ALL.into_iter().zip(&mut self.spent) {
            let present = number_of(period, wall);
            if present > *number {
                (*number, *amount) = (present, 0);
            } else if present < number.saturating_sub(1) {
                *number = present;
            }
        }
    }

    pub fn spend(&mut self, amount: u64, wall: i64) {
        self.advance(wall);
        for (_, spent) in &mut self.spent {
            *spent = spent.saturating_add(amount);
        }
    }

    /// Micro-dollars in the current period.
    pub fn spent(&self, period: Period) -> u64 {
        self.spent[period as usize].1
    }

    /// Seconds until the period ends; `None` for what never does.
    pub fn until_renewed(&self, period: Period, wall: i64) -> Option<u64> {
        let next = begin_of(period, self.spent[period as usize].0.max(number_of(period, wall)) + 1)?;
        Some(u64::try_from(next - wall).unwrap_or(0))
    }
}

/// Periods are numbered so that each follows the one before.
pub(super) fn number_of(period: Period, wall: i64) -> i64 {
    let day = wall.div_euclid(DAY);
    match period {
        Period::Day => day,
        // 1970 began on a Thursday; weeks begin on Monday.
        Period::Week => (day + 3).div_euclid(7),
        Period::Month => month_of(day),
        Period::Total => 0,
    }
}

fn begin_of(period: Period, number: i64) -> Option<i64> {
    match period {
        Period::Day => Some(number * DAY),
        Period::Week => Some((number * 7 - 3) * DAY),
        Period::Month => Some(first_day(number) * DAY),
        Period::Total => None,
    }
}

/// Days of the years that begin in March, before `year`: leap days come last, and the calendar repeats in 400 years.
fn days_before(year: i64) -> i64 {
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
}

/// Days of the year that begins in March, before its month `month` (0 is March). Five months have 153 days.
fn days_before_month(month: i64) -> i64 {
    (153 * month + 2) / 5
}

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Months since 0000-03, of a day since 1970.
fn month_of(day: i64) -> i64 {
    let day = day + EPOCH;
    // A guess that is right or one too many.
    let mut year = (day * 400).div_euclid(146_097) + 1;
    while days_before(year) > day {
        year -= 1;
    }
    year * 12 + (5 * (day - days_before(year)) + 2) / 153
}

/// The first day of a month, since 1970.
fn first_day(month: i64) -> i64 {
    days_before(month.div_euclid(12)) + days_before_month(month.rem_euclid(12)) - EPOCH
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::Weekday;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn periods_begin_when_the_calendar_says() {
        for (now, day, week, month) in [
            ("2026-11-29T00:00:00Z", 86_400, 86_400, 2 * 86_400),
            ("2026-11-30T23:59:59Z", 1, 6 * 86_400 + 1, 1),
            ("2028-02-28T12:00:00Z", 43_200, 6 * 86_400 + 43_200, 86_400 + 43_200),
            ("2026-12-31T00:00:00Z", 86_400, 4 * 86_400, 86_400),
        ] {
            let mut spending = Spending::default();
            spending.advance(at(now));
            let until = |period| spending.until_renewed(period, at(now));
            assert_eq!([Period::Day, Period::Week, Period::Month].map(until), [day, week, month].map(Some), "{now}");
            assert_eq!(until(Period::Total), None);
        }
    }

    proptest! {
        #[test]
        fn months_are_those_of_the_calendar(wall in -30_000_000_000_i64..250_000_000_000) {
            let mut spending = Spending::default();
            spending.advance(wall);
            let zoned = Timestamp::from_second(wall).unwrap().to_zoned(TimeZone::UTC);
            let next = zoned.date().first_of_month().checked_add(jiff::Span::new().months(1)).unwrap();
            let next = next.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
            prop_assert_eq!(spending.until_renewed(Period::Month, wall), Some((next - wall) as u64));
            let monday = zoned.date().nth_weekday(1, Weekday::Monday).unwrap();
            let monday = monday.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
            prop_assert_eq!(spending.until_renewed(Period::Week, wall), Some((monday - wall) as u64));
        }

        #[test]
        fn a_jumping_clock_takes_back_nothing_and_blocks_nothing_for_ever(
            jumps in prop::collection::vec(-3 * DAY..3 * DAY, 1..60),
        ) {
            let (mut spending, mut wall) = (Spending::default(), at("2026-11-29T12:00:00Z"));
            for jump in jumps {
                let before = spending;
                wall += jump;
                spending.spend(5, wall);
                prop_assert_eq!(spending.spent(Period::Total), before.spent(Period::Total) + 5);
                for period in [Period::Day, Period::Week, Period::Month] {
                    let begun = spending.saved()[period as usize].0 > before.saved()[period as usize].0;
                    let expected = if begun { 5 } else { before.spent(period) + 5 };
                    prop_assert_eq!(spending.spent(period), expected);
                }
                prop_assert!(spending.until_renewed(Period::Day, wall) <= Some(2 * DAY as u64));
            }
        }
    }

    #[test]
    fn a_clock_set_back_by_a_day_does_not_bring_the_budget_back() {
        let noon = at("2026-11-29T12:00:00Z");
        let mut spending = Spending::default();
        spending.spend(7, noon);
        spending.advance(noon + DAY);
        assert_eq!(spending.spent(Period::Day), 0);
        spending.spend(3, noon + DAY);
        spending.advance(noon);
        assert_eq!(spending.spent(Period::Day), 3, "the later day stays in force");
        assert_eq!(spending.until_renewed(Period::Day, noon), Some(DAY as u64 * 3 / 2));
    }
}
