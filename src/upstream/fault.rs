//! What can go wrong in an exchange, and how Pingora's errors tell it.

use std::time::Duration;

use pingora::{Error, ErrorType};

use super::address::Unresolvable;
use super::exchange::MOST_INTERIM;

/// What went wrong on the way. None of these says anything about the answer's content.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Unresolvable(#[from] Unresolvable),
    #[error("cannot connect to {host}: {cause}")]
    Connect { host: String, cause: String },
    #[error("no connection to {host} within {limit:?}")]
    ConnectTimeout { host: String, limit: Duration },
    #[error("the request could not be sent: {0}")]
    Write(String),
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

impl Fault {
    pub(super) fn too_many_interim() -> Self {
        Self::Malformed(format!("more than {MOST_INTERIM} interim answers"))
    }
}

/// The fault behind an answer whose head could not be read.
pub(super) fn head_fault(error: &Error) -> Fault {
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Fault::Malformed(brief(error)),
        ErrorType::ConnectionClosed | ErrorType::ReadError if nothing_came(error) => Fault::ClosedEarly,
        _ => Fault::Broken(brief(error)),
    }
}

pub(super) fn is_timeout(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout)
}

/// The kind of an error and its cause, without the buffers that some messages quote.
pub(super) fn brief(error: &Error) -> String {
    let root = error.root_etype().as_str();
    match error.cause.as_ref() {
        Some(cause) => format!("{root}: {cause}").chars().filter(|c| !c.is_control()).take(300).collect(),
        None => root.to_owned(),
    }
}

/// Whether a connection ended before the first byte of an answer's head. Pingora tells it in its message alone.
fn nothing_came(error: &Error) -> bool {
    error.context.as_ref().is_some_and(|context| context.as_str().ends_with("bytes already read: 0"))
}
