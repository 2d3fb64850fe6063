//! Documents that a search index does not take, since they are too large: they are parked under the position of the
//! event that made them, like events that cannot be projected, so that everybody who looks for those sees them. Their
//! rows are right, and no event waits for them.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::{Db, EventLog, Stopped};
use soonshop_search::{Change, TooLarge};

/// In place of the table, in the group that the event is parked under.
const INDEX: &str = "index/";

/// Whether something is parked under these groups because the index does not take it.
pub(crate) fn is_document<'a>(groups: impl IntoIterator<Item = &'a String>) -> bool {
    groups.into_iter().next().is_some_and(|group| group.starts_with(INDEX))
}

/// The ids of the documents in these groups.
pub(crate) fn ids(groups: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    groups.iter().filter_map(|group| group.strip_prefix(INDEX))
}

fn groups(id: &str) -> String {
    serde_json::json!([format!("{INDEX}{id}")]).to_string()
}

/// The documents that an index left out, with the positions that they are parked under.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(BTreeMap<String, i64>);

impl LeftOut {
    pub(crate) async fn load(db: &Db) -> Result<Self, Stopped> {
        let mut all = BTreeMap::new();
        for row in db.connection.query_all(db.statement("SELECT position, rows FROM @parked", [])).await? {
            let (position, rows): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let groups: BTreeSet<String> = serde_json::from_str(&rows).unwrap_or_default();
            all.extend(ids(&groups).map(|id| (id.to_owned(), position)));
        }
        Ok(Self(all))
    }

    /// Before these changes are applied: what they replace is parked no more.
    pub(crate) async fn release(&mut self, db: &Db, changes: &[Change]) -> Result<(), Stopped> {
        for id in changes.iter().map(Change::id) {
            if let Some(position) = self.0.remove(id) {
                let sql = "DELETE FROM @parked WHERE position = $1 AND rows = $2";
                let statement = db.statement(sql, [position.into(), groups(id).into()]);
                db.connection.execute(statement).await?;
            }
        }
        Ok(())
    }

    /// Parks what is too large, before the index passes it.
    pub(crate) async fn note(
        &mut self,
        db: &Db,
        log: &EventLog,
        too_large: &[TooLarge],
    ) -> Result<(), Stopped> {
        for TooLarge { id, version, reason } in too_large {
            tracing::error!(position = version, reason, "a document is left out of the index");
            let event = log.read(*version, 1).await?.into_iter().find(|event| event.position == *version);
            let event = event.map_or_else(String::new, |event| event.event_id.to_string());
            let sql = "INSERT INTO @parked (position, event_id, rows, cause) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (position) DO UPDATE SET cause = excluded.cause";
            let values = [(*version).into(), event.into(), groups(id).into(), reason.as_str().into()];
            db.connection.execute(db.statement(sql, values)).await?;
            self.0.insert(id.clone(), *version);
        }
        Ok(())
    }
}

/// SQL that has the sinks apply a stream again (`$1`), though they have passed its events.
pub(crate) const REPEAT: &str =
    "INSERT INTO @repeated (number, stream) SELECT coalesce(max(number), 0) + 1, $1 FROM @repeated";
