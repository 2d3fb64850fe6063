//! States of aggregates that were used lately. One slot per stream: commands on it queue up rather than race.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use soonshop_domain::Decider;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A state and the event it stands at. Personal values in it are sealed.
#[derive(Debug)]
pub(crate) struct Slot<A> {
    /// `None`: to be loaded.
    pub(crate) state: Option<A>,
    pub(crate) version: i64,
    pub(crate) last: Option<Uuid>,
    /// Goes up when the state is thrown away: requests that were built on an earlier one leave the new one alone.
    pub(crate) round: u64,
}

impl<A> Slot<A> {
    /// Throws the state of that round away.
    pub(crate) fn forget(&mut self, round: u64) {
        if self.round == round {
            self.state = None;
            self.round += 1;
        }
    }
}

/// The slots, bounded in number; an evicted one is loaded again when needed.
#[derive(Clone)]
pub(crate) struct Hot {
    slots: Cache<(&'static str, Uuid), Arc<dyn Any + Send + Sync>>,
}

impl Hot {
    pub(crate) fn new(most: u64) -> Self {
        let slots = Cache::builder().max_capacity(most).time_to_idle(Duration::from_secs(600)).build();
        Self { slots }
    }

    pub(crate) fn slot<A: Decider>(&self, id: Uuid) -> Arc<Mutex<Slot<A>>> {
        let fresh = || -> Arc<dyn Any + Send + Sync> {
            Arc::new(Mutex::new(Slot::<A> { state: None, version: 0, last: None, round: 0 }))
        };
        let slot = self.slots.get_with((A::TYPE, id), fresh);
        // One type has one state: the key says which.
        slot.downcast().unwrap_or_else(|_| Arc::new(Mutex::new(Slot { state: None, version: 0, last: None, round: 0 })))
    }
}
