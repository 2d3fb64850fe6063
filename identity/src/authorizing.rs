//! Consents to clients, and the codes that come of them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::account::Event;
use soonshop_domain::identity::session::EndedBy;
use uuid::Uuid;

use crate::sessions::CLIENT;
use crate::store::Account;
use crate::stored::{moment, uuid};
use crate::{ActiveSession, Cause, Client, Error, Identity, authorization_code, grant_scope};

/// How long a code may be redeemed, in milliseconds.
const CODE_LIVES: i64 = 60_000;
/// How many codes an account gets within an hour, and how often it consents.
const CODES_IN_AN_HOUR: i64 = 60;
const CONSENTS_IN_AN_HOUR: i64 = 30;

/// A client asks to act for somebody.
#[derive(Debug, Clone, Copy)]
pub struct CodeAsked<'a> {
    /// The session that is asked.
    pub active: &'a ActiveSession,
    pub client: &'a Client,
    /// Where the code goes: one that is registered.
    pub redirect: &'a str,
    pub challenge: &'a str,
    /// No more than the client has.
    pub scope: &'a [String],
}

/// A client that somebody lets act for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub client: Uuid,
    pub name: String,
    pub scope: Vec<String>,
    pub given_at: DateTime<Utc>,
}

/// A session that may consent, with its account locked.
struct Consenting {
    account: Account,
    proved_at: Option<i64>,
    now: i64,
}

impl Identity {
    /// A code, where this was consented to before; `None`: it has to be asked. A public client, whose name anybody can take,
    /// is asked about each time.
    pub async fn code_by_consent(&self, asked: CodeAsked<'_>) -> Result<Option<String>, Error> {
        if asked.client.public {
            return Ok(None);
        }
        let tx = self.begin().await?;
        let consenting = self.consenting(&tx, asked).await?;
        let consented = self.consented(&tx, consenting.account.id, asked.client.id).await?;
        if !consented.is_some_and(|scope| asked.scope.iter().all(|name| scope.contains(name))) {
            return Ok(None);
        }
        let code = self.insert_code(&tx, &consenting, asked).await?;
        tx.commit().await?;
        Ok(Some(code))
    }

    /// Consents, from now on, and makes a code.
    pub async fn consent(&self, asked: CodeAsked<'_>, cause: &Cause) -> Result<String, Error> {
        let tx = self.begin().await?;
        let mut consenting = self.consenting(&tx, asked).await?;
        let (account, client, now) = (&mut consenting.account, asked.client.id, consenting.now);
        let before = self.consented(&tx, account.id, client).await?.unwrap_or_default();
        // In the client's own order.
        let holds = |name: &&String| before.contains(name) || asked.scope.contains(name);
        let scope: Vec<String> = asked.client.scope.iter().filter(holds).cloned().collect();
        if scope != before {
            let (count, _) = self.count(&tx, &format!("consents:{}", account.id)).await?;
            if count > CONSENTS_IN_AN_HOUR {
                return Err(Error::TooManySessions);
            }
            let sql = "INSERT INTO @consents (account, client, scope, given_at) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (account, client) DO UPDATE SET scope = excluded.scope, given_at = excluded.given_at";
            let values = [
                account.id.to_string().into(),
                client.to_string().into(),
                grant_scope::text(&scope).into(),
                now.into(),
            ];
            tx.execute(self.db.statement(sql, values)).await?;
            let event = Event::AccessGranted { client, scope };
            self.record_of_account(&tx, account, now, ("account.consent", cause), event).await?;
            self.tell_of_client(&tx, account, client, now).await?;
        }
        let code = self.insert_code(&tx, &consenting, asked).await?;
        tx.commit().await?;
        Ok(code)
    }

    /// Locks the account of a session, which must be one of the shop's own that lives.
    async fn consenting(&self, tx: &DatabaseTransaction, asked: CodeAsked<'_>) -> Result<Consenting, Error> {
        let account = self.lock(tx, asked.active.account).await?.ok_or(Error::Token)?;
        let now = self.now(tx).await?;
        let sql = "SELECT proved_at FROM @sessions WHERE id = $1 AND account = $2 AND epoch = $3 AND client = $4 \
                   AND ended_at IS NULL AND expires_at > $5";
        let values = [
            asked.active.session.to_string().into(),
            account.id.to_string().into(),
            account.epoch.into(),
            CLIENT.into(),
            now.into(),
        ];
        let row = tx.query_one(self.db.statement(sql, values)).await?.filter(|_| !account.disabled);
        let proved_at = row.ok_or(Error::Token)?.try_get_by_index(0)?;
        Ok(Consenting { account, proved_at, now })
    }

    async fn consented(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        client: Uuid,
    ) -> Result<Option<Vec<String>>, Error> {
        let sql = "SELECT scope FROM @consents WHERE account = $1 AND client = $2";
        let values = [account.to_string().into(), client.to_string().into()];
        let row = tx.query_one(self.db.statement(sql, values)).await?;
        row.map(|row| Ok(grant_scope::names(&row.try_get_by_index::<String>(0)?))).transpose()
    }

    async fn insert_code(
        &self,
        tx: &DatabaseTransaction,
        consenting: &Consenting,
        asked: CodeAsked<'_>,
    ) -> Result<String, Error> {
        let account = &consenting.account;
        let (count, _) = self.count(tx, &format!("codes:{}", account.id)).await?;
        if count > CODES_IN_AN_HOUR {
            return Err(Error::TooManySessions);
        }
        let (code, hash) = authorization_code::new()?;
        let sql = "INSERT INTO @codes (hash, client, account, epoch, session, proved_at, redirect, challenge, scope, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let values = [
            hash.into(),
            asked.client.id.to_string().into(),
            account.id.to_string().into(),
            account.epoch.into(),
            asked.active.session.to_string().into(),
            consenting.proved_at.into(),
            asked.redirect.into(),
            asked.challenge.into(),
            grant_scope::text(asked.scope).into(),
            (consenting.now + CODE_LIVES).into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(code)
    }

    /// The clients that an account lets act for it, by their names.
    pub async fn consents(&self, account: Uuid) -> Result<Vec<Consent>, Error> {
        let sql = "SELECT c.client, k.name, c.scope, c.given_at FROM @consents c JOIN @clients k ON k.id = c.client \
                   WHERE c.account = $1 AND k.removed_at IS NULL ORDER BY k.name, c.client";
        let rows = self.db.connection.query_all(self.db.statement(sql, [account.to_string().into()])).await?;
        let consents = rows.iter().map(|row| {
            Ok(Consent {
                client: uuid(&row.try_get_by_index::<String>(0)?)?,
                name: row.try_get_by_index(1)?,
                scope: grant_scope::names(&row.try_get_by_index::<String>(2)?),
                given_at: moment(row.try_get_by_index(3)?)?,
            })
        });
        consents.collect()
    }

    /// Withdraws a consent: the client's sessions of this account end, and its codes are void. False: there was none.
    pub async fn withdraw_consent(&self, account: Uuid, client: Uuid, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, account).await?.ok_or(Error::Token)?;
        let of = || [account.id.to_string().into(), client.to_string().into()];
        let sql = "DELETE FROM @consents WHERE account = $1 AND client = $2";
        if tx.execute(self.db.statement(sql, of())).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM @codes WHERE account = $1 AND client = $2 AND used_at IS NULL";
        tx.execute(self.db.statement(sql, of())).await?;
        let now = self.now(&tx).await?;
        let sql = "SELECT id FROM @sessions WHERE account = $1 AND client = $2 AND ended_at IS NULL AND expires_at > $3";
        let living = of().into_iter().chain([now.into()]);
        for row in tx.query_all(self.db.statement(sql, living)).await? {
            let session = uuid(&row.try_get_by_index::<String>(0)?)?;
            self.end_one(&tx, session, now, cause, EndedBy::Revoked).await?;
        }
        let event = Event::AccessWithdrawn { client };
        self.record_of_account(&tx, &mut account, now, ("account.withdraw-consent", cause), event).await?;
        tx.commit().await?;
        Ok(true)
    }
}
