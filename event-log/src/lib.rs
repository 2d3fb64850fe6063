//! Reading the log: in order by position, by stream, decoded, upcast and opened; and what readers need beside it:
//! databases by URL, keys, checkpoints; and whether what it holds is what it held when it was sealed.
//!
//! This crate cannot write an event and cannot make or erase a key: whoever depends on it alone has nothing to act
//! with. Start reading at [`EventLog`], then [`KeyStore`].

pub mod checkpoint;
pub mod cloud_event;
pub mod codec;
mod copied;
pub mod database;
pub mod keys;
mod log;
pub mod seal;

pub use checkpoint::{Checkpoint, Lease, Leases, Stopped};
pub use database::{Database, Db, Place, is_no_table, unavailable};
pub use keys::{Key, KeyStore, MasterKeys};
pub use log::{Content, Entry, EventLog, LOG, PageReader, RECORD, RecordedEvent, Span, StoredEvent};

use uuid::Uuid;

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It passes: the server is down, full, or does not let us in just now.
    #[error("the database cannot be used just now: {0}")]
    Unavailable(String),
    #[error("the database refused: {0}")]
    Database(String),
    #[error("the database address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
    /// What stands in the log is not what was written.
    #[error("the event at position {position} cannot be read: {reason}")]
    Undecodable { position: i64, reason: String },
    /// The log at a checkpoint is another history: it was restored, or failed over to an older state.
    #[error(
        "ahead-of-log: {follower} was at position {position} with event {expected}, and the log has {found} there; rebuild {follower}"
    )]
    AheadOfLog { follower: String, position: i64, expected: Uuid, found: String },
    #[error("the key store cannot be used: {0}")]
    Keys(String),
    /// Far more values than an accident explains cannot be opened: the key store was lost, not the people.
    #[error(
        "{count} personal values of one page have neither a key nor a tombstone: the key store is not the one of this log"
    )]
    KeyStoreLost { count: usize },
    #[error("the master key cannot be used: {0}")]
    MasterKey(String),
    #[error("the seal key cannot be used: {0}")]
    SealKey(String),
    /// What was sealed and what the log or the keys say do not go together: nothing more is sealed.
    #[error("the log cannot be sealed: {0}")]
    Seals(String),
    #[error("line {line} of the export cannot be read: {reason}")]
    Export { line: usize, reason: String },
    #[error("the export cannot be written: {0}")]
    Write(std::io::Error),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        if unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if database::sqlx_unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}
