//! Stage 8: The head for the caller: the upstream's own, less what belongs to its connection, and what the gateway tells.
//!
//! It is a plain head of the `http` crate. Pingora's own keeps how each name was spelled, for which it copies every name
//! and reads it anew.

use std::time::{Duration, SystemTime};

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use pingora::http::ResponseHeader;

use super::relay::{Relay, Route};
use super::{limits, location};
use crate::azure;
use crate::dialect::Dialect;

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

pub fn of(relay: &Relay<'_>, upstream: &ResponseHeader) -> Parts {
    let route = &relay.route;
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = upstream.status;
    head.headers = HeaderMap::with_capacity(upstream.headers.len() + 8);
    let limited = route.reserved.standing.is_limited();
    for (name, value) in &upstream.headers {
        // A caller with limits is told of those; Azure's are shared by all callers of a key and say nothing to him.
        let of_others = limited && limits::tells_of_limits(name.as_str());
        if location::is_told_by(name.as_str()) {
            if let Some(here) = location::here(value, route.reading.bound.as_deref()) {
                head.headers.append(name.clone(), here);
            }
        } else if azure::passes_to_caller(name.as_str()) && !of_others {
            head.headers.append(name.clone(), value.clone());
        }
    }
    if upstream.status == StatusCode::TOO_MANY_REQUESTS {
        retry_after(&mut head.headers, upstream, route.soonest);
    }
    head.headers.extend(limits::told(&route.reserved.standing, route.received.dialect));
    if relay.reply.dropped_reasoning > 0 {
        head.headers.insert(DROPPED_REASONING.clone(), relay.reply.dropped_reasoning.into());
    }
    note(&mut head.headers, route, upstream);
    head
}

/// What the gateway itself has to say.
fn note(head: &mut HeaderMap, route: &Route<'_>, upstream: &ResponseHeader) {
    if route.candidate.price.is_none() && upstream.status.is_success() {
        head.insert(PRICE.clone(), HeaderValue::from_static("unknown"));
    }
    if route.attempts.len() > 1 && upstream.status.is_server_error() {
        // Clients that retry on top of the gateway's own retries multiply the load.
        head.insert(SHOULD_RETRY.clone(), HeaderValue::from_static("false"));
    }
    let id = text(&route.received.id);
    if route.received.dialect == Dialect::Anthropic && !upstream.headers.contains_key(&REQUEST_ID) {
        head.insert(REQUEST_ID.clone(), id.clone());
    }
    head.insert(X_REQUEST_ID.clone(), id);
    if let Some(id) = upstream.headers.get(&X_REQUEST_ID) {
        head.insert(UPSTREAM_REQUEST_ID.clone(), id.clone());
    }
    if route.rules.routing_headers {
        head.insert(KEY.clone(), text(&route.candidate.key.name));
        head.insert(DEPLOYMENT.clone(), text(&route.candidate.deployment.name));
        head.insert(ATTEMPTS.clone(), route.attempts.len().into());
    }
}

/// A throttled caller is always told when to come back, in both spellings: SDKs read either, and give up or wait
/// blindly without one.
fn retry_after(head: &mut HeaderMap, upstream: &ResponseHeader, soonest: Option<Duration>) {
    let named = azure::wait(&upstream.headers, SystemTime::now()).unwrap_or(Duration::from_secs(1));
    let wait = soonest.map_or(named, |soonest| soonest.min(named));
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
