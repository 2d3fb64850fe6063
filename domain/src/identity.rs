//! Registrations, accounts, their sessions, the roles of staff, clients of OAuth, the keys that sign access
//! tokens, and the gate of all sign-ins: facts for the audit trail.
//!
//! Sign-ins are decided by the tables of the namespace `identity`, which hold the hashes and sealed values. These
//! aggregates record what was decided there, in the same order, and refuse nothing: nothing is decided from them. No
//! field is a personal value, a secret, a hash, an address of a network or a text of a browser.

pub mod account;
pub mod client;
pub mod gate;
pub mod registration;
pub mod role;
pub mod session;
pub mod signing_key;

use crate::Classified;

/// Facts are never refused: they were decided before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl std::fmt::Display for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl AsRef<str> for Never {
    fn as_ref(&self) -> &str {
        match *self {}
    }
}

impl Classified for Never {}

/// The command and the decision of an aggregate that only records facts, and what its events state of themselves: that
/// they happened, and no data subject's values, no amount, no name, no refusal.
macro_rules! plain_facts {
    ($subject:ident, $state:ident) => {
        plain_facts!($subject, $state, 1);
    };
    ($subject:ident, $state:ident, $version:literal) => {
        /// Adds a fact.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            /// Records what was decided.
            Record(Event),
        }

        impl Decider for $state {
            const STATE_VERSION: u32 = $version;

            fn decide(&self, Command::Record(event): Command, _: &Facts) -> Result<Vec<Event>, Error> {
                Ok(vec![event])
            }
        }

        impl Sensitive for Event {
            fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
                Vec::new()
            }
        }

        impl EventInfo for Event {
            fn subject(&self, stream: Uuid) -> Option<Uuid> {
                $subject(self, stream)
            }

            fn amount(&self) -> Option<Money> {
                None
            }

            fn amount_path(_: EventKind) -> Option<&'static str> {
                None
            }

            fn name_paths(_: EventKind) -> &'static [&'static str] {
                &[]
            }

            fn is_refusal(_: EventKind) -> bool {
                false
            }

            fn expects(_: EventKind) -> Option<Expectation<EventKind>> {
                None
            }
        }
    };
}

pub(crate) use plain_facts;
