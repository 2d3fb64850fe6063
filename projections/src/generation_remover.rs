//! The end of a generation: its rows, its index and its cache go together.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::TransactionTrait as _;
use soonshop_cache::Cache;
use soonshop_event_log::{Error, Leases};
use soonshop_search::Search;

use crate::generation::ROWS;
use crate::operations::{self, Done};
use crate::sink::{CACHE, INDEX};
use crate::{Generation, Registry};

/// How long whoever keeps something may take to find out that its lease was taken.
const FOUND_OUT: Duration = Duration::from_secs(2);

/// Where a generation is.
pub struct GenerationRemover {
    pub registry: Registry,
    pub search: Arc<dyn Search>,
    pub cache: Arc<dyn Cache>,
    /// The process that ends it.
    pub holder: String,
}

impl GenerationRemover {
    /// Nobody keeps the generation any more from here on, nobody goes back to it, and it goes. `done` is written down in
    /// the transaction that says so.
    pub async fn retire(&self, generation: &Generation, done: &Done) -> Result<(), Error> {
        let db = self.registry.operations();
        let tx = db.connection.begin().await?;
        operations::record(db, &tx, done).await?;
        // The row first: nobody begins with it any more, and whoever keeps it ends.
        self.registry.retire(&tx, generation).await?;
        tx.commit().await?;
        self.remove(generation).await
    }

    /// Takes a generation that was retired from whoever keeps it, and removes index, cache and rows, in this order: where
    /// the rows are, something is left to remove. The leases are not given back: nobody is to begin again with what is
    /// gone, and they expire. Done twice, it changes nothing.
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
            // Until then it may still write, and so bring back what is removed.
            tokio::time::sleep(FOUND_OUT).await;
        }
        let projector = crate::all().into_iter().find(|one| one.name() == generation.projection);
        // Of a projection that this release does not know, it is not known what it had either.
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
