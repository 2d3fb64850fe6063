//! Keeps the rows of one generation up to date: one holder of its lease at a time, each batch in one transaction that
//! begins with the checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, TransactionTrait as _};
use soonshop_domain::Event;
use soonshop_domain::user::person;
use soonshop_event_log::checkpoint::Renewal;
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, Lease, Leases, RecordedEvent, Stopped};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::projector::{Unit, Wants};
use crate::{Feed, Generation, Projector, Registry};

/// The follower's name in its namespace.
pub const ROWS: &str = "rows";

/// The most events of one transaction.
const BATCH: usize = 1_000;

/// Live, a follower gathers for so long: each commit leaves a dead version of the checkpoint behind.
const GATHER: Duration = Duration::from_millis(10);

/// Everything that follows the log for one generation.
pub struct Follower {
    pub projector: Arc<dyn Projector>,
    pub generation: Generation,
    pub registry: Registry,
    pub feed: Feed,
    /// A name of this process that no other has.
    pub holder: String,
}

impl Follower {
    pub(crate) fn name(&self, sink: &str) -> String {
        format!("{}:{sink}", self.generation.namespace())
    }

    pub(crate) fn leases(&self) -> Leases {
        Leases::new(self.registry.operations().clone(), self.holder.clone())
    }

    /// Holds the lease of one sink and runs `follow` under it until told to stop.
    pub(crate) async fn hold<'a>(
        &'a self,
        sink: &'a str,
        stop: &CancellationToken,
        follow: impl Fn(Lease) -> BoxFuture<'a, Result<(), Stopped>> + Send + Sync,
    ) {
        let report = |reason: String| -> BoxFuture<'a, ()> {
            Box::pin(async move { self.report(sink, "stopped", &reason).await })
        };
        self.leases().hold(&self.name(sink), stop, follow, report).await;
    }

    /// Writes down why the follower stands still, for whoever waits for it.
    pub(crate) async fn report(&self, sink: &str, state: &str, reason: &str) {
        let written = async {
            let db = self.generation.db(self.registry.database())?;
            let sql = "INSERT INTO @status (follower, state, reason) VALUES ($1, $2, $3) ON CONFLICT (follower) \
                       DO UPDATE SET state = excluded.state, reason = excluded.reason";
            db.connection.execute(db.statement(sql, [sink.into(), state.into(), reason.into()])).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the state of a follower was not written down");
        }
    }

    /// Keeps the rows up to date until told to stop.
    pub async fn keep_rows(&self, stop: CancellationToken) {
        self.hold(ROWS, &stop, |lease| Box::pin(self.follow_rows(lease, &stop))).await;
    }

    async fn follow_rows(&self, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = self.generation.db(self.registry.database())?;
        if !Checkpoint::fence(&db, &db.connection, ROWS, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        let (mut checkpoint, _) = Checkpoint::load(&db, &db.connection, ROWS).await?.ok_or(Stopped::Lost)?;
        let mut batch = Batch { follower: self, db, epoch: lease.epoch, parked: BTreeSet::new() };
        batch.load_parked().await?;
        let name = self.name(ROWS);
        let mut reported = false;
        let leases = self.leases();
        let mut renewal = Renewal::new(&leases, &lease);
        let mut looked = Instant::now();
        loop {
            if stop.is_cancelled() {
                return Ok(());
            }
            renewal.keep().await?;
            let entries = self.feed.after(&name, &checkpoint, BATCH).await?;
            if !reported {
                // It got this far: whatever was wrong is over.
                self.report(ROWS, "running", "").await;
                reported = true;
            }
            if entries.is_empty() || looked.elapsed() > Duration::from_secs(1) {
                looked = Instant::now();
                batch.retry(&checkpoint).await?;
            }
            if entries.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = self.feed.wait(checkpoint.position) => {}
                    // The checkpoint's own row is read again: the log may have been restored meanwhile.
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                continue;
            }
            let began = Instant::now();
            checkpoint = batch.apply(&entries, &checkpoint).await?;
            if entries.len() < BATCH / 4 {
                tokio::time::sleep_until(began + GATHER).await;
            }
        }
    }
}

/// Why a batch did not go in.
enum Broken {
    /// The event fails: park it, and do the rest.
    Event { position: i64, cause: String },
    /// The rows were refused, and no telling for which event: one by one.
    Rows(String),
    Stopped(Stopped),
}

impl From<sea_orm::DbErr> for Broken {
    fn from(error: sea_orm::DbErr) -> Self {
        match Error::from(error) {
            Error::Database(reason) => Self::Rows(reason),
            other => Self::Stopped(Stopped::Log(other)),
        }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(reason) => Self::Rows(reason),
            other => Self::Stopped(Stopped::Log(other)),
        }
    }
}

struct Batch<'a> {
    follower: &'a Follower,
    db: Db,
    epoch: i64,
    /// The groups of rows that wait for a parked event.
    parked: BTreeSet<String>,
}

/// The erasure that an event asks for or confirms.
fn erasure(entry: &Entry) -> Option<(&RecordedEvent, &[soonshop_domain::Purpose])> {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return None };
    match &event.event {
        Event::Person(person::Event::ErasureRequested { purposes } | person::Event::PersonErased { purposes }) => {
            Some((event, purposes))
        }
        _ => None,
    }
}

impl Batch<'_> {
    async fn load_parked(&mut self) -> Result<(), Stopped> {
        let rows = self.db.connection.query_all(self.db.statement("SELECT rows FROM @parked", [])).await?;
        self.parked.clear();
        for row in rows {
            let names: String = row.try_get_by_index(0)?;
            self.parked.extend(serde_json::from_str::<Vec<String>>(&names).unwrap_or_default());
        }
        Ok(())
    }

    /// Projects the entries and moves the checkpoint over them, in as few transactions as it takes.
    async fn apply(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        let follows = self.follower.projector.follows();
        let mut checkpoint = from.clone();
        // An erasure goes alone: what is cleaned must not be written back from rows that were loaded before.
        for piece in entries.chunk_by(|a, b| erasure(a).is_none() && erasure(b).is_none()) {
            let unknown = piece.iter().position(|entry| {
                matches!(entry.content, Content::Unknown(_)) && follows.contains(&&*entry.aggregate_type)
            });
            let known = &piece[..unknown.unwrap_or(piece.len())];
            if !known.is_empty() {
                checkpoint = self.apply_known(known, &checkpoint).await?;
            }
            if let Some(entry) = unknown.map(|index| &piece[index])
                && let Content::Unknown(reason) = &entry.content
            {
                return Err(Stopped::UnknownEvent { position: entry.position, reason: reason.clone() });
            }
        }
        Ok(checkpoint)
    }

    async fn apply_known(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        let mut failing: BTreeMap<i64, String> = BTreeMap::new();
        loop {
            match self.transaction(entries, from, &failing).await {
                Ok(to) => return Ok(to),
                Err(Broken::Stopped(stopped)) => return Err(stopped),
                Err(Broken::Event { position, cause }) => {
                    tracing::error!(follower = self.follower.name(ROWS), position, cause, "an event is parked");
                    failing.insert(position, cause);
                }
                Err(Broken::Rows(cause)) => match entries {
                    [one] if !failing.contains_key(&one.position) => {
                        tracing::error!(follower = self.follower.name(ROWS), position = one.position, cause, "an event is parked");
                        failing.insert(one.position, cause);
                    }
                    [_] | [] => return Err(Stopped::Log(Error::Database(cause))),
                    many => {
                        let mut checkpoint = from.clone();
                        for one in many {
                            checkpoint = Box::pin(self.apply_known(std::slice::from_ref(one), &checkpoint)).await?;
                        }
                        return Ok(checkpoint);
                    }
                },
            }
        }
    }

    async fn transaction(
        &mut self,
        entries: &[Entry],
        from: &Checkpoint,
        failing: &BTreeMap<i64, String>,
    ) -> Result<Checkpoint, Broken> {
        let projector = &self.follower.projector;
        let to = entries.last().map_or_else(|| from.clone(), Entry::checkpoint);
        let tx = self.db.connection.begin().await?;
        if !from.advance(&self.db, &tx, ROWS, &to, self.epoch).await? {
            return Err(Broken::Stopped(Stopped::Lost));
        }
        let mut unit = Unit::default();
        let mut work = Vec::with_capacity(entries.len());
        let mut wants = Wants::default();
        let mut parked = self.parked.clone();
        for entry in entries.iter().filter(|entry| projector.follows().contains(&&*entry.aggregate_type)) {
            if let Some((event, purposes)) = erasure(entry) {
                self.erase(&tx, event, purposes).await?;
            }
            let (event, damage) = match &entry.content {
                Content::Event(event) => (event, None),
                Content::Damaged(event, reason) => (event, Some(reason)),
                Content::Foreign | Content::Unknown(_) => continue,
            };
            let mut names = Wants::default();
            projector.wants(event, &mut names);
            let behind = names.names().iter().find(|name| parked.contains(*name)).map(|name| format!("behind {name}"));
            let cause = failing.get(&event.position).or(damage).cloned().or(behind);
            if let Some(cause) = cause {
                self.park(&tx, event, names.names(), &cause).await?;
                parked.extend(names.names().iter().cloned());
            } else {
                projector.wants(event, &mut wants);
                work.push(event);
            }
        }
        unit.load(&self.db, &tx, wants).await?;
        for event in work {
            projector
                .project(event, &mut unit)
                .map_err(|failure| Broken::Event { position: event.position, cause: failure.0 })?;
        }
        unit.store(&self.db, &tx).await?;
        tx.commit().await?;
        self.parked = parked;
        Ok(to)
    }

    async fn erase(
        &self,
        tx: &DatabaseTransaction,
        event: &RecordedEvent,
        purposes: &[soonshop_domain::Purpose],
    ) -> Result<(), Broken> {
        for sql in purposes.iter().flat_map(|purpose| self.follower.projector.erase(*purpose)) {
            tx.execute(self.db.statement(sql, [event.stream.to_string().into()])).await?;
        }
        Ok(())
    }

    async fn park(
        &self,
        tx: &DatabaseTransaction,
        event: &RecordedEvent,
        names: &BTreeSet<String>,
        cause: &str,
    ) -> Result<(), Broken> {
        let sql = "INSERT INTO @parked (position, event_id, rows, cause) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (position) DO UPDATE SET cause = excluded.cause, attempts = parked.attempts + 1";
        let names = serde_json::to_string(names).map_err(|error| Broken::Rows(error.to_string()))?;
        let values = [event.position.into(), event.event_id.to_string().into(), names.into(), cause.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// Where somebody asked for it, tries what is parked again, in order; what still fails keeps what is behind it.
    async fn retry(&mut self, at: &Checkpoint) -> Result<(), Stopped> {
        let sql = "SELECT position FROM @retries UNION SELECT position FROM @parked \
                   WHERE EXISTS (SELECT 1 FROM @retries) ORDER BY 1";
        let rows = self.db.connection.query_all(self.db.statement(sql, [])).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let projector = &self.follower.projector;
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        for row in rows {
            let position: i64 = row.try_get_by_index(0)?;
            let stored = self.follower.feed.log().read(position, 1).await?;
            let entries = self.follower.feed.log().decode(stored).await?;
            let Some((Content::Event(event) | Content::Damaged(event, _), entry)) =
                entries.first().map(|entry| (entry.content.clone(), entry))
            else {
                continue;
            };
            let mut wants = Wants::default();
            projector.wants(&event, &mut wants);
            let names = wants.names().clone();
            let still = matches!(entry.content, Content::Damaged(..)) || names.iter().any(|name| blocked.contains(name));
            let tx = self.db.connection.begin().await?;
            if !at.advance(&self.db, &tx, ROWS, at, self.epoch).await? {
                return Err(Stopped::Lost);
            }
            let mut unit = Unit::default();
            unit.load(&self.db, &tx, wants).await?;
            let outcome = if still { Err("still behind".to_owned()) } else { projector.project(&event, &mut unit).map_err(|f| f.0) };
            match outcome {
                Ok(()) => {
                    unit.store(&self.db, &tx).await?;
                    tx.execute(self.db.statement("DELETE FROM @parked WHERE position = $1", [position.into()])).await?;
                }
                Err(cause) => {
                    blocked.extend(names);
                    let sql = "UPDATE @parked SET attempts = attempts + 1, cause = $2 WHERE position = $1";
                    tx.execute(self.db.statement(sql, [position.into(), cause.into()])).await?;
                }
            }
            tx.commit().await?;
        }
        self.db.connection.execute(self.db.statement("DELETE FROM @retries", [])).await?;
        self.load_parked().await
    }
}
