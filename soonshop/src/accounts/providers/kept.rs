//! What was fetched from a provider, kept: fetched again once per cool-down at most, by one request at a time, and never
//! given up for a fetch that failed.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::fault::Fault;

/// How long nothing is fetched after a fetch began.
pub(super) const COOL_DOWN: Duration = Duration::from_secs(10);
/// After how long it is fetched again beside whatever goes on.
const OLD: Duration = Duration::from_mins(10);

/// A value that is kept, and when it was fetched.
pub(super) struct Kept<T> {
    held: RwLock<Option<(Arc<T>, Instant)>>,
    /// When the last fetch began.
    asked: Mutex<Option<Instant>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { held: RwLock::new(None), asked: Mutex::new(None) }
    }
}

impl<T> Kept<T> {
    /// What there is.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|(value, _)| Arc::clone(value))
    }

    /// Whether it should be fetched again soon.
    pub(super) fn is_old(&self) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().is_some_and(|(_, at)| at.elapsed() >= OLD)
    }

    /// Fetches it, unless that was tried within the cool-down; then what there is. Where there is something and somebody
    /// else fetches, nobody waits.
    pub(super) async fn renew(&self, fetch: impl Future<Output = Result<T, Fault>>) -> Option<Arc<T>> {
        let asked = match self.get() {
            Some(held) => match self.asked.try_lock() {
                Ok(asked) => Some(asked),
                Err(_) => return Some(held),
            },
            None => None,
        };
        let mut asked = match asked {
            Some(asked) => asked,
            None => self.asked.lock().await,
        };
        if asked.is_some_and(|at| at.elapsed() < COOL_DOWN) {
            return self.get();
        }
        *asked = Some(Instant::now());
        match fetch.await {
            Ok(value) => {
                let held = Some((Arc::new(value), Instant::now()));
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
            }
            Err(error) => tracing::warn!(%error, "what a provider of identities says is not renewed"),
        }
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// I10.
    #[tokio::test(start_paused = true)]
    async fn it_is_fetched_once_per_cool_down_and_a_fetch_that_fails_leaves_it() {
        let (kept, fetched) = (Kept::<u32>::default(), AtomicU32::new(0));
        let fetch = async || {
            let count = fetched.fetch_add(1, Ordering::Relaxed) + 1;
            if count == 2 { Err(Fault::away("500")) } else { Ok(count) }
        };
        for _ in 0..1_000 {
            assert_eq!(kept.renew(fetch()).await.as_deref(), Some(&1));
        }
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
        tokio::time::advance(COOL_DOWN).await;
        for _ in 0..1_000 {
            assert_eq!(kept.renew(fetch()).await.as_deref(), Some(&1), "the old one stays");
        }
        assert_eq!(fetched.load(Ordering::Relaxed), 2);
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(kept.renew(fetch()).await.as_deref(), Some(&3));
        assert!(!kept.is_old());
        tokio::time::advance(OLD).await;
        assert!(kept.is_old());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_something_does_not_wait_for_a_fetch_of_somebody_else() {
        let kept = Arc::new(Kept::<u32>::default());
        kept.renew(async { Ok(1) }).await;
        tokio::time::advance(COOL_DOWN).await;
        let other = Arc::clone(&kept);
        let hangs = tokio::spawn(async move { other.renew(std::future::pending()).await });
        tokio::task::yield_now().await;
        assert_eq!(kept.renew(async { Ok(2) }).await.as_deref(), Some(&1));
        hangs.abort();
    }
}
