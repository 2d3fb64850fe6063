//! The source of answers: one generation of a read model, and its position.
//!
//! The registry's row is read once per request, and everything in the answer comes from that generation. Rows and
//! checkpoint come from one statement, and so from one snapshot, also on a read replica.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DbErr, QueryResult, RuntimeErr, TransactionTrait as _, Value,
};
use soonshop_domain::QueryError;
use soonshop_event_log::{Checkpoint, Db, Error, is_no_table};
use soonshop_search::Search;

use crate::{Generation, Registry, left_out, runner, texts, timely};

/// How long the search server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a query of read models may take.
pub const LONGEST_QUERY: Duration = Duration::from_secs(10);

/// The column with the checkpoint, and the column that marks a real row.
const CHECKPOINT: &str = "checkpoint_";
const HERE: &str = "here_";
/// The column that says whether events are parked.
const PARKED: &str = "parked_";

/// The error of a query that a read model's database did not answer. Missing tables mean that the shop was never
/// migrated, or that the generation was retired just now.
pub fn query_failed(error: DbErr) -> QueryError {
    if is_no_table(&error) { missing("its tables are not there") } else { Error::from(error).into() }
}

fn too_long() -> QueryError {
    let detail = "the search took too long and was given up: narrow it, by a time or a type";
    QueryError::unavailable("timed-out", detail, Duration::from_secs(1))
}

/// The database's error code, as PostgreSQL's five characters.
fn code(error: &DbErr) -> Option<String> {
    let (DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

pub(crate) fn missing(reason: &str) -> QueryError {
    let detail = format!("there is no such read model: {reason}; run `soonshop migrate`");
    QueryError::unavailable("read-model-missing", detail, Duration::from_secs(5))
}

/// One generation of a read model.
#[derive(Clone)]
pub struct Source {
    pub(crate) db: Db,
    pub(crate) operations: Db,
    /// The generation that answers.
    pub generation: Generation,
    pub(crate) ready: bool,
}

/// Rows of a snapshot, with its position.
pub type At<T> = (i64, T);

impl Source {
    /// The database of its rows.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The generation that readers use, or the one of a cursor while it is live.
    pub async fn of(
        registry: &Registry,
        projection: &str,
        of_cursor: Option<i32>,
    ) -> Result<Self, QueryError> {
        let sql = "SELECT g.generation, g.version, g.shape, g.state, CAST(a.generation AS INTEGER) FROM @active a \
                   JOIN @generations g ON g.projection = a.projection AND (g.generation = a.generation OR g.generation = $2) \
                   WHERE a.projection = $1";
        let operations = registry.operations();
        let statement = operations.statement(sql, [projection.into(), of_cursor.into()]);
        let rows = operations.connection.query_all(statement).await.map_err(query_failed)?;
        for row in rows {
            let read = || -> Result<(Generation, String, i32), DbErr> {
                let generation = Generation {
                    projection: projection.to_owned(),
                    number: row.try_get_by_index(0)?,
                    version: row.try_get_by_index(1)?,
                    shape: row.try_get_by_index(2)?,
                };
                Ok((generation, row.try_get_by_index(3)?, row.try_get_by_index(4)?))
            };
            let (generation, state, active) = read().map_err(query_failed)?;
            if generation.number != of_cursor.unwrap_or(active) {
                continue;
            }
            let lives = state == "ready" || generation.number == active && state == "building";
            if !lives && of_cursor.is_some() {
                break;
            }
            let shape = crate::all().iter().find(|p| p.name() == projection).map(|p| p.shape());
            if !lives || shape != Some(generation.shape) {
                return Err(missing("the one in use is not for this release"));
            }
            let db = generation.db(registry.database())?;
            return Ok(Self { db, operations: operations.clone(), generation, ready: state == "ready" });
        }
        Err(match of_cursor {
            Some(_) => QueryError::gone(
                "cursor-expired",
                "the read model of this cursor is gone: begin anew, without `after`",
            ),
            None => missing("it was never made"),
        })
    }
}

/// The error of a search server that did not answer.
fn search_failed(error: soonshop_search::Error) -> QueryError {
    if matches!(error, soonshop_search::Error::Cursor) {
        let detail = "it is not a cursor of this query: take it from the previous answer";
        return QueryError::parameter("after", detail);
    }
    tracing::warn!(%error, "the search did not answer");
    let detail = "search cannot be used just now; lists and look-ups can";
    QueryError::unavailable("search-unavailable", detail, Duration::from_secs(1))
}

/// Waits for an answer of the search server, with a time limit.
pub async fn search_in_time<T>(
    asking: impl Future<Output = Result<T, soonshop_search::Error>>,
) -> Result<T, QueryError> {
    let slow =
        |_| Err(soonshop_search::Error::Unreachable { backend: "search", reason: "it is slow".to_owned() });
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(slow).map_err(search_failed)
}

impl Source {
    /// The position of its rows, and whether events are parked.
    pub(crate) async fn checkpoint(&self) -> Result<(i64, bool), QueryError> {
        let sql = "SELECT position, EXISTS (SELECT 1 FROM @parked) FROM @checkpoints WHERE follower = $1";
        let statement = self.db.statement(sql, [runner::ROWS.into()]);
        let row = self.db.connection.query_one(statement).await.map_err(query_failed)?;
        let row = row.ok_or_else(|| missing("it has no checkpoint"))?;
        let read = || Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        read().map_err(query_failed)
    }

    /// The position of the search index, as the index says itself; 0 if there is none.
    pub async fn indexed(&self, search: &dyn Search) -> Result<i64, QueryError> {
        let written = search_in_time(search.checkpoint(&self.generation.namespace())).await?;
        let checkpoint = written.map(|text| text.parse::<Checkpoint>()).transpose()?;
        Ok(checkpoint.map_or(0, |checkpoint| checkpoint.position))
    }

    /// Why the wanted change will not come by itself: the row waits for a parked event; or, without a row, that event
    /// is parked.
    pub(crate) async fn parked(
        &self,
        expected: i64,
        group: Option<&str>,
    ) -> Result<Option<String>, QueryError> {
        let sql = "SELECT position, rows, cause FROM @parked WHERE position <= $1 ORDER BY position";
        let statement = self.db.statement(sql, [expected.into()]);
        let parked = self.db.connection.query_all(statement).await.map_err(query_failed)?;
        for row in parked {
            let read = || Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<String>(1)?));
            let (position, names) = read().map_err(query_failed)?;
            let names: Vec<String> = serde_json::from_str(&names).unwrap_or_default();
            // The rows have it: only the index left it out.
            if left_out::is_document(&names) {
                continue;
            }
            let waits = group.map_or(position == expected, |group| names.iter().any(|name| name == group));
            if waits {
                return Ok(Some(format!(
                    "the event at position {position} could not be projected, and is parked"
                )));
            }
        }
        Ok(None)
    }

    /// Whether a row waits for a parked event: it changes when that event is tried again, and no new event announces
    /// it.
    pub async fn waits(&self, row: &QueryResult, group: &str) -> Result<bool, QueryError> {
        let any: bool = row.try_get("", PARKED).map_err(query_failed)?;
        Ok(any && self.parked(i64::MAX, Some(group)).await?.is_some())
    }

    /// The rows of `sql`, sorted by these columns, and their checkpoint.
    pub async fn read(
        &self,
        sql: &str,
        values: Vec<Value>,
        order: &str,
    ) -> Result<At<Vec<QueryResult>>, QueryError> {
        let sql = format!(
            "SELECT * FROM (SELECT position AS {CHECKPOINT}, EXISTS (SELECT 1 FROM @parked) AS {PARKED} \
             FROM @checkpoints WHERE follower = '{}') c LEFT JOIN (SELECT 1 AS {HERE}, q.* FROM ({sql}) q) r ON 1 = 1 ORDER BY {order}",
            runner::ROWS
        );
        let rows = self.timely(&sql, values).await?;
        let first = rows.first().ok_or_else(|| missing("it has no checkpoint"))?;
        let position = first.try_get("", CHECKPOINT).map_err(query_failed)?;
        let here: Option<i32> = first.try_get("", HERE).map_err(query_failed)?;
        Ok((position, if here.is_some() { rows } else { Vec::new() }))
    }

    /// The position of its rows.
    pub async fn position(&self) -> Result<i64, QueryError> {
        Ok(self.checkpoint().await?.0)
    }

    /// Whether its rows are in SQLite.
    pub fn is_sqlite(&self) -> bool {
        self.db.backend() == DatabaseBackend::Sqlite
    }

    /// The rows of `sql` as they are now.
    pub async fn plain(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, QueryError> {
        self.timely(sql, values).await
    }

    /// A query of at most [`LONGEST_QUERY`]: then the server itself gives up, so that no client keeps it busy.
    async fn timely(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, QueryError> {
        let statement = self.db.statement(sql, values);
        let reading = async {
            if self.db.backend() != DatabaseBackend::Postgres {
                let rows = timely::query_all(&self.db, statement.clone(), LONGEST_QUERY).await;
                return rows.inspect_err(|error| self.db.keep_damage(&statement, error));
            }
            let tx = self.db.connection.begin().await?;
            let limit = format!("SET LOCAL statement_timeout = {}", LONGEST_QUERY.as_millis());
            tx.execute_unprepared(&limit).await?;
            let rows = tx.query_all(statement).await?;
            tx.commit().await?;
            Ok(rows)
        };
        let rows = tokio::time::timeout(LONGEST_QUERY + Duration::from_secs(1), reading).await;
        match rows {
            // PostgreSQL: cancelled; SQLite: interrupted.
            Ok(Err(error)) if matches!(code(&error).as_deref(), Some("57014" | "9")) => Err(too_long()),
            Ok(rows) => rows.map_err(query_failed),
            Err(_) => Err(too_long()),
        }
    }

    /// SQL that names the blocks whose rows have indexed texts, and whether the blocks contain that many texts.
    pub fn blocks_with(&self, texts: usize) -> String {
        texts::blocks_with(&self.db, texts)
    }

    /// Text in the order of its bytes, whatever the database's language.
    pub fn bytewise(&self) -> &'static str {
        match self.db.backend() {
            DatabaseBackend::Postgres => " COLLATE \"C\"",
            _ => "",
        }
    }
}
