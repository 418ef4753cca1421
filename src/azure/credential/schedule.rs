//! When a token is refreshed, and how long to wait after a failure. Pure: chance is an argument.

use std::time::Duration;

/// The random part of a token's life by which a refresh comes later, so that gateways do not ask together.
const SPREAD: f64 = 0.25;

/// The latest part of a token's life at which a refresh begins.
const LATEST: f64 = 0.95;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The longest wait that an issuer may ask for.
const LONGEST_HINT: Duration = Duration::from_secs(120);

/// At what age a token is refreshed. `after` is a fraction of its life, `refresh_in` the issuer's own wish, `dice` from
/// 0 to 1.
pub fn refresh_age(life: Duration, refresh_in: Option<Duration>, after: f64, dice: f64) -> Duration {
    let earliest = life.mul_f64(after);
    let latest = life.mul_f64(LATEST);
    let base = refresh_in.unwrap_or(earliest).min(latest);
    base + life.mul_f64(SPREAD).min(latest.saturating_sub(base)).mul_f64(dice)
}

/// How long to leave the issuer alone after `failures` in a row. While a token is `left`, the tries come often enough
/// for several before its end. `hint` is the issuer's own `retry-after`.
pub fn wait(failures: u32, left: Option<Duration>, hint: Option<Duration>, dice: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    let wait = doubled.mul_f64(0.75 + dice / 2.0).max(hint.unwrap_or_default().min(LONGEST_HINT));
    match left {
        Some(left) => wait.min((left / 4).max(FIRST_WAIT)),
        None => wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_refresh_comes_between_half_and_three_quarters() {
        assert_eq!(refresh_age(seconds(3_600), None, 0.5, 0.0), seconds(1_800));
        assert_eq!(refresh_age(seconds(3_600), None, 0.5, 1.0), seconds(2_700));
        assert_eq!(
            refresh_age(seconds(86_400), Some(seconds(43_200)), 0.75, 0.0),
            seconds(43_200),
            "as the issuer wishes"
        );
    }

    #[test]
    fn failures_are_left_alone_longer_and_longer() {
        assert_eq!(wait(1, None, None, 0.5), FIRST_WAIT);
        assert_eq!(wait(3, None, None, 0.5), FIRST_WAIT * 4);
        assert_eq!(wait(40, None, None, 0.5), LONGEST_WAIT);
        assert_eq!(wait(1, None, Some(seconds(7)), 0.5), seconds(7));
        assert_eq!(wait(1, None, Some(seconds(86_400)), 0.5), LONGEST_HINT);
        assert_eq!(
            wait(9, Some(seconds(8)), Some(seconds(60)), 0.5),
            seconds(2),
            "a token that ends is worth asking for"
        );
    }

    proptest! {
        #[test]
        fn a_refresh_is_always_before_the_end(life in 1u64..100_000, wish in proptest::option::of(0u64..200_000), after in 0.1f64..0.9, dice in 0.0f64..=1.0) {
            let age = refresh_age(seconds(life), wish.map(seconds), after, dice);
            prop_assert!(age < seconds(life));
        }

        #[test]
        fn no_wait_is_without_end(failures in 0u32.., left in proptest::option::of(0u64..100_000), hint in proptest::option::of(0u64..), dice in 0.0f64..=1.0) {
            let wait = wait(failures, left.map(seconds), hint.map(seconds), dice);
            prop_assert!(wait <= LONGEST_HINT && wait >= FIRST_WAIT.mul_f64(0.75));
        }
    }
}
