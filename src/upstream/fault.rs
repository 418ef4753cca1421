//! What can go wrong on the way to an upstream and back. Nothing here says anything about an answer's content.

use std::time::Duration;

use pingora::{Error, ErrorType, RetryType};

use super::address::Unresolvable;
use super::answer;

/// Interim answers (1xx) that are read over before the final one; more are a broken server.
pub(super) const MOST_INTERIM: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Unresolvable(#[from] Unresolvable),
    #[error("cannot connect to {host}: {cause}")]
    Connect { host: String, cause: String },
    #[error("cannot connect to {host}: no connection within {limit:?}")]
    ConnectTimeout { host: String, limit: Duration },
    #[error("no room within {limit:?} among the {most} exchanges that {host} may have in progress")]
    Full { host: String, most: u32, limit: Duration },
    #[error("the request could not be sent: {0}")]
    Write(String),
    /// The server said that it has not touched the request (RFC 9113, section 8.7).
    #[error("the server turned the request away unseen: {0}")]
    Refused(String),
    #[error("no answer within {0:?}")]
    FirstByteTimeout(Duration),
    #[error("the connection was closed before an answer")]
    ClosedEarly,
    #[error("the connection was closed without an answer, after {0:?}")]
    Abandoned(Duration),
    #[error("nothing arrived for {0:?} in the middle of the answer")]
    Idle(Duration),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("the answer is not HTTP: {0}")]
    Malformed(String),
    #[error("the request's body could not be read back: {0}")]
    Body(std::io::Error),
}

impl From<answer::Malformed> for Fault {
    fn from(malformed: answer::Malformed) -> Self {
        Self::Malformed(malformed.to_string())
    }
}

impl Fault {
    pub(super) fn too_many_interim() -> Self {
        Self::Malformed(format!("more than {MOST_INTERIM} interim answers"))
    }

    /// What kept the head of an answer over HTTP/2 from being read.
    pub(super) fn in_head(error: &Error) -> Self {
        if matches!(error.retry, RetryType::Decided(true)) {
            return Self::Refused(brief(error));
        }
        match error.etype() {
            ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 => Self::Malformed(brief(error)),
            ErrorType::ConnectionClosed | ErrorType::ReadError => Self::ClosedEarly,
            _ => Self::Broken(brief(error)),
        }
    }

    pub(super) fn in_body(error: &Error) -> Self {
        Self::Broken(brief(error))
    }
}

/// The kind of an error and its cause, without the buffers that some messages quote.
pub(super) fn brief(error: &Error) -> String {
    let root = error.root_etype().as_str();
    let said = match error.root_etype() {
        // What is wrong with a certificate stands in the message alone, at its end.
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => {
            let said = error.context.as_ref().map(|said| said.as_str());
            said.map(|said| said.rsplit_once("cause: ").map_or(said, |(_, cause)| cause).to_owned())
        }
        _ => error.cause.as_ref().map(ToString::to_string),
    };
    match said {
        Some(said) => format!("{root}: {said}").chars().filter(|c| !c.is_control()).take(300).collect(),
        None => root.to_owned(),
    }
}
