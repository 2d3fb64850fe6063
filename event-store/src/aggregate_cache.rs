//! States of aggregates that were used lately. One slot per stream: commands on it queue up rather than race.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use soonshop_domain::Decider;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A state and the event it stands at. Personal values in it are sealed.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) version: i64,
    pub(crate) last: Option<Uuid>,
}

impl<A: Default> Loaded<A> {
    /// Before the first event.
    pub(crate) fn start() -> Self {
        Self { state: A::default(), version: 0, last: None }
    }
}

/// The events that a slot keeps in order to go on from `base`: from so many on those that are known to be in go into
/// it; beyond the most it is loaded instead.
const MANY_AHEAD: usize = 16;
const MOST_AHEAD: usize = 512;

/// What is known of a stream: as it was read, and as it is once all appends under way are in.
pub(crate) struct Slot<A: Decider> {
    /// As it was read from the log.
    base: Option<Loaded<A>>,
    /// The events drafted since, one after the other.
    ahead: Vec<(A::Event, Uuid)>,
    /// The highest version that an append of this slot's was answered with. All up to it is in the log, whatever
    /// became of what was drafted later; so it may be raised without the slot's lock.
    pub(crate) confirmed: Arc<AtomicI64>,
    /// `base` and `ahead`: what the next command is decided on. `None`: to be loaded.
    now: Option<Loaded<A>>,
    /// Goes up when `now` is thrown away: requests that were built on an earlier one leave the new one alone.
    pub(crate) round: u64,
}

impl<A: Decider> Slot<A> {
    fn empty() -> Self {
        Self { base: None, ahead: Vec::new(), confirmed: Arc::default(), now: None, round: 0 }
    }

    /// A state that the log had once.
    pub(crate) fn base(&self) -> Option<&Loaded<A>> {
        self.base.as_ref()
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.now.is_some()
    }

    pub(crate) fn fill(&mut self, loaded: Loaded<A>) {
        self.ahead.clear();
        self.base = Some(loaded.clone());
        self.now = Some(loaded);
    }

    /// What the next command is decided on.
    pub(crate) fn now(&mut self) -> &mut Loaded<A> {
        self.now.get_or_insert_with(Loaded::start)
    }

    /// An event was drafted, and is part of `now`.
    pub(crate) fn ahead(&mut self, event: A::Event, event_id: Uuid) {
        if self.ahead.len() >= MANY_AHEAD {
            self.move_base(self.confirmed.load(Ordering::Relaxed));
        }
        if self.ahead.len() == MOST_AHEAD {
            (self.base, self.ahead) = (None, Vec::new());
        }
        if self.base.is_some() {
            self.ahead.push((event, event_id));
        }
    }

    /// Takes the events up to that version, which are in the log, into `base`.
    fn move_base(&mut self, version: i64) {
        let Some(base) = &mut self.base else { return };
        let count = usize::try_from(version - base.version).unwrap_or(0).min(self.ahead.len());
        for (event, event_id) in self.ahead.drain(..count) {
            base.state.apply(event);
            base.version += 1;
            base.last = Some(event_id);
        }
    }

    /// Throws away what was drafted in that round.
    pub(crate) fn forget(&mut self, round: u64) {
        if self.round == round {
            self.now = None;
            self.ahead.clear();
            self.round += 1;
        }
    }

    /// A request of that round, which stood on version `seen`, was refused, for others wrote `missed` after it: goes on
    /// from there. False: it cannot, and must be loaded.
    pub(crate) fn catch_up(&mut self, round: u64, seen: i64, missed: Vec<(i64, Uuid, A::Event)>) -> bool {
        if self.round != round {
            return true;
        }
        let reachable = |base: &Loaded<A>| {
            let last = base.version + i64::try_from(self.ahead.len()).unwrap_or(0);
            (base.version..=last).contains(&seen)
        };
        if missed.is_empty() || !self.base.as_ref().is_some_and(reachable) {
            return false;
        }
        self.move_base(seen);
        let Some(base) = &mut self.base else { return false };
        for (sequence, event_id, event) in missed {
            base.state.apply(event);
            (base.version, base.last) = (sequence, Some(event_id));
        }
        self.ahead.clear();
        self.now = self.base.clone();
        self.round += 1;
        true
    }
}

/// The slots, bounded in number; an evicted one is loaded again when needed.
#[derive(Clone)]
pub(crate) struct AggregateCache {
    slots: Cache<(&'static str, Uuid), Arc<dyn Any + Send + Sync>>,
}

impl AggregateCache {
    pub(crate) fn new(most: u64) -> Self {
        let slots = Cache::builder().max_capacity(most).time_to_idle(Duration::from_mins(10)).build();
        Self { slots }
    }

    pub(crate) fn slot<A: Decider>(&self, id: Uuid) -> Arc<Mutex<Slot<A>>> {
        let fresh = || -> Arc<dyn Any + Send + Sync> { Arc::new(Mutex::new(Slot::<A>::empty())) };
        let slot = self.slots.get_with((A::TYPE, id), fresh);
        // One type has one state: the key says which.
        slot.downcast().unwrap_or_else(|_| Arc::new(Mutex::new(Slot::empty())))
    }
}
