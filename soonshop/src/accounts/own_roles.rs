//! Roles that the shop defines out of the permissions, at the command line.

use anyhow::{Context as _, bail};
use serde_json::json;
use soonshop_identity::{CUSTOMER, Identity, RoleRemoval};
use soonshop_service_kit::access::{Permission, Role};

use super::command_line::{cause, record};
use crate::api_keys::permission;
use crate::outcome::Outcome;
use crate::{Config, Shop};

/// What to do with the shop's own roles.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Define a role, or say anew what it permits: accounts that have it may do so from their next request on
    Define {
        /// Its name: 2 to 40 of a-z, 0-9 and -, such as buyer
        #[arg(value_parser = own_role)]
        name: String,
        /// What it permits, such as read,trade: permissions of the table in docs/api.md
        #[arg(long = "permission", required = true, value_delimiter = ',', value_parser = permission)]
        permissions: Vec<Permission>,
    },
    /// Show the roles that the shop defined, and what they permit
    List {
        /// As JSON, one role a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a role that no account has
    Remove {
        /// Its name
        name: String,
    },
}

/// Names that mean somebody else beside events.
const TAKEN: [&str; 8] =
    [CUSTOMER, "staff", "operator", "system", "process", "anonymous", "nobody", "everybody"];

/// The name of a role that a shop may define.
fn own_role(text: &str) -> Result<String, String> {
    if TAKEN.contains(&text) || text.parse::<Role>().is_ok() {
        return Err(format!("{text} is no name for a role of the shop's own: it means something else"));
    }
    well_formed(text)?;
    Ok(text.to_owned())
}

/// Whether a text has the form of the name of a role.
pub(super) fn well_formed(text: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if starts && (2..=40).contains(&text.len()) && text.bytes().all(good) {
        return Ok(());
    }
    Err("the name of a role has 2 to 40 of a-z, 0-9 and -, and begins with a letter".to_owned())
}

/// What every role of this release permits, in the order of the table.
pub(crate) fn of_release() -> Vec<(&'static str, Vec<&'static str>)> {
    let permitted = |role: Role| Permission::ALL.into_iter().filter(move |one| role.may(*one));
    Role::ALL.map(|role| (name(role), permitted(role).map(permission_name).collect())).into()
}

fn name(role: Role) -> &'static str {
    role.into()
}

fn permission_name(permission: Permission) -> &'static str {
    permission.into()
}

/// Refuses names of roles that neither this release nor the shop defines.
pub(crate) async fn check<'a>(
    identity: &Identity,
    roles: impl IntoIterator<Item = &'a String>,
) -> anyhow::Result<()> {
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
    let required = &config.factors.require_second_factor;
    if !required.is_empty() {
        check(identity, required).await.context("--require-second-factor")?;
    }
    Ok(())
}

/// The same of the file of providers, where people sign in.
pub(crate) async fn check_providers(identity: &Identity, config: &Config) -> anyhow::Result<()> {
    let roles = config.sign_in.roles()?;
    if roles.is_empty() { Ok(()) } else { check(identity, &roles).await.context("--providers") }
}

/// Does it, on a shop that is up to date.
pub async fn run(shop: &Shop, verb: &Verb) -> anyhow::Result<Outcome> {
    let identity = shop.identity()?;
    let text = match verb {
        Verb::Define { name, permissions } => {
            let ordered = Permission::ALL.into_iter().filter(|one| permissions.contains(one));
            let permissions: Vec<&str> = ordered.map(permission_name).collect();
            if identity.define_role(name, &permissions, &cause()).await? {
                let detail = json!({ "permissions": permissions });
                record(shop, name.clone(), "role-define", detail).await?;
            }
            format!("the role {name} may {}", permissions.join(", "))
        }
        Verb::List { json } => {
            let roles = identity.defined_roles().await?;
            let lines: Result<Vec<String>, _> = roles
                .iter()
                .map(|role| {
                    let line = || format!("{:<16}  {}", role.name, role.permissions.join(","));
                    if *json { serde_json::to_string(role) } else { Ok(line()) }
                })
                .collect();
            lines?.join("\n")
        }
        Verb::Remove { name } => match identity.remove_role(name, &cause()).await? {
            RoleRemoval::Removed => {
                record(shop, name.clone(), "role-remove", json!({})).await?;
                format!("the role {name} is removed")
            }
            RoleRemoval::Unknown => bail!("the shop defined no role {name}: `soonshop role list` shows them"),
            RoleRemoval::Held(accounts) => bail!(
                "{accounts} accounts have the role {name}: give them another one with `soonshop account roles` first"
            ),
        },
    };
    Ok(Outcome { text, exit_code: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_role_is_plain_and_means_nothing_else() {
        for good in ["buyer", "night-shift", "b2"] {
            assert_eq!(own_role(good), Ok(good.to_owned()));
        }
        let long = "a".repeat(41);
        for bad in [
            "", "a", "Buyer", "2buyer", "buy er", "bu,yer", "bu=yer", "admin", "own", "guest", "customer",
            &long,
        ] {
            assert!(own_role(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_of_the_release_is_recorded_with_what_it_permits() {
        let all = of_release();
        assert_eq!(all.len(), Role::ALL.len());
        let (_, of_auditor) = all.iter().find(|(name, _)| *name == "auditor").unwrap();
        assert!(of_auditor.contains(&"reveal") && !of_auditor.contains(&"trade"));
    }
}
