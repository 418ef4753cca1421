//! Stage 7: What became of an attempt: whose fault a failure is, what the key learns from it, and whether the same
//! request may be tried again, here or elsewhere.

use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;
use http::response::Parts;

use super::exchange::{Caller, Candidate};
use super::refuse::Refusal;
use crate::azure;
use crate::dialect;
use crate::dialect::error::Told;
use crate::pool::{Balance, Change};
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
        Fault::Full { .. } => "full",
        Fault::FirstByteTimeout(_) => "first_byte_timeout",
        Fault::Idle(_) => "idle",
        Fault::Refused(_) => "refused",
        Fault::Write(_) | Fault::ClosedEarly | Fault::Abandoned(_) | Fault::Broken(_) => "broken",
        Fault::Malformed(_) => "malformed",
        Fault::Body(_) => "body",
    }
}

/// Whether an answer's words are needed to judge it, beside its status.
pub fn needs_words(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404)
}

/// What an answer says about trying again; `words` is its body where that is needed. Answers of the 400 class, content
/// filters included, would be the same everywhere, but for a deployment or path that this key does not have.
pub fn answer(head: &Parts, words: &[u8]) -> Verdict {
    // Both families of SDKs obey this header, and so do we: where the upstream itself sees no use in asking again.
    let hopeless = head.headers.get("x-should-retry").is_some_and(|value| value == "false");
    match head.status.as_u16() {
        401 | 403 | 429 => Verdict::Closed,
        400 | 404 if lacks_deployment(head.status, words) => Verdict::Closed,
        408 | 500..=599 if hopeless => Verdict::Hopeless,
        408 | 500..=599 => Verdict::Sick,
        _ => Verdict::Keep,
    }
}

/// A 404 that names something else than the deployment or the path is about an object that the caller named.
fn lacks_deployment(status: StatusCode, words: &[u8]) -> bool {
    const CODES: [&str; 5] = ["DeploymentNotFound", "404", "NotFound", "model_not_found", "not_found_error"];
    let Some(Told { code, r#type, message }) = dialect::error::told(words) else {
        return status == StatusCode::NOT_FOUND;
    };
    let known = |told: &Option<String>| told.as_deref().is_none_or(|told| CODES.contains(&told));
    match status {
        StatusCode::NOT_FOUND => known(&code.or(r#type)),
        _ => {
            code.as_deref() == Some("DeploymentNotFound")
                || message.is_some_and(|message| message.contains("Could not find an existing deployment"))
        }
    }
}

/// Whether an upstream refused a request because of reasoning that another resource has encrypted, or that it can no
/// longer read. Older versions give no code.
pub fn reasoning_is_unreadable(status: StatusCode, words: &[u8]) -> bool {
    let told = || dialect::error::told(words);
    status == StatusCode::BAD_REQUEST
        && told().is_some_and(|Told { code, message, .. }| {
            let said =
                |message: String| message.contains("ncrypted content") && message.contains("could not be verified");
            code.as_deref() == Some("invalid_encrypted_content") || message.is_some_and(said)
        })
}

/// The same for an attempt without an answer.
pub fn failure(fault: &Fault) -> Verdict {
    match fault {
        Fault::Unresolvable(_) | Fault::Connect { .. } | Fault::Full { .. } | Fault::Refused(_) => Verdict::Closed,
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

/// Lets the key remember an answer whose head came after `took`: throttling closes its gate for the deployment, a failure
/// counts towards its breaker, and anything else shows that it works.
pub fn learn(candidate: &Candidate, head: &Parts, took: Duration) {
    let (memory, deployment, now) = (&candidate.key.memory, &candidate.deployment.name, Instant::now());
    if !head.status.is_server_error() {
        candidate.key.health.answered(now);
    }
    if head.status == StatusCode::TOO_MANY_REQUESTS {
        return memory.gates.close(deployment, now, azure::wait(&head.headers, SystemTime::now()));
    }
    memory.gates.passed(deployment);
    if head.status.is_success() {
        memory.latency.answered(took, now);
        if candidate.provider.balance == Balance::Headroom
            && let Some(share) = azure::headroom(&head.headers)
        {
            memory.headroom.told(deployment, share, now);
        }
    }
    note_health(candidate, !(head.status.is_server_error() || head.status == StatusCode::REQUEST_TIMEOUT));
}

/// The same for an attempt without an answer.
pub fn learn_fault(candidate: &Candidate, fault: &Fault) {
    if !matches!(fault, Fault::Body(_) | Fault::Full { .. } | Fault::Refused(_)) {
        note_health(candidate, false);
    }
}

/// The same for an answer that turned out broken after its head: what it says about trying again.
pub fn learn_rejection(candidate: &Candidate, throttled: Option<Option<Duration>>) -> Verdict {
    match throttled {
        Some(hint) => {
            candidate.key.memory.gates.close(&candidate.deployment.name, Instant::now(), hint);
            Verdict::Closed
        }
        None => {
            note_health(candidate, false);
            Verdict::Sick
        }
    }
}

/// The same for a stream that failed after the caller had seen some of it. One that took too long, or that the upstream
/// ended with words of its own, may be the caller's doing.
pub fn learn_break(candidate: &Candidate, reason: &str) {
    if !matches!(reason, "request_timeout" | "error_event") {
        note_health(candidate, false);
    }
}

fn note_health(candidate: &Candidate, works: bool) {
    let (key, rules, now) = (&candidate.key, &candidate.provider.breaker, Instant::now());
    let breaker = &key.memory.breaker;
    let change = if works { breaker.worked(rules, now) } else { breaker.failed(rules, now) };
    match change {
        Some(Change::Opened) => log::warn!("key `{}` keeps failing and is left alone for {:?}", key.name, rules.open),
        Some(Change::Closed) => log::info!("key `{}` works again", key.name),
        None => {}
    }
}

/// An answer that is not for the caller: the upstream refused the gateway's credential. Whoever came with a key of
/// their own gets the upstream's own words.
pub fn credential_refused(head: &Parts, candidate: &Candidate, caller: &Caller) -> Option<Refusal> {
    let refused = matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let ours = !matches!(caller, Caller::Direct { .. });
    (refused && ours).then(|| Refusal::credential(&candidate.key.name, head.status))
}
