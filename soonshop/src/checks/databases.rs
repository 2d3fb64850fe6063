//! Checks of databases: their files, their tables, their rights, their clock, and the room for them.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use soonshop_domain::clock;
use soonshop_event_log::database::sqlite_file;
use soonshop_event_log::{Database, DatabaseLocation, Db, is_no_table};
use soonshop_service_kit::health::Fault;

use crate::Shop;

/// The folder of a database that is files of SQLite.
fn folder(location: &DatabaseLocation) -> Option<&std::path::Path> {
    match location {
        DatabaseLocation::Sqlite(folder) => Some(folder),
        DatabaseLocation::Postgres(_) => None,
    }
}

/// Refuses a file of SQLite that is gone: connections that are open still have it, and what they write goes with them.
pub(super) fn file_is_there(database: &Database, namespace: &str) -> Result<(), Fault> {
    let Some(folder) = folder(database.location()) else { return Ok(()) };
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

/// Reads no row of the table, for which it has to be there and allowed.
pub(super) async fn readable(db: &Db, table: &str) -> Result<(), Fault> {
    let sql = format!("SELECT 1 FROM @{table} WHERE 1 = 0");
    let read = db.connection.query_one(db.statement(&sql, [])).await;
    match read {
        Ok(_) => Ok(()),
        Err(error) if is_no_table(&error) => {
            Err(Fault { remedy: Some("rebuild"), ..of_table(db, table, &error) })
        }
        Err(error) => Err(of_table(db, table, &error)),
    }
}

/// Writes no row into the table. For that the database has to be writable, free, and to allow it.
pub(super) async fn writable(database: &Database, namespace: &str, table: &str) -> Result<(), Fault> {
    let db = database.namespace(namespace).map_err(|error| error.to_string())?;
    db.try_write(table).await.map_err(|error| of_table(&db, table, &error))
}

fn of_table(db: &Db, table: &str, error: &dyn std::error::Error) -> Fault {
    Fault { object: Some(format!("{}.{table}", db.name())), ..crate::cause::chain(error).into() }
}

/// Less room than this is none: files grow by more.
const LEAST_ROOM: u64 = 1024 * 1024;

/// Whether there is room on the disks of files of this machine.
pub(super) fn room(shop: &Shop) -> Result<(), Fault> {
    let databases = [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database];
    let folders = databases.into_iter().filter_map(|database| folder(database.location()));
    let search = shop.config.search.strip_prefix("tantivy://").map(std::path::Path::new);
    for folder in folders.chain(search.filter(|folder| folder.exists())) {
        let object = || Some(folder.display().to_string());
        let left = left(folder).map_err(|error| Fault { object: object(), ..error.to_string().into() })?;
        if left < LEAST_ROOM {
            return Err(Fault { object: object(), ..format!("there is room for {left} bytes only").into() });
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn left(folder: &std::path::Path) -> std::io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(not(target_os = "linux"))]
fn left(_folder: &std::path::Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}

/// How far clocks may be apart.
const APART: Duration = Duration::from_secs(30);

/// Compares this machine's clock with the database's, and with the time of the last event.
pub(super) async fn clock(shop: &Shop) -> Result<(), Fault> {
    let log = shop.log().map_err(|error| format!("{error:#}"))?;
    let db = log.db();
    let before = clock::now().timestamp_millis();
    let sql = format!("SELECT {}", db.now());
    let row = db.connection.query_one(db.statement(&sql, [])).await.map_err(|error| error.to_string())?;
    let theirs: i64 = row
        .ok_or_else(|| String::from("the database does not say what time it is"))?
        .try_get_by_index(0)
        .map_err(|error| error.to_string())?;
    let head = log.head().await.map_err(|error| error.to_string())?.position;
    let last = log.read(head.max(1), 1).await.map_err(|error| error.to_string())?;
    let last = last.last().map(|event| event.recorded_at.timestamp_millis());
    let own = db.backend() == DatabaseBackend::Sqlite;
    compare(before, clock::now().timestamp_millis(), (!own).then_some(theirs), last).map_err(Fault::from)
}

/// `theirs` was read between `before` and `after`; all in milliseconds since 1970.
fn compare(before: i64, after: i64, theirs: Option<i64>, last: Option<i64>) -> Result<(), String> {
    let apart = i64::try_from(APART.as_millis()).unwrap_or(i64::MAX);
    if let Some(theirs) = theirs {
        let ahead = before - theirs;
        let behind = theirs - after;
        if ahead > apart || behind > apart {
            let (seconds, way) =
                if ahead > apart { (ahead / 1000, "ahead of") } else { (behind / 1000, "behind") };
            return Err(format!("it is {seconds} seconds {way} that of the database"));
        }
        // The time of the last event says no more: it stays ahead where the clock was ahead when it was recorded.
        return Ok(());
    }
    match last {
        Some(last) if last - after > apart => {
            let seconds = (last - after) / 1000;
            Err(format!(
                "it is {seconds} seconds before the time of the last event: it is behind, or was ahead when that event \
                 was recorded"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn a_clock_that_was_stepped_by_an_hour_is_noticed_in_either_direction() {
        let hour = 3_600_000;
        let now = 1_700_000_000_000;
        assert_eq!(compare(now, now + 5, Some(now + 2), Some(now - 1)), Ok(()));
        assert!(
            compare(now + hour, now + hour, Some(now), None).unwrap_err().contains("3600 seconds ahead of")
        );
        assert!(
            compare(now - hour, now - hour, Some(now), None).unwrap_err().contains("3600 seconds behind")
        );
        let back = compare(now - hour, now - hour, None, Some(now)).unwrap_err();
        assert!(back.contains("3600 seconds before the time of the last event"), "{back}");
        // The clock was an hour ahead once, and is right again: the database's own clock says so.
        assert_eq!(compare(now, now + 5, Some(now + 2), Some(now + hour)), Ok(()));
        // A slow database is no wrong clock.
        assert_eq!(compare(now, now + 60_000, Some(now + 45_000), None), Ok(()));
    }
}
