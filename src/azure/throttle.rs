//! When Azure says to come back: `retry-after-ms`, else `retry-after` (RFC 9110, section 10.2.3: seconds or a date;
//! Azure also sends fractions), else the reset times of its rate-limit headers, which are milliseconds.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

/// Azure asks for a whole day when one request is larger than the quota; nobody should sleep that long for it.
const LONGEST: Duration = Duration::from_secs(60);

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
static RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");

/// How long to wait, at most a minute; `None` when nothing usable is said.
pub fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = |name: &HeaderName| text(name).and_then(|value| span(value, 0.001));
    let after = || text(&header::RETRY_AFTER).and_then(|value| span(value, 1.0).or_else(|| until(value, now)));
    let reset = || millis(&RESET_REQUESTS).max(millis(&RESET_TOKENS));
    millis(&RETRY_AFTER_MS).or_else(after).or_else(reset).map(|wait| wait.min(LONGEST))
}

fn span(value: &str, unit: f64) -> Option<Duration> {
    let seconds = value.parse::<f64>().ok()? * unit;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

fn until(value: &str, now: SystemTime) -> Option<Duration> {
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn waiting(headers: &[(&str, &str)]) -> Option<u64> {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap();
        wait(&headers.iter().map(pair).collect(), now).map(|wait| wait.as_millis() as u64)
    }

    #[test]
    fn traps_13_the_finest_hint_wins_and_junk_is_no_hint() {
        assert_eq!(waiting(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(250));
        assert_eq!(waiting(&[("retry-after", "2")]), Some(2_000));
        assert_eq!(waiting(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(waiting(&[("retry-after", "Sat, 21 Nov 2026 12:00:09 GMT")]), Some(9_000));
        assert_eq!(waiting(&[("retry-after", "Sat, 21 Nov 2026 11:00:00 GMT")]), Some(0));
        assert_eq!(waiting(&[("retry-after", "86400")]), Some(60_000));
        assert_eq!(waiting(&[("x-ratelimit-reset-requests", "500"), ("x-ratelimit-reset-tokens", "7")]), Some(500));
        for junk in ["-1", "soon", "NaN", "", "1e999x"] {
            assert_eq!(waiting(&[("retry-after", junk)]), None, "{junk:?}");
        }
        assert_eq!(waiting(&[("retry-after-ms", "junk"), ("retry-after", "3")]), Some(3_000));
        assert_eq!(waiting(&[("retry-after", "inf")]), Some(60_000));
    }
}
