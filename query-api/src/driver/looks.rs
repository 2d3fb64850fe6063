//! Records who looked at personal values of others, before they are shown.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::Value;
use soonshop_domain::QueryError;
use soonshop_event_log::{Db, Error};
use soonshop_projections::operations::{self, Operation};

/// The action in the record of operations.
const READ_PERSONAL: &str = "read-personal";

/// The same look within this time is recorded once.
const SAME_LOOK: Duration = Duration::from_mins(1);
/// How many looks are remembered. One that was forgotten is recorded again.
const MOST_LOOKS: u64 = 10_000;

/// The looks of the last minute in this process.
pub(crate) struct Looks(Cache<String, ()>);

impl Default for Looks {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_LOOKS).time_to_live(SAME_LOOK).build())
    }
}

impl Looks {
    /// Adds a line to the record of operations, unless the same one was added within the last minute. If this fails,
    /// nothing may be shown.
    pub(crate) async fn record(
        &self,
        db: &Db,
        actor: String,
        subject: String,
        detail: Value,
    ) -> Result<(), QueryError> {
        let look = format!("{actor} {subject} {detail}");
        let operation = Operation { actor, action: READ_PERSONAL, subject, detail, note: None };
        let written = self.0.try_get_with(look, operations::add(db, &operation)).await;
        written.map_err(|error: Arc<Error>| {
            tracing::warn!(%error, "a look at personal values could not be recorded");
            let detail = "who looks at personal values is recorded, which is not possible just now";
            QueryError::unavailable("database-unavailable", detail, Duration::from_secs(1))
        })
    }
}
