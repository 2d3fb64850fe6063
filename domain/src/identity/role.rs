//! A role of staff and what it permits: one that a release brings, or one that the shop defined. Its stream is the name's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plain_facts;
use crate::{Decider, EventInfo, Expectation, Facts, Money, PersonalValue, Sensitive, ids};

pub use super::Never as Error;

/// The stream of the role with that name.
pub fn stream(name: &str) -> Uuid {
    ids::derived(ids::ROLES, &[name])
}

/// Who says what a role permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr, strum::EnumIter)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum DefinedBy {
    /// The table of a release.
    Release,
    /// The shop, at the command line.
    Operator,
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
    /// From now on the role permits these, and no others.
    RoleDefined { role: String, permissions: Vec<String>, by: DefinedBy },
    /// The role permits nothing any more.
    RoleRemoved { role: String },
}

fn nobody(_: &Event, _: Uuid) -> Option<Uuid> {
    None
}

plain_facts!(nobody, Role);

/// What the facts of a role come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub role: Option<String>,
    /// `None`: it was removed.
    pub permissions: Option<Vec<String>>,
}

impl Role {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::RoleDefined { role, permissions, .. } => {
                (self.role, self.permissions) = (Some(role), Some(permissions));
            }
            Event::RoleRemoved { .. } => self.permissions = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Sample;

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            let role = "buyer".to_owned();
            match kind {
                EventKind::RoleDefined => Self::RoleDefined {
                    role,
                    permissions: vec!["read".to_owned(), "trade".to_owned()],
                    by: DefinedBy::Operator,
                },
                EventKind::RoleRemoved => Self::RoleRemoved { role },
            }
        }
    }

    #[test]
    fn a_name_has_one_stream_for_ever() {
        assert_eq!(stream("buyer"), stream("buyer"));
        assert_ne!(stream("buyer"), stream("buyers"));
    }
}
