//! Signing in with an e-mail address and a password. Every failure looks the same: it is counted, a hash is verified, and
//! the answer comes at the next full 300 ms.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use soonshop_domain::identity::account::{Event, Step as FailedStep};
use tokio::time::Instant;
use uuid::Uuid;

use crate::beginning::{NewSession, VerifiedAccount};
use crate::delays::{Attempt, Budget};
use crate::devices::DeviceHash;
use crate::first_step::FirstStep;
use crate::passwords::Verified;
use crate::sessions::{CredentialKind, StartedSession};
use crate::store::{ACCOUNT, Account};
use crate::stored::{HOUR, milliseconds, moment};
use crate::{Cause, Error, Identity, Password, SignInDevice};

/// A failure is answered at the next multiple of this.
const STEP: Duration = Duration::from_millis(300);
/// After how many failures within an hour there is a fact about it.
const REPORTED_AT: i64 = 10;
/// How many such facts there are within an hour, over all accounts.
const REPORTS_IN_AN_HOUR: i64 = 1_000;

/// Somebody who wants to sign in.
#[derive(Debug, Clone)]
pub struct SignIn<'a> {
    /// As it was typed.
    pub address: &'a str,
    pub password: Password,
    /// The network that it comes from, which waits in the queue as one.
    pub network: &'a str,
    pub device: SignInDevice<'a>,
    pub kind: CredentialKind,
}

/// Waits until the next multiple of [`STEP`] after the beginning.
pub(crate) async fn pad(began: Instant) {
    let steps = milliseconds(began.elapsed()).div_euclid(milliseconds(STEP)) + 1;
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    tokio::time::sleep_until(began + STEP * steps).await;
}

impl Identity {
    /// Begins a session. [`Error::SignIn`] says the same of an unknown address, a wrong password, and an account that may
    /// not sign in; it takes as long for each. [`Error::TooManyAttempts`]: so many failed before that no password is compared
    /// just now, whether there is an account or not. [`Error::SecondFactor`]: the password was right, and
    /// [`second_factor`](Self::second_factor) goes on.
    pub async fn sign_in(&self, asked: SignIn<'_>, cause: &Cause) -> Result<StartedSession, Error> {
        let began = Instant::now();
        let outcome = self.try_sign_in(asked, cause).await;
        if matches!(outcome, Err(Error::SignIn)) {
            pad(began).await;
        }
        outcome
    }

    async fn try_sign_in(&self, asked: SignIn<'_>, cause: &Cause) -> Result<StartedSession, Error> {
        let address = self.address(asked.address).await?;
        let budgets = self.budgets(&address, asked.device.token, asked.network).await?;
        let attempt = self.attempt(budgets).await?;
        let sql = format!("SELECT {ACCOUNT} FROM @accounts WHERE address = $1");
        let row = self.db.connection.query_one(self.db.statement(&sql, [address.as_str().into()])).await?;
        let account = row.as_ref().map(Account::read).transpose()?;
        let stored = account.as_ref().filter(|account| !account.disabled);
        let stored = stored.and_then(|account| account.password.clone());
        let verified = self.compare(&attempt, asked.password, stored.clone(), asked.network).await?;
        let (Some(account), Verified::Right { better }) = (&account, verified) else {
            self.count_failure(account.map(|account| account.id)).await?;
            return Err(Error::SignIn);
        };
        self.was_right(&attempt).await?;
        let verified =
            VerifiedAccount { account: account.id, epoch: account.epoch, generation: account.generation };
        let upgrade = better.zip(stored);
        let (kind, device) = (asked.kind, asked.device);
        let first = FirstStep::Password;
        let new = NewSession { verified, kind, device, first, who: None, upgrade, guess: None, cause };
        self.begin_session(new).await
    }

    /// What an attempt is counted by: a device that signed in before has a budget of its own.
    async fn budgets(
        &self,
        address: &str,
        device: Option<&str>,
        network: &str,
    ) -> Result<Vec<Budget>, Error> {
        if let Some(device) = device.and_then(DeviceHash::of)
            && self.knows(&device, address).await?
        {
            return Ok(vec![Budget::of_device(address, &device)]);
        }
        if self.is_proven_in(address, network).await? {
            return Ok(vec![Budget::of_proven(address, network)]);
        }
        Ok(vec![Budget::typed(address), Budget::network(network)])
    }

    /// Compares the password of an attempt that was counted. One that finds no place in the queue is given back.
    pub(crate) async fn compare(
        &self,
        attempt: &Attempt,
        password: Password,
        stored: Option<String>,
        network: &str,
    ) -> Result<Verified, Error> {
        let verified = self.hasher.verify(password, stored, network).await;
        if verified.is_err() {
            self.was_not_compared(attempt).await?;
        }
        verified
    }

    /// Counts a failure of the account, if there is one, and over all accounts.
    pub(crate) async fn count_failure(&self, account: Option<Uuid>) -> Result<(), Error> {
        if let Some(id) = account {
            let tx = self.begin().await?;
            if let Some(mut account) = self.lock(&tx, id).await? {
                let (count, since) = self.count(&tx, &format!("account:{id}")).await?;
                if count == REPORTED_AT {
                    self.report(&tx, &mut account, (count, since), FailedStep::Password).await?;
                }
                tx.commit().await?;
            }
        }
        self.count_over_all().await
    }

    /// The fact that so many failed since then, unless there were too many such facts within the hour.
    pub(crate) async fn report(
        &self,
        tx: &DatabaseTransaction,
        account: &mut Account,
        (count, since): (i64, i64),
        step: FailedStep,
    ) -> Result<(), Error> {
        let (reports, _) = self.count(tx, "reports").await?;
        if reports <= REPORTS_IN_AN_HOUR {
            let now = self.now(tx).await?;
            let event = Event::SignInsFailed { count, since: moment(since)?, step };
            let by = ("account.count-failures", &Cause::system());
            self.record_of_account(tx, account, now, by, event).await?;
        }
        Ok(())
    }

    /// Counts once more, and says how often within this hour, and since when.
    pub(crate) async fn count(&self, on: &impl ConnectionTrait, what: &str) -> Result<(i64, i64), Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @attempts (what, hour, count, since) VALUES ($1, {now} / {HOUR}, 1, {now}) \
             ON CONFLICT (what, hour) DO UPDATE SET count = attempts.count + 1 RETURNING count, since"
        );
        let row = on.query_one(self.db.statement(&sql, [what.into()])).await?;
        let row = row.ok_or_else(|| Error::internal("an attempt was not counted"))?;
        Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
    }
}
