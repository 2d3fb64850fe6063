//! Cached answers. When the cache is slow, broken or gone, it is bypassed for a moment, and answers come from rows.
//!
//! A cache that cannot be invalidated still answers, and with old values: a Redis that is full or was made a replica,
//! or one whose follower does not run. So the checkpoint inside the cache is compared with that of the rows, and a
//! cache that has not seen what the rows had a moment ago is not read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use soonshop_cache::{Cache, Entry};
use soonshop_event_log::{Checkpoint, Db};
use soonshop_projections::generation::ROWS;
use tokio::time::Instant;

/// How long the cache may take; rows are faster than a slower one.
const PATIENCE: Duration = Duration::from_millis(50);
/// For how long a cache that failed is bypassed.
const AVOIDED: Duration = Duration::from_secs(1);
/// How often the checkpoint of the cache is compared with that of the rows.
const COMPARED: Duration = Duration::from_millis(500);
/// The cache may be behind what the rows had seen at the comparison before, if that was not longer ago than this.
const RECENT: Duration = Duration::from_millis(1_500);

pub(crate) struct ProductCache {
    cache: Arc<dyn Cache>,
    avoid_until: Mutex<Option<Instant>>,
    failures: AtomicU64,
    spaces: Mutex<HashMap<String, LastComparison>>,
    /// Held during a comparison; other readers go by the last one meanwhile.
    comparing: tokio::sync::Mutex<()>,
}

/// The last comparison of a space.
#[derive(Debug, Clone, Copy)]
struct LastComparison {
    at: Instant,
    /// The position of the rows.
    rows: i64,
    /// The cache has seen what the rows had seen a moment before.
    current: bool,
}

/// Whether a cache at position `cached` may be read, when the rows are at `rows` now and were at `before`.
fn is_current(cached: Option<i64>, rows: i64, before: Option<i64>) -> bool {
    cached.is_some_and(|cached| cached >= before.unwrap_or(rows).min(rows))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProductCache {
    pub(crate) fn new(cache: Arc<dyn Cache>) -> Self {
        Self {
            cache,
            avoid_until: Mutex::default(),
            failures: AtomicU64::new(0),
            spaces: Mutex::default(),
            comparing: tokio::sync::Mutex::default(),
        }
    }

    /// The cached value, if it was read at `wanted` or later, and the cache is invalidated in time. `db` holds the
    /// rows.
    pub(crate) async fn get(&self, db: &Db, space: &str, key: &str, expected: Option<i64>) -> Option<Entry> {
        if !self.is_invalidated(db, space).await {
            return None;
        }
        let entry = self.within(self.cache.get(space, key)).await??;
        expected.is_none_or(|expected| entry.position >= expected).then_some(entry)
    }

    /// Caches what was read at `position`, unless the cache holds something newer.
    pub(crate) async fn put(&self, space: &str, key: &str, position: i64, value: Bytes) {
        self.within(self.cache.put(space, key, Entry { value, position })).await;
    }

    /// Whether the cache has seen what the rows had seen a moment ago.
    async fn is_invalidated(&self, db: &Db, space: &str) -> bool {
        let last = lock(&self.spaces).get(space).copied();
        if let Some(last) = last.filter(|last| last.at.elapsed() < COMPARED) {
            return last.current;
        }
        let Ok(_comparing) = self.comparing.try_lock() else {
            // Somebody compares just now.
            return last.is_some_and(|last| last.current && last.at.elapsed() < RECENT);
        };
        let Some(cached) = self.within(self.cache.checkpoint(space)).await else { return false };
        // Read after that of the cache, which never passes the rows.
        let rows = match Checkpoint::load(db, &db.connection, ROWS).await {
            Ok(rows) => rows.map_or(0, |(rows, _)| rows.position),
            Err(error) => {
                tracing::debug!(%error, "the cache is not read: the rows could not be asked");
                lock(&self.spaces).remove(space);
                return false;
            }
        };
        let cached = cached.and_then(|text| text.parse::<Checkpoint>().ok()).map(|at| at.position);
        let before = last.filter(|last| last.at.elapsed() < RECENT).map(|last| last.rows);
        let current = is_current(cached, rows, before);
        if last.is_some_and(|last| last.current) && !current {
            tracing::warn!(space, ?cached, rows, "the cache is not read: it is not invalidated");
        }
        lock(&self.spaces).insert(space.to_owned(), LastComparison { at: Instant::now(), rows, current });
        current
    }

    async fn within<T>(&self, using: impl Future<Output = Result<T, soonshop_cache::Error>>) -> Option<T> {
        let avoid_until = *lock(&self.avoid_until);
        if avoid_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let reason = match tokio::time::timeout(PATIENCE, using).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is slow".to_owned(),
        };
        *lock(&self.avoid_until) = Some(Instant::now() + AVOIDED);
        // Meanwhile readers see the rows as they are now. Later the cache must have seen as much: otherwise they would
        // read an old value after a new one.
        lock(&self.spaces).clear();
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(reason, failures, "the cache was bypassed");
        None
    }
}

#[cfg(test)]
mod tests {
    use super::is_current;

    #[test]
    fn a_cache_is_read_only_if_it_has_seen_what_the_rows_had_a_moment_ago() {
        assert!(is_current(Some(7), 7, None));
        assert!(!is_current(Some(6), 7, None), "nothing is known of a moment ago");
        assert!(is_current(Some(6), 7, Some(6)), "the newest event is on its way to the cache");
        assert!(!is_current(Some(5), 7, Some(6)));
        assert!(!is_current(None, 0, None), "an empty cache has no follower yet");
        assert!(is_current(Some(3), 3, Some(9)), "rows that were rebuilt begin again");
    }
}
