//! New guests, stored together: whoever comes while some are being stored waits, and the next transaction stores all who
//! wait. A transaction for each would have as many guests wait for one another as there are writers of a database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sea_orm::{ConnectionTrait as _, Value};
use soonshop_event_log::Error as StoreError;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::guests::Guest;
use crate::{Error, Identity};

/// The most that one transaction stores.
const MOST: usize = 200;

/// A guest to store.
#[derive(Clone)]
pub(crate) struct NewGuest {
    pub(crate) guest: Guest,
    pub(crate) token_hash: String,
    pub(crate) key_number: i32,
}

struct Waiting {
    new: NewGuest,
    stored: oneshot::Sender<Result<i32, String>>,
}

/// The guests that wait to be stored.
#[derive(Default)]
pub(crate) struct NewGuests {
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever has it stores all who wait.
    turn: tokio::sync::Mutex<()>,
}

impl NewGuests {
    fn add(&self, new: NewGuest) -> oneshot::Receiver<Result<i32, String>> {
        let (stored, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { new, stored });
        receiver
    }

    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Who went away may have been erased since.
        waiting.retain(|one| !one.stored.is_closed());
        let number = waiting.len().min(MOST);
        let mut next: Vec<_> = waiting.drain(..number).collect();
        // In one order, so that two processes that store the same guests do not wait for each other.
        next.sort_by_key(|one| one.new.guest.id);
        next
    }
}

impl Identity {
    /// Stores a guest, if there is none of this id yet: the number of the key that their token is made with.
    pub(crate) async fn store_guest(&self, new: NewGuest) -> Result<i32, Error> {
        let guests = &self.new_guests;
        let mut stored = guests.add(new.clone());
        let _turn = guests.turn.lock().await;
        loop {
            match stored.try_recv() {
                Ok(number) => return Ok(number.map_err(StoreError::Unavailable)?),
                Err(TryRecvError::Empty) => {}
                // Whoever was storing it went away before it was done.
                Err(TryRecvError::Closed) => stored = guests.add(new.clone()),
            }
            let together = guests.next();
            let numbers = self.insert_guests(&together).await.map_err(|error| error.to_string());
            for one in together {
                let number = numbers.as_ref().map_err(Clone::clone).and_then(|numbers| {
                    let number = numbers.get(&one.new.guest.id.to_string()).copied();
                    number.ok_or_else(|| "the guest was deleted in the same moment".to_owned())
                });
                // Who does not wait any more asks again.
                let _ = one.stored.send(number);
            }
        }
    }

    /// The number of the key of each guest's token, by the guest.
    async fn insert_guests(&self, together: &[Waiting]) -> Result<HashMap<String, i32>, Error> {
        let now = self.db.now();
        let mut rows = Vec::with_capacity(together.len());
        let mut values: Vec<Value> = Vec::with_capacity(together.len() * 4);
        for Waiting { new, .. } in together {
            let first = values.len();
            let places: Vec<String> = (1..=4).map(|place| format!("${}", first + place)).collect();
            rows.push(format!("({}, {now}, {now})", places.join(", ")));
            values.extend([
                new.guest.id.to_string().into(),
                new.token_hash.clone().into(),
                new.key_number.into(),
                new.guest.first_command.to_string().into(),
            ]);
        }
        let sql = format!(
            "INSERT INTO @guests (id, token_hash, key_number, first_command, began_at, used_at) VALUES {} \
             ON CONFLICT DO NOTHING",
            rows.join(", ")
        );
        let tx = self.begin().await?;
        tx.execute(self.db.statement(&sql, values)).await?;
        let ids = together.iter().map(|one| one.new.guest.id.to_string().into());
        let places: Vec<String> = (1..=together.len()).map(|place| format!("${place}")).collect();
        let sql = format!("SELECT id, key_number FROM @guests WHERE id IN ({})", places.join(", "));
        let found = tx.query_all(self.db.statement(&sql, ids)).await?;
        tx.commit().await?;
        let mut numbers = HashMap::new();
        for row in found {
            numbers.insert(row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i32>(1)?);
        }
        Ok(numbers)
    }
}
