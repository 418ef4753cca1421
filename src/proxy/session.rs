//! What a request belongs to, so that the turns of one conversation find the prompt cache of the key that served the last
//! one. Azure caches prompts per deployment, from their beginning, when they have 1,024 tokens and more.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::HeaderName;
use pingora::http::RequestHeader;

use super::body::Body;
use super::exchange::{Caller, Received};
use crate::dialect::Members;
use crate::pool::Session;

/// Headers in which programs name their session: Claude Code's, and Codex' in both spellings.
static HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-claude-code-session-id"),
    HeaderName::from_static("session-id"),
    HeaderName::from_static("session_id"),
];

/// Longest name of a session that is taken for one.
const LONGEST: usize = 256;

/// The session that a caller's program names.
pub fn named(head: &RequestHeader) -> Option<String> {
    let text = |name: &HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    HEADERS.iter().find_map(text).filter(|name| (1..=LONGEST).contains(&name.len())).map(str::to_owned)
}

/// The session of a request: the one it names, in a header or in `prompt_cache_key`; else the beginning of a body that is
/// long enough to be cached, which is the same in each turn of a conversation. Sessions of different callers or models
/// have nothing to do with each other.
pub fn of(received: &Received, caller: &Caller, model: &str, members: &Members, body: &Body) -> Option<Session> {
    let mut hash = DefaultHasher::new();
    let cache_key = || members.last("prompt_cache_key").and_then(|member| member.as_str());
    match (&received.session, cache_key()) {
        (Some(name), _) => name.hash(&mut hash),
        (None, Some(name)) => name.hash(&mut hash),
        (None, None) => body.beginning()?.hash(&mut hash),
    }
    model.hash(&mut hash);
    match caller {
        Caller::Virtual(key) => key.name.hash(&mut hash),
        Caller::Anonymous => {}
        Caller::Direct { .. } => return None,
    }
    Some(Session(hash.finish()))
}
