//! The sealer: follows the log and signs what it has read. A worker of the reactor role. Its checkpoint is the last seal:
//! that one names the event at its last position.
//!
//! It costs the append nothing: it reads pages like any follower, never takes the lock of the log's head, and writes into
//! a namespace of its own. One sealer at a time holds the lease. One that lost it without noticing writes nothing wrong:
//! a seal has the number after the seal that it follows, and each number is given once.
//!
//! What was sealed is never sealed anew. Where the log is another one than was sealed, or the key is not to be had, the
//! sealer stops and says so.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::ConnectionTrait as _;
use soonshop_event_log::seal::{self, Content, Hash, Kind, MOST, Seal, SealKeys, Seals, log_id};
use soonshop_event_log::{Checkpoint, Db, Error, EventLog, Lease, Leases, Stopped};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The follower's name, of its lease: the log's, and that of the record of operations.
pub const NAME: &str = seal::SEALER;
pub const OF_RECORD: &str = "record-sealer";

/// How long an event waits for its seal, at most, while the sealer keeps up.
const EVERY: Duration = Duration::from_secs(1);

/// So many events are sealed at once, without waiting.
const ENOUGH: i64 = 1_000;

/// Rows that are read at once.
const PAGE: i64 = 1_000;

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

impl Sealer {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let follow = |_: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(self.follow(&stop)) };
        leases.hold(self.name, &stop, follow, |_| Box::pin(async {})).await;
    }

    async fn follow(&self, stop: &CancellationToken) -> Result<(), Stopped> {
        let log_id = log_id(&self.log).await?;
        let mut last = self.last(log_id).await?;
        let mut appended = self.appended.clone();
        loop {
            let stopping = stop.is_cancelled();
            let checkpoint = last.as_ref().map_or_else(Checkpoint::start, Seal::checkpoint);
            let (leaves, at) = self.gather(&checkpoint).await?;
            if let Some(last_event) = at.event_id.filter(|_| !leaves.is_empty()) {
                let key = self.keys.current();
                let now = self.now().await?;
                let seal =
                    Seal::over(last.as_ref(), (self.log.name(), log_id), &leaves, last_event, now, key);
                self.write(&seal).await?;
                last = Some(seal);
            }
            if i64::try_from(leaves.len()).is_ok_and(|count| count >= ENOUGH) {
                continue;
            }
            // Told to stop, it has sealed what was there.
            if stopping {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = enough(&mut appended, at.position + ENOUGH) => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// The seal to follow on from: one of this log, under the key that signs now.
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

    /// The leaves of what follows, as many as one seal may cover, and where they end.
    async fn gather(&self, checkpoint: &Checkpoint) -> Result<(Vec<Hash>, Checkpoint), Stopped> {
        let (mut leaves, mut at) = (Vec::new(), checkpoint.clone());
        while leaves.len() < MOST {
            let rows = at.rows_after(&self.log, self.name, PAGE).await?;
            let whole = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
            for row in rows {
                if row.position != at.position + 1 {
                    let missing = at.position + 1;
                    return Err(Error::Seals(format!("position {missing} is missing from the log")).into());
                }
                leaves.push(Content::of(&row).at(row.position));
                at = Checkpoint::at(row.position, row.event_id);
            }
            if !whole {
                break;
            }
        }
        Ok((leaves, at))
    }

    /// Microseconds since 1970 by the database's clock.
    async fn now(&self) -> Result<i64, Stopped> {
        let db = self.seals.db();
        let row = db.connection.query_one(db.statement(&format!("SELECT {}", db.now()), [])).await?;
        let milliseconds: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        Ok(milliseconds * 1_000)
    }

    /// Adds the seal. Where its number is taken, somebody else goes on.
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

/// Resolves when this process has appended up to a position; never, where it appends nothing.
async fn enough(appended: &mut watch::Receiver<i64>, position: i64) {
    if appended.wait_for(|at| *at >= position).await.is_err() {
        std::future::pending::<()>().await;
    }
}
