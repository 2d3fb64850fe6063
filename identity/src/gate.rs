//! Failed sign-ins over all accounts: where there are many within an hour, it is a fact of the day, once in that hour.

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction};
use soonshop_domain::identity::gate::{Event, stream};
use uuid::Uuid;

use crate::facts::Fact;
use crate::stored::{HOUR, moment};
use crate::{Cause, Error, Identity};

/// How many failures within an hour are ordinary.
const ORDINARY: i64 = 1_000;

/// The stream of the day of that moment.
fn today(at: i64) -> Result<Uuid, Error> {
    let day: NaiveDate = moment(at)?.date_naive();
    Ok(stream(day))
}

impl Identity {
    /// Counts a failure over all accounts.
    pub(crate) async fn count_over_all(&self) -> Result<(), Error> {
        let tx = self.begin().await?;
        let (count, since) = self.count(&tx, "all").await?;
        if count > ORDINARY {
            self.report_many(&tx, count, since).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The fact of this hour, unless there is one.
    async fn report_many(&self, tx: &DatabaseTransaction, count: i64, since: i64) -> Result<(), Error> {
        let now = self.now(tx).await?;
        let hour = now.div_euclid(HOUR);
        let sql = "INSERT INTO @attempts (what, hour, count, since, last_at) VALUES ('gate', $1, 1, $2, $2) \
                   ON CONFLICT DO NOTHING";
        if tx.execute(self.db.statement(sql, [hour.into(), now.into()])).await?.rows_affected() == 0 {
            return Ok(());
        }
        // Those of the day: they are the numbers of its facts.
        let sql = "SELECT (SELECT count(*) FROM @attempts WHERE what = 'gate' AND hour >= $2 AND hour <= $1), \
                   (SELECT count(*) FROM @attempts WHERE what LIKE 'account:%' AND hour = $1)";
        let values = [hour.into(), (hour.div_euclid(24) * 24).into()];
        let row = tx.query_one(self.db.statement(sql, values)).await?;
        let row = row.ok_or_else(|| Error::internal("failures were not counted"))?;
        let (number, accounts): (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        tracing::warn!(count, accounts, "many sign-ins failed within an hour");
        let cause = Cause::system();
        let fact =
            Fact { stream: today(now)?, number, at: now, command: "gate.count-failures", cause: &cause };
        self.record(tx, fact, Event::ManySignInsFailed { count, accounts, since: moment(since)? }).await
    }
}
