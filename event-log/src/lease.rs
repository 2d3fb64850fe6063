//! The right to be the only one who does something: a row with an epoch that goes up with every new holder.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::ConnectionTrait;
use soonshop_domain::process::Unreadable;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Db, Error};

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
        let mut backoff = Backoff::new();
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
                    backoff.ran_since(began);
                    stopped
                }
                Ok(Err(holder)) => {
                    tracing::debug!(lease = name, holder, "held elsewhere");
                    backoff.pause = HELD_ELSEWHERE;
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
            backoff.pass(stop).await;
        }
    }
}

/// The first pause after another process was found to hold a lease.
const HELD_ELSEWHERE: Duration = Duration::from_secs(1);

/// The pauses between tries: each twice as long as the one before it, and short again after a try that lasted.
pub(crate) struct Backoff {
    pause: Duration,
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self { pause: Self::SHORTEST }
    }

    /// Whatever was wrong before a try that lasted is over.
    pub(crate) fn ran_since(&mut self, began: Instant) {
        if began.elapsed() > Self::LONGEST {
            self.pause = Self::SHORTEST;
        }
    }

    /// Waits, but not longer than until told to stop.
    pub(crate) async fn pass(&mut self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.pause) => {}
        }
        self.pause = (self.pause * 2).min(Self::LONGEST);
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
    /// What is stored of a process manager is not what this release writes.
    #[error(transparent)]
    Process(#[from] Unreadable),
    #[error(transparent)]
    Log(#[from] Error),
}

impl From<sea_orm::DbErr> for Stopped {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Log(error.into())
    }
}
