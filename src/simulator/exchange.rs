//! One exchange: record the request, find its fault, let the resource answer, and hand hyper a head and a body.
//! What Azure would answer is left to `resource`, what a fault replaces to `distort`, how bytes break to `wire`.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::answer::Answer;
use super::auth;
use super::control;
use super::distort;
use super::errors::Refusal;
use super::faults::{self, BeforeHead, Fault, Reading};
use super::flow::Flow;
use super::identity::Identity;
use super::line::{Cut, Line};
use super::record::{Entry, Outcome};
use super::resource::Asked;
use super::routes;
use super::script::Seen;
use super::simulation::Simulation;

/// The fault of a request, as far as its head tells.
enum Found {
    /// By the header or by the script; None is final too.
    Decided(Option<Fault>),
    /// A rule of the script asks for the deployment, which stands in the body.
    AfterBody,
}

/// Answers one request.
pub async fn serve(
    simulation: Arc<Simulation>,
    line: Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<Flow>, Infallible> {
    let (head, body) = request.into_parts();
    if let Some(path) = head.uri.path().strip_prefix("/_sim/") {
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let answer = control::answer(&simulation, &head.method, path, &body);
        return Ok(distort::plain(answer, line));
    }
    let entry = simulation.log.open(&head, Arc::clone(&line));
    Ok(answer(&simulation, line, &head, body, entry).await)
}

async fn answer(
    simulation: &Simulation,
    line: Arc<Line>,
    head: &request::Parts,
    body: Incoming,
    mut entry: Entry,
) -> Response<Flow> {
    let found = match find_fault(simulation, head) {
        Ok(found) => found,
        Err(refusal) => {
            let answer = Answer::refused(refusal, None);
            return distort::respond(answer, &Fault::default(), head.version, line, entry);
        }
    };
    if let Found::Decided(Some(fault)) = &found
        && fault.reading == Reading::AnswerEarly
    {
        let answer = distort::early(head, fault);
        wait_for_head(fault, &line, &mut entry).await;
        return distort::respond(answer, fault, head.version, line, entry);
    }
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        entry.finish(Outcome::CallerLeft);
        return Response::new(Flow::unrecorded(Bytes::new(), line));
    };
    entry.body(&body);
    let asked = Asked::new(head, &body);
    entry.addressed(asked.deployment(), auth::presented(&head.headers));
    let fault = match found {
        Found::Decided(fault) => fault.unwrap_or_default(),
        Found::AfterBody => simulation.script_fault(&seen(head, asked.deployment())).unwrap_or_default(),
    };
    let answer = if Identity::owns(head.uri.path()) {
        token(simulation, head, &body, &fault)
    } else {
        simulation.resource.answer(&asked, fault.oddities)
    };
    let answer = distort::replaced(answer, &fault, head, &body);
    wait_for_head(&fault, &line, &mut entry).await;
    distort::respond(answer, &fault, head.version, line, entry)
}

/// The identity platform's answer; a failure that a fault asks for is in its words too.
fn token(simulation: &Simulation, head: &request::Parts, body: &[u8], fault: &Fault) -> Answer {
    match fault.status {
        Some(status) if status >= 400 => Identity::failed(status, fault.message.as_deref()),
        _ => simulation.identity.answer(head, body, &simulation.origin(head)),
    }
}

/// Does what a fault asks for in place of the head; returns when the head is due.
async fn wait_for_head(fault: &Fault, line: &Line, entry: &mut Entry) {
    if !fault.head_delay.is_zero() {
        tokio::time::sleep(fault.head_delay).await;
    }
    let Some(what) = fault.before_head else { return };
    match what {
        BeforeHead::Stall => {}
        BeforeHead::Reset => line.cut(Cut::Reset),
        BeforeHead::Close => line.cut(Cut::Close),
    }
    if what != BeforeHead::Stall {
        entry.finish(Outcome::Fault);
    }
    std::future::pending::<()>().await;
}

/// The fault of the header, else of the script as far as the head decides it.
fn find_fault(simulation: &Simulation, head: &request::Parts) -> Result<Found, Refusal> {
    let texts: Vec<&str> =
        head.headers.get_all("x-sim-fault").iter().map(|value| value.to_str().unwrap_or("?")).collect();
    if !texts.is_empty() {
        let explain = |error| Refusal::of_simulator(&format!("{error}. {}", faults::HELP));
        return Fault::parse(&texts.join(";")).map(|fault| Found::Decided(Some(fault))).map_err(explain);
    }
    let deployment = routes::deployment_in_path(head.uri.path());
    if deployment.is_none() && simulation.script_needs_deployment() {
        return Ok(Found::AfterBody);
    }
    Ok(Found::Decided(simulation.script_fault(&seen(head, deployment.as_deref()))))
}

fn seen<'a>(head: &'a request::Parts, deployment: Option<&'a str>) -> Seen<'a> {
    Seen { path: head.uri.path(), headers: &head.headers, deployment, key: auth::presented(&head.headers) }
}
