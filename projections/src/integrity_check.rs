//! Checking a sealed log: its seals, and the events that followers have read and that no seal covers yet.

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::seal::{self, Before, Positions, RECORD_SEALS, SEALS, Seals, TrustedKey};
use soonshop_event_log::{Checkpoint, Error};

use crate::follower_status::is_standby;
use crate::generation::ROWS;
use crate::integrity::{Checked, SealedLog, read_one};
use crate::record;
use crate::status::StatusReader;

/// Compares a log, or the record of operations, with its seals and with what is known to have been there. The result is
/// for [`record_check`](crate::integrity::record_check).
pub async fn check(
    reader: &StatusReader,
    of: SealedLog,
    positions: Positions,
    trusted: Option<&TrustedKey>,
) -> Result<Checked, Error> {
    let (log, seals) = match of {
        SealedLog::Log => (reader.log.clone(), SEALS),
        SealedLog::Record => (reader.record(), RECORD_SEALS),
    };
    let seals = Seals::new(reader.log.db().beside(seals)?);
    let operations = reader.registry.operations();
    // All of this is looked up before the log, which therefore must hold it.
    let begun_after = record::head(operations).await?;
    let known = read_one(&reader.record_proof()?, &operations.connection, of).await?;
    let mut read: Vec<_> =
        known.missing.iter().map(|(position, id)| Checkpoint::at(*position, *id)).collect();
    if of == SealedLog::Log {
        read.extend(checkpoints(reader).await?);
    }
    let mut report = seal::check(&log, &seals, positions, trusted).await?;
    // A standby has not seen all yet: of it only the seals tell, and they undo nothing that was found elsewhere.
    if is_standby(&log).await? {
        return Ok(Checked { report, missing: Vec::new(), begun_after: 0 });
    }
    let before = Before { read, end: known.head, proved_to: known.proved_to() };
    let missing = report.compare_with(&log, positions, &before).await?;
    Ok(Checked { report, missing, begun_after })
}

/// Where the followers of the log are.
async fn checkpoints(reader: &StatusReader) -> Result<Vec<Checkpoint>, Error> {
    let process = reader.log.db().beside("process")?;
    let sql = "SELECT follower FROM @checkpoints ORDER BY follower";
    let mut known = Vec::new();
    for row in process.connection.query_all(process.statement(sql, [])).await? {
        let follower: String = row.try_get_by_index(0)?;
        known.extend(Checkpoint::load(&process, &process.connection, &follower).await?.map(|(at, _)| at));
    }
    for one in reader.registry.all(None).await?.iter().filter(|one| one.state.lives()) {
        let name = one.generation.namespace();
        let db = one.generation.db(reader.registry.database())?;
        match Checkpoint::load(&db, &db.connection, ROWS).await {
            Ok(at) => known.extend(at.map(|(at, _)| at)),
            // One that is being made or removed now has no checkpoint to compare with.
            Err(Error::Database(reason) | Error::Damaged(reason)) => {
                tracing::debug!(name, reason, "no checkpoint to compare with");
            }
            Err(error) => return Err(error),
        }
        let of_index = reader.search.checkpoint(&name).await.ok().flatten();
        let of_cache = reader.cache.checkpoint(&name).await.ok().flatten();
        known.extend(of_index.into_iter().chain(of_cache).filter_map(|text| text.parse::<Checkpoint>().ok()));
    }
    // Position 0 has no event, and a checkpoint of another log says nothing about this one.
    known.retain(|at| at.position > 0 && at.log == reader.log.name());
    Ok(known)
}
