//! Who people are at providers of identities: (issuer, `sub`), and nothing else. An address links nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::hmac;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::account::{Event, RoleSource};
use soonshop_domain::identity::session::EndedBy;
use soonshop_domain::ids;
use uuid::Uuid;

use crate::beginning::{NewSession, VerifiedAccount};
use crate::first_step::FirstStep;
use crate::keyring::ADDRESS;
use crate::mails::MailKind;
use crate::provider_sign_ins::Linking;
use crate::registering::Proven;
use crate::sessions::{CredentialKind, StartedSession};
use crate::store::Account;
use crate::stored::{HOUR, moment, uuid};
use crate::{
    ActiveSession, CUSTOMER, Cause, Error, Identity, Password, ProviderIdentity, Roles, SignInDevice,
};

/// How many accounts providers open within an hour.
const OPENED_IN_AN_HOUR: i64 = 1_000;

/// A provider that an account is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedProvider {
    pub provider: String,
    pub issuer: String,
    pub linked_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// Somebody who wants to unlink a provider.
#[derive(Debug)]
pub struct Unlink<'a> {
    pub active: &'a ActiveSession,
    pub provider: &'a str,
    pub password: Password,
    /// The network that it comes from.
    pub network: &'a str,
}

impl Identity {
    /// The stored form of who somebody is at a provider.
    pub(crate) async fn subject(&self, issuer: &str, subject: &str) -> Result<String, Error> {
        let (_, key) = self.keyring.newest(ADDRESS).await?;
        let mut context = hmac::Context::with_key(&key);
        // No address begins so: it has no zero in it.
        for part in ["\0provider\0", issuer, "\0", subject] {
            context.update(part.as_bytes());
        }
        Ok(STANDARD.encode(context.sign()))
    }

    /// Begins a session of the account that this identity is linked to. [`Error::NotLinked`]: there is none.
    /// [`Error::ProviderNotForRole`]: the provider is not for what this account is. [`Error::SecondFactor`] as with a
    /// password.
    pub async fn sign_in_with(
        &self,
        who: &ProviderIdentity<'_>,
        device: SignInDevice<'_>,
        kind: CredentialKind,
        cause: &Cause,
    ) -> Result<StartedSession, Error> {
        let subject = self.subject(who.issuer, who.subject).await?;
        let sql = "SELECT a.id, a.epoch, a.password_generation FROM @providers p JOIN @accounts a ON a.id = p.account \
                   WHERE p.issuer = $1 AND p.subject = $2";
        let values = [who.issuer.into(), subject.as_str().into()];
        let row = self.db.connection.query_one(self.db.statement(sql, values)).await?;
        let row = row.ok_or(Error::NotLinked)?;
        let account = uuid(&row.try_get_by_index::<String>(0)?)?;
        let verified = VerifiedAccount {
            account,
            epoch: row.try_get_by_index(1)?,
            generation: row.try_get_by_index(2)?,
        };
        let first = FirstStep::Provider(who.provider.to_owned());
        let new = NewSession {
            verified,
            kind,
            device,
            first,
            who: Some((who, &subject)),
            upgrade: None,
            guess: None,
            cause,
        };
        let outcome = self.begin_session(new).await;
        if matches!(outcome, Err(Error::SignIn | Error::ProviderNotForRole)) {
            self.count_failure(Some(account)).await?;
        }
        outcome
    }

    /// Takes what a provider says now, with the account locked: that the identity is linked still, the roles, and whether
    /// this provider signs in such an account.
    pub(crate) async fn take_identity(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        (who, subject): (&ProviderIdentity<'_>, &str),
        now: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        let sql = "SELECT provider FROM @providers WHERE issuer = $1 AND subject = $2 AND account = $3";
        let of = [who.issuer.into(), subject.into(), account.id.to_string().into()];
        let row = tx.query_one(self.db.statement(sql, of)).await?.ok_or(Error::SignIn)?;
        let before: String = row.try_get_by_index(0)?;
        let sql = "UPDATE @providers SET used_at = $4, provider = $5 WHERE issuer = $1 AND subject = $2 AND account = $3";
        let values = [
            who.issuer.into(),
            subject.into(),
            account.id.to_string().into(),
            now.into(),
            who.provider.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        let claimed = who.roles.clone().unwrap_or_default();
        // The settings may have given it another name since: what it gave under the old one goes.
        let kept = account.roles.clone().with_claimed(&before, Vec::new());
        let all = kept.with_claimed(who.provider, claimed);
        self.change_claimed_roles(tx, account, all, now, cause).await?;
        if who.admits(&account.roles.in_session(Some(who.provider))) {
            Ok(())
        } else {
            Err(Error::ProviderNotForRole)
        }
    }

    async fn change_claimed_roles(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        all: Roles,
        now: i64,
        cause: &Cause,
    ) -> Result<(), Error> {
        if all == account.roles {
            return Ok(());
        }
        let since = all.is_staff().then_some(now);
        let sql = "UPDATE @accounts SET roles = $2, staff_since = coalesce(staff_since, $3) WHERE id = $1";
        let values = [account.id.to_string().into(), all.stored()?.into(), since.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        account.roles = all;
        let event = Event::RolesChanged { roles: account.roles.all(), source: RoleSource::Provider };
        self.record_of_account(tx, account, now, ("account.change-roles", cause), event).await
    }

    /// Writes down that an account is to be opened for somebody whose address the provider has verified. The user is a
    /// command then, as of a registration. [`Error::Exists`]: the address has an account; it is linked by its owner alone.
    pub async fn open_with_provider(
        &self,
        who: &ProviderIdentity<'_>,
        language: &str,
        cause: &Cause,
    ) -> Result<Proven, Error> {
        let address = who.address.ok_or(Error::NoVerifiedAddress)?;
        let roles = match who.roles.as_deref() {
            Some(roles) if !roles.is_empty() => Roles::default().with_claimed(who.provider, roles.to_vec()),
            _ => Roles::given([CUSTOMER]),
        };
        if !who.admits(&roles) {
            return Err(Error::ProviderNotForRole);
        }
        let hash = self.address(address).await?;
        let sql = "SELECT 1 FROM @accounts WHERE address = $1";
        if self.db.connection.query_one(self.db.statement(sql, [hash.as_str().into()])).await?.is_some() {
            return Err(Error::Exists);
        }
        let (count, _) = self.count(&self.db.connection, "asked:provider").await?;
        if count > OPENED_IN_AN_HOUR {
            return Err(Error::Busy);
        }
        let (request, user) = (ids::new(), ids::new());
        let id = request.to_string();
        let sql = format!(
            "INSERT INTO @requests (id, purpose, address, address_hash, language, correlation, traceparent, asked_at, \
             expires_at, linked_at, used_at, user_id, name, provider, issuer, subject, roles) VALUES ($1, 'register', $2, $3, \
             $4, $5, $6, {now}, {now} + $7, {now}, {now}, $8, $9, $10, $11, $12, $13)",
            now = self.db.now()
        );
        let values = [
            id.as_str().into(),
            self.seal(&id, address).await?.into(),
            hash.as_str().into(),
            language.into(),
            cause.correlation.map(|id| id.to_string()).into(),
            cause.traceparent.clone().into(),
            (24 * HOUR).into(),
            user.to_string().into(),
            self.seal_if(&id, who.name).await?.into(),
            who.provider.into(),
            who.issuer.into(),
            self.subject(who.issuer, who.subject).await?.into(),
            roles.stored()?.into(),
        ];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        let (address, name) = (address.to_owned(), who.name.map(str::to_owned));
        Ok(Proven { request, user, address, name, advertising: None, address_hash: hash })
    }

    /// Links an identity to the account whose owner gave the password before they left. [`Error::SignInEnded`]: the
    /// session has ended, or the account has changed. [`Error::LinkedElsewhere`]: the identity is another account's, or the
    /// account is somebody else there.
    pub async fn link_provider(
        &self,
        linking: Linking,
        who: &ProviderIdentity<'_>,
        cause: &Cause,
    ) -> Result<(), Error> {
        let subject = self.subject(who.issuer, who.subject).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, linking.account).await?.ok_or(Error::SignInEnded)?;
        let now = self.now(&tx).await?;
        if account.epoch != linking.epoch {
            return Err(Error::SignInEnded);
        }
        self.still_active(&tx, &account, linking.session, now).await.map_err(|error| match error {
            Error::Token => Error::SignInEnded,
            other => other,
        })?;
        if account.roles.is_staff() && !who.staff {
            return Err(Error::ProviderNotForRole);
        }
        let sql =
            "SELECT account, subject FROM @providers WHERE issuer = $1 AND (subject = $2 OR account = $3)";
        let values = [who.issuer.into(), subject.as_str().into(), account.id.to_string().into()];
        if let Some(row) = tx.query_one(self.db.statement(sql, values)).await? {
            let of: (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let same = of == (account.id.to_string(), subject);
            return if same { Ok(()) } else { Err(Error::LinkedElsewhere) };
        }
        let staff = account.roles.is_staff();
        let by = cause.by_owner(account.id, staff, Some(linking.session));
        let of = (who.provider, who.issuer, subject.as_str());
        if !self.insert_link(&tx, &mut account, of, now, &by).await? {
            return Err(Error::LinkedElsewhere);
        }
        self.tell(&tx, &account, MailKind::ProviderLinked, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether an identity is linked to an account.
    pub(crate) async fn is_linked(
        &self,
        tx: &DatabaseTransaction,
        issuer: &str,
        subject: &str,
    ) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM @providers WHERE issuer = $1 AND subject = $2";
        Ok(tx.query_one(self.db.statement(sql, [issuer.into(), subject.into()])).await?.is_some())
    }

    /// False: somebody else was quicker.
    pub(crate) async fn insert_link(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        (provider, issuer, subject): (&str, &str, &str),
        now: i64,
        by: &Cause,
    ) -> Result<bool, Error> {
        let sql = "INSERT INTO @providers (issuer, subject, account, provider, linked_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING";
        let values =
            [issuer.into(), subject.into(), account.id.to_string().into(), provider.into(), now.into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
            return Ok(false);
        }
        let event = Event::SignInLinked { provider: provider.to_owned(), issuer: issuer.to_owned() };
        self.record_of_account(tx, account, now, ("account.link-provider", by), event).await?;
        Ok(true)
    }

    /// The providers that an account is linked to, the oldest first.
    pub async fn linked_providers(&self, account: Uuid) -> Result<Vec<LinkedProvider>, Error> {
        let sql = "SELECT provider, issuer, linked_at, used_at FROM @providers WHERE account = $1 ORDER BY linked_at, issuer";
        let rows = self.db.connection.query_all(self.db.statement(sql, [account.to_string().into()])).await?;
        let linked = rows.iter().map(|row| {
            Ok(LinkedProvider {
                provider: row.try_get_by_index(0)?,
                issuer: row.try_get_by_index(1)?,
                linked_at: moment(row.try_get_by_index(2)?)?,
                used_at: row.try_get_by_index::<Option<i64>>(3)?.map(moment).transpose()?,
            })
        });
        linked.collect()
    }

    /// Unlinks a provider, with the password. Its roles go, and the other sessions that began with it end. False: it is not
    /// linked.
    pub async fn unlink_provider(&self, unlink: Unlink<'_>, cause: &Cause) -> Result<bool, Error> {
        let Unlink { active, provider, password, network } = unlink;
        let verified = self.verified(active.account, password, network).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, verified.id).await?.ok_or(Error::Token)?;
        if (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::Token);
        }
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        let unlinked = self.unlink(&tx, &mut account, Some(provider), now, cause).await?;
        let sql = "SELECT id FROM @sessions WHERE account = $1 AND provider = $2 AND ended_at IS NULL AND expires_at > $4 AND id <> $3";
        let values =
            [account.id.to_string().into(), provider.into(), active.session.to_string().into(), now.into()];
        for row in tx.query_all(self.db.statement(sql, values)).await? {
            let session = uuid(&row.try_get_by_index::<String>(0)?)?;
            self.end_one(&tx, session, now, cause, EndedBy::Revoked).await?;
        }
        tx.commit().await?;
        Ok(unlinked)
    }

    /// Unlinks this provider, or all of them, with the account locked. False: there was nothing to unlink.
    pub(crate) async fn unlink(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        provider: Option<&str>,
        now: i64,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let sql = "DELETE FROM @providers WHERE account = $1 AND ($2 = '' OR provider = $2) RETURNING provider, issuer";
        let values = [account.id.to_string().into(), provider.unwrap_or_default().into()];
        let rows = tx.query_all(self.db.statement(sql, values)).await?;
        for row in &rows {
            let (provider, issuer): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let waiting = FirstStep::Provider(provider.clone()).name();
            let sql = "DELETE FROM @sign_ins WHERE account = $1 AND steps = $2";
            let values = [account.id.to_string().into(), waiting.into()];
            tx.execute(self.db.statement(sql, values)).await?;
            let all = account.roles.clone().with_claimed(&provider, Vec::new());
            self.change_claimed_roles(tx, account, all, now, cause).await?;
            let event = Event::SignInUnlinked { provider, issuer };
            self.record_of_account(tx, account, now, ("account.unlink-provider", cause), event).await?;
        }
        Ok(!rows.is_empty())
    }
}
