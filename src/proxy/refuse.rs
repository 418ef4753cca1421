//! Stage 9: Any error becomes one answer, or one event in a running stream, in the caller's dialect. Every status and code
//! of the gateway's own errors stands in this file.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::exchange::{Received, Reply};
use super::{limits, waits};
use crate::azure::UnknownVersion;
use crate::catalog::Unresolved;
use crate::dialect::error::{ErrorView, render};
use crate::dialect::multipart::FormError;
use crate::dialect::operation::Unrouted;
use crate::dialect::peek::JsonError;
use crate::dialect::stream::ChunkTransform;
use crate::dialect::translate::Refused;
use crate::dialect::{Dialect, Operation};
use crate::governance::{Denied, Exceeded, What};
use crate::upstream::Fault;

/// How long a caller whose request was refused may go on sending before the connection is closed. Without it the
/// caller would meet a reset instead of the answer, as long as it is still sending.
const LINGER: Duration = Duration::from_secs(5);

/// Told where waiting does not help at all: a day, so that nobody tries again soon.
const NEVER: Duration = Duration::from_secs(86_400);

/// Why a request gets no answer from an upstream.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// Stable; documented in the README and used in the log.
    pub code: &'static str,
    /// For the caller.
    pub message: Box<str>,
    /// The field of the request that is at fault.
    pub param: Option<Box<str>>,
    /// Only for the log.
    pub cause: Option<String>,
    /// Methods that the path has (RFC 9110, section 10.2.1).
    pub allow: Option<&'static str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The limit of the caller's that is used up.
    pub exceeded: Option<Box<Exceeded>>,
    /// The gateway has tried more than once itself; clients that do the same on top multiply the load.
    pub tried_again: bool,
}

/// Why a stage does not go on.
#[derive(Debug)]
pub enum Stop {
    Refused(Box<Refusal>),
    /// An answer that began well turned out broken before the caller saw anything of it, so another attempt may take its
    /// place; if none does, this is what the caller is told.
    Rejected {
        refusal: Box<Refusal>,
        /// Whether that was for throttling, and for how long as far as the answer says.
        throttled: Option<Option<Duration>>,
    },
    /// Nobody is there to be answered.
    CallerLeft,
    /// The answer had begun and cannot be completed; the connection is closed so that the caller sees it is cut.
    Cut,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Stop {
    /// A failure of an answer of which nothing was shown.
    pub fn rejected(self) -> Self {
        match self {
            Self::Refused(refusal) => Self::Rejected { refusal, throttled: None },
            other => other,
        }
    }

    /// A body that cannot be read is either the caller's going away or framing that cannot be trusted.
    pub fn from_body_read(error: &pingora::Error) -> Self {
        use pingora::ErrorType::{ConnectionClosed, ReadError, ReadTimedout, WriteError};
        match error.etype() {
            ConnectionClosed | ReadError | WriteError => Self::CallerLeft,
            ReadTimedout => Refusal::slow_body(Duration::from_secs(60)).into(),
            _ => Refusal::new(400, "bad_request", "the request's body is not framed as its head says").into(),
        }
    }
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            code,
            message: message.into().into_boxed_str(),
            param: None,
            cause: None,
            allow: None,
            retry_after: None,
            exceeded: None,
            tried_again: false,
        }
    }

    pub fn param(self, param: impl Into<Box<str>>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    pub fn because(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub fn missing_model() -> Self {
        Self::new(400, "missing_model", "the request names no model; put its name into the field `model`")
            .param("model")
    }

    /// An operation that the upstream has, and that this version does not forward.
    pub fn not_served(operation: &str, provider: &str) -> Self {
        let message = format!(
            "the operation `{operation}` on provider `{provider}` is not served by this version of the gateway"
        );
        Self::new(400, "unsupported_operation", message)
    }

    pub fn unsupported(operation: &str) -> Self {
        let message = format!("the operation `{operation}` is not supported on provider `azure`");
        Self::new(400, "unsupported_operation", message)
    }

    pub fn too_large(limit: u64) -> Self {
        let limit = limit / (1024 * 1024);
        let message =
            format!("the request's body is larger than {limit} MiB, the limit set by `server.max_request_body_mb`");
        Self::new(413, "request_too_large", message)
    }

    pub fn slow_body(limit: Duration) -> Self {
        Self::new(
            408,
            "request_timeout",
            format!(
                "the request's body did not arrive in time; the gateway waited {} s for more of it",
                limit.as_secs()
            ),
        )
    }

    pub fn no_room(error: io::Error) -> Self {
        Self::new(503, "overloaded", "the request's body cannot be held at the moment").because(error.to_string())
    }

    pub fn endpoint_not_allowed(message: impl Into<String>) -> Self {
        Self::new(403, "endpoint_not_allowed", message).param("endpoint")
    }

    pub fn missing_endpoint() -> Self {
        let message = "a provider key of your own needs the endpoint it belongs to, in the header `x-azgate-azure-endpoint` or the field `endpoint`";
        Self::new(400, "missing_endpoint", message).param("endpoint")
    }

    pub fn no_key(model: &str) -> Self {
        Self::new(503, "no_healthy_key", format!("no key can serve model `{model}` at the moment"))
    }

    /// Every key is throttled for the model; `wait` is until the first of them opens.
    pub fn all_throttled(model: &str, wait: Duration) -> Self {
        let message = format!("every key for model `{model}` is throttled; the first opens in {} ms", wait.as_millis());
        Self { retry_after: Some(wait), ..Self::new(429, "all_keys_throttled", message) }
    }

    /// The gateway has nothing to show to an upstream; why is for the operator only.
    pub fn no_credential(cause: String) -> Self {
        let message = "the gateway has no credential for this model; its operator finds the cause in the log";
        Self::new(502, "credential_unavailable", message).because(cause)
    }

    /// The upstream refused the gateway's own credential; its words are for the operator only.
    pub fn credential(key: &str, status: StatusCode) -> Self {
        let message = "the gateway's credential for this model was refused; its operator finds the cause in the log";
        Self::new(502, "credential_unavailable", message).because(format!("key `{key}` was answered with {status}"))
    }

    pub fn timed_out(limit: Duration) -> Self {
        Self::new(504, "upstream_timeout", format!("the request was not finished within {} s", limit.as_secs()))
    }
}

impl From<Unrouted> for Refusal {
    fn from(unrouted: Unrouted) -> Self {
        match unrouted {
            Unrouted::NotFound(_) => Self::new(
                404,
                "not_found",
                "there is no such path here; the gateway forwards a closed list of operations",
            ),
            Unrouted::Method { allow, .. } => {
                let message = format!("this path has no such method; it takes {allow}");
                Self { allow: Some(allow), ..Self::new(405, "bad_request", message) }
            }
            Unrouted::Unsupported { operation, .. } => Self::unsupported(operation),
            Unrouted::BadPath { .. } => Self::new(
                400,
                "bad_request",
                "the path is not valid: its percent-encoding does not decode to UTF-8 text",
            ),
        }
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        let message = format!("the body is no form as this operation needs it: {error}");
        Self::new(400, "bad_request", message)
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        Self::new(400, "invalid_json", format!("the request's body cannot be read: {error}"))
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let code = match &refused {
            Refused::NotSupported { .. } => "field_not_supported",
            Refused::Invalid { .. } => "bad_request",
            Refused::NotJson(_) => "invalid_json",
        };
        let field = refused.field().map(Box::from);
        Self { param: field, ..Self::new(400, code, refused.to_string()) }
    }
}

impl From<UnknownVersion> for Refusal {
    fn from(error: UnknownVersion) -> Self {
        Self::new(400, "bad_request", format!("the query's `api-version`: {error}")).param("api-version")
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let message = denied.to_string();
        match denied {
            Denied::NoKey | Denied::UnknownKey => Self::new(401, "invalid_api_key", message),
            Denied::Disabled { .. } => Self::new(401, "key_disabled", message),
            Denied::Expired { .. } => Self::new(401, "key_expired", message),
            Denied::Address { .. } => Self::new(403, "address_not_allowed", message),
            Denied::Provider { .. } => Self::new(403, "provider_not_allowed", message),
            Denied::Model { .. } => Self::new(403, "model_not_allowed", message).param("model"),
        }
    }
}

/// A rate or a slot is worth coming back for. A budget is not until it is renewed, nor is a request that is larger than
/// its limit: the caller learns how long that is, and his SDK is told not to try by itself.
impl From<Box<Exceeded>> for Refusal {
    fn from(exceeded: Box<Exceeded>) -> Self {
        let code = match exceeded.excess.what {
            What::Rate(..) | What::Concurrency => "rate_limit_exceeded",
            What::Budget(_) => "budget_exceeded",
        };
        let wait = exceeded.excess.wait.map_or(NEVER, Duration::from_millis);
        let refusal = Self::new(429, code, exceeded.to_string());
        Self { retry_after: Some(wait), exceeded: Some(exceeded), ..refusal }
    }
}

impl From<Unresolved> for Refusal {
    fn from(unresolved: Unresolved) -> Self {
        Self::new(404, "model_not_found", unresolved.to_string()).param("model")
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let (status, code, message) = match &fault {
            Fault::Unresolvable(crate::upstream::Unresolvable::Forbidden { .. }) => {
                return Self::endpoint_not_allowed("the endpoint leads to an address that callers may not reach")
                    .because(fault.to_string());
            }
            Fault::Unresolvable(_) => {
                (502, "upstream_unreachable", "the upstream cannot be reached: its name could not be resolved")
            }
            Fault::Connect { .. } | Fault::ConnectTimeout { .. } => {
                (502, "upstream_unreachable", "the upstream cannot be reached: no connection could be made")
            }
            Fault::Full { .. } => (503, "overloaded", "too many requests to the upstream are in progress"),
            Fault::FirstByteTimeout(_) | Fault::Idle(_) => {
                (504, "upstream_timeout", "the upstream did not answer in time")
            }
            Fault::Write(_)
            | Fault::Refused(_)
            | Fault::ClosedEarly
            | Fault::Abandoned(_)
            | Fault::Broken(_)
            | Fault::Malformed(_) => (502, "upstream_broken", "the upstream's answer broke off"),
            Fault::Body(_) => (503, "overloaded", "the request's body cannot be held at the moment"),
        };
        Self::new(status, code, message).because(fault.to_string())
    }
}

/// Answers a request with an error of the gateway's own.
pub async fn answer(
    session: &mut ServerSession,
    received: &Received,
    refusal: Refusal,
    reply: &mut Reply,
) -> Result<(), Stop> {
    let view = view(&refusal, &received.id);
    let body = render(received.dialect, &view);
    let mut head = ResponseHeader::build(refusal.status, Some(8)).map_err(|_| Stop::Cut)?;
    let id = HeaderValue::from_str(&received.id).unwrap_or(HeaderValue::from_static("-"));
    let mut insert = |name: &'static str, value: HeaderValue| {
        // The names are this function's own, so inserting cannot fail.
        let _ = head.insert_header(name, value);
    };
    insert("content-type", HeaderValue::from_static("application/json"));
    insert("content-length", body.len().into());
    insert("x-request-id", id);
    if received.operation == Some(Operation::Messages) {
        insert("request-id", HeaderValue::from_str(&received.id).unwrap_or(HeaderValue::from_static("-")));
    }
    if let Some(allow) = refusal.allow {
        insert("allow", HeaderValue::from_static(allow));
    }
    if let Some(wait) = refusal.retry_after {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        insert("retry-after", millis.div_ceil(1000).into());
        insert("retry-after-ms", millis.into());
    }
    let waiting_helps = refusal.exceeded.as_ref().is_none_or(|exceeded| waiting_helps(exceeded));
    if refusal.tried_again && refusal.status.is_server_error() || !waiting_helps {
        insert("x-should-retry", HeaderValue::from_static("false"));
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    note(&refusal, reply);
    let unread = !session.is_body_done();
    if unread {
        session.set_keepalive(None);
        insert("connection", HeaderValue::from_static("close"));
    }
    if let Some(exceeded) = &refusal.exceeded {
        limits::tell(&mut head, &exceeded.standing, received.dialect);
    }
    waits::tell(session, head, body).await?;
    if unread {
        linger(session).await;
    }
    Ok(())
}

fn waiting_helps(exceeded: &Exceeded) -> bool {
    !matches!(exceeded.excess.what, What::Budget(_)) && exceeded.excess.wait.is_some()
}

/// The error as the last event of a stream that has begun.
pub fn event(stream: &dyn ChunkTransform, dialect: Dialect, id: &str, refusal: &Refusal) -> Bytes {
    stream.broken(dialect, &view(refusal, id))
}

fn view<'a>(refusal: &'a Refusal, id: &'a str) -> ErrorView<'a> {
    ErrorView {
        status: refusal.status.as_u16(),
        code: refusal.code,
        message: &refusal.message,
        param: refusal.param.as_deref(),
        request_id: id,
    }
}

/// Remembers for the log what the caller was told.
pub fn note(refusal: &Refusal, reply: &mut Reply) {
    reply.code = Some(refusal.code);
    reply.exceeded = refusal.exceeded.as_ref().map(|exceeded| (exceeded.excess.what, exceeded.subject.kind));
    reply.cause.clone_from(&refusal.cause);
    reply.status.get_or_insert(refusal.status);
}

/// Reads over what the caller is still sending, so that it gets to see the answer.
async fn linger(session: &mut ServerSession) {
    let drain = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    // When the time is over the connection is closed as it is.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
