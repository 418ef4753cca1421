//! One exchange over a stream of an HTTP/2 connection (RFC 9113).

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Uri, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::protocols::http::v2::write_body;
use pingora::{Error, ErrorType};

use super::fault::{Fault, brief};
use super::segment::{Segment, Source};
use crate::base::limit::within;

pub(super) struct Http2 {
    session: Http2Session,
    /// The head was read while the request was still going out.
    early: bool,
}

impl Http2 {
    /// Sends a request.
    pub(super) async fn begin(
        mut session: Box<Http2Session>,
        head: &RequestHeader,
        body: Vec<Segment>,
        limit: Duration,
    ) -> Result<Self, (Fault, Http2Session)> {
        let sent = send(&mut session, head, body, limit).await;
        match sent {
            Ok(early) => Ok(Self { session: *session, early }),
            Err(fault) => Err((fault, *session)),
        }
    }

    /// Interim answers are read over by the HTTP/2 library.
    pub(super) async fn head(&mut self) -> Result<Parts, Fault> {
        if !self.early {
            self.session.read_response_header().await.map_err(|error| Fault::in_head(&error))?;
        }
        let head = self.session.response_header().expect("it was read");
        Ok(head.as_owned_parts())
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let chunk = self.session.read_response_body().await.map_err(|error| Fault::in_body(&error))?;
        if chunk.is_none() {
            // A stream that was reset looks like one that ended (hyperium/h2#806).
            self.session.check_response_end_or_error().map_err(|error| Fault::in_body(&error))?;
        }
        Ok(chunk)
    }

    /// The stream, whose connection goes on without it; what was not finished is reset.
    pub(super) fn end(self) -> Http2Session {
        self.session
    }
}

/// Returns whether the answer's head came before the request was out.
async fn send(
    session: &mut Http2Session,
    head: &RequestHeader,
    body: Vec<Segment>,
    limit: Duration,
) -> Result<bool, Fault> {
    let head = addressed(head)?;
    let mut source = Source::new(Bytes::new(), body);
    let empty = source.is_empty();
    session.write_request_header(Box::new(head), empty).map_err(|error| written(&error))?;
    if empty {
        return Ok(false);
    }
    let mut writer =
        session.take_request_body_writer().ok_or_else(|| Fault::Write("the stream takes no body".to_owned()))?;
    while let Some((part, last)) = source.take().await.map_err(Fault::Body)? {
        let sent = tokio::select! {
            biased;
            read = session.read_response_header() => {
                read.map_err(|error| Fault::in_head(&error))?;
                // A server may refuse a body before it is all there; then the rest is not sent.
                if session.response_header().is_some_and(|head| !head.status.is_success()) {
                    return Ok(true);
                }
                return Err(Fault::Malformed("it answers before it has the request".to_owned()));
            }
            sent = write_body(&mut writer, part, last, Some(limit)) => sent,
        };
        if let Err(error) = sent {
            // A reset tells more when the head is asked for.
            let head = within(limit, pin!(session.read_response_header())).await;
            return match head {
                Ok(Ok(())) => Ok(true),
                Ok(Err(why)) => Err(Fault::in_head(&why)),
                Err(_) => Err(written(&error)),
            };
        }
    }
    Ok(false)
}

/// HTTP/2 carries the host as `:authority` and not as a field (RFC 9113, section 8.3.1).
fn addressed(head: &RequestHeader) -> Result<RequestHeader, Fault> {
    let invalid = |error: http::Error| Fault::Write(error.to_string());
    let authority = head.headers.get(header::HOST).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("https").authority(&authority[..]).path_and_query(path).build();
    let mut head = head.clone();
    head.set_uri(uri.map_err(invalid)?);
    head.remove_header(&header::HOST);
    Ok(head)
}

fn written(error: &Error) -> Fault {
    match error.etype() {
        ErrorType::WriteTimedout => Fault::Write("no progress".to_owned()),
        _ if matches!(error.retry, pingora::RetryType::Decided(true)) => Fault::Refused(brief(error)),
        _ => Fault::Write(brief(error)),
    }
}
