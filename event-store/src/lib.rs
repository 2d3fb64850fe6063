//! Writing the log: commands are decided and their events appended, all or nothing, in batches, each command once.
//!
//! [`EventStore::execute`] is the entry point: it loads the aggregate, lets it decide, encrypts personal values, and
//! passes the events to the process's one [`appender`], which commits all waiting requests as one batch under the
//! lock of the log's head. Start reading there.

mod adopt;
mod aggregate_cache;
pub mod appender;
mod command;
mod draft;
mod earlier;
mod error;
mod execute;
mod execute_error;
mod joined;
pub mod keys;
mod kind;
mod last_failure;
mod loading;
pub mod metrics;
mod owners;
mod parts_read;
mod postgres;
mod purge;
mod settle;
mod snapshot;
mod sqlite;
mod store;
mod waiting;

pub use adopt::adopt;
pub use appender::{Answer, Appender, Claim, Expected, NewEvent, Outcome, Request};
pub use command::{CommandContext, Executed};
pub use earlier::EarlierForm;
pub use error::{AppendError, LARGEST_EVENT};
pub use execute_error::ExecuteError;
pub use joined::{Joined, MOST_STREAMS, RefusedBy};
pub use keys::KeyMaker;
pub use kind::OutcomeKind;
pub use last_failure::LastFailure;
pub use purge::{Purge, Purged, RecordOwner, purged};
pub use store::EventStore;
