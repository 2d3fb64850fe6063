//! The appender's PostgreSQL side: one connection, one call of `log.append` per batch, or of `log.append_one` for a
//! batch of one event.

use std::borrow::Cow;
use std::collections::HashSet;
use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use soonshop_event_log::database::connection_name;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::time::timeout;

use crate::appender::{Backend, Batch, BatchError, Refused, Written};
use crate::purge::{Purge, Purged};

pub(crate) struct Postgres {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

/// Settings of the appender's own connection. Plans of `log.append` are made once, for large tables: nested loops
/// over indexes, even if the statistics are from an empty table. JIT would compile on every call.
const SETTINGS: &[(&str, &str)] = &[
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("synchronous_commit", "on"),
    ("default_transaction_isolation", "read\\ committed"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "15s"),
];

/// Time limits for a server that does not answer: longer than a working one takes.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);

fn late() -> BatchError {
    BatchError::Unavailable("PostgreSQL does not answer".to_owned())
}

impl Postgres {
    pub(crate) fn new(url: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?;
        let name = format!("{}-appender", connection_name(&options));
        let options = options.application_name(&name);
        Ok(Self { options: options.options(SETTINGS.iter().copied()), connection: None })
    }

    async fn connect(&mut self) -> Result<PgConnection, BatchError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        // A failure to connect says nothing about the data.
        let connected = timeout(CONNECT, self.options.connect()).await.map_err(|_| late())?;
        connected.map_err(|error| BatchError::Unavailable(error.to_string()))
    }

    /// The one row that a call returns, or none; the inner error is what the server answered.
    async fn answer(
        &mut self,
        query: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<Result<Option<PgRow>, sqlx::Error>, BatchError> {
        let mut connection = self.connect().await?;
        let row = timeout(ANSWER, query.fetch_optional(&mut connection)).await.map_err(|_| late())?;
        // A connection that failed for any reason but the data is not used again.
        let failed = row.as_ref().err().map(classify);
        if matches!(failed, None | Some(BatchError::Data(_) | BatchError::ClaimKeysChanged)) {
            self.connection = Some(connection);
        }
        Ok(row)
    }

    /// The one row that a call returns.
    async fn call(&mut self, query: Query<'_, sqlx::Postgres, PgArguments>) -> Result<PgRow, BatchError> {
        let row = self.answer(query).await?.map_err(|error| classify(&error))?;
        row.ok_or_else(|| BatchError::Data("a function of the log returned no row".to_owned()))
    }
}

impl Postgres {
    /// The position before a batch of one event; `None`: the batch is not of this kind, or is not as it was expected,
    /// and nothing was written.
    async fn append_one(&mut self, batch: &Batch<'_>) -> Result<Option<i64>, BatchError> {
        let [request] = batch.requests.as_slice() else { return Ok(None) };
        let ([event], [(_, seen)]) = (request.events.as_slice(), batch.checks.as_slice()) else {
            return Ok(None);
        };
        let of_the_stream =
            event.aggregate_type == seen.aggregate_type && event.aggregate_id == seen.aggregate_id;
        if !of_the_stream || !request.claims.is_empty() || !request.frees.is_empty() {
            return Ok(None);
        }
        let query = sqlx::query(APPEND_ONE)
            .bind(request.command_id)
            .bind(request.fingerprint.as_slice())
            .bind(request.answer.kind.stored())
            .bind(request.answer.reference.as_deref())
            .bind(request.answer.version)
            .bind(request.answer.detail.as_deref())
            .bind(seen.aggregate_type)
            .bind(seen.aggregate_id.as_str())
            .bind(seen.sequence)
            .bind(seen.event_id)
            .bind(event.sequence)
            .bind(event.event_type.as_str())
            .bind(event.event_version.as_str())
            .bind(event.payload.as_str())
            .bind(event.metadata.as_str())
            .bind(event.event_id)
            .bind(event.occurred_at);
        match self.answer(query).await? {
            // A log that was restored from before the step that made the function: `log.append` does the same.
            Err(error) if code(&error).as_deref() == Some(UNDEFINED_FUNCTION) => Ok(None),
            Err(error) => Err(classify(&error)),
            Ok(row) => row.map(|row| column(&row, "base")).transpose(),
        }
    }
}

/// A column of a row that a function returned.
fn column<'r, T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>>(
    row: &'r PgRow,
    name: &str,
) -> Result<T, BatchError> {
    row.try_get(name).map_err(|error| BatchError::Data(error.to_string()))
}

const PURGE: &str = "SELECT looked, deleted FROM log.purge($1, $2, $3, $4)";

const APPEND_ONE: &str = "SELECT base FROM log.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
     $15, $16, $17)";

const APPEND: &str = "SELECT base, refused FROM log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
     $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)";

fn number(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[async_trait]
impl Backend for Postgres {
    async fn append(&mut self, batch: &Batch<'_>) -> Result<Written, BatchError> {
        if let Some(base) = self.append_one(batch).await? {
            return Ok(Written { base, refused: Vec::new(), behind: HashSet::new() });
        }
        let requests = &batch.requests;
        macro_rules! each {
            ($list:expr, $item:pat => $value:expr) => {
                $list.iter().map(|$item| $value).collect::<Vec<_>>()
            };
        }
        macro_rules! nested {
            ($field:ident, $item:pat => $value:expr) => {
                requests.iter().flat_map(|r| r.$field.iter()).map(|$item| $value).collect::<Vec<_>>()
            };
            ($field:ident) => {
                requests
                    .iter()
                    .enumerate()
                    .flat_map(|(i, r)| std::iter::repeat_n(number(i + 1), r.$field.len()))
                    .collect::<Vec<i32>>()
            };
        }
        let query = sqlx::query(APPEND)
            .bind(each!(requests, r => r.command_id))
            .bind(each!(requests, r => r.fingerprint.clone()))
            .bind(each!(requests, r => r.record))
            .bind(each!(requests, r => r.answer.kind.stored()))
            .bind(each!(requests, r => r.answer.reference.clone()))
            .bind(each!(requests, r => r.answer.version))
            .bind(each!(requests, r => r.answer.detail.clone()))
            .bind(each!(requests, r => number(r.events.len())))
            .bind(each!(batch.stands_on, (request, _) => number(*request)))
            .bind(each!(batch.stands_on, (_, prior) => number(*prior)))
            .bind(each!(batch.checks, (request, _) => number(*request)))
            .bind(each!(batch.checks, (_, s) => s.aggregate_type))
            .bind(each!(batch.checks, (_, s) => s.aggregate_id.as_str()))
            .bind(each!(batch.checks, (_, s) => s.sequence))
            .bind(each!(batch.checks, (_, s) => s.event_id))
            .bind(nested!(claims))
            .bind(nested!(claims, c => c.scope))
            .bind(nested!(claims, c => c.key_id))
            .bind(nested!(claims, c => c.value.clone()))
            .bind(nested!(claims, c => c.form))
            .bind(nested!(claims, c => c.owner.as_str()))
            .bind(nested!(frees))
            .bind(nested!(frees, (scope, _) => *scope))
            .bind(nested!(frees, (_, owner) => owner.as_str()))
            .bind(&batch.claim_keys)
            .bind(nested!(events))
            .bind(nested!(events, e => e.aggregate_type))
            .bind(nested!(events, e => e.aggregate_id.as_str()))
            .bind(nested!(events, e => e.sequence))
            .bind(nested!(events, e => e.event_type.as_str()))
            .bind(nested!(events, e => e.event_version.as_str()))
            .bind(nested!(events, e => e.payload.as_str()))
            .bind(nested!(events, e => e.metadata.as_str()))
            .bind(nested!(events, e => e.event_id))
            .bind(nested!(events, e => e.occurred_at));
        let row = self.call(query).await?;
        let base = column(&row, "base")?;
        let refused: String = column(&row, "refused")?;
        let refused: Vec<Refused> =
            serde_json::from_str(&refused).map_err(|error| BatchError::Data(error.to_string()))?;
        let behind = batch.behind(&refused);
        Ok(Written { base, refused, behind })
    }

    async fn purge(&mut self, purge: &Purge) -> Result<Purged, BatchError> {
        let query = sqlx::query(PURGE)
            .bind(purge.owner.kind())
            .bind(i32::from(purge.days))
            .bind(purge.before)
            .bind(i64::from(purge.most));
        let row = self.call(query).await?;
        Ok(Purged { examined: column(&row, "looked")?, deleted: column(&row, "deleted")? })
    }
}

/// The code of PostgreSQL for a call of a function that is not there.
const UNDEFINED_FUNCTION: &str = "42883";

/// The code that the server gave an error.
fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

fn classify(error: &sqlx::Error) -> BatchError {
    if code(error).as_deref() == Some("SS001") {
        return BatchError::ClaimKeysChanged;
    }
    match error {
        sqlx::Error::Database(_) if !soonshop_event_log::sqlx_unavailable(error) => {
            BatchError::Data(error.to_string())
        }
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            BatchError::Data(error.to_string())
        }
        _ => BatchError::Unavailable(error.to_string()),
    }
}
