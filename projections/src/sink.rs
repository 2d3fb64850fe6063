//! Sinks behind the rows: the search index and the cache of a generation. Each keeps its own checkpoint inside itself
//! and never passes that of the rows, which it reads; when it is down, nothing else stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::FromQueryResult as _;
use soonshop_cache::Cache;
use soonshop_event_log::checkpoint::Renewal;
use soonshop_event_log::{Checkpoint, Db, Entry, Error, Lease, Stopped};
use soonshop_search::{Change, Search};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::product;
use crate::runner::{Follower, ROWS};

/// The followers' names in their namespace.
pub const INDEX: &str = "index";
pub const CACHE: &str = "cache";

/// How long a checkpoint may stay unwritten while nothing of interest happens.
const LAZY: Duration = Duration::from_millis(200);

fn failed(error: impl std::fmt::Display) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}

/// What a sink gets to see next: never more than the rows have seen.
enum Next {
    Entries(Vec<Entry>),
    Nothing,
}

impl Follower {
    /// Keeps the generation's search index up to date until told to stop.
    pub async fn keep_index(&self, search: Arc<dyn Search>, stop: CancellationToken) {
        self.hold(INDEX, &stop, |lease| Box::pin(self.follow_index(&*search, lease, &stop))).await;
    }

    async fn follow_index(&self, search: &dyn Search, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let index = self.generation.namespace();
        search.create(&index).await.map_err(failed)?;
        let written = search.checkpoint(&index).await.map_err(failed)?;
        let mut checkpoint = written.map_or_else(|| Ok(Checkpoint::start()), |text| text.parse())?;
        let mut persisted = (checkpoint.clone(), Instant::now());
        let mut reported = false;
        let leases = self.leases();
        let mut renewal = Renewal::new(&leases, &lease);
        while !stop.is_cancelled() {
            renewal.keep().await?;
            let next = self.next(INDEX, &db, &checkpoint).await?;
            if !reported {
                self.report(INDEX, "running", "").await;
                reported = true;
            }
            let changes = match &next {
                Next::Entries(entries) => {
                    checkpoint = entries.last().map_or(checkpoint, Entry::checkpoint);
                    documents(&db, &self.touched(entries)).await?
                }
                Next::Nothing => Vec::new(),
            };
            let due = persisted.0 != checkpoint && persisted.1.elapsed() > LAZY;
            if !changes.is_empty() || due {
                search.apply(&index, &changes, &checkpoint.to_string()).await.map_err(failed)?;
                persisted = (checkpoint.clone(), Instant::now());
            }
            if matches!(next, Next::Nothing) {
                self.rest(checkpoint.position, stop).await;
            }
        }
        Ok(())
    }

    /// Invalidates what events change in the cache, until told to stop. A cache of this process alone needs no lease.
    pub async fn keep_cache(&self, cache: Arc<dyn Cache>, stop: CancellationToken) {
        if cache.shared() {
            self.hold(CACHE, &stop, |lease| Box::pin(self.follow_cache(&*cache, Some(lease), &stop))).await;
            return;
        }
        while !stop.is_cancelled() {
            if let Err(stopped) = self.follow_cache(&*cache, None, &stop).await {
                tracing::warn!(follower = self.name(CACHE), reason = %stopped, "stopped; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }

    async fn follow_cache(&self, cache: &dyn Cache, lease: Option<Lease>, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let space = self.generation.namespace();
        let mut checkpoint = match cache.checkpoint(&space).await.map_err(failed)? {
            Some(text) => text.parse()?,
            None => {
                // Empty, or lost: nothing in it may be old, so it begins where the rows are.
                cache.drop_space(&space).await.map_err(failed)?;
                let rows = Checkpoint::load(&db, &db.connection, ROWS).await?;
                let (rows, _) = rows.ok_or(Stopped::Lost)?;
                cache.set_checkpoint(&space, &rows.to_string()).await.map_err(failed)?;
                rows
            }
        };
        let mut persisted = (checkpoint.clone(), Instant::now());
        let leases = self.leases();
        let mut renewal = lease.as_ref().map(|lease| Renewal::new(&leases, lease));
        while !stop.is_cancelled() {
            if let Some(renewal) = &mut renewal {
                renewal.keep().await?;
            }
            let next = self.next(CACHE, &db, &checkpoint).await?;
            let mut changed = false;
            if let Next::Entries(entries) = &next {
                checkpoint = entries.last().map_or(checkpoint, Entry::checkpoint);
                let keys: Vec<String> = self.touched(entries).into_iter().collect();
                if !keys.is_empty() {
                    cache.invalidate(&space, &keys, checkpoint.position).await.map_err(failed)?;
                    changed = true;
                }
            }
            let due = persisted.0 != checkpoint && persisted.1.elapsed() > LAZY;
            if changed || due {
                // A cache that was emptied meanwhile has no checkpoint: it begins anew.
                if cache.checkpoint(&space).await.map_err(failed)?.is_none() {
                    return Err(failed("the cache was emptied"));
                }
                cache.set_checkpoint(&space, &checkpoint.to_string()).await.map_err(failed)?;
                persisted = (checkpoint.clone(), Instant::now());
            }
            if matches!(next, Next::Nothing) {
                self.rest(checkpoint.position, stop).await;
            }
        }
        Ok(())
    }

    async fn next(&self, sink: &str, db: &Db, checkpoint: &Checkpoint) -> Result<Next, Stopped> {
        let rows = Checkpoint::load(db, &db.connection, ROWS).await?;
        let limit = rows.map_or(0, |(rows, _)| rows.position);
        // At the head the log is asked as well: it may have gone back to an older state.
        let mut entries = self.feed.after(&self.name(sink), checkpoint, 1_000).await?;
        entries.retain(|entry| entry.position <= limit);
        Ok(if entries.is_empty() { Next::Nothing } else { Next::Entries(entries) })
    }

    /// The groups of rows that the entries change.
    fn touched(&self, entries: &[Entry]) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for entry in entries {
            use soonshop_event_log::Content;
            if let Content::Event(event) | Content::Damaged(event, _) = &entry.content
                && self.projector.follows().contains(&&*entry.aggregate_type)
            {
                ids.insert(event.stream.to_string());
            }
        }
        ids
    }

    async fn rest(&self, position: i64, stop: &CancellationToken) {
        let behind = self.feed.known_head() > position;
        let pause = if behind { Duration::from_millis(15) } else { Duration::from_secs(1) };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.feed.wait(position), if !behind => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn documents(db: &Db, ids: &BTreeSet<String>) -> Result<Vec<Change>, Stopped> {
    let mut changes = Vec::with_capacity(ids.len());
    let ids: Vec<&String> = ids.iter().collect();
    for chunk in ids.chunks(500) {
        let places: Vec<String> = (1..=chunk.len()).map(|n| format!("${n}")).collect();
        let sql = format!("SELECT * FROM @products WHERE id IN ({})", places.join(", "));
        let statement = db.statement(&sql, chunk.iter().map(|id| id.as_str().into()));
        let rows = product::Model::find_by_statement(statement).all(&db.connection).await?;
        changes.extend(rows.iter().map(product::Model::document));
    }
    Ok(changes)
}
