//! Writing the log: commands are decided and their events appended, all or nothing, in batches, each command once.
//!
//! [`EventStore::execute`] is the entry point: it loads the aggregate, lets it decide, encrypts personal values, and
//! passes the events to the process's one [`appender`], which commits all waiting requests as one batch under the
//! lock of the log's head. Start reading there.

mod adopt;
mod aggregate_cache;
pub mod appender;
mod earlier;
mod error;
mod execute;
pub mod keys;
mod kind;
mod last_failure;
pub mod metrics;
mod postgres;
mod purge;
mod sqlite;

pub use adopt::adopt;
pub use appender::{Answer, Appender, Claim, Expected, NewEvent, Outcome, Request};
pub use earlier::EarlierForm;
pub use error::{AppendError, LARGEST_EVENT};
pub use execute::{CommandContext, EventStore, ExecuteError, Executed};
pub use keys::KeyMaker;
pub use kind::OutcomeKind;
pub use last_failure::LastFailure;
pub use purge::{Purge, Purged, RecordOwner, purged};
