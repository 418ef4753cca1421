//! Stage 6: What goes to the upstream: path, query, headers, credential, and the body with its few changes.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use pingora::http::RequestHeader;

use super::exchange::{Candidate, Plan};
use super::form::{Form, Place};
use super::names::Names;
use super::plan;
use super::refuse::Refusal;
use super::speech;
use crate::azure::{self, Addressing, ApiVersion};
use crate::catalog::Family;
use crate::dialect::splice::Edits;
use crate::dialect::translate::{self, Reasoning, Translated};
use crate::dialect::{Members, Operation, multipart};
use crate::provider::{self, Credential, KeyHeader, Service};
use crate::snapshot::ClientRules;
use crate::upstream::Segment;

/// A request ready to be sent, as often as needed.
pub struct Prepared {
    pub head: RequestHeader,
    pub body: Vec<Segment>,
    /// The usage chunk was asked for by the gateway and is not for the caller.
    pub hide_usage: bool,
    /// How the answer becomes the caller's, where the upstream speaks another dialect.
    pub reply: Option<translate::Reply>,
    /// What becomes of the reasoning of earlier turns, as far as it was packed here.
    pub reasoning: Reasoning,
}

/// Builds the request for one candidate.
pub fn prepare(
    caller: &RequestHeader,
    form: &Form,
    plan: &Plan,
    (candidate, credential): (&Candidate, Option<&Credential>),
    names: Names,
    rules: &ClientRules,
) -> Result<Prepared, Refusal> {
    if speech::family(candidate) == Family::Anthropic && form.place != Place::Claude {
        let what = format!("{} on a Claude deployment", form.operation.name());
        return Err(Refusal::not_served(&what, &candidate.provider.name));
    }
    let version = match (&plan.version, candidate.key.version.addressing()) {
        (Some(asked), Addressing::Classic) => asked,
        _ => &candidate.key.version,
    };
    let addressing = if form.place == Place::Deployment { version.addressing() } else { Addressing::V1 };
    let mut edits = Changes::of(form.operation, plan, candidate, version, addressing);
    for (place, name) in names.of_lines {
        edits.edits.replace_part(place, name);
    }
    let pieces = edits.edits.pieces(plan.body.len());
    let length = edits.edits.length_after(plan.body.len());
    let length = (form.method == Method::POST).then_some(length);
    let media = plan.form.is_none().then(|| HeaderValue::from_static("application/json"));
    let target = target(form, version, candidate);
    let mut head = head(caller, (form, &target), (length, media), (candidate, credential), rules)?;
    if form.place == Place::Claude {
        anthropic_headers(caller, candidate, &mut head.headers);
    }
    if let Some(images) = names.images {
        let name = HeaderValue::from_str(&images.name).map_err(unbuildable)?;
        head.headers.insert(azure::IMAGE_HEADER, name);
    }
    let body = plan.body.segments(&pieces);
    let reasoning = Reasoning { kept: 0, dropped: plan.carried.len() };
    Ok(Prepared { head: head.into(), body, hide_usage: edits.hide_usage, reply: None, reasoning })
}

/// Builds the request for one candidate that speaks another dialect than the caller.
pub fn prepare_translated(
    caller: &RequestHeader,
    translated: Translated,
    (candidate, credential): (&Candidate, Option<&Credential>),
    rules: &ClientRules,
) -> Result<Prepared, Refusal> {
    let form = Form::of_protocol(translated.upstream);
    let target = target(&form, &candidate.key.version, candidate);
    let length = Some(translated.body.len() as u64);
    let media = Some(HeaderValue::from_static("application/json"));
    let mut head = head(caller, (&form, &target), (length, media), (candidate, credential), rules)?;
    if form.place == Place::Claude {
        claude_version(&mut head.headers);
    }
    let body = vec![Segment::Memory(translated.body)];
    let (reply, reasoning) = (Some(translated.reply), translated.reasoning);
    Ok(Prepared { head: head.into(), body, hide_usage: false, reply, reasoning })
}

/// Path and query of what is asked.
fn target(form: &Form, version: &ApiVersion, candidate: &Candidate) -> String {
    let base = &candidate.key.host.endpoint.base_path;
    let bare = match candidate.provider.service {
        Service::Azure if form.place == Place::Claude => azure::claude_target(base, &form.path),
        Service::Azure if form.place == Place::V1 => {
            return azure::v1_target(base, version, &form.path, &form.query);
        }
        Service::Azure => return azure::target(base, version, &candidate.deployment.name, &form.path),
        Service::OpenAi | Service::Anthropic => provider::target(base, &form.path),
    };
    if form.query.is_empty() { bare } else { format!("{bare}?{}", form.query) }
}

/// What a caller of Claude says in headers of the maker's own is an open list, less the features that Azure rejects.
fn anthropic_headers(caller: &RequestHeader, candidate: &Candidate, head: &mut HeaderMap) {
    let own = caller.headers.iter().filter(|(name, _)| name.as_str().starts_with("anthropic-"));
    for (name, value) in own {
        let beta = &candidate.provider.beta;
        let kept = match (name.as_str(), candidate.provider.service) {
            (azure::BETA_HEADER, Service::Azure) => beta.for_azure(value),
            (azure::BETA_HEADER, _) => beta.for_anthropic(value),
            _ => Some(value.clone()),
        };
        if let Some(value) = kept {
            head.append(name.clone(), value);
        }
    }
    claude_version(head);
}

/// Claude wants to be told a version of its API, and this is the one on which everything else is built.
fn claude_version(head: &mut HeaderMap) {
    head.entry("anthropic-version").or_insert(HeaderValue::from_static("2023-06-01"));
}

/// The changes to the body, and whether they ask for something that the caller did not.
struct Changes<'m> {
    edits: Edits<'m>,
    hide_usage: bool,
}

impl<'m> Changes<'m> {
    fn of(
        operation: Operation,
        plan: &'m Plan,
        candidate: &Candidate,
        version: &ApiVersion,
        addressing: Addressing,
    ) -> Self {
        let members = &plan.members;
        let mut edits = Edits::new(members);
        if let Some(form) = &plan.form {
            in_form(form, plan.echo.is_some(), &candidate.deployment.name, addressing, members, &mut edits);
            return Self { edits, hide_usage: false };
        }
        let deployment = serde_json::to_vec(&*candidate.deployment.name).map_or_else(|_| Bytes::new(), Bytes::from);
        let by_body = addressing == Addressing::V1;
        for member in members.all("model") {
            // On a classic path Azure reads the path alone, and clients may leave `null` here.
            if member.raw != deployment && (by_body || !member.is_null()) {
                edits.replace(member, deployment.clone());
            }
        }
        if by_body && plan.echo.is_some() && members.last("model").is_none() {
            edits.append([b"\"model\":", &*deployment].concat());
        }
        // Where no model is asked for, these are not the gateway's own.
        if plan.echo.is_some() {
            for field in ["deployment", "endpoint"] {
                edits.remove_all(field);
            }
            for member in members.all("fallbacks").filter(|member| !plan::is_anthropics(operation, member)) {
                edits.remove(member);
            }
        }
        for carried in &plan.carried {
            edits.replace_part(carried.place.clone(), Bytes::new());
        }
        for (part, opened) in &plan.objects.opened {
            edits.replace_part(part.clone(), opened.clone());
        }
        let hide_usage = plan.stream && !plan.wants_usage && counts_streams(operation, version);
        if hide_usage {
            ask_for_usage(plan, &mut edits);
        }
        Self { edits, hide_usage }
    }
}

/// The same for a form, whose texts stand as they are.
fn in_form(
    form: &multipart::Form,
    named: bool,
    deployment: &str,
    addressing: Addressing,
    members: &Members,
    edits: &mut Edits<'_>,
) {
    if !named {
        return;
    }
    for member in members.all("model") {
        edits.replace(member, deployment.to_owned());
    }
    if addressing == Addressing::V1 && members.last("model").is_none() {
        edits.replace_part(form.start..form.start, form.field("model", deployment));
    }
}

/// Whether a stream of this operation can be asked for its usage. Dated versions know the option for chat only.
fn counts_streams(operation: Operation, version: &ApiVersion) -> bool {
    match operation {
        Operation::ChatCompletions => version.has_stream_options(),
        Operation::Completions => version.addressing() == Addressing::V1,
        _ => false,
    }
}

fn ask_for_usage<'m>(plan: &'m Plan, edits: &mut Edits<'m>) {
    const ASK: &[u8] = b"\"include_usage\":true";
    match plan.members.last("stream_options") {
        None => edits.append([b"\"stream_options\":{", ASK, b"}"].concat()),
        Some(options) if options.is_object() && !mentions_usage(&options.raw) => {
            // A broken object is left to the upstream, which says what is wrong with it.
            let _ = edits.insert_into(options, ASK);
        }
        // `null`, or an explicit `false`: the caller's other options are kept.
        Some(options) => edits.replace(options, with_usage(&options.raw)),
    }
}

fn mentions_usage(options: &[u8]) -> bool {
    memchr::memmem::find(options, b"include_usage").is_some()
}

fn with_usage(options: &[u8]) -> Bytes {
    let parsed: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(options).ok();
    let mut parsed = parsed.unwrap_or_default();
    parsed.insert("include_usage".to_owned(), true.into());
    serde_json::to_vec(&parsed).map_or_else(|_| Bytes::from_static(b"{\"include_usage\":true}"), Bytes::from)
}

fn head(
    caller: &RequestHeader,
    (form, target): (&Form, &str),
    (length, media): (Option<u64>, Option<HeaderValue>),
    (candidate, credential): (&Candidate, Option<&Credential>),
    rules: &ClientRules,
) -> Result<Parts, Refusal> {
    // Other answers are made anew each time, and have no parts to go on from.
    let asks_for_range = Form::is_content(form.operation);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = form.method.clone();
    parts.uri = target.parse().map_err(unbuildable)?;
    let (key, head) = (&candidate.key, &mut parts.headers);
    head.reserve(12);
    head.insert(header::HOST, key.host.host_header.clone());
    for (name, value) in &caller.headers {
        if azure::passes_to_upstream(name.as_str()) || rules.forward_headers.contains(name) {
            head.append(name.clone(), value.clone());
        }
    }
    for name in asks_for_range.then_some([header::RANGE, header::IF_RANGE]).into_iter().flatten() {
        if let Some(value) = caller.headers.get(&name) {
            head.insert(name, value.clone());
        }
    }
    for (name, value) in &key.headers {
        head.insert(name.clone(), value.clone());
    }
    // Compressed events could not be passed on one by one, nor their usage read.
    head.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    match length {
        Some(length) => {
            // A form's own type names its boundary.
            if let Some(media) = media {
                head.insert(header::CONTENT_TYPE, media);
            }
            head.insert(header::CONTENT_LENGTH, length.into());
        }
        None => {
            head.remove(header::CONTENT_TYPE);
        }
    }
    match (credential, candidate.provider.service) {
        (Some(credential), _) => {
            let (name, value) = credential.header(key_header(speech::family(candidate)));
            head.insert(name, value);
        }
        // A service of the operator's own may ask for none.
        (None, Service::OpenAi) => {}
        (None, Service::Azure | Service::Anthropic) => return Err(no_credential(&key.name)),
    }
    Ok(parts)
}

fn unbuildable(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(500, "internal_error", "the request could not be built").because(error.to_string())
}

fn key_header(family: Family) -> KeyHeader {
    match family {
        Family::OpenAi => KeyHeader::OpenAi,
        Family::Anthropic => KeyHeader::Anthropic,
    }
}

fn no_credential(key: &str) -> Refusal {
    Refusal::no_credential(format!("key `{key}` has no API key in `value`"))
}
