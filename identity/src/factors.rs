//! Second factors: added in two steps, listed, removed; and recovery codes, which stand in for one.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use soonshop_domain::identity::account::{EndedBy, Event, FactorKind};
use soonshop_domain::{Personal, PersonalValue, Purpose, Sensitive, ids};
use tokio::time::Instant;
use uuid::Uuid;

use crate::codes::{RECOVERY_CODES, TypedCode, new_recovery_code, recovery_hash};
use crate::rule::MOST_FACTORS;
use crate::sessions::FactorGiven;
use crate::sign_in::pad;
use crate::store::Account;
use crate::stored::{moment, uuid};
use crate::totp::Secret;
use crate::{ActiveSession, Cause, Error, Identity, MailKind, Password};

/// How long a factor waits for its first code, in milliseconds.
pub(crate) const UNPROVED_KEPT: i64 = 15 * 60 * 1000;

/// Whose app is named: an app shows it beside the code.
const ISSUER: &str = "SoonShop";

/// Somebody who wants another second factor.
#[derive(Debug, Clone)]
pub struct NewFactor<'a> {
    pub active: &'a ActiveSession,
    /// Their password, once more: a session that was left open adds none.
    pub password: Password,
    /// The network that it comes from.
    pub network: &'a str,
}

/// A factor that waits for its first code. Its secret is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedFactor {
    pub id: Uuid,
    pub secret: Secret,
    /// The same for an app, as `otpauth://…`.
    pub uri: String,
}

/// A second factor as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFactor {
    pub id: Uuid,
    pub kind: FactorKind,
    pub added_at: DateTime<Utc>,
    pub used_at: Option<DateTime<Utc>>,
}

/// The second factors of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFactors {
    /// The oldest first.
    pub factors: Vec<ListedFactor>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

/// The secret of an app, as a value of the account's owner.
struct Sealed(Personal<String>);

impl Sensitive for Sealed {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.0]
    }
}

impl Identity {
    /// Whether an account has a second factor that was proved.
    pub(crate) async fn has_factor(&self, on: &impl ConnectionTrait, account: Uuid) -> Result<bool, Error> {
        let sql =
            "SELECT 1 FROM @factors WHERE account = $1 AND kind = 'totp' AND proved_at IS NOT NULL LIMIT 1";
        Ok(on.query_one(self.db.statement(sql, [account.to_string().into()])).await?.is_some())
    }

    /// The secrets of an account's factors, also of one that waits for its first code.
    pub(crate) async fn secrets(&self, account: Uuid) -> Result<Vec<(Uuid, Secret)>, Error> {
        let sql = "SELECT id, secret FROM @factors WHERE account = $1 AND kind = 'totp'";
        let rows = self.db.connection.query_all(self.db.statement(sql, [account.to_string().into()])).await?;
        let mut all = Vec::new();
        for row in rows {
            let (id, jwe): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let mut sealed = Sealed(serde_json::from_value(jwe.into()).map_err(Error::internal)?);
            let damaged = self.people.decrypt(&mut [&mut sealed]).await?;
            let secret = sealed.0.get().and_then(|text| Secret::parse(text));
            let secret = secret.ok_or_else(|| {
                let reason = damaged.first().map_or("its key is gone", |(_, reason)| reason);
                Error::internal(format!("the secret of factor {id} cannot be read: {reason}"))
            })?;
            all.push((uuid(&id)?, secret));
        }
        Ok(all)
    }

    /// Begins to add a second factor: its secret, which is shown once. A first code proves it
    /// ([`prove_factor`](Self::prove_factor)); until then it counts for nothing. An account that has one adds another only
    /// with a fresh one.
    pub async fn add_factor(&self, new: NewFactor<'_>) -> Result<StartedFactor, Error> {
        let began = Instant::now();
        let outcome = self.try_add(new).await;
        if matches!(outcome, Err(Error::WrongPassword)) {
            pad(began).await;
        }
        outcome
    }

    async fn try_add(&self, new: NewFactor<'_>) -> Result<StartedFactor, Error> {
        let NewFactor { active, password, network } = new;
        let verified = self.verified(active.account, password, network).await?;
        let secret = Secret::generate()?;
        let mut value = Personal::new(secret.text(), active.account, Purpose::Account);
        self.people.encrypt(&mut value).await?;
        let sealed = value.jwe().ok_or_else(|| Error::internal("a secret was not sealed"))?.to_owned();
        let tx = self.begin().await?;
        let account = self.lock(&tx, verified.id).await?.ok_or(Error::Token)?;
        if (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::Token);
        }
        let now = self.now(&tx).await?;
        let given = self.still_active(&tx, &account, active.session, now).await?;
        let owner = account.id.to_string();
        // One that was begun before and not proved is none: of two that are begun at once one can be proved.
        let sql = "DELETE FROM @factors WHERE account = $1 AND kind = 'totp' AND proved_at IS NULL";
        tx.execute(self.db.statement(sql, [owner.as_str().into()])).await?;
        let sql = "SELECT count(*) FROM @factors WHERE account = $1 AND kind = 'totp'";
        let row = tx.query_one(self.db.statement(sql, [owner.as_str().into()])).await?;
        let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        if count > 0 && given != FactorGiven::Fresh {
            return Err(Error::NotFresh);
        }
        if count >= MOST_FACTORS {
            return Err(Error::TooManyFactors);
        }
        let id = ids::new();
        let sql =
            "INSERT INTO @factors (id, account, kind, secret, added_at) VALUES ($1, $2, 'totp', $3, $4)";
        let values = [id.to_string().into(), owner.into(), sealed.into(), now.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        tx.commit().await?;
        let uri = format!(
            "otpauth://totp/{ISSUER}:{}?secret={}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30",
            account.id,
            secret.text()
        );
        Ok(StartedFactor { id, secret, uri })
    }

    /// Proves a factor that was begun by its first code, which signs nobody in afterwards. With the first factor of an
    /// account come its recovery codes, shown this once.
    pub async fn prove_factor(
        &self,
        active: &ActiveSession,
        factor: Uuid,
        typed: &str,
        cause: &Cause,
    ) -> Result<Vec<String>, Error> {
        // What is none of this account's is counted nowhere.
        self.begun(&self.db.connection, active.account, factor).await?;
        if !matches!(TypedCode::read(typed), Some(TypedCode::Totp(_))) {
            return Err(Error::WrongCode);
        }
        let guess = self.guess(active.account, typed).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        self.begun(&tx, account.id, factor).await?;
        let step = guess.step_of(factor, now);
        self.settle(&tx, &mut account, &guess, step.is_some()).await?;
        let Some(step) = step else {
            tx.commit().await?;
            return Err(Error::WrongCode);
        };
        let sql = "UPDATE @factors SET proved_at = $2, used_at = $2, last_step = $3 WHERE id = $1 AND proved_at IS NULL";
        let values = [factor.to_string().into(), now.into(), step.into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() != 1 {
            return Err(Error::NotFound);
        }
        self.prove(&tx, active.session, now).await?;
        let event = Event::SecondFactorAdded { factor, kind: FactorKind::Totp };
        self.record_of_account(&tx, &mut account, now, ("account.add-factor", cause), event).await?;
        self.tell(&tx, &account, MailKind::FactorAdded, now).await?;
        let codes = if self.recovery_codes_left(&tx, account.id).await? == 0 {
            self.new_recovery_codes(&tx, &mut account, now, cause).await?
        } else {
            Vec::new()
        };
        tx.commit().await?;
        Ok(codes)
    }

    /// Whether a factor of this account waits for its first code.
    async fn begun(&self, on: &impl ConnectionTrait, account: Uuid, factor: Uuid) -> Result<(), Error> {
        let sql = format!(
            "SELECT 1 FROM @factors WHERE id = $1 AND account = $2 AND kind = 'totp' AND proved_at IS NULL \
             AND added_at > {} - {UNPROVED_KEPT}",
            self.db.now()
        );
        let values = [factor.to_string().into(), account.to_string().into()];
        on.query_one(self.db.statement(&sql, values)).await?.map(drop).ok_or(Error::NotFound)
    }

    /// The second factors of an account.
    pub async fn factors(&self, account: Uuid) -> Result<ListedFactors, Error> {
        let sql = "SELECT id, added_at, used_at FROM @factors WHERE account = $1 AND kind = 'totp' \
                   AND proved_at IS NOT NULL ORDER BY added_at, id";
        let rows = self.db.connection.query_all(self.db.statement(sql, [account.to_string().into()])).await?;
        let listed = rows.iter().map(|row| {
            Ok::<_, Error>(ListedFactor {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                kind: FactorKind::Totp,
                added_at: moment(row.try_get_by_index(1)?)?,
                used_at: row.try_get_by_index::<Option<i64>>(2)?.map(moment).transpose()?,
            })
        });
        let factors = listed.collect::<Result<_, _>>()?;
        let recovery_codes = self.recovery_codes_left(&self.db.connection, account).await?;
        Ok(ListedFactors { factors, recovery_codes })
    }

    /// How many recovery codes are left.
    pub(crate) async fn recovery_codes_left(
        &self,
        on: &impl ConnectionTrait,
        account: Uuid,
    ) -> Result<i64, Error> {
        let sql = "SELECT count(*) FROM @factors WHERE account = $1 AND kind = 'recovery'";
        let row = on.query_one(self.db.statement(sql, [account.to_string().into()])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
    }

    /// Removes a second factor, with a fresh one. What sessions gave before counts no more, but for the one that asks; with
    /// the last factor the recovery codes go. False: there is none of that id.
    pub async fn remove_factor(
        &self,
        active: &ActiveSession,
        factor: Uuid,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let (tx, mut account, now) = self.begin_fresh(active).await?;
        let sql =
            "DELETE FROM @factors WHERE id = $1 AND account = $2 AND kind = 'totp' AND proved_at IS NOT NULL";
        let values = [factor.to_string().into(), account.id.to_string().into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let event = Event::SecondFactorRemoved { factor, kind: FactorKind::Totp };
        self.record_of_account(&tx, &mut account, now, ("account.remove-factor", cause), event).await?;
        self.tell(&tx, &account, MailKind::FactorRemoved, now).await?;
        let stays = self.has_factor(&tx, account.id).await?.then_some(active.session);
        if stays.is_none() {
            let sql = "DELETE FROM @factors WHERE account = $1";
            tx.execute(self.db.statement(sql, [account.id.to_string().into()])).await?;
        }
        let sql = "UPDATE @sessions SET proved_at = NULL WHERE account = $1 AND id <> $2";
        let stays = stays.map(|session| session.to_string()).unwrap_or_default();
        tx.execute(self.db.statement(sql, [account.id.to_string().into(), stays.into()])).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// New recovery codes in the place of those before, with a fresh second factor. They are shown this once.
    pub async fn make_recovery_codes(
        &self,
        active: &ActiveSession,
        cause: &Cause,
    ) -> Result<Vec<String>, Error> {
        let (tx, mut account, now) = self.begin_fresh(active).await?;
        if !self.has_factor(&tx, account.id).await? {
            return Err(Error::NoFactor);
        }
        let codes = self.new_recovery_codes(&tx, &mut account, now, cause).await?;
        self.tell(&tx, &account, MailKind::RecoveryCodesMade, now).await?;
        tx.commit().await?;
        Ok(codes)
    }

    async fn new_recovery_codes(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        now: i64,
        cause: &Cause,
    ) -> Result<Vec<String>, Error> {
        let owner = account.id.to_string();
        let sql = "DELETE FROM @factors WHERE account = $1 AND kind = 'recovery'";
        tx.execute(self.db.statement(sql, [owner.as_str().into()])).await?;
        let mut codes = Vec::new();
        for _ in 0..RECOVERY_CODES {
            let code = new_recovery_code()?;
            let hash = recovery_hash(account.id, &code.replace('-', ""));
            let sql = "INSERT INTO @factors (id, account, kind, hash, added_at, proved_at) VALUES ($1, $2, 'recovery', $3, $4, $4)";
            let values = [ids::new().to_string().into(), owner.as_str().into(), hash.into(), now.into()];
            tx.execute(self.db.statement(sql, values)).await?;
            codes.push(code);
        }
        let left = i64::try_from(codes.len()).map_err(Error::internal)?;
        let by = ("account.make-recovery-codes", cause);
        self.record_of_account(tx, account, now, by, Event::RecoveryCodesMade { left }).await?;
        Ok(codes)
    }

    /// Removes all second factors and recovery codes of an account, at the operator's word, and ends its sessions: its
    /// owner lost them. False: it has none.
    pub async fn reset_factors(&self, id: Uuid, cause: &Cause) -> Result<bool, Error> {
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, id).await?.ok_or(Error::NotFound)?;
        let now = self.now(&tx).await?;
        let by = ("account.reset-factors", cause);
        let sql = "SELECT id FROM @factors WHERE account = $1 AND kind = 'totp' AND proved_at IS NOT NULL \
                   ORDER BY added_at, id";
        let rows = tx.query_all(self.db.statement(sql, [id.to_string().into()])).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        for row in rows {
            let factor = uuid(&row.try_get_by_index::<String>(0)?)?;
            let event = Event::SecondFactorRemoved { factor, kind: FactorKind::Totp };
            self.record_of_account(&tx, &mut account, now, by, event).await?;
        }
        let sql = "DELETE FROM @factors WHERE account = $1";
        tx.execute(self.db.statement(sql, [id.to_string().into()])).await?;
        self.end_all_but(&tx, &mut account, None, now).await?;
        let event = Event::AllSessionsEnded { reason: EndedBy::SignedOutEverywhere };
        self.record_of_account(&tx, &mut account, now, by, event).await?;
        self.tell(&tx, &account, MailKind::FactorRemoved, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Begins a change that asks for a fresh second factor, with the account locked.
    async fn begin_fresh(
        &self,
        active: &ActiveSession,
    ) -> Result<(DatabaseTransaction, Account, i64), Error> {
        let tx = self.begin().await?;
        let account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        if self.still_active(&tx, &account, active.session, now).await? != FactorGiven::Fresh {
            return Err(Error::NotFresh);
        }
        Ok((tx, account, now))
    }

    /// When this session gave a second factor last, with its account locked. [`Error::Token`]: it has ended.
    pub(crate) async fn still_active(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        session: Uuid,
        now: i64,
    ) -> Result<FactorGiven, Error> {
        let sql = "SELECT proved_at FROM @sessions WHERE id = $1 AND account = $2 AND epoch = $3 AND ended_at IS NULL \
                   AND expires_at > $4";
        let values =
            [session.to_string().into(), account.id.to_string().into(), account.epoch.into(), now.into()];
        let row = tx.query_one(self.db.statement(sql, values)).await?;
        let row = row.filter(|_| !account.disabled).ok_or(Error::Token)?;
        Ok(FactorGiven::at(row.try_get_by_index(0)?, now))
    }
}
