//! What an error of accounts is to a client.

use std::time::Duration;

use soonshop_identity::Error;
use soonshop_service_kit::Problem;

use crate::cause::chain;

/// When to come back where too many passwords are being checked.
const SOON: Duration = Duration::from_secs(2);

/// The problem of an error. The same for each reason why nobody is signed in.
pub(super) fn problem(error: Error) -> Problem {
    match error {
        Error::SignIn => Problem::unauthenticated(
            "sign-in-failed",
            "the e-mail address or the password is wrong, or this account may not sign in",
        ),
        Error::Token => ended(),
        Error::WrongPassword => {
            Problem::invalid("wrong-password", "the old password is wrong").with_pointer("/old_password")
        }
        Error::Password(why) => {
            Problem::invalid("bad-password", why.to_string()).with_pointer("/new_password")
        }
        Error::Busy => Problem::unavailable(
            "too-many-sign-ins",
            "too many passwords are being checked just now: try again soon",
            SOON,
        ),
        Error::TooManySessions => Problem::too_many(
            "too-many-sessions",
            "this account signed in too often within an hour: use the sessions that it has, or wait",
        )
        .with_retry_after(Duration::from_mins(10)),
        Error::NoSigningKey => Problem::unavailable(
            "no-signing-key",
            "no key may sign tokens just now: an operator sees why with `soonshop doctor`",
            Duration::from_secs(5),
        ),
        Error::Store(error) => {
            tracing::warn!(error = chain(&error), "accounts cannot be read or written");
            let detail = "accounts cannot be read or written just now";
            Problem::unavailable("database-unavailable", detail, Duration::from_secs(1))
        }
        error @ (Error::NotFound | Error::Exists | Error::Internal(_)) => {
            Problem::internal(error.to_string())
        }
    }
}

/// 401: the session is over, or the token none of a session.
pub(super) fn ended() -> Problem {
    let detail = "the token is none of a session that lives: sign in again with POST /auth/login";
    Problem::unauthenticated("session-ended", detail)
}
