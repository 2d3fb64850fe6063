//! What an API key or a token of a client is limited to, beside its role: some permissions, and networks.

use std::sync::Arc;

use super::role::Permission;
use crate::problem::Problem;
use crate::rates::{Network, callers_address};

/// The permissions that a key was made for: it may do what its role may, and of that no more than these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope(Option<Arc<[Permission]>>);

impl Scope {
    /// No more than these permissions; none at all: whatever the role may.
    pub fn of(permissions: &[Permission]) -> Self {
        Self((!permissions.is_empty()).then(|| permissions.into()))
    }

    /// These permissions and no others, also where there are none.
    pub fn only(permissions: Vec<Permission>) -> Self {
        Self(Some(permissions.into()))
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.0.as_ref().is_none_or(|permissions| permissions.contains(&permission))
    }

    /// The permissions; `None`: whatever the role may.
    pub fn permissions(&self) -> Option<&[Permission]> {
        self.0.as_deref()
    }
}

/// The networks from which a key is accepted; none at all: from everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Arc<[Network]>);

impl From<Vec<Network>> for Networks {
    fn from(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }
}

impl Networks {
    pub fn all(&self) -> &[Network] {
        &self.0
    }

    /// Whether the request that this task answers comes from one of them.
    pub(super) fn admit(&self) -> bool {
        self.0.is_empty()
            || callers_address().is_some_and(|address| self.0.iter().any(|network| network.has(address)))
    }

    /// 403 for a request from elsewhere.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.admit() {
            return Ok(());
        }
        let detail = "this API key is not accepted from the address that the request comes from";
        Err(Problem::forbidden("address-not-allowed", detail))
    }
}
