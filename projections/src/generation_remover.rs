//! Removing a generation: its rows, its index and its cache together.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::TransactionTrait as _;
use soonshop_cache::Cache;
use soonshop_event_log::{Error, Leases};
use soonshop_search::Search;

use crate::generation::ROWS;
use crate::operations::{self, Operation};
use crate::sink::{CACHE, INDEX};
use crate::{Generation, Registry};

/// How long a follower may take to notice that its lease was taken.
const NOTICE: Duration = Duration::from_secs(2);

/// Removes generations from all stores that hold a part of them.
pub struct GenerationRemover {
    pub registry: Registry,
    pub search: Arc<dyn Search>,
    pub cache: Arc<dyn Cache>,
    /// The process that removes it.
    pub holder: String,
}

impl GenerationRemover {
    /// Retires the generation and removes it. From here on no worker keeps it up to date, and no reader goes back to
    /// it. `done` is recorded in the transaction that retires it.
    pub async fn retire(&self, generation: &Generation, done: &Operation) -> Result<(), Error> {
        let db = self.registry.operations();
        let tx = db.connection.begin().await?;
        operations::record(db, &tx, done).await?;
        // The registry's row first: no follower starts on the generation any more, and the one that runs stops.
        self.registry.retire(&tx, generation).await?;
        tx.commit().await?;
        self.remove(generation).await
    }

    /// Takes the leases of a retired generation, and removes its index, its cache and its rows, in this order: as
    /// long as there are rows, something is left to remove. The leases are not given back but expire, so that no
    /// follower starts on a removed generation. Doing it again changes nothing.
    pub async fn remove(&self, generation: &Generation) -> Result<(), Error> {
        let leases = Leases::new(self.registry.operations().clone(), self.holder.clone());
        let name = generation.namespace();
        let mut kept = false;
        for sink in [ROWS, INDEX, CACHE] {
            let lease = format!("{name}:{sink}");
            kept |= leases.holder(&lease).await?.is_some_and(|holder| holder != self.holder);
            leases.take(&lease).await?;
        }
        if kept {
            // Until then the old holder may still write, and so bring back removed data.
            tokio::time::sleep(NOTICE).await;
        }
        let projector = crate::all().into_iter().find(|one| one.name() == generation.projection);
        // This release may not know the projection, nor whether it had an index.
        if projector.is_none_or(|projector| projector.searchable()) {
            let failed = |what: &str, error: &dyn std::fmt::Display| {
                Error::Unavailable(format!("{what} {name} cannot be removed: {error}"))
            };
            self.search.remove(&name).await.map_err(|error| failed("the index", &error))?;
            if self.cache.shared() {
                self.cache.drop_space(&name).await.map_err(|error| failed("the cache", &error))?;
            }
        }
        self.registry.remove(generation).await
    }
}
