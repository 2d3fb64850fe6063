//! Checks of databases: their files, their tables, and their rights.

use std::path::{Path, PathBuf};

use sea_orm::{ConnectionTrait as _, DatabaseBackend, TransactionTrait as _};
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Database, DatabaseLocation, Db, Error};
use soonshop_projections::projector::TableOf;
use soonshop_service_kit::health::Fault;

/// The folder of a database that is files of SQLite.
pub(super) fn folder(location: &DatabaseLocation) -> Option<&Path> {
    match location {
        DatabaseLocation::Sqlite(folder) => Some(folder),
        DatabaseLocation::Postgres(_) => None,
    }
}

/// Refuses a file of SQLite that is gone: connections that are open still have it, and what they write goes with them.
/// For PostgreSQL these are the files of TLS, without which no new connection is made.
pub(super) fn file_is_there(database: &Database, namespace: &str) -> Result<(), Fault> {
    let Some(folder) = folder(database.location()) else {
        return Ok(database.location().check_tls().map_err(|error| error.to_string())?);
    };
    let file = sqlite_file(folder, namespace);
    match file.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault {
            object: Some(file.display().to_string()),
            ..String::from("the file is not there: it was moved or removed").into()
        }),
        Err(error) => Err(Fault { object: Some(file.display().to_string()), ..error.to_string().into() }),
    }
}

/// Reads the first row of a table of a read model, with all columns that its entity has.
pub(super) async fn readable(db: &Db, table: &dyn TableOf) -> Result<(), Fault> {
    let name = table.name();
    let read = db.try_read(&name, &table.columns(), &table.keys()).await;
    read.map_err(|error| of_model(of_table(db, &name, &error), &error))
}

/// The fault of a read model, whose tables can be made again: unless the database cannot be used just now.
pub(super) fn of_model(fault: Fault, error: &Error) -> Fault {
    let remedy = match error {
        Error::Unavailable(_) => None,
        Error::Damaged(_) => Some("damaged-model"),
        _ => Some("rebuild"),
    };
    Fault { remedy, ..fault }
}

/// Writes no row into the table. For that the database has to be writable, free, and to allow it.
pub(super) async fn writable(database: &Database, namespace: &str, table: &str) -> Result<(), Fault> {
    let db = database.namespace(namespace).map_err(|error| error.to_string())?;
    db.try_write(table).await.map_err(|error| of_table(&db, table, &error))
}

/// Takes the lock that every append takes, and gives it back. A program that keeps it stops all orders.
pub(super) async fn head_is_free(database: &Database) -> Result<(), Fault> {
    let db = database.namespace("log").map_err(|error| error.to_string())?;
    if db.backend() != DatabaseBackend::Postgres {
        return Ok(());
    }
    let locked = async {
        let tx = db.connection.begin().await?;
        tx.execute_unprepared("SET LOCAL lock_timeout = '1500ms'").await?;
        tx.execute_unprepared(&db.sql("SELECT 1 FROM @head FOR UPDATE")).await?;
        tx.rollback().await
    };
    locked.await.map_err(|error: sea_orm::DbErr| of_table(&db, "head", &error))
}

/// Whether the database is a standby of PostgreSQL.
pub(super) async fn is_standby(database: &Database) -> Result<bool, Fault> {
    let db = database.namespace("operations").map_err(|error| error.to_string())?;
    if db.backend() != DatabaseBackend::Postgres {
        return Ok(false);
    }
    let asked = async {
        let row = db.connection.query_one(db.statement("SELECT pg_is_in_recovery()", [])).await?;
        row.map(|row| row.try_get_by_index(0)).transpose()
    };
    let found: Result<Option<bool>, sea_orm::DbErr> = asked.await;
    Ok(found.map_err(|error| error.to_string())?.unwrap_or(false))
}

fn of_table(db: &Db, table: &str, error: &dyn std::error::Error) -> Fault {
    Fault { object: Some(format!("{}.{table}", db.name())), ..crate::cause::chain(error).into() }
}

/// Refuses a file of SQLite that is gone, and one that the process may not write, or whose folder it may not: connections
/// that are open still write to a file that no new one could.
pub(super) fn files_can_be_used(database: &Database, namespace: &str) -> Result<(), Fault> {
    file_is_there(database, namespace)?;
    let Some(folder) = folder(database.location()) else { return Ok(()) };
    let file = sqlite_file(folder, namespace);
    let beside = |end: &str| PathBuf::from(format!("{}{end}", file.display()));
    let others = [beside("-wal"), beside("-shm")].into_iter().filter(|file| file.exists());
    for path in [folder.to_owned(), file.clone()].into_iter().chain(others) {
        may_write(&path).map_err(|error| {
            let reason = format!("it cannot be written: {error}");
            Fault { object: Some(path.display().to_string()), ..reason.into() }
        })?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn may_write(path: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?)
}

#[cfg(not(target_os = "linux"))]
fn may_write(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
