//! Records of commands that are old enough go, a few at a time, while the appends go on.
//!
//! A repeated command is answered from its record; without one it is decided again. So a person's record is kept for as
//! long as anybody may repeat the command, and a process's for as long as there are backups of what the process wanted
//! to do: from such a backup it would send its commands once more. How far was purged stands beside the records.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use soonshop_event_log::{Db, Error};

/// Whose commands. An event of a process names the channel `process`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOwner {
    Persons,
    Processes,
}

impl RecordOwner {
    /// As it is stored.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Persons => "person",
            Self::Processes => "process",
        }
    }
}

/// Which records are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purge {
    pub owner: RecordOwner,
    /// How long one is kept, by the database's clock.
    pub days: u16,
    /// One that was recorded from then on stays, however old it is.
    pub before: Option<DateTime<Utc>>,
    /// How many records to look at, at most.
    pub most: u32,
}

/// What one step of a purge came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Records that were old enough, of whatever kind. Fewer than were asked for: there are no more.
    pub examined: i64,
    pub deleted: i64,
}

/// The moment up to which, it included, records are gone. `None`: nothing was purged yet.
pub async fn purged(log: &Db, owner: RecordOwner) -> Result<Option<DateTime<Utc>>, Error> {
    let micros = match log.backend() {
        DatabaseBackend::Postgres => "(extract(epoch FROM recorded_at) * 1000000)::bigint",
        _ => "recorded_at",
    };
    let sql = format!("SELECT {micros} FROM @purged WHERE kind = $1");
    let row = log.connection.query_one(log.statement(&sql, [owner.kind().into()])).await?;
    let Some(row) = row else { return Ok(None) };
    let moment = DateTime::from_timestamp_micros(row.try_get_by_index(0)?);
    moment.map(Some).ok_or_else(|| Error::Database("a purge was marked at no moment there is".to_owned()))
}
