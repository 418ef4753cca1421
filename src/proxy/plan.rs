//! Stage 3: From the model's name to the keys that may serve it, for this caller.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::admit;
use super::body::Body;
use super::direct;
use super::exchange::{Caller, Plan, Received, Target};
use super::objects::{self, Objects};
use super::reading::Noted;
use super::refuse::Refusal;
use super::session;
use super::speech;
use crate::azure::{Addressing, ApiVersion};
use crate::base::{KeySet, Label};
use crate::catalog::Resolved;
use crate::dialect::translate::Carried;
use crate::dialect::{Member, Members, Operation, multipart};
use crate::governance::VirtualKey;
use crate::provider::Service;
use crate::snapshot::Snapshot;

/// Longest model or deployment name. Azure's own end at 64 characters; an alias may say more.
const LONGEST_NAME: usize = 256;

/// Models that a request may name as its fallbacks.
const MOST_FALLBACKS: usize = 16;

/// The body of a request and what it says, with what it refers to opened for its caller.
pub struct Asked {
    pub body: Body,
    pub members: Members,
    pub form: Option<multipart::Form>,
    pub objects: Objects,
    pub carried: Vec<Carried>,
}

impl Asked {
    /// # Errors
    /// When the body refers to something that is not this caller's.
    pub fn by(
        caller: &Caller,
        snapshot: &Snapshot,
        body: Body,
        (noted, carried): (Noted, Vec<Carried>),
    ) -> Result<Self, Refusal> {
        let mut objects = Objects::of(caller, snapshot.client.share_objects);
        objects.refer(noted.references)?;
        Ok(Self { body, members: noted.members, form: noted.form, objects, carried })
    }
}

/// Decides where the request may go.
///
/// A classic path names the model whatever the body says, as on Azure itself; else the body's `model` does.
pub fn make(received: &Received, caller: &Caller, snapshot: &Snapshot, asked: Asked) -> Result<Plan, Refusal> {
    let Asked { body, members, form, mut objects, carried } = asked;
    let requested = requested_model(received, &members)?;
    let deployment = optional_text(&members, "deployment")?.map(Cow::into_owned);
    deployment.as_deref().map_or(Ok(()), |name| check_name("deployment", name))?;
    let endpoint = optional_text(&members, "endpoint")?.map(Cow::into_owned);
    check_look_alikes(&members)?;
    let fallbacks = fallbacks(received.operation, &members)?;
    let (mut targets, model_label) = match caller {
        Caller::Direct { credential, endpoint: header } => {
            let named = header.as_deref().or(endpoint.as_deref()).ok_or_else(Refusal::missing_endpoint)?;
            let model = requested.strip_prefix("azure/").unwrap_or(&requested).to_owned();
            let target = direct::target(named, credential, deployment.unwrap_or(model), snapshot)?;
            (vec![target], snapshot.catalog.other().clone())
        }
        Caller::Virtual(_) if endpoint.is_some() => return Err(admit::virtual_key_with_endpoint()),
        Caller::Anonymous if endpoint.is_some() => return Err(admit::endpoint_without_key()),
        Caller::Virtual(key) => targets(&requested, deployment, Some(key), fallbacks, snapshot)?,
        Caller::Anonymous => targets(&requested, deployment, None, fallbacks, snapshot)?,
    };
    objects.image_model = received.image_model.clone().or(objects.image_model.take());
    if let Some(model) = &objects.image_model {
        with_images(model, caller, &mut targets, snapshot)?;
    }
    bind(&objects, received.operation, &mut targets, snapshot)?;
    for target in &mut targets {
        target.knowing = speech::knowing(received.operation, &carried, target, snapshot);
    }
    let version = received.path_model.as_ref().and(received.api_version.as_deref());
    Ok(Plan {
        targets,
        model_label,
        session: session::of(received, caller, &requested, &members, &body),
        echo: Some(echo(&requested, &members)),
        objects,
        carried,
        form,
        stream: members.last("stream").and_then(|member| member.as_bool()).unwrap_or(false),
        wants_usage: wants_usage(&members),
        version: version
            .map(str::parse::<ApiVersion>)
            .transpose()?
            .filter(|version| version.addressing() == Addressing::Classic),
        members,
        body,
    })
}

/// Keeps the keys of the resource that the request is bound to.
fn bind(
    objects: &Objects,
    operation: Option<Operation>,
    targets: &mut Vec<Target>,
    snapshot: &Snapshot,
) -> Result<(), Refusal> {
    if !objects.are_bound() {
        return Ok(());
    }
    let model = targets.first().map(|target| target.model.clone()).unwrap_or_default();
    for target in targets.iter_mut() {
        let bound = objects.among(&target.provider, target.keys.clone());
        // A model of another dialect is told the conversation itself.
        let free = |key: &usize| objects.are_spelled_out() && speech::is_foreign(operation, target, *key, snapshot);
        target.keys = target.keys.iter().filter(|key| bound.contains(*key) || free(key)).collect();
    }
    targets.retain(|target| !target.keys.is_empty());
    if targets.is_empty() { Err(objects::elsewhere(&model)) } else { Ok(()) }
}

fn requested_model<'a>(received: &'a Received, members: &'a Members) -> Result<Cow<'a, str>, Refusal> {
    let named = match &received.path_model {
        Some(model) => Cow::Borrowed(model.as_str()),
        None => optional_text(members, "model")?.ok_or_else(Refusal::missing_model)?,
    };
    if named.is_empty() {
        return Err(Refusal::missing_model());
    }
    check_name("model", &named)?;
    Ok(named)
}

fn check_name(field: &'static str, name: &str) -> Result<(), Refusal> {
    if (1..=LONGEST_NAME).contains(&name.len()) {
        return Ok(());
    }
    let message = format!("the name in `{field}` must have 1 to {LONGEST_NAME} bytes; this one has {}", name.len());
    Err(Refusal::new(400, "bad_request", message).param(field))
}

/// A text member, absent when it is `null`.
fn optional_text<'a>(members: &'a Members, name: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    match members.last(name) {
        None => Ok(None),
        Some(member) if member.is_null() => Ok(None),
        Some(member) => match member.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(Refusal::new(400, "bad_request", format!("the field `{name}` must be a string")).param(name)),
        },
    }
}

/// A member like `Model` means nothing here, but might to an upstream that ignores case: what was authorised would
/// not be what is served.
fn check_look_alikes(members: &Members) -> Result<(), Refusal> {
    match ["model", "deployment"].into_iter().find(|name| members.look_alikes(name).next().is_some()) {
        None => Ok(()),
        Some(name) => {
            let message =
                format!("a field is spelled like `{name}` but for the case of its letters; write it `{name}`");
            Err(Refusal::new(400, "bad_request", message).param(name))
        }
    }
}

/// The model that was asked for and its fallbacks: the caller's own list, else the configured one. Of the configured ones
/// those that this caller may not use are left out.
fn targets(
    requested: &str,
    deployment: Option<String>,
    caller: Option<&Arc<VirtualKey>>,
    asked: Option<Vec<String>>,
    snapshot: &Snapshot,
) -> Result<(Vec<Target>, Label), Refusal> {
    let (first, label) = target(requested, deployment, caller, snapshot)?;
    let mut targets = vec![first];
    match asked {
        Some(asked) => {
            for other in &asked {
                let found = target(other, None, caller, snapshot);
                targets.push(found.map_err(|refusal| refusal.param("fallbacks"))?.0);
            }
        }
        None => {
            let others = snapshot.fallbacks.of(&targets[0].provider.name, &targets[0].model);
            targets
                .extend(others.iter().filter_map(|other| target(other, None, caller, snapshot).ok()).map(|(it, _)| it));
        }
    }
    Ok((targets, label))
}

/// Whether `fallbacks` is not the gateway's list of names but Anthropic's own field of that name: objects, or a word.
pub fn is_anthropics(operation: Operation, fallbacks: &Member) -> bool {
    operation == Operation::Messages && !fallbacks.is_null() && fallbacks.as_strings().is_none()
}

fn fallbacks(operation: Option<Operation>, members: &Members) -> Result<Option<Vec<String>>, Refusal> {
    let refuse = |message: String| Refusal::new(400, "bad_request", message).param("fallbacks");
    let Some(member) = members.last("fallbacks").filter(|member| !member.is_null()) else { return Ok(None) };
    if operation.is_some_and(|operation| is_anthropics(operation, member)) {
        return Ok(None);
    }
    let wrong = || refuse("the field `fallbacks` must be an array of names like `provider/model`".to_owned());
    let names = member.as_strings().ok_or_else(wrong)?;
    if names.len() > MOST_FALLBACKS {
        let count = names.len();
        return Err(refuse(format!("the field `fallbacks` has {count} names; at most {MOST_FALLBACKS} are tried")));
    }
    names.iter().try_for_each(|name| check_name("fallbacks", name))?;
    Ok(Some(names))
}

fn target(
    requested: &str,
    deployment: Option<String>,
    caller: Option<&Arc<VirtualKey>>,
    snapshot: &Snapshot,
) -> Result<(Target, Label), Refusal> {
    let Resolved { provider: place, model, mut keys, label } = snapshot.catalog.resolve(requested)?;
    let provider = Arc::clone(&snapshot.providers[place]);
    if let Some(key) = caller {
        admit::permit(key, &provider.name, model)?;
        keys = key.among(place, keys);
    }
    if let Some(deployment) = &deployment {
        let offers = |key: &usize| {
            let catalog = &snapshot.catalog;
            let own = || catalog.deployment(place, *key, model).name.eq_ignore_ascii_case(deployment);
            let permitted = caller.is_none_or(|caller| caller.permits_model(deployment).is_ok()) || own();
            permitted && catalog.offered(place, *key, deployment).is_some()
        };
        keys = keys.iter().filter(offers).collect();
        if keys.is_empty() {
            let message = format!("deployment `{deployment}` is not offered for model `{model}` here");
            return Err(Refusal::new(404, "model_not_found", message).param("deployment"));
        }
    }
    if keys.is_empty() {
        let message = format!("none of the keys that this caller may use serves model `{model}`");
        return Err(Refusal::new(403, "model_not_allowed", message).param("model"));
    }
    Ok((
        Target { provider, place: Some(place), keys, knowing: KeySet::default(), model: model.to_owned(), deployment },
        label,
    ))
}

/// Keeps the keys that also serve the model which makes the images of the answer.
fn with_images(model: &str, caller: &Caller, targets: &mut [Target], snapshot: &Snapshot) -> Result<(), Refusal> {
    if matches!(caller, Caller::Direct { .. }) {
        return Ok(());
    }
    let caller = if let Caller::Virtual(key) = caller { Some(key) } else { None };
    let (images, _) = target(model, None, caller, snapshot).map_err(|refusal| refusal.param("tools"))?;
    for target in targets.iter_mut().filter(|target| target.provider.service == Service::Azure) {
        target.keys = match target.place == images.place {
            true => target.keys.and(&images.keys),
            false => KeySet::default(),
        };
    }
    if targets[0].keys.is_empty() {
        let message = format!("no key serves both `{}` and the image model `{model}`", targets[0].model);
        return Err(Refusal::new(404, "model_not_found", message).param("tools"));
    }
    Ok(())
}

/// The caller's spelling as it stood in the body, or of the name in the path.
fn echo(requested: &str, members: &Members) -> Bytes {
    let spelled = members.last("model").filter(|member| member.as_str().as_deref() == Some(requested));
    match spelled {
        Some(member) => member.raw.clone(),
        None => serde_json::to_vec(requested).map_or_else(|_| Bytes::from_static(b"\"\""), Bytes::from),
    }
}

fn wants_usage(members: &Members) -> bool {
    #[derive(serde::Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    let options =
        members.last("stream_options").map(|member| serde_json::from_slice::<Option<StreamOptions>>(&member.raw));
    matches!(options, Some(Ok(Some(StreamOptions { include_usage: Some(true) }))))
}
