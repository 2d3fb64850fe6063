//! A key that signs access tokens. Its stream's id is the key's, which tokens name as `kid`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive};

pub use super::Never as Error;

/// Why a key signs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumIter)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RetiredBy {
    Rotated,
    Compromised,
    Restored,
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
    SigningKeyMade { kid: String, signs_from: chrono::DateTime<chrono::Utc> },
    SigningKeyRetired { kid: String, reason: RetiredBy },
}

fn nobody(_: &Event, _: Uuid) -> Option<Uuid> {
    None
}

plain_facts!(nobody, SigningKey, 1);

/// The state that the facts of a key make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    pub kid: Option<String>,
    pub retired: Option<RetiredBy>,
}

impl SigningKey {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::SigningKeyMade { kid, .. } => self.kid = Some(kid),
            Event::SigningKeyRetired { reason, .. } => self.retired = Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Sample;

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            let kid = "0199aabb-0000-7000-8000-000000000009".to_owned();
            match kind {
                EventKind::SigningKeyMade => {
                    Self::SigningKeyMade { kid, signs_from: "2026-01-02T03:04:05.006Z".parse().unwrap() }
                }
                EventKind::SigningKeyRetired => Self::SigningKeyRetired { kid, reason: RetiredBy::Rotated },
            }
        }
    }
}
