//! The outcome of a verb of the command line.

/// The text to print, and the exit code.
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
