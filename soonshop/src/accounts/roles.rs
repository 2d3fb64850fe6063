//! The roles that there are: those of this release, and those that the shop defined.

use anyhow::{Context as _, bail};
use soonshop_identity::{CUSTOMER, Identity};
use soonshop_service_kit::access::{Permission, Role};

use crate::Config;

/// What every role of this release permits, in the order of the table.
pub(crate) fn of_release() -> Vec<(&'static str, Vec<&'static str>)> {
    let permitted = |role: Role| Permission::ALL.into_iter().filter(move |one| role.may(*one));
    Role::ALL.map(|role| (name(role), permitted(role).map(permission_name).collect())).into()
}

fn name(role: Role) -> &'static str {
    role.into()
}

pub(super) fn permission_name(permission: Permission) -> &'static str {
    permission.into()
}

/// Refuses names of roles that neither this release nor the shop defines.
pub(crate) async fn check(identity: &Identity, roles: &[String]) -> anyhow::Result<()> {
    if roles.is_empty() {
        return Ok(());
    }
    let defined = identity.defined_roles().await?;
    for role in roles {
        let known = role == CUSTOMER
            || role.parse().is_ok_and(|role| Role::STAFF.contains(&role))
            || defined.iter().any(|one| one.name == *role);
        if !known {
            let own = defined.iter().map(|one| one.name.as_str());
            let names: Vec<&str> = [CUSTOMER].into_iter().chain(Role::STAFF.map(name)).chain(own).collect();
            bail!(
                "there is no role {role}: there are {}; `soonshop role define` makes one",
                names.join(", ")
            );
        }
    }
    Ok(())
}

/// Refuses settings that name roles which nobody defines.
pub(crate) async fn check_settings(identity: &Identity, config: &Config) -> anyhow::Result<()> {
    check(identity, &config.factors.require_second_factor).await.context("--require-second-factor")
}

/// The same of the file of providers, where people sign in.
pub(crate) async fn check_providers(identity: &Identity, config: &Config) -> anyhow::Result<()> {
    check(identity, &config.sign_in.roles()?).await.context("--providers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_the_release_is_recorded_with_what_it_permits() {
        let all = of_release();
        assert_eq!(all.len(), Role::ALL.len());
        let (_, of_auditor) = all.iter().find(|(name, _)| *name == "auditor").unwrap();
        assert!(of_auditor.contains(&"reveal") && !of_auditor.contains(&"trade"));
    }
}
