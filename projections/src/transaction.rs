//! A transaction that writes rows. On PostgreSQL rows can also be copied into it, which costs the server much less
//! than a statement with the rows as values.

use async_trait::async_trait;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::PgTransactionManager;
use sea_orm::sqlx::{self, PgConnection, Postgres, TransactionManager as _};
use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement, TransactionTrait as _,
};
use sea_query_binder::SqlxValues;
use soonshop_event_log::Db;
use tokio::sync::Mutex;

/// A write of rows.
pub(crate) enum Write {
    Statement(Statement),
    /// Rows of PostgreSQL's binary format, and the SQL that takes them.
    Copy(String, Vec<u8>),
}

/// Whether a commit waits until it is on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    AtOnce,
    /// With the next commit that waits. A server that crashes before that loses only the last transactions: their
    /// checkpoints are lost with their rows, and the same events are folded again.
    Soon,
}

/// Bytes of one message of a copy.
const MESSAGE: usize = 64 * 1_024;

/// A transaction on either database. It rolls back when dropped.
pub(crate) enum Transaction {
    Sqlite(DatabaseTransaction),
    Postgres(Mutex<HeldConnection>),
}

/// A connection in a transaction.
pub(crate) struct HeldConnection {
    connection: Option<PoolConnection<Postgres>>,
    /// It was dropped in the middle of something that the driver cannot undo.
    torn: bool,
}

impl HeldConnection {
    fn connection(&mut self) -> Result<&mut PgConnection, DbErr> {
        self.connection.as_deref_mut().ok_or_else(|| DbErr::Custom("the transaction is over".to_owned()))
    }

    async fn copy(&mut self, sql: &str, rows: &[u8]) -> Result<(), sqlx::Error> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::PoolClosed) };
        self.torn = true;
        let copied = async {
            let mut copy = connection.copy_in_raw(sql).await?;
            for message in rows.chunks(MESSAGE) {
                copy.send(message).await?;
            }
            copy.finish().await
        };
        let copied = copied.await.map(drop);
        // Not torn if the server refused the copy: it has said so, and accepts the next statement.
        self.torn = !matches!(copied, Ok(()) | Err(sqlx::Error::Database(_)));
        copied
    }
}

impl Drop for HeldConnection {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.torn {
            // The next user of the connection would be inside an open transaction or copy. The server rolls back when
            // the connection closes.
            drop(connection.detach());
        } else {
            PgTransactionManager::start_rollback(&mut connection);
        }
    }
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error))
}

fn query(statement: &Statement) -> sqlx::query::Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(&statement.sql, SqlxValues(values))
}

impl Transaction {
    pub(crate) async fn begin(db: &Db, durable: Durable) -> Result<Self, DbErr> {
        if db.backend() != DatabaseBackend::Postgres {
            return Ok(Self::Sqlite(db.connection.begin().await?));
        }
        let pool = db.connection.get_postgres_connection_pool();
        let connection = pool.acquire().await.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error)))?;
        Self::on(connection, durable).await
    }

    /// A second transaction at the same time, if the database allows it and a connection is free: waiting for one
    /// while holding another could deadlock.
    pub(crate) async fn beside(db: &Db) -> Result<Option<Self>, DbErr> {
        if db.backend() != DatabaseBackend::Postgres {
            return Ok(None);
        }
        match db.connection.get_postgres_connection_pool().try_acquire() {
            Some(connection) => Self::on(connection, Durable::AtOnce).await.map(Some),
            None => Ok(None),
        }
    }

    async fn on(connection: PoolConnection<Postgres>, durable: Durable) -> Result<Self, DbErr> {
        let mut held = HeldConnection { connection: Some(connection), torn: true };
        let begin = match durable {
            Durable::AtOnce => "BEGIN",
            Durable::Soon => "BEGIN; SET LOCAL synchronous_commit = off",
        };
        PgTransactionManager::begin(held.connection()?, Some(begin.into())).await.map_err(failed)?;
        held.torn = false;
        Ok(Self::Postgres(Mutex::new(held)))
    }

    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(held) => {
                PgTransactionManager::commit(held.into_inner().connection()?).await.map_err(failed)
            }
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(held) => {
                PgTransactionManager::rollback(held.into_inner().connection()?).await.map_err(failed)
            }
        }
    }

    pub(crate) async fn write(&self, write: Write) -> Result<(), DbErr> {
        match (self, write) {
            (_, Write::Statement(statement)) => self.execute(statement).await.map(drop),
            (Self::Postgres(held), Write::Copy(sql, rows)) => {
                held.lock().await.copy(&sql, &rows).await.map_err(failed)
            }
            (Self::Sqlite(_), Write::Copy(..)) => Err(DbErr::Custom("SQLite has no COPY".to_owned())),
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DatabaseBackend {
        match self {
            Self::Sqlite(_) => DatabaseBackend::Sqlite,
            Self::Postgres(_) => DatabaseBackend::Postgres,
        }
    }

    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Sqlite(tx) => tx.execute(statement).await,
            Self::Postgres(held) => {
                let mut held = held.lock().await;
                Ok(query(&statement).execute(held.connection()?).await.map_err(failed)?.into())
            }
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Sqlite(tx) => tx.execute_unprepared(sql).await,
            Self::Postgres(held) => {
                let mut held = held.lock().await;
                Ok(sqlx::Executor::execute(held.connection()?, sql).await.map_err(failed)?.into())
            }
        }
    }

    async fn query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Sqlite(tx) => tx.query_one(statement).await,
            Self::Postgres(held) => {
                let mut held = held.lock().await;
                let row = query(&statement).fetch_optional(held.connection()?).await.map_err(failed)?;
                Ok(row.map(Into::into))
            }
        }
    }

    async fn query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Sqlite(tx) => tx.query_all(statement).await,
            Self::Postgres(held) => {
                let mut held = held.lock().await;
                let rows = query(&statement).fetch_all(held.connection()?).await.map_err(failed)?;
                Ok(rows.into_iter().map(Into::into).collect())
            }
        }
    }
}
