//! Delays of passwords that are wrong: an attempt is counted in the database before its password is compared, so that many
//! at once are no more than one after the other, over all processes. After some that were wrong the next one has to wait,
//! longer each time, and what comes meanwhile is neither compared nor counted.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use uuid::Uuid;

use crate::devices::DeviceHash;
use crate::stored::HOUR;
use crate::{Error, Identity};

/// The delay after the first wrong one too many, in milliseconds; each further one is twice as long, up to the longest.
const FIRST: i64 = 1_000;
const DOUBLED: i64 = 10;
const LONGEST: i64 = 15 * 60 * 1_000;

/// What attempts are counted by: so many are free of a delay within the window of these hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    what: String,
    free: i64,
    hours: i64,
    /// By many people: one of them that was right says nothing about the others.
    shared: bool,
}

impl Budget {
    /// Of what was typed, by everybody whose device is not known: the HMAC of an address, whether there is an account or
    /// not.
    pub(crate) fn typed(address: &str) -> Self {
        Self { what: format!("typed:{address}"), free: 5, hours: 24, shared: false }
    }

    /// Of a device on which the account of this address signed in before.
    pub(crate) fn of_device(address: &str, device: &DeviceHash) -> Self {
        Self { what: format!("device:{address}:{}", device.stored()), free: 5, hours: 24, shared: false }
    }

    /// Of a network in which a link that was mailed to the address was used just before.
    pub(crate) fn of_proven(address: &str, network: &str) -> Self {
        Self { what: format!("after-link:{address}:{network}"), free: 5, hours: 24, shared: false }
    }

    /// Of a network, on all addresses together: many people may share it.
    pub(crate) fn network(network: &str) -> Self {
        Self { what: format!("network:{network}"), free: 100, hours: 1, shared: true }
    }

    /// Of somebody who is signed in and confirms a change with their password.
    pub(crate) fn confirming(account: Uuid) -> Self {
        Self { what: format!("confirming:{account}"), free: 5, hours: 24, shared: false }
    }

    /// The delay in milliseconds after so many.
    fn delay(&self, count: i64) -> i64 {
        match count - self.free {
            ..0 => 0,
            over @ 0..DOUBLED => FIRST << over,
            DOUBLED.. => LONGEST,
        }
    }

    /// In SQL: the delay is over after those that a row has. Of some that come at once one may have waited for the row, and
    /// be older than what it finds there.
    fn is_over(&self) -> String {
        let free = self.free;
        format!(
            "attempts.count < {free} OR excluded.last_at >= attempts.last_at + CASE \
             WHEN attempts.count >= {free} + {DOUBLED} THEN {LONGEST} \
             WHEN attempts.count >= {free} THEN {FIRST} << CAST(attempts.count - {free} AS INTEGER) ELSE 0 END"
        )
    }

    /// The window in SQL, as the hour that it begins with.
    fn window(&self, now: &str) -> String {
        format!("{now} / {} * {}", HOUR * self.hours, self.hours)
    }
}

/// An attempt that was counted.
#[derive(Debug)]
pub(crate) struct Attempt(Vec<Budget>);

impl Identity {
    /// Notes that a link which was mailed to the account was used in that network: whoever reads the mailbox signs in there
    /// within the hour, however many strangers try meanwhile. Their devices were forgotten with the password.
    pub(crate) async fn prove_network(
        &self,
        tx: &DatabaseTransaction,
        account: Uuid,
        network: &str,
        now: i64,
    ) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO @attempts (what, hour, count, since) SELECT 'proven:' || address || ':' || $2, $3 / {HOUR}, 1, $3 \
             FROM @accounts WHERE id = $1 ON CONFLICT (what, hour) DO UPDATE SET since = excluded.since"
        );
        let values = [account.to_string().into(), network.into(), now.into()];
        tx.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// Whether a link that was mailed to this address was used in that network within the hour.
    pub(crate) async fn is_proven_in(&self, address: &str, network: &str) -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM @attempts WHERE what = $1 AND since > {} - {HOUR}", self.db.now());
        let what = format!("proven:{address}:{network}");
        Ok(self.db.connection.query_one(self.db.statement(&sql, [what.into()])).await?.is_some())
    }

    /// Counts an attempt in each of these budgets, before its password is compared. [`Error::TooManyAttempts`]: it is not
    /// to be compared, and is counted in none.
    pub(crate) async fn attempt(&self, budgets: Vec<Budget>) -> Result<Attempt, Error> {
        let tx = self.begin().await?;
        for budget in &budgets {
            if !self.counted(&tx, budget).await? {
                let wait = self.wait(&tx, budget).await?;
                return Err(Error::TooManyAttempts(wait));
            }
        }
        tx.commit().await?;
        Ok(Attempt(budgets))
    }

    /// False: the delay after those before is not over.
    async fn counted(&self, tx: &DatabaseTransaction, budget: &Budget) -> Result<bool, Error> {
        let now = self.db.now();
        let sql = format!(
            "INSERT INTO @attempts (what, hour, count, since, last_at) VALUES ($1, {window}, 1, {now}, {now}) \
             ON CONFLICT (what, hour) DO UPDATE SET count = attempts.count + 1, last_at = excluded.last_at \
             WHERE {over}",
            window = budget.window(now),
            over = budget.is_over(),
        );
        let done = tx.execute(self.db.statement(&sql, [budget.what.as_str().into()])).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn wait(&self, tx: &DatabaseTransaction, budget: &Budget) -> Result<Duration, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT count, last_at, {now} FROM @attempts WHERE what = $1 AND hour = {}",
            budget.window(now)
        );
        let row = tx.query_one(self.db.statement(&sql, [budget.what.as_str().into()])).await?;
        let Some(row) = row else { return Ok(Duration::from_millis(1)) };
        let (count, last, now): (i64, i64, i64) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let left = (last + budget.delay(count) - now).clamp(1, LONGEST);
        Ok(Duration::from_millis(u64::try_from(left).unwrap_or(1)))
    }

    /// The password was right: what was counted of whom it belongs to is forgotten, and the network gets this one back.
    pub(crate) async fn was_right(&self, attempt: &Attempt) -> Result<(), Error> {
        for budget in &attempt.0 {
            if budget.shared {
                self.give_back(budget).await?;
            } else {
                let sql = "DELETE FROM @attempts WHERE what = $1";
                let statement = self.db.statement(sql, [budget.what.as_str().into()]);
                self.db.connection.execute(statement).await?;
            }
        }
        Ok(())
    }

    /// The password was not compared.
    pub(crate) async fn was_not_compared(&self, attempt: &Attempt) -> Result<(), Error> {
        for budget in &attempt.0 {
            self.give_back(budget).await?;
        }
        Ok(())
    }

    async fn give_back(&self, budget: &Budget) -> Result<(), Error> {
        let sql = format!(
            "UPDATE @attempts SET count = count - 1 WHERE what = $1 AND hour = {} AND count > 0",
            budget.window(self.db.now())
        );
        self.db.connection.execute(self.db.statement(&sql, [budget.what.as_str().into()])).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_from_a_second_to_a_quarter_of_an_hour() {
        let budget = Budget::typed("x");
        let delays: Vec<_> = (0..17).map(|count| budget.delay(count) / 1_000).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(budget.delay(i64::MAX - 1), LONGEST);
        assert_eq!(Budget::network("x").delay(99), 0);
    }
}
