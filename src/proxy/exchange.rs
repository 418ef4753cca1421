//! The record of one request. Each part is made by exactly one stage and only read by later ones; a stage takes the
//! earlier parts as arguments, so having a `Plan` proves that the caller was admitted.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use crate::azure::ApiVersion;
use crate::base::{KeySet, Label};
use crate::catalog::{Catalog, Deployment};
use crate::dialect::multipart;
use crate::dialect::translate::Carried;
use crate::dialect::{Dialect, Members, Operation, Usage};
use crate::governance::{Demand, Kind, Price, Standing, VirtualKey, What};
use crate::pool::Session;
use crate::provider::Credential;
use crate::snapshot::{Key, Provider, Snapshot};

use super::body::Body;
use super::limits::Tab;
use super::objects::Objects;

/// Everything about one request, for the stages that end it. Only `proxy/mod.rs` looks into its options.
pub struct Exchange {
    pub snapshot: Arc<Snapshot>,
    pub started: Instant,
    pub received: Option<Received>,
    pub caller: Option<Caller>,
    pub plan: Option<Plan>,
    pub reserved: Option<Reserved>,
    pub tab: Tab,
    pub attempts: Vec<Attempt>,
    pub reply: Reply,
}

/// The request's head, understood.
#[derive(Debug)]
pub struct Received {
    /// The caller's own id where it is sane, else a fresh one.
    pub id: String,
    /// `None` when the path is no operation; the request is refused then.
    pub operation: Option<Operation>,
    /// The deployment in a classic path, decoded; it is resolved as a model name.
    pub path_model: Option<String>,
    /// An object's id in the path.
    pub item: Option<String>,
    /// The caller's own `api-version`, as it stands in the query.
    pub api_version: Option<String>,
    pub dialect: Dialect,
    pub address: Option<IpAddr>,
    /// The model that makes the images of a response, from the header that Azure has for it.
    pub image_model: Option<String>,
    /// The session that the caller's program names in a header.
    pub session: Option<String>,
    /// How often the caller's SDK has tried before (`x-stainless-retry-count`).
    pub retry_count: Option<u32>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    Virtual(Arc<VirtualKey>),
    /// Nobody in particular, where the configuration allows it.
    Anonymous,
    /// The bearer of a provider's own key, for the endpoint that came with it.
    Direct {
        credential: Credential,
        /// From a header; the body may name one too.
        endpoint: Option<String>,
    },
}

/// What is to be done: which keys may serve, and how the body is to be changed on the way.
#[derive(Debug)]
pub struct Plan {
    /// The model that was asked for, then those that may answer in its place.
    pub targets: Vec<Target>,
    pub model_label: Label,
    /// What the request belongs to, where that can be told.
    pub session: Option<Session>,
    /// The caller's own spelling as a JSON string, for the answer; `None` where it named no model.
    pub echo: Option<Bytes>,
    pub members: Members,
    pub stream: bool,
    /// The caller asked for the usage chunk of a stream.
    pub wants_usage: bool,
    /// The caller's `api-version` on a classic path.
    pub version: Option<ApiVersion>,
    /// What the request refers to of earlier ones.
    pub objects: Objects,
    /// Reasoning that was packed here, which a model of the caller's own dialect must not be shown.
    pub carried: Vec<Carried>,
    /// The form that the body is, where it is one.
    pub form: Option<multipart::Form>,
    /// Until the caller sees an answer.
    pub body: Body,
}

/// One model that may answer, and the keys that serve it to this caller.
#[derive(Debug)]
pub struct Target {
    pub provider: Arc<Provider>,
    /// Where the provider stands in the catalog; `None` for a caller's own endpoint.
    pub place: Option<usize>,
    pub keys: KeySet,
    /// Those of them that can read the reasoning which the request carries: the others serve without it.
    pub knowing: KeySet,
    /// The model's name without a provider's prefix.
    pub model: String,
    /// The deployment that the body named outright.
    pub deployment: Option<String>,
}

/// What the limits said before the first attempt; what was taken from them is on the [`Tab`].
#[derive(Debug)]
pub struct Reserved {
    pub demand: Demand,
    /// What the caller is told of his limits.
    pub standing: Standing,
}

/// One key and what the model is called there.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub provider: Arc<Provider>,
    /// Of the key within its provider.
    pub index: usize,
    pub key: Arc<Key>,
    pub deployment: Deployment,
    /// `None` when nobody knows what the model costs.
    pub price: Option<Price>,
}

/// One request that was sent to an upstream, or could not be.
#[derive(Debug)]
pub struct Attempt {
    pub candidate: Candidate,
    pub outcome: &'static str,
    pub duration: Duration,
    /// `apim-request-id` of the answer, for the maker's support.
    pub upstream_id: Option<String>,
}

/// What the caller was told.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: Option<StatusCode>,
    /// The limit that kept the request out.
    pub exceeded: Option<(What, Kind)>,
    /// Code of the gateway's own error.
    pub code: Option<&'static str>,
    /// What is only for the log.
    pub cause: Option<String>,
    pub stream: bool,
    pub usage: Option<Usage>,
    /// The model, as the upstream calls it, where the usage is that of an earlier request in the background.
    pub made_by: Option<String>,
    /// The usage was not reported, but reckoned from what was seen.
    pub usage_estimated: bool,
    pub bytes_in: u64,
    /// Estimated from the request's bytes.
    pub prompt_tokens: u64,
    /// Pieces of earlier reasoning that did not go to the upstream, which could not have read them.
    pub dropped_reasoning: usize,
    pub bytes_out: u64,
    pub first_event: Option<Duration>,
    /// Time spent waiting for the caller or an upstream.
    pub waited: Duration,
    pub caller_left: bool,
    /// Why a stream did not end as its upstream promised.
    pub stream_failure: Option<&'static str>,
}

impl Received {
    /// The operation's stable name, for metrics and the log.
    pub fn operation_name(&self) -> &'static str {
        self.operation.map_or("none", Operation::name)
    }
}

impl Plan {
    /// For a request about a stored object, which names no model and brings no body.
    pub fn about_object(targets: Vec<Target>, objects: Objects, snapshot: &Snapshot) -> Self {
        Self {
            targets,
            model_label: snapshot.catalog.other().clone(),
            session: None,
            echo: None,
            members: Members::default(),
            stream: false,
            wants_usage: false,
            version: None,
            objects,
            carried: Vec::new(),
            form: None,
            body: Body::default(),
        }
    }

    /// The model that was asked for.
    pub fn model(&self) -> &str {
        self.targets.first().map_or("", |target| &target.model)
    }
}

impl Target {
    /// Keys that are asked for what their resources keep: no model has a part in that.
    pub fn keeping(provider: &Arc<Provider>, place: usize, keys: KeySet) -> Self {
        Self {
            provider: Arc::clone(provider),
            place: Some(place),
            keys,
            knowing: KeySet::default(),
            model: String::new(),
            deployment: None,
        }
    }

    /// What the model is called on a key.
    pub fn deployment(&self, key: usize, catalog: &Catalog) -> Deployment {
        let Self { model, deployment, place, .. } = self;
        let Some(place) = *place else { return Deployment::literal(model) };
        let outright = deployment.as_ref().and_then(|name| catalog.offered(place, key, name));
        outright.unwrap_or_else(|| catalog.deployment(place, key, model))
    }
}

impl Exchange {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
            received: None,
            caller: None,
            plan: None,
            reserved: None,
            tab: Tab::default(),
            attempts: Vec::new(),
            reply: Reply::default(),
        }
    }
}

impl Reply {
    /// Runs a future and counts the time as waiting for which it was not ready. What it does at once is the gateway's own
    /// work, and most writes are done at once: looking at the clock would cost more than they do.
    pub async fn waiting<F: Future + Unpin>(&mut self, mut future: F) -> F::Output {
        let mut begun = None;
        let poll = |context: &mut Context<'_>| {
            let polled = Pin::new(&mut future).poll(context);
            if polled.is_pending() {
                begun.get_or_insert_with(Instant::now);
            }
            polled
        };
        let output = poll_fn(poll).await;
        self.waited += begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        output
    }
}
