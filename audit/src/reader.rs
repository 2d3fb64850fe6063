//! What the audit trail is read from: a shop, or an export in its place.

use std::sync::Arc;

use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::source::Source;
use tokio::sync::Mutex;

/// Where it is said what an event changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangesFrom {
    /// Histories are folded.
    Log,
    /// It stands beside the rows of an export.
    Rows,
    /// The export was made without.
    Nowhere,
}

/// Reads the audit trail.
#[derive(Clone)]
pub struct Reader {
    /// The read models, and the record of operations.
    pub registry: Registry,
    /// The histories of aggregates.
    pub log: EventLog,
    /// Where it is said what an event changed.
    pub changes: ChangesFrom,
    /// Held while somebody is looked up: how often that was done is counted and written down by one at a time.
    pub(crate) looking_up: Arc<Mutex<()>>,
    /// Held while a note is left, for the same reason.
    pub(crate) noting: Arc<Mutex<()>>,
}

impl Reader {
    /// Of a shop.
    pub fn new(registry: Registry, log: EventLog) -> Self {
        let (looking_up, noting) = (Arc::default(), Arc::default());
        Self { registry, log, changes: ChangesFrom::Log, looking_up, noting }
    }

    /// The generation of the trail that readers go by.
    pub async fn source(&self) -> Result<Source, QueryError> {
        Source::of(&self.registry, "audit", None).await
    }
}
