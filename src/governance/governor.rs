//! What all generations of the configuration share: the clock, the ledgers, and what was learned of models.

use std::sync::{Arc, Mutex};

use super::account::{Kind, Member, Subject};
use super::billed::Billed;
use super::ledgers::Ledgers;
use super::limits::Limits;
use super::moment::Clock;
use super::shared::{BadAddress, Shared, Worker};
use super::sizes::Sizes;
use crate::base::locks::lock;

#[derive(Debug, Default)]
pub struct Governor {
    pub clock: Clock,
    pub ledgers: Ledgers,
    pub sizes: Sizes,
    pub billed: Billed,
    /// Where other gateways count too.
    pub shared: Option<Arc<Shared>>,
    worker: Mutex<Option<Worker>>,
}

impl Governor {
    /// With a store that other gateways share.
    ///
    /// # Errors
    /// When its address makes no sense.
    pub fn sharing(url: &str) -> Result<Self, BadAddress> {
        let (shared, worker) = Shared::new(url)?;
        Ok(Self { shared: Some(shared), worker: Mutex::new(Some(worker)), ..Self::default() })
    }

    /// What looks after the store, for whoever runs it. There is one.
    pub fn take_worker(&self) -> Option<Worker> {
        lock(&self.worker).take()
    }

    /// A subject with limits and the ledger that it has had all along.
    pub fn member(&self, kind: Kind, name: &str, limits: Limits) -> Arc<Member> {
        let subject = Subject { kind, name: name.into() };
        let ledger = self.ledgers.of(&subject);
        Arc::new(Member { subject, limits, ledger })
    }
}
