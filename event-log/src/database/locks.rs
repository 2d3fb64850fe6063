//! Locks that other programs keep: found by connections beside the pools, all of which may be waiting for them.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use futures::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Database, DatabaseLocation};
use crate::Error;
use crate::error::sqlite_code;

/// For so long a SQLite file has to stay locked to count: the shop's own writes are shorter.
const KEPT: Duration = Duration::from_millis(400);

/// The tables for which a session of PostgreSQL has waited for longer than a second.
const WAITED_FOR: &str = "SELECT DISTINCT n.nspname || '.' || c.relname AS name \
    FROM pg_locks w JOIN pg_locks l ON l.pid = w.pid JOIN pg_class c ON c.oid = l.relation \
    JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_activity a ON a.pid = w.pid \
    WHERE NOT w.granted AND (l.locktype = 'tuple' OR NOT l.granted) AND a.datname = current_database() \
    AND coalesce(a.query_start < clock_timestamp() - interval '1 second', true) ORDER BY name";

impl Database {
    /// The files (SQLite) or the tables (PostgreSQL) that another program keeps locked, by their names.
    pub async fn kept_locks(&self) -> Result<Vec<String>, Error> {
        match self.location() {
            DatabaseLocation::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?;
                let mut connection = PgConnection::connect_with(&options).await?;
                let tables = sqlx::query_scalar(WAITED_FOR).fetch_all(&mut connection).await;
                connection.close().await?;
                Ok(tables?)
            }
            DatabaseLocation::Sqlite(folder) => {
                let unread = |error: std::io::Error| Error::Unavailable(error.to_string());
                let entries = std::fs::read_dir(folder).map_err(unread)?.map(|entry| Ok(entry?.path()));
                let files: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(unread)?;
                let files =
                    files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "sqlite"));
                let asked = files.map(|file| async { is_kept(&file).await.then_some(file) });
                let kept: Vec<PathBuf> = join_all(asked).await.into_iter().flatten().collect();
                Ok(kept.into_iter().map(|file| file.display().to_string()).collect())
            }
        }
    }
}

/// Whether another connection keeps the file from being written for longer than the shop's own do.
async fn is_kept(file: &std::path::Path) -> bool {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(false).busy_timeout(KEPT);
    let tried = async {
        let mut connection = options.connect().await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        sqlx::query("ROLLBACK").execute(&mut connection).await?;
        connection.close().await
    };
    // Whatever else is wrong with the file is another fault.
    let refused: Result<(), sqlx::Error> = tried.await;
    // Busy, locked.
    refused.err().as_ref().and_then(sqlite_code).is_some_and(|code| matches!(code, 5 | 6))
}
