//! New guests, stored together: whoever comes while some are being stored waits, and the next transaction stores all who
//! wait. A transaction for each would have as many guests wait for one another as there are writers of a database.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

/// The most that one transaction stores.
const MOST: usize = 200;

/// A guest to store.
#[derive(Clone)]
pub(crate) struct NewGuest {
    pub(crate) id: Uuid,
    pub(crate) first_command: Uuid,
    pub(crate) token_hash: String,
    pub(crate) key_number: i32,
}

pub(crate) struct Waiting {
    pub(crate) new: NewGuest,
    /// Gets the number of the key of their token, or why they were not stored.
    pub(crate) stored: oneshot::Sender<Result<i32, String>>,
}

/// The guests that wait to be stored.
#[derive(Default)]
pub(crate) struct NewGuests {
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever has it stores all who wait.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl NewGuests {
    pub(crate) fn add(&self, new: NewGuest) -> oneshot::Receiver<Result<i32, String>> {
        let (stored, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { new, stored });
        receiver
    }

    /// Those whom the next transaction stores.
    pub(crate) fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who went away may have been erased since.
        waiting.retain(|one| !one.stored.is_closed());
        let number = waiting.len().min(MOST);
        let mut next: Vec<_> = waiting.drain(..number).collect();
        // In one order, so that two processes that store the same guests do not wait for each other.
        next.sort_by_key(|one| one.new.id);
        next
    }
}
