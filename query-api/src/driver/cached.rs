//! Cached answers. When the cache is slow, broken or gone, it is bypassed for a moment, and answers come from rows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use soonshop_cache::{Cache, Entry};
use tokio::time::Instant;

/// How long the cache may take; rows are faster than a slower one.
const PATIENCE: Duration = Duration::from_millis(50);
/// For how long a cache that failed is bypassed.
const AVOIDED: Duration = Duration::from_secs(1);

pub(crate) struct Kept {
    cache: Arc<dyn Cache>,
    avoid_until: Mutex<Option<Instant>>,
    failures: AtomicU64,
}

impl Kept {
    pub(crate) fn new(cache: Arc<dyn Cache>) -> Self {
        Self { cache, avoid_until: Mutex::default(), failures: AtomicU64::new(0) }
    }

    /// The cached value, if it was read at `wanted` or later.
    pub(crate) async fn get(&self, space: &str, key: &str, wanted: Option<i64>) -> Option<Entry> {
        let entry = self.within(self.cache.get(space, key)).await??;
        wanted.is_none_or(|wanted| entry.position >= wanted).then_some(entry)
    }

    /// Caches what was read at `position`, unless the cache holds something newer.
    pub(crate) async fn put(&self, space: &str, key: &str, position: i64, value: Bytes) {
        self.within(self.cache.put(space, key, Entry { value, position })).await;
    }

    async fn within<T>(&self, using: impl Future<Output = Result<T, soonshop_cache::Error>>) -> Option<T> {
        let avoid_until = *self.avoid_until.lock().unwrap_or_else(PoisonError::into_inner);
        if avoid_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let reason = match tokio::time::timeout(PATIENCE, using).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it is slow".to_owned(),
        };
        *self.avoid_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + AVOIDED);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(reason, failures, "the cache was bypassed");
        None
    }
}
