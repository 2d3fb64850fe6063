//! Parked events, for the people who repair them: finding them, and asking to try them again.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait as _, Value as Bound};
use serde::Serialize;
use soonshop_event_log::{Error, EventLog, is_no_table};

use crate::{Generation, Registry};

/// An event that is parked in a generation.
#[derive(Debug, Clone, Serialize)]
pub struct Parked {
    pub generation: String,
    pub position: i64,
    pub event_id: String,
    pub event_type: String,
    /// `<type>-<id>`.
    pub stream: String,
    /// The groups of rows that wait for it.
    pub rows: Vec<String>,
    pub cause: String,
    pub attempts: i64,
    #[serde(skip)]
    pub of: Generation,
}

/// How many events a live generation has parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    pub generation: String,
    pub events: i64,
    /// The position of the first of them.
    pub first: i64,
}

/// The live generations that have parked events.
pub async fn counts(registry: &Registry) -> Result<Vec<Count>, Error> {
    let mut all = Vec::new();
    for known in registry.all(None).await?.into_iter().filter(|known| known.state.lives()) {
        let db = known.generation.db(registry.database())?;
        let sql = "SELECT count(*), coalesce(min(position), 0) FROM @parked";
        let row = match db.connection.query_one(db.statement(sql, [])).await {
            Ok(row) => row,
            // It is being made, or removed; a missing table is reported elsewhere.
            Err(error) if is_no_table(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(row) = row else { continue };
        let (events, first) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        if events > 0 {
            all.push(Count { generation: known.generation.namespace(), events, first });
        }
    }
    Ok(all)
}

/// All parked events of live generations, of one read model or of all, in log order within each.
pub async fn find(
    registry: &Registry,
    log: &EventLog,
    projection: Option<&str>,
) -> Result<Vec<Parked>, Error> {
    let mut all = Vec::new();
    for known in registry.all(projection).await? {
        if !known.state.lives() {
            continue;
        }
        let db = known.generation.db(registry.database())?;
        let sql = "SELECT position, event_id, rows, cause, attempts FROM @parked ORDER BY position";
        for row in db.connection.query_all(db.statement(sql, [])).await? {
            let position: i64 = row.try_get_by_index(0)?;
            let rows: String = row.try_get_by_index(2)?;
            let event = log.read(position, 1).await?.into_iter().next().filter(|e| e.position == position);
            let stream = event
                .as_ref()
                .map_or_else(String::new, |event| format!("{}-{}", event.aggregate_type, event.aggregate_id));
            all.push(Parked {
                generation: known.generation.namespace(),
                position,
                event_id: row.try_get_by_index(1)?,
                event_type: event.map_or_else(|| "(not in the log)".to_owned(), |event| event.event_type),
                stream,
                rows: serde_json::from_str(&rows).unwrap_or_default(),
                cause: row.try_get_by_index(3)?,
                attempts: row.try_get_by_index(4)?,
                of: known.generation.clone(),
            });
        }
    }
    Ok(all)
}

/// The parked events among these positions, with the live generations that parked them.
pub async fn among(registry: &Registry, positions: &[i64]) -> Result<BTreeMap<i64, Vec<String>>, Error> {
    let mut all: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let (Some(first), Some(last)) = (positions.iter().min(), positions.iter().max()) else { return Ok(all) };
    let expected: BTreeSet<_> = positions.iter().collect();
    for known in registry.all(None).await?.into_iter().filter(|known| known.state.lives()) {
        let db = known.generation.db(registry.database())?;
        let sql = "SELECT position FROM @parked WHERE position BETWEEN $1 AND $2";
        for row in db.connection.query_all(db.statement(sql, [(*first).into(), (*last).into()])).await? {
            let position: i64 = row.try_get_by_index(0)?;
            if expected.contains(&position) {
                all.entry(position).or_default().push(known.generation.namespace());
            }
        }
    }
    Ok(all)
}

/// The positions of parked events of all live generations, at most `most` of each.
pub async fn positions(registry: &Registry, most: i64) -> Result<Vec<i64>, Error> {
    let mut all = BTreeSet::new();
    for known in registry.all(None).await?.into_iter().filter(|known| known.state.lives()) {
        let db = known.generation.db(registry.database())?;
        let sql = "SELECT position FROM @parked ORDER BY position LIMIT $1";
        for row in db.connection.query_all(db.statement(sql, [most.into()])).await? {
            all.insert(row.try_get_by_index(0)?);
        }
    }
    Ok(all.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX)).collect())
}

/// Asks the generation's follower to try these events again, in order.
pub async fn retry(registry: &Registry, generation: &Generation, positions: &[i64]) -> Result<(), Error> {
    let db = generation.db(registry.database())?;
    for position in positions {
        let sql = "INSERT INTO @retries (position) VALUES ($1) ON CONFLICT DO NOTHING";
        db.connection.execute(db.statement(sql, [Bound::from(*position)])).await?;
    }
    Ok(())
}
