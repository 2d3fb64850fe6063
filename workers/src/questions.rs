//! What a provider of payments is asked about again, with growing pauses, until it is known.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, QueryResult};
use soonshop_event_log::{Db, Error};
use uuid::Uuid;

/// The first pause, unless it is set otherwise.
pub const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_hours(1);

/// The most questions of one turn: the log goes on between two turns.
pub(crate) const MOST: usize = 5;

/// The questions.
#[derive(Clone)]
pub struct Questions {
    /// The namespace `payments`.
    pub db: Db,
    /// The first pause: each is twice as long as the one before.
    pub first: Duration,
}

/// A transaction that nobody knows the end of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub transaction: Uuid,
    pub payment: Uuid,
    /// How often it was asked about.
    pub asked: i64,
    /// How often the provider had never heard of it.
    pub missing: i64,
    /// How long ago it was asked for, by the clock of the database.
    pub age: Duration,
}

const COLUMNS: &str = "transaction_id, payment, asked, missing";

fn read(row: &QueryResult) -> Result<Question, Error> {
    let (transaction, payment): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let age: i64 = row.try_get_by_index(4)?;
    Ok(Question {
        transaction: id(&transaction)?,
        payment: id(&payment)?,
        asked: row.try_get_by_index(2)?,
        missing: row.try_get_by_index(3)?,
        age: Duration::from_millis(u64::try_from(age).unwrap_or_default()),
    })
}

fn milliseconds(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

fn id(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::Database(format!("a question is about {text}, which is no id")))
}

impl Questions {
    /// A transaction that was asked for at this time, and is asked about until it is known.
    pub async fn begin(
        &self,
        transaction: Uuid,
        payment: Uuid,
        requested_at: Option<DateTime<Utc>>,
    ) -> Result<Question, Error> {
        let requested_at = requested_at.map_or(0, |at| at.timestamp_millis());
        self.insert(transaction, payment, requested_at, self.first).await?;
        let sql = format!(
            "SELECT {COLUMNS}, {} - requested_at FROM @questions WHERE transaction_id = $1",
            self.db.now()
        );
        let row = self.db.connection.query_one(self.db.statement(&sql, [transaction.to_string().into()]));
        let row = row.await?.ok_or_else(|| Error::Database("a question was not stored".to_owned()))?;
        read(&row)
    }

    /// Asks about a transaction from now on, if it is not asked about yet. It is never sent again.
    pub async fn ask(&self, transaction: Uuid, payment: Uuid) -> Result<(), Error> {
        self.insert(transaction, payment, 0, self.first).await
    }

    /// Looks at a transaction again after a pause that grows with the tries.
    pub async fn ask_after(&self, transaction: Uuid, payment: Uuid, tries: usize) -> Result<(), Error> {
        let pause = self.pause(i64::try_from(tries).unwrap_or(i64::MAX));
        self.insert(transaction, payment, 0, pause).await
    }

    async fn insert(
        &self,
        transaction: Uuid,
        payment: Uuid,
        requested_at: i64,
        pause: Duration,
    ) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO @questions (transaction_id, payment, requested_at, due_at) VALUES ($1, $2, $3, {} + $4) \
             ON CONFLICT (transaction_id) DO NOTHING",
            self.db.now()
        );
        let (transaction, payment) = (transaction.to_string(), payment.to_string());
        let values = [transaction.into(), payment.into(), requested_at.into(), milliseconds(pause).into()];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    fn pause(&self, tries: i64) -> Duration {
        let doubled = 2_u32.saturating_pow(u32::try_from(tries.clamp(0, 30)).unwrap_or(30));
        self.first.saturating_mul(doubled).min(LONGEST)
    }

    /// Those that it is time for.
    pub async fn due(&self) -> Result<Vec<Question>, Error> {
        let now = self.db.now();
        let sql = format!(
            "SELECT {COLUMNS}, {now} - requested_at FROM @questions WHERE due_at <= {now} ORDER BY due_at LIMIT {MOST}"
        );
        let rows = self.db.connection.query_all(self.db.statement(&sql, [])).await?;
        rows.iter().map(read).collect()
    }

    /// It was asked, and is asked again later. `missing`: the provider had never heard of it.
    pub async fn later(&self, question: &Question, missing: bool) -> Result<(), Error> {
        let sql = format!(
            "UPDATE @questions SET asked = asked + 1, missing = missing + $3, due_at = {} + $2 \
             WHERE transaction_id = $1",
            self.db.now()
        );
        let pause = milliseconds(self.pause(question.asked));
        let values = [question.transaction.to_string().into(), pause.into(), i64::from(missing).into()];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// It is known.
    pub async fn answered(&self, transaction: Uuid) -> Result<(), Error> {
        let sql = "DELETE FROM @questions WHERE transaction_id = $1";
        self.db.connection.execute(self.db.statement(sql, [transaction.to_string().into()])).await?;
        Ok(())
    }
}
