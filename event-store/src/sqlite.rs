//! The appender's SQLite side: one process owns the log; one connection, one transaction per batch, its rows as JSON.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::json;
use soonshop_event_log::database::{sqlite_file, sqlite_options};
use soonshop_event_log::sqlx_unavailable;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::appender::{Backend, Batch, BatchError, Refused, Why, Written, hex};
use crate::purge::{Purge, Purged, RecordOwner};

pub(crate) struct Sqlite {
    folder: PathBuf,
    /// Held while the process lives: the process with this lock owns the log.
    owner: Option<File>,
    connection: Option<SqliteConnection>,
}

impl Sqlite {
    pub(crate) fn new(folder: &Path) -> Self {
        // Taken at the start, not at the first append: a second process must not begin to serve. If the lock is
        // taken, the first append reports the owner.
        Self { folder: folder.to_owned(), owner: own(folder).ok(), connection: None }
    }

    async fn connect(&mut self) -> Result<SqliteConnection, BatchError> {
        if self.owner.is_none() {
            self.owner = Some(own(&self.folder)?);
        }
        sqlite_options(&sqlite_file(&self.folder, "log")).connect().await.map_err(|error| classify(&error))
    }
}

/// Takes the lock of a SQLite log.
pub(crate) fn own(folder: &Path) -> Result<File, BatchError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| BatchError::Unavailable(format!("{}: {error}", folder.display())))?;
    let path = folder.join("log.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| BatchError::Unavailable(format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(BatchError::Owned(format!(
            "the log in {} is served by another process: stop it, or send to it over HTTP",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(BatchError::Unavailable(error.to_string())),
    }
}

const KNOWN: &str = "SELECT r.key + 1, c.fingerprint, c.status, c.location, c.version, c.first_position, c.last_position, c.detail \
     FROM json_each($1) r CROSS JOIN commands c ON c.command_id = r.value";

const VERSIONS: &str = "SELECT s.value->>0, s.value->>1, s.value->>2, s.value->>3, s.value->>4, \
     (SELECT json_array(e.sequence, e.event_id) FROM events e WHERE e.aggregate_type = s.value->>1 \
        AND e.aggregate_id = s.value->>2 ORDER BY e.sequence DESC LIMIT 1) FROM json_each($1) s";

const CLAIMED: &str = "SELECT k.value->>0, k.value->>1, c.owner FROM json_each($1) k CROSS JOIN claims c \
     ON c.scope = k.value->>1 AND c.key_id = k.value->>2 AND c.value = k.value->>3 WHERE c.owner <> k.value->>5 OR k.value->>1 = 'import'";

const EVENTS: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
     event_id, occurred_at, position, recorded_at) SELECT e.value->>0, e.value->>1, e.value->>2, e.value->>3, e.value->>4, \
     e.value->>5, e.value->>6, e.value->>7, e.value->>8, $2 + e.key + 1, $3 FROM json_each($1) e ORDER BY e.key";

const COMMANDS: &str = "INSERT INTO commands (command_id, fingerprint, status, location, version, first_position, last_position, \
     detail, recorded_at) SELECT r.value->>0, r.value->>1, r.value->>2, r.value->>3, r.value->>4, r.value->>5, r.value->>6, \
     r.value->>7, $2 FROM json_each($1) r";

const FREE: &str = "DELETE FROM claims AS c WHERE EXISTS (SELECT 1 FROM json_each($1) f WHERE c.scope = f.value->>0 \
     AND c.owner = f.value->>1) AND NOT EXISTS (SELECT 1 FROM json_each($2) k WHERE c.scope = k.value->>1 \
     AND c.key_id = k.value->>2 AND c.value = k.value->>3)";

const CLAIM: &str = "INSERT INTO claims (scope, key_id, value, form, owner) SELECT k.value->>1, k.value->>2, k.value->>3, \
     k.value->>4, k.value->>5 FROM json_each($1) k WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.scope = k.value->>1 \
     AND c.key_id = k.value->>2 AND c.value = k.value->>3)";

/// The next records that are old enough, and whether each belongs to a process manager.
const NEXT: &str = "SELECT c.command_id, c.recorded_at, c.first_position IS NULL OR coalesce(e.metadata ->> 'channel' = 'process', 0) \
     FROM commands c LEFT JOIN events e ON e.position = c.first_position LEFT JOIN purged p ON p.kind = $1 \
     WHERE (c.recorded_at, c.command_id) > (coalesce(p.recorded_at, 0), coalesce(p.command_id, '')) \
     AND c.recorded_at < min(CAST(unixepoch('subsec') * 1000000 AS INTEGER) - $2 * 86400000000, coalesce($3, 9223372036854775807)) \
     ORDER BY c.recorded_at, c.command_id LIMIT $4";

const GONE: &str = "DELETE FROM commands WHERE command_id IN (SELECT value FROM json_each($1))";

const MARK: &str = "INSERT INTO purged (kind, recorded_at, command_id) VALUES ($1, $2, $3) \
     ON CONFLICT (kind) DO UPDATE SET recorded_at = excluded.recorded_at, command_id = excluded.command_id";

#[async_trait]
impl Backend for Sqlite {
    async fn append(&mut self, batch: &Batch<'_>) -> Result<Written, BatchError> {
        self.transaction(async |tx| write(tx, batch).await).await
    }

    async fn purge(&mut self, purge: &Purge) -> Result<Purged, BatchError> {
        self.transaction(async |tx| delete_old(tx, purge).await).await
    }
}

impl Sqlite {
    /// Runs it with the log's lock from the start: all or nothing.
    async fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, BatchError>,
    ) -> Result<T, BatchError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let done = transaction(&mut connection, work).await;
        if !matches!(done, Err(BatchError::Unavailable(_))) {
            self.connection = Some(connection);
        }
        done
    }
}

async fn transaction<T>(
    connection: &mut SqliteConnection,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, BatchError>,
) -> Result<T, BatchError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| classify(&error))?;
    match work(&mut tx).await {
        Ok(written) => {
            tx.commit().await.map_err(|error| classify(&error))?;
            Ok(written)
        }
        Err(error) => {
            tx.rollback().await.map_err(|error| classify(&error))?;
            Err(error)
        }
    }
}

async fn write(tx: &mut SqliteConnection, batch: &Batch<'_>) -> Result<Written, BatchError> {
    let head = sqlx::query("SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1")
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| classify(&error))?;
    let (base, before): (i64, i64) = match head {
        Some(row) => (column(&row, 0)?, column(&row, 1)?),
        None => (0, 0),
    };
    let recorded = soonshop_domain::clock::now().timestamp_micros().max(before);
    let refused = check(tx, batch).await?;
    let behind = batch.behind(&refused);
    let bad: HashSet<usize> = refused.iter().map(|one| one.request).chain(behind.iter().copied()).collect();
    let good = || {
        batch.requests.iter().enumerate().filter(|(index, _)| !bad.contains(&(index + 1))).map(|(_, r)| *r)
    };

    let events: Vec<_> = good()
        .flat_map(|request| &request.events)
        .map(|e| {
            json!([
                e.aggregate_type,
                e.aggregate_id,
                e.sequence,
                e.event_type,
                e.event_version,
                e.payload,
                e.metadata,
                e.event_id,
                e.occurred_at.timestamp_micros()
            ])
        })
        .collect();
    if !events.is_empty() {
        run(sqlx::query(EVENTS).bind(json!(events).to_string()).bind(base).bind(recorded), tx).await?;
    }
    let mut position = base;
    let mut commands = Vec::new();
    for request in good().filter(|request| request.record || !request.events.is_empty()) {
        let count = i64::try_from(request.events.len()).unwrap_or(i64::MAX);
        let (first, last) =
            if count > 0 { (Some(position + 1), Some(position + count)) } else { (None, None) };
        position += count;
        let answer = &request.answer;
        let fingerprint = hex(&request.fingerprint);
        commands.push(json!([
            request.command_id,
            fingerprint,
            answer.kind.stored(),
            answer.reference,
            answer.version,
            first,
            last,
            answer.detail
        ]));
    }
    if !commands.is_empty() {
        run(sqlx::query(COMMANDS).bind(json!(commands).to_string()).bind(recorded), tx).await?;
    }
    let frees: Vec<_> = good().flat_map(|r| &r.frees).map(|(scope, owner)| json!([scope, owner])).collect();
    let claims = json!(good().flat_map(|r| &r.claims).map(|c| claim(0, c)).collect::<Vec<_>>()).to_string();
    if !frees.is_empty() {
        run(sqlx::query(FREE).bind(json!(frees).to_string()).bind(&claims), tx).await?;
    }
    if claims != "[]" {
        run(sqlx::query(CLAIM).bind(&claims), tx).await?;
    }
    Ok(Written { base, refused, behind })
}

async fn delete_old(tx: &mut SqliteConnection, purge: &Purge) -> Result<Purged, BatchError> {
    let next = sqlx::query(NEXT)
        .bind(purge.owner.kind())
        .bind(purge.days)
        .bind(purge.before.map(|moment| moment.timestamp_micros()))
        .bind(purge.most);
    let next = rows(next, tx).await?;
    let Some(last) = next.last() else { return Ok(Purged::default()) };
    let (at, id): (i64, String) = (column(last, 1)?, column(last, 0)?);
    let mut gone: Vec<String> = Vec::new();
    for row in &next {
        if column::<bool>(row, 2)? == (purge.owner == RecordOwner::Processes) {
            gone.push(column(row, 0)?);
        }
    }
    run(sqlx::query(GONE).bind(json!(gone).to_string()), tx).await?;
    run(sqlx::query(MARK).bind(purge.owner.kind()).bind(at).bind(id), tx).await?;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    Ok(Purged { examined: count(next.len()), deleted: count(gone.len()) })
}

fn claim(request: usize, claim: &crate::Claim) -> serde_json::Value {
    json!([request, claim.scope, claim.key_id, hex(&claim.value), claim.form, claim.owner])
}

async fn check(tx: &mut SqliteConnection, batch: &Batch<'_>) -> Result<Vec<Refused>, BatchError> {
    let mut refused = Vec::new();
    let ids: Vec<_> = batch.requests.iter().map(|request| request.command_id).collect();
    for row in rows(sqlx::query(KNOWN).bind(json!(ids).to_string()), tx).await? {
        let why = Why::Command {
            fingerprint: column(&row, 1)?,
            status: column(&row, 2)?,
            location: column(&row, 3)?,
            version: column(&row, 4)?,
            first: column(&row, 5)?,
            last: column(&row, 6)?,
            detail: column(&row, 7)?,
        };
        refused.push(Refused { request: index(&row)?, why });
    }
    let checks: Vec<_> = batch
        .checks
        .iter()
        .map(|(request, s)| json!([request, s.aggregate_type, s.aggregate_id, s.sequence, s.event_id]))
        .collect();
    for row in rows(sqlx::query(VERSIONS).bind(json!(checks).to_string()), tx).await? {
        let last: Option<String> = column(&row, 5)?;
        let (sequence, event): (i64, Option<String>) = match last {
            Some(last) => serde_json::from_str(&last).map_err(|error| BatchError::Data(error.to_string()))?,
            None => (0, None),
        };
        if sequence != column::<i64>(&row, 3)? || event != column::<Option<String>>(&row, 4)? {
            let (aggregate_type, id) = (column(&row, 1)?, column(&row, 2)?);
            // One process owns the log: no other writer exists whose events it could have missed.
            let why = Why::Version { aggregate_type, id, sequence, diverged: true, missed: None };
            refused.push(Refused { request: index(&row)?, why });
        }
    }
    if batch.requests.iter().any(|request| !request.claim_keys.is_empty()) {
        let keys = rows(sqlx::query("SELECT key_id FROM claim_keys ORDER BY key_id"), tx).await?;
        let keys = keys.iter().map(|row| column::<i32>(row, 0)).collect::<Result<Vec<_>, _>>()?;
        if keys != batch.claim_keys {
            return Err(BatchError::ClaimKeysChanged);
        }
        let numbered = batch.requests.iter().enumerate();
        let claims: Vec<_> =
            numbered.flat_map(|(i, r)| r.claims.iter().map(move |c| claim(i + 1, c))).collect();
        for row in rows(sqlx::query(CLAIMED).bind(json!(claims).to_string()), tx).await? {
            let why = Why::Claim { scope: column(&row, 1)?, owner: column(&row, 2)? };
            refused.push(Refused { request: index(&row)?, why });
        }
    }
    Ok(refused)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments<'q>>;

async fn run(query: Query<'_>, tx: &mut SqliteConnection) -> Result<(), BatchError> {
    query.execute(tx).await.map(drop).map_err(|error| classify(&error))
}

async fn rows(
    query: Query<'_>,
    tx: &mut SqliteConnection,
) -> Result<Vec<sqlx::sqlite::SqliteRow>, BatchError> {
    query.fetch_all(tx).await.map_err(|error| classify(&error))
}

fn column<'r, T>(row: &'r sqlx::sqlite::SqliteRow, index: usize) -> Result<T, BatchError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|error| BatchError::Data(error.to_string()))
}

fn index(row: &sqlx::sqlite::SqliteRow) -> Result<usize, BatchError> {
    usize::try_from(column::<i64>(row, 0)?).map_err(|error| BatchError::Data(error.to_string()))
}

fn classify(error: &sqlx::Error) -> BatchError {
    if sqlx_unavailable(error) {
        BatchError::Unavailable(error.to_string())
    } else {
        BatchError::Data(error.to_string())
    }
}
