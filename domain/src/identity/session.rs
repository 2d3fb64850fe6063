//! A session: begun by a sign-in, on one device. It has two events at most.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive};

pub use super::Never as Error;

/// The origin of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumIter)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum BegunFrom {
    SignIn,
    Code,
}

/// Why a session ended by itself. Sessions that ended together are one fact of their account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumIter)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum EndedBy {
    SignedOut,
    /// Its owner, or the operator, ended it from elsewhere.
    Revoked,
    /// A refresh token that was used before came again.
    TokenReused,
    /// A refresh token came again after a start of a process, which cannot know whether its answer was lost.
    Restarted,
    /// The account began more sessions than it may have.
    TooMany,
    /// The code that began it came again.
    CodeReused,
    /// It was not used for too long.
    Idle,
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    SessionStarted {
        account: Uuid,
        client: String,
        factors: Vec<String>,
        from: BegunFrom,
        unusual: bool,
        /// The latest end.
        expires_at: chrono::DateTime<chrono::Utc>,
    },
    SessionEnded {
        reason: EndedBy,
    },
}

fn owner(event: &Event, _: Uuid) -> Option<Uuid> {
    match event {
        Event::SessionStarted { account, .. } => Some(*account),
        Event::SessionEnded { .. } => None,
    }
}

plain_facts!(owner, Session, 1);

/// The state that the facts of a session make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub account: Option<Uuid>,
    pub ended: Option<EndedBy>,
}

impl Session {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::SessionStarted { account, .. } => self.account = Some(account),
            Event::SessionEnded { reason } => self.ended = Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{Sample, person_id};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::SessionStarted => Self::SessionStarted {
                    account: person_id(),
                    client: "soonshop".to_owned(),
                    factors: vec!["password".to_owned()],
                    from: BegunFrom::SignIn,
                    unusual: false,
                    expires_at: "2026-01-02T03:04:05.006Z".parse().unwrap(),
                },
                EventKind::SessionEnded => Self::SessionEnded { reason: EndedBy::TokenReused },
            }
        }
    }
}
