//! The roles of an account, by who gave them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;

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
