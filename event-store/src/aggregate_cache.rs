//! States of recently used aggregates. Each stream has one slot: commands on it queue up, so they do not conflict.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use soonshop_domain::Decider;
use tokio::sync::Mutex;
use uuid::Uuid;

/// How many changes of parts a state remembers, beside those that are not known to be in the log.
const MOST_CHANGES: usize = 256;

/// A state and the last event in it. Its personal values are encrypted. Of its parts it has those that the newest
/// events changed.
#[derive(Debug, Clone)]
pub(crate) struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) version: i64,
    pub(crate) last: Option<Uuid>,
    parts: Parts,
}

/// Which parts of a state are in memory.
#[derive(Debug, Clone, Default)]
struct Parts {
    /// Every part that an event after this version changed is in memory. Events up to it are in the log.
    floor: i64,
    /// The changes after `floor`, in order: the version of the event and the key.
    changes: VecDeque<(i64, String)>,
    /// The last of them for each key.
    newest: HashMap<String, i64>,
}

impl<A: Decider> Loaded<A> {
    /// Before the first event.
    pub(crate) fn start() -> Self {
        Self { state: A::default(), version: 0, last: None, parts: Parts::default() }
    }

    /// From a snapshot, which has no parts.
    pub(crate) fn from_snapshot(state: &A, version: i64, last: Uuid) -> Self {
        let floor = if A::PART_KEY.is_empty() { 0 } else { version };
        let parts = Parts { floor, ..Parts::default() };
        Self { state: state.without_parts().into_owned(), version, last: Some(last), parts }
    }

    /// Applies the next event.
    pub(crate) fn apply(&mut self, version: i64, event_id: Uuid, event: A::Event) {
        if let Some(key) = A::part_changed(&event) {
            self.parts.newest.insert(key.clone(), version);
            self.parts.changes.push_back((version, key));
        }
        self.state.apply(event);
        (self.version, self.last) = (version, Some(event_id));
    }

    /// Drops the parts that were changed longest ago, as far as the log has their events: those up to `logged`.
    pub(crate) fn drop_old_parts(&mut self, logged: i64) {
        let parts = &mut self.parts;
        while parts.changes.len() > MOST_CHANGES
            && let Some((version, key)) = parts.changes.pop_front_if(|(version, _)| *version <= logged)
        {
            parts.floor = version;
            if parts.newest.get(&key) == Some(&version) {
                parts.newest.remove(&key);
                self.state.move_part(&key, &mut A::default());
            }
        }
    }

    /// Every part that an event after this version changed is in memory; 0: all parts are.
    pub(crate) fn floor(&self) -> i64 {
        self.parts.floor
    }

    /// Whether the part is in memory, or is known to be absent.
    pub(crate) fn has_part(&self, key: &str) -> bool {
        self.parts.floor == 0 || self.parts.newest.contains_key(key)
    }

    /// Adds a part for one decision, made of the events of its key up to this version.
    pub(crate) fn lend_part(&mut self, key: &str, events: Vec<(i64, A::Event)>) {
        let mut alone = A::default();
        for (_, event) in events.into_iter().take_while(|(version, _)| *version <= self.version) {
            alone.apply(event);
        }
        alone.move_part(key, &mut self.state);
    }

    /// Drops a part that was lent, unless an event changed it.
    pub(crate) fn return_part(&mut self, key: &str) {
        if !self.has_part(key) {
            self.state.move_part(key, &mut A::default());
        }
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
    /// Increases when the state is loaded. Between two loads it follows one history, so what was read of that history
    /// outside of the slot's lock still counts.
    pub(crate) loads: u64,
}

impl<A: Decider> Slot<A> {
    fn empty() -> Self {
        Self { base: None, ahead: Vec::new(), confirmed: Arc::default(), now: None, round: 0, loads: 0 }
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
        // Appends from before do not count: the log may have been restored to an older state since.
        self.confirmed = Arc::new(AtomicI64::new(loaded.version));
        self.loads += 1;
        self.base = Some(loaded.clone());
        self.now = Some(loaded);
    }

    /// The state that the next command is decided on.
    pub(crate) fn now(&mut self) -> &mut Loaded<A> {
        self.now.get_or_insert_with(Loaded::start)
    }

    /// All events up to this version are in the log.
    pub(crate) fn logged(&self) -> i64 {
        self.confirmed.load(Ordering::Relaxed).max(self.base.as_ref().map_or(0, |base| base.version))
    }

    /// Applies a drafted event to `now`.
    pub(crate) fn draft(&mut self, event: A::Event, event_id: Uuid) {
        self.ahead(event.clone(), event_id);
        let logged = self.logged();
        let now = self.now();
        now.apply(now.version + 1, event_id, event);
        now.drop_old_parts(logged);
    }

    /// Notes an event that was drafted.
    fn ahead(&mut self, event: A::Event, event_id: Uuid) {
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
            base.apply(base.version + 1, event_id, event);
            base.drop_old_parts(base.version);
        }
    }

    /// Drops the drafts of this round.
    pub(crate) fn discard(&mut self, round: u64) {
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
            base.apply(sequence, event_id, event);
            base.drop_old_parts(sequence);
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

#[cfg(test)]
mod tests {
    use soonshop_domain::Decider as _;
    use soonshop_domain::ids::{self, OrderId};
    use soonshop_domain::inventory::{Event, MAIN, Stock, StockPlace};
    use soonshop_domain::text::Sku;

    use super::*;

    fn reserved(number: usize) -> Event {
        let place = StockPlace { sku: Sku::try_new("MUG").unwrap(), location: MAIN.to_owned() };
        let order_id = OrderId(Uuid::from_u128(u128::try_from(number).unwrap()));
        Event::StockReserved { place, order_id, line: 1, quantity: 1, hold: None }
    }

    fn key(number: usize) -> String {
        Stock::part_changed(&reserved(number)).unwrap()
    }

    fn lines(stock: &Stock) -> usize {
        stock.page("", usize::MAX).unwrap().total
    }

    #[test]
    fn a_part_stays_in_memory_until_the_log_has_its_event() {
        let mut slot = Slot::<Stock>::empty();
        slot.fill(Loaded::start());
        for number in 0..1_000 {
            slot.draft(reserved(number), ids::new());
        }
        assert_eq!(
            (slot.now().floor(), lines(&slot.now().state)),
            (0, 1_000),
            "none is known to be in the log"
        );
        slot.confirmed.fetch_max(600, Ordering::Relaxed);
        slot.draft(reserved(1_000), ids::new());
        assert_eq!((slot.now().floor(), lines(&slot.now().state)), (600, 401));
        assert!(!slot.now().has_part(&key(599)) && slot.now().has_part(&key(600)));
        slot.confirmed.fetch_max(1_001, Ordering::Relaxed);
        slot.draft(reserved(1_001), ids::new());
        assert_eq!(lines(&slot.now().state), MOST_CHANGES);
        assert_eq!(slot.now().state.reserved, 1_002);
    }

    #[test]
    fn a_part_that_changes_again_stays_in_memory() {
        let mut loaded = Loaded::<Stock>::start();
        for (version, number) in (1..).zip((0..MOST_CHANGES).chain([0]).chain(500..500 + MOST_CHANGES - 1)) {
            loaded.apply(version, ids::new(), reserved(number));
            loaded.drop_old_parts(version);
        }
        assert!(loaded.has_part(&key(0)) && !loaded.has_part(&key(1)));
        assert_eq!(
            loaded.state.line(OrderId(Uuid::from_u128(0)), 1),
            Some(soonshop_domain::inventory::Line::Reserved(1))
        );
    }

    #[test]
    fn a_part_that_was_lent_is_dropped_unless_an_event_changed_it() {
        let loaded = || Loaded::from_snapshot(&Stock::default(), 5, ids::new());
        let mut unchanged = loaded();
        unchanged.lend_part(&key(1), vec![(3, reserved(1)), (6, reserved(1))]);
        assert_eq!(lines(&unchanged.state), 1);
        unchanged.return_part(&key(1));
        assert_eq!(lines(&unchanged.state), 0);
        let mut changed = loaded();
        changed.lend_part(&key(1), Vec::new());
        changed.apply(6, ids::new(), reserved(1));
        changed.return_part(&key(1));
        assert_eq!(lines(&changed.state), 1);
    }

    #[test]
    fn what_is_refused_of_an_earlier_state_changes_nothing_of_the_present_one() {
        let mut slot = Slot::<Stock>::empty();
        slot.fill(Loaded::start());
        slot.draft(reserved(1), ids::new());
        let first = slot.round;
        slot.discard(first);
        assert!(!slot.is_filled());
        slot.fill(Loaded::start());
        slot.draft(reserved(2), ids::new());
        slot.discard(first);
        assert_eq!(lines(&slot.now().state), 1, "another request of the first state was refused as well");
        let second = slot.round;
        assert!(slot.catch_up(second, 0, vec![(1, ids::new(), reserved(3))]));
        assert!(slot.catch_up(second, 0, vec![(1, ids::new(), reserved(4)), (2, ids::new(), reserved(5))]));
        slot.discard(second);
        assert_eq!((slot.now().version, lines(&slot.now().state)), (1, 1));
        assert!(slot.now().state.line(OrderId(Uuid::from_u128(3)), 1).is_some());
    }

    #[test]
    fn drafts_that_were_confirmed_late_are_kept_no_longer_either() {
        let mut slot = Slot::<Stock>::empty();
        slot.fill(Loaded::start());
        for number in 0..2 * MANY_AHEAD {
            slot.draft(reserved(number), ids::new());
        }
        assert_eq!(slot.ahead.len(), 2 * MANY_AHEAD, "none is known to be in the log");
        slot.confirmed.fetch_max(i64::try_from(2 * MANY_AHEAD).unwrap(), Ordering::Relaxed);
        slot.draft(reserved(2 * MANY_AHEAD), ids::new());
        assert_eq!(slot.ahead.len(), 1);
        assert_eq!(slot.base().map(|base| base.version), Some(i64::try_from(2 * MANY_AHEAD).unwrap()));
    }

    #[test]
    fn a_slot_that_is_loaded_again_counts_no_append_from_before() {
        let mut slot = Slot::<Stock>::empty();
        slot.fill(Loaded::start());
        let before = Arc::clone(&slot.confirmed);
        slot.discard(0);
        slot.fill(Loaded::start());
        before.fetch_max(9, Ordering::Relaxed);
        assert_eq!((slot.logged(), slot.loads), (0, 2));
    }
}
