//! Stage 7: What became of an attempt: whose fault a failure is, what the key learns from it, and whether the same
//! request may be tried again, here or elsewhere.

use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use pingora::http::ResponseHeader;

use super::exchange::{Caller, Candidate};
use super::refuse::Refusal;
use crate::azure;
use crate::pool::Change;
use crate::routing::Verdict;
use crate::upstream::Fault;

/// The name of an attempt's outcome in metrics and log lines.
pub fn outcome(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=399 => "success",
        401 | 403 => "credential",
        408 => "timeout",
        429 => "throttled",
        400..=499 => "client_error",
        _ => "server_error",
    }
}

/// The same for an attempt without an answer.
pub fn fault(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unresolvable(_) => "unresolvable",
        Fault::Connect { .. } => "connect",
        Fault::ConnectTimeout { .. } => "connect_timeout",
        Fault::FirstByteTimeout(_) => "first_byte_timeout",
        Fault::Idle(_) => "idle",
        Fault::Refused(_) => "refused",
        Fault::Write(_) | Fault::ClosedEarly | Fault::Abandoned(_) | Fault::Broken(_) => "broken",
        Fault::Malformed(_) => "malformed",
        Fault::Body(_) => "body",
    }
}

/// What an answer says about trying again. 404 is a deployment or a path that this key does not have; another may.
/// Other answers of the 400 class, content filters included, would be the same everywhere.
pub fn status(status: StatusCode) -> Verdict {
    match status.as_u16() {
        401 | 403 | 404 | 429 => Verdict::Closed,
        408 | 500..=599 => Verdict::Sick,
        _ => Verdict::Keep,
    }
}

/// The same for an attempt without an answer.
pub fn failure(fault: &Fault) -> Verdict {
    match fault {
        Fault::Unresolvable(_) | Fault::Connect { .. } | Fault::Refused(_) => Verdict::Closed,
        Fault::Body(_) => Verdict::Keep,
        _ => Verdict::Sick,
    }
}

/// Whether a request that met this fault on a connection that had been used before may be sent on a fresh one: the
/// server closed the idle connection just as the request came, so it has not seen it (RFC 9112, section 9.3.1). A
/// connection that broke after a while or after an interim answer does not count: the request may have been worked on,
/// and would be paid for twice. A stream that the server says it has not touched may always be sent again.
pub fn deserves_fresh_connection(fault: &Fault, reused: bool) -> bool {
    match fault {
        Fault::Refused(_) => true,
        Fault::ClosedEarly | Fault::Write(_) => reused,
        _ => false,
    }
}

/// Lets the key remember an answer: throttling closes its gate for the deployment, a failure counts towards its
/// breaker, and anything else shows that it works.
pub fn learn(candidate: &Candidate, head: &ResponseHeader) {
    let (gates, deployment) = (&candidate.key.gates, &candidate.deployment.name);
    if head.status == StatusCode::TOO_MANY_REQUESTS {
        return gates.close(deployment, Instant::now(), azure::wait(&head.headers, SystemTime::now()));
    }
    gates.passed(deployment);
    note_health(candidate, status(head.status) != Verdict::Sick);
}

/// The same for an attempt without an answer.
pub fn learn_fault(candidate: &Candidate, fault: &Fault) {
    if !matches!(fault, Fault::Body(_) | Fault::Refused(_)) {
        note_health(candidate, false);
    }
}

/// The same for an answer that turned out broken after its head: what it says about trying again.
pub fn learn_rejection(candidate: &Candidate, throttled: Option<Option<Duration>>) -> Verdict {
    match throttled {
        Some(hint) => {
            candidate.key.gates.close(&candidate.deployment.name, Instant::now(), hint);
            Verdict::Closed
        }
        None => {
            note_health(candidate, false);
            Verdict::Sick
        }
    }
}

fn note_health(candidate: &Candidate, works: bool) {
    let (key, rules, now) = (&candidate.key, &candidate.breaker, Instant::now());
    let change = if works { key.breaker.worked(rules, now) } else { key.breaker.failed(rules, now) };
    match change {
        Some(Change::Opened) => log::warn!("key `{}` keeps failing and is left alone for {:?}", key.name, rules.open),
        Some(Change::Closed) => log::info!("key `{}` works again", key.name),
        None => {}
    }
}

/// An answer that is not for the caller: the upstream refused the gateway's credential. Whoever came with a key of
/// their own gets the upstream's own words.
pub fn credential_refused(head: &ResponseHeader, candidate: &Candidate, caller: &Caller) -> Option<Refusal> {
    let refused = matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let ours = !matches!(caller, Caller::Direct { .. });
    (refused && ours).then(|| Refusal::credential(&candidate.key.name, head.status))
}
