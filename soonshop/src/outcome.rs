//! The outcome of a verb of the command line.

/// What to print, and how to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub text: String,
    pub exit_code: u8,
}

impl Outcome {
    pub(crate) fn done(text: String) -> Self {
        Self { text, exit_code: 0 }
    }
}
