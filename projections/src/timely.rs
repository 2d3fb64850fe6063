//! A query of SQLite that ends in time. Whoever stops waiting for a query of SQLite leaves it running, on one of the few
//! connections of its file; here the database itself gives up, at the end of its time or when nobody waits any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sea_query::Values;
use sea_orm::{DbErr, QueryResult, RuntimeErr, Statement, Value};
use soonshop_event_log::Db;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Sqlite};

/// The steps of the database between two looks at the time: a fraction of a millisecond.
const STEPS: i32 = 10_000;

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error))
}

/// A connection that runs a query.
struct Running {
    /// `None`: it was given back.
    connection: Option<PoolConnection<Sqlite>>,
    /// Nobody waits for the query any more.
    given_up: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It may still run: another user would wait for it, or be stopped in its place.
            self.given_up.store(true, Ordering::Relaxed);
            drop(connection.detach());
        }
    }
}

/// The rows of a query on SQLite; the error is the database's own (9, interrupted) when the time has passed.
pub(crate) async fn query_all(
    db: &Db,
    statement: Statement,
    limit: Duration,
) -> Result<Vec<QueryResult>, DbErr> {
    let arguments = bound(statement.values)?;
    let connection = db.connection.get_sqlite_connection_pool().acquire().await.map_err(failed)?;
    let given_up = Arc::new(AtomicBool::new(false));
    let mut running = Running { connection: Some(connection), given_up: Arc::clone(&given_up) };
    let connection = running.connection.as_mut().expect("it is given back only below");
    let until = Instant::now() + limit;
    let goes_on = move || !given_up.load(Ordering::Relaxed) && Instant::now() < until;
    connection.lock_handle().await.map_err(failed)?.set_progress_handler(STEPS, goes_on);
    let rows = sqlx::query_with(&statement.sql, arguments).fetch_all(&mut **connection).await;
    connection.lock_handle().await.map_err(failed)?.remove_progress_handler();
    drop(running.connection.take());
    Ok(rows.map_err(failed)?.into_iter().map(QueryResult::from).collect())
}

/// The values of a statement as SQLite takes them.
fn bound(values: Option<Values>) -> Result<SqliteArguments<'static>, DbErr> {
    let mut arguments = SqliteArguments::default();
    for value in values.map(|Values(values)| values).unwrap_or_default() {
        let added = match value {
            Value::String(text) => arguments.add(text.map(|text| *text)),
            Value::BigInt(number) => arguments.add(number),
            Value::Int(number) => arguments.add(number),
            Value::Bool(truth) => arguments.add(truth),
            Value::Double(number) => arguments.add(number),
            other => return Err(DbErr::Type(format!("no query of a read model takes {other:?}"))),
        };
        added.map_err(|error| DbErr::Type(error.to_string()))?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use soonshop_event_log::{Database, DatabaseLocation};

    use super::*;

    /// Counts for ever.
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    fn db(folder: &std::path::Path) -> Db {
        Database::new(DatabaseLocation::Sqlite(folder.to_owned())).namespace("rows").unwrap()
    }

    async fn answered(db: &Db) -> i64 {
        let statement = db.statement("SELECT $1 + 1", [41_i64.into()]);
        let rows = query_all(db, statement, Duration::from_secs(60)).await.unwrap();
        rows[0].try_get_by_index(0).unwrap()
    }

    #[tokio::test]
    async fn a_query_is_stopped_by_the_database_at_the_end_of_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let db = db(folder.path());
        for _ in 0..5 {
            let endless = db.statement(ENDLESS, [1_i64.into()]);
            let error = query_all(&db, endless, Duration::from_millis(20)).await.unwrap_err();
            let DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::Database(error))) = error else {
                panic!("{error}")
            };
            assert_eq!(error.code().as_deref(), Some("9"));
        }
        assert_eq!(answered(&db).await, 42, "the connection goes on, without a limit of its own");
    }

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_holds_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let db = db(folder.path());
        // More than there are connections.
        for _ in 0..12 {
            let endless = db.statement(ENDLESS, [1_i64.into()]);
            let asking = query_all(&db, endless, Duration::from_secs(3_600));
            assert!(tokio::time::timeout(Duration::from_millis(20), asking).await.is_err());
        }
        assert_eq!(answered(&db).await, 42);
    }

    #[test]
    fn a_value_that_cannot_be_given_is_an_error() {
        let statement = Statement::from_sql_and_values(
            sea_orm::DatabaseBackend::Sqlite,
            "SELECT $1",
            [Value::Char(Some('x'))],
        );
        assert!(bound(statement.values).is_err());
    }
}
