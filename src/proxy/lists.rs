//! Lists of what resources keep: one list over all of them, of what is the caller's own.
//!
//! Objects stand in the order in which they were made, and where two were made in the same second, in that of their
//! resources. The cursor is the id of an object, as in the API: it says which resource to go on from, and when the object
//! was made says from where on the others do. So nothing is remembered between two pages.

use std::cmp::Ordering;
use std::collections::VecDeque;

use url::form_urlencoded;

use super::exchange::{Caller, Plan, Target};
use super::form::Form;
use super::lane::Lane;
use super::objects::{self, Objects, not_found};
use super::refuse::{Refusal, Stop};
use crate::base::KeySet;
use crate::dialect::list::{self, Listed, Page};
use crate::dialect::responses::ResponsesAnswer;
use crate::dialect::{Operation, query_value};
use crate::objects::Origin;
use crate::provider::Service;
use crate::snapshot::Snapshot;

/// Objects of a page, unless asked otherwise, and at most.
const USUAL: usize = 20;
const MOST: usize = 100;

/// Pages of one resource that are looked through for one page of a caller.
const MOST_PAGES: usize = 100;

/// What a caller wants to see.
struct Asked {
    operation: Operation,
    limit: usize,
    ascending: bool,
    purpose: Option<String>,
}

/// Where a page begins: behind this object.
struct Cursor {
    origin: Origin,
    /// The resource's own id.
    id: String,
    created: i64,
}

/// One resource, as far as it was read.
struct Source {
    target: usize,
    origin: Origin,
    /// What it has for the page, in order.
    objects: VecDeque<Listed>,
    after: Option<String>,
    more: bool,
    pages: usize,
}

/// Which resources may hold something for this caller, one target for each. Whoever has a key of their own asks their own.
pub fn plan(operation: Operation, query: &str, caller: &Caller, snapshot: &Snapshot) -> Result<(Plan, Form), Refusal> {
    let mut objects = Objects::of(caller, snapshot.client.share_objects);
    if let Caller::Direct { credential, endpoint } = caller {
        let endpoint = endpoint.as_deref().ok_or_else(Refusal::missing_endpoint)?;
        let target = super::direct::target(endpoint, credential, String::new(), snapshot)?;
        let form = Form::of_list(operation, objects.open_query(query)?);
        return Ok((Plan::about_object(vec![target], objects, snapshot), form));
    }
    if objects.are_owned() && !snapshot.register.is_kept() {
        return Err(unknown_owners(operation));
    }
    let mut targets: Vec<Target> = Vec::new();
    for (place, provider) in snapshot.providers.iter().enumerate() {
        let allowed = objects::target(place, caller, &Objects::default(), snapshot);
        let Some(allowed) = allowed.filter(|_| provider.service != Service::Anthropic) else { continue };
        for key in allowed.keys.iter() {
            let origin = provider.keys[key].origin;
            match targets.iter_mut().find(|target| origin_of(target) == Some(origin)) {
                Some(known) if known.place == Some(place) => known.keys.insert(key),
                // One resource may be configured in two providers; the first one asks it.
                Some(_) => {}
                None => targets.push(Target::keeping(provider, place, KeySet::from_iter([key]))),
            }
        }
    }
    if targets.is_empty() {
        return Err(objects::kept_nowhere());
    }
    Ok((Plan::about_object(targets, objects, snapshot), Form::of_list(operation, String::new())))
}

/// The page that a query asks for.
pub async fn page(lane: &mut Lane<'_>, operation: Operation, query: &str) -> Result<Vec<u8>, Stop> {
    let asked = Asked::read(operation, query)?;
    let cursor = match query_value(query, "after") {
        Some(after) => Some(cursor(lane, operation, &after).await?),
        None => None,
    };
    lane.snapshot.register.catch_up().map_err(Refusal::no_room)?;
    let targets = lane.plan.targets.iter().enumerate();
    let mut sources: Vec<Source> =
        targets.filter_map(|(at, target)| Some(Source::new(at, origin_of(target)?, cursor.as_ref()))).collect();
    // One more than the page has, to know whether there is more.
    let mut found = Vec::with_capacity(asked.limit + 1);
    while found.len() <= asked.limit {
        for source in &mut sources {
            source.fill(lane, &asked, cursor.as_ref()).await?;
        }
        let filled = sources.iter_mut().filter_map(|source| Some((source.front()?, source)));
        let Some((_, source)) = filled.min_by(|(a, _), (b, _)| asked.order(*a, *b)) else { break };
        found.extend(source.objects.pop_front().map(|object| (source.origin, object)));
    }
    let has_more = found.len() > asked.limit;
    found.truncate(asked.limit);
    Ok(written(&lane.plan.objects, &found, has_more))
}

fn origin_of(target: &Target) -> Option<Origin> {
    target.keys.iter().next().map(|key| target.provider.keys[key].origin)
}

/// The object behind which the page begins.
async fn cursor(lane: &mut Lane<'_>, operation: Operation, after: &str) -> Result<Cursor, Stop> {
    let (origin, id) = lane.plan.objects.open(after)?;
    let target = lane.plan.targets.iter().position(|target| origin_of(target) == Some(origin));
    let target = target.ok_or_else(|| not_found(after))?;
    let object = lane.document(Form::of_listed(operation, &id), target).await?;
    let created = object.as_deref().and_then(list::created).ok_or_else(|| not_found(after))?;
    Ok(Cursor { origin, id, created })
}

/// The list, its objects as they are but for the ids, which are those by which the caller knows them.
fn written(objects: &Objects, found: &[(Origin, Listed)], has_more: bool) -> Vec<u8> {
    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (number, (origin, object)) in found.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        let mut answer = ResponsesAnswer::new(None, objects.outward(*origin, None));
        answer.feed(&object.text);
        let (parts, _) = answer.finish(vec![object.text.clone()]);
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }
    let id = |end: Option<&(Origin, Listed)>| match end {
        Some((origin, object)) => {
            let id = objects.outward(*origin, None).map_or_else(|| object.id.clone(), |known| known.id(&object.id));
            serde_json::Value::from(id).to_string()
        }
        None => "null".to_owned(),
    };
    let (first, last) = (id(found.first()), id(found.last()));
    out.extend_from_slice(format!("],\"first_id\":{first},\"last_id\":{last},\"has_more\":{has_more}}}").as_bytes());
    out
}

impl Asked {
    fn read(operation: Operation, query: &str) -> Result<Self, Refusal> {
        let refuse = |name: &'static str, message: &str| Refusal::new(400, "bad_request", message).param(name);
        let limit = query_value(query, "limit").map(|text| text.parse::<usize>().unwrap_or(0));
        if limit == Some(0) {
            return Err(refuse("limit", "`limit` must be a whole number above 0"));
        }
        let ascending = match query_value(query, "order").as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(refuse("order", "`order` must be `asc` or `desc`")),
        };
        Ok(Self {
            operation,
            limit: limit.unwrap_or(USUAL).min(MOST),
            // Batches are listed in one order only.
            ascending: ascending && operation != Operation::BatchList,
            purpose: query_value(query, "purpose").map(std::borrow::Cow::into_owned),
        })
    }

    /// Which of two objects stands first, by when they were made and where.
    fn order(&self, a: (i64, Origin), b: (i64, Origin)) -> Ordering {
        let by_time = if self.ascending { a.0.cmp(&b.0) } else { b.0.cmp(&a.0) };
        by_time.then(a.1.cmp(&b.1))
    }

    /// What one resource is asked for.
    fn query(&self, after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &MOST.to_string());
        if self.operation != Operation::BatchList {
            query.append_pair("order", if self.ascending { "asc" } else { "desc" });
        }
        if let Some(purpose) = self.purpose.as_deref().filter(|_| self.operation == Operation::FileList) {
            query.append_pair("purpose", purpose);
        }
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        query.finish()
    }
}

impl Source {
    /// The resource that the cursor belongs to goes on behind it; the others are skimmed up to where it stands.
    fn new(target: usize, origin: Origin, cursor: Option<&Cursor>) -> Self {
        let after = cursor.filter(|cursor| cursor.origin == origin).map(|cursor| cursor.id.clone());
        Self { target, origin, objects: VecDeque::new(), after, more: true, pages: 0 }
    }

    fn front(&self) -> Option<(i64, Origin)> {
        self.objects.front().map(|object| (object.created, self.origin))
    }

    /// Reads on until there is an object for the page, or none is left.
    async fn fill(&mut self, lane: &mut Lane<'_>, asked: &Asked, cursor: Option<&Cursor>) -> Result<(), Stop> {
        while self.objects.is_empty() && self.more {
            self.pages += 1;
            if self.pages > MOST_PAGES {
                let message =
                    format!("a resource holds more than {} such objects of all its callers", MOST_PAGES * MOST);
                return Err(Refusal::new(400, "bad_request", message).into());
            }
            let form = Form::of_list(asked.operation, asked.query(self.after.as_deref()));
            let Some(text) = lane.document(form, self.target).await? else {
                self.more = false;
                return Ok(());
            };
            let broken = || Refusal::new(502, "upstream_broken", "a resource answered with something else than a list");
            let page = Page::read(&text).ok_or_else(broken)?;
            self.more = page.has_more && !page.objects.is_empty();
            self.after = page.objects.last().map(|object| object.id.clone());
            let (objects, register) = (&lane.plan.objects, &lane.snapshot.register);
            let wanted = |object: &Listed| {
                let place = (object.created, self.origin);
                let behind = cursor.is_none_or(|cursor| {
                    cursor.origin == self.origin || asked.order((cursor.created, cursor.origin), place).is_lt()
                });
                behind && objects.own(self.origin, &object.id, register)
            };
            self.objects.extend(page.objects.into_iter().filter(wanted));
        }
        Ok(())
    }
}

/// Nothing tells whose an object is, where the gateway may not keep it in mind.
fn unknown_owners(operation: Operation) -> Refusal {
    let message = format!(
        "the operation `{}` on provider `azure` is not served: an Azure resource lists the objects of all its callers without \
         telling whose they are; with `server.state_directory` the gateway keeps that in mind, and with \
         `client.share_objects` every caller sees them all",
        operation.name()
    );
    Refusal::new(400, "unsupported_operation", message)
}
