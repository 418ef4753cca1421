//! Stage 7: What became of an attempt: whose fault a failure is, and whether the same request may be sent once more.

use http::StatusCode;
use pingora::http::ResponseHeader;

use super::exchange::{Caller, Candidate};
use super::refuse::Refusal;
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

/// An answer that is not for the caller: the upstream refused the gateway's credential. Whoever came with a key of
/// their own gets the upstream's own words.
pub fn credential_refused(head: &ResponseHeader, candidate: &Candidate, caller: &Caller) -> Option<Refusal> {
    let refused = matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let ours = !matches!(caller, Caller::Direct { .. });
    (refused && ours).then(|| Refusal::credential(&candidate.key.name, head.status))
}
