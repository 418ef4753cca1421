//! Operations that the gateway answers itself, from its own configuration.

use http::HeaderValue;
use jiff::Timestamp;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use super::exchange::{Caller, Plan, Received, Reply};
use super::refuse::{Refusal, Stop};
use super::{limits, waits};
use crate::catalog::{Family, Listed};
use crate::dialect::translate;
use crate::dialect::{Dialect, Operation, query_value};
use crate::governance::Standing;
use crate::provider::Service;
use crate::snapshot::Snapshot;

/// Names in one page of the Anthropic-shaped list, unless the caller asks otherwise.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 1_000;

/// Whether an operation needs nobody to be known, and its answer.
pub fn open(operation: Operation) -> Option<Value> {
    match operation {
        Operation::Health => Some(json!({"status": "ok"})),
        Operation::Hello => Some(json!({})),
        _ => None,
    }
}

/// The answer to a caller who was admitted; `None` when an upstream has to be asked.
pub fn answer(
    received: &Received,
    operation: Operation,
    query: &str,
    caller: &Caller,
    snapshot: &Snapshot,
) -> Result<Option<Value>, Refusal> {
    match operation {
        Operation::Models => Ok(Some(list(received.dialect, query, &visible(caller, snapshot), snapshot.created))),
        Operation::Model => {
            let asked = received.item.as_deref().unwrap_or_default();
            let found = visible(caller, snapshot).into_iter().find(|listed| is_called(listed, asked));
            let unknown = || {
                let message = format!("model `{asked}` is not served here; `GET /v1/models` lists the names that are");
                Refusal::new(404, "model_not_found", message).param("model")
            };
            let listed = found.ok_or_else(unknown)?;
            Ok(Some(describe(received.dialect, &listed, snapshot.created)))
        }
        _ => Ok(None),
    }
}

/// The tokens of a request, where it is for a model whose service does not count them; they are an estimate then.
pub async fn count(operation: Operation, plan: &Plan, snapshot: &Snapshot) -> Result<Option<Value>, Refusal> {
    if operation != Operation::CountTokens || counts_itself(plan, snapshot) {
        return Ok(None);
    }
    let body = plan.body.whole().await.map_err(Refusal::no_room)?;
    // Beside the event loop: the tables take a moment to load, and a long text takes one to count.
    let counted = tokio::task::spawn_blocking(move || translate::tokens(&body)).await;
    let failed = |error: tokio::task::JoinError| {
        Refusal::new(500, "internal_error", "the tokens could not be counted").because(error.to_string())
    };
    Ok(Some(json!({"input_tokens": counted.map_err(failed)??})))
}

fn counts_itself(plan: &Plan, snapshot: &Snapshot) -> bool {
    let Some(target) = plan.targets.first() else { return true };
    let key = target.keys.iter().next();
    let deployment = target.place.zip(key).map(|(place, key)| snapshot.catalog.deployment(place, key, &target.model));
    let family = deployment.map_or_else(|| Family::of(&target.model), |deployment| deployment.family);
    family == Family::Anthropic || target.provider.service == Service::Anthropic
}

/// Sends a document of the gateway's own, and how its caller stands where that is limited.
pub async fn send(
    session: &mut ServerSession,
    received: &Received,
    (document, standing): (&Value, Standing),
    reply: &mut Reply,
) -> Result<(), Stop> {
    send_text(session, received, (document.to_string().into_bytes(), standing), reply).await
}

/// The same of one that is written already.
pub async fn send_text(
    session: &mut ServerSession,
    received: &Received,
    (body, standing): (Vec<u8>, Standing),
    reply: &mut Reply,
) -> Result<(), Stop> {
    let head_only = session.req_header().method == http::Method::HEAD;
    let mut head = ResponseHeader::build(200, Some(4)).map_err(|_| Stop::Cut)?;
    let id = HeaderValue::from_str(&received.id).unwrap_or(HeaderValue::from_static("-"));
    for (name, value) in [
        ("content-type", HeaderValue::from_static("application/json")),
        ("content-length", body.len().into()),
        ("x-request-id", id),
    ] {
        head.insert_header(name, value).map_err(|_| Stop::Cut)?;
    }
    if received.operation == Some(Operation::CountTokens) {
        head.insert_header("x-azgate-estimate", HeaderValue::from_static("true")).map_err(|_| Stop::Cut)?;
    }
    limits::tell(&mut head, &standing, received.dialect);
    reply.status = Some(head.status);
    let body = if head_only { Vec::new() } else { body };
    reply.bytes_out = body.len() as u64;
    waits::tell(session, head, body.into()).await
}

/// The names that this caller may use. None of them is for a caller with a provider key of their own, which nobody
/// has checked: the configured keys are not theirs to use, and the names not theirs to know.
fn visible(caller: &Caller, snapshot: &Snapshot) -> Vec<Listed> {
    let permitted = |listed: &Listed| match caller {
        Caller::Virtual(key) => {
            key.permits_provider(&listed.provider).is_ok() && key.permits_model(&listed.model).is_ok()
        }
        Caller::Anonymous => true,
        Caller::Direct { .. } => false,
    };
    snapshot.catalog.list().into_iter().filter(permitted).collect()
}

fn is_called(listed: &Listed, asked: &str) -> bool {
    let full = asked.split_once('/').is_some_and(|(provider, model)| {
        provider.eq_ignore_ascii_case(&listed.provider) && model.eq_ignore_ascii_case(&listed.model)
    });
    full || listed.id.eq_ignore_ascii_case(asked)
}

fn list(dialect: Dialect, query: &str, models: &[Listed], created: i64) -> Value {
    let describe = |listed: &Listed| describe(dialect, listed, created);
    if dialect == Dialect::OpenAi {
        return json!({"object": "list", "data": models.iter().map(describe).collect::<Vec<_>>()});
    }
    let limit = query_value(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let after = query_value(query, "after_id");
    let start = after.and_then(|after| models.iter().position(|listed| listed.id == *after)).map_or(0, |at| at + 1);
    let page: Vec<&Listed> = models.iter().skip(start).take(limit).collect();
    json!({
        "data": page.iter().map(|listed| describe(listed)).collect::<Vec<_>>(),
        "has_more": start + page.len() < models.len(),
        "first_id": page.first().map(|listed| &listed.id),
        "last_id": page.last().map(|listed| &listed.id),
    })
}

fn describe(dialect: Dialect, listed: &Listed, created: i64) -> Value {
    match dialect {
        Dialect::OpenAi => {
            json!({"id": listed.id, "object": "model", "created": created, "owned_by": &*listed.provider})
        }
        Dialect::Anthropic => {
            let at = Timestamp::from_second(created).unwrap_or(Timestamp::UNIX_EPOCH);
            json!({"type": "model", "id": listed.id, "display_name": listed.id, "created_at": at.to_string()})
        }
    }
}
