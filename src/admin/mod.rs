//! The operators' listener: liveness, readiness, metrics, and the door to the operators' API. Knows no request stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::net::TcpListener;

use crate::base::Secret;
use crate::snapshot::{Key, Proof, Snapshot};
use crate::telemetry::Metrics;

type Answer = Response<Full<Bytes>>;

/// Whether requests should be sent here.
#[derive(Debug, Default)]
pub struct Readiness {
    configured: AtomicBool,
    draining: AtomicBool,
    /// Every key had what it proves its right with, or another could stand in for it.
    proven: AtomicBool,
}

pub struct Admin {
    pub readiness: Arc<Readiness>,
    pub metrics: Arc<Metrics>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
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

    /// `Err` says why not, `Ok` what is to be known all the same. `unproven` names the keys without a token that are alone
    /// in serving some model. They keep a process from becoming ready. Once it was, a token that is lost takes down only
    /// its own models, and is told: sending the other requests elsewhere would help nobody.
    pub fn check(&self, unproven: impl FnOnce() -> Vec<Arc<str>>) -> Result<String, String> {
        if self.draining.load(Ordering::Acquire) {
            return Err("draining".to_owned());
        }
        if !self.configured.load(Ordering::Acquire) {
            return Err("no configuration is live yet".to_owned());
        }
        let keys = unproven();
        if keys.is_empty() {
            self.proven.store(true, Ordering::Release);
            return Ok("ready".to_owned());
        }
        if self.proven.load(Ordering::Acquire) {
            return Ok(format!("ready, but no token now for: {}", keys.join(", ")));
        }
        Err(format!("no token yet for: {}", keys.join(", ")))
    }
}

/// Serves operators for as long as the process lives: while it drains too, so that they can see it drain.
pub async fn serve(admin: Arc<Admin>, listener: TcpListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come free.
                log::warn!("the operators' listener cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| {
                let answer = admin.answer(&request);
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            // A connection that breaks is its caller's business.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Admin {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        let presented = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match (request.method().as_str(), request.uri().path()) {
            ("GET" | "HEAD", "/healthz") => text(StatusCode::OK, "ok\n"),
            ("GET" | "HEAD", "/readyz") => match self.readiness.check(|| self.snapshot.load().unproven()) {
                Ok(what) => text(StatusCode::OK, &format!("{what}\n")),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            },
            ("GET" | "HEAD", "/metrics") => {
                respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics())
            }
            (_, path) if path == "/api" || path.starts_with("/api/") => self.api(presented),
            (_, "/healthz" | "/readyz" | "/metrics") => {
                let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET");
                answer.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
                answer
            }
            _ => not_found(),
        }
    }

    fn metrics(&self) -> Vec<u8> {
        let snapshot = self.snapshot.load();
        let keys = snapshot.providers.iter().flat_map(|provider| &provider.keys);
        let expiry = |key: &Arc<Key>| match &key.proof {
            Proof::Token(tokens) => Some((Arc::clone(&key.name), tokens.left().unwrap_or_default())),
            Proof::Nothing | Proof::Fixed(_) => None,
        };
        let expiries: Vec<_> = keys.filter_map(expiry).collect();
        self.metrics.encode(expiries.iter().map(|(key, left)| (&**key, *left)))
    }

    /// The operators' API has no route yet, but its door already tells who may come in.
    fn api(&self, presented: Option<&str>) -> Answer {
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

fn not_found() -> Answer {
    let why = "this listener has `/healthz`, `/readyz` and `/metrics`";
    refuse(StatusCode::NOT_FOUND, "not_found", why)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": code, "param": null}});
    respond(status, "application/json", body.to_string().into_bytes())
}

fn text(status: StatusCode, text: &str) -> Answer {
    respond(status, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}
