//! `sandbox:`, a provider that moves no money and does what the amount says ([`script`](crate::script)). It keeps what it
//! did in a table of its own, as a provider would: a process that is killed loses nothing.

use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, TransactionTrait as _};
use soonshop_domain::payment::{Kind, Outcome};
use soonshop_domain::{Currency, Money};
use soonshop_event_log::Db;
use uuid::Uuid;

use crate::port::{Order, Provider, Unanswered};
use crate::script::{State, step};

/// The provider.
#[derive(Clone)]
pub struct Sandbox {
    /// The namespace `payments`.
    db: Db,
}

/// A transaction as the sandbox knows it.
struct Known {
    state: State,
    amount: Money,
    code: Option<String>,
    reference: String,
    kind: String,
    authorization: String,
}

const KNOWN: &str = "state, amount, currency, code, reference, kind, authorization_id";

impl Known {
    fn read(row: &QueryResult) -> Result<Self, Unanswered> {
        let (state, currency): (String, String) =
            (row.try_get_by_index(0).map_err(lost)?, row.try_get_by_index(2).map_err(lost)?);
        let state = State::from_str(&state).map_err(|_| Unanswered("unreadable"))?;
        let currency = Currency::from_str(&currency).map_err(|_| Unanswered("unreadable"))?;
        Ok(Self {
            state,
            amount: Money::new(row.try_get_by_index(1).map_err(lost)?, currency),
            code: row.try_get_by_index(3).map_err(lost)?,
            reference: row.try_get_by_index(4).map_err(lost)?,
            kind: row.try_get_by_index(5).map_err(lost)?,
            authorization: row.try_get_by_index(6).map_err(lost)?,
        })
    }

    /// Whether the same was asked for.
    fn is_of(&self, order: &Order) -> bool {
        self.amount == order.amount
            && self.kind == order.kind.as_ref()
            && self.authorization == order.authorization.to_string()
    }

    fn outcome(self) -> Outcome {
        let code = self.code.unwrap_or_else(|| "other".to_owned());
        match self.state {
            State::Succeeded => {
                Outcome::Succeeded { amount: self.amount, reference: Some(self.reference), until: None }
            }
            State::Failed => Outcome::Failed { code },
            State::Declined => Outcome::Declined { code },
            State::Action => Outcome::ActionRequired { reference: Some(self.reference) },
            State::Pending => Outcome::Unknown,
        }
    }
}

fn lost(_: DbErr) -> Unanswered {
    Unanswered("database")
}

impl Sandbox {
    /// `db` is the namespace `payments`. Nothing is connected yet.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    async fn known(&self, on: &impl ConnectionTrait, transaction: Uuid) -> Result<Option<Known>, Unanswered> {
        let sql = format!("SELECT {KNOWN} FROM @sandbox WHERE transaction_id = $1");
        let row = on.query_one(self.db.statement(&sql, [transaction.to_string().into()])).await;
        row.map_err(lost)?.as_ref().map(Known::read).transpose()
    }

    /// Locks what is done under an authorization. On SQLite the first statement of a transaction that changes something
    /// has to write.
    async fn lock(&self, authorization: Uuid) -> Result<DatabaseTransaction, Unanswered> {
        let tx = self.db.connection.begin().await.map_err(lost)?;
        let sql = "INSERT INTO @sandbox_locks (authorization_id) VALUES ($1) \
                   ON CONFLICT (authorization_id) DO UPDATE SET authorization_id = excluded.authorization_id";
        tx.execute(self.db.statement(sql, [authorization.to_string().into()])).await.map_err(lost)?;
        Ok(tx)
    }

    /// The amount that was done in all under an authorization, of one kind.
    async fn sum(
        &self,
        on: &impl ConnectionTrait,
        authorization: Uuid,
        kind: Kind,
    ) -> Result<i64, Unanswered> {
        let sql = "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM @sandbox \
                   WHERE authorization_id = $1 AND kind = $2 AND state = 'succeeded'";
        let values = [authorization.to_string().into(), kind.as_ref().into()];
        let row = on.query_one(self.db.statement(sql, values)).await.map_err(lost)?;
        row.map_or(Ok(0), |row| row.try_get_by_index(0).map_err(lost))
    }

    /// What the authorization still has for something of this kind.
    async fn left(&self, on: &impl ConnectionTrait, order: &Order) -> Result<i64, Unanswered> {
        let of = |kind| self.sum(on, order.authorization, kind);
        Ok(match order.kind {
            Kind::Authorization => i64::MAX,
            Kind::Charge | Kind::Release => {
                of(Kind::Authorization).await? - of(Kind::Charge).await? - of(Kind::Release).await?
            }
            Kind::Refund => of(Kind::Charge).await? - of(Kind::Refund).await?,
        })
    }

    /// What was asked to be authorized: it says what happens.
    async fn authorized(&self, on: &impl ConnectionTrait, order: &Order) -> Result<i64, Unanswered> {
        if order.kind == Kind::Authorization {
            return Ok(order.amount.amount);
        }
        let known = self.known(on, order.authorization).await?;
        Ok(known.map_or(0, |known| known.amount.amount))
    }

    async fn write(
        &self,
        on: &impl ConnectionTrait,
        order: &Order,
        (state, code): (State, Option<&str>),
    ) -> Result<(), Unanswered> {
        let sql = format!(
            "INSERT INTO @sandbox (transaction_id, authorization_id, kind, amount, currency, state, code, reference, \
             asked, made_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, {})",
            self.db.now()
        );
        let values = [
            order.transaction.to_string().into(),
            order.authorization.to_string().into(),
            order.kind.as_ref().into(),
            order.amount.amount.into(),
            order.amount.currency.as_str().into(),
            state.as_ref().into(),
            code.into(),
            format!("sb_{}", order.transaction.simple()).into(),
        ];
        on.execute(self.db.statement(&sql, values)).await.map_err(lost).map(drop)
    }

    async fn becomes(
        &self,
        on: &impl ConnectionTrait,
        transaction: Uuid,
        (state, code): (State, Option<&str>),
    ) -> Result<(), Unanswered> {
        let sql = "UPDATE @sandbox SET state = $2, code = $3 WHERE transaction_id = $1";
        let values = [transaction.to_string().into(), state.as_ref().into(), code.into()];
        on.execute(self.db.statement(sql, values)).await.map_err(lost).map(drop)
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn is_test(&self) -> bool {
        true
    }

    fn keeps_keys(&self) -> Duration {
        Duration::from_hours(24)
    }

    async fn ask(&self, order: &Order) -> Result<Outcome, Unanswered> {
        let tx = self.lock(order.authorization).await?;
        if let Some(known) = self.known(&tx, order.transaction).await? {
            tx.commit().await.map_err(lost)?;
            let another = Outcome::Failed { code: "key-used".to_owned() };
            return Ok(if known.is_of(order) { known.outcome() } else { another });
        }
        let step = step(self.authorized(&tx, order).await?, order.kind);
        let fits = order.amount.amount <= self.left(&tx, order).await?;
        let (state, code) = if fits { (step.state, step.code) } else { (State::Failed, Some("too-much")) };
        self.write(&tx, order, (state, code)).await?;
        let known = self.known(&tx, order.transaction).await?;
        tx.commit().await.map_err(lost)?;
        if step.lost && fits {
            return Err(Unanswered("lost-as-scripted"));
        }
        known.map(Known::outcome).ok_or(Unanswered("not-stored"))
    }

    async fn find(&self, order: &Order) -> Result<Option<Outcome>, Unanswered> {
        let tx = self.lock(order.authorization).await?;
        let sql = "UPDATE @sandbox SET asked = asked + 1 WHERE transaction_id = $1";
        let id = order.transaction.to_string();
        tx.execute(self.db.statement(sql, [id.as_str().into()])).await.map_err(lost)?;
        let sql = "SELECT asked FROM @sandbox WHERE transaction_id = $1";
        let row = tx.query_one(self.db.statement(sql, [id.into()])).await.map_err(lost)?;
        let Some(row) = row else {
            tx.commit().await.map_err(lost)?;
            return Ok(None);
        };
        let asked: i64 = row.try_get_by_index(0).map_err(lost)?;
        let step = step(self.authorized(&tx, order).await?, order.kind);
        let known = self.known(&tx, order.transaction).await?;
        let waits = known.as_ref().is_some_and(|known| matches!(known.state, State::Action | State::Pending));
        if waits && asked >= step.after {
            self.becomes(&tx, order.transaction, (step.then, step.code)).await?;
        }
        let known = self.known(&tx, order.transaction).await?;
        tx.commit().await.map_err(lost)?;
        Ok(known.map(Known::outcome))
    }

    async fn cancel(&self, order: &Order) -> Result<Outcome, Unanswered> {
        let tx = self.lock(order.authorization).await?;
        let cancelled = (State::Failed, Some("cancelled"));
        match self.known(&tx, order.transaction).await? {
            None => self.write(&tx, order, cancelled).await?,
            Some(Known { state: State::Succeeded | State::Failed, .. }) => {}
            Some(_) => self.becomes(&tx, order.transaction, cancelled).await?,
        }
        let known = self.known(&tx, order.transaction).await?;
        tx.commit().await.map_err(lost)?;
        known.map(Known::outcome).ok_or(Unanswered("not-stored"))
    }
}
