//! Leases: the right to be the only one who does something. A row holds an epoch, which increases with every new
//! holder.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sea_orm::ConnectionTrait;
use soonshop_domain::process::Unreadable;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Db, Error};

/// The right to be the only one who does something, until it expires by the database's clock.
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
    /// `holder` names a process: no two processes have the same name.
    pub fn new(db: Db, holder: impl Into<String>) -> Self {
        Self { db, holder: holder.into() }
    }

    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    pub(crate) fn holder_name(&self) -> &str {
        &self.holder
    }

    /// Takes a lease that is free, expired or already ours; the epoch increases unless it was ours. The inner `Err`
    /// names the holder. A lease that would last twice as long as any is given was given by a clock that was ahead,
    /// and is as good as expired: otherwise a process that is dead could hold it for hours. (A clock that steps back by
    /// less takes no lease from its holder.)
    pub async fn acquire(&self, name: &str) -> Result<Result<Lease, String>, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
                 epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END \
             WHERE leases.holder = excluded.holder OR leases.expires_at NOT BETWEEN {now} AND {now} + 2 * $3 RETURNING epoch"
        );
        loop {
            let values = [name.into(), self.holder.as_str().into(), LEASE_MILLISECONDS.into()];
            if let Some(row) = self.db.connection.query_one(self.db.statement(&sql, values)).await? {
                return Ok(Ok(Lease { name: name.to_owned(), epoch: row.try_get_by_index(0)? }));
            }
            // A lease without a holder expired, or was given back, just now: try again.
            if let Some(holder) = self.holder(name).await? {
                return Ok(Err(holder));
            }
        }
    }

    /// Takes a lease from its holder, with a new epoch. The holder notices when it renews the lease, or at once if
    /// the checkpoint that it moves is fenced with the new epoch.
    pub async fn take(&self, name: &str) -> Result<Lease, Error> {
        self.take_on(&self.db.connection, name).await
    }

    /// Takes a lease from its holder as [`take`](Self::take) does, once the transaction `on` is committed.
    pub async fn take_on(&self, on: &impl ConnectionTrait, name: &str) -> Result<Lease, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @leases (name, holder, epoch, expires_at) VALUES ($1, $2, 1, {now} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
                 epoch = leases.epoch + 1 RETURNING epoch"
        );
        let values = [name.into(), self.holder.as_str().into(), LEASE_MILLISECONDS.into()];
        let row = on.query_one(self.db.statement(&sql, values)).await?;
        let row = row.ok_or_else(|| Error::Database(format!("the lease {name} was not given")))?;
        Ok(Lease { name: name.to_owned(), epoch: row.try_get_by_index(0)? })
    }

    /// Whether the lease is still ours, until the transaction `on` ends.
    pub async fn holds(&self, on: &impl ConnectionTrait, lease: &Lease) -> Result<bool, Error> {
        let sql = "UPDATE @leases SET expires_at = expires_at WHERE name = $1 AND holder = $2 AND epoch = $3";
        let values = [lease.name.as_str().into(), self.holder.as_str().into(), lease.epoch.into()];
        Ok(on.execute(self.db.statement(sql, values)).await?.rows_affected() == 1)
    }

    /// The current holder of the lease.
    pub async fn holder(&self, name: &str) -> Result<Option<String>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT holder FROM @leases WHERE name = $1 AND expires_at BETWEEN {now} AND {now} + 2 * $2"
        );
        let values = [name.into(), LEASE_MILLISECONDS.into()];
        let row = self.db.connection.query_one(self.db.statement(&sql, values)).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Renews it. False: another holder has it.
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

    /// Gives it back, so that no other process waits for it to expire.
    pub async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let sql = "UPDATE @leases SET expires_at = 0 WHERE name = $1 AND holder = $2 AND epoch = $3";
        let values = [lease.name.as_str().into(), self.holder.as_str().into(), lease.epoch.into()];
        self.db.connection.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// Renews the lease again and again. Returns when another process has it, or may have it.
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

    /// Takes the lease and runs `follow` under it, again and again until stopped; `report` gets the reason why it
    /// ended. The lease is renewed beside `follow`, however long a step takes. When the lease is lost, `follow` is
    /// dropped at once: its transaction is rolled back.
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

/// The first pause after another process was found to hold the lease.
const HELD_ELSEWHERE: Duration = Duration::from_secs(1);

/// The pauses between attempts: each twice as long as the last, and short again after an attempt that ran for long.
pub(crate) struct Backoff {
    pause: Duration,
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self { pause: Self::SHORTEST }
    }

    /// An attempt that ran for long resets the pause.
    pub(crate) fn ran_since(&mut self, began: Instant) {
        if began.elapsed() > Self::LONGEST {
            self.pause = Self::SHORTEST;
        }
    }

    /// Waits, but ends early when stopped.
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
    /// Another process holds the lease or took it; or this one was stopped.
    #[error("another process has taken over")]
    Lost,
    /// This release does not know the event: a process of a newer release goes on.
    #[error("the event at position {position} is of a newer release: {reason}")]
    UnknownEvent { position: i64, reason: String },
    /// An event cannot be projected, and this mode parks nothing.
    #[error("the event at position {position} cannot be projected: {cause}")]
    Poison { position: i64, cause: String },
    /// Its earlier commands may not be on record any more: sending one again could do it twice.
    #[error(
        "too-old: {follower} is at position {position}, and what its commands led to is on record only from after {purged}; \
         it sends nothing. Bring the schema `process` back from a younger backup, or do as \"After a restore\" in \
         docs/deployment.md says"
    )]
    TooOld { follower: String, position: i64, purged: DateTime<Utc> },
    /// The stored data of a process manager is not as this release writes it.
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
