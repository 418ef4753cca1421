//! An answer before it meets the wire: status, headers, and a body or a list of events.
//! How the bytes are written, late or broken, is left to `wire`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::claude;
use super::errors::{self, Origin, Refusal};
use super::quota::Standing;
use super::responses;
use super::settings::Deployment;

/// Azure marks its streams so.
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The model session that a deployment claims to run in.
const SESSION: HeaderValue = HeaderValue::from_static("d20260330170902-0e618f323d34");

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The reason phrase of HTTP/1.1 where Azure has its own.
    pub reason: Option<&'static str>,
    pub headers: HeaderMap,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    /// A body of known length.
    Whole(Bytes),
    /// A body sent in chunks although it is known.
    Chunked(Bytes),
    Events(Events),
}

/// A stream: the data of each event, `[DONE]` included.
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub payloads: Vec<String>,
    pub interval: Duration,
    pub protocol: Protocol,
}

/// Whose events a stream consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Chunks without a name.
    #[default]
    Chat,
    /// Events of Claude, each named by its type.
    Messages,
    /// Events of Responses, named in the same way.
    Responses,
}

/// What an operation answers when it does not refuse.
#[derive(Clone, Debug)]
pub enum Reply {
    Json(String),
    Events(Vec<String>),
    /// The same in Claude's dialect.
    Messages(Vec<String>),
    /// Sound, pictures or plain text, of that media type.
    Bytes(&'static str, Bytes),
    /// The same in the dialect of Responses.
    Responses(Vec<String>),
}

impl Protocol {
    /// The data of an error event.
    pub fn error_event(self) -> String {
        match self {
            Self::Chat => errors::error_event(),
            Self::Messages => claude::error_event(),
            Self::Responses => responses::error_event(),
        }
    }

    /// The name of an event, which is the type that its data tells.
    pub fn name(self, payload: &str) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Typed {
            r#type: String,
        }
        (self != Self::Chat).then(|| serde_json::from_str::<Typed>(payload).ok())?.map(|typed| typed.r#type)
    }
}

impl Answer {
    /// The answer of a deployment.
    pub fn of_deployment(reply: Reply, deployment: &Deployment, standing: Standing) -> Self {
        let mut headers = model_headers(deployment, Some(standing));
        let content = match reply {
            Reply::Json(text) => {
                headers.insert(header::CONTENT_TYPE, JSON);
                Content::Whole(Bytes::from(text))
            }
            Reply::Bytes(media, bytes) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
                Content::Whole(bytes)
            }
            Reply::Events(payloads) => Content::Events(stream(payloads, Protocol::Chat, deployment, &mut headers)),
            Reply::Messages(payloads) => {
                Content::Events(stream(payloads, Protocol::Messages, deployment, &mut headers))
            }
            Reply::Responses(payloads) => {
                Content::Events(stream(payloads, Protocol::Responses, deployment, &mut headers))
            }
        };
        Self { status: 200, reason: None, headers, content }
    }

    /// A JSON answer that no deployment gave: lists, and the simulator's own accounts.
    pub fn json(status: u16, text: String) -> Self {
        let mut headers = front_headers();
        headers.insert(header::CONTENT_TYPE, JSON);
        Self { status, reason: None, headers, content: Content::Whole(Bytes::from(text)) }
    }

    /// A stream of events that are kept.
    pub fn stored_events(payloads: Vec<String>) -> Self {
        let mut headers = front_headers();
        headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
        let events = Events { payloads, protocol: Protocol::Responses, ..Events::default() };
        Self { status: 200, reason: None, headers, content: Content::Events(events) }
    }

    pub fn refused(refusal: Refusal, deployment: Option<(&Deployment, Standing)>) -> Self {
        let body = Bytes::from(refusal.body);
        let mut headers = match (refusal.origin, deployment) {
            (Origin::Model, Some((deployment, standing))) => model_headers(deployment, Some(standing)),
            (Origin::Gate, _) => gate_headers(),
            _ => front_headers(),
        };
        let content = match refusal.origin {
            Origin::Lookup => Content::Chunked(body),
            Origin::Gate | Origin::Model => {
                headers.insert(header::CONTENT_TYPE, JSON);
                Content::Whole(body)
            }
        };
        for (name, value) in refusal.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        let reason = (refusal.status == 401).then_some("PermissionDenied");
        Self { status: refusal.status, reason, headers, content }
    }

    /// A refusal in place of this answer; what the deployment told about itself stays if it is the one that refuses.
    pub fn replaced_by(self, refusal: Refusal) -> Self {
        let is_of_model = refusal.origin == Origin::Model;
        let refused = Self::refused(refusal, None);
        if !is_of_model {
            return refused;
        }
        let mut headers = self.headers;
        headers.extend(refused.headers);
        Self { headers, ..refused }
    }

    pub fn streams(&self) -> bool {
        matches!(self.content, Content::Events(_))
    }
}

fn stream(payloads: Vec<String>, protocol: Protocol, deployment: &Deployment, headers: &mut HeaderMap) -> Events {
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert("azureai-fe-is-streaming", HeaderValue::from_static("True"));
    Events { payloads, interval: Duration::from_millis(deployment.event_interval_ms), protocol }
}

/// A new id in the shape of Azure's.
pub fn uuid() -> String {
    let n = fastrand::u128(..);
    let variant = 0x8 | ((n >> 62) & 0x3);
    format!(
        "{:08x}-{:04x}-4{:03x}-{variant:x}{:03x}-{:012x}",
        (n >> 96) & 0xffff_ffff,
        (n >> 80) & 0xffff,
        (n >> 64) & 0xfff,
        (n >> 48) & 0xfff,
        n & 0xffff_ffff_ffff
    )
}

/// What the gate alone sends.
fn gate_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(32);
    insert(&mut headers, "apim-request-id", uuid());
    headers
}

fn front_headers() -> HeaderMap {
    let mut headers = gate_headers();
    let secure = HeaderValue::from_static("max-age=31536000; includeSubDomains; preload");
    headers.insert(header::STRICT_TRANSPORT_SECURITY, secure);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-ms-region", HeaderValue::from_static("East US 2"));
    headers
}

fn model_headers(deployment: &Deployment, standing: Option<Standing>) -> HeaderMap {
    let mut headers = front_headers();
    insert(&mut headers, "x-request-id", uuid());
    insert(&mut headers, "x-ms-deployment-name", deployment.name.clone());
    insert(&mut headers, "x-ms-served-model", deployment.model.clone());
    headers.insert("azureml-model-session", SESSION);
    for (name, value) in [
        ("skip-error-remapping", "true"),
        ("x-accel-buffering", "no"),
        ("x-ms-is-spilled-over", "false"),
        ("x-ms-rai-invoked", "true"),
        ("azureai-fe-is-streaming", "False"),
        ("x-ratelimit-abusepenalty-active", "False"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    insert(&mut headers, "x-ratelimit-key", deployment.name.clone());
    if let Some(standing) = standing {
        limit_headers(&mut headers, standing);
    }
    headers
}

fn limit_headers(headers: &mut HeaderMap, standing: Standing) {
    for (unit, level) in [("requests", standing.requests), ("tokens", standing.tokens)] {
        let numbers = [
            ("limit", u64::from(level.limit)),
            ("remaining", u64::from(level.remaining)),
            ("reset", level.reset_ms),
            ("renewalperiod", 60),
        ];
        for (what, number) in numbers {
            if let Ok(name) = HeaderName::try_from(format!("x-ratelimit-{what}-{unit}")) {
                headers.insert(name, HeaderValue::from(number));
            }
        }
    }
}

/// A name that cannot stand in a header (a deployment may be called anything) is left out.
fn insert(headers: &mut HeaderMap, name: &'static str, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
