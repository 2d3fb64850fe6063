//! The sealer: follows the log and signs it. A worker of the reactor role. Its checkpoint is the last seal, which names
//! the event at its last position.
//!
//! It costs an append nothing: it reads pages like any follower, never takes the lock of the log's head, and writes
//! into a namespace of its own. One sealer at a time holds the lease. One that lost it without noticing writes nothing
//! wrong: a seal has the number after the seal that it follows, and each number exists once.
//!
//! A sealed event is never sealed again. If the log differs from the sealed one, or the key is missing, the sealer
//! stops and says so.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use soonshop_event_log::follow::{LogSource, Next, Source as _, Wait, Work, follow_noted};
use soonshop_event_log::seal::{self, Content, Hash, Kind, MOST, Seal, SealKeys, Seals, log_id};
use soonshop_event_log::{Checkpoint, Db, Error, EventLog, Leases, Stopped, StoredEvent};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The follower's name, of its lease: the log's, and that of the record of operations.
pub const NAME: &str = seal::SEALER;
pub const OF_RECORD: &str = seal::RECORD_SEALER;

/// How long an event waits for its seal, at most, while the sealer keeps up.
const EVERY: Duration = Duration::from_secs(1);

/// The number of events that are sealed without waiting.
const ENOUGH: usize = 1_000;

/// Rows that are read at once.
const PAGE: usize = 1_000;

pub struct Sealer {
    /// [`NAME`] or [`OF_RECORD`].
    pub name: &'static str,
    pub log: EventLog,
    pub seals: Seals,
    /// The namespace `process`, which has the leases.
    pub process: Db,
    pub keys: SealKeys,
    /// Moves when this process appends.
    pub appended: watch::Receiver<i64>,
    pub holder: String,
}

/// A sealer under one lease.
struct Sealing<'a> {
    sealer: &'a Sealer,
    source: LogSource,
    log_id: Uuid,
    last: Option<Seal>,
    /// The hashes of the events that are read and not sealed yet, and where they end.
    leaves: Vec<Hash>,
    at: Checkpoint,
}

#[async_trait]
impl Work for Sealing<'_> {
    type Source = LogSource;

    fn name(&self) -> &str {
        self.sealer.name
    }

    fn source(&mut self) -> &mut LogSource {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.at.clone(), PAGE))
    }

    async fn work(&mut self, rows: Vec<StoredEvent>) -> Result<Next, Stopped> {
        let more = rows.len() == PAGE;
        for row in rows {
            if row.position != self.at.position + 1 {
                let missing = self.at.position + 1;
                return Err(Error::Seals(format!("position {missing} is missing from the log")).into());
            }
            self.leaves.push(Content::of(&row).at(row.position));
            self.at = Checkpoint::at(row.position, row.event_id);
        }
        // The most that one seal may cover.
        if more && self.leaves.len() < MOST {
            return Ok(Next::Read);
        }
        if self.seal().await? >= ENOUGH {
            return Ok(Next::Read);
        }
        let enough = self.at.position + i64::try_from(ENOUGH).unwrap_or(i64::MAX);
        Ok(Next::Wait(Wait::steady(EVERY).or_news_of(enough)))
    }

    /// On a stop, it seals the rest.
    async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
        outcome?;
        loop {
            let rows = self.source.after(self.sealer.name, &self.at, PAGE).await?;
            if matches!(self.work(rows).await?, Next::Wait(_)) {
                return Ok(());
            }
        }
    }
}

impl Sealing<'_> {
    /// Seals the read events; returns their number.
    async fn seal(&mut self) -> Result<usize, Stopped> {
        let leaves = std::mem::take(&mut self.leaves);
        if let Some(last_event) = self.at.event_id.filter(|_| !leaves.is_empty()) {
            let Sealer { log, keys, .. } = self.sealer;
            let (key, now) = (keys.current(), self.sealer.now().await?);
            let log = (log.name(), self.log_id);
            let seal = Seal::over(self.last.as_ref(), log, &leaves, last_event, now, key);
            self.sealer.write(&seal).await?;
            self.last = Some(seal);
        }
        Ok(leaves.len())
    }
}

impl Sealer {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        follow_noted(&leases, self.name, &stop, |_| Box::pin(self.begin())).await;
    }

    async fn begin(&self) -> Result<Sealing<'_>, Stopped> {
        let log_id = log_id(&self.log).await?;
        let last = self.last(log_id).await?;
        let at = last.as_ref().map_or_else(Checkpoint::start, Seal::checkpoint);
        let source = LogSource::new(self.log.clone(), self.appended.clone());
        Ok(Sealing { sealer: self, source, log_id, last, leaves: Vec::new(), at })
    }

    /// The seal to continue from: one of this log, under the current key.
    async fn last(&self, log_id: Uuid) -> Result<Option<Seal>, Stopped> {
        let Some(found) = self.seals.last().await? else { return Ok(None) };
        let last = seal::accept(found, log_id)?;
        let current = self.keys.current().public();
        let signs = if last.kind == Kind::KeyChange { last.other_key } else { Some(last.key) };
        if signs == Some(current) {
            return Ok(Some(last));
        }
        let old = signs.and_then(|key| self.keys.of(key)).ok_or_else(|| {
            let key = signs.map_or_else(String::new, |key| key.fingerprint());
            Error::Seals(format!("it was sealed with the key {key}, which is not in the file of seal keys"))
        })?;
        let change = Seal::change_of_keys(&last, current, self.now().await?, old);
        self.write(&change).await?;
        let (from, to) = (old.public().fingerprint(), current.fingerprint());
        tracing::info!(from, to, "the log is sealed with another key from here on");
        Ok(Some(change))
    }

    /// Microseconds since 1970 by the database's clock.
    async fn now(&self) -> Result<i64, Stopped> {
        let db = self.seals.db();
        let row = db.connection.query_one(db.statement(&format!("SELECT {}", db.now()), [])).await?;
        let milliseconds: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        Ok(milliseconds * 1_000)
    }

    /// Adds the seal. If its number is taken, another sealer is active.
    async fn write(&self, seal: &Seal) -> Result<(), Stopped> {
        let db = self.seals.db();
        let sql = "INSERT INTO @seals (number, version, kind, log, log_id, first_position, last_position, events, root, \
                       previous, last_event, sealed_at, signing_key, other_key, signature, leaves) \
                   SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 \
                   WHERE (SELECT coalesce(max(number), 0) FROM @seals) < $1 ON CONFLICT (number) DO NOTHING";
        let values = [
            seal.number.into(),
            seal.version.into(),
            seal.kind.name().into(),
            seal.log.as_str().into(),
            seal.log_id.to_string().into(),
            seal.first.into(),
            seal.last.into(),
            seal.count.into(),
            seal.root.0.to_vec().into(),
            seal.previous.0.to_vec().into(),
            seal.last_event.to_string().into(),
            seal.sealed_at.into(),
            seal.key.0.to_vec().into(),
            seal.other_key.map(|key| key.0.to_vec()).into(),
            seal.signature.0.clone().into(),
            seal.leaves.0.clone().into(),
        ];
        let written = db.connection.execute(db.statement(sql, values)).await?.rows_affected();
        if written == 0 { Err(Stopped::Lost) } else { Ok(()) }
    }
}
