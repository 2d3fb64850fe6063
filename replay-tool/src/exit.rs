//! How a command ends: codes that scripts branch on. Unknown codes mean failure.

use serde_json::{Value, json};
use soonshop_event_log::{Error, Stopped};
use soonshop_service_kit::{Kind, Problem};

/// Done, healthy, equal, intact.
pub const DONE: u8 = 0;
/// It completed, and found something: a difference, a broken chain, an unhealthy follower.
pub const FOUND: u8 = 3;
/// It finished, but some events were parked.
pub const PARKED: u8 = 6;

/// Exit codes, as `--help` shows them.
pub const HELP: &str = "Exit codes:
  0   done, healthy, equal, intact          6   finished, but some events were parked
  1   unexpected error                      69  a store is unavailable: try again
  2   usage, or a confirmation is needed    75  held by another run: try again
  3   completed, and found something        124 --timeout reached, progress saved
  4   refused: a gate is not met            130, 143  interrupted, progress saved
  5   stopped on an event that fails (--on-poison stop)";

/// Why a command did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unexpected(String),
    /// Wrong words, or a prompt where nobody can be asked.
    #[error("{0}")]
    Usage(String),
    /// A gate is not met.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the event at position {position} cannot be projected: {cause}")]
    Poison { position: i64, cause: String },
    #[error("{0}")]
    Unavailable(String),
    /// Another run is at it.
    #[error("{what} is held by {holder}")]
    Held { what: String, holder: String, run: Option<Value> },
    #[error("the time is up; progress is saved")]
    TimedOut,
    /// `signal`: SIGINT or SIGTERM.
    #[error("interrupted by {signal}; progress is saved")]
    Interrupted { signal: &'static str },
}

impl Failure {
    pub fn code(&self) -> u8 {
        match self {
            Self::Unexpected(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 4,
            Self::Poison { .. } => 5,
            Self::Unavailable(_) => 69,
            Self::Held { .. } => 75,
            Self::TimedOut => 124,
            Self::Interrupted { signal: "SIGTERM" } => 143,
            Self::Interrupted { .. } => 130,
        }
    }

    /// Whether the same command may succeed later, without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Held { .. } | Self::TimedOut | Self::Interrupted { .. })
    }

    /// The last line of `--json`.
    pub fn message(&self) -> Value {
        let mut message = json!({
            "code": self.code(),
            "retryable": self.is_retryable(),
            "message": self.to_string(),
        });
        if let Self::Held { holder, run, .. } = self {
            message["holder"] = json!({ "name": holder, "run": run });
        }
        if let Self::Poison { position, .. } = self {
            message["position"] = (*position).into();
        }
        message
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Keys(_) => Self::Unavailable(error.to_string()),
            Error::Address { .. } => Self::Usage(error.to_string()),
            // No fault of anything here: the log was restored, and what had seen more has to be made again.
            Error::AheadOfLog { .. } => Self::Refused(error.to_string()),
            _ => Self::Unexpected(error.to_string()),
        }
    }
}

impl From<Problem> for Failure {
    /// The same refusals as over HTTP.
    fn from(problem: Problem) -> Self {
        let said = problem.detail().to_owned();
        match problem.kind() {
            // No fault of a store: this release cannot read what another one wrote.
            Kind::Unavailable if ["history-unreadable", "read-model-missing"].contains(&problem.slug()) => {
                Self::Refused(said)
            }
            Kind::Unavailable => Self::Unavailable(said),
            Kind::Internal => Self::Unexpected(said),
            _ => Self::Usage(said),
        }
    }
}

impl From<sea_orm::DbErr> for Failure {
    fn from(error: sea_orm::DbErr) -> Self {
        Error::from(error).into()
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Poison { position, cause } => Self::Poison { position, cause },
            Stopped::Log(error) => error.into(),
            Stopped::Lost => Self::Held {
                what: "the generation".to_owned(),
                holder: "another process, which took it over".to_owned(),
                run: None,
            },
            Stopped::TooOld { .. } => Self::Refused(stopped.to_string()),
            Stopped::UnknownEvent { .. } => Self::Refused(format!("{stopped}: use that release's tool")),
        }
    }
}

impl From<soonshop_search::Error> for Failure {
    fn from(error: soonshop_search::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<soonshop_cache::Error> for Failure {
    fn from(error: soonshop_cache::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
