//! Where one request ends and the next begins is no matter of opinion: when a connection stays open behind a request, a reader
//! that is written down here from RFC 9112 finds the same body.
#![no_main]

mod words;

use azgate::proxy::framing;
use libfuzzer_sys::fuzz_target;
use pingora::protocols::http::ServerSession;
use tokio::io::AsyncWriteExt;

const WORDS: &[&[u8]] = &[
    b"POST / HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"host: a\r\n",
    b"content-length: 3\r\n",
    b"content-length:",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding:",
    b"connection: keep-alive\r\n",
    b"connection: close\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b", ",
];

/// What the gateway makes of it: the body, and whether another request may follow. `None` when it is refused or unfinished.
async fn taken(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut caller, stream) = tokio::io::duplex(bytes.len().max(1));
    caller.write_all(bytes).await.expect("there is room");
    caller.shutdown().await.expect("the other end is there");
    let mut session = ServerSession::new_http1(Box::new(stream));
    if !session.read_request().await.ok()? {
        return None;
    }
    framing::check(&mut session).ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&chunk);
    }
    Some((body, session.get_keepalive().is_some()))
}

/// The body as the RFC has it, for a request without a transfer coding; `None` where there is none such.
fn as_written(bytes: &[u8]) -> Option<&[u8]> {
    let begin = bytes.iter().position(|byte| !b"\r\n".contains(byte))?;
    let mut rest = &bytes[begin..];
    let (mut lines, mut length) = (0, None);
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        lines += 1;
        if lines == 1 {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            for one in value.split(|byte| *byte == b',') {
                let one = std::str::from_utf8(one.trim_ascii()).ok()?;
                let one: usize = one.bytes().all(|byte| byte.is_ascii_digit()).then(|| one.parse().ok())??;
                if length.is_some_and(|other| other != one) {
                    return None;
                }
                length = Some(one);
            }
        }
    }
    rest.get(..length.unwrap_or(0))
}

fuzz_target!(|data: &[u8]| {
    let bytes = words::spelled(data, WORDS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let Some((body, stays)) = runtime.block_on(taken(&bytes)) else { return };
    if stays {
        assert_eq!(Some(&body[..]), as_written(&bytes), "of {:?}", String::from_utf8_lossy(&bytes));
    }
});
