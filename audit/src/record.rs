//! Adds to the record of operations that somebody saw, exported, looked up or retried something.

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop_domain::{Actor, QueryError};
use soonshop_projections::operations::{self, Operation};
use soonshop_projections::source::query_failed;

use crate::reader::Reader;

/// Adds a line to the record of operations. `detail` must hold nothing personal; the reason is encrypted.
pub async fn write_down(
    reader: &Reader,
    actor: &Actor,
    action: &'static str,
    subject: String,
    detail: Value,
    reason: Option<&str>,
) -> Result<(), QueryError> {
    let note = match reason {
        Some(reason) => Some(operations::note(reader.log.keys(), reason).await?),
        None => None,
    };
    add(reader, &Operation { actor: actor.to_string(), action, subject, detail, note }).await
}

/// Adds a complete line to the record of operations.
pub(crate) async fn add(reader: &Reader, done: &Operation) -> Result<(), QueryError> {
    Ok(operations::add(reader.registry.operations(), done).await?)
}

/// Whether the caller did this fewer than `most` times within the last minute, counted in the record of operations and
/// so across all processes.
pub(crate) async fn within_the_rate(
    reader: &Reader,
    actor: &Actor,
    action: &'static str,
    most: u32,
) -> Result<bool, QueryError> {
    let db = reader.registry.operations();
    let sql = format!(
        "SELECT count(*) FROM @entries WHERE action = $1 AND actor = $2 AND at > {} - 60000",
        db.now()
    );
    let values = [action.into(), actor.to_string().into()];
    let row = db.connection.query_one(db.statement(&sql, values)).await.map_err(query_failed)?;
    let made: i64 = row.map(|row| row.try_get_by_index(0)).transpose().map_err(query_failed)?.unwrap_or(0);
    Ok(made < i64::from(most))
}
