//! Sessions of customers, tokens of guests and scopes of clients, as they were read less than two seconds ago. Sessions of staff are read at
//! each request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use ring::digest::{SHA256, digest};
use soonshop_identity::ActiveSession;
use soonshop_service_kit::access::KnownGuest;
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

/// What clients that act for themselves may, as it was read lately.
pub(super) struct ClientScopes(Cache<Uuid, (Instant, Arc<[String]>)>);

impl ClientScopes {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(REMEMBERED).build())
    }

    /// The scope of that client, if it was read lately.
    pub(super) fn get(&self, client: Uuid) -> Option<Arc<[String]>> {
        let (read_at, scope) = self.0.get(&client)?;
        (read_at.elapsed() < REMEMBERED).then_some(scope)
    }

    /// Keeps what a reading that began at that moment found.
    pub(super) fn keep(&self, client: Uuid, read_at: Instant, scope: &Arc<[String]>) {
        self.0.insert(client, (read_at, Arc::clone(scope)));
    }
}

/// A token as it is remembered.
pub(super) fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// The guests whose tokens were read lately.
pub(super) struct Guests(Cache<[u8; 32], (Instant, KnownGuest)>);

impl Guests {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(REMEMBERED).build())
    }

    /// The guest of the token of this hash, if it was read lately.
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<KnownGuest> {
        let (read_at, guest) = self.0.get(hash)?;
        (read_at.elapsed() < REMEMBERED).then_some(guest)
    }

    /// Keeps what a reading that began at that moment found.
    pub(super) fn keep(&self, hash: [u8; 32], read_at: Instant, guest: Option<KnownGuest>) {
        if let Some(guest) = guest {
            self.0.insert(hash, (read_at, guest));
        }
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
            permissions: Vec::new(),
            staff,
            expires_at: soonshop_domain::clock::now(),
            factor: soonshop_identity::FactorGiven::Never,
            client: "soonshop".to_owned(),
            scope: String::new(),
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

    #[tokio::test(start_paused = true)]
    async fn a_guest_is_remembered_for_two_seconds_by_the_hash_of_the_token() {
        let (guests, token) = (Guests::new(), hash("ssg_one"));
        let guest = KnownGuest { id: Uuid::from_u128(1), first_command: Uuid::from_u128(2) };
        guests.keep(token, Instant::now(), Some(guest));
        guests.keep(hash("ssg_two"), Instant::now(), None);
        assert_eq!((guests.get(&token), guests.get(&hash("ssg_two"))), (Some(guest), None));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(guests.get(&token), None);
    }
}
