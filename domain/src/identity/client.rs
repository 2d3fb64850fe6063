//! A client of OAuth: one of the shop's own programs. Its stream's id is the client's, which tokens name as `client_id`.

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
    ClientRegistered {
        /// Not a person's.
        name: String,
        /// It has no secret.
        public: bool,
        /// Where codes may go; none: it acts for itself.
        redirects: Vec<String>,
        scope: Vec<String>,
    },
    ClientSecretChanged {
        /// The number of the secret that counts from now on.
        secret: i64,
    },
    ClientRemoved {
        /// A code.
        reason: String,
    },
}

fn nobody(_: &Event, _: Uuid) -> Option<Uuid> {
    None
}

plain_facts!(nobody, Client);

/// The state that the facts of a client make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub name: Option<String>,
    pub public: bool,
    pub redirects: Vec<String>,
    pub scope: Vec<String>,
    /// The number of its secret, from the second one on.
    pub secret: Option<i64>,
    /// Why it was removed.
    pub removed: Option<String>,
}

impl Client {
    pub(crate) fn evolve(&mut self, event: Event) {
        match event {
            Event::ClientRegistered { name, public, redirects, scope } => {
                *self = Self { name: Some(name), public, redirects, scope, ..Self::default() };
            }
            Event::ClientSecretChanged { secret } => self.secret = Some(secret),
            Event::ClientRemoved { reason } => self.removed = Some(reason),
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
                EventKind::ClientRegistered => Self::ClientRegistered {
                    name: "storefront".to_owned(),
                    public: false,
                    redirects: vec!["https://app.example/cb".to_owned()],
                    scope: vec!["own".to_owned(), "read".to_owned()],
                },
                EventKind::ClientSecretChanged => Self::ClientSecretChanged { secret: 2 },
                EventKind::ClientRemoved => Self::ClientRemoved { reason: "operator".to_owned() },
            }
        }
    }
}
