//! Errors of accounts as problems of the API.

use std::time::Duration;

use soonshop_identity::Error;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::step_up::fresh_factor_required;

use crate::cause::chain;

/// When to come back where too many passwords are being checked.
const SOON: Duration = Duration::from_secs(2);

/// The problem of an error. The same for each reason why nobody is signed in.
#[expect(clippy::too_many_lines, reason = "a table: an arm for each error")]
pub(crate) fn problem(error: Error) -> Problem {
    match error {
        Error::SignIn => Problem::unauthenticated(
            "sign-in-failed",
            "the e-mail address or the password is wrong, or this account may not sign in",
        ),
        Error::Token => ended(),
        Error::Idle => Problem::unauthenticated(
            "session-ended",
            "you were signed out because the session was not used for too long: sign in again with POST /auth/login",
        ),
        Error::WrongPassword => {
            Problem::invalid("wrong-password", "the old password is wrong").with_pointer("/old_password")
        }
        Error::Password(why) => {
            Problem::invalid("bad-password", why.to_string()).with_pointer("/new_password")
        }
        // Each door takes it before this.
        Error::SecondFactor(_) => Problem::internal("a sign-in went no further than its password"),
        Error::SignInEnded => Problem::unauthenticated(
            "sign-in-ended",
            "this sign-in has ended: it waited too long, was ended by another one, or the account has changed meanwhile; begin \
             again with the password, POST /auth/login",
        ),
        Error::WrongCode => Problem::invalid(
            "wrong-code",
            "the code is wrong, or was used before: type the one that the app shows now, or a recovery code",
        )
        .with_pointer("/code"),
        Error::WrongPasskey => Problem::invalid(
            "wrong-passkey",
            "the answer of the passkey was refused: it answers another challenge, or one that was answered or has expired, \
             or comes from another address, or from none of the passkeys of this account; ask for new options, and send \
             what the browser answers them",
        )
        .with_pointer("/passkey"),
        Error::CopiedPasskey => Problem::invalid(
            "copied-passkey",
            "the counter of this passkey went back, as it does where a copy of it was used: sign in with another second \
             factor, and remove this one with DELETE /auth/factors/{id}",
        )
        .with_pointer("/passkey"),
        Error::NoPasskey => Problem::conflict(
            "no-passkey",
            "this account has no passkey: give a code of the app, or a recovery code; POST /auth/passkeys adds a passkey",
        ),
        Error::PasskeysNotOffered => Problem::conflict(
            "passkeys-not-offered",
            "this shop offers no passkeys: they are for a site with a name, and --public-url names none",
        ),
        Error::TooManyCodes(wait) => Problem::too_many(
            "too-many-codes",
            "too many codes were tried for this account: wait, or use a recovery code",
        )
        .with_retry_after(wait),
        Error::TooManyAttempts(wait) => Problem::too_many(
            "too-many-attempts",
            "too many passwords were wrong: wait, or sign in on a device that signed in before",
        )
        .with_retry_after(wait),
        Error::NotFresh => fresh_factor_required("this"),
        Error::NoFactor => Problem::conflict(
            "no-second-factor",
            "this account has no second factor: POST /auth/factors adds one",
        ),
        Error::TooManyFactors => Problem::conflict(
            "too-many-factors",
            "an account has at most five second factors: remove one with DELETE /auth/factors/{id}",
        ),
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
        Error::Link => Problem::invalid(
            "link-not-valid",
            "the link was used, has expired, or another one has followed it: ask for a new mail",
        )
        .with_pointer("/link"),
        Error::TooManyRequests => Problem::unavailable(
            "too-many-mails",
            "so many mails were asked for within this hour that no more are sent: try again later",
            Duration::from_mins(10),
        ),
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
        // The endpoints of OAuth say these in their own words; the doors of providers take theirs before.
        error @ (Error::Client
        | Error::Grant
        | Error::Scope
        | Error::NotFound
        | Error::Exists
        | Error::TooManyRoles
        | Error::NotLinked
        | Error::LinkedElsewhere
        | Error::NoVerifiedAddress
        | Error::ProviderNotForRole
        | Error::Internal(_)) => Problem::internal(error.to_string()),
    }
}

/// The same for what is about one second factor.
pub(super) fn factor_problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found(
            "factor-not-found",
            "you have no second factor of this id, or it waited too long for its proof: GET /auth/factors lists them",
        ),
        Error::WrongPassword => {
            Problem::invalid("wrong-password", "the password is wrong").with_pointer("/password")
        }
        other => problem(other),
    }
}

/// 401: the session is over, or the token none of a session.
pub(super) fn ended() -> Problem {
    let detail = "the token is none of a session that lives: sign in again with POST /auth/login";
    Problem::unauthenticated("session-ended", detail)
}
