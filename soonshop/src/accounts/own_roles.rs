//! Roles that the shop defines out of the permissions, at the command line.

use anyhow::bail;
use serde_json::json;
use soonshop_identity::{CUSTOMER, RoleRemoval};
use soonshop_service_kit::access::{Permission, Role};

use super::command_line::{cause, record};
use super::roles::permission_name;
use super::settings::well_formed;
use crate::Shop;
use crate::api_keys::permission;
use crate::outcome::Outcome;

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
                "accounts with the role {name}: {accounts}; give them another one with `soonshop account roles` first"
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
}
