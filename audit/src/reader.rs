//! The sources of the audit trail: a shop, or an export in its place.

use soonshop_domain::QueryError;
use soonshop_event_log::EventLog;
use soonshop_projections::Registry;
use soonshop_projections::source::Source;

/// Where the changes of events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangesFrom {
    /// Folded from the log.
    Log,
    /// Stored beside the rows of an export.
    Rows,
    /// The export was made without them.
    Nowhere,
}

/// Reads the audit trail.
#[derive(Clone)]
pub struct Reader {
    /// The read models, and the record of operations.
    pub registry: Registry,
    /// The histories of aggregates.
    pub log: EventLog,
    /// Where the changes of events come from.
    pub changes: ChangesFrom,
}

impl Reader {
    /// The reader of a shop.
    pub fn new(registry: Registry, log: EventLog) -> Self {
        Self { registry, log, changes: ChangesFrom::Log }
    }

    /// The generation of the trail that is in use.
    pub async fn source(&self) -> Result<Source, QueryError> {
        Source::of(&self.registry, "audit", None).await
    }
}
