//! The roles of an account, by who gave them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::first_step::FirstStep;

/// The role of a customer. Every other one makes its holder staff.
pub const CUSTOMER: &str = "customer";

/// The source of roles that staff gave.
const STAFF: &str = "staff";

/// The roles of an account, by their source, as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles(BTreeMap<String, BTreeSet<String>>);

impl Roles {
    /// Roles that staff gave.
    pub fn given<T: Into<String>>(roles: impl IntoIterator<Item = T>) -> Self {
        Self(BTreeMap::from([(STAFF.to_owned(), roles.into_iter().map(Into::into).collect())]))
    }

    /// These in the place of those that staff gave before.
    #[must_use]
    pub(crate) fn with_given(mut self, other: &Self) -> Self {
        self.0.remove(STAFF);
        self.0.extend(other.0.clone());
        self
    }

    /// These in the place of those that this provider gave before.
    #[must_use]
    pub(crate) fn with_claimed(mut self, provider: &str, roles: Vec<String>) -> Self {
        let source = FirstStep::Provider(provider.to_owned()).name();
        if roles.is_empty() {
            self.0.remove(&source);
        } else {
            self.0.insert(source, roles.into_iter().collect());
        }
        self
    }

    /// Those that count in a session that began with this provider, or with a password: what a provider gives counts in
    /// its own sessions alone.
    #[must_use]
    pub(crate) fn in_session(&self, provider: Option<&str>) -> Self {
        let counts = |source: &String| match FirstStep::read(source) {
            FirstStep::Provider(of) => provider == Some(of.as_str()),
            FirstStep::Password => true,
        };
        Self(
            self.0.iter().filter(|(source, _)| counts(source)).map(|(s, r)| (s.clone(), r.clone())).collect(),
        )
    }

    /// All of them, each once, in order.
    pub fn all(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.0.values().flatten().collect();
        all.into_iter().cloned().collect()
    }

    /// Whether the account works for the shop.
    pub fn is_staff(&self) -> bool {
        self.0.values().flatten().any(|role| role != CUSTOMER)
    }

    pub(crate) fn stored(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    pub(crate) fn read(stored: &str) -> Result<Self, Error> {
        serde_json::from_str(stored).map_err(|_| Error::internal("the roles of an account cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_a_provider_gives_count_in_its_own_sessions_alone() {
        let roles = Roles::given(["support"]).with_claimed("work", vec!["admin".to_owned()]);
        assert_eq!(roles.stored().unwrap(), r#"{"provider:work":["admin"],"staff":["support"]}"#);
        assert_eq!(roles.in_session(Some("work")).all(), ["admin", "support"]);
        for other in [None, Some("other"), Some("wor")] {
            assert_eq!(roles.in_session(other).all(), ["support"], "{other:?}");
        }
        assert_eq!(roles.with_claimed("work", Vec::new()), Roles::given(["support"]));
    }

    #[test]
    fn roles_are_stored_by_their_source_and_listed_once() {
        let roles = Roles::given(["support", "auditor", "support"]);
        let stored = roles.stored().unwrap();
        assert_eq!(stored, r#"{"staff":["auditor","support"]}"#);
        assert_eq!(Roles::read(&stored).unwrap(), roles);
        assert!(roles.is_staff() && !Roles::given([CUSTOMER]).is_staff() && !Roles::default().is_staff());
        let both = Roles::read(r#"{"provider":["ops","support"],"staff":["admin"]}"#).unwrap();
        assert_eq!(both.all(), ["admin", "ops", "support"]);
        assert_eq!(both.with_given(&Roles::given([CUSTOMER])).all(), [CUSTOMER, "ops", "support"]);
        assert!(Roles::read("[]").is_err());
    }
}
