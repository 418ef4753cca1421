//! What other names in a request are called at one key: the model that makes images, and the models of a batch's lines.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::exchange::{Candidate, Plan};
use super::uploads;
use crate::catalog::{Catalog, Deployment};
use crate::provider::Service;

#[derive(Default)]
pub struct Names {
    /// The deployment that makes the images of a response.
    pub images: Option<Deployment>,
    /// Models of the lines of a batch, as JSON strings.
    pub of_lines: Vec<(Range<u64>, Bytes)>,
}

/// The names in a plan as a candidate's key knows them.
pub fn at(candidate: &Candidate, plan: &Plan, catalog: &Catalog) -> Names {
    Names { images: images(candidate, plan, catalog), of_lines: of_lines(candidate, plan, catalog) }
}

/// Azure wants to know which deployment makes the images of a response.
fn images(candidate: &Candidate, plan: &Plan, catalog: &Catalog) -> Option<Deployment> {
    let model = plan.objects.image_model.as_ref().filter(|_| candidate.provider.service == Service::Azure)?;
    let mut targets = plan.targets.iter();
    let place = targets.find(|target| Arc::ptr_eq(&target.provider, &candidate.provider))?.place;
    let bare = model.strip_prefix(&*format!("{}/", candidate.provider.name)).unwrap_or(model);
    Some(match place {
        Some(place) => catalog.deployment(place, candidate.index, bare),
        None => Deployment::literal(model),
    })
}

fn of_lines(candidate: &Candidate, plan: &Plan, catalog: &Catalog) -> Vec<(Range<u64>, Bytes)> {
    let Some(form) = plan.form.as_ref().filter(|_| uploads::is_batch(&plan.members).unwrap_or(false)) else {
        return Vec::new();
    };
    let Some(place) = plan.targets[0].place else { return Vec::new() };
    let mut known: HashMap<&str, Bytes> = HashMap::new();
    let mut names = Vec::with_capacity(form.models.len());
    for (at, model) in &form.models {
        let called = known.entry(model.as_str()).or_insert_with(|| {
            let bare = catalog.resolve(model).map_or(model.as_str(), |resolved| resolved.model);
            let deployment = catalog.deployment(place, candidate.index, bare);
            serde_json::to_vec(&*deployment.name).map_or_else(|_| Bytes::new(), Bytes::from)
        });
        names.push((at.clone(), called.clone()));
    }
    names
}
