//! What is left of a deployment's quota, from the headers of its answers: the smaller of what is left of its tokens and of
//! its requests, or the utilisation that provisioned deployments tell (they send no `x-ratelimit-*`).

use http::HeaderMap;

/// The share that is left, from 0 to 1; `None` when nothing usable is said. Remaining counts may be negative or -1 (Claude
/// on Azure), which says nothing.
pub fn headroom(headers: &HeaderMap) -> Option<f64> {
    let number = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?.trim().trim_end_matches('%');
        text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
    };
    let left = |limit: &str, remaining: &str| {
        let (limit, remaining) = (number(limit)?, number(remaining)?);
        (limit > 0.0).then(|| (remaining / limit).min(1.0))
    };
    let shares = [
        left("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens"),
        left("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
        number("azure-openai-deployment-utilization").map(|percent| (1.0 - percent / 100.0).max(0.0)),
    ];
    shares.into_iter().flatten().reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn left(headers: &[(&str, &str)]) -> Option<f64> {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        headroom(&headers.iter().map(pair).collect()).map(|share| (share * 100.0).round())
    }

    #[test]
    fn the_scarcest_of_tokens_requests_and_capacity_counts() {
        let tokens = [("x-ratelimit-limit-tokens", "1000"), ("x-ratelimit-remaining-tokens", "250")];
        let requests = [("x-ratelimit-limit-requests", "10"), ("x-ratelimit-remaining-requests", "9")];
        assert_eq!(left(&[tokens, requests].concat()), Some(25.0));
        assert_eq!(left(&requests), Some(90.0));
        assert_eq!(left(&[("azure-openai-deployment-utilization", "57.5%")]), Some(43.0));
        assert_eq!(left(&[("azure-openai-deployment-utilization", "130")]), Some(0.0), "traps_19: above 100 %");
    }

    #[test]
    fn what_says_nothing_is_nothing() {
        for headers in [
            &[("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "-1")][..],
            &[("x-ratelimit-limit-tokens", "0"), ("x-ratelimit-remaining-tokens", "0")],
            &[("x-ratelimit-remaining-tokens", "10")],
            &[("azure-openai-deployment-utilization", "high")],
            &[],
        ] {
            assert_eq!(left(headers), None, "{headers:?}");
        }
    }
}
