//! A sign-in whose password was right, and that waits for its second factor.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use crate::beginning::{NewSession, VerifiedAccount};
use crate::challenges::Asker;
use crate::first_step::FirstStep;
use crate::passwords::random;
use crate::pending_token::{self, PendingHash, PendingSignIn};
use crate::sessions::{CredentialKind, StartedSession};
use crate::store::Account;
use crate::stored::uuid;
use crate::{Cause, Error, Identity, SignInDevice};

/// How long a sign-in waits for its second factor.
const WAITS: i64 = 5 * 60 * 1000;
/// How many sign-ins of an account wait at a time.
const AT_A_TIME: i64 = 20;

/// The second step of a sign-in.
#[derive(Clone, Copy)]
pub struct SecondStep<'a> {
    /// The pending token.
    pub token: &'a str,
    /// A code of an app, or a recovery code, as it was typed; or the answer of a passkey, in JSON.
    pub code: &'a str,
    pub device: SignInDevice<'a>,
    pub kind: CredentialKind,
}

impl Identity {
    /// Begins the session that waited for its second factor. [`Error::SignInEnded`]: the token is none, too old, or was
    /// used; the account was disabled or has another password; or too many codes were tried.
    pub async fn second_factor(&self, step: SecondStep<'_>, cause: &Cause) -> Result<StartedSession, Error> {
        let pending = PendingHash::of(step.token).ok_or(Error::SignInEnded)?;
        let sql = format!(
            "SELECT account, epoch, password_generation, steps FROM @sign_ins WHERE hash = $1 AND expires_at > {}",
            self.db.now()
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [pending.stored().into()])).await?;
        let row = row.ok_or(Error::SignInEnded)?;
        let verified = VerifiedAccount {
            account: uuid(&row.try_get_by_index::<String>(0)?)?,
            epoch: row.try_get_by_index(1)?,
            generation: row.try_get_by_index(2)?,
        };
        let guess = self.guess(verified.account, step.code, Asker::SignIn(&pending)).await?;
        let new = NewSession {
            verified,
            kind: step.kind,
            device: step.device,
            first: FirstStep::read(&row.try_get_by_index::<String>(3)?),
            who: None,
            upgrade: None,
            guess: Some((pending, guess)),
            cause,
        };
        self.begin_session(new).await.map_err(|error| match error {
            Error::SignIn => Error::SignInEnded,
            other => other,
        })
    }

    /// Makes the token of a sign-in that waits, with its account locked. The oldest ones of an account make room.
    pub(crate) async fn wait_for_factor(
        &self,
        tx: &DatabaseTransaction,
        account: &Account,
        first: &FirstStep,
        now: i64,
    ) -> Result<PendingSignIn, Error> {
        let mut secret = [0; 32];
        random(&mut secret)?;
        let token = pending_token::text(&secret);
        let hash = PendingHash::of(&token).ok_or_else(|| Error::internal("a pending token has no hash"))?;
        let id = account.id.to_string();
        let sql = format!(
            "DELETE FROM @sign_ins WHERE account = $1 AND (expires_at <= $2 OR hash NOT IN (SELECT hash FROM @sign_ins \
             WHERE account = $1 ORDER BY expires_at DESC LIMIT {}))",
            AT_A_TIME - 1
        );
        tx.execute(self.db.statement(&sql, [id.as_str().into(), now.into()])).await?;
        let sql = "INSERT INTO @sign_ins (hash, account, epoch, password_generation, steps, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let values = [
            hash.stored().into(),
            id.into(),
            account.epoch.into(),
            account.generation.into(),
            first.name().into(),
            (now + WAITS).into(),
        ];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(PendingSignIn { token, expires_in: WAITS / 1000 })
    }

    /// Whether a sign-in waits still, with its account locked.
    pub(crate) async fn waits(
        &self,
        tx: &DatabaseTransaction,
        pending: &PendingHash,
        account: Uuid,
        now: i64,
    ) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM @sign_ins WHERE hash = $1 AND account = $2 AND expires_at > $3";
        let values = [pending.stored().into(), account.to_string().into(), now.into()];
        Ok(tx.query_one(self.db.statement(sql, values)).await?.is_some())
    }

    /// It waits no more.
    pub(crate) async fn end_waiting(
        &self,
        tx: &DatabaseTransaction,
        pending: &PendingHash,
    ) -> Result<(), Error> {
        let sql = "DELETE FROM @sign_ins WHERE hash = $1";
        tx.execute(self.db.statement(sql, [pending.stored().into()])).await?;
        Ok(())
    }
}
