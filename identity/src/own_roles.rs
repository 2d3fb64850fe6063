//! Roles that the shop defines, and the record of what every role of staff permits.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde::Serialize;
use soonshop_domain::identity::role::{DefinedBy, Event, stream};

use crate::facts::Fact;
use crate::rule::MOST_ROLES;
use crate::stored::moment;
use crate::{Cause, Error, Identity, Roles};

/// A role that the shop defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DefinedRole {
    pub name: String,
    pub permissions: Vec<String>,
    pub changed_at: DateTime<Utc>,
}

/// What came of removing a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleRemoval {
    Removed,
    /// The shop defined no role of that name.
    Unknown,
    /// So many accounts have it.
    Held(usize),
}

/// Names of permissions as they are stored.
fn listed(permissions: &[&str]) -> String {
    permissions.join(",")
}

fn names(stored: &str) -> Vec<String> {
    stored.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The permissions of those of the defined roles (`name=permission,permission` with spaces between them) that are among
/// these.
pub(crate) fn permitted(defined: Option<&str>, roles: &Roles) -> Vec<String> {
    let held = roles.all();
    let defined = defined.unwrap_or_default().split(' ').filter_map(|one| one.split_once('='));
    let mut all: Vec<String> = defined
        .filter(|(name, _)| held.iter().any(|role| role == name))
        .flat_map(|(_, permissions)| names(permissions))
        .collect();
    all.sort();
    all.dedup();
    all
}

impl Identity {
    /// The roles that the shop defined, in one text for [`permitted`]: a part of a query.
    pub(crate) fn defined_roles_in_one(&self) -> String {
        let together = if self.db.is_sqlite() { "group_concat" } else { "string_agg" };
        format!(
            "(SELECT {together}(name || '=' || permissions, ' ') FROM @roles WHERE own = 1 AND removed_at IS NULL)"
        )
    }

    /// What the roles that the shop defined permit an account with these.
    pub(crate) async fn permitted(
        &self,
        on: &impl ConnectionTrait,
        roles: &Roles,
    ) -> Result<Vec<String>, Error> {
        if !roles.is_staff() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {}", self.defined_roles_in_one());
        let row = on.query_one(self.db.statement(&sql, [])).await?;
        let defined: Option<String> = row.map(|row| row.try_get_by_index(0)).transpose()?.flatten();
        Ok(permitted(defined.as_deref(), roles))
    }

    /// The roles that the shop defined, by name.
    pub async fn defined_roles(&self) -> Result<Vec<DefinedRole>, Error> {
        let sql = "SELECT name, permissions, changed_at FROM @roles WHERE own = 1 AND removed_at IS NULL ORDER BY name";
        let rows = self.db.connection.query_all(self.db.statement(sql, [])).await?;
        let read = rows.iter().map(|row| {
            Ok(DefinedRole {
                name: row.try_get_by_index(0)?,
                permissions: names(&row.try_get_by_index::<String>(1)?),
                changed_at: moment(row.try_get_by_index(2)?)?,
            })
        });
        read.collect()
    }

    /// Defines a role, or says anew what it permits: who has it may do so from their next request on. False: it is
    /// defined so already. [`Error::TooManyRoles`] for one more than a shop defines at most.
    pub async fn define_role(&self, name: &str, permissions: &[&str], cause: &Cause) -> Result<bool, Error> {
        let defined = self.defined_roles().await?;
        if defined.len() >= MOST_ROLES && !defined.iter().any(|role| role.name == name) {
            return Err(Error::TooManyRoles);
        }
        let tx = self.begin().await?;
        let changed = self.define(&tx, (name, permissions), DefinedBy::Operator, cause).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Records what the roles of this release permit, where that is not what was known last; what the first release that
    /// is known permits is no change. A role that the shop defined under a name that is now the release's is the
    /// release's from then on.
    pub async fn record_roles(&self, roles: &[(&str, Vec<&str>)]) -> Result<(), Error> {
        let sql = "SELECT 1 FROM @roles WHERE own = 0 LIMIT 1";
        let known = self.db.connection.query_one(self.db.statement(sql, [])).await?.is_some();
        let tx = self.begin().await?;
        for (name, permissions) in roles {
            if known {
                self.define(&tx, (name, permissions), DefinedBy::Release, &Cause::system()).await?;
            } else {
                self.insert_known(&tx, name, permissions).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    async fn insert_known(
        &self,
        tx: &DatabaseTransaction,
        name: &str,
        permissions: &[&str],
    ) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO @roles (name, permissions, own, number, changed_at) VALUES ($1, $2, 0, 0, {}) \
             ON CONFLICT DO NOTHING",
            self.db.now()
        );
        tx.execute(self.db.statement(&sql, [name.into(), listed(permissions).into()])).await?;
        Ok(())
    }

    async fn define(
        &self,
        tx: &DatabaseTransaction,
        (name, permissions): (&str, &[&str]),
        by: DefinedBy,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @roles AS known (name, permissions, own, number, changed_at) VALUES ($1, $2, $3, 1, {now}) \
             ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions, own = excluded.own, \
             number = known.number + 1, changed_at = excluded.changed_at, removed_at = NULL \
             WHERE known.permissions <> excluded.permissions OR known.own <> excluded.own OR known.removed_at IS NOT NULL \
             RETURNING number, changed_at"
        );
        let own = i32::from(by == DefinedBy::Operator);
        let values = [name.into(), listed(permissions).into(), own.into()];
        let Some(row) = tx.query_one(self.db.statement(&sql, values)).await? else { return Ok(false) };
        let (number, at) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let permissions = permissions.iter().map(|&one| one.to_owned()).collect();
        let fact = Fact { stream: stream(name), number, at, command: "role.define", cause };
        self.record(tx, fact, Event::RoleDefined { role: name.to_owned(), permissions, by }).await?;
        Ok(true)
    }

    /// Removes a role that the shop defined and that no account has.
    pub async fn remove_role(&self, name: &str, cause: &Cause) -> Result<RoleRemoval, Error> {
        let tx = self.begin().await?;
        let now = self.db.now();
        let sql = format!(
            "UPDATE @roles SET removed_at = {now}, number = number + 1 WHERE name = $1 AND own = 1 \
             AND removed_at IS NULL RETURNING number, removed_at"
        );
        let Some(row) = tx.query_one(self.db.statement(&sql, [name.into()])).await? else {
            return Ok(RoleRemoval::Unknown);
        };
        let accounts = tx.query_all(self.db.statement("SELECT roles FROM @accounts", [])).await?;
        let mut held = 0;
        for account in accounts {
            let roles = Roles::read(&account.try_get_by_index::<String>(0)?)?;
            held += usize::from(roles.all().iter().any(|role| role == name));
        }
        if held > 0 {
            return Ok(RoleRemoval::Held(held));
        }
        let (number, at) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let fact = Fact { stream: stream(name), number, at, command: "role.remove", cause };
        self.record(&tx, fact, Event::RoleRemoved { role: name.to_owned() }).await?;
        tx.commit().await?;
        Ok(RoleRemoval::Removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_permitted_what_its_own_roles_permit_together() {
        let defined = Some("buyer=read,trade packer=read,stock other=reveal");
        let roles = Roles::given(["buyer", "packer", "support"]);
        assert_eq!(permitted(defined, &roles), ["read", "stock", "trade"]);
        assert!(permitted(defined, &Roles::given(["support"])).is_empty());
        assert!(permitted(None, &roles).is_empty());
    }
}
