//! Kinds of refusals, independent of HTTP.

/// The kind of a refusal; the edge turns each into one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command is invalid in any state.
    Invalid,
    /// It refers to something that does not exist.
    NotFound,
    /// It was there, and is gone for good.
    Gone,
    /// The state forbids it just now.
    Conflict,
}

/// A refusal with a stable name (`AsRef<str>`: the slug of its problem page) and a kind.
pub trait Classified: std::error::Error + AsRef<str> + Send + Sync + 'static {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}
