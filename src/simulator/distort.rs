//! What a fault does to an answer as a whole: another status, another body, a wrong length, extra headers;
//! and the making of the HTTP response. The steps of the body are left to `wire`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header, request};
use hyper::ext::ReasonPhrase;
use serde_json::{Value, json};

use super::answer::{Answer, Content};
use super::errors::Refusal;
use super::faults::{Coding, Ending, Fault, Length, Parting, Replacement};
use super::flow::Flow;
use super::identity::Identity;
use super::line::{Cut, Line};
use super::record::{self, Entry, Outcome};
use super::wire;

/// How far a wrong `content-length` is off.
const LENGTH_ERROR: usize = 10;

/// What an answer given before the body was read says, unless the fault names a status.
const TOO_LARGE: u16 = 413;

const HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>Microsoft-Azure-Application-Gateway/v2</center>\r\n\
    </body>\r\n</html>\r\n";

/// The answer that stands in for the real one.
pub fn replaced(answer: Answer, fault: &Fault, head: &request::Parts, body: &[u8]) -> Answer {
    let mut answer = match (fault.replacement, fault.status) {
        (Some(Replacement::Echo), _) => Answer::json(200, echo(head, body).to_string()),
        (None, Some(status)) if status >= 400 && !Identity::owns(head.uri.path()) => {
            let refusal = Refusal::for_status(status, fault.code.as_deref(), fault.message.as_deref());
            answer.replaced_by(refusal)
        }
        _ => answer,
    };
    if let Some(status) = fault.status {
        answer.status = status;
    }
    match fault.replacement {
        Some(Replacement::Html) => {
            answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            answer.content = Content::Whole(Bytes::from_static(HTML.as_bytes()));
        }
        Some(Replacement::Empty) => answer.content = Content::Whole(Bytes::new()),
        Some(Replacement::Echo) | None => {}
    }
    answer
}

/// The answer to a request whose body nobody reads.
pub fn early(head: &request::Parts, fault: &Fault) -> Answer {
    let status = fault.status.unwrap_or(TOO_LARGE);
    let fault = Fault { status: Some(status), ..fault.clone() };
    replaced(Answer::json(status, "{}".to_owned()), &fault, head, &[])
}

/// An answer of the control surface: nothing can go wrong with it.
pub fn plain(answer: Answer, line: Arc<Line>) -> Response<Flow> {
    let bytes = match answer.content {
        Content::Whole(bytes) | Content::Chunked(bytes) => bytes,
        Content::Events(_) => Bytes::new(),
    };
    let mut response = Response::new(Flow::unrecorded(bytes, line));
    *response.status_mut() = status_code(answer.status);
    *response.headers_mut() = answer.headers;
    response
}

/// The response, with the fault's marks on head and body.
pub fn respond(answer: Answer, fault: &Fault, version: Version, line: Arc<Line>, mut entry: Entry) -> Response<Flow> {
    entry.head_sent(answer.status, answer.streams());
    let is_http2 = version == Version::HTTP_2;
    let outcome = if *fault == Fault::default() { Outcome::Answered } else { Outcome::Fault };
    let steps = wire::steps(&answer.content, &fault.body);
    let mut headers = answer.headers;
    for (name, value) in &fault.headers {
        headers.append(name, value.clone());
    }
    if fault.body.coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    match fault.parting {
        Some(Parting::KeepAliveOff) if !is_http2 => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Some(Parting::GoAway) => line.cut(Cut::GoAway),
        Some(Parting::KeepAliveOff) | None => {}
    }
    if fault.interim > 0 && !is_http2 {
        line.write_before_next(Bytes::from("HTTP/1.1 100 Continue\r\n\r\n".repeat(fault.interim)));
    }
    let flow = Flow::new(steps, line, entry, outcome);
    let (flow, length) = match announced_length(&answer.content, fault, is_http2) {
        Announced::Real => (flow.with_known_length(), None),
        Announced::Nothing => (flow, None),
        Announced::Text { length, surplus } => (flow.with_surplus(surplus), Some(length)),
    };
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut response = Response::new(flow);
    *response.status_mut() = status_code(answer.status);
    *response.headers_mut() = headers;
    if let Some(reason) = answer.reason {
        response.extensions_mut().insert(ReasonPhrase::from_static(reason.as_bytes()));
    }
    response
}

/// What the head says about the length of the body.
enum Announced {
    Real,
    Nothing,
    /// A number that the body will not keep to, and what follows it on HTTP/1.1.
    Text {
        length: usize,
        surplus: Bytes,
    },
}

fn announced_length(content: &Content, fault: &Fault, is_http2: bool) -> Announced {
    let Content::Whole(bytes) = content else { return Announced::Nothing };
    let real = bytes.len();
    match (fault.body.length, fault.body.end) {
        (Length::TooLong, _) => Announced::Text { length: real + LENGTH_ERROR, surplus: Bytes::new() },
        (Length::TooShort, _) => {
            let length = real.saturating_sub(LENGTH_ERROR);
            // hyper keeps to the announced length on HTTP/1.1, so the rest is written behind its back.
            let surplus = if is_http2 { Bytes::new() } else { bytes.slice(length..) };
            Announced::Text { length, surplus }
        }
        (Length::Right, Some((_, Ending::Truncate | Ending::ErrorEvent))) => Announced::Nothing,
        (Length::Right, Some(_)) if fault.body.coding == Coding::Identity => {
            Announced::Text { length: real, surplus: Bytes::new() }
        }
        (Length::Right, Some(_)) => Announced::Nothing,
        (Length::Right, None) => Announced::Real,
    }
}

/// The request as it arrived.
fn echo(head: &request::Parts, body: &[u8]) -> Value {
    json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "http_version": record::version_text(head.version),
        "headers": record::header_list(&head.headers),
        "body_length": body.len(),
        "body_sha256": record::sha256(body),
    })
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
