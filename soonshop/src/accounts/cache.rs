//! Sessions of customers, as they were read less than two seconds ago. Those of staff are read at each request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use soonshop_identity::ActiveSession;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a session counts as it was read, from the start of the reading on.
pub(super) const REMEMBERED: Duration = Duration::from_secs(2);

/// How many are remembered.
const MOST: u64 = 10_000;

/// The sessions that were read lately.
pub(super) struct Remembered {
    sessions: Cache<Uuid, (Instant, ActiveSession)>,
    /// What was read before this moment counts no more: a session ended in this process.
    not_before: Mutex<Option<Instant>>,
}

impl Remembered {
    pub(super) fn new() -> Self {
        let sessions = Cache::builder().max_capacity(MOST).time_to_live(REMEMBERED).build();
        Self { sessions, not_before: Mutex::default() }
    }

    /// The session, if it was read lately and is a customer's.
    pub(super) fn get(&self, session: Uuid) -> Option<ActiveSession> {
        let (read_at, active) = self.sessions.get(&session)?;
        let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = read_at.elapsed() < REMEMBERED && not_before.is_none_or(|moment| read_at > moment);
        counts.then_some(active)
    }

    /// Keeps what a reading that began at that moment found.
    pub(super) fn keep(&self, session: Uuid, read_at: Instant, active: Option<&ActiveSession>) {
        match active.filter(|active| !active.staff) {
            Some(active) => self.sessions.insert(session, (read_at, active.clone())),
            None => self.sessions.invalidate(&session),
        }
    }

    /// Some session has ended: nothing that was read before counts.
    pub(super) fn clear(&self) {
        *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(staff: bool) -> ActiveSession {
        ActiveSession {
            account: Uuid::from_u128(1),
            session: Uuid::from_u128(2),
            roles: Vec::new(),
            staff,
            expires_at: soonshop_domain::clock::now(),
            factor: soonshop_identity::FactorGiven::Never,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_remembered_for_two_seconds_from_the_start_of_its_reading() {
        let (remembered, id) = (Remembered::new(), Uuid::from_u128(2));
        let read_at = Instant::now();
        // The reading took a while.
        tokio::time::advance(Duration::from_millis(1_500)).await;
        remembered.keep(id, read_at, Some(&active(false)));
        assert!(remembered.get(id).is_some());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(remembered.get(id), None);
        remembered.keep(id, Instant::now(), Some(&active(true)));
        assert_eq!(remembered.get(id), None, "staff are read at each request");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_session_ended_counts_no_more_however_late_it_comes() {
        let (remembered, id) = (Remembered::new(), Uuid::from_u128(2));
        let read_at = Instant::now();
        tokio::time::advance(Duration::from_millis(10)).await;
        remembered.clear();
        remembered.keep(id, read_at, Some(&active(false)));
        assert_eq!(remembered.get(id), None);
        tokio::time::advance(Duration::from_millis(10)).await;
        remembered.keep(id, Instant::now(), Some(&active(false)));
        assert!(remembered.get(id).is_some());
        remembered.keep(id, Instant::now(), None);
        assert_eq!(remembered.get(id), None);
    }
}
