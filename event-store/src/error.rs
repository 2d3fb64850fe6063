//! Why events could not be appended, and how large one may be.

/// Why an append failed, or may have failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Temporary. The command may have been done: repeated with the same id, it is not done twice.
    #[error("the event store cannot be used just now: {0}")]
    Unavailable(String),
    /// The set of keys for unique values is not the log's: read them again and retry.
    #[error("the keys of unique values have changed")]
    ClaimKeysChanged,
    #[error("the event store refused the data: {0}")]
    Refused(String),
    #[error("another process owns this log: {0}")]
    Owned(String),
}

/// The largest event, in bytes of its payload.
pub const LARGEST_EVENT: usize = 256 * 1024;
