//! Codes that somebody gives: each is counted in the database before it is compared, by account, so that many at once are
//! no more tries than one after the other. A right one is given back.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::account::{Event, Step};
use uuid::Uuid;

use crate::challenges::Asker;
use crate::codes::{TypedCode, recovery_hash};
use crate::guess::Guess;
use crate::passkeys::PasskeyGuess;
use crate::store::Account;
use crate::stored::{HOUR, uuid};
use crate::totp::Secret;
use crate::{ActiveSession, Cause, Error, Identity, MailKind};

impl Identity {
    /// Counts a code that was typed for an account. [`Error::TooManyCodes`]: it is not compared. What has the form of no
    /// code is wrong without being counted, and so is the answer of a passkey that `asker` did not ask. Answers are counted
    /// by who asked: nobody guesses them, and who knows the password keeps no owner from their passkey.
    pub(crate) async fn guess(&self, account: Uuid, typed: &str, asker: Asker<'_>) -> Result<Guess, Error> {
        let code = TypedCode::read(typed).ok_or(Error::WrongCode)?;
        let (mut counted, mut passkey) =
            (format!("{}:{account}", code.counted_as()), PasskeyGuess::default());
        if matches!(code, TypedCode::Passkey(_)) {
            let challenge = self.challenge(account, asker).await?.ok_or(Error::WrongPasskey)?;
            counted = format!("{counted}:{}", challenge.asker);
            passkey = PasskeyGuess { challenge: Some(challenge), passkeys: self.passkeys(account).await? };
        }
        let (count, since) = self.count(&self.db.connection, &counted).await?;
        if count > code.most() {
            let now = self.now(&self.db.connection).await?;
            let left = u64::try_from(HOUR - now.rem_euclid(HOUR)).unwrap_or(0);
            return Err(Error::TooManyCodes(Duration::from_millis(left)));
        }
        let secrets = match code {
            TypedCode::Totp(_) => self.secrets(account).await?,
            TypedCode::Recovery(_) | TypedCode::Passkey(_) => Vec::new(),
        };
        Ok(Guess { code, counted, count, since, secrets, passkey })
    }

    /// Compares a code, with the account locked, and uses it up: the name of what it is, or, where it is wrong, the error for
    /// who gave it; what was done stays then, too. The last one that is compared within the hour ends the sign-ins that
    /// wait, and is a fact.
    pub(crate) async fn take(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        guess: &Guess,
        now: i64,
        cause: &Cause,
    ) -> Result<Result<&'static str, Error>, Error> {
        let given = match &guess.code {
            TypedCode::Totp(digits) => {
                let right = self.take_totp(tx, account.id, (digits, &guess.secrets), now).await?;
                right.then_some("totp").ok_or(Error::WrongCode)
            }
            TypedCode::Recovery(code) => {
                let right = self.take_recovery(tx, account, code, now, cause).await?;
                right.then_some("recovery-code").ok_or(Error::WrongCode)
            }
            TypedCode::Passkey(answer) => self
                .take_passkey(tx, account, (&guess.passkey, answer), (guess.count, guess.since), now)
                .await?
                .map(|()| "passkey"),
        };
        self.settle(tx, account, guess, given.is_ok()).await?;
        Ok(given)
    }

    /// Gives a right code back to the count, or notes that no more are compared.
    pub(crate) async fn settle(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        guess: &Guess,
        right: bool,
    ) -> Result<(), Error> {
        if right {
            let sql = "UPDATE @attempts SET count = count - 1 WHERE what = $1 AND hour = $2";
            let values = [guess.counted.as_str().into(), guess.since.div_euclid(HOUR).into()];
            tx.execute(self.db.statement(sql, values)).await?;
        } else if guess.count == guess.code.most() {
            let attempts = (guess.count, guess.since);
            if matches!(guess.code, TypedCode::Passkey(_)) {
                return self.report_passkey(tx, account, attempts).await;
            }
            let sql = "DELETE FROM @sign_ins WHERE account = $1";
            tx.execute(self.db.statement(sql, [account.id.to_string().into()])).await?;
            self.report(tx, account, attempts, Step::SecondFactor).await?;
        }
        Ok(())
    }

    /// The fact that answers of passkeys were wrong: one of an account within the hour, however many sign-ins they were for.
    pub(crate) async fn report_passkey(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        attempts: (i64, i64),
    ) -> Result<(), Error> {
        let (reported, _) = self.count(tx, &format!("passkey-reports:{}", account.id)).await?;
        if reported == 1 { self.report(tx, account, attempts, Step::SecondFactor).await } else { Ok(()) }
    }

    async fn take_totp(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        (digits, secrets): (&str, &[(Uuid, Secret)]),
        now: i64,
    ) -> Result<bool, Error> {
        let sql = "SELECT id, last_step FROM @factors WHERE account = $1 AND kind = 'totp' AND proved_at IS NOT NULL \
                   ORDER BY added_at, id";
        for row in tx.query_all(self.db.statement(sql, [account.to_string().into()])).await? {
            let (id, last): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let factor = uuid(&id)?;
            let secret = secrets.iter().find(|(known, _)| *known == factor).map(|(_, secret)| secret);
            let Some(step) = secret.and_then(|secret| secret.step_of(digits, now, last)) else { continue };
            let sql = "UPDATE @factors SET last_step = $2, used_at = $3 WHERE id = $1 AND last_step < $2";
            let values = [id.into(), step.into(), now.into()];
            if tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn take_recovery(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        code: &str,
        now: i64,
        cause: &Cause,
    ) -> Result<bool, Error> {
        let id = account.id.to_string();
        let sql = "DELETE FROM @factors WHERE account = $1 AND kind = 'recovery' AND hash = $2";
        let values = [id.into(), recovery_hash(account.id, code).into()];
        if tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let left = self.recovery_codes_left(tx, account.id).await?;
        let by = ("account.use-recovery-code", cause);
        self.record_of_account(tx, account, now, by, Event::RecoveryCodeUsed { left }).await?;
        self.tell(tx, account, MailKind::RecoveryCodeUsed, now).await?;
        Ok(true)
    }

    /// Takes a second factor from somebody who is signed in: for five minutes what asks for a fresh one is open to this
    /// session. It goes on also where the code is wrong, or too many were tried.
    pub async fn step_up(&self, active: &ActiveSession, typed: &str, cause: &Cause) -> Result<(), Error> {
        if !self.has_factor(&self.db.connection, active.account).await? {
            return Err(Error::NoFactor);
        }
        let guess = self.guess(active.account, typed, Asker::StepUp(active.session)).await?;
        let tx = self.begin().await?;
        let mut account = self.lock(&tx, active.account).await?.ok_or(Error::Token)?;
        let now = self.now(&tx).await?;
        self.still_active(&tx, &account, active.session, now).await?;
        let given = self.take(&tx, &mut account, &guess, now, cause).await?;
        if given.is_ok() {
            self.prove(&tx, active.session, now).await?;
        }
        tx.commit().await?;
        given.map(drop)
    }

    /// That this session gave a second factor now.
    pub(crate) async fn prove(&self, tx: &DatabaseTransaction, session: Uuid, now: i64) -> Result<(), Error> {
        let sql = "UPDATE @sessions SET proved_at = $2 WHERE id = $1";
        tx.execute(self.db.statement(sql, [session.to_string().into(), now.into()])).await?;
        Ok(())
    }
}
