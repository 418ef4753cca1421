//! What a key remembers per deployment: a small map that is read without a lock and grows by copying.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Deployments remembered per key. Names beyond are those that callers made up, and there is nothing to remember of them.
const MOST: usize = 1_024;

#[derive(Debug)]
pub(super) struct ByDeployment<T>(ArcSwap<HashMap<Box<str>, Arc<T>>>);

impl<T> Default for ByDeployment<T> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<T: Default> ByDeployment<T> {
    /// What is remembered of a deployment; `None` when that is nothing.
    pub fn get(&self, deployment: &str) -> Option<Arc<T>> {
        self.0.load().get(deployment).map(Arc::clone)
    }

    /// Everything, in no order.
    pub fn all(&self) -> Vec<(Box<str>, Arc<T>)> {
        self.0.load().iter().map(|(name, known)| (name.clone(), Arc::clone(known))).collect()
    }

    /// The same, made when it is missing; `None` when there is no more room.
    pub fn entry(&self, deployment: &str) -> Option<Arc<T>> {
        if let Some(known) = self.get(deployment) {
            return Some(known);
        }
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() < MOST {
                known.entry(deployment.into()).or_default();
            }
            known
        });
        self.get(deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_take_a_bounded_room() {
        let map = ByDeployment::<u8>::default();
        assert!(map.get("d").is_none());
        let first = map.entry("d").unwrap();
        assert!(Arc::ptr_eq(&first, &map.entry("d").unwrap()));
        assert_eq!((0..MOST * 2).filter(|name| map.entry(&name.to_string()).is_some()).count(), MOST - 1);
    }
}
