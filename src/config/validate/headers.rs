//! Headers that the operator adds or lets through.

use http::{HeaderName, HeaderValue};

use crate::{
    base::Secret,
    config::{file::Members, read::Place},
};

/// Belong to one connection, never to the next.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Describe the message that the gateway itself writes.
const FRAMING: [&str; 6] = ["accept-encoding", "content-encoding", "content-length", "content-type", "expect", "host"];

/// Open something: the upstream's are set by the key, the caller's end here.
const CREDENTIALS: [&str; 8] =
    ["api-key", "authorization", "cookie", "set-cookie", "x-api-key", "x-azgate-vk", "x-bf-vk", "x-goog-api-key"];

/// Checks headers that are added to requests.
pub fn check_added(headers: &Members<Secret>, place: &Place<'_>) {
    for (index, (name, value)) in headers.iter().enumerate() {
        let place = place.member(name);
        check_name(name, &place);
        if headers.names().take(index).any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            place.error("this header is here a second time; header names differ in more than case");
        }
        // Never repeats the value: it may be a subscription key.
        if HeaderValue::from_str(value.expose()).is_err() {
            place.error("the value cannot stand in a header; use printable characters of ASCII");
        }
    }
}

/// Checks names of headers that are passed on from callers.
pub fn check_forwarded(names: &[String], place: &Place<'_>) {
    for (index, name) in names.iter().enumerate() {
        check_name(name, &place.element(index));
    }
}

fn check_name(name: &str, place: &Place<'_>) {
    let lower = name.to_ascii_lowercase();
    let is_one_of = |list: &[&str]| list.contains(&lower.as_str());
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        place.error("this is no header name; use letters, digits and hyphens");
    } else if is_one_of(&HOP_BY_HOP) {
        place.error("this header belongs to a single connection; remove it");
    } else if is_one_of(&FRAMING) {
        place.error("this header describes the message, which the gateway writes itself; remove it");
    } else if is_one_of(&CREDENTIALS) {
        place.error("this header carries a credential, which the gateway sets itself; remove it");
    }
}
