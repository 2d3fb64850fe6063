//! What the sandbox does with which amount: the last four digits of what is authorized, in minor units, say it. All other
//! amounts go through at once.

use soonshop_domain::payment::Kind;

/// What becomes of something that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it is stored.
    pub(crate) state: State,
    pub(crate) code: Option<&'static str>,
    /// It is done, and the answer is lost.
    pub(crate) lost: bool,
    /// How often it is asked about before it is `then`.
    pub(crate) after: i64,
    pub(crate) then: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum State {
    Succeeded,
    Failed,
    Declined,
    /// The buyer has to confirm it.
    Action,
    Pending,
}

const THROUGH: Step =
    Step { state: State::Succeeded, code: None, lost: false, after: 0, then: State::Succeeded };

const fn fails(code: &'static str) -> Step {
    Step { state: State::Failed, code: Some(code), then: State::Failed, ..THROUGH }
}

const fn waits(state: State, after: i64, then: State) -> Step {
    Step { state, after, then, ..THROUGH }
}

/// The step of an authorization for this amount, or of what is done with it.
pub(crate) fn step(authorized: i64, kind: Kind) -> Step {
    match (authorized % 10_000, kind) {
        (6601, Kind::Authorization) => Step {
            state: State::Declined,
            code: Some("insufficient-funds"),
            then: State::Declined,
            ..THROUGH
        },
        (6602, Kind::Authorization) => waits(State::Action, 2, State::Succeeded),
        (6603, Kind::Authorization) | (6605, Kind::Charge) | (6610, Kind::Refund) => {
            Step { lost: true, ..THROUGH }
        }
        (6604, Kind::Authorization) => fails("expired-card"),
        (6606, Kind::Charge) => fails("insufficient-funds"),
        (6607, Kind::Refund) | (6611, Kind::Release) => fails("not-possible"),
        (6608, Kind::Authorization) => waits(State::Pending, 2, State::Succeeded),
        (6609, Kind::Authorization) => {
            Step { code: Some("not-confirmed"), ..waits(State::Action, 3, State::Failed) }
        }
        _ => THROUGH,
    }
}
