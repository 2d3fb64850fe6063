//! The rule of passwords: how long they are, and why one is refused. There are no rules for what they are made of. And the
//! bounds of second factors and of roles.

/// How many characters a password has, as scalar values of Unicode after NFC.
pub(crate) const LEAST: usize = 8;
pub(crate) const MOST: usize = 128;

/// For how many minutes a second factor that was given counts as fresh.
pub(crate) const FRESH_MINUTES: i64 = 5;

/// How many second factors an account has at most.
pub(crate) const MOST_FACTORS: i64 = 5;

/// How many roles a shop defines at most.
pub(crate) const MOST_ROLES: usize = 50;

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    #[error("a password has at least {LEAST} characters")]
    TooShort,
    #[error("a password has at most {MOST} characters")]
    TooLong,
    #[error("a password has no control characters")]
    Control,
    #[error("this password is one of the most common ones, which are tried first: take another")]
    Breached,
}
