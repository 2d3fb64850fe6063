//! What somebody may do beside their first role: by further ones, and by those that the shop defined.

use std::sync::Arc;

use super::personal_fields::{ALL_FIELDS, PersonalAccess};
use super::role::{Permission, Role};

/// The roles of somebody with more than one, and what roles of the shop's own permit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MoreRoles {
    roles: Arc<[Role]>,
    permissions: Arc<[Permission]>,
}

impl MoreRoles {
    /// These roles, and these permissions.
    pub fn of(roles: &[Role], permissions: &[Permission]) -> Self {
        Self { roles: roles.into(), permissions: permissions.into() }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission) || self.roles.iter().any(|role| role.may(permission))
    }

    /// A role by which they may; [`Role::Own`]: one of the shop's own, or none.
    pub(super) fn role_with(&self, permission: Permission) -> Role {
        self.roles.iter().copied().find(|role| role.may(permission)).unwrap_or(Role::Own)
    }

    /// The personal values that they see. A role of the shop's own that may see any sees all of one person, for a reason.
    pub(super) fn personal_access(&self) -> PersonalAccess {
        let own = if self.permissions.contains(&Permission::ReadPersonal) {
            PersonalAccess::ForReason(ALL_FIELDS)
        } else {
            PersonalAccess::Nothing
        };
        self.roles.iter().fold(own, |seen, role| seen.or(role.personal_access()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_roles_may_what_any_of_them_may() {
        let both = MoreRoles::of(&[Role::Support, Role::Warehouse], &[Permission::Trade]);
        for permission in Permission::ALL {
            let any = Role::Support.may(permission) || Role::Warehouse.may(permission);
            assert_eq!(both.may(permission), any || permission == Permission::Trade, "{permission}");
        }
        assert!(Permission::ALL.into_iter().all(|permission| !MoreRoles::default().may(permission)));
        assert!(Permission::ALL.into_iter().all(|permission| !Role::Own.may(permission)));
    }
}
