//! The position of a follower in the log.
//!
//! Every batch of a follower begins by moving its checkpoint `WHERE position = <the position it read> AND epoch =
//! <its lease>`: if no row matches, another process has taken over.

use std::fmt;
use std::str::FromStr;

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::{Db, Error, Lease, Stopped};

/// The relay's checkpoint and lease, in `process`: used by the relay, and by status views.
pub const RELAY: &str = "relay";

/// The prefix of the checkpoints and leases of process managers, in `process`.
pub const REACTOR: &str = "reactor:";

/// The name of a process manager's checkpoint and lease.
pub fn of_process(process: &str) -> String {
    format!("{REACTOR}{process}")
}

/// The last event that a follower has processed. Position 0 has no event: nothing was read yet.
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

/// The form in which an index or a cache stores it: `main:1204881:<event id>`.
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

/// The table of checkpoints in a namespace that creates its own (a generation of a read model).
pub const CHECKPOINTS: &str = "CREATE TABLE @checkpoints (follower TEXT PRIMARY KEY, log TEXT NOT NULL, \
    position BIGINT NOT NULL, event_id TEXT, epoch BIGINT NOT NULL DEFAULT 0)";

impl Checkpoint {
    /// Loads the follower's row and its epoch; `None` if it has no row.
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

    /// Inserts the follower's first row; an existing row stays.
    pub async fn begin(&self, db: &Db, on: &impl ConnectionTrait, follower: &str) -> Result<(), Error> {
        let sql = "INSERT INTO @checkpoints (follower, log, position, event_id, epoch) VALUES ($1, $2, $3, $4, 0) \
                   ON CONFLICT (follower) DO NOTHING";
        on.execute(db.statement(sql, self.values(follower))).await?;
        Ok(())
    }

    fn values(&self, follower: &str) -> [Value; 4] {
        [
            follower.into(),
            self.log.clone().into(),
            self.position.into(),
            self.event_id.map(|id| id.to_string()).into(),
        ]
    }

    /// Takes the row for a new epoch. False: a later epoch has taken it.
    pub async fn fence(
        db: &Db,
        on: &impl ConnectionTrait,
        follower: &str,
        epoch: i64,
    ) -> Result<bool, Error> {
        let sql = "UPDATE @checkpoints SET epoch = $2 WHERE follower = $1 AND epoch <= $2";
        Ok(on.execute(db.statement(sql, [follower.into(), epoch.into()])).await?.rows_affected() == 1)
    }

    /// Moves the row from `self` to `to`; the first statement of a follower's batch. False: another process moved or
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

/// A follower's checkpoint under its lease: only the holder of the newest lease can move it.
#[derive(Debug, Clone)]
pub struct Fence {
    db: Db,
    follower: String,
    epoch: i64,
}

impl Fence {
    /// Takes the follower's row for this lease, and returns the checkpoint. A process that moved it before notices
    /// this with its next batch.
    pub async fn take(db: &Db, follower: &str, lease: &Lease) -> Result<(Self, Checkpoint), Stopped> {
        let fence = Self { db: db.clone(), follower: follower.to_owned(), epoch: lease.epoch };
        fence.hold(&db.connection).await?;
        let row = Checkpoint::load(db, &db.connection, follower).await?;
        row.map(|(checkpoint, _)| (fence, checkpoint)).ok_or(Stopped::Lost)
    }

    /// Like [`Fence::take`]; a follower without a row starts at the beginning of the log.
    pub async fn begin(db: &Db, follower: &str, lease: &Lease) -> Result<(Self, Checkpoint), Stopped> {
        Checkpoint::start().begin(db, &db.connection, follower).await?;
        Self::take(db, follower, lease).await
    }

    /// Moves the checkpoint: the first statement of a batch. [`Stopped::Lost`]: another process moved or took it, and
    /// the batch must be rolled back.
    pub async fn advance(
        &self,
        on: &impl ConnectionTrait,
        from: &Checkpoint,
        to: &Checkpoint,
    ) -> Result<(), Stopped> {
        let moved = from.advance(&self.db, on, &self.follower, to, self.epoch).await?;
        if moved { Ok(()) } else { Err(Stopped::Lost) }
    }

    /// The first statement of a transaction that does not move the checkpoint: no other process can take it before
    /// the transaction ends.
    pub async fn hold(&self, on: &impl ConnectionTrait) -> Result<(), Stopped> {
        let held = Checkpoint::fence(&self.db, on, &self.follower, self.epoch).await?;
        if held { Ok(()) } else { Err(Stopped::Lost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_as_it_is_written() {
        let id = Uuid::from_u128(7);
        for (checkpoint, text) in
            [(Checkpoint::start(), "main:0".to_owned()), (Checkpoint::at(12, id), format!("main:12:{id}"))]
        {
            assert_eq!(checkpoint.to_string(), text);
            assert_eq!(text.parse::<Checkpoint>().unwrap(), checkpoint);
        }
        for bad in ["", "main", "main:", "main:x", "12", "main:12:x"] {
            let error = bad.parse::<Checkpoint>().unwrap_err().to_string();
            assert!(error.contains("is not a checkpoint"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_process_manager_follows_under_its_own_name() {
        assert_eq!(of_process("fulfilment"), "reactor:fulfilment");
    }
}
