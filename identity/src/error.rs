//! Why something was not done.

use std::time::Duration;

use crate::pending_token::PendingSignIn;
use crate::rule::{BadPassword, FRESH_MINUTES, MOST_FACTORS, MOST_ROLES};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same for an address without an account, a wrong password, and an account that may not sign in.
    #[error("the e-mail address or the password is wrong")]
    SignIn,
    /// The password was right, and the account has a second factor: nobody is signed in without it.
    #[error("a second factor is needed")]
    SecondFactor(PendingSignIn),
    /// The token of a sign-in that waits for its second factor is not valid, or not any more.
    #[error("this sign-in has ended")]
    SignInEnded,
    /// The code is wrong, or was used before.
    #[error("the code is wrong, or was used before")]
    WrongCode,
    /// The answer of a passkey is wrong: of another passkey, place or challenge, or to one that was answered or is too old.
    #[error("the answer of the passkey was refused")]
    WrongPasskey,
    /// The answer of a passkey is right, and its counter went back: it exists twice.
    #[error("the counter of the passkey went back")]
    CopiedPasskey,
    /// The account has no passkey that could be asked.
    #[error("this account has no passkey")]
    NoPasskey,
    /// The shop has no public address with a name, so there can be no passkeys for it.
    #[error("this shop offers no passkeys")]
    PasskeysNotOffered,
    /// Too many codes were tried for this account: none is looked at before this time has passed.
    #[error("too many codes were tried for this account")]
    TooManyCodes(Duration),
    /// So many passwords were wrong that the next one is compared only after this time.
    #[error("too many passwords were wrong")]
    TooManyAttempts(Duration),
    /// This session gave no second factor within the last minutes.
    #[error("a second factor of the last {} minutes is needed", FRESH_MINUTES)]
    NotFresh,
    /// The account has no second factor.
    #[error("this account has no second factor")]
    NoFactor,
    /// The account has as many second factors as one may have.
    #[error("an account has at most {} second factors", MOST_FACTORS)]
    TooManyFactors,
    /// The shop has defined as many roles as it may.
    #[error("a shop defines at most {} roles", MOST_ROLES)]
    TooManyRoles,
    /// The token or the session is not valid, or not any more.
    #[error("the token is not valid")]
    Token,
    /// The session was not used for too long.
    #[error("the session was not used for too long")]
    Idle,
    /// The password that confirms a change is wrong.
    #[error("the password is wrong")]
    WrongPassword,
    #[error(transparent)]
    Password(#[from] BadPassword),
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked just now")]
    Busy,
    /// The account began too many sessions within an hour.
    #[error("this account signed in too often within an hour")]
    TooManySessions,
    /// There is no key that may sign, or it was read too long ago.
    #[error("no key may sign tokens just now")]
    NoSigningKey,
    /// The same for a link that was used, that has expired, that another one has followed, and that was never made.
    #[error("the link cannot be used")]
    Link,
    /// The client of OAuth is unknown or removed, or its secret is wrong.
    #[error("the client is unknown, or its secret is wrong")]
    Client,
    /// The code is wrong: it was used, has expired, or is another client's, or the account has changed meanwhile.
    #[error("the code cannot be used")]
    Grant,
    /// More is asked for than there is to give.
    #[error("the scope is wider than what there is to give")]
    Scope,
    /// So many asked for a mail within this hour that no more are taken.
    #[error("too many mails were asked for within this hour")]
    TooManyRequests,
    /// Nobody has linked this identity of a provider to an account.
    #[error("this identity belongs to no account")]
    NotLinked,
    /// The identity is another account's, or the account is somebody else at this provider.
    #[error("this identity or this account is linked otherwise")]
    LinkedElsewhere,
    /// The provider does not say that it has verified the address.
    #[error("the provider has verified no address")]
    NoVerifiedAddress,
    /// Accounts with these roles do not sign in with this provider.
    #[error("this provider is not for such accounts")]
    ProviderNotForRole,
    #[error("there is no such account")]
    NotFound,
    #[error("this user or this address has an account already")]
    Exists,
    /// The database or the keys.
    #[error(transparent)]
    Store(#[from] soonshop_event_log::Error),
    /// What is stored cannot be read, or the system gives no random numbers.
    #[error("{0}")]
    Internal(String),
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}
