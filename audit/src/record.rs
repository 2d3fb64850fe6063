//! Adds to the record of operations that somebody saw, exported, looked up or retried something.

use serde_json::Value;
use soonshop_domain::{Actor, QueryError};
use soonshop_projections::operations::{self, Operation};

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
