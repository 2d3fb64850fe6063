//! The port: what a cache can do.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A cached value and the position of the log at which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    pub position: i64,
}

/// Why the cache could not be used. Whoever reads goes on without it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{backend} cannot be reached: {reason}")]
    Unreachable { backend: &'static str, reason: String },
    #[error("the cache address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
}

/// The port. A `space` is one generation's namespace (`rm_products_3`), so that dropping it drops that generation.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// `moka` or `redis`.
    fn backend(&self) -> &'static str;
    /// True where other processes see the same entries; false where each process follows the log for its own.
    fn shared(&self) -> bool;
    /// Asks for a sign of life, within two seconds.
    async fn ping(&self) -> Result<(), Error>;
    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, Error>;
    /// Stores the entry unless the key's floor is above `entry.position`, or what is there is newer; true if stored.
    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, Error>;
    /// Drops the keys, and for a minute refuses entries for them that were read below `floor`. A floor never sinks.
    async fn invalidate(&self, space: &str, keys: &[String], floor: i64) -> Result<(), Error>;
    /// What [`set_checkpoint`](Self::set_checkpoint) stored, or none: then the cache is empty or was lost.
    async fn checkpoint(&self, space: &str) -> Result<Option<String>, Error>;
    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), Error>;
    /// Forgets everything in the space, its checkpoint included. For a minute this process puts nothing into a space
    /// that was dropped or lost while it used it: a read that began before may end after.
    async fn drop_space(&self, space: &str) -> Result<(), Error>;
}

/// For how long a floor is kept: longer than any read takes.
pub(crate) const FLOOR_LIFE: Duration = Duration::from_mins(1);
/// For how long an entry is kept, so that nothing stays for ever.
pub(crate) const ENTRY_LIFE: Duration = Duration::from_hours(24);

/// Names the address without what may be a password in it.
pub(crate) fn refused(url: &str, reason: String) -> Error {
    let shown = match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => match parsed.set_password(Some("***")) {
            Ok(()) => parsed.to_string(),
            Err(()) => format!("{}:…", parsed.scheme()),
        },
        Ok(parsed) => parsed.to_string(),
        Err(_) => url.split_once(':').map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}:…")),
    };
    Error::Address { url: shown, reason }
}
