//! Which connections there are, and which one is closed when there is no room for a new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::state::{Rank, State};
use crate::metrics::Http;
use crate::rates::network;

/// How often the log says that there are too many connections.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How often a connection of one address is closed for a handler that waits.
const CLOSE_EVERY: Duration = Duration::from_millis(100);

struct Entry {
    address: IpAddr,
    reserved: bool,
    state: Arc<State>,
    close: CancellationToken,
}

#[derive(Default)]
struct Inner {
    http: Http,
    entries: HashMap<u64, Entry>,
    per_address: HashMap<IpAddr, OfAddress>,
    reserved: usize,
    next: u64,
    logged_at: Option<Instant>,
}

/// What one address has.
struct OfAddress {
    connections: usize,
    /// Its handlers: as many as it may have connections, and not fewer than one of HTTP/2 may have. One of HTTP/1 has one
    /// at a time; those of HTTP/2 share the rest.
    handlers: Arc<Semaphore>,
    /// When a connection was last closed for another one's handler, if one could be.
    closed_at: Option<Instant>,
}

/// The connections of a listener.
pub(super) struct Table {
    limits: Limits,
    inner: Mutex<Inner>,
}

/// A connection that may be served.
pub(super) struct Admitted {
    pub(super) slot: Arc<Slot>,
    pub(super) state: Arc<State>,
    /// Cancelled when it has to go for another one.
    pub(super) close: CancellationToken,
    /// It is one of the reserve.
    pub(super) reserved: bool,
}

/// A place in the table. It is free again when this is dropped: when the connection has ended, and every handler that
/// it began.
pub(super) struct Slot {
    table: Arc<Table>,
    id: u64,
    /// Those of its address. A connection of the reserve has none: it shares nothing.
    handlers: Option<(IpAddr, Arc<Semaphore>)>,
}

impl Slot {
    /// Waits until its address may have another handler, if need be by closing a connection of that address that waits
    /// for its client.
    pub(super) async fn handler(&self) -> Option<OwnedSemaphorePermit> {
        let (address, handlers) = self.handlers.as_ref()?;
        let mut free = pin!(Arc::clone(handlers).acquire_owned());
        loop {
            match tokio::time::timeout(Limits::WAITED, &mut free).await {
                Ok(permit) => return Some(permit.expect("the semaphore is never closed")),
                Err(_) => self.table.lock().close_one_of(*address),
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.lock().remove(self.id);
    }
}

impl Table {
    /// How many there are is counted in `http`.
    pub(super) fn new(limits: Limits, http: Http) -> Self {
        Self { limits, inner: Mutex::new(Inner { http, ..Inner::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a connection from that address, if need be by closing one that waits for its client. `None`: all
    /// are at work, and so is the reserve.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let address = network(address);
        let mut inner = self.lock();
        let of_address = inner.per_address.get(&address).map(|of| of.connections).unwrap_or_default();
        let in_all = inner.entries.len() - inner.reserved;
        let closed = if of_address >= self.limits.connections_per_address {
            inner.close_one(|entry, _| !entry.reserved && entry.address == address)
        } else if in_all >= self.limits.connections {
            inner.close_one(|entry, _| !entry.reserved)
        } else {
            return Some(self.enter(&mut inner, address, false));
        };
        inner.say(&self.limits);
        if closed {
            return Some(self.enter(&mut inner, address, false));
        }
        if inner.reserved < self.limits.reserve || inner.close_one(|entry, _| entry.reserved) {
            return Some(self.enter(&mut inner, address, true));
        }
        None
    }

    /// Closes the connection that has waited longest for its client, if one waits.
    pub(super) fn close_one(&self) {
        self.lock().close_one(|_, _| true);
    }

    fn enter(self: &Arc<Self>, inner: &mut Inner, address: IpAddr, reserved: bool) -> Admitted {
        inner.next += 1;
        let id = inner.next;
        let (state, close) = (Arc::new(State::new()), CancellationToken::new());
        let entry = Entry { address, reserved, state: Arc::clone(&state), close: close.clone() };
        inner.entries.insert(id, entry);
        inner.http.connected(inner.entries.len());
        let handlers = if reserved {
            inner.reserved += 1;
            None
        } else {
            let most = self.limits.connections_per_address.max(self.limits.streams);
            let new =
                || OfAddress { connections: 0, handlers: Arc::new(Semaphore::new(most)), closed_at: None };
            let of = inner.per_address.entry(address).or_insert_with(new);
            of.connections += 1;
            Some((address, Arc::clone(&of.handlers)))
        };
        Admitted { slot: Arc::new(Slot { table: Arc::clone(self), id, handlers }), state, close, reserved }
    }
}

impl Inner {
    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.http.connected(self.entries.len());
        if entry.reserved {
            self.reserved -= 1;
        } else if let Some(of) = self.per_address.get_mut(&entry.address) {
            of.connections -= 1;
            if of.connections == 0 {
                self.per_address.remove(&entry.address);
            }
        }
    }

    /// Closes one of those connections: first heads that are not whole, then idle ones, then those that have waited for
    /// their client in the middle of a request; the oldest of each first.
    fn close_one(&mut self, of: impl Fn(&Entry, Rank) -> bool) -> bool {
        let now = Instant::now();
        let waiting = self.entries.iter().filter_map(|(id, entry)| {
            let (rank, since) = entry.state.waits(now)?;
            of(entry, rank).then_some((rank, since, *id))
        });
        let Some((.., id)) = waiting.min() else { return false };
        if let Some(entry) = self.entries.get(&id) {
            entry.close.cancel();
        }
        self.remove(id);
        self.http.replaced();
        true
    }

    /// Closes one of an address for a handler that waits: one whose own handlers wait for its client, as others have none
    /// that would be free then. Thousands may wait, so this is not done for each of them.
    fn close_one_of(&mut self, address: IpAddr) {
        let Some(of) = self.per_address.get_mut(&address) else { return };
        if of.closed_at.is_none_or(|closed_at| closed_at.elapsed() >= CLOSE_EVERY) {
            of.closed_at = Some(Instant::now());
            self.close_one(|entry, rank| {
                rank == Rank::Waiting && !entry.reserved && entry.address == address
            });
        }
    }

    fn say(&mut self, limits: &Limits) {
        if self.logged_at.is_none_or(|logged_at| logged_at.elapsed() >= SAY_EVERY) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(
                in_all = self.entries.len(),
                limit = limits.connections,
                limit_per_address = limits.connections_per_address,
                "too many connections: those that wait for their clients are closed for new ones"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections: usize, connections_per_address: usize, reserve: usize) -> Arc<Table> {
        let limits = Limits { connections, connections_per_address, reserve, ..Limits::default() };
        Arc::new(Table::new(limits, Http::default()))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_head_that_is_not_whole_is_closed_first() {
        let table = table(3, 3, 1);
        let idle = table.admit(address(1)).unwrap();
        drop(idle.state.answer());
        tokio::time::advance(Duration::from_secs(1)).await;
        let (old, young) = (table.admit(address(1)).unwrap(), table.admit(address(1)).unwrap());
        old.state.received(b"GET");
        tokio::time::advance(Duration::from_secs(1)).await;
        young.state.received(b"GET");
        let fourth = table.admit(address(1)).unwrap();
        assert!(old.close.is_cancelled() && !young.close.is_cancelled() && !idle.close.is_cancelled());
        fourth.state.received(b"GET");
        let fifth = table.admit(address(1)).unwrap();
        assert!(young.close.is_cancelled() && !fourth.close.is_cancelled());
        let _busy = [fourth.state.answer(), fifth.state.answer()];
        assert!(!table.admit(address(1)).unwrap().reserved);
        assert!(idle.close.is_cancelled(), "then one that is idle");
    }

    #[tokio::test]
    async fn connections_at_work_are_not_closed_and_the_reserve_is_for_those_beyond_them() {
        let table = table(2, 2, 1);
        let admitted = [table.admit(address(1)).unwrap(), table.admit(address(2)).unwrap()];
        let busy: Vec<_> = admitted.iter().map(|one| one.state.answer()).collect();
        let reserved = table.admit(address(3)).unwrap();
        assert!(reserved.reserved && admitted.iter().all(|one| !one.close.is_cancelled()));
        let another = table.admit(address(3)).unwrap();
        assert!(another.reserved && reserved.close.is_cancelled(), "its head did not come");
        let at_work = another.state.answer();
        assert!(table.admit(address(3)).is_none());
        drop((reserved, at_work, another, busy, admitted));
        assert!(!table.admit(address(3)).unwrap().reserved);
        let left = table.lock();
        assert!(left.entries.is_empty() && left.per_address.is_empty() && left.reserved == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_as_many_handlers_as_connections_and_closes_its_own_that_wait_for_one_more() {
        let limits = Limits { connections_per_address: 2, streams: 2, ..Limits::default() };
        let table = Arc::new(Table::new(limits, Http::default()));
        let (slow, other) = (table.admit(address(1)).unwrap(), table.admit(address(2)).unwrap());
        let idle = table.admit(address(1)).unwrap();
        drop(idle.state.answer());
        let answering = slow.state.answer();
        answering.body().is_waited_for();
        let (first, second) = (slow.slot.handler().await.unwrap(), slow.slot.handler().await.unwrap());
        let mut third = Box::pin(slow.slot.handler());
        assert!(tokio::time::timeout(Limits::WAITED / 2, &mut third).await.is_err());
        assert!(!slow.close.is_cancelled(), "its client may be about to go on");
        assert!(other.slot.handler().await.is_some(), "another address has its own");
        assert!(tokio::time::timeout(Limits::WAITED, &mut third).await.is_err());
        assert!(slow.close.is_cancelled() && !other.close.is_cancelled());
        assert!(!idle.close.is_cancelled(), "to close it would make no handler free");
        drop((first, second));
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn one_address_takes_room_from_itself_only() {
        let table = table(10, 1, 1);
        let (mine, others) = (table.admit(address(1)).unwrap(), table.admit(address(2)).unwrap());
        let second = table.admit(address(1)).unwrap();
        assert!(mine.close.is_cancelled() && !others.close.is_cancelled() && !second.reserved);
        let network = |text: &str| super::network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
