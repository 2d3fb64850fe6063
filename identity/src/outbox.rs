//! Facts on their way into the log: read, and deleted, by the one worker that appends them.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use soonshop_domain::{Event, Metadata};
use soonshop_event_log::Db;
use uuid::Uuid;

use crate::Error;
use crate::stored::{moment, uuid};

/// A fact that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub aggregate_type: String,
    pub stream: Uuid,
    /// The version of its stream that it is to be.
    pub number: i64,
    pub event: Event,
    /// As it is stored.
    pub payload: String,
    pub metadata: Metadata,
    pub occurred_at: DateTime<Utc>,
}

/// The facts that wait, the oldest first, and at most so many. Where a clock stepped back one may come before the fact
/// that it follows ([`follows`]). Of a stream that stands still there are none.
pub async fn waiting(db: &Db, most: u32) -> Result<Vec<Waiting>, Error> {
    let sql = format!(
        "SELECT aggregate_type, aggregate_id, number, payload, metadata, occurred_at FROM @outbox waiting \
         WHERE NOT EXISTS (SELECT 1 FROM @outbox other WHERE other.aggregate_type = waiting.aggregate_type \
         AND other.aggregate_id = waiting.aggregate_id AND other.refused IS NOT NULL) \
         ORDER BY occurred_at, aggregate_type, aggregate_id, number LIMIT {most}"
    );
    let mut all = Vec::new();
    for row in db.connection.query_all(db.statement(&sql, [])).await? {
        let (aggregate_type, payload): (String, String) =
            (row.try_get_by_index(0)?, row.try_get_by_index(3)?);
        let event = match Event::decode(&aggregate_type, &payload) {
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                return Err(Error::internal(format!("a fact that waits cannot be read: {error}")));
            }
            None => {
                return Err(Error::internal(format!(
                    "a fact that waits is of an unknown type, {aggregate_type}"
                )));
            }
        };
        let metadata: String = row.try_get_by_index(4)?;
        all.push(Waiting {
            stream: uuid(&row.try_get_by_index::<String>(1)?)?,
            number: row.try_get_by_index(2)?,
            event,
            metadata: serde_json::from_str(&metadata).map_err(Error::internal)?,
            occurred_at: moment(row.try_get_by_index(5)?)?,
            aggregate_type,
            payload,
        });
    }
    Ok(all)
}

/// The log has it.
pub async fn remove(db: &Db, fact: &Waiting) -> Result<(), Error> {
    let sql = "DELETE FROM @outbox WHERE aggregate_type = $1 AND aggregate_id = $2 AND number = $3";
    db.connection.execute(db.statement(sql, place(fact))).await?;
    Ok(())
}

/// The log does not take it: its stream stands still until somebody has looked.
pub async fn refuse(db: &Db, fact: &Waiting, reason: &str) -> Result<(), Error> {
    let sql =
        "UPDATE @outbox SET refused = $4 WHERE aggregate_type = $1 AND aggregate_id = $2 AND number = $3";
    let [one, two, three] = place(fact);
    db.connection.execute(db.statement(sql, [one, two, three, reason.into()])).await?;
    Ok(())
}

/// Whether the fact before it waits, too.
pub async fn follows(db: &Db, fact: &Waiting) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM @outbox WHERE aggregate_type = $1 AND aggregate_id = $2 AND number < $3";
    Ok(db.connection.query_one(db.statement(sql, place(fact))).await?.is_some())
}

/// How many facts the log did not take.
pub async fn refused(db: &Db) -> Result<i64, Error> {
    let row = db
        .connection
        .query_one(db.statement("SELECT count(*) FROM @outbox WHERE refused IS NOT NULL", []))
        .await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
}

fn place(fact: &Waiting) -> [sea_orm::Value; 3] {
    [fact.aggregate_type.as_str().into(), fact.stream.to_string().into(), fact.number.into()]
}
