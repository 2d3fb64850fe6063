//! The record of operations: who did what to generations.

use sea_orm::TransactionTrait as _;
use soonshop_projections::operations;

use crate::{Failure, Tool};

/// Adds a line to the record of operations, by itself.
pub(crate) async fn write_down(tool: &Tool, done: &operations::Operation) -> Result<(), Failure> {
    let db = tool.registry.operations();
    let tx = db.connection.begin().await?;
    operations::record(db, &tx, done).await?;
    tx.commit().await?;
    Ok(())
}
