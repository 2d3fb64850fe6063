//! The audit trail of a shop: who changed what, when and why, with the values before and after. It has search,
//! history, differences, the event that set each field, correlation, export and notes, and can show an export in place
//! of a shop.
//!
//! It knows nothing of HTTP: requests are plain values, and a failure is a
//! [`QueryError`](soonshop_domain::QueryError). States, changes and fields leave this crate only through the
//! [`redactor`]. Start reading at [`reader`], then [`timeline`] and [`trail`].

pub mod aggregate;
pub mod amounts;
mod beside;
pub mod changes;
mod condition;
pub mod correlation;
pub mod diff;
pub mod entry;
pub mod events;
pub mod export;
pub mod file;
pub mod filter;
pub mod finder;
pub mod groups;
pub mod integrity;
pub mod listing;
pub mod look_up;
pub mod name;
pub mod names;
mod names_in_file;
pub mod notes;
pub mod operations;
pub mod parked;
pub mod pending;
pub mod processes;
pub mod reader;
pub mod reading;
mod reasons;
pub mod record;
pub mod record_names;
pub mod related;
pub mod search;
pub mod sorting;
pub mod status;
pub mod terms;
pub mod timeline;
pub mod trail;
pub mod trend;
pub mod views;

pub use soonshop_event_log::redactor;
