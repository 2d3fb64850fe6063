//! The port: the operations of a cache.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A cached value and the position of the log at which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    pub position: i64,
}

/// Why the cache could not be used. Readers go on without it.
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
    /// True if all processes see the same entries; false if each process has to follow the log for its own.
    fn shared(&self) -> bool;
    /// Checks within two seconds that the cache answers.
    async fn ping(&self) -> Result<(), Error>;
    /// Checks that entries can be stored, read and dropped: one is.
    async fn examine(&self) -> Result<(), Error> {
        self.ping().await
    }
    async fn get(&self, space: &str, key: &str) -> Result<Option<Entry>, Error>;
    /// Stores the entry unless it is below the key's floor, or a newer one is there; true if stored.
    async fn put(&self, space: &str, key: &str, entry: Entry) -> Result<bool, Error>;
    /// Drops the keys, and for a minute refuses entries for them that were read below `floor`. A floor is never
    /// lowered.
    async fn invalidate(&self, space: &str, keys: &[String], floor: i64) -> Result<(), Error>;
    /// The value that [`set_checkpoint`](Self::set_checkpoint) stored; `None`: the cache is empty or was lost.
    async fn checkpoint(&self, space: &str) -> Result<Option<String>, Error>;
    async fn set_checkpoint(&self, space: &str, checkpoint: &str) -> Result<(), Error>;
    /// Drops everything in the space, with its checkpoint. If a space is dropped or lost while this process uses it,
    /// the process stores nothing in it for a minute: a read that began before may end after.
    async fn drop_space(&self, space: &str) -> Result<(), Error>;
}

/// How long a floor is kept: longer than any read takes.
pub(crate) const FLOOR_LIFE: Duration = Duration::from_mins(1);
/// How long an entry is kept, so that none stays for ever.
pub(crate) const ENTRY_LIFE: Duration = Duration::from_hours(24);

/// The error for an address, shown without a possible password.
pub(crate) fn refused(url: &str, reason: String) -> Error {
    let without_query = url.split('?').next().unwrap_or_default();
    let shown = match url::Url::parse(without_query) {
        Ok(mut parsed) if parsed.password().is_some() => match parsed.set_password(Some("***")) {
            Ok(()) => parsed.to_string(),
            Err(()) => format!("{}:…", parsed.scheme()),
        },
        Ok(parsed) => parsed.to_string(),
        Err(_) => url.split_once(':').map_or_else(|| "…".to_owned(), |(scheme, _)| format!("{scheme}:…")),
    };
    Error::Address { url: shown, reason }
}
