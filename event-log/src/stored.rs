//! A row of the log as it is stored, and which logs there are.

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use soonshop_domain::ids::LOG;

/// The name of the record of operations, when it is read like a log.
pub const RECORD: &str = "operations";

/// How the names of read models begin: each can be made again from the log.
pub const READ_MODEL: &str = "rm_";

/// A row of the log, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub position: i64,
    pub event_id: Uuid,
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// The version of the stream after it, from 1.
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    /// JSON, byte for byte.
    pub payload: String,
    pub metadata: String,
    pub occurred_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}
