//! `azgate check --online`: asks each key's endpoint, and shows the step at which it fails.

use std::time::Instant;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::Failed;
use crate::azure::{self, credential::Failure};
use crate::config::{self, File};
use crate::provider::{self, Credential, KeyHeader, Service};
use crate::snapshot::{Key, Proof, Snapshot};
use crate::upstream::{Probed, Step, probe};

/// What became of one key.
pub(super) struct Tried {
    key: String,
    steps: Vec<Step>,
}

/// Tries every key, one after the other.
pub(super) fn run(file: &File) -> Result<Vec<Tried>, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed(error.to_string()))?;
    let snapshot: Snapshot = config::build(file, None);
    runtime.block_on(async {
        let mut tried = Vec::new();
        for provider in &snapshot.providers {
            for key in &provider.keys {
                let steps = try_key(key, provider.service).await;
                tried.push(Tried { key: format!("{}/{}", provider.name, key.name), steps });
            }
        }
        Ok(tried)
    })
}

async fn try_key(key: &Key, service: Service) -> Vec<Step> {
    let base = &key.host.endpoint.base_path;
    let (target, of_key) = match service {
        Service::Azure => (azure::models_target(base, &key.version), KeyHeader::OpenAi),
        Service::OpenAi => (provider::target(base, "models"), KeyHeader::OpenAi),
        Service::Anthropic => (provider::target(base, "models"), KeyHeader::Anthropic),
    };
    let mut proven = Vec::new();
    let credential = match credential(&key.proof, &mut proven).await {
        Ok(credential) => credential.map(|credential| credential.header(of_key)),
        Err(()) => return proven,
    };
    let mut headers: Vec<_> = key.headers.iter().cloned().chain(credential).collect();
    if service == Service::Anthropic {
        headers.push((HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01")));
    }
    let (steps, probed) = probe(&key.host, &target, &headers).await;
    proven.extend(steps);
    proven.extend(probed.as_ref().map(models));
    proven
}

/// What the key presents, and the steps to it: whether whoever issues tokens answers, and with what.
async fn credential(proof: &Proof, steps: &mut Vec<Step>) -> Result<Option<Credential>, ()> {
    let tokens = match proof {
        Proof::Nothing => return Ok(None),
        Proof::Fixed(credential) => return Ok(Some(credential.clone())),
        Proof::Token(tokens) => tokens,
    };
    let begun = Instant::now();
    let asked = tokens.ask().await;
    let mut note = |name, result| steps.push(Step { name, result, duration: begun.elapsed() });
    let shown = tokens.identity().shown();
    match asked {
        Err(failure @ (Failure::Setup(_) | Failure::Unreachable { .. })) => {
            note("identity", Err(format!("{shown}: {failure}")));
            Err(())
        }
        Err(failure) => {
            note("identity", Ok(shown));
            note("token", Err(failure.to_string()));
            Err(())
        }
        Ok(left) => {
            note("identity", Ok(shown));
            note("token", Ok(format!("good for {} s", left.as_secs())));
            tokens.get().await.map(|value| Some(Credential::Bearer(value))).map_err(drop)
        }
    }
}

/// What the list of models says of the credential.
fn models(probed: &Probed) -> Step {
    let document: Option<Value> = serde_json::from_slice(&probed.body).ok();
    let count = document.as_ref().and_then(|document| document["data"].as_array()).map(Vec::len);
    let message = document.as_ref().and_then(|document| document["error"]["message"].as_str());
    let result = match (probed.status.is_success(), count, message) {
        (true, Some(count), _) => Ok(format!("the credential is accepted; {count} models")),
        (_, _, Some(message)) => Err(format!("{}: {message}", probed.status)),
        _ => Err(format!("{}: not a list of models; is the endpoint right?", probed.status)),
    };
    Step { name: "models", result, duration: std::time::Duration::ZERO }
}

impl Tried {
    pub(super) fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.result.is_ok())
    }

    pub(super) fn json(&self) -> Value {
        let steps = self.steps.iter().map(|step| {
            let said = step.result.as_ref().unwrap_or_else(|why| why);
            json!({"step": step.name, "ok": step.result.is_ok(), "said": said, "duration_ms": step.duration.as_millis()})
        });
        json!({"key": self.key, "ok": self.is_good(), "steps": steps.collect::<Vec<_>>()})
    }

    pub(super) fn text(&self) -> String {
        let line = |step: &Step| {
            let (mark, said) = match &step.result {
                Ok(said) => ("ok    ", said),
                Err(why) => ("FAILED", why),
            };
            format!("  {mark} {:<8} {:>5} ms  {said}\n", step.name, step.duration.as_millis())
        };
        format!("\n{}\n{}", self.key, self.steps.iter().map(line).collect::<String>())
    }
}
