//! Second factors: added in two steps, listed, removed; and recovery codes, which stand in for one.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult};
use soonshop_domain::identity::account::{EndedBy, Event, FactorKind};
use soonshop_domain::{Personal, PersonalValue, Sensitive, ids};
use uuid::Uuid;

use crate::adding::BegunFactor;
use crate::challenges::Asker;
use crate::codes::{RECOVERY_CODES, TypedCode, new_recovery_code, recovery_hash};
use crate::sessions::FactorGiven;
use crate::store::Account;
use crate::stored::{moment, uuid};
use crate::totp::Secret;
use crate::{ActiveSession, Cause, Error, Identity, MailKind, Password};

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
    /// What its owner calls it; `None`: nothing, or it was erased.
    pub name: Option<String>,
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

/// The secret of a factor, as a value of the account's owner.
struct Sealed(Personal<String>);

impl Sensitive for Sealed {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        vec![&mut self.0]
    }
}

/// The kind of a factor, as its row has it.
fn kind(row: &QueryResult, index: usize) -> Result<FactorKind, Error> {
    row.try_get_by_index::<String>(index)?.parse().map_err(Error::internal)
}

impl Identity {
    /// Whether an account has a second factor that was proved.
    pub(crate) async fn has_factor(&self, on: &impl ConnectionTrait, account: Uuid) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM @factors WHERE account = $1 AND kind <> 'recovery' AND proved_at IS NOT NULL LIMIT 1";
        Ok(on.query_one(self.db.statement(sql, [account.to_string().into()])).await?.is_some())
    }

    /// The secrets of an account's apps, also of one that waits for its first code.
    pub(crate) async fn secrets(&self, account: Uuid) -> Result<Vec<(Uuid, Secret)>, Error> {
        let opened = self.opened_secrets(account, FactorKind::Totp).await?.into_iter();
        opened
            .map(|(id, text)| {
                let secret = Secret::parse(&text);
                Ok((id, secret.ok_or_else(|| Error::internal(format!("the secret of factor {id} is none")))?))
            })
            .collect()
    }

    /// The secrets of an account's factors of a kind, opened.
    pub(crate) async fn opened_secrets(
        &self,
        account: Uuid,
        kind: FactorKind,
    ) -> Result<Vec<(Uuid, String)>, Error> {
        let sql = "SELECT id, secret FROM @factors WHERE account = $1 AND kind = $2 AND secret IS NOT NULL";
        let values = [account.to_string().into(), kind.as_ref().into()];
        let rows = self.db.connection.query_all(self.db.statement(sql, values)).await?;
        let mut all = Vec::new();
        for row in rows {
            let (id, jwe): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let mut sealed = Sealed(serde_json::from_value(jwe.into()).map_err(Error::internal)?);
            let damaged = self.people.decrypt(&mut [&mut sealed]).await?;
            let secret = sealed.0.get().cloned().ok_or_else(|| {
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
        let NewFactor { active, password, network } = new;
        let verified = self.verified(active.account, password, network).await?;
        let secret = Secret::generate()?;
        let sealed = self.sealed_of(active.account, secret.text()).await?;
        let id = ids::new();
        let begun =
            BegunFactor { id, kind: FactorKind::Totp, secret: Some(sealed), name: None, challenge: None };
        self.begin_factor(active, &verified, begun).await?;
        let uri = format!(
            "otpauth://totp/{ISSUER}:{}?secret={}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30",
            verified.id,
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
        self.begun(&self.db.connection, active.account, (factor, FactorKind::Totp)).await?;
        if !matches!(TypedCode::read(typed), Some(TypedCode::Totp(_))) {
            return Err(Error::WrongCode);
        }
        let guess = self.guess(active.account, typed, Asker::StepUp(active.session)).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        self.begun(&tx, account.id, (factor, FactorKind::Totp)).await?;
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
        let of = (active.session, factor, FactorKind::Totp);
        let codes = self.was_added(&tx, &mut account, of, now, cause).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// The second factors of an account.
    pub async fn factors(&self, account: Uuid) -> Result<ListedFactors, Error> {
        let sql = "SELECT id, added_at, used_at, kind, name FROM @factors WHERE account = $1 AND kind <> 'recovery' \
                   AND proved_at IS NOT NULL ORDER BY added_at, id";
        let rows = self.db.connection.query_all(self.db.statement(sql, [account.to_string().into()])).await?;
        let mut factors = Vec::new();
        for row in rows {
            factors.push(ListedFactor {
                id: uuid(&row.try_get_by_index::<String>(0)?)?,
                kind: kind(&row, 3)?,
                name: self.opened(row.try_get_by_index(4)?).await?,
                added_at: moment(row.try_get_by_index(1)?)?,
                used_at: row.try_get_by_index::<Option<i64>>(2)?.map(moment).transpose()?,
            });
        }
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
        let sql = "DELETE FROM @factors WHERE id = $1 AND account = $2 AND kind <> 'recovery' AND proved_at IS NOT NULL \
                   RETURNING kind";
        let values = [factor.to_string().into(), account.id.to_string().into()];
        let Some(row) = tx.query_one(self.db.statement(sql, values)).await? else { return Ok(false) };
        let event = Event::SecondFactorRemoved { factor, kind: kind(&row, 0)? };
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

    pub(crate) async fn new_recovery_codes(
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
        let sql = "SELECT id, kind FROM @factors WHERE account = $1 AND kind <> 'recovery' AND proved_at IS NOT NULL \
                   ORDER BY added_at, id";
        let rows = tx.query_all(self.db.statement(sql, [id.to_string().into()])).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        for row in rows {
            let factor = uuid(&row.try_get_by_index::<String>(0)?)?;
            let event = Event::SecondFactorRemoved { factor, kind: kind(&row, 1)? };
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
