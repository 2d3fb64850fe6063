//! Why a provider signs nobody in.

/// Why a provider signs nobody in. What it says is for the operator: people see which of the two it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It does not answer, or not as a provider does.
    #[error("the provider does not answer: {0}")]
    Away(String),
    /// What came back is none of its answers to this sign-in.
    #[error("the provider's answer is refused: {0}")]
    Refused(String),
}

impl Fault {
    pub(super) fn away(error: impl std::fmt::Display) -> Self {
        Self::Away(error.to_string())
    }

    pub(super) fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}
