//! Stage 8: The head for the caller: the upstream's own, less what belongs to its connection, and what the gateway tells.
//!
//! It is a plain head of the `http` crate, changed in its place. Pingora's own keeps how each name was spelled, for which
//! it copies every name and reads it anew.

use std::time::{Duration, SystemTime};

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};

use super::relay::{Relay, Route};
use super::{limits, location};
use crate::azure;
use crate::dialect::Dialect;
use crate::upstream::answer;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
static UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-azgate-upstream-request-id");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static PRICE: HeaderName = HeaderName::from_static("x-azgate-price");
static DROPPED_REASONING: HeaderName = HeaderName::from_static("x-azgate-dropped-reasoning");
static KEY: HeaderName = HeaderName::from_static("x-azgate-key");
static DEPLOYMENT: HeaderName = HeaderName::from_static("x-azgate-deployment");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-azgate-attempts");

pub fn of(relay: &Relay<'_>, mut head: Parts) -> Parts {
    let route = &relay.route;
    let (upstream_id, names_itself) = (head.headers.remove(&X_REQUEST_ID), head.headers.contains_key(&REQUEST_ID));
    let wait = (head.status == StatusCode::TOO_MANY_REQUESTS).then(|| named_wait(&head.headers, route.soonest));
    strip(&mut head.headers, route);
    if let Some(wait) = wait {
        retry_after(&mut head.headers, wait);
    }
    head.version = Version::HTTP_11;
    head.headers.extend(limits::told(&route.reserved.standing, route.received.dialect));
    if relay.reply.dropped_reasoning > 0 {
        head.headers.insert(DROPPED_REASONING.clone(), relay.reply.dropped_reasoning.into());
    }
    let id = text(&route.received.id);
    if route.received.dialect == Dialect::Anthropic && !names_itself {
        head.headers.insert(REQUEST_ID.clone(), id.clone());
    }
    head.headers.insert(X_REQUEST_ID.clone(), id);
    if let Some(id) = upstream_id {
        head.headers.insert(UPSTREAM_REQUEST_ID.clone(), id);
    }
    note(&mut head.headers, head.status, route);
    head
}

/// Takes out what is not for the caller; the rest stays as it came, without being moved.
fn strip(head: &mut HeaderMap, route: &Route<'_>) {
    let limited = route.reserved.standing.is_limited();
    // What `connection` names belongs to the connection as well.
    let named = answer::connection_options(head);
    let mut private: Vec<_> = named.filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    let mut places = Vec::new();
    for name in head.keys() {
        // A caller with limits is told of those; Azure's are shared by all callers of a key and say nothing to him.
        let of_others = limited && limits::tells_of_limits(name.as_str());
        if location::is_told_by(name.as_str()) {
            places.push(name.clone());
        } else if of_others || !azure::passes_to_caller(name.as_str()) {
            private.push(name.clone());
        }
    }
    for name in private {
        head.remove(name);
    }
    for name in places {
        let told = head.get_all(&name).iter();
        let here: Vec<_> = told.filter_map(|told| location::here(told, route.reading.bound.as_deref())).collect();
        head.remove(&name);
        head.extend(here.into_iter().map(|here| (name.clone(), here)));
    }
}

/// What the gateway itself has to say.
fn note(head: &mut HeaderMap, status: StatusCode, route: &Route<'_>) {
    if route.candidate.price.is_none() && status.is_success() {
        head.insert(PRICE.clone(), HeaderValue::from_static("unknown"));
    }
    if route.attempts.len() > 1 && status.is_server_error() {
        // Clients that retry on top of the gateway's own retries multiply the load.
        head.insert(SHOULD_RETRY.clone(), HeaderValue::from_static("false"));
    }
    if route.rules.routing_headers {
        head.insert(KEY.clone(), text(&route.candidate.key.name));
        head.insert(DEPLOYMENT.clone(), text(&route.candidate.deployment.name));
        head.insert(ATTEMPTS.clone(), route.attempts.len().into());
    }
}

/// What the upstream says, or less where another key is free sooner.
fn named_wait(head: &HeaderMap, soonest: Option<Duration>) -> Duration {
    let named = azure::wait(head, SystemTime::now()).unwrap_or(Duration::from_secs(1));
    soonest.map_or(named, |soonest| soonest.min(named))
}

/// A throttled caller is always told when to come back, in both spellings: SDKs read either, and give up or wait
/// blindly without one.
fn retry_after(head: &mut HeaderMap, wait: Duration) {
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    head.insert(header::RETRY_AFTER, millis.div_ceil(1000).into());
    head.insert(RETRY_AFTER_MS.clone(), millis.into());
}

/// A configured name as a header value; what a header cannot hold is escaped.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_str(&value.escape_default().to_string()))
        .unwrap_or(HeaderValue::from_static("-"))
}
