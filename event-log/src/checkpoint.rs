//! Where a follower is, and that only one of its kind is there.
//!
//! A lease is a row with an epoch that goes up with every new holder. Every batch of a follower begins by moving its
//! checkpoint `WHERE position = <what it read> AND epoch = <its lease>`: no row means that somebody else goes on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Db, Error, EventLog, StoredEvent};

/// The relay's checkpoint and lease, in `process`: who publishes has it, and who shows how far it is.
pub const RELAY: &str = "relay";

/// The last event that a follower has dealt with. Position 0 has no event: nothing was read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub log: String,
    pub position: i64,
    pub event_id: Option<Uuid>,
}

impl Checkpoint {
    /// Before the first event.
    pub fn start() -> Self {
        Self { log: crate::LOG.to_owned(), position: 0, event_id: None }
    }

    pub fn at(position: i64, event_id: Uuid) -> Self {
        Self { log: crate::LOG.to_owned(), position, event_id: Some(event_id) }
    }
}

/// As an index or a cache keeps it: `main:1204881:<event id>`.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log, self.position)?;
        self.event_id.map_or(Ok(()), |id| write!(f, ":{id}"))
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Database(format!("{text:?} is not a checkpoint"));
        let mut parts = text.split(':');
        let log = parts.next().ok_or_else(bad)?.to_owned();
        let position = parts.next().and_then(|part| part.parse().ok()).ok_or_else(bad)?;
        let event_id = parts.next().map(Uuid::parse_str).transpose().map_err(|_| bad())?;
        Ok(Self { log, position, event_id })
    }
}

/// The table of checkpoints of a namespace that creates one of its own (a generation of a read model).
pub const CHECKPOINTS: &str = "CREATE TABLE @checkpoints (follower TEXT PRIMARY KEY, log TEXT NOT NULL, \
    position BIGINT NOT NULL, event_id TEXT, epoch BIGINT NOT NULL DEFAULT 0)";

impl Checkpoint {
    /// What the follower's row says; `None` where it has none.
    pub async fn load(
        db: &Db,
        on: &impl ConnectionTrait,
        follower: &str,
    ) -> Result<Option<(Self, i64)>, Error> {
        let sql = "SELECT log, position, event_id, epoch FROM @checkpoints WHERE follower = $1";
        let Some(row) = on.query_one(db.statement(sql, [follower.into()])).await? else { return Ok(None) };
        let event_id: Option<String> = row.try_get_by_index(2)?;
        let event_id = event_id
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| Error::Database(format!("the checkpoint of {follower} has a broken event id")))?;
        let checkpoint = Self { log: row.try_get_by_index(0)?, position: row.try_get_by_index(1)?, event_id };
        Ok(Some((checkpoint, row.try_get_by_index(3)?)))
    }

    /// Writes the follower's first row; one that is there stays.
    pub async fn begin(&self, db: &Db, on: &impl ConnectionTrait, follower: &str) -> Result<(), Error> {
        let sql = "INSERT INTO @checkpoints (follower, log, position, event_id, epoch) VALUES ($1, $2, $3, $4, 0) \
                   ON CONFLICT (follower) DO NOTHING";
        on.execute(db.statement(sql, self.values(follower))).await?;
        Ok(())
    }

    /// What the log has after it, at most `limit` rows, as they are stored. Its own row is read as well: if another
    /// event stands there, or none, the log is not the one that was followed.
    pub async fn rows_after(
        &self,
        log: &EventLog,
        follower: &str,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let mut rows = log.read(self.position, limit + i64::from(self.event_id.is_some())).await?;
        if let Some(expected) = self.event_id {
            let found = rows.first().filter(|row| row.position == self.position).map(|row| row.event_id);
            if found != Some(expected) {
                return Err(Error::AheadOfLog {
                    follower: follower.to_owned(),
                    position: self.position,
                    expected,
                    found: found.map_or_else(|| "no event".to_owned(), |id| id.to_string()),
                });
            }
            rows.remove(0);
        }
        Ok(rows)
    }

    fn values(&self, follower: &str) -> [Value; 4] {
        [
            follower.into(),
            self.log.clone().into(),
            self.position.into(),
            self.event_id.map(|id| id.to_string()).into(),
        ]
    }

    /// Takes the row for a new epoch. False: a later epoch has it.
    pub async fn fence(
        db: &Db,
        on: &impl ConnectionTrait,
        follower: &str,
        epoch: i64,
    ) -> Result<bool, Error> {
        let sql = "UPDATE @checkpoints SET epoch = $2 WHERE follower = $1 AND epoch <= $2";
        Ok(on.execute(db.statement(sql, [follower.into(), epoch.into()])).await?.rows_affected() == 1)
    }

    /// Moves the row from `self` to `to`; the first statement of a follower's batch. False: somebody else moved it, or
    /// took it; roll back and let go.
    pub async fn advance(
        &self,
        db: &Db,
        on: &impl ConnectionTrait,
        follower: &str,
        to: &Self,
        epoch: i64,
    ) -> Result<bool, Error> {
        let sql = "UPDATE @checkpoints SET log = $2, position = $3, event_id = $4 \
                   WHERE follower = $1 AND position = $5 AND epoch = $6";
        let values = to.values(follower).into_iter().chain([self.position.into(), epoch.into()]);
        Ok(on.execute(db.statement(sql, values)).await?.rows_affected() == 1)
    }
}

/// The right to be the one who does something, until it expires by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub epoch: i64,
}

/// The leases of a namespace, on behalf of one holder.
#[derive(Debug, Clone)]
pub struct Leases {
    db: Db,
    holder: String,
}

/// How long a lease lasts unless it is renewed, in milliseconds.
pub const LEASE_MILLISECONDS: i64 = 6_000;

/// How often it is renewed.
const RENEWED: Duration = Duration::from_millis(1_500);

impl Leases {
    /// `holder` is a process: no two of them share a name.
    pub fn new(db: Db, holder: impl Into<String>) -> Self {
        Self { db, holder: holder.into() }
    }

    /// Takes a lease that is free, expired or already ours; with a new epoch unless it was ours. `Err(holder)` inside:
    /// who has it.
    pub async fn acquire(&self, name: &str) -> Result<Result<Lease, String>, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
                 epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END \
             WHERE leases.holder = excluded.holder OR leases.expires_at < {now} RETURNING epoch"
        );
        loop {
            let values = [name.into(), self.holder.as_str().into(), LEASE_MILLISECONDS.into()];
            if let Some(row) = self.db.connection.query_one(self.db.statement(&sql, values)).await? {
                return Ok(Ok(Lease { name: name.to_owned(), epoch: row.try_get_by_index(0)? }));
            }
            // Without a holder it has expired, or was given back, between the two: there it is for the taking.
            if let Some(holder) = self.holder(name).await? {
                return Ok(Err(holder));
            }
        }
    }

    /// Takes a lease from whoever has it, with a new epoch. Its holder finds out when it renews it; at once, where the
    /// checkpoint that it moves is fenced with the new epoch.
    pub async fn take(&self, name: &str) -> Result<Lease, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
                 epoch = leases.epoch + 1 RETURNING epoch"
        );
        let values = [name.into(), self.holder.as_str().into(), LEASE_MILLISECONDS.into()];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?;
        let row = row.ok_or_else(|| Error::Database(format!("the lease {name} was not given")))?;
        Ok(Lease { name: name.to_owned(), epoch: row.try_get_by_index(0)? })
    }

    /// Whether the lease is still ours, to the end of the transaction `on`.
    pub async fn holds(&self, on: &impl ConnectionTrait, lease: &Lease) -> Result<bool, Error> {
        let sql = "UPDATE @leases SET expires_at = expires_at WHERE name = $1 AND holder = $2 AND epoch = $3";
        let values = [lease.name.as_str().into(), self.holder.as_str().into(), lease.epoch.into()];
        Ok(on.execute(self.db.statement(sql, values)).await?.rows_affected() == 1)
    }

    /// Who holds the lease just now.
    pub async fn holder(&self, name: &str) -> Result<Option<String>, Error> {
        let sql = format!("SELECT holder FROM @leases WHERE name = $1 AND expires_at >= {}", self.db.now());
        let row = self.db.connection.query_one(self.db.statement(&sql, [name.into()])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Prolongs it. False: it is somebody else's by now.
    pub async fn renew(&self, lease: &Lease) -> Result<bool, Error> {
        let sql = format!(
            "UPDATE @leases SET expires_at = {} + $4 WHERE name = $1 AND holder = $2 AND epoch = $3",
            self.db.now()
        );
        let values = [
            lease.name.as_str().into(),
            self.holder.as_str().into(),
            lease.epoch.into(),
            LEASE_MILLISECONDS.into(),
        ];
        Ok(self.db.connection.execute(self.db.statement(&sql, values)).await?.rows_affected() == 1)
    }

    /// Gives it back, so that nobody waits for it to expire.
    pub async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let sql = "UPDATE @leases SET expires_at = 0 WHERE name = $1 AND holder = $2 AND epoch = $3";
        let values = [lease.name.as_str().into(), self.holder.as_str().into(), lease.epoch.into()];
        self.db.connection.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// Prolongs the lease again and again. Returns when it is somebody else's, or may be.
    pub async fn keep(&self, lease: &Lease) -> Stopped {
        let lasts = Duration::from_millis(LEASE_MILLISECONDS.unsigned_abs());
        let mut until = Instant::now() + lasts;
        loop {
            tokio::time::sleep(RENEWED).await;
            let asked = Instant::now();
            let why = match tokio::time::timeout_at(until.max(asked + RENEWED), self.renew(lease)).await {
                Ok(Ok(true)) => {
                    until = asked + lasts;
                    continue;
                }
                Ok(Ok(false)) => return Stopped::Lost,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() >= until {
                return Stopped::Log(Error::Unavailable(format!("the lease could not be renewed: {why}")));
            }
        }
    }

    /// Holds the lease and runs `follow` under it, again and again until told to stop; `report` hears why it let go.
    /// The lease is renewed beside `follow`, however long one step of it takes. When it is lost, `follow` is dropped
    /// where it stands: its transaction is rolled back.
    pub async fn hold<'a>(
        &self,
        name: &str,
        stop: &CancellationToken,
        follow: impl Fn(Lease) -> BoxFuture<'a, Result<(), Stopped>> + Send + Sync,
        report: impl Fn(String) -> BoxFuture<'a, ()> + Send + Sync,
    ) {
        let mut pause = Duration::from_millis(50);
        while !stop.is_cancelled() {
            let stopped = match self.acquire(name).await {
                Ok(Ok(lease)) => {
                    let began = Instant::now();
                    let stopped = tokio::select! {
                        outcome = follow(lease.clone()) => outcome.err().unwrap_or(Stopped::Lost),
                        lost = self.keep(&lease) => lost,
                    };
                    if let Err(error) = self.release(&lease).await {
                        tracing::warn!(%error, lease = name, "the lease was not given back, and expires");
                    }
                    if began.elapsed() > Duration::from_secs(5) {
                        pause = Duration::from_millis(50);
                    }
                    stopped
                }
                Ok(Err(holder)) => {
                    tracing::debug!(lease = name, holder, "held elsewhere");
                    pause = Duration::from_secs(1);
                    Stopped::Lost
                }
                Err(error) => Stopped::Log(error),
            };
            if stop.is_cancelled() {
                return;
            }
            if !matches!(stopped, Stopped::Lost) {
                tracing::warn!(lease = name, reason = %stopped, "stopped; trying again");
                report(stopped.to_string()).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// Why a follower let go of its lease.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Somebody else holds the lease, or took it; or it was told to stop.
    #[error("another process goes on with it")]
    Lost,
    /// This release does not know an event: a newer one goes on.
    #[error("the event at position {position} is of a newer release: {reason}")]
    UnknownEvent { position: i64, reason: String },
    /// An event cannot be projected, and nothing was to be parked.
    #[error("the event at position {position} cannot be projected: {cause}")]
    Poison { position: i64, cause: String },
    /// What it may have done before is not on record any more: sending it again could be doing it twice.
    #[error(
        "too-old: {follower} is at position {position}, and what its commands led to is on record only from after {purged}; \
         it sends nothing. Bring the schema `process` back from a younger backup, or do as \"After a restore\" in \
         docs/deployment.md says"
    )]
    TooOld { follower: String, position: i64, purged: DateTime<Utc> },
    #[error(transparent)]
    Log(#[from] Error),
}

impl From<sea_orm::DbErr> for Stopped {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Log(error.into())
    }
}
