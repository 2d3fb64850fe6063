//! Databases by URL: a PostgreSQL database with schemas, or a folder of SQLite files. SQL is written once, with `@` in
//! place of the schema.

mod damage;
mod failed_queries;
mod locks;
mod tls;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector,
    Statement, Value,
};
use soonshop_certificates::ServerTls;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::Instant;

use self::failed_queries::FailedQueries;
use crate::stored::READ_MODEL;
use crate::{Error, private_files, shown};

/// The location of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// `postgres://…`
    Postgres(String),
    /// `sqlite://FOLDER`: one file per namespace.
    Sqlite(PathBuf),
}

impl DatabaseLocation {
    /// Checks the URL; nothing is connected or created.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let address = |reason: &str| Error::Address { url: shown(url), reason: reason.to_owned() };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            tls::files(url).map_err(|reason| address(&reason))?;
            let options = PgConnectOptions::from_str(url).map_err(|error| address(&error.to_string()))?;
            let files = tls::of(url, &options).map_err(|reason| address(&reason))?;
            files.check().map_err(|error| address(&error.to_string()))?;
            Ok(Self::Postgres(url.to_owned()))
        } else if let Some(folder) = url.strip_prefix("sqlite://") {
            if folder.is_empty() || folder.contains('?') {
                return Err(address("it names a folder, such as sqlite://data"));
            }
            Ok(Self::Sqlite(PathBuf::from(folder)))
        } else {
            Err(address("it begins with postgres:// or sqlite://"))
        }
    }

    /// The files of TLS that the address names.
    pub fn tls(&self) -> Result<ServerTls, Error> {
        match self {
            Self::Postgres(url) => tls::files(url).map_err(Error::Unavailable),
            Self::Sqlite(_) => Ok(ServerTls::default()),
        }
    }

    /// Checks these files as they are now: what a connection says of them names none.
    pub fn check_tls(&self) -> Result<(), Error> {
        self.tls()?.read().map(drop).map_err(|error| Error::Unavailable(error.of_server()))
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

/// A database, which gives access to its namespaces. It connects when first used.
#[derive(Debug, Clone)]
pub struct Database {
    location: DatabaseLocation,
    /// The role that connections switch to, in PostgreSQL.
    role: Option<&'static str>,
    open: Arc<Mutex<HashMap<String, DatabaseConnection>>>,
    failed: FailedQueries,
}

/// How many connections a pool of PostgreSQL may open.
const CONNECTIONS: u32 = 12;

impl Database {
    pub fn new(location: DatabaseLocation) -> Self {
        Self { location, role: None, open: Arc::default(), failed: FailedQueries::default() }
    }

    /// The same, with a PostgreSQL role that has fewer rights than the login. SQLite has no roles.
    pub fn under(location: DatabaseLocation, role: &'static str) -> Self {
        Self { role: Some(role), ..Self::new(location) }
    }

    pub fn location(&self) -> &DatabaseLocation {
        &self.location
    }

    /// Opens a namespace: a schema, which must exist, or a file, which is created.
    pub fn namespace(&self, name: &str) -> Result<Db, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.location {
            DatabaseLocation::Postgres(url) => {
                let connection = if let Some(connection) = open.get("") {
                    connection.clone()
                } else {
                    let mut connection = postgres(url, self.role)?;
                    self.failed.watch(&mut connection, None);
                    open.insert(String::new(), connection.clone());
                    connection
                };
                let (prefix, database) = (format!("{name}.").into(), Arc::new(self.clone()));
                Ok(Db { connection, prefix, name: name.into(), database })
            }
            DatabaseLocation::Sqlite(folder) => {
                let connection = if let Some(connection) = open.get(name) {
                    connection.clone()
                } else {
                    let mut connection = sqlite(folder, name)?;
                    self.failed.watch(&mut connection, Some(name));
                    open.insert(name.to_owned(), connection.clone());
                    connection
                };
                let (prefix, database) = ("".into(), Arc::new(self.clone()));
                Ok(Db { connection, prefix, name: name.into(), database })
            }
        }
    }

    /// Closes a namespace, before its file is removed.
    pub async fn close(&self, name: &str) -> Result<(), Error> {
        let connection = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(connection) = connection {
            connection.close().await?;
        }
        Ok(())
    }
}

/// The name of a connection in `pg_stat_activity`: the `application_name` of the URL, else `soonshop`.
pub fn connection_name(options: &PgConnectOptions) -> &str {
    options.get_application_name().unwrap_or("soonshop")
}

/// Whether the session can write, or is on a standby, which never can.
async fn writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'off'";
    sqlx::query_scalar(sql).fetch_one(connection).await
}

/// When a session was opened last that could not write.
#[derive(Clone, Default)]
struct SeenReadOnly(Arc<Mutex<Option<Instant>>>);

impl SeenReadOnly {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Such a session may still be in the pool: none lives longer than this.
    fn lately(&self) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| seen.elapsed() < LONGEST_SESSION)
    }

    /// Whether a session of that age may be one of those.
    fn since(&self, age: Duration) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_some_and(|seen| seen.elapsed() <= age + OPENING)
    }
}

/// How long a session may take to be opened, before its age counts.
const OPENING: Duration = Duration::from_secs(1);

/// How long a connection of a pool lives.
const LONGEST_SESSION: Duration = Duration::from_mins(30);

/// Whether a connection lives too long, or was idle for longer than this: it is replaced when it is wanted again. The
/// pool's own task for this, which a time-out would start, may never end: it takes as many connections as are idle, and
/// sqlx 0.8 counts these after it puts them into its queue, so that for a moment there are 2^64 - 1. Then the task takes
/// a whole thread, and with it the timers of the process.
fn is_old(age: Duration, (idle_for, longest_idle): (Duration, Duration)) -> bool {
    age > LONGEST_SESSION || idle_for > longest_idle
}

fn postgres(url: &str, role: Option<&str>) -> Result<DatabaseConnection, Error> {
    let options = PgConnectOptions::from_str(url)?;
    let name = connection_name(&options).to_owned();
    let options = options.application_name(&name).options([
        ("jit", "off"),
        ("idle_in_transaction_session_timeout", "60000"),
        ("statement_timeout", "30000"),
    ]);
    let options = options.options(role.map(|role| ("role", role)));
    let seen_read_only = SeenReadOnly::default();
    let seen_before = seen_read_only.clone();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            let seen = seen_read_only.clone();
            Box::pin(async move {
                if !writes(connection).await? {
                    seen.note();
                }
                Ok(())
            })
        })
        // A connection that was idle for a while may be dead: it is tested first, and replaced. So is one that was
        // opened while the database was made read-only, which it stays for as long as it lives.
        .test_before_acquire(false)
        .before_acquire(move |connection, met| {
            let seen = seen_before.clone();
            Box::pin(async move {
                if is_old(met.age, (met.idle_for, Duration::from_mins(1))) {
                    return Ok(false);
                }
                if met.idle_for <= Duration::from_millis(500) && !seen.lately() {
                    return Ok(true);
                }
                writes(connection).await
            })
        })
        .connect_lazy_with(options);
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// How long to wait for a SQLite file that another connection writes; the shortest time is for work that can be done
/// later, the one in between for finding out whether it can be done.
const BUSY: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const WHILE: Duration = Duration::from_secs(1);

/// How every SQLite file is opened: durable, but for read models, whose last commits a crash of the machine may take
/// together with their checkpoints; readers beside one writer, deleted content overwritten. A connection keeps
/// up to 4 MiB of pages in memory: with less, a file that has outgrown it is read again and again, and a larger
/// transaction is written twice. A thread of a connection has the name of its file (of which Linux shows 15 bytes).
pub fn sqlite_options(file: &Path) -> SqliteConnectOptions {
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let durable =
        if name.starts_with(READ_MODEL) { SqliteSynchronous::Normal } else { SqliteSynchronous::Full };
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(durable)
        .busy_timeout(BUSY)
        .pragma("secure_delete", "on")
        .thread_name(move |_| format!("db-{name}"))
        .pragma("cache_size", "-4096")
}

/// The file of a namespace.
pub fn sqlite_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sqlite"))
}

fn sqlite(folder: &Path, name: &str) -> Result<DatabaseConnection, Error> {
    private_files::data_folder(folder).map_err(|error| {
        Error::Unavailable(format!("the folder {} cannot be made: {error}", folder.display()))
    })?;
    let file = sqlite_file(folder, name);
    private_files::narrow_database(&file);
    let (opened, acquired) = (file.clone(), file.clone());
    let seen_read_only = SeenReadOnly::default();
    let seen_before = seen_read_only.clone();
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // The first connection makes the file: it gets its mode before anything is written to it.
        .after_connect(move |_, _| {
            private_files::close_new_database(&opened);
            if !may_be_written(&opened) {
                seen_read_only.note();
            }
            Box::pin(std::future::ready(Ok(())))
        })
        // A connection that was opened while the file could not be written reads only, for as long as it lives: it is
        // replaced once the file can be written again.
        .before_acquire(move |_, met| {
            let stale = seen_before.since(met.age) && may_be_written(&acquired);
            Box::pin(std::future::ready(Ok(
                !stale && !is_old(met.age, (met.idle_for, Duration::from_secs(10)))
            )))
        })
        .connect_lazy_with(sqlite_options(&file));
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

/// Whether this process may write the file. On systems that do not tell, it may.
#[cfg(target_os = "linux")]
fn may_be_written(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn may_be_written(_file: &Path) -> bool {
    true
}

/// The places of so many values in SQL, from this number on: `$1, $2, $3`.
pub fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// The name of a column in SQL, also where it is a word of SQL's own (`authorization`).
pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// One namespace of a database.
#[derive(Debug, Clone)]
pub struct Db {
    pub connection: DatabaseConnection,
    prefix: Arc<str>,
    name: Arc<str>,
    database: Arc<Database>,
}

impl Db {
    pub fn backend(&self) -> DatabaseBackend {
        self.connection.get_database_backend()
    }

    /// Whether it is a file, which has no roles.
    pub fn is_sqlite(&self) -> bool {
        self.backend() == DatabaseBackend::Sqlite
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another namespace of the same database: the data of process managers and the seals are beside the log.
    pub fn beside(&self, name: &str) -> Result<Self, Error> {
        self.database.namespace(name)
    }

    /// The SQL with every `@` replaced by the namespace.
    pub fn sql(&self, sql: &str) -> String {
        sql.replace('@', &self.prefix)
    }

    /// A statement with its values as `$1`, `$2`, …
    pub fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.backend(), self.sql(sql), values)
    }

    /// Writes the write-ahead log of a SQLite file back into the file. Until then the write-ahead log still holds the
    /// old pages of deleted data. False: another connection blocked this, and is not waited for. (PostgreSQL does the
    /// same by itself, in time.)
    pub async fn write_back(&self) -> Result<bool, Error> {
        if self.backend() != DatabaseBackend::Sqlite {
            return Ok(true);
        }
        let mut connection = self.connection.get_sqlite_connection_pool().acquire().await?;
        let patience = |milliseconds: u128| format!("PRAGMA busy_timeout = {milliseconds}");
        sqlx::query(&patience(RETRY_PAUSE.as_millis())).execute(&mut *connection).await?;
        let done = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
        sqlx::query(&patience(BUSY.as_millis())).execute(&mut *connection).await?;
        let in_the_way: i64 = done?;
        Ok(in_the_way == 0)
    }

    /// Writes no row into the table, for which it has to be there, free, writable and allowed. A lock that another
    /// connection has is waited for briefly.
    pub async fn try_write(&self, table: &str) -> Result<(), Error> {
        self.try_out(&format!("INSERT INTO @{table} SELECT * FROM @{table} WHERE 1 = 0")).await
    }

    /// Reads these columns of the first row by its key, for which the table has to be there, whole, free and allowed. A
    /// lock that another connection has is waited for briefly.
    pub async fn try_read(&self, table: &str, columns: &[String], keys: &[String]) -> Result<(), Error> {
        let names = |all: &[String]| {
            all.iter().map(|name| format!("t.{}", quoted(name))).collect::<Vec<_>>().join(", ")
        };
        let (columns, keys) = (names(columns), names(keys));
        self.try_out(&format!("SELECT {columns} FROM @{table} AS t ORDER BY {keys} LIMIT 1")).await
    }

    async fn try_out(&self, sql: &str) -> Result<(), Error> {
        let sql = self.sql(sql);
        if self.backend() != DatabaseBackend::Sqlite {
            // Statements that are sent as one are one transaction.
            let patience = format!("SET LOCAL lock_timeout = {}", WHILE.as_millis());
            self.connection.execute_unprepared(&format!("{patience}; {sql}")).await?;
            return Ok(());
        }
        let mut connection = self.connection.get_sqlite_connection_pool().acquire().await?;
        let patience = |milliseconds: u128| format!("PRAGMA busy_timeout = {milliseconds}");
        sqlx::query(&patience(WHILE.as_millis())).execute(&mut *connection).await?;
        let done = sqlx::query(&sql).execute(&mut *connection).await;
        sqlx::query(&patience(BUSY.as_millis())).execute(&mut *connection).await?;
        done?;
        Ok(())
    }

    /// Milliseconds since 1970 by the database's clock, as SQL.
    pub fn now(&self) -> &'static str {
        match self.backend() {
            DatabaseBackend::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            _ => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_old_by_its_age_or_by_how_long_nobody_used_it() {
        let (moment, idle) = (Duration::from_millis(1), Duration::from_secs(10));
        assert!(!is_old(LONGEST_SESSION, (idle, idle)));
        assert!(is_old(LONGEST_SESSION + moment, (Duration::ZERO, idle)));
        assert!(is_old(Duration::ZERO, (idle + moment, idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_could_not_write_is_looked_for_while_it_may_be_in_the_pool() {
        let seen = SeenReadOnly::default();
        assert!(!seen.lately() && !seen.since(Duration::MAX / 2));
        seen.note();
        assert!(seen.lately() && seen.since(Duration::ZERO));
        tokio::time::advance(Duration::from_secs(5)).await;
        // One that was opened after it could write again.
        assert!(!seen.since(Duration::from_secs(3)));
        // It may have taken a second to be opened.
        assert!(seen.since(Duration::from_secs(4)));
        tokio::time::advance(LONGEST_SESSION).await;
        assert!(!seen.lately());
    }
}
