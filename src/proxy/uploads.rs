//! Stage 3 for what a resource is to keep: files, whole or in parts, and batches of the requests in them.

use std::sync::Arc;

use super::admit;
use super::exchange::{Caller, Plan, Target};
use super::objects::{self, Objects};
use super::plan::Asked;
use super::refuse::Refusal;
use crate::base::{KeySet, Label};
use crate::catalog::Resolved;
use crate::dialect::{Members, Operation, multipart};
use crate::governance::VirtualKey;
use crate::provider::Service;
use crate::snapshot::{Provider, Snapshot};

/// The purpose of a file whose lines are requests.
const BATCH: &str = "batch";

/// Different models that the lines of one file may name.
const MOST_MODELS: usize = 64;

/// Decides where a new file, upload or batch goes. A batch goes where its file is; a file of requests to keys that serve all of their
/// models; any other file, and an upload in parts, to one of the first provider's keys.
pub fn plan(operation: Operation, caller: &Caller, snapshot: &Snapshot, asked: Asked) -> Result<Plan, Refusal> {
    let Asked { body, members, form, objects, .. } = asked;
    let key = match caller {
        Caller::Virtual(key) => Some(key),
        Caller::Anonymous => None,
        Caller::Direct { .. } => return Err(Refusal::not_served(operation.name(), "azure")),
    };
    let mut label = snapshot.catalog.other().clone();
    let target = match &form {
        Some(form) if is_batch(&members)? => {
            let (target, found) = of_batch(form, key, snapshot)?;
            label = found;
            target
        }
        Some(_) => anywhere(caller, snapshot)?,
        None if operation == Operation::UploadCreate => match is_batch(&members)? {
            true => return Err(batch_in_parts()),
            false => anywhere(caller, snapshot)?,
        },
        None if objects.are_bound() => {
            let bound =
                (0..snapshot.providers.len()).find_map(|place| objects::target(place, caller, &objects, snapshot));
            bound.ok_or_else(|| objects::not_found("input_file_id"))?
        }
        None => {
            let message = "the field `input_file_id` is missing: it names the uploaded file of requests";
            return Err(Refusal::new(400, "bad_request", message).param("input_file_id"));
        }
    };
    Ok(Plan { model_label: label, members, form, body, ..Plan::about_object(vec![target], objects, snapshot) })
}

/// The models of the lines must be known before the file is with a resource, where any deployment could be named.
fn batch_in_parts() -> Refusal {
    let message = "a file of purpose `batch` is uploaded whole, with `POST /v1/files`: the models that its lines name are \
                   resolved and authorised there, and a part may end within a line";
    Refusal::new(400, "field_not_supported", message).param("purpose")
}

/// Whether requests are brought, to whichever of several purposes an upstream looks.
pub fn is_batch(members: &Members) -> Result<bool, Refusal> {
    if members.look_alikes("purpose").next().is_some() {
        let message = "a field is spelled like `purpose` but for the case of its letters; write it `purpose`";
        return Err(Refusal::new(400, "bad_request", message).param("purpose"));
    }
    let refuse = |message: String| Refusal::new(400, "bad_request", message).param("purpose");
    let mut purposes = members.all("purpose");
    let (purpose, None) = (purposes.next(), purposes.next()) else {
        return Err(refuse("the field `purpose` is there more than once".to_owned()));
    };
    let Some(purpose) = purpose else { return Ok(false) };
    // What decodes, trims or cuts a text could make another one of it.
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let Some(text) = purpose.as_str().filter(|text| plain(text)) else {
        return Err(refuse("the field `purpose` is no word of letters, digits, `-` and `_`".to_owned()));
    };
    match &*text {
        BATCH => Ok(true),
        like if like.eq_ignore_ascii_case(BATCH) => Err(refuse(format!("the purpose `{like}` is written `{BATCH}`"))),
        _ => Ok(false),
    }
}

/// The keys that serve every model that the lines name.
fn of_batch(
    form: &multipart::Form,
    caller: Option<&Arc<VirtualKey>>,
    snapshot: &Snapshot,
) -> Result<(Target, Label), Refusal> {
    let refuse = |message: String| Refusal::new(400, "bad_request", message).param("file");
    if form.only_file().is_none() {
        let message = "a form with the purpose `batch` must have exactly one file, with a file name, and no other part that \
                       could be taken for it";
        return Err(refuse(message.to_owned()));
    }
    if let Some(flaw) = form.flaw {
        return Err(refuse(flaw.to_string()));
    }
    let mut names: Vec<&str> = form.models.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > MOST_MODELS {
        return Err(refuse(format!(
            "the file names {} models; at most {MOST_MODELS} may be in one batch",
            names.len()
        )));
    }
    let mut found: Option<(Target, Label)> = None;
    for name in names {
        let Resolved { provider: place, model, mut keys, label } = snapshot.catalog.resolve(name)?;
        let provider = &snapshot.providers[place];
        if let Some(key) = caller {
            admit::permit(key, &provider.name, model)?;
            keys = key.among(place, keys);
        }
        match &mut found {
            None => found = Some((Target { model: model.to_owned(), ..Target::keeping(provider, place, keys) }, label)),
            Some((target, _)) if target.place == Some(place) => target.keys = target.keys.and(&keys),
            Some((target, _)) => target.keys = KeySet::default(),
        }
    }
    let (target, label) =
        found.ok_or_else(|| refuse("no line of the file names a model in `body.model`".to_owned()))?;
    if target.keys.is_empty() {
        let message = "no key that this caller may use serves all the models that the file's lines name";
        return Err(Refusal::new(404, "model_not_found", message).param("file"));
    }
    Ok((target, label))
}

/// The first provider that keeps files and that this caller may use.
fn anywhere(caller: &Caller, snapshot: &Snapshot) -> Result<Target, Refusal> {
    let keeps = |provider: &Provider| matches!(provider.service, Service::Azure | Service::OpenAi);
    let places = snapshot.providers.iter().enumerate().filter(|(_, provider)| keeps(provider));
    let mut targets = places.filter_map(|(place, _)| objects::target(place, caller, &Objects::default(), snapshot));
    targets.next().ok_or_else(objects::kept_nowhere)
}
