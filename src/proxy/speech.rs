//! What is spoken on each side of the gateway. Where caller and upstream differ, requests are translated here, and their
//! answers are read by what comes of that.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::exchange::{Candidate, Plan, Received};
use super::refuse::Refusal;
use crate::azure::Addressing;
use crate::catalog::{Api, Family};
use crate::dialect::Operation;
use crate::dialect::translate::{self, Host, Presented, Protocol, Target, Translated};
use crate::provider::Service;

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

/// The family of a candidate's model: everything at Anthropic is Claude.
pub fn family(candidate: &Candidate) -> Family {
    match candidate.provider.service {
        Service::Anthropic => Family::Anthropic,
        Service::Azure | Service::OpenAi => candidate.deployment.family,
    }
}

/// What a candidate is to be spoken to for an operation of that protocol.
pub fn of_upstream(caller: Protocol, candidate: &Candidate) -> Protocol {
    match (caller, family(candidate), candidate.deployment.api) {
        (_, Family::Anthropic, _) => Protocol::Messages,
        (Protocol::Chat, Family::OpenAi, _) | (_, Family::OpenAi, Api::Chat) => Protocol::Chat,
        (_, Family::OpenAi, Api::Responses) => Protocol::Responses,
    }
}

/// The request in the candidate's protocol; `None` when it is the caller's own.
pub async fn translate(
    received: &Received,
    operation: Operation,
    plan: &Plan,
    candidate: &Candidate,
) -> Result<Option<Translated>, Refusal> {
    let Some(caller) = of_caller(operation) else { return Ok(None) };
    let upstream = of_upstream(caller, candidate);
    if caller == upstream {
        return Ok(None);
    }
    let body = plan.body.whole().await.map_err(Refusal::no_room)?;
    let (model, id, origin) = (plan.echo.clone().unwrap_or_default(), received.id.clone(), origin(candidate));
    let (deployment, name, host) = (candidate.deployment.name.clone(), plan.model().to_owned(), host(candidate));
    let wants_usage = plan.wants_usage;
    let length = body.len();
    let work = move || {
        let target = Target { deployment: &deployment, model: &name, origin: &origin, host };
        let now = Timestamp::now().as_second();
        let model = std::str::from_utf8(&model).unwrap_or("\"\"");
        let presented = Presented { model, request_id: &id, now, wants_usage };
        translate::request(caller, upstream, &body, &target, &presented)
    };
    let translated = if length < LARGE {
        work()
    } else {
        let working = tokio::task::spawn_blocking(work).await;
        working.map_err(|error| {
            Refusal::new(500, "internal_error", "the request could not be translated").because(error.to_string())
        })?
    };
    Ok(Some(translated?))
}

/// Stands for the resource that a candidate leads to, in what only that resource can read. It says nothing about it.
fn origin(candidate: &Candidate) -> String {
    let digest = Sha256::digest(candidate.key.host.authority.as_bytes());
    digest[..6].iter().map(|byte| format!("{byte:02x}")).collect()
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
