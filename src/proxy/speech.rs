//! What is spoken on each side of the gateway. Where caller and upstream differ, requests are translated here, and their
//! answers are read by what comes of that.

use bytes::Bytes;
use jiff::Timestamp;

use super::body::Body;
use super::exchange::{Candidate, Plan, Received, Target as Wanted};
use super::refuse::Refusal;
use crate::azure::Addressing;
use crate::base::KeySet;
use crate::catalog::{Api, Deployment, Family};
use crate::dialect::Operation;
use crate::dialect::translate::{self, Carried, Host, Presented, Protocol, Recall, Target, Translated};
use crate::objects::Origin;
use crate::provider::Service;
use crate::snapshot::Snapshot;

/// From this size on a body is translated beside the event loop.
const LARGE: usize = 256 * 1024;

/// The protocol of an operation, where it has one that others are translated into.
pub fn of_caller(operation: Operation) -> Option<Protocol> {
    match operation {
        Operation::ChatCompletions => Some(Protocol::Chat),
        Operation::Responses => Some(Protocol::Responses),
        Operation::Messages => Some(Protocol::Messages),
        _ => None,
    }
}

/// The protocol that the body of an operation is in, as far as earlier turns of a conversation are in it.
pub fn of_body(operation: Operation) -> Option<Protocol> {
    match operation {
        Operation::CountTokens => Some(Protocol::Messages),
        Operation::ResponsesCompact | Operation::ResponseInputTokens => Some(Protocol::Responses),
        operation => of_caller(operation),
    }
}

/// The family of a candidate's model.
pub fn family(candidate: &Candidate) -> Family {
    family_at(candidate.provider.service, &candidate.deployment)
}

/// Everything at Anthropic is Claude.
fn family_at(service: Service, deployment: &Deployment) -> Family {
    match service {
        Service::Anthropic => Family::Anthropic,
        Service::Azure | Service::OpenAi => deployment.family,
    }
}

/// What a deployment is to be spoken to for an operation of that protocol.
pub fn of_upstream(caller: Protocol, service: Service, deployment: &Deployment) -> Protocol {
    match (caller, family_at(service, deployment), deployment.api) {
        (_, Family::Anthropic, _) => Protocol::Messages,
        (Protocol::Chat, Family::OpenAi, _) | (_, Family::OpenAi, Api::Chat) => Protocol::Chat,
        (_, Family::OpenAi, Api::Responses) => Protocol::Responses,
    }
}

/// Whether a key of a target is spoken to in another protocol than the caller's.
pub fn is_foreign(operation: Option<Operation>, target: &Wanted, key: usize, snapshot: &Snapshot) -> bool {
    let upstream = |caller| of_upstream(caller, target.provider.service, &target.deployment(key, &snapshot.catalog));
    operation.and_then(of_caller).is_some_and(|caller| caller != upstream(caller))
}

/// The reasoning in a body that was packed here for a caller of another dialect than its maker's.
pub async fn carried(protocol: Protocol, body: &Body) -> Result<Vec<Carried>, Refusal> {
    let text = body.whole().await.map_err(Refusal::no_room)?;
    beside_if_large(text, move |text| translate::carried(protocol, text)).await
}

/// The keys of a target whose resource made the newest reasoning that the request carries, and that would be told it.
pub fn knowing(operation: Option<Operation>, carried: &[Carried], target: &Wanted, snapshot: &Snapshot) -> KeySet {
    let origin = carried.iter().rev().find_map(|carried| Origin::named(carried.origin.as_deref()?));
    let (Some(origin), Some(caller)) = (origin, operation.and_then(of_caller)) else { return KeySet::default() };
    let knows = |key: &usize| {
        let deployment = || target.deployment(*key, &snapshot.catalog);
        target.provider.keys[*key].origin == origin
            && of_upstream(caller, target.provider.service, &deployment()) == Protocol::Responses
    };
    target.keys.iter().filter(knows).collect()
}

/// The request in the candidate's protocol; `None` when it is the caller's own.
pub async fn translate(
    (received, operation): (&Received, Operation),
    plan: &Plan,
    prompt_tokens: u64,
    candidate: &Candidate,
    recall: Recall,
) -> Result<Option<Translated>, Refusal> {
    let Some(caller) = of_caller(operation) else { return Ok(None) };
    let upstream = of_upstream(caller, candidate.provider.service, &candidate.deployment);
    if caller == upstream {
        return Ok(None);
    }
    let body = plan.body.whole().await.map_err(Refusal::no_room)?;
    let (model, id) = (plan.echo.clone().unwrap_or_default(), received.id.clone());
    let (deployment, name, host) = (candidate.deployment.name.clone(), plan.model().to_owned(), host(candidate));
    let (origin, session) = (candidate.key.origin.name(), received.session.clone());
    let wants_usage = plan.wants_usage;
    let work = move |body: &[u8]| {
        let target = Target { deployment: &deployment, model: &name, origin: &origin, recall, host };
        let now = Timestamp::now().as_second();
        let model = std::str::from_utf8(&model).unwrap_or("\"\"");
        let session = session.as_deref();
        let presented = Presented { model, request_id: &id, now, wants_usage, prompt_tokens, session };
        translate::request(caller, upstream, body, &target, &presented)
    };
    Ok(Some(beside_if_large(body, work).await??))
}

/// Works on a body, beside the event loop where that takes long.
async fn beside_if_large<T: Send + 'static>(
    body: Bytes,
    work: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, Refusal> {
    if body.len() < LARGE {
        return Ok(work(&body));
    }
    let working = tokio::task::spawn_blocking(move || work(&body)).await;
    working.map_err(|error| {
        Refusal::new(500, "internal_error", "the request could not be translated").because(error.to_string())
    })
}

fn host(candidate: &Candidate) -> Host {
    let version = &candidate.key.version;
    match (candidate.provider.service, family(candidate)) {
        (Service::OpenAi | Service::Anthropic, _) => Host::Maker,
        (Service::Azure, Family::Anthropic) => Host::Azure,
        (Service::Azure, Family::OpenAi) if version.addressing() == Addressing::V1 => Host::Maker,
        (Service::Azure, Family::OpenAi) if version.has_stream_options() => Host::Azure,
        (Service::Azure, Family::OpenAi) => Host::OldAzure,
    }
}
