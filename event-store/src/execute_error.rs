//! Why a command was not executed.

use crate::keys::EncryptError;
use crate::{AppendError, LARGEST_EVENT};

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The aggregate refused.
    #[error("{0}")]
    Rejected(E),
    /// The refusal that this command's id got before.
    #[error("{sentence}")]
    RejectedBefore { slug: String, sentence: String },
    #[error("the version is {actual}, not {expected}")]
    Stale { expected: i64, actual: i64 },
    /// Another owner holds a unique value.
    #[error("the {scope} is taken")]
    Taken { scope: String, owner: String },
    #[error("the command's id was used for another command")]
    IdReused,
    #[error("the person was erased, and nothing new about them is kept")]
    Erased,
    #[error("an event of {size} bytes is too large: {LARGEST_EVENT} is the most")]
    TooLarge { size: usize },
    /// Temporary. Repeated with the same id, the command is not done twice.
    #[error("{0}")]
    Unavailable(String),
    /// An internal error, or wrong data.
    #[error("{0}")]
    Fault(String),
}

impl<E> From<soonshop_event_log::Error> for ExecuteError<E> {
    fn from(error: soonshop_event_log::Error) -> Self {
        use soonshop_event_log::Error as Log;
        match error {
            Log::Unavailable(_) | Log::Keys(_) | Log::KeyStoreLost { .. } => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Fault(error.to_string()),
        }
    }
}

impl<E> From<EncryptError> for ExecuteError<E> {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::Erased => Self::Erased,
            EncryptError::Store(error) => error.into(),
        }
    }
}

impl<E> From<AppendError> for ExecuteError<E> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Unavailable(reason) | AppendError::Owned(reason) => Self::Unavailable(reason),
            AppendError::ClaimKeysChanged => Self::Unavailable(AppendError::ClaimKeysChanged.to_string()),
            AppendError::Refused(reason) => Self::Fault(reason),
        }
    }
}

impl<E: std::fmt::Display> ExecuteError<E> {
    /// The same error, reported for another aggregate: its refusal is then an error of the caller.
    pub(crate) fn of_another<F>(self) -> ExecuteError<F> {
        match self {
            Self::Rejected(error) => ExecuteError::Fault(error.to_string()),
            Self::RejectedBefore { slug, sentence } => ExecuteError::RejectedBefore { slug, sentence },
            Self::Stale { expected, actual } => ExecuteError::Stale { expected, actual },
            Self::Taken { scope, owner } => ExecuteError::Taken { scope, owner },
            Self::IdReused => ExecuteError::IdReused,
            Self::Erased => ExecuteError::Erased,
            Self::TooLarge { size } => ExecuteError::TooLarge { size },
            Self::Unavailable(reason) => ExecuteError::Unavailable(reason),
            Self::Fault(reason) => ExecuteError::Fault(reason),
        }
    }

    /// The same error, reported for an aggregate that has the other's refusals among its own.
    pub(crate) fn of_joined<F>(self, refusal: impl FnOnce(E) -> F) -> ExecuteError<F> {
        match self {
            Self::Rejected(error) => ExecuteError::Rejected(refusal(error)),
            other => other.of_another(),
        }
    }
}
