//! The operators' listener: liveness, readiness, metrics, and the door to the operators' API. Knows no request stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::{Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use crate::base::Secret;
use crate::telemetry::Metrics;

/// Whether requests should be sent here.
#[derive(Debug, Default)]
pub struct Readiness {
    configured: AtomicBool,
    draining: AtomicBool,
}

pub struct Admin {
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
    pub key: Option<Secret>,
}

impl Readiness {
    /// The first configuration is live.
    pub fn configured(&self) {
        self.configured.store(true, Ordering::Release);
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// `Err` says why not.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Acquire) {
            return Err("draining");
        }
        if !self.configured.load(Ordering::Acquire) {
            return Err("no configuration is live yet");
        }
        Ok(())
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let presented =
            head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match (method.as_str(), path.as_str()) {
            ("GET" | "HEAD", "/healthz") => text(StatusCode::OK, "ok\n"),
            ("GET" | "HEAD", "/readyz") => match self.readiness.check() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            },
            ("GET" | "HEAD", "/metrics") => {
                respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.encode())
            }
            (_, path) if path == "/api" || path.starts_with("/api/") => self.api(presented.as_deref()),
            (_, "/healthz" | "/readyz" | "/metrics") => {
                let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET");
                answer.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
                answer
            }
            _ => not_found(),
        }
    }
}

impl Admin {
    /// The operators' API has no route yet, but its door already tells who may come in.
    fn api(&self, presented: Option<&str>) -> Response<Vec<u8>> {
        let Some(key) = &self.key else {
            let why = "the operators' API is off because `server.admin.key` is not configured";
            return refuse(StatusCode::FORBIDDEN, "admin_key_not_configured", why);
        };
        let bearer = presented.and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_none_or(|presented| Secret::new(presented) != *key) {
            let why = "the operators' API wants `Authorization: Bearer <admin key>`";
            return refuse(StatusCode::UNAUTHORIZED, "invalid_admin_key", why);
        }
        not_found()
    }
}

fn not_found() -> Response<Vec<u8>> {
    let why = "this listener has `/healthz`, `/readyz` and `/metrics`";
    refuse(StatusCode::NOT_FOUND, "not_found", why)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response<Vec<u8>> {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": code, "param": null}});
    respond(status, "application/json", body.to_string().into_bytes())
}

fn text(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    respond(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    let length = answer.body().len();
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    answer
}
