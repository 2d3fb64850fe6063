//! A registration: somebody typed an address that has no account, and gets a mail with a link. Its id is the request's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive};

pub use super::Never as Error;

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
    RegistrationRequested { expires_at: chrono::DateTime<chrono::Utc> },
}

/// Before the mailbox is proven there is nobody.
fn nobody(_: &Event, _: Uuid) -> Option<Uuid> {
    None
}

plain_facts!(nobody, Registration);

/// What the fact of a registration comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Until when its link can be used.
    pub expires_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Registration {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::RegistrationRequested { expires_at } => self.expires_at = Some(expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Sample;

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            match kind {
                EventKind::RegistrationRequested => {
                    Self::RegistrationRequested { expires_at: "2026-01-02T03:04:05.006Z".parse().unwrap() }
                }
            }
        }
    }
}
