//! The data path: the order of a request, said once.
//!
//! A request takes the configuration in force. Then: `receive` head, `admit`, `local` or `receive` body, `plan`, `limits`
//! reserve, the `lane` with `pick`, `send`, `judge`, `relay`, and at last `settle`. `refuse` turns an error of any stage
//! into an answer.
//!
//! All operations run in the exchange lane: the request is read whole, and the upstream is asked over Pingora's connection
//! pools. Pingora's own proxying is not used: a body that a filter has read is lost to it past 64 KiB, and it sends an
//! answer's head before anyone can judge the answer. Nor is its proxy service, whose future has room for all of that:
//! 17 KiB for each connection, moved twice for each request.

mod admit;
mod ask;
mod body;
pub mod connection;
mod direct;
mod exchange;
mod fetch;
mod foreign;
mod form;
pub mod framing;
mod head;
mod judge;
mod lane;
mod limits;
mod lists;
mod local;
mod location;
mod names;
mod objects;
mod pick;
mod plan;
mod prove;
mod reading;
mod receive;
mod refuse;
mod relay;
mod send;
mod session;
mod settle;
mod speech;
mod stream;
mod uploads;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::CONTENT_TYPE;
use pingora::protocols::http::ServerSession;
use prometheus::IntGauge;

use crate::dialect::Operation;
use crate::governance::Standing;
use crate::routing::RetryBudget;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::upstream::Connections;
use exchange::{Caller, Exchange, Plan, Received, Reply};
use form::Form;
use lane::Lane;
use refuse::{Refusal, Stop};
use settle::Labels;

/// No limit of Pingora's on the time between two requests: `server::patience` has one.
const KEEP_ALIVE: u64 = 0;

/// How long the end of an answer that is cut may take.
const CLOSING: Duration = Duration::from_secs(5);

/// The proxy service.
pub struct Gateway {
    snapshot: Arc<ArcSwap<Snapshot>>,
    connections: Connections,
    metrics: Arc<Metrics>,
    labels: Labels,
    budget: RetryBudget,
}

/// Counts a request for as long as it lives, however it ends.
struct Active(IntGauge);

impl Gateway {
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, connections: Connections, metrics: Arc<Metrics>) -> Self {
        let labels = Labels::new(Operation::ALL.iter().map(|operation| operation.name()));
        Self { snapshot, connections, metrics, labels, budget: RetryBudget::default() }
    }

    /// Answers the request whose head the session has read. Whether the session can go on to another.
    pub async fn answer(&self, session: &mut ServerSession) -> bool {
        let _active = Active::new(&self.metrics.requests_active);
        let mut exchange = Exchange::new(self.snapshot.load_full());
        // Where the connection is to close it stays so: an HTTP/1.0 caller, two framings at once, a process that ends.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(KEEP_ALIVE));
        }
        // Otherwise the next request of a caller who pipelines would abort the one in progress.
        session.set_pipelining_enabled(true);
        let whole = self.answered(session, &mut exchange).await;
        settle::settle(&mut exchange, &self.labels, &self.metrics).await;
        whole
    }

    /// Whether the answer was whole; it is closed otherwise.
    async fn answered(&self, session: &mut ServerSession, exchange: &mut Exchange) -> bool {
        let mut served = self.serve(session, exchange).await;
        exchange.reply.caller_left = matches!(served, Err(Stop::CallerLeft));
        // Whatever the caller is still to see of the end, it may ask again when it has.
        exchange.tab.settle(&exchange.attempts, &exchange.reply, &exchange.snapshot).await;
        if let (Err(Stop::Refused(_)), Some(received)) = (&served, &exchange.received)
            && let Err(Stop::Refused(refusal)) = served
        {
            served = refuse::answer(session, received, *refusal, &mut exchange.reply).await;
        }
        match served {
            Ok(()) => {}
            Err(Stop::CallerLeft) => exchange.reply.caller_left = true,
            Err(Stop::Cut | Stop::Refused(_) | Stop::Rejected { .. }) => {
                // Closing flushes first, which a caller who reads nothing would hold up for ever.
                let _ = tokio::time::timeout(CLOSING, session.shutdown()).await;
            }
        }
        served.is_ok()
    }

    /// The request from its head to the last byte of its answer.
    async fn serve(&self, session: &mut ServerSession, exchange: &mut Exchange) -> Result<(), Stop> {
        let snapshot = Arc::clone(&exchange.snapshot);
        let (received, unrouted) = receive::head(session, &snapshot.trusted_proxies);
        let received = &*exchange.received.insert(received);
        framing::check(session)?;
        if let Some(refusal) = unrouted {
            return Err(refusal.into());
        }
        let operation = received.operation.ok_or_else(|| Refusal::unsupported("unknown"))?;
        if let Some(document) = local::open(operation) {
            return local::send(session, received, (&document, Standing::default()), &mut exchange.reply).await;
        }
        let caller = &*exchange.caller.insert(admit::identify(session.req_header(), received, &snapshot)?);
        let query = session.req_header().uri.query().unwrap_or_default();
        if let Some(document) = local::answer(received, operation, query, caller, &snapshot)? {
            return local::send(session, received, (&document, Standing::default()), &mut exchange.reply).await;
        }
        let (plan, form) = planned(session, operation, received, caller, &snapshot, &mut exchange.reply).await?;
        let plan = exchange.plan.insert(plan);
        let (prompt, tab) = (exchange.reply.prompt_tokens, &mut exchange.tab);
        let reserved = limits::reserve(operation, caller, plan, &snapshot, prompt, tab).await?;
        if let Some(document) = local::count(operation, plan, &snapshot).await? {
            exchange.tab.settle_here(&snapshot.governor.clock).await;
            return local::send(session, received, (&document, reserved.standing), &mut exchange.reply).await;
        }
        let reserved = &*exchange.reserved.insert(reserved);
        let query = session.req_header().uri.query().filter(|_| Form::is_list(operation)).map(str::to_owned);
        let mut lane = Lane {
            session,
            connections: &self.connections,
            metrics: &self.metrics,
            snapshot: &snapshot,
            received,
            form,
            caller,
            plan,
            reserved,
            budget: &self.budget,
            started: exchange.started,
            tab,
            attempts: &mut exchange.attempts,
            reply: &mut exchange.reply,
        };
        if Form::is_list(operation) && !matches!(caller, Caller::Direct { .. }) {
            let page = lists::page(&mut lane, operation, &query.unwrap_or_default()).await?;
            lane.tab.settle(lane.attempts, lane.reply, &snapshot).await;
            return local::send_text(lane.session, received, (page, reserved.standing), lane.reply).await;
        }
        lane.run().await
    }
}

/// What is to be done, once the body is there.
async fn planned(
    session: &mut ServerSession,
    operation: Operation,
    received: &Received,
    caller: &Caller,
    snapshot: &Snapshot,
    reply: &mut Reply,
) -> Result<(Plan, Form), Stop> {
    let query = session.req_header().uri.query().unwrap_or_default();
    if Form::is_about_object(operation) {
        let (mut plan, form) = objects::plan(operation, received, query, caller, snapshot)?;
        if Form::brings_more(operation) {
            let reading = reading::Request::new(operation, content_type(session))?;
            let (body, noted) = receive::body(session, snapshot.largest_body, reading, reply).await?;
            plan.objects.refer(noted.references)?;
            plan = Plan { members: noted.members, form: noted.form, body, ..plan };
        } else {
            receive::no_body(session, reply).await?;
        }
        return Ok((plan, form));
    }
    if Form::is_list(operation) {
        let planned = lists::plan(operation, query, caller, snapshot)?;
        receive::no_body(session, reply).await?;
        return Ok(planned);
    }
    let form = Form::of_model(operation).ok_or_else(|| Refusal::not_served(operation.name(), "azure"))?;
    let form = form.asked_with(query);
    let reading = reading::Request::new(operation, content_type(session))?;
    let (body, noted) = receive::body(session, snapshot.largest_body, reading, reply).await?;
    let carried = match noted.suspects {
        Some(protocol) => speech::carried(protocol, &body).await?,
        None => Vec::new(),
    };
    let asked = plan::Asked::by(caller, snapshot, body, (noted, carried))?;
    let plan = match Form::stores(operation) {
        true => uploads::plan(operation, caller, snapshot, asked)?,
        false => plan::make(received, caller, snapshot, asked)?,
    };
    Ok((plan, form))
}

fn content_type(session: &ServerSession) -> &str {
    session.get_header(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

impl Active {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}
