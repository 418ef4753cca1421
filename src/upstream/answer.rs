//! The head of an answer over HTTP/1.1, and what it says about its body and its connection (RFC 9112, sections 4 to 6 and
//! 9.3). Strict where a lenient reader could see another end of the answer than the server does: what cannot be framed in
//! one way only is refused.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};

use super::content::{Chunks, Content};

/// Longest head.
const LONGEST: usize = 256 * 1024;

/// Most fields of a head.
const MOST_FIELDS: usize = 256;

/// Fields that there is room for at the least: those that are put to a head on its way to the caller would make it grow.
const LEAST_FIELDS: usize = 12;

/// What no answer can be, in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) String);

/// What follows a head.
#[derive(Debug)]
pub struct Rest {
    pub content: Content,
    /// Another exchange may follow on the same connection.
    pub persists: bool,
}

/// Takes one head, interim or final, from the front of what has arrived; `None` while its end is not there.
///
/// # Errors
/// When it is not the head of an answer over HTTP/1, or too large.
pub fn head(arrived: &mut BytesMut) -> Result<Option<Parts>, Malformed> {
    if arrived.starts_with(b"\r") || arrived.starts_with(b"\n") {
        // Only requests may have empty lines before them (RFC 9112, section 2.2).
        return Err(Malformed("an empty line is no head".to_owned()));
    }
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    // Strict: neither folded lines (RFC 9112, section 5.2) nor spaces before a colon (section 5.1).
    let read = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, arrived, &mut fields);
    let length = match read {
        Ok(Status::Complete(length)) if length <= LONGEST => length,
        Ok(Status::Partial) if arrived.len() <= LONGEST => return Ok(None),
        Ok(_) => return Err(Malformed(format!("its head is longer than {} KiB", LONGEST / 1024))),
        Err(error) => return Err(Malformed(format!("its head cannot be read: {error}"))),
    };
    // One copy, as long as the head: values that point into what was read would keep all of it.
    let whole = Bytes::copy_from_slice(&arrived[..length]);
    let mut headers = HeaderMap::with_capacity(parsed.headers.len().max(LEAST_FIELDS));
    for field in parsed.headers.iter() {
        let at = field.value.as_ptr() as usize - arrived.as_ptr() as usize;
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| unusable(field.name))?;
        let value = HeaderValue::from_maybe_shared(whole.slice(at..at + field.value.len()));
        headers.append(name, value.map_err(|_| unusable(field.name))?);
    }
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| unusable("status"))?;
    head.version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    head.headers = headers;
    arrived.advance(length);
    Ok(Some(head))
}

fn unusable(what: &str) -> Malformed {
    Malformed(format!("its head cannot be read: `{}`", shown(what.as_bytes())))
}

/// The beginning of what a server said, for a message.
pub(super) fn shown(said: &[u8]) -> String {
    said[..said.len().min(40)].escape_ascii().to_string()
}

/// What follows the head of a final answer to another request than HEAD. The head's `content-length` becomes what frames the
/// content: one number, or none.
///
/// # Errors
/// When a length or a transfer coding can be understood in two ways, or not at all (RFC 9112, section 6.3).
pub fn rest(head: &mut Parts) -> Result<Rest, Malformed> {
    let (length, chunked) = (length(&head.headers)?, is_chunked(&head.headers)?);
    let persists = head.version == Version::HTTP_11 && !says_close(&head.headers);
    match length {
        Some(length) if !chunked => head.headers.insert(CONTENT_LENGTH, length.into()),
        _ => head.headers.remove(CONTENT_LENGTH),
    };
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Rest { content: Content::Exactly(0), persists });
    }
    if chunked {
        // Who sends both may have been led to it by somebody else: nothing more is believed of that connection.
        return Ok(Rest { content: Content::Chunked(Chunks::default()), persists: persists && length.is_none() });
    }
    Ok(match length {
        Some(length) => Rest { content: Content::Exactly(length), persists },
        None => Rest { content: Content::UntilClosed, persists: false },
    })
}

/// What a head says of its connection: `close`, and names of fields that belong to it (RFC 9110, section 7.6.1).
pub fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(CONNECTION).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn says_close(headers: &HeaderMap) -> bool {
    connection_options(headers).any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// Several lengths are one when they are the same (RFC 9110, section 8.6).
fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut told = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for length in value.as_bytes().split(|byte| *byte == b',') {
            let digits = std::str::from_utf8(length.trim_ascii()).unwrap_or("");
            let length = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            match (told, length) {
                (None, Some(length)) => told = Some(length),
                (Some(told), Some(length)) if told == length => {}
                _ => {
                    return Err(Malformed(format!(
                        "its content-length is `{}`, which is no length",
                        shown(value.as_bytes())
                    )));
                }
            }
        }
    }
    Ok(told)
}

/// Only this coding is known to everybody, and no other was asked for (RFC 9112, section 7).
fn is_chunked(headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        (Some(coding), _) => {
            Err(Malformed(format!("its transfer-encoding `{}` was not asked for", shown(coding.as_bytes()))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(u16, Rest)>, Malformed> {
        let mut arrived = BytesMut::from(text);
        let Some(mut head) = head(&mut arrived)? else { return Ok(None) };
        assert!(arrived.is_empty(), "all of {text:?} is its head");
        rest(&mut head).map(|rest| Some((head.status.as_u16(), rest)))
    }

    #[test]
    fn a_head_says_how_long_its_body_is_and_whether_its_connection_stays() {
        let chunked = || Content::Chunked(Chunks::default());
        for (fields, body, persists) in [
            ("content-length: 5\r\n", Content::Exactly(5), true),
            ("Content-Length:5 \r\n", Content::Exactly(5), true),
            ("content-length: 5, 5\r\ncontent-length: 05\r\n", Content::Exactly(5), true),
            ("transfer-encoding: Chunked\r\n", chunked(), true),
            ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", chunked(), false),
            ("content-length: 5\r\nconnection: keep-alive, Close\r\n", Content::Exactly(5), false),
            ("content-length: 5\r\nconnection: x\r\nconnection: close\r\n", Content::Exactly(5), false),
            ("content-length: 5\r\nconnection: closed\r\n", Content::Exactly(5), true),
            ("", Content::UntilClosed, false),
        ] {
            let (status, rest) = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap().unwrap();
            assert_eq!((status, rest.content, rest.persists), (200, body, persists), "{fields}");
        }
        let (_, old) = read("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n").unwrap().unwrap();
        assert_eq!((old.content, old.persists), (Content::Exactly(5), false));
    }

    #[test]
    fn some_answers_have_no_content_whatever_they_say() {
        for status in [204, 304] {
            for fields in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
                let (_, rest) = read(&format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n")).unwrap().unwrap();
                assert_eq!((rest.content, rest.persists), (Content::Exactly(0), true), "{status} {fields}");
            }
        }
    }

    #[test]
    fn a_head_keeps_one_length_at_most_and_only_one_that_counts() {
        for (fields, kept) in [
            ("content-length: 05, 5\r\ncontent-length: 5\r\n", Some("5")),
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", None),
            ("x: y\r\n", None),
        ] {
            let mut arrived = BytesMut::from(&*format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            let mut head = head(&mut arrived).unwrap().unwrap();
            rest(&mut head).unwrap();
            let lengths: Vec<_> =
                head.headers.get_all(CONTENT_LENGTH).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(lengths, Vec::from_iter(kept), "{fields}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (fields, why) in [
            ("content-length: 5\r\ncontent-length: 6\r\n", "is no length"),
            ("content-length: 5, 6\r\n", "is no length"),
            ("content-length: +5\r\n", "is no length"),
            ("content-length: 0x5\r\n", "is no length"),
            ("content-length: -5\r\n", "is no length"),
            ("content-length:\r\n", "is no length"),
            ("content-length: 5,\r\n", "is no length"),
            ("content-length: 5 5\r\n", "is no length"),
            ("content-length: 18446744073709551616\r\n", "is no length"),
            ("transfer-encoding: gzip, chunked\r\n", "not asked for"),
            ("transfer-encoding: chunked, chunked\r\n", "not asked for"),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "not asked for"),
            ("transfer-encoding: identity\r\n", "not asked for"),
            ("transfer-encoding: \x0bchunked\r\n", "cannot be read"),
            ("x: a\r\n b\r\n", "cannot be read"),
            ("x y: a\r\n", "cannot be read"),
            ("content-length : 5\r\n", "cannot be read"),
            (": a\r\n", "cannot be read"),
            ("x: a\0\r\n", "cannot be read"),
            ("no field\r\n", "cannot be read"),
        ] {
            let refused = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).err().map(|error| error.to_string());
            assert!(refused.as_deref().is_some_and(|refused| refused.contains(why)), "{fields}: {refused:?}");
        }
        for line in [
            "HTTP/2 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 2000 OK",
            "ICY 200 OK",
            "{}",
            "\r\nHTTP/1.1 200 OK",
        ] {
            assert!(read(&format!("{line}\r\n\r\n")).is_err(), "{line}");
        }
    }

    #[test]
    fn a_head_has_bounds_and_waits_for_its_end() {
        let whole = "HTTP/1.1 200 OK\r\nx: y\r\n\r\n";
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).unwrap().is_none(), "{end}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LONGEST));
        assert!(read(&endless).unwrap_err().to_string().contains("256 KiB"));
        assert!(read(&format!("{endless}\r\n\r\n")).unwrap_err().to_string().contains("256 KiB"));
        let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
        assert!(read(&many(MOST_FIELDS)).is_ok());
        assert!(read(&many(MOST_FIELDS + 1)).is_err());
    }

    #[test]
    fn values_stay_as_they_are_and_in_order() {
        let mut arrived = BytesMut::from(&b"HTTP/1.1 200\r\nB:  \xc3\xa4 \t\r\na: 1\r\nb:\r\nA: 2\r\n\r\nrest"[..]);
        let head = head(&mut arrived).unwrap().unwrap();
        let fields: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("b", &b"\xc3\xa4"[..]), ("b", b""), ("a", b"1"), ("a", b"2")]);
        assert_eq!(&arrived[..], b"rest");
    }
}
