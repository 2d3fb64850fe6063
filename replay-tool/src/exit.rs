//! How a command ends: exit codes for scripts, which `--help` lists (`tool-help-codes`). Unknown codes mean failure.

use serde_json::{Value, json};
use soonshop_domain::{QueryError, QueryErrorKind};
use soonshop_event_log::{Error, Stopped};

use crate::sentences::{Language, Problem, Sentence};

/// Done, healthy, equal, intact.
pub const DONE: u8 = 0;
/// Completed with findings: a difference, a broken chain, an unhealthy follower.
pub const FOUND: u8 = 3;
/// It finished, but some events were parked.
pub const PARKED: u8 = 6;

/// Why a command did not complete.
#[derive(Debug)]
pub enum Failure {
    Unexpected(Sentence),
    /// A wrong command line, or a prompt without a terminal.
    Usage(Sentence),
    /// A condition is not met.
    Refused(Sentence),
    Poison {
        position: i64,
        cause: String,
    },
    Unavailable(Sentence),
    /// Another run has the lease. `what` is none if that run took over the lease of this one.
    Held {
        what: Option<String>,
        holder: String,
        run: Option<Value>,
    },
    /// `saved`: the same command continues from its progress.
    TimedOut {
        saved: bool,
    },
    /// `signal`: SIGINT or SIGTERM.
    Interrupted {
        signal: &'static str,
        saved: bool,
    },
}

/// In English, as it is recorded and as scripts read it.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.sentence().fmt(f)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// An unforeseen error, with its own text.
    pub fn unexpected(error: impl ToString) -> Self {
        Self::Unexpected(Sentence::Unexpected { detail: error.to_string() })
    }

    /// The sentence that people read.
    pub fn sentence(&self) -> Sentence {
        match self {
            Self::Unexpected(sentence) | Self::Usage(sentence) | Self::Unavailable(sentence) => {
                sentence.clone()
            }
            Self::Refused(why) => Sentence::RefusedBecause { why: Box::new(why.clone()) },
            Self::Poison { position, cause } => {
                Sentence::CannotBeProjected { position: *position, cause: cause.clone() }
            }
            Self::Held { what: Some(what), holder, .. } => {
                Sentence::HeldBy { what: what.clone(), holder: holder.clone() }
            }
            Self::Held { what: None, .. } => Sentence::TakenOver,
            Self::TimedOut { saved: true } => Sentence::TimedOutSaved,
            Self::TimedOut { saved: false } => Sentence::TimedOut,
            Self::Interrupted { signal, saved: true } => Sentence::InterruptedSaved { signal },
            Self::Interrupted { signal, saved: false } => Sentence::Interrupted { signal },
        }
    }

    /// The sentence in this language.
    pub fn text(&self, language: Language) -> String {
        self.sentence().text(language)
    }

    pub fn code(&self) -> u8 {
        match self {
            Self::Unexpected(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 4,
            Self::Poison { .. } => 5,
            Self::Unavailable(_) => 69,
            Self::Held { .. } => 75,
            Self::TimedOut { .. } => 124,
            Self::Interrupted { signal: "SIGTERM", .. } => 143,
            Self::Interrupted { .. } => 130,
        }
    }

    /// Whether the same command may succeed later, without an intervention.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Held { .. } | Self::TimedOut { .. } | Self::Interrupted { .. }
        )
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
        let detail = error.to_string();
        match error {
            Error::Unavailable(_) | Error::Keys(_) => {
                Self::Unavailable(Sentence::StoreUnavailable { detail })
            }
            Error::Address { .. } => Self::Usage(Sentence::BadAddress { detail }),
            // The log was restored to an older state, so what was built from newer events has to be rebuilt: no fault
            // of this tool.
            Error::AheadOfLog { .. } => Self::Refused(Sentence::AheadOfLog { detail }),
            _ => Self::unexpected(detail),
        }
    }
}

impl From<QueryError> for Failure {
    /// Mapped as over HTTP.
    fn from(error: QueryError) -> Self {
        let problem = Problem { slug: error.slug().to_owned(), detail: error.detail().to_owned() };
        match error.kind() {
            // This release cannot read what another one wrote; the store itself works.
            QueryErrorKind::Unavailable
                if ["history-unreadable", "read-model-missing"].contains(&error.slug()) =>
            {
                Self::Refused(Sentence::HistoryUnreadable { problem })
            }
            QueryErrorKind::Unavailable => Self::Unavailable(Sentence::NotAvailable { problem }),
            QueryErrorKind::Internal => Self::unexpected(error.causes()),
            _ => Self::Usage(Sentence::NotAnswered { problem }),
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
            Stopped::Lost => {
                Self::Held { what: None, holder: "another process, which took it over".to_owned(), run: None }
            }
            Stopped::TooOld { .. } | Stopped::Process(_) => {
                Self::Refused(Sentence::CannotRead { detail: stopped.to_string() })
            }
            Stopped::UnknownEvent { .. } => {
                Self::Refused(Sentence::OfAnotherRelease { detail: stopped.to_string() })
            }
        }
    }
}

impl From<soonshop_search::Error> for Failure {
    fn from(error: soonshop_search::Error) -> Self {
        Self::Unavailable(Sentence::StoreUnavailable { detail: error.to_string() })
    }
}

impl From<soonshop_cache::Error> for Failure {
    fn from(error: soonshop_cache::Error) -> Self {
        Self::Unavailable(Sentence::StoreUnavailable { detail: error.to_string() })
    }
}
