//! Where followers of one process get their events: from what the bus just brought, or from the log.
//!
//! Messages of the bus may be lost, late or out of order, and nothing goes wrong: an entry from the bus is used only
//! if the event before it is the one at the follower's checkpoint. Otherwise the follower wakes up and reads the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use soonshop_event_log::follow::Source;
use soonshop_event_log::{Checkpoint, Entry, Error, EventLog, StoredEvent};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A page of the log, kept for a moment because several followers want it.
const PAGE: i64 = 1_000;

/// The most live entries that are kept for followers that are a little behind.
const RECENT: usize = 4_096;

/// How often the head is read while the bus brings nothing.
const IDLE: Duration = Duration::from_millis(250);

/// How often the head is read while the bus is down.
const WITHOUT_BUS: Duration = Duration::from_millis(25);

/// Entries hold decrypted personal values, so they are kept no longer than a key may be used.
const CLEAR: Duration = Duration::from_secs(3);

/// The newest entries, without a gap.
#[derive(Default)]
struct Recent {
    /// The event before the first of them.
    previous: Option<Uuid>,
    entries: VecDeque<(Instant, Entry)>,
}

impl Recent {
    fn forget_first(&mut self) {
        if let Some((_, first)) = self.entries.pop_front() {
            self.previous = Some(first.event_id);
        }
    }

    fn forget_old(&mut self) {
        while self.entries.front().is_some_and(|(came, _)| came.elapsed() > CLEAR) {
            self.forget_first();
        }
    }
}

struct Page {
    /// The event before it; `None` before position 1.
    previous: Option<Uuid>,
    entries: Arc<[Entry]>,
}

/// The events of a log, for all followers of a process.
#[derive(Clone)]
pub struct Feed {
    log: EventLog,
    recent: Arc<Mutex<Recent>>,
    pages: Cache<i64, Arc<Page>>,
    head: Arc<watch::Sender<i64>>,
    bus: Arc<watch::Sender<bool>>,
}

impl Feed {
    pub fn new(log: EventLog) -> Self {
        let pages = Cache::builder().max_capacity(8).time_to_live(CLEAR).build();
        Self {
            log,
            recent: Arc::default(),
            pages,
            head: Arc::new(watch::channel(0).0),
            bus: Arc::new(watch::channel(false).0),
        }
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Says whether the bus works: without it the head is read more often.
    pub fn set_bus(&self, up: bool) {
        self.bus.send_if_modified(|now| std::mem::replace(now, up) != up);
    }

    /// Announces that the log may have reached this position.
    pub fn wake(&self, position: i64) {
        self.head.send_if_modified(|head| {
            let newer = position > *head;
            *head = (*head).max(position);
            newer
        });
    }

    /// Takes an event that the bus brought, and the id of the event before it.
    pub async fn offer(&self, stored: StoredEvent, previous: Option<Uuid>) -> Result<(), Error> {
        let position = stored.position;
        for entry in self.log.decode(vec![stored]).await? {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.forget_old();
            let came = (Instant::now(), entry);
            let last = recent.entries.back().map(|(_, last)| (last.position, last.event_id));
            match last {
                Some((last, id)) if last + 1 == position && Some(id) == previous => {
                    recent.entries.push_back(came);
                }
                Some((last, _)) if position <= last => {}
                _ => *recent = Recent { previous, entries: VecDeque::from([came]) },
            }
            if recent.entries.len() > RECENT {
                recent.forget_first();
            }
        }
        self.wake(position);
        Ok(())
    }

    /// The entries after the checkpoint, at most `most`; none at the head.
    pub async fn after(
        &self,
        follower: &str,
        checkpoint: &Checkpoint,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        if let Some(entries) = self.live(checkpoint, most) {
            return Ok(entries);
        }
        let base = checkpoint.position / PAGE * PAGE;
        if *self.head.borrow() >= base + PAGE {
            let page = self.page(base).await?;
            let index = usize::try_from(checkpoint.position - base).unwrap_or(0);
            let before = match index {
                0 => page.previous,
                _ => page.entries.get(index - 1).map(|entry| entry.event_id),
            };
            // The page may come from a history that was replaced: the log decides.
            if page.entries.len() == usize::try_from(PAGE).unwrap_or(0) && before == checkpoint.event_id {
                return Ok(page.entries[index..].iter().take(most).cloned().collect());
            }
        }
        let limit = i64::try_from(most).unwrap_or(PAGE).min(PAGE);
        let entries = self.log.read_after(follower, checkpoint, limit).await?;
        if let Some(last) = entries.last() {
            self.wake(last.position);
        }
        Ok(entries)
    }

    fn live(&self, checkpoint: &Checkpoint, most: usize) -> Option<Vec<Entry>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, first) = recent.entries.front()?;
        let skip = usize::try_from(checkpoint.position + 1 - first.position).ok()?;
        let before = match skip {
            0 => recent.previous,
            _ => recent.entries.get(skip - 1).map(|(_, entry)| entry.event_id),
        };
        let entries: Vec<Entry> =
            recent.entries.iter().skip(skip).take(most).map(|(_, entry)| entry.clone()).collect();
        (before == checkpoint.event_id && !entries.is_empty()).then_some(entries)
    }

    async fn page(&self, base: i64) -> Result<Arc<Page>, Error> {
        let read = async {
            let mut rows = self.log.read_many(base.max(1), PAGE + i64::from(base > 0)).await?;
            let previous = if base > 0 && !rows.is_empty() { Some(rows.remove(0).event_id) } else { None };
            let entries = self.log.decode(rows).await?;
            Ok::<_, Error>(Arc::new(Page { previous, entries: entries.into() }))
        };
        self.pages.try_get_with(base, read).await.map_err(|error| match Arc::try_unwrap(error) {
            Ok(error) => error,
            Err(shared) => match &*shared {
                Error::Unavailable(reason) => Error::Unavailable(reason.clone()),
                Error::Keys(reason) => Error::Keys(reason.clone()),
                other => Error::Database(other.to_string()),
            },
        })
    }

    /// Resolves when there may be something after `position`. Safe to drop.
    pub async fn wait(&self, position: i64) {
        let mut head = self.head.subscribe();
        // An error means that the feed was dropped, so nothing waits any more.
        drop(head.wait_for(|head| *head > position).await);
    }

    /// The highest position that was announced.
    pub fn known_head(&self) -> i64 {
        *self.head.borrow()
    }

    /// Reads the head again and again: often while the bus is down and events come, every 250 ms otherwise. So a lost
    /// last message is noticed, and also a log that went back to an older state.
    pub async fn watch_head(self, stop: CancellationToken) {
        let mut quiet = WITHOUT_BUS;
        let mut bus = self.bus.subscribe();
        loop {
            let pause = if *bus.borrow() { IDLE } else { quiet };
            tokio::select! {
                () = stop.cancelled() => return,
                _ = bus.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).forget_old();
            // Removes expired pages from memory now: the cache would keep them until its next use.
            self.pages.run_pending_tasks().await;
            match self.log.head().await {
                Ok(head) => {
                    let known = self.known_head();
                    quiet = if head.position > known { WITHOUT_BUS } else { (quiet * 2).min(IDLE) };
                    if head.position < known {
                        // The log went back to an older state: entries of the replaced history are dropped; followers
                        // compare their own.
                        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Recent::default();
                        self.pages.invalidate_all();
                        self.head.send_replace(head.position);
                    } else {
                        self.wake(head.position);
                    }
                }
                Err(error) => tracing::warn!(%error, "the head of the log cannot be read"),
            }
        }
    }
}

#[async_trait]
impl Source for Feed {
    type Event = Entry;

    async fn after(
        &mut self,
        follower: &str,
        checkpoint: &Checkpoint,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        Self::after(self, follower, checkpoint, most).await
    }

    async fn news(&mut self, position: i64) {
        self.wait(position - 1).await;
    }
}
