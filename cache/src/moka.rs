//! Entries in this process, bounded by weight; beside them the floors, which are never evicted for space.
//!
//! [`Cache::get`] never returns an entry below its key's floor, in whatever order puts and invalidations end: the
//! floor is raised before the entry is removed, and checked after the entry was read or written.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use moka::future::Cache as Store;
use moka::ops::compute::{CompResult, Op};
use tokio::time::Instant;

use crate::port::{Cache, ENTRY_LIFE, Entry, Error, FLOOR_LIFE};

/// The most weight of all entries together.
const WEIGHT: u64 = 32 * 1024 * 1024;
/// The approximate weight of an entry besides its key and value.
const OVERHEAD: usize = 160;
/// Beyond this many floors, one floor for the whole space replaces them: it refuses more entries, never fewer.
const MOST_FLOORS: usize = 65_536;

/// The key of an entry: the space's number, new each time it is dropped, and the key in it.
type Name = (u64, Box<str>);

pub(crate) struct Moka {
    store: Store<Name, Entry>,
    spaces: Mutex<Spaces>,
}

#[derive(Default)]
struct Spaces {
    last: u64,
    by_name: HashMap<String, Arc<Space>>,
}

struct Space {
    number: u64,
    /// The space was read or written, so a read may be under way.
    used: AtomicBool,
    closed_until: Option<Instant>,
    floors: Mutex<Floors>,
    checkpoint: Mutex<Option<String>>,
}

#[derive(Default)]
struct Floors {
    by_key: HashMap<Box<str>, (i64, Instant)>,
    /// When to check which key again, oldest first.
    ends: VecDeque<(Instant, Box<str>)>,
    everywhere: Option<(i64, Instant)>,
}

impl Floors {
    fn of(&self, key: &str) -> Option<i64> {
        let now = Instant::now();
        let own = self.by_key.get(key).filter(|(_, end)| *end > now).map(|(floor, _)| *floor);
        let all = self.everywhere.filter(|(_, end)| *end > now).map(|(floor, _)| floor);
        own.max(all)
    }

    fn raise(&mut self, keys: &[String], floor: i64) {
        let now = Instant::now();
        let end = now + FLOOR_LIFE;
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, key)) = self.ends.pop_front()
                && self.by_key.get(&key).is_some_and(|(_, end)| *end <= now)
            {
                self.by_key.remove(&key);
            }
        }
        for key in keys {
            let key: Box<str> = key.as_str().into();
            let entry = self.by_key.entry(key.clone()).or_insert((floor, end));
            // An expired floor is kept only if it is higher: a lower floor is never safer.
            *entry = (entry.0.max(floor), end);
            self.ends.push_back((end, key));
        }
        if self.ends.len() > MOST_FLOORS {
            let highest = self.by_key.values().map(|(floor, _)| *floor).max();
            let before = self.everywhere.filter(|(_, end)| *end > now).map(|(floor, _)| floor);
            self.everywhere = highest.max(before).map(|floor| (floor, end));
            self.by_key.clear();
            self.ends.clear();
        }
    }
}

/// Data left by a panic is still valid: each change under these locks is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Moka {
    pub(crate) fn new() -> Self {
        let store = Store::builder()
            .max_capacity(WEIGHT)
            .weigher(|(_, key): &Name, entry: &Entry| {
                u32::try_from(key.len() + entry.value.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .time_to_live(ENTRY_LIFE)
            .support_invalidation_closures()
            .build();
        Self { store, spaces: Mutex::default() }
    }

    fn space(&self, name: &str) -> Arc<Space> {
        let mut spaces = lock(&self.spaces);
        if let Some(space) = spaces.by_name.get(name) {
            return space.clone();
        }
        let space = spaces.add(None);
        spaces.by_name.insert(name.to_owned(), space.clone());
        space
    }

    /// Removes the entry if it is below its floor.
    async fn sink(&self, space: &Space, key: &str) {
        let Some(floor) = lock(&space.floors).of(key) else { return };
        self.store
            .entry((space.number, key.into()))
            .and_compute_with(|there| {
                let old = there.is_some_and(|there| there.value().position < floor);
                std::future::ready(if old { Op::Remove } else { Op::Nop })
            })
            .await;
    }
}

impl Spaces {
    fn add(&mut self, closed_until: Option<Instant>) -> Arc<Space> {
        self.last += 1;
        Arc::new(Space {
            number: self.last,
            used: AtomicBool::new(false),
            closed_until,
            floors: Mutex::default(),
            checkpoint: Mutex::default(),
        })
    }
}

#[async_trait]
impl Cache for Moka {
    fn backend(&self) -> &'static str {
        "moka"
    }

    fn shared(&self) -> bool {
        false
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, Error> {
        // Nothing here waits, so a reader in a loop would never let another task run.
        tokio::task::coop::consume_budget().await;
        let space = self.space(space);
        space.used.store(true, Ordering::Relaxed);
        let Some(entry) = self.store.get(&(space.number, key.into())).await else { return Ok(None) };
        let floor = lock(&space.floors).of(key);
        Ok(floor.is_none_or(|floor| entry.position >= floor).then_some(entry))
    }

    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, Error> {
        let space = self.space(space);
        space.used.store(true, Ordering::Relaxed);
        let position = entry.position;
        let below = |space: &Space| lock(&space.floors).of(key).is_some_and(|floor| position < floor);
        if space.closed_until.is_some_and(|end| Instant::now() < end) || below(&space) {
            return Ok(false);
        }
        let done = self
            .store
            .entry((space.number, key.into()))
            .and_compute_with(|there| {
                let newer = there.is_some_and(|there| there.value().position > position);
                std::future::ready(if newer { Op::Nop } else { Op::Put(entry) })
            })
            .await;
        if below(&space) {
            // The floor was raised meanwhile, perhaps after the invalidation looked for the entry.
            self.sink(&space, key).await;
            return Ok(false);
        }
        Ok(matches!(done, CompResult::Inserted(_) | CompResult::ReplacedWith(_)))
    }

    async fn invalidate(&self, space: &str, keys: &[String], floor: i64) -> Result<(), Error> {
        let space = self.space(space);
        lock(&space.floors).raise(keys, floor);
        for key in keys {
            self.sink(&space, key).await;
        }
        Ok(())
    }

    async fn checkpoint(&self, space: &str) -> Result<Option<String>, Error> {
        Ok(lock(&self.space(space).checkpoint).clone())
    }

    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), Error> {
        *lock(&self.space(space).checkpoint) = Some(checkpoint.to_owned());
        Ok(())
    }

    async fn drop_space(&self, space: &str) -> Result<(), Error> {
        let dropped = {
            let mut spaces = lock(&self.spaces);
            let Some(dropped) = spaces.by_name.get(space).cloned() else { return Ok(()) };
            let closed_until = if dropped.used.load(Ordering::Relaxed) {
                Some(Instant::now() + FLOOR_LIFE)
            } else {
                dropped.closed_until
            };
            let fresh = spaces.add(closed_until);
            spaces.by_name.insert(space.to_owned(), fresh);
            dropped.number
        };
        // They are unreachable already; this only frees their memory.
        if let Err(error) = self.store.invalidate_entries_if(move |(number, _), _| *number == dropped) {
            tracing::warn!(%error, "entries of a dropped space stay until they are pushed out");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(position: i64) -> Entry {
        Entry { value: Bytes::from(position.to_string()), position }
    }

    #[tokio::test]
    async fn all_entries_together_stay_within_their_weight() {
        let cache = Moka::new();
        for n in 0..2_000 {
            let value = Bytes::from(vec![0; 64 * 1024]);
            cache.put("s", &n.to_string(), Entry { value, position: n }).await.unwrap();
        }
        cache.store.run_pending_tasks().await;
        assert!(cache.store.weighted_size() <= WEIGHT, "{}", cache.store.weighted_size());
        assert!(cache.store.entry_count() > 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_floor_is_kept_for_a_minute_and_then_forgotten() {
        let cache = Moka::new();
        cache.invalidate("s", &["k".to_owned()], 7).await.unwrap();
        tokio::time::advance(FLOOR_LIFE / 2).await;
        assert!(!cache.put("s", "k", entry(6)).await.unwrap());
        // A lower floor extends the life of the higher one.
        cache.invalidate("s", &["k".to_owned()], 3).await.unwrap();
        tokio::time::advance(FLOOR_LIFE * 3 / 4).await;
        assert!(!cache.put("s", "k", entry(6)).await.unwrap());
        tokio::time::advance(FLOOR_LIFE).await;
        cache.invalidate("s", &["other".to_owned()], 7).await.unwrap();
        assert_eq!(lock(&cache.space("s").floors).by_key.len(), 1);
        assert!(cache.put("s", "k", entry(6)).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_space_that_was_dropped_while_in_use_takes_entries_after_a_minute() {
        let cache = Moka::new();
        cache.drop_space("s").await.unwrap();
        assert!(cache.put("s", "k", entry(6)).await.unwrap());
        cache.drop_space("s").await.unwrap();
        cache.drop_space("s").await.unwrap();
        assert!(!cache.put("s", "k", entry(6)).await.unwrap());
        tokio::time::advance(FLOOR_LIFE).await;
        assert!(cache.put("s", "k", entry(6)).await.unwrap());
    }

    #[tokio::test]
    async fn too_many_floors_become_one_floor_for_the_space() {
        let cache = Moka::new();
        assert!(cache.put("s", "quiet", entry(5)).await.unwrap());
        for page in 0..=MOST_FLOORS / 1_000 {
            let keys: Vec<String> = (0..1_000).map(|n| format!("{page}-{n}")).collect();
            cache.invalidate("s", &keys, 7).await.unwrap();
        }
        assert!(lock(&cache.space("s").floors).by_key.len() <= MOST_FLOORS);
        assert!(!cache.put("s", "0-0", entry(6)).await.unwrap());
        assert_eq!(cache.get("s", "quiet").await.unwrap(), None);
        assert!(cache.put("s", "quiet", entry(7)).await.unwrap());
    }
}
