//! A code that somebody gave, as it is counted.

use uuid::Uuid;

use crate::codes::TypedCode;
use crate::passkeys::PasskeyGuess;
use crate::totp::Secret;

/// How many codes of an app are compared for an account within an hour, over all its sign-ins and sessions.
const TOTP_IN_AN_HOUR: i64 = 5;
/// The same of recovery codes, and of the answers of passkeys to one sign-in or session: neither can be guessed. Each is
/// counted apart, so that somebody who knows a password and guesses at codes of an app keeps the owner from those alone.
const RECOVERY_IN_AN_HOUR: i64 = 20;

impl TypedCode {
    /// The name under which it is counted, before the account's id.
    pub(crate) fn counted_as(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Recovery(_) => "recovery",
            Self::Passkey(_) => "passkey",
        }
    }

    pub(crate) fn most(&self) -> i64 {
        match self {
            Self::Totp(_) => TOTP_IN_AN_HOUR,
            Self::Recovery(_) | Self::Passkey(_) => RECOVERY_IN_AN_HOUR,
        }
    }
}

/// A code that was counted, and is to be compared.
pub(crate) struct Guess {
    pub(crate) code: TypedCode,
    /// As what it was counted.
    pub(crate) counted: String,
    pub(crate) count: i64,
    pub(crate) since: i64,
    /// The secrets of the account's factors: they never change.
    pub(crate) secrets: Vec<(Uuid, Secret)>,
    pub(crate) passkey: PasskeyGuess,
}

impl Guess {
    /// The step of this factor that the code is of, for a factor that has taken none.
    pub(crate) fn step_of(&self, factor: Uuid, now: i64) -> Option<i64> {
        let TypedCode::Totp(digits) = &self.code else { return None };
        let (_, secret) = self.secrets.iter().find(|(id, _)| *id == factor)?;
        secret.step_of(digits, now, 0)
    }
}
