//! Which operation a path names. A closed list: one resource holds the objects of all tenants, so a path that is not
//! here is never forwarded.
//!
//! Words of the path are compared as they are written, case included, and `.` and `..` are never resolved: the path
//! that decides here is the only one there is. Names and ids are decoded, once.

use std::borrow::Cow;

use memchr::memmem;

use super::Dialect;
use super::path::{Segments, decode, decode_segments};

mod table;

pub use table::Operation;
use table::{Id, Match};

/// Model names with slashes that an SDK did not encode: `azure/gpt-4o`, with one more for names that hold one themselves.
const DEPLOYMENT_SEGMENTS: usize = 3;

/// What a request asks for, as far as its path tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route<'a> {
    pub operation: Operation,
    pub dialect: Dialect,
    pub surface: Surface<'a>,
    /// The model, file, batch, … that the operation is about, decoded.
    pub id: Option<Cow<'a, str>>,
}

/// The form of the address, which tells how the caller names deployments and versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Surface<'a> {
    /// `…/v1/{operation}`.
    V1,
    /// `…/deployments/{deployment}/{operation}`, decoded.
    Classic { deployment: Cow<'a, str> },
    /// `/openai/{operation}` or `/anthropic/{operation}`, or no prefix at all.
    Root,
}

/// Why a path is not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unrouted {
    NotFound(Dialect),
    /// The path exists; `allow` lists its methods.
    Method {
        dialect: Dialect,
        allow: &'static str,
    },
    /// Known to the APIs we speak, and deliberately not served.
    Unsupported {
        dialect: Dialect,
        operation: &'static str,
    },
    /// Broken percent-encoding, or an id that would not stay one segment of a path.
    BadPath {
        dialect: Dialect,
    },
}

impl Unrouted {
    /// The dialect that the path belongs to, and that the caller therefore speaks.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::NotFound(dialect)
            | Self::Method { dialect, .. }
            | Self::Unsupported { dialect, .. }
            | Self::BadPath { dialect } => dialect,
        }
    }
}

/// Finds the operation of a path without its query.
pub fn classify<'a>(method: &str, path: &'a str) -> Result<Route<'a>, Unrouted> {
    let mut segments = Segments::new(path);
    // Hardly any path has a segment that begins with a dot.
    let may_have_dots = segments.rest().starts_with('.') || memmem::find(path.as_bytes(), b"/.").is_some();
    if may_have_dots && segments.clone().any(|segment| matches!(segment, "." | "..")) {
        let anthropic = segments.peek() == Some("anthropic");
        return Err(Unrouted::NotFound(if anthropic { Dialect::Anthropic } else { Dialect::OpenAi }));
    }
    match segments.peek() {
        Some("healthz" | "api") => find(method, segments, Dialect::OpenAi, Surface::Root, table::own),
        Some("anthropic") => {
            segments.next();
            let surface = if segments.skip_word("v1") { Surface::V1 } else { Surface::Root };
            find(method, segments, Dialect::Anthropic, surface, table::anthropic)
        }
        Some("v1" | "openai") => {
            let bare = segments.peek() == Some("v1");
            let surface = openai_prefix(&mut segments);
            if bare && surface == Surface::V1 && matches!(segments.peek(), Some("messages" | "complete")) {
                return find(method, segments, Dialect::Anthropic, surface, table::anthropic);
            }
            if segments.skip_word("deployments") {
                return under_deployment(method, segments);
            }
            find(method, segments, Dialect::OpenAi, surface, table::openai)
        }
        _ => Err(Unrouted::NotFound(Dialect::OpenAi)),
    }
}

/// Takes `[openai] [v1] [openai] [v1]`: SDKs append their own prefix to a base address that already has one.
fn openai_prefix<'a>(segments: &mut Segments<'_>) -> Surface<'a> {
    let mut surface = Surface::Root;
    for _ in 0..2 {
        if segments.skip_word("openai") {
            surface = Surface::Root;
        }
        if segments.skip_word("v1") {
            surface = Surface::V1;
            // `v1/v1` is a mistake that the OpenAI service does not accept either.
            if segments.peek() == Some("v1") {
                break;
            }
        }
    }
    surface
}

/// Takes the deployment, which may be several segments when its name holds slashes: the shortest name behind which
/// there is an operation.
fn under_deployment<'a>(method: &str, segments: Segments<'a>) -> Result<Route<'a>, Unrouted> {
    let dialect = Dialect::OpenAi;
    let start = segments.rest();
    let mut after = segments;
    let mut refusal = Unrouted::NotFound(dialect);
    for _ in 0..DEPLOYMENT_SEGMENTS {
        let Some(last) = after.next() else { break };
        let end = last.as_ptr() as usize - start.as_ptr() as usize + last.len();
        let surface = || {
            let deployment = decode_segments(&start[..end]).ok_or(Unrouted::BadPath { dialect })?;
            check_name(&deployment, dialect)?;
            Ok(Surface::Classic { deployment })
        };
        match find(method, after, dialect, Surface::Root, table::openai) {
            Ok(route) => return Ok(Route { surface: surface()?, ..route }),
            Err(found) if refusal == Unrouted::NotFound(dialect) => refusal = found,
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn find<'a>(
    method: &str,
    segments: Segments<'a>,
    dialect: Dialect,
    surface: Surface<'a>,
    table: fn(&[&str]) -> Match,
) -> Result<Route<'a>, Unrouted> {
    let mut words = [""; table::LONGEST];
    let mut count = 0;
    for segment in segments {
        // Longer paths can only be names with slashes, whose words are not looked at here.
        let Some(word) = words.get_mut(count) else { break };
        *word = segment;
        count += 1;
    }
    let (methods, id) = match table(&words[..count]) {
        Match::Path(methods, id) => (methods, id),
        Match::Unsupported(operation) => return Err(Unrouted::Unsupported { dialect, operation }),
        Match::None => return Err(Unrouted::NotFound(dialect)),
    };
    let Some((_, operation)) = methods.list.iter().find(|(known, _)| *known == method) else {
        return Err(Unrouted::Method { dialect, allow: methods.allow });
    };
    let id = match id {
        Id::None => None,
        Id::Second => Some(decode_id(words[1], dialect)?),
        Id::Rest => {
            let mut rest = segments;
            rest.next();
            let name = decode_segments(rest.rest()).ok_or(Unrouted::BadPath { dialect })?;
            check_name(&name, dialect)?;
            Some(name)
        }
    };
    Ok(Route { operation: *operation, dialect, surface, id })
}

/// Ids go into upstream paths, so they must not be able to reach another path there.
fn decode_id(segment: &str, dialect: Dialect) -> Result<Cow<'_, str>, Unrouted> {
    let id = decode(segment).ok_or(Unrouted::BadPath { dialect })?;
    if id.contains('/') {
        return Err(Unrouted::BadPath { dialect });
    }
    check_name(&id, dialect)?;
    Ok(id)
}

fn check_name(name: &str, dialect: Dialect) -> Result<(), Unrouted> {
    if name.contains(|c: char| c.is_control() || c == '\\') {
        return Err(Unrouted::BadPath { dialect });
    }
    if name.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(Unrouted::NotFound(dialect));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
