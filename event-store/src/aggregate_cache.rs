//! States of recently used aggregates. Each stream has one slot: commands on it queue up, so they do not conflict.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use soonshop_domain::Decider;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A state and the last event in it. Its personal values are encrypted.
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

/// A slot keeps its drafted events so that it can continue from `base`. At the first number, events known to be in
/// the log are moved into `base`; beyond the second, `base` is dropped and the state is loaded again when needed.
const MANY_AHEAD: usize = 16;
const MOST_AHEAD: usize = 512;

/// The state of a stream: as read from the log, and as it will be once all appends under way succeed.
pub(crate) struct Slot<A: Decider> {
    /// As it was read from the log.
    base: Option<Loaded<A>>,
    /// The events drafted since then, in order.
    ahead: Vec<(A::Event, Uuid)>,
    /// The highest version that the log confirmed to this slot. All events up to it are in the log, whatever happens
    /// to later drafts; so it may be raised without the slot's lock.
    pub(crate) confirmed: Arc<AtomicI64>,
    /// `base` with `ahead`: the state that the next command is decided on. `None`: it must be loaded.
    now: Option<Loaded<A>>,
    /// Increases when `now` is dropped, so that requests built on an older state do not touch the new one.
    pub(crate) round: u64,
}

impl<A: Decider> Slot<A> {
    fn empty() -> Self {
        Self { base: None, ahead: Vec::new(), confirmed: Arc::default(), now: None, round: 0 }
    }

    /// A state that the log once had.
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

    /// The state that the next command is decided on.
    pub(crate) fn now(&mut self) -> &mut Loaded<A> {
        self.now.get_or_insert_with(Loaded::start)
    }

    /// Notes an event that was drafted and is part of `now`.
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

    /// Moves the events up to this version, which are in the log, into `base`.
    fn move_base(&mut self, version: i64) {
        let Some(base) = &mut self.base else { return };
        let count = usize::try_from(version - base.version).unwrap_or(0).min(self.ahead.len());
        for (event, event_id) in self.ahead.drain(..count) {
            base.state.apply(event);
            base.version += 1;
            base.last = Some(event_id);
        }
    }

    /// Drops the drafts of this round.
    pub(crate) fn forget(&mut self, round: u64) {
        if self.round == round {
            self.now = None;
            self.ahead.clear();
            self.round += 1;
        }
    }

    /// A request of this round, decided at version `seen`, was refused because others had written `missed` after it:
    /// continue from there. False: this is not possible, and the state must be loaded.
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

/// The slots, limited in number; an evicted one is loaded again when needed.
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
        // The key contains the type, so the slot has the right state type.
        slot.downcast().unwrap_or_else(|_| Arc::new(Mutex::new(Slot::empty())))
    }
}
