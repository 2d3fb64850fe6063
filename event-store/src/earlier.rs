//! The records of a command under the ids that earlier releases gave it.

use sea_orm::{ConnectionTrait as _, QueryResult};
use soonshop_event_log::{Db, Error};
use uuid::Uuid;

use crate::appender::{Answer, unhex};
use crate::kind::OutcomeKind;

/// How an earlier release would have recorded a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierForm {
    pub command_id: Uuid,
    /// From [`KeyMaker::fingerprint`](crate::KeyMaker::fingerprint).
    pub fingerprint: Vec<u8>,
}

/// A stored record.
pub(crate) struct Record {
    pub(crate) command_id: Uuid,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) answer: Answer,
}

impl Record {
    /// Whether it is of the command that has this form.
    pub(crate) fn is(&self, form: &EarlierForm) -> bool {
        self.command_id == form.command_id && self.fingerprint == form.fingerprint
    }
}

/// Why it cannot be said in which form a command was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordedForm {
    #[error("the id was used for another command")]
    IdReused,
    #[error(transparent)]
    Unreadable(Error),
}

/// The records with these ids.
pub(crate) async fn find(db: &Db, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    let fingerprint = match db.backend() {
        sea_orm::DatabaseBackend::Postgres => "encode(fingerprint, 'hex')",
        _ => "fingerprint",
    };
    let sql = format!(
        "SELECT CAST(command_id AS TEXT), {fingerprint}, CAST(status AS BIGINT), location, version, first_position, \
         last_position, detail FROM @commands WHERE command_id IN ({ids})"
    );
    db.connection.query_all(db.statement(&sql, [])).await?.iter().map(record).collect()
}

fn record(row: &QueryResult) -> Result<Record, Error> {
    let status: i64 = row.try_get_by_index(2)?;
    let answer = Answer {
        kind: OutcomeKind::from_stored(i16::try_from(status).unwrap_or(i16::MAX)),
        reference: row.try_get_by_index(3)?,
        version: row.try_get_by_index(4)?,
        first_position: row.try_get_by_index(5)?,
        last_position: row.try_get_by_index(6)?,
        detail: row.try_get_by_index(7)?,
    };
    let id: String = row.try_get_by_index(0)?;
    let command_id = Uuid::try_parse(&id)
        .map_err(|_| Error::Database(format!("the command record {id} has no id that can be read")))?;
    let fingerprint: String = row.try_get_by_index(1)?;
    Ok(Record { command_id, fingerprint: unhex(&fingerprint), answer })
}
