//! Changes of an account: its roles, its password, whether it may sign in, and the end of all its sessions.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::account::{EndedBy, Event, PasswordReason, RoleSource};
use tokio::time::Instant;
use uuid::Uuid;

use crate::delays::Budget;
use crate::passwords::Verified;
use crate::sign_in::pad;
use crate::store::{ACCOUNT, Account};
use crate::{ActiveSession, Cause, Error, Identity, MailKind, Password, Roles};

/// A change of somebody's own password.
#[derive(Debug, Clone)]
pub struct NewPassword<'a> {
    /// The session that stays.
    pub active: &'a ActiveSession,
    pub old: Password,
    pub new: Password,
    /// The network that it comes from.
    pub network: &'a str,
}

impl Identity {
    /// Gives an account these roles, in the place of those that staff gave it before. False: it has them.
    pub async fn set_roles(&self, id: Uuid, roles: &Roles, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        let all = account.roles.clone().with_given(roles);
        if all == account.roles {
            return Ok(false);
        }
        let now = self.now(&tx).await?;
        let since = all.is_staff().then_some(now);
        let sql = "UPDATE @accounts SET roles = $2, staff_since = coalesce(staff_since, $3) WHERE id = $1";
        let values = [id.to_string().into(), all.stored()?.into(), since.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        let event = Event::RolesChanged { roles: all.all(), source: RoleSource::Staff };
        let by = ("account.change-roles", cause);
        let was_staff = account.roles.is_staff();
        self.record_of_account(&tx, &mut account, now, by, event).await?;
        if all.is_staff() && !was_staff {
            // A session of a customer lasts longer, and may have begun with a provider that is none for staff.
            self.end_all_but(&tx, &mut account, None, now).await?;
            let event = Event::AllSessionsEnded { reason: EndedBy::BecameStaff };
            self.record_of_account(&tx, &mut account, now, by, event).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// From now on nobody signs in to it, and its sessions have ended. False: it is disabled already.
    pub async fn disable(&self, id: Uuid, reason: &str, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        if account.disabled {
            return Ok(false);
        }
        let now = self.now(&tx).await?;
        let sql = "UPDATE @accounts SET disabled_at = $2 WHERE id = $1";
        tx.execute(self.db.statement(sql, [id.to_string().into(), now.into()])).await?;
        let by = ("account.disable", cause);
        let event = Event::AccountDisabled { reason: reason.to_owned() };
        self.record_of_account(&tx, &mut account, now, by, event).await?;
        self.end_all_but(&tx, &mut account, None, now).await?;
        let event = Event::AllSessionsEnded { reason: EndedBy::Disabled };
        self.record_of_account(&tx, &mut account, now, by, event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// It may sign in again. False: it may already.
    pub async fn enable(&self, id: Uuid, reason: &str, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        if !account.disabled {
            return Ok(false);
        }
        let now = self.now(&tx).await?;
        let sql = "UPDATE @accounts SET disabled_at = NULL WHERE id = $1";
        tx.execute(self.db.statement(sql, [id.to_string().into()])).await?;
        let event = Event::AccountEnabled { reason: reason.to_owned() };
        self.record_of_account(&tx, &mut account, now, ("account.enable", cause), event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends all sessions of an account, on every device.
    pub async fn end_all_sessions(&self, id: Uuid, cause: &Cause) -> Result<(), Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        let now = self.now(&tx).await?;
        self.end_all_but(&tx, &mut account, None, now).await?;
        let event = Event::AllSessionsEnded { reason: EndedBy::SignedOutEverywhere };
        self.record_of_account(&tx, &mut account, now, ("account.end-sessions", cause), event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Raises the epoch: sessions of an earlier one have ended, a sign-in that is under way begins none, and their devices
    /// are known no more.
    pub(crate) async fn end_all_but(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        stays: Option<Uuid>,
        now: i64,
    ) -> Result<(), Error> {
        account.epoch += 1;
        let id = account.id.to_string();
        let stays = stays.map(|session| session.to_string()).unwrap_or_default();
        let sql = "UPDATE @accounts SET epoch = $2 WHERE id = $1";
        tx.execute(self.db.statement(sql, [id.as_str().into(), account.epoch.into()])).await?;
        self.forget_devices(tx, account.id, &stays).await?;
        let sql = "UPDATE @sessions SET ended_at = $3 WHERE account = $1 AND id <> $2 AND ended_at IS NULL";
        tx.execute(self.db.statement(sql, [id.as_str().into(), stays.as_str().into(), now.into()])).await?;
        let sql = "UPDATE @sessions SET epoch = $3 WHERE account = $1 AND id = $2 AND ended_at IS NULL";
        tx.execute(self.db.statement(sql, [id.into(), stays.into(), account.epoch.into()])).await?;
        Ok(())
    }

    /// Changes somebody's own password: the session that did it goes on, all others end. A wrong old one is counted as a
    /// failed sign-in, and answered as late.
    pub async fn change_password(&self, change: NewPassword<'_>, cause: &Cause) -> Result<(), Error> {
        let NewPassword { active, old, new, network } = change;
        let verified = self.verified(active.account, old, network).await?;
        let hash = self.hasher.hash(new, network).await?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, verified.id).await?.ok_or(Error::Token)?;
        if account.disabled || (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::Token);
        }
        self.replace(tx, account, hash, (PasswordReason::Changed, Some(active.session)), cause).await
    }

    /// The account of somebody who is signed in, as it was when they gave their password. A wrong one is counted as a
    /// failed sign-in, delays the next one, and is answered as late.
    pub(crate) async fn verified(
        &self,
        account: Uuid,
        password: Password,
        network: &str,
    ) -> Result<Account, Error> {
        let began = Instant::now();
        let verified = self.try_verified(account, password, network).await;
        if matches!(verified, Err(Error::WrongPassword)) {
            pad(began).await;
        }
        verified
    }

    async fn try_verified(&self, account: Uuid, password: Password, network: &str) -> Result<Account, Error> {
        let verified = self.unlocked(account).await?.ok_or(Error::Token)?;
        let attempt = self.attempt(vec![Budget::confirming(account)]).await?;
        let outcome = self.compare(&attempt, password, verified.password.clone(), network).await?;
        if outcome == Verified::Wrong {
            self.count_failure(Some(verified.id)).await?;
            return Err(Error::WrongPassword);
        }
        self.was_right(&attempt).await?;
        Ok(verified)
    }

    /// Gives an account another password, at the operator's word. All of its sessions end.
    pub async fn reset_password(&self, id: Uuid, new: Password, cause: &Cause) -> Result<(), Error> {
        let hash = self.hasher.hash(new, "").await?;
        let tx = self.begin().await?;
        let account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        self.replace(tx, account, hash, (PasswordReason::Reset, None), cause).await
    }

    pub(crate) async fn replace(
        &self,
        tx: DatabaseTransaction,
        mut account: Account,
        hash: String,
        (reason, stays): (PasswordReason, Option<Uuid>),
        cause: &Cause,
    ) -> Result<(), Error> {
        let now = self.now(&tx).await?;
        let sql =
            "UPDATE @accounts SET password = $2, password_generation = password_generation + 1 WHERE id = $1";
        tx.execute(self.db.statement(sql, [account.id.to_string().into(), hash.into()])).await?;
        let by = ("account.change-password", cause);
        self.record_of_account(&tx, &mut account, now, by, Event::PasswordChanged { reason }).await?;
        if reason == PasswordReason::Reset {
            // Whoever had the account before may have linked who they are elsewhere.
            self.unlink(&tx, &mut account, None, now, cause).await?;
        }
        self.end_all_but(&tx, &mut account, stays, now).await?;
        let event = Event::AllSessionsEnded { reason: EndedBy::PasswordChanged };
        self.record_of_account(&tx, &mut account, now, by, event).await?;
        self.tell(&tx, &account, MailKind::PasswordChanged, now).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn unlocked(&self, id: Uuid) -> Result<Option<Account>, Error> {
        let sql = format!("SELECT {ACCOUNT} FROM @accounts WHERE id = $1");
        let row = self.db.connection.query_one(self.db.statement(&sql, [id.to_string().into()])).await?;
        row.as_ref().map(Account::read).transpose()
    }
}
