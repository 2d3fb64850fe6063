//! Reading the log: in order of position, by stream, decoded, upcast and decrypted; and what readers need besides:
//! databases by URL, keys, checkpoints, and the check of the log against its seals.
//!
//! This crate cannot write an event, and cannot make or erase a key: a program that depends on it alone can only
//! read. Start reading at [`EventLog`], then [`KeyStore`], then [`follow`].

mod address;
pub mod checkpoint;
pub mod cloud_event;
pub mod codec;
mod copy_out;
pub mod database;
mod error;
pub mod follow;
pub mod history;
pub mod keys;
pub mod lease;
mod log;
pub mod note;
pub mod parts;
pub mod redactor;
pub mod seal;
mod stop_note;
mod stored;
mod upcast;

pub use address::shown;
pub use checkpoint::{Checkpoint, Fence};
pub use database::{Database, DatabaseLocation, Db, places, quoted};
pub use error::{Error, is_no_table, sqlx_unavailable, unavailable};
pub use keys::{Key, KeyStore, MasterKeys};
pub use lease::{Lease, Leases, Stopped};
pub use log::{Content, Entry, EventLog, PageReader, RecordedEvent, Span};
pub use soonshop_private_files as private_files;
pub use stop_note::StopNote;
pub use stored::{LOG, READ_MODEL, RECORD, StoredEvent};
