//! Purging old records of commands, a few at a time, while appends go on.
//!
//! A repeated command is answered from its record; without the record it is decided again. So a person's record is
//! kept as long as the person may repeat the command, and a process manager's record as long as there are backups of
//! its outbox: from such a backup it would send its commands again. The time up to which records were purged is
//! stored beside them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use soonshop_event_log::{Db, Error};

/// The senders of the commands. Events of a process manager have the channel `process`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOwner {
    Persons,
    Processes,
}

impl RecordOwner {
    /// The stored name.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Persons => "person",
            Self::Processes => "process",
        }
    }
}

/// Which records to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    pub owner: RecordOwner,
    /// How many days a record is kept, by the database's clock.
    pub days: u16,
    /// A record from this moment on stays, at any age.
    pub before: Option<DateTime<Utc>>,
    /// The most records to examine.
    pub most: u32,
}

/// The result of one step of a purge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Records that were old enough, of both kinds. Less than the limit: there are no more.
    pub examined: i64,
    pub deleted: i64,
}

/// The time up to which (inclusive) records were deleted. `None`: nothing was purged yet.
pub async fn purged(log: &Db, owner: RecordOwner) -> Result<Option<DateTime<Utc>>, Error> {
    let micros = match log.backend() {
        DatabaseBackend::Postgres => "(extract(epoch FROM recorded_at) * 1000000)::bigint",
        _ => "recorded_at",
    };
    let sql = format!("SELECT {micros} FROM @purged WHERE kind = $1");
    let row = log.connection.query_one(log.statement(&sql, [owner.kind().into()])).await?;
    let Some(row) = row else { return Ok(None) };
    let moment = DateTime::from_timestamp_micros(row.try_get_by_index(0)?);
    moment.map(Some).ok_or_else(|| Error::Database("the recorded time of a purge is out of range".to_owned()))
}
