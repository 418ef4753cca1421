//! Stage 5: The next candidate: whose turn it is among the keys that may serve the request.

use super::exchange::{Candidate, Choice, Plan};
use super::refuse::Refusal;
use crate::base::Label;
use crate::catalog::Deployment;
use crate::snapshot::Snapshot;

/// Takes the next key in turn.
pub fn next(plan: &Plan, snapshot: &Snapshot) -> Result<Candidate, Refusal> {
    match &plan.choice {
        Choice::Direct(key) => Ok(Candidate {
            provider: Label::new("azure"),
            key: std::sync::Arc::clone(key),
            deployment: Deployment::literal(&plan.model),
            timeouts: snapshot.direct_timeouts,
        }),
        Choice::Pool { provider, keys, deployment } => {
            let entry = &snapshot.providers[*provider];
            let turn = entry.rotations.of(keys).next().ok_or_else(|| Refusal::no_key(&plan.model))?;
            let catalog = &snapshot.catalog;
            let named = deployment.as_deref().and_then(|name| catalog.offered(*provider, turn, name));
            Ok(Candidate {
                provider: entry.label.clone(),
                key: std::sync::Arc::clone(&entry.keys[turn]),
                deployment: named.unwrap_or_else(|| catalog.deployment(*provider, turn, &plan.model)),
                timeouts: entry.timeouts,
            })
        }
    }
}
