//! Stage 1, before anything else: heads that two readers could understand in two ways are refused, and their connections
//! closed. Pingora refuses most of them; these are what it lets pass.

use http::{HeaderMap, HeaderValue, Version, header, uri::Authority};
use pingora::protocols::http::ServerSession;

use super::refuse::Refusal;

/// Looks at a head: at what frames an HTTP/1 message, and in both versions at what frames a form. HTTP/2 frames its messages
/// itself.
pub fn check(session: &mut ServerSession) -> Result<(), Refusal> {
    let head = session.req_header();
    if head.headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some() {
        // One of them names the boundary of a form, and readers differ in which they take.
        return Err(Refusal::new(400, "bad_request", "the request has more than one `content-type` header"));
    }
    if head.version == Version::HTTP_2 {
        return Ok(());
    }
    let wrong = wrong(&head.headers, head.version);
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    if chunked || wrong.is_some() {
        // Pingora takes more for a chunk than RFC 9112 does (no digits for 0, bare line feeds in extensions, any text for
        // a trailer). Where such a body ends is a matter of opinion, so that nothing behind it is taken for a request.
        session.set_keepalive(None);
    }
    wrong.map_or(Ok(()), |what| Err(Refusal::new(400, "bad_request", what)))
}

fn wrong(headers: &HeaderMap, version: Version) -> Option<&'static str> {
    match headers.get(header::HOST) {
        None if version == Version::HTTP_11 => return Some("the request has no `host` header"),
        // RFC 9112, section 3.2: an empty one is right where the target has no authority.
        Some(host) if !host.is_empty() && !is_authority(host) => {
            return Some("the request's `host` header is no host");
        }
        _ => {}
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (Some(coding), None) if is_chunked(coding) => None,
        (Some(_), _) => Some("the only `transfer-encoding` taken here is `chunked`, once"),
        (None, _) => None,
    }
}

/// A host and perhaps a port (RFC 9110, section 7.2).
fn is_authority(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let rest = &authority.as_str()[authority.host().len()..];
    let port = rest.strip_prefix(':').unwrap_or(rest);
    !authority.host().is_empty() && !authority.host().contains(',') && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for (host, right) in [
            ("a", true),
            ("a.example:8080", true),
            ("a:", true),
            ("127.0.0.1", true),
            ("[::1]:80", true),
            ("a b", false),
            ("a/v1", false),
            ("a, b", false),
            ("a:b", false),
            (":80", false),
            ("a?x", false),
        ] {
            assert_eq!(is_authority(&HeaderValue::from_static(host)), right, "{host}");
        }
    }
}
