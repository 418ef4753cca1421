//! An upstream's answer has the same head, the same body and the same end however it is cut; when its connection may be used
//! again, Pingora's own reader finds the same body, and nothing behind it.
#![no_main]

mod words;

use azgate::upstream::answer;
use azgate::upstream::content::Taken;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use pingora::protocols::http::v1::client::HttpSession;
use tokio::io::AsyncWriteExt;

const WORDS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 OK\r\n",
    b"content-length: 3\r\n",
    b"content-length:",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding:",
    b"connection: keep-alive\r\n",
    b"connection: close\r\n",
    b"x: y\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"3\r\nabc\r\n",
    b"5;a=b\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b", ",
];

/// What was read of an answer.
#[derive(Debug, PartialEq)]
struct Read {
    status: u16,
    body: Vec<u8>,
    /// All of it was there, nothing is behind it, and the connection may be used again.
    again: bool,
}

/// `None` when it is refused or its head is not there.
fn ours(pieces: &[&[u8]]) -> Option<Read> {
    let (mut arrived, mut pieces) = (BytesMut::new(), pieces.iter());
    let mut head = loop {
        if let Some(head) = answer::head(&mut arrived).ok()? {
            break head;
        }
        arrived.extend_from_slice(pieces.next()?);
    };
    if head.status.is_informational() {
        return None;
    }
    let mut rest = answer::rest(&mut head).ok()?;
    let mut read = Read { status: head.status.as_u16(), body: Vec::new(), again: false };
    loop {
        match rest.content.take(&mut arrived).ok()? {
            Taken::Some(bytes) => read.body.extend_from_slice(&bytes),
            Taken::End => break,
            Taken::Nothing => match pieces.next() {
                Some(piece) => arrived.extend_from_slice(piece),
                None => break,
            },
        }
    }
    let behind = arrived.len() + pieces.map(|piece| piece.len()).sum::<usize>();
    read.again = rest.persists && rest.content.is_over() && behind == 0;
    Some(read)
}

async fn pingoras(bytes: &[u8]) -> Option<Read> {
    let (mut server, stream) = tokio::io::duplex(bytes.len().max(1));
    server.write_all(bytes).await.expect("there is room");
    server.shutdown().await.expect("the other end is there");
    let mut session = HttpSession::new(Box::new(stream));
    session.read_response().await.ok()?;
    let status = session.get_status()?.as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = session.read_body_bytes().await.ok()? {
        body.extend_from_slice(&chunk);
    }
    session.respect_keepalive();
    let again = session.will_keepalive() && session.reuse().await.is_some();
    Some(Read { status, body, again })
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    let bytes = words::spelled(data, WORDS);
    let whole = ours(&[&bytes]);
    let (front, back) = bytes.split_at(usize::from(*cut).min(bytes.len()));
    assert_eq!(whole, ours(&[front, back]), "of {:?}, cut at {cut}", String::from_utf8_lossy(&bytes));
    if let Some(read) = whole.filter(|read| read.again) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let theirs = runtime.block_on(pingoras(&bytes));
        assert_eq!(Some(read), theirs, "of {:?}", String::from_utf8_lossy(&bytes));
    }
});
