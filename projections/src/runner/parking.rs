//! Parked events: those that could not be projected, and later ones that need the same rows.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DbErr};
use soonshop_event_log::{Db, RecordedEvent, Stopped};

use super::failure::Broken;
use crate::left_out;
use crate::transaction::Transaction;

/// The groups of rows that wait for a parked event.
#[derive(Default)]
pub(super) struct Parking {
    groups: BTreeSet<String>,
}

impl Parking {
    /// Loads the parked events.
    pub(super) async fn load(db: &Db) -> Result<Self, Stopped> {
        let rows = db.connection.query_all(db.statement("SELECT rows FROM @parked", [])).await?;
        let mut groups = BTreeSet::new();
        for row in rows {
            let names: String = row.try_get_by_index(0)?;
            let names: Vec<String> = serde_json::from_str(&names).unwrap_or_default();
            // No event waits for a document that the index left out.
            if !left_out::is_document(&names) {
                groups.extend(names);
            }
        }
        Ok(Self { groups })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    pub(super) fn extend(&mut self, names: BTreeSet<String>) {
        self.groups.extend(names);
    }
}

/// Parks an event.
pub(super) async fn park(
    db: &Db,
    tx: &Transaction,
    event: &RecordedEvent,
    names: &BTreeSet<String>,
    cause: &str,
) -> Result<(), Broken> {
    let sql = "INSERT INTO @parked (position, event_id, rows, cause) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (position) DO UPDATE SET cause = excluded.cause, attempts = parked.attempts + 1";
    let names = serde_json::to_string(names).map_err(|error| Broken::Rows(error.to_string()))?;
    let values = [event.position.into(), event.event_id.to_string().into(), names.into(), cause.into()];
    tx.execute(db.statement(sql, values)).await?;
    Ok(())
}

/// Removes a request to try an event again. (A later request is a new one.)
pub(super) async fn tried(db: &Db, tx: &Transaction, position: i64) -> Result<(), DbErr> {
    let sql = "DELETE FROM @retries WHERE position = $1";
    tx.execute(db.statement(sql, [position.into()])).await.map(drop)
}
