//! Stage 1: The request as it comes in: its id, what it asks for, and its body within the caps on size and time.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::{Duration, Instant};

use http::{HeaderName, header};
use ipnet::IpNet;
use pingora::protocols::http::ServerSession;

use super::body::Body;
use super::exchange::{Received, Reply};
use super::reading::{self, Noted};
use super::refuse::{Refusal, Stop};
use super::session;
use super::waits::{PATIENCE, caller_takes};
use crate::azure;
use crate::base::ids;
use crate::base::limit::within;
use crate::dialect::{Dialect, Surface, classify, query_value};
use crate::governance::Prompt;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static IMAGES: HeaderName = HeaderName::from_static(azure::IMAGE_HEADER);

/// Longest silence of a caller within a request's body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// What may come with a request that needs no body.
const NO_BODY: usize = 64 * 1024;

/// Longest time for a whole body, so that a byte now and then does not hold a request for ever.
const BODY_TOTAL: Duration = Duration::from_secs(300);

/// Bytes a second that are slow but steady: a body gets more time for each second's worth that has come.
const STEADY: u64 = 64 * 1024;

/// Understands the head. There is always a record, so that a refusal carries the request's id and speaks the dialect
/// of its path; the refusal is there when the path is no operation.
pub fn head(session: &ServerSession, trusted_proxies: &[IpNet]) -> (Received, Option<Refusal>) {
    let head = session.req_header();
    let text = |name: &HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let id = text(&REQUEST_ID).filter(|id| ids::is_sane(id)).map_or_else(ids::request_id, str::to_owned);
    let mut received = Received {
        id,
        operation: None,
        path_model: None,
        item: None,
        api_version: query_value(head.uri.query().unwrap_or_default(), "api-version").map(Cow::into_owned),
        dialect: Dialect::OpenAi,
        address: address(session, trusted_proxies),
        image_model: text(&IMAGES).filter(|name| !name.is_empty()).map(str::to_owned),
        session: session::named(head),
        retry_count: text(&RETRY_COUNT).and_then(|count| count.parse().ok()),
    };
    // The path as it was sent decides, and nothing else does: not the `Host` header, and not the host of an
    // absolute-form target (RFC 9112, section 3.2.2).
    match classify(head.method.as_str(), head.uri.path()) {
        Ok(route) => {
            received.operation = Some(route.operation);
            received.dialect = route.dialect;
            received.item = route.id.map(Cow::into_owned);
            if let Surface::Classic { deployment } = route.surface {
                received.path_model = Some(deployment.into_owned());
            }
            (received, None)
        }
        Err(unrouted) => {
            received.dialect = unrouted.dialect();
            (received, Some(unrouted.into()))
        }
    }
}

/// Reads the whole body and notes the members that the gateway acts on, in one pass.
pub async fn body(
    session: &mut ServerSession,
    largest: u64,
    mut reading: reading::Request,
    reply: &mut Reply,
) -> Result<(Body, Noted), Stop> {
    let announced =
        session.get_header(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > largest) {
        return Err(Refusal::too_large(largest).into());
    }
    if session.get_header(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        // Pingora takes the interim answer for the end of the exchange.
        let keepalive = session.get_keepalive();
        caller_takes(PATIENCE, pin!(session.write_continue_response())).await?;
        session.set_keepalive(keepalive);
    }
    let mut body = Body::default();
    // Of a form most is a file, which is no text.
    let mut prompt = reading.is_json().then(Prompt::default);
    let begun = Instant::now();
    loop {
        let total = BODY_TOTAL + Duration::from_secs(body.len() / STEADY);
        let limit = BODY_IDLE.min(total.saturating_sub(begun.elapsed()));
        let read = reply.waiting(within(limit, pin!(session.read_request_body()))).await;
        let read = read.map_err(|_| Refusal::slow_body(limit))?;
        let read = read.map_err(|error| {
            // Where the body ends is unknown, so nothing after it can be a request.
            session.set_keepalive(None);
            Stop::from_body_read(&error)
        });
        let Some(chunk) = read? else { break };
        reply.bytes_in += chunk.len() as u64;
        if body.len() + chunk.len() as u64 > largest {
            return Err(Refusal::too_large(largest).into());
        }
        reading.feed(&chunk)?;
        prompt.iter_mut().for_each(|prompt| prompt.feed(&chunk));
        body.push(chunk).await.map_err(Refusal::no_room)?;
    }
    reply.prompt_tokens = prompt.map_or(0, |prompt| prompt.tokens());
    Ok((body, reading.finish()?))
}

/// Reads over the body of a request that needs none. SDKs send an empty one, or `{}`.
pub async fn no_body(session: &mut ServerSession, reply: &mut Reply) -> Result<(), Stop> {
    let mut length = 0;
    loop {
        let read = reply.waiting(within(BODY_IDLE, pin!(session.read_request_body()))).await;
        let read = read.map_err(|_| Refusal::slow_body(BODY_IDLE))?;
        let Some(chunk) = read.map_err(|error| {
            session.set_keepalive(None);
            Stop::from_body_read(&error)
        })?
        else {
            return Ok(());
        };
        length += chunk.len();
        reply.bytes_in += chunk.len() as u64;
        if length > NO_BODY {
            let message = "this operation takes no body, and the request has a large one";
            return Err(Refusal::new(400, "bad_request", message).into());
        }
    }
}

/// The caller's address. Behind a trusted proxy it is the last entry of `x-forwarded-for` that no trusted proxy has
/// written about itself. One that is no address makes the caller unknown and is never skipped: a proxy wrote it, and
/// what stands before it may be the caller's own word.
fn address(session: &ServerSession, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let peer = session.client_addr()?.as_inet()?.ip().to_canonical();
    let trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
    if !trusted(&peer) {
        return Some(peer);
    }
    let forwarded = session.req_header().headers.get_all(&FORWARDED_FOR);
    let entries = forwarded.iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    let mut strangers = entries.map(forwarded_address).filter(|entry| !entry.as_ref().is_some_and(trusted));
    strangers.next().unwrap_or(Some(peer))
}

/// One entry of `x-forwarded-for`; some proxies, Azure's among them, write the port too.
fn forwarded_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}
