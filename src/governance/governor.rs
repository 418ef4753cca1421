//! What all generations of the configuration share: the clock, the ledgers, and what was learned of models.

use std::sync::Arc;

use super::account::{Kind, Member, Subject};
use super::ledgers::Ledgers;
use super::limits::Limits;
use super::moment::Clock;
use super::sizes::Sizes;

#[derive(Debug, Default)]
pub struct Governor {
    pub clock: Clock,
    pub ledgers: Ledgers,
    pub sizes: Sizes,
}

impl Governor {
    /// A subject with limits and the ledger that it has had all along.
    pub fn member(&self, kind: Kind, name: &str, limits: Limits) -> Arc<Member> {
        let subject = Subject { kind, name: name.into() };
        let ledger = self.ledgers.of(&subject);
        Arc::new(Member { subject, limits, ledger })
    }
}
