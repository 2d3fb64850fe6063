//! What adding an app and adding a passkey have in common: a factor waits for its proof, and then counts.

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use soonshop_domain::identity::account::{Event, FactorKind};
use uuid::Uuid;

use crate::challenges::Asker;
use crate::rule::MOST_FACTORS;
use crate::sessions::FactorGiven;
use crate::store::Account;
use crate::{ActiveSession, Cause, Error, Identity, MailKind};

/// How long a factor waits for its first code, in milliseconds.
pub(crate) const UNPROVED_KEPT: i64 = 15 * 60 * 1000;

/// A factor to insert, which waits for its proof.
pub(crate) struct BegunFactor<'a> {
    pub(crate) id: Uuid,
    pub(crate) kind: FactorKind,
    /// Sealed.
    pub(crate) secret: Option<String>,
    /// Sealed.
    pub(crate) name: Option<String>,
    /// What it is proved by, sealed.
    pub(crate) challenge: Option<(Asker<'a>, String)>,
}

impl Identity {
    /// Inserts a factor that waits for its proof, if its account is as it was when its owner gave the password.
    pub(crate) async fn begin_factor(
        &self,
        active: &ActiveSession,
        verified: &Account,
        begun: BegunFactor<'_>,
    ) -> Result<(), Error> {
        let tx = self.begin().await?;
        let account = self.lock(&tx, verified.id).await?.ok_or(Error::Token)?;
        if (account.epoch, account.generation) != (verified.epoch, verified.generation) {
            return Err(Error::Token);
        }
        let now = self.now(&tx).await?;
        let given = self.still_active(&tx, &account, active.session, now).await?;
        let owner = account.id.to_string();
        // One that was begun before and not proved is none: of two that are begun at once one can be proved.
        let sql = "DELETE FROM @factors WHERE account = $1 AND kind <> 'recovery' AND proved_at IS NULL";
        tx.execute(self.db.statement(sql, [owner.as_str().into()])).await?;
        let sql = "DELETE FROM @challenges WHERE account = $1 AND asker LIKE 'add:%'";
        tx.execute(self.db.statement(sql, [owner.as_str().into()])).await?;
        let sql = "SELECT count(*) FROM @factors WHERE account = $1 AND kind <> 'recovery'";
        let row = tx.query_one(self.db.statement(sql, [owner.as_str().into()])).await?;
        let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        if count > 0 && given != FactorGiven::Fresh {
            return Err(Error::NotFresh);
        }
        if count >= MOST_FACTORS {
            return Err(Error::TooManyFactors);
        }
        let sql = "INSERT INTO @factors (id, account, kind, secret, name, added_at) VALUES ($1, $2, $3, $4, $5, $6)";
        let values = [
            begun.id.to_string().into(),
            owner.into(),
            begun.kind.as_ref().into(),
            begun.secret.into(),
            begun.name.into(),
            now.into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        if let Some(challenge) = begun.challenge {
            self.keep_challenge(&tx, account.id, challenge, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What follows the proof of a factor: the session gave one, and with the first of an account come recovery codes.
    pub(crate) async fn was_added(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        (session, factor, kind): (Uuid, Uuid, FactorKind),
        now: i64,
        cause: &Cause,
    ) -> Result<Vec<String>, Error> {
        self.prove(tx, session, now).await?;
        let event = Event::SecondFactorAdded { factor, kind };
        self.record_of_account(tx, account, now, ("account.add-factor", cause), event).await?;
        self.tell(tx, account, MailKind::FactorAdded, now).await?;
        if self.recovery_codes_left(tx, account.id).await? > 0 {
            return Ok(Vec::new());
        }
        self.new_recovery_codes(tx, account, now, cause).await
    }

    /// Whether a factor of this account waits for its proof.
    pub(crate) async fn begun(
        &self,
        on: &impl ConnectionTrait,
        account: Uuid,
        (factor, kind): (Uuid, FactorKind),
    ) -> Result<(), Error> {
        let sql = format!(
            "SELECT 1 FROM @factors WHERE id = $1 AND account = $2 AND kind = $3 AND proved_at IS NULL \
             AND added_at > {} - {UNPROVED_KEPT}",
            self.db.now()
        );
        let values = [factor.to_string().into(), account.to_string().into(), kind.as_ref().into()];
        on.query_one(self.db.statement(&sql, values)).await?.map(drop).ok_or(Error::NotFound)
    }
}
