//! Accounts as the operator sees them: opened, listed, and erased.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use serde::Serialize;
use soonshop_domain::identity::account::{Event, OpenedBy, PasswordReason};
use uuid::Uuid;

use crate::stored::{moment, uuid};
use crate::{Cause, Error, Identity, Password, Roles};

/// An account, as a list shows it. Whose it is, the user's record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub id: Uuid,
    pub roles: Vec<String>,
    pub opened_at: DateTime<Utc>,
    pub disabled_at: Option<DateTime<Utc>>,
    /// How many sessions may be used.
    pub sessions: i64,
}

/// An account to open: its mailbox is known to be its owner's.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The user's id.
    pub id: Uuid,
    pub address: &'a str,
    pub roles: Roles,
    pub password: Password,
    /// The user's version with the address.
    pub user_version: i64,
}

/// A row to insert.
pub(crate) struct NewAccount {
    pub(crate) id: Uuid,
    /// The HMAC.
    pub(crate) address: String,
    pub(crate) roles: Roles,
    /// The hash; `None`: a provider opens it.
    pub(crate) password: Option<String>,
}

/// What is recorded of an account that is opened with a password.
pub(crate) fn opening_facts(
    roles: &Roles,
    by: OpenedBy,
    user_version: i64,
    reason: PasswordReason,
) -> [Event; 3] {
    [
        Event::AccountOpened { roles: roles.all(), by },
        Event::EmailVerified { user_version },
        Event::PasswordChanged { reason },
    ]
}

impl Identity {
    /// Opens an account. [`Error::Exists`]: the user or the address has one.
    pub async fn open(&self, opening: Opening<'_>, cause: &Cause) -> Result<(), Error> {
        let address = self.address(opening.address).await?;
        let password = self.hasher.hash(opening.password, "").await?;
        let account = NewAccount { id: opening.id, address, roles: opening.roles, password: Some(password) };
        let tx = self.begin().await?;
        if !self.insert_account(&tx, &account).await? {
            return Err(Error::Exists);
        }
        let events =
            opening_facts(&account.roles, OpenedBy::Operator, opening.user_version, PasswordReason::Set);
        self.record_opening(&tx, opening.id, events, cause).await?;
        tx.commit().await?;
        Ok(())
    }

    /// False: the user or the address has an account.
    pub(crate) async fn insert_account(
        &self,
        tx: &DatabaseTransaction,
        account: &NewAccount,
    ) -> Result<bool, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @accounts (id, address, roles, staff_since, password, password_generation, opened_at) \
             VALUES ($1, $2, $3, {}, $4, {}, {now}) ON CONFLICT DO NOTHING",
            if account.roles.is_staff() { now } else { "NULL" },
            i64::from(account.password.is_some())
        );
        let values = [
            account.id.to_string().into(),
            account.address.as_str().into(),
            account.roles.stored()?.into(),
            account.password.clone().into(),
        ];
        Ok(tx.execute(self.db.statement(&sql, values)).await?.rows_affected() == 1)
    }

    /// Records how an account came to be that this transaction has opened.
    pub(crate) async fn record_opening(
        &self,
        tx: &DatabaseTransaction,
        id: Uuid,
        events: impl IntoIterator<Item = Event>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let mut account = self.lock(tx, id).await?.ok_or(Error::NotFound)?;
        let at = self.now(tx).await?;
        for event in events {
            self.record_of_account(tx, &mut account, at, ("account.open", cause), event).await?;
        }
        Ok(())
    }

    /// Every account, in the order in which they were opened.
    pub async fn accounts(&self) -> Result<Vec<Listed>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT a.id, a.roles, a.opened_at, a.disabled_at, (SELECT count(*) FROM @sessions s WHERE s.account = a.id \
             AND s.epoch = a.epoch AND s.ended_at IS NULL AND s.expires_at > {now} AND a.disabled_at IS NULL) \
             FROM @accounts a ORDER BY a.opened_at, a.id"
        );
        let rows = self.db.connection.query_all(self.db.statement(&sql, [])).await?;
        let listed = rows.iter().map(|row| {
            Ok(Listed {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                roles: Roles::read(&row.try_get_by_index::<String>(1)?)?.all(),
                opened_at: moment(row.try_get_by_index(2)?)?,
                disabled_at: row.try_get_by_index::<Option<i64>>(3)?.map(moment).transpose()?,
                sessions: row.try_get_by_index(4)?,
            })
        });
        listed.collect()
    }

    /// Whether the account works for the shop just now, if it ever did: it is no customer's.
    pub async fn works_here(&self, id: Uuid) -> Result<Option<bool>, Error> {
        let sql = "SELECT roles, disabled_at FROM @accounts WHERE id = $1 AND staff_since IS NOT NULL";
        let row = self.db.connection.query_one(self.db.statement(sql, [id.to_string().into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let roles = Roles::read(&row.try_get_by_index::<String>(0)?)?;
        let disabled = row.try_get_by_index::<Option<i64>>(1)?.is_some();
        Ok(Some(roles.is_staff() && !disabled))
    }

    /// Whether the user of that id has an account.
    pub async fn has_account(&self, id: Uuid) -> Result<bool, Error> {
        let sql = "SELECT id FROM @accounts WHERE id = $1";
        let row = self.db.connection.query_one(self.db.statement(sql, [id.to_string().into()])).await?;
        Ok(row.is_some())
    }

    /// Deletes all that there is of an account, or of a guest: they are being erased. False: there is no account.
    pub async fn erase(&self, id: Uuid) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let there = self.lock(&tx, id).await?.is_some();
        for sql in [
            "DELETE FROM @codes WHERE account = $1",
            "DELETE FROM @consents WHERE account = $1",
            "DELETE FROM @sessions WHERE account = $1",
            "DELETE FROM @factors WHERE account = $1",
            "DELETE FROM @sign_ins WHERE account = $1",
            "DELETE FROM @challenges WHERE account = $1",
            "DELETE FROM @provider_sign_ins WHERE account = $1",
            "DELETE FROM @providers WHERE account = $1",
            "DELETE FROM @devices WHERE account = $1",
            "DELETE FROM @mails WHERE account = $1 OR request IN (SELECT id FROM @requests WHERE user_id = $1 \
             OR address_hash IN (SELECT address FROM @accounts WHERE id = $1))",
            "DELETE FROM @requests WHERE user_id = $1 OR account = $1 OR address_hash IN (SELECT address FROM @accounts WHERE id = $1)",
            "DELETE FROM @links WHERE account = $1",
            "DELETE FROM @guests WHERE id = $1",
            "DELETE FROM @attempts WHERE what IN (SELECT 'typed:' || address FROM @accounts WHERE id = $1) \
             OR EXISTS (SELECT 1 FROM @accounts WHERE id = $1 AND (what LIKE 'device:' || address || ':%' \
             OR what LIKE 'proven:' || address || ':%' OR what LIKE 'after-link:' || address || ':%'))",
            "DELETE FROM @attempts WHERE what IN ('account:' || $1, 'confirming:' || $1, 'totp:' || $1, 'recovery:' || $1, 'passkey-reports:' || $1, 'codes:' || $1, 'consents:' || $1, 'linking:' || $1) OR what LIKE 'passkey:' || $1 || ':%' OR what LIKE 'mailed:%:account:' || $1 \
             OR what IN (SELECT 'mailed:' || purpose || ':typed:' || address FROM @accounts, \
             (SELECT 'register' AS purpose UNION SELECT 'reset' UNION SELECT 'email') of_all WHERE id = $1)",
            "DELETE FROM @accounts WHERE id = $1",
        ] {
            tx.execute(self.db.statement(sql, [id.to_string().into()])).await?;
        }
        tx.commit().await?;
        Ok(there)
    }
}
