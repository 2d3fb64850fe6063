//! Redeeming a code: it begins a session of its client, once.

use sea_orm::ConnectionTrait as _;
use soonshop_domain::identity::session::{BegunFrom, EndedBy};
use soonshop_domain::ids;

use crate::authorization_code::{hash_of, is_verified};
use crate::beginning::Start;
use crate::keyring::REFRESH;
use crate::sessions::{CredentialKind, StartedSession};
use crate::stored::uuid;
use crate::{Cause, Client, Error, Identity};

/// What a client sends to redeem a code.
#[derive(Clone, Copy)]
pub struct Redemption<'a> {
    pub client: &'a Client,
    pub code: &'a str,
    pub redirect: &'a str,
    pub verifier: &'a str,
}

impl Identity {
    /// Begins the session that a code is for. [`Error::Grant`]: whatever is wrong with it. One that comes again with all of it
    /// right ends the session that it began: somebody else may have it.
    pub async fn redeem(&self, sent: Redemption<'_>, cause: &Cause) -> Result<StartedSession, Error> {
        let hash = hash_of(sent.code).ok_or(Error::Grant)?;
        let signer = self.signer().await?;
        let (number, key) = self.keyring.newest(REFRESH).await?;
        let sql = "SELECT account FROM @codes WHERE hash = $1";
        let row = self.db.connection.query_one(self.db.statement(sql, [hash.as_str().into()])).await?;
        let owner = uuid(&row.ok_or(Error::Grant)?.try_get_by_index::<String>(0)?)?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, owner).await?.ok_or(Error::Grant)?;
        let now = self.now(&tx).await?;
        let sql = "SELECT client, redirect, challenge, epoch, session, proved_at, scope, expires_at, used_at, began \
                   FROM @codes WHERE hash = $1";
        let row = tx.query_one(self.db.statement(sql, [hash.as_str().into()])).await?.ok_or(Error::Grant)?;
        let text = |index| row.try_get_by_index::<String>(index);
        let all_right = text(0)? == sent.client.id.to_string()
            && text(1)? == sent.redirect
            && is_verified(&text(2)?, sent.verifier);
        if !all_right {
            return Err(Error::Grant);
        }
        let consented_in = uuid(&text(4)?)?;
        let by = cause.by_owner(account.id, account.roles.is_staff(), Some(consented_in));
        if row.try_get_by_index::<Option<i64>>(8)?.is_some() {
            if let Some(began) = row.try_get_by_index::<Option<String>>(9)? {
                self.end_one(&tx, uuid(&began)?, now, &by, EndedBy::CodeReused).await?;
                tx.commit().await?;
            }
            return Err(Error::Grant);
        }
        let as_then = row.try_get_by_index::<i64>(3)? == account.epoch && !account.disabled;
        if !as_then || row.try_get_by_index::<i64>(7)? <= now {
            return Err(Error::Grant);
        }
        let session = ids::new();
        // The session that consented lives: the roles that count in it count in this one.
        let sql = "SELECT provider FROM @sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > $2 AND epoch = $3";
        let values = [consented_in.to_string().into(), now.into(), account.epoch.into()];
        let of = tx.query_one(self.db.statement(sql, values)).await?.ok_or(Error::Grant)?;
        let provider: Option<String> = of.try_get_by_index(0)?;
        let start = Start {
            session,
            client: &sent.client.id.to_string(),
            scope: &text(6)?,
            kind: CredentialKind::Tokens,
            device_name: None,
            known_device: None,
            // They were given in the session that consented.
            factors: Vec::new(),
            provider: provider.as_deref(),
            from: BegunFrom::Code,
            unusual: false,
            proved_at: row.try_get_by_index(5)?,
            now,
            by: &by,
            cause,
        };
        let started = self.start(&tx, &account, (&signer, number, &key), start).await?;
        let sql = "UPDATE @codes SET used_at = $2, began = $3 WHERE hash = $1 AND used_at IS NULL";
        let values = [hash.into(), now.into(), session.to_string().into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
            return Err(Error::Grant);
        }
        tx.commit().await?;
        Ok(started)
    }
}
