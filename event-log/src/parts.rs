//! The indexes by which parts of states are found in the log: whether each is there, and has the newest events.

use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use soonshop_domain::catalog::{self, Visitor};
use soonshop_domain::{Decider, Event, TYPES};

use crate::{Error, EventLog};

/// How many of the newest events are looked up.
const NEWEST: i64 = 200;

/// How an aggregate type keeps its parts.
struct PartsOfType {
    fields: &'static [&'static str],
    key: fn(&Event) -> Option<String>,
}

/// Asks an aggregate type how it keeps its parts.
struct AskForParts;

impl Visitor for AskForParts {
    type Output = PartsOfType;

    fn visit<A: Decider>(self) -> PartsOfType {
        PartsOfType { fields: A::PART_KEY, key: |event| event.downcast_ref().and_then(A::part_changed) }
    }
}

/// The fault of the indexes of parts, with the remedy; `None`: there is none.
pub async fn defect(log: &EventLog) -> Result<Option<String>, Error> {
    for kind in TYPES {
        let Some(kept) = catalog::visit(kind, AskForParts).filter(|kept| !kept.fields.is_empty()) else {
            continue;
        };
        if !is_there(log, kind).await? {
            return Ok(Some(format!(
                "the index {kind}_parts of the log is missing or invalid, and commands on {kind} are slow or fail: drop \
                 it if it is there, delete the line 003_parts of the table soonshop_log_steps, and run `soonshop migrate`"
            )));
        }
        let head = log.head().await?.position;
        for row in log.read((head - NEWEST + 1).max(1), NEWEST).await? {
            let (id, event_id) = (row.aggregate_id.clone(), row.event_id);
            let event =
                Some(row).filter(|row| row.aggregate_type == *kind).and_then(|row| log.decode_row(row));
            let Some(key) = event.and_then(Result::ok).and_then(|event| (kept.key)(&event.event)) else {
                continue;
            };
            let found = log.part(kind, kept.fields, &id, &key).await?;
            if !found.iter().any(|row| row.event_id == event_id) {
                return Ok(Some(format!(
                    "the index {kind}_parts of the log lacks an event of {kind} {id}: stop all that writes, and make it \
                     anew (`{}`)",
                    log.db().sql(&format!("REINDEX {}@{kind}_parts", index_word(log))),
                )));
            }
        }
    }
    Ok(None)
}

fn index_word(log: &EventLog) -> &'static str {
    if log.db().backend() == DatabaseBackend::Postgres { "INDEX " } else { "" }
}

async fn is_there(log: &EventLog, kind: &str) -> Result<bool, Error> {
    let db = log.db();
    let sql = match db.backend() {
        DatabaseBackend::Postgres => format!(
            "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('@{kind}_parts') AND indisvalid AND indisready"
        ),
        _ => format!("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = '{kind}_parts'"),
    };
    let row = db.connection.query_one(db.statement(&sql, [])).await?;
    Ok(row.map(|row| row.try_get_by_index::<i64>(0)).transpose()? == Some(1))
}
