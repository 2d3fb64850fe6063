//! Writing the log: commands are decided and their events appended, all or nothing, in batches, each command once.
//!
//! [`EventStore::execute`] is the way in: it loads the aggregate, lets it decide, seals what is personal, and hands the
//! events to the process's one [`appender`], which commits what waits as one batch under the lock of the log's head.
//! Start reading there.

mod adopt;
pub mod appender;
mod execute;
mod hot;
pub mod keys;
mod kind;
pub mod metrics;
mod postgres;
mod purge;
mod sqlite;

pub use adopt::adopt;
pub use appender::{Answer, Appender, Claim, Expected, NewEvent, Outcome, Request};
pub use execute::{CommandContext, EventStore, ExecuteError, Executed};
pub use keys::KeyMaker;
pub use kind::OutcomeKind;
pub use purge::{Purge, Purged, Whose, purged};

/// Why an append did not happen, or is not known to have happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// It passes. The command may have been done: repeated with the same id, it is not done twice.
    #[error("the event store cannot be used just now: {0}")]
    Unavailable(String),
    /// The set of keys of unique values is not the log's: read them anew and try again.
    #[error("the keys of unique values have changed")]
    ClaimKeysChanged,
    #[error("the event store refused the data: {0}")]
    Refused(String),
    #[error("another process owns this log: {0}")]
    Owned(String),
}

/// The largest event, in bytes of its payload.
pub const LARGEST_EVENT: usize = 256 * 1024;
