//! Plain answers that reach the caller in other words than the upstream's: translated ones, and errors that Azure's front
//! door gives in its own shape to callers of another dialect.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::refuse::{Refusal, Stop};
use super::relay::{Route, joined};
use crate::dialect::Dialect;
use crate::dialect::error::{ErrorView, render, told};
use crate::dialect::usage::Usage;

/// What the caller gets.
pub struct Foreign {
    pub status: StatusCode,
    pub body: Vec<u8>,
    pub usage: Option<Usage>,
}

/// The answer in the caller's words; `None` when the upstream's own are right.
pub fn of(route: &Route<'_>, status: StatusCode, rope: &[Bytes]) -> Option<Result<Foreign, Stop>> {
    let body = || joined(&mut rope.to_vec());
    match &route.reading.translated {
        Some(reply) if status.is_success() => Some(match reply.whole(&body()) {
            Ok(whole) => Ok(Foreign {
                status: whole.failed.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(status),
                body: whole.body,
                usage: whole.usage,
            }),
            Err(unreadable) => {
                let refusal = Refusal::new(502, "upstream_broken", "the upstream's answer cannot be read");
                Err(refusal.because(unreadable.to_string()).into())
            }
        }),
        Some(reply) => {
            let told = StatusCode::from_u16(reply.status(status.as_u16())).unwrap_or(status);
            Some(Ok(Foreign { status: told, body: reply.error(status.as_u16(), &body()), usage: None }))
        }
        None if route.received.dialect == Dialect::Anthropic && !status.is_success() => {
            let body = body();
            (!is_anthropic(&body)).then(|| Ok(rewritten(route, status, &body)))
        }
        None => None,
    }
}

fn is_anthropic(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["type"] == "error" && body["error"].is_object())
}

fn rewritten(route: &Route<'_>, status: StatusCode, body: &[u8]) -> Foreign {
    let told = told(body);
    let message = told.as_ref().and_then(|told| told.message.as_deref()).unwrap_or("the upstream refused the request");
    let code = told.as_ref().and_then(|told| told.code.as_deref()).unwrap_or("upstream_error");
    let view = ErrorView { status: status.as_u16(), code, message, param: None, request_id: &route.received.id };
    Foreign { status, body: render(Dialect::Anthropic, &view).to_vec(), usage: None }
}
