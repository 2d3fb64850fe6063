//! What a check waits for that gets no answer: a file or a table that another program keeps locked.

use std::time::Instant;

use futures::future::join_all;
use soonshop_event_log::Database;
use soonshop_service_kit::health::{FRESH, Fault};
use tokio::sync::Mutex;

use crate::Shop;

/// What was found last, and when: checks that get no answer at once share it.
#[derive(Default)]
pub(super) struct Locks(Mutex<Option<(Instant, Option<Fault>)>>);

impl Locks {
    /// The fault of all that waits for a lock; `None`: nothing is kept locked, as far as can be found.
    pub(super) async fn find(&self, shop: &Shop) -> Option<Fault> {
        let mut last = self.0.lock().await;
        if let Some((_, found)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return found.clone();
        }
        let found = look(shop).await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

async fn look(shop: &Shop) -> Option<Fault> {
    let mut databases: Vec<&Database> = Vec::new();
    for database in [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database]
    {
        if databases.iter().all(|other| other.location() != database.location()) {
            databases.push(database);
        }
    }
    // One that does not answer has other faults, which its own check names.
    let found = join_all(databases.iter().map(|database| database.kept_locks())).await;
    let names: Vec<_> = found.into_iter().flat_map(Result::unwrap_or_default).collect();
    let reason = "another program keeps it locked, and what the shop does waits for that";
    (!names.is_empty()).then(|| Fault::of(names.join(", "), reason, "locked"))
}
