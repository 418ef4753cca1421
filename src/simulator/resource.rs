//! One simulated resource: the order in which a request is judged, and its deployments.
//! What an operation answers is left to the operation's file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use http::{HeaderMap, request};
use serde_json::{Map, Value};

use super::answer::{Answer, Content, Reply};
use super::auth;
use super::body;
use super::chat;
use super::chat_request::ChatRequest;
use super::claude::MessagesRequest;
use super::completions::CompletionRequest;
use super::embeddings::EmbeddingRequest;
use super::errors::Refusal;
use super::faults::Oddities;
use super::files::FileStore;
use super::form::{self, File};
use super::identity::Identity;
use super::media::{self, Media};
use super::models;
use super::quota::{Exceeded, Quota};
use super::responses::{self, ResponseRequest, Store};
use super::routes::{self, Operation, Responses, Route, Surface};
use super::settings::{Deployment, Kind, Settings};
use super::videos::VideoStore;
use crate::base::locks::{self, lock};

/// A resource: keys and deployments.
#[derive(Debug)]
pub struct Resource {
    keys: Vec<String>,
    identity: Arc<Identity>,
    deployments: RwLock<BTreeMap<String, Arc<Deployed>>>,
    responses: Store,
    files: FileStore,
    videos: VideoStore,
}

/// A deployment and what is left of its limits.
#[derive(Debug)]
struct Deployed {
    deployment: Deployment,
    quota: Mutex<Quota>,
}

/// A request that was read to its end.
pub struct Asked<'a> {
    head: &'a request::Parts,
    route: Result<Route, Refusal>,
    body: Result<Map<String, Value>, Refusal>,
    files: Vec<File>,
    deployment: Option<String>,
}

/// What an operation gets to see.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub deployment: &'a Deployment,
    pub surface: &'a Surface,
    pub body: &'a Map<String, Value>,
    pub headers: &'a HeaderMap,
    pub oddities: Oddities,
    /// The length that `x-sim-tokens` asks for.
    pub tokens: Option<usize>,
}

impl<'a> Asked<'a> {
    pub fn new(head: &'a request::Parts, bytes: &[u8]) -> Self {
        let route = routes::find(&head.method, head.uri.path(), head.uri.query());
        let (body, files) = form::read(&head.headers, bytes);
        let in_body = || body.as_ref().ok()?.get("model")?.as_str().map(str::to_owned);
        let deployment = routes::deployment_in_path(head.uri.path()).or_else(in_body);
        Self { head, route, body, files, deployment }
    }

    /// The deployment that the request names, whether or not it exists.
    pub fn deployment(&self) -> Option<&str> {
        self.deployment.as_deref()
    }

    /// A number in one of the simulator's own headers.
    fn own_number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.head.headers.get(name) else { return Ok(None) };
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        number.map(Some).ok_or_else(|| Refusal::of_simulator(&format!("header `{name}` must be a whole number")))
    }
}

impl Resource {
    pub fn new(settings: &Settings, identity: Arc<Identity>) -> Self {
        let resource = Self {
            keys: settings.keys.clone(),
            identity,
            deployments: RwLock::default(),
            responses: Store::default(),
            files: FileStore::default(),
            videos: VideoStore::default(),
        };
        settings.deployments.iter().cloned().for_each(|deployment| resource.add_deployment(deployment));
        resource
    }

    pub fn add_deployment(&self, deployment: Deployment) {
        let quota = Quota::new(deployment.requests_per_minute, deployment.tokens_per_minute, Instant::now());
        let deployed = Deployed { deployment, quota: Mutex::new(quota) };
        let name = deployed.deployment.name.clone();
        self.write().insert(name, Arc::new(deployed));
    }

    pub fn remove_deployment(&self, name: &str) -> bool {
        self.write().remove(name).is_some()
    }

    pub fn deployments(&self) -> Vec<Deployment> {
        let deployments = locks::read(&self.deployments);
        deployments.values().map(|deployed| deployed.deployment.clone()).collect()
    }

    /// Judges and answers a request.
    pub fn answer(&self, asked: &Asked<'_>, oddities: Oddities) -> Answer {
        self.judge(asked, oddities).unwrap_or_else(|refusal| Answer::refused(refusal, None))
    }

    fn judge(&self, asked: &Asked<'_>, oddities: Oddities) -> Result<Answer, Refusal> {
        let route = asked.route.as_ref().map_err(Clone::clone)?;
        auth::check(&asked.head.headers, &route.surface, &self.keys, &self.identity)?;
        match &route.operation {
            Operation::Models => return Ok(Answer::json(200, models::list(&self.deployments()))),
            Operation::Model(id) => {
                let model = models::one(&self.deployments(), id).ok_or_else(|| Refusal::model_not_found(id))?;
                return Ok(Answer::json(200, model));
            }
            Operation::Files(what) => {
                let empty = Map::new();
                let body = asked.body.as_ref().unwrap_or(&empty);
                let exists = |name: &str| self.deployments().iter().any(|deployment| deployment.name == name);
                return self.files.answer(what, asked.head, body, &asked.files, exists);
            }
            Operation::Videos(what)
                if let Some(answer) =
                    self.videos.stored(what, &asked.head.headers, asked.head.uri.query().unwrap_or_default())? =>
            {
                return Ok(answer);
            }
            Operation::Responses(kept) if let Some(answer) = self.stored(kept, asked.head.uri.query())? => {
                return Ok(answer);
            }
            _ => {}
        }
        let tokens = asked.own_number("x-sim-tokens")?.and_then(|number| usize::try_from(number).ok());
        let interval = asked.own_number("x-sim-event-interval-ms")?.map(Duration::from_millis);
        let deployed = self.deployed(asked, &route.surface)?;
        let answer = body_and_kind(asked, &deployed.deployment, &route.operation).and_then(|body| {
            let (deployment, surface, headers) = (&deployed.deployment, &route.surface, &asked.head.headers);
            let call = Call { deployment, surface, body, headers, oddities, tokens };
            match &route.operation {
                Operation::Videos(_) => {
                    deployed.admit(1, &call, &route.operation)?;
                    self.videos.create(&call)
                }
                operation => deployed.operate(&call, operation, &asked.files, &self.responses),
            }
        });
        let standing = deployed.quota().standing();
        let mut answer = match answer {
            Ok(reply) => Answer::of_deployment(reply, &deployed.deployment, standing),
            Err(refusal) => Answer::refused(refusal, Some((&deployed.deployment, standing))),
        };
        if let (Content::Events(events), Some(interval)) = (&mut answer.content, interval) {
            events.interval = interval;
        }
        Ok(answer)
    }

    /// The answer about a response that is kept; `None` for operations that a deployment has to do with.
    fn stored(&self, what: &Responses, query: Option<&str>) -> Result<Option<Answer>, Refusal> {
        let value = |name: &str| {
            let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next_back()
        };
        let found = match what {
            Responses::Create | Responses::Compact | Responses::InputTokens => return Ok(None),
            Responses::Retrieve(id) if value("stream").as_deref() == Some("true") => {
                let after = value("starting_after").and_then(|after| after.parse::<usize>().ok());
                let events = self.responses.find(id)?.events;
                let events = events.into_iter().skip(after.map_or(0, |after| after + 1)).collect();
                return Ok(Some(Answer::stored_events(events)));
            }
            Responses::Retrieve(id) => self.responses.retrieve(id)?,
            Responses::Delete(id) => self.responses.delete(id)?,
            Responses::Cancel(id) => self.responses.cancel(id)?,
            Responses::InputItems(id) => {
                let limit = value("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
                self.responses.input_items(id, limit, value("after").as_deref())?
            }
        };
        Ok(Some(Answer::json(200, found.to_string())))
    }

    fn deployed(&self, asked: &Asked<'_>, surface: &Surface) -> Result<Arc<Deployed>, Refusal> {
        if matches!(surface, Surface::V1 | Surface::Claude | Surface::Classic { deployment: None, .. }) {
            let body = asked.body.as_ref().map_err(Clone::clone)?;
            body::Fields::of_body(body).text("model")?;
        }
        let name = asked.deployment();
        let name = name.ok_or_else(|| Refusal::invalid("you must provide a model parameter", None, None))?;
        let deployments = locks::read(&self.deployments);
        deployments.get(name).cloned().ok_or_else(Refusal::deployment_not_found)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Deployed>>> {
        locks::write(&self.deployments)
    }
}

impl Deployed {
    fn operate(&self, call: &Call<'_>, operation: &Operation, files: &[File], store: &Store) -> Result<Reply, Refusal> {
        match operation {
            Operation::Chat => {
                let request = ChatRequest::read(call)?;
                self.admit(request.cost(), call, operation)?;
                chat::answer(&request)
            }
            Operation::Completions => {
                let request = CompletionRequest::read(call)?;
                self.admit(request.cost(), call, operation)?;
                request.answer()
            }
            Operation::Embeddings => {
                let request = EmbeddingRequest::read(call)?;
                self.admit(request.cost(), call, operation)?;
                Ok(request.answer())
            }
            Operation::Messages => {
                let request = MessagesRequest::read(call)?;
                self.admit(request.cost(), call, operation)?;
                Ok(request.answer())
            }
            Operation::Responses(what) => {
                let request = ResponseRequest::read(call, store)?;
                match what {
                    Responses::InputTokens => return Ok(request.count()),
                    Responses::Compact => self.admit(request.cost(), call, operation)?,
                    // Azure has answered 200 before it looks at the limits.
                    _ if request.streams && self.admit(request.cost(), call, operation).is_err() => {
                        return Ok(Reply::Responses(responses::throttled_events()));
                    }
                    _ if request.streams => {}
                    _ => self.admit(request.cost(), call, operation)?,
                }
                Ok(if *what == Responses::Compact { request.compacted() } else { request.answer() })
            }
            Operation::Media(what) => {
                self.admit(1, call, operation)?;
                media::answer(*what, call, files)
            }
            Operation::CountTokens => Ok(MessagesRequest::counted(call)?.count()),
            Operation::Models | Operation::Model(_) | Operation::Files(_) | Operation::Videos(_) => {
                Err(Refusal::resource_not_found())
            }
        }
    }

    fn admit(&self, cost: usize, call: &Call<'_>, operation: &Operation) -> Result<(), Refusal> {
        let admitted = self.quota().admit(cost as u64, Instant::now());
        let (what, wait) = match admitted {
            Ok(()) => return Ok(()),
            Err(Exceeded::Calls(wait)) => ("call", wait),
            Err(Exceeded::Tokens(wait)) => ("token", wait),
        };
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        Err(Refusal::throttled(what, operation.limit_name(), call.surface.version(), wait_ms))
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        lock(&self.quota)
    }
}

fn body_and_kind<'a>(
    asked: &'a Asked<'_>,
    deployment: &Deployment,
    operation: &Operation,
) -> Result<&'a Map<String, Value>, Refusal> {
    let wanted = match operation {
        Operation::Completions => Kind::Completion,
        Operation::Embeddings => Kind::Embedding,
        Operation::Messages | Operation::CountTokens => Kind::Messages,
        Operation::Media(Media::Images | Media::ImageEdits) => Kind::Image,
        Operation::Media(Media::Transcription | Media::Translation) => Kind::Transcription,
        Operation::Media(Media::Speech) => Kind::Speech,
        Operation::Videos(_) => Kind::Video,
        _ => Kind::Chat,
    };
    if (deployment.kind == Kind::Messages) != (wanted == Kind::Messages) {
        return Err(Refusal::api_not_supported());
    }
    if deployment.kind != wanted {
        return Err(Refusal::operation_not_supported(operation.model_name(), &deployment.name));
    }
    asked.body.as_ref().map_err(Clone::clone)
}
