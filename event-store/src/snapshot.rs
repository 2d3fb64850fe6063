//! Snapshots of long streams: written now and then, never trusted over the log.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::Decider;
use uuid::Uuid;

use crate::aggregate_cache::Loaded;
use crate::{EventStore, ExecuteError};

/// A snapshot is written every so many events of a stream.
pub(crate) const SNAPSHOT_EVERY: i64 = 200;

/// A snapshot's version, event and JSON.
pub(crate) type Snapshot = (i64, Uuid, String);

pub(crate) fn snapshot_of<A: Decider>(loaded: &Loaded<A>) -> Option<Snapshot> {
    let state = serde_json::to_string(&*loaded.state.without_parts())
        .inspect_err(|error| tracing::warn!(%error, kind = A::TYPE, "a snapshot cannot be written as JSON"))
        .ok();
    loaded.last.zip(state).map(|(last, state)| (loaded.version, last, state))
}

impl EventStore {
    pub(crate) async fn snapshot<A: Decider>(
        &self,
        id: &str,
    ) -> Result<Option<Loaded<A>>, ExecuteError<A::Error>> {
        let db = self.log.db();
        let sql = "SELECT sequence, CAST(event_id AS TEXT), CAST(state AS TEXT) FROM @states \
                   WHERE aggregate_type = $1 AND aggregate_id = $2 AND state_version BETWEEN $3 AND $4";
        let version = |version: u32| i32::try_from(version).unwrap_or(i32::MAX).into();
        let versions = [version(A::OLDEST_STATE), version(A::STATE_VERSION)];
        let statement = db.statement(sql, [A::TYPE.into(), id.into()].into_iter().chain(versions));
        let row = db.connection.query_one(statement).await.map_err(soonshop_event_log::Error::from)?;
        let Some(row) = row else { return Ok(None) };
        let read = || -> Result<_, sea_orm::DbErr> {
            Ok((
                row.try_get_by_index(0)?,
                row.try_get_by_index::<String>(1)?,
                row.try_get_by_index::<String>(2)?,
            ))
        };
        let (sequence, event_id, state) = read().map_err(soonshop_event_log::Error::from)?;
        // An unreadable snapshot is ignored: the log has everything.
        let read = event_id.parse().ok().zip(serde_json::from_str(&state).ok());
        Ok(read.map(|(id, state)| Loaded::from_snapshot(&state, sequence, id)))
    }

    /// Writes a snapshot in the background. It may fail or come late: it is never trusted over the log.
    pub(crate) fn keep<A: Decider>(&self, id: Uuid, snapshot: Option<Snapshot>) {
        let Some((sequence, event_id, state)) = snapshot else { return };
        let db = self.log.db().clone();
        tokio::spawn(async move {
            let (uuid, json) = match db.backend() {
                sea_orm::DatabaseBackend::Postgres => ("::uuid", "::json"),
                _ => ("", ""),
            };
            let sql = format!(
                "INSERT INTO @states (aggregate_type, aggregate_id, state_version, sequence, event_id, state) \
                 VALUES ($1, $2, $3, $4, $5{uuid}, $6{json}) ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET \
                 state_version = excluded.state_version, sequence = excluded.sequence, event_id = excluded.event_id, \
                 state = excluded.state WHERE states.sequence < excluded.sequence \
                 OR states.state_version <> excluded.state_version"
            );
            let values = [
                A::TYPE.into(),
                id.to_string().into(),
                i32::try_from(A::STATE_VERSION).unwrap_or(i32::MAX).into(),
                sequence.into(),
                event_id.to_string().into(),
                state.into(),
            ];
            if let Err(error) = db.connection.execute(db.statement(&sql, values)).await {
                tracing::warn!(%error, stream = %id, "a snapshot was not written");
            }
        });
    }
}
