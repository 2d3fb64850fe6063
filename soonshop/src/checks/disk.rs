//! The check of disks: there is room where files are, and the log takes what is written.

use std::io::Write as _;
use std::path::Path;

use sea_orm::{ConnectionTrait as _, DatabaseBackend, TransactionTrait as _};
use soonshop_event_log::shown;
use soonshop_event_store::LastFailure;
use soonshop_service_kit::health::Fault;

use super::databases::folder;
use super::remedies::is_of_a_disk;
use crate::Shop;

/// Less room than this is none: files grow by more.
const LEAST_ROOM: u64 = 1024 * 1024;

/// How much a trial writes: more than is left free in what a database has already.
const TRIAL: usize = 64 * 1024;

/// `failed`: why the log was not written last. What a disk said then counts until a trial shows that it is over. Without
/// it, the trial is always done.
pub(super) async fn ask(shop: &Shop, failed: Option<&LastFailure>) -> Result<(), Fault> {
    room(shop)?;
    let seen = match failed.map(LastFailure::reason) {
        None => None,
        Some(Some(reason)) if is_of_a_disk(&reason) => Some(reason),
        Some(_) => return Ok(()),
    };
    match (trial(shop).await, seen) {
        (Ok(()), _) => {
            if let Some(failed) = failed {
                failed.is_over();
            }
            Ok(())
        }
        (Err(fault), _) if is_of_a_disk(&fault.reason) => Err(fault),
        (Err(fault), Some(reason)) => Err(Fault { reason, ..fault }),
        // Something else is wrong with the database: its own check reports it.
        (Err(_), None) => Ok(()),
    }
}

/// Whether there is room on the disks of files of this machine.
fn room(shop: &Shop) -> Result<(), Fault> {
    let search = shop.config.search.strip_prefix("tantivy://").map(Path::new);
    for folder in folders(shop).chain(search.filter(|folder| folder.exists())) {
        let object = || Some(folder.display().to_string());
        let left = left(folder).map_err(|error| Fault { object: object(), ..error.to_string().into() })?;
        if left < LEAST_ROOM {
            return Err(Fault { object: object(), ..format!("there is room for {left} bytes only").into() });
        }
    }
    Ok(())
}

/// The folders of databases that are files.
fn folders(shop: &Shop) -> impl Iterator<Item = &Path> {
    let databases = [&shop.store_database, &shop.read_database, &shop.keys_database, &shop.erasures_database];
    databases.into_iter().filter_map(|database| folder(database.location()))
}

#[cfg(target_os = "linux")]
fn left(folder: &Path) -> std::io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(not(target_os = "linux"))]
fn left(_folder: &Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}

/// Writes as much as a large event where the log is, and leaves nothing of it.
async fn trial(shop: &Shop) -> Result<(), Fault> {
    if let Some(folder) = folder(shop.store_database.location()) {
        let object = folder.display().to_string();
        let folder = folder.to_owned();
        let written = tokio::task::spawn_blocking(move || write_and_remove(&folder)).await;
        let written = written.map_err(|error| error.to_string())?;
        return written.map_err(|error| Fault { object: Some(object), ..error.to_string().into() });
    }
    let object = shown(&shop.config.store);
    let failed = |error: sea_orm::DbErr| Fault { object: Some(object.clone()), ..error.to_string().into() };
    let db = shop.store_database.namespace("log").map_err(|error| error.to_string())?;
    debug_assert_eq!(db.backend(), DatabaseBackend::Postgres);
    // A row of the log itself, numbered as every event is, and rolled back: positions stay without gaps.
    let tx = db.connection.begin().await.map_err(failed)?;
    let sql = format!(
        "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         SELECT 'trial', gen_random_uuid()::text, 1, 'Trial', '1', to_json(string_agg(md5(random()::text), '')), '{{}}' \
         FROM generate_series(1, {})",
        TRIAL / 32
    );
    let written = tx.execute_unprepared(&db.sql(&sql)).await;
    let undone = tx.rollback().await;
    written.map_err(failed)?;
    undone.map_err(failed)
}

fn write_and_remove(folder: &Path) -> std::io::Result<()> {
    let file = tempfile_in(folder);
    let write = || -> std::io::Result<()> {
        let mut open = std::fs::File::create(&file)?;
        open.write_all(&vec![0x5a; TRIAL])?;
        open.sync_all()
    };
    let written = write();
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

/// A name that no other check uses.
fn tempfile_in(folder: &Path) -> std::path::PathBuf {
    folder.join(format!("written-by-a-check-{}", soonshop_domain::ids::new().simple()))
}
