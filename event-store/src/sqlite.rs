//! The appender's SQLite side: one process owns the log; one connection, one transaction per batch in
//! two calls, its rows as JSON.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use async_trait::async_trait;
use serde_json::json;
use soonshop_event_log::database::{sqlite_file, sqlite_options};
use soonshop_event_log::{private_files, sqlx_unavailable};
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

    async fn connection(&mut self) -> Result<SqliteConnection, BatchError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        if self.owner.is_none() {
            self.owner = Some(own(&self.folder)?);
        }
        let file = sqlite_file(&self.folder, "log");
        private_files::make_database(&file)
            .map_err(|error| BatchError::Unavailable(format!("{}: {error}", file.display())))?;
        // Ids come in no order, so an append touches pages all over the indexes: up to 32 MiB of them are kept.
        // The statement journal of a large batch stays in memory: it would be a file for each of them.
        let options = sqlite_options(&file).pragma("cache_size", "-32768").pragma("temp_store", "memory");
        options.connect().await.map_err(|error| classify(&error))
    }
}

/// Takes the lock of a SQLite log.
pub(crate) fn own(folder: &Path) -> Result<File, BatchError> {
    private_files::data_folder(folder)
        .map_err(|error| BatchError::Unavailable(format!("{}: {error}", folder.display())))?;
    let path = folder.join("log.lock");
    let file = private_files::lock_file(&path)
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

/// Takes the log's lock, and returns what decides about a batch, in one call: the rows of several statements, each with
/// its kind. (Each call goes to the connection's own thread and back, which takes longer than most statements.)
/// $1: the ids of the commands; $2: request, type, id, sequence and event of each stream.
const BEGIN: &str = "BEGIN IMMEDIATE; \
     SELECT 'head', position, recorded_at FROM events ORDER BY position DESC LIMIT 1; \
     SELECT 'known', r.key + 1, c.fingerprint, c.status, c.location, c.version, c.first_position, c.last_position, c.detail \
     FROM json_each($1) r CROSS JOIN commands c ON c.command_id = r.value; \
     SELECT 'version', s.value->>0, s.value->>1, s.value->>2, s.value->>3, s.value->>4, \
     (SELECT json_array(e.sequence, e.event_id) FROM events e WHERE e.aggregate_type = s.value->>1 \
        AND e.aggregate_id = s.value->>2 ORDER BY e.sequence DESC LIMIT 1) FROM json_each($2) s";

/// The same of a batch with unique values. $3: request, scope, key, value, form and owner of each.
static BEGIN_WITH_CLAIMS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{BEGIN}; SELECT 'key', key_id FROM claim_keys ORDER BY key_id; \
         SELECT 'claim', k.value->>0, k.value->>1, c.owner FROM json_each($3) k CROSS JOIN claims c \
         ON c.scope = k.value->>1 AND c.key_id = k.value->>2 AND c.value = k.value->>3 \
         WHERE c.owner <> k.value->>5 OR k.value->>1 = 'import'"
    )
});

/// Writes the events and records of a batch, and ends its transaction. $1: the events; $2: the last position before
/// them; $3: the time; $4: the records.
const WRITE: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
     event_id, occurred_at, position, recorded_at) SELECT e.value->>0, e.value->>1, e.value->>2, e.value->>3, e.value->>4, \
     e.value->>5, e.value->>6, e.value->>7, e.value->>8, $2 + e.key + 1, $3 FROM json_each($1) e ORDER BY e.key; \
     INSERT INTO commands (command_id, fingerprint, status, location, version, first_position, last_position, \
     detail, recorded_at) SELECT r.value->>0, r.value->>1, r.value->>2, r.value->>3, r.value->>4, r.value->>5, r.value->>6, \
     r.value->>7, $3 FROM json_each($4) r; ";

const COMMIT: &str = "COMMIT";

/// Frees the values of owners that hold other values from now on. $5: scope and owner of each; $6: the new values.
const FREE: &str = "DELETE FROM claims AS c WHERE (c.owner, c.scope) IN (SELECT f.value->>1, f.value->>0 FROM json_each($5) f) \
     AND NOT EXISTS (SELECT 1 FROM json_each($6) k WHERE c.scope = k.value->>1 \
     AND c.key_id = k.value->>2 AND c.value = k.value->>3); ";

const CLAIM: &str = "INSERT INTO claims (scope, key_id, value, form, owner) SELECT k.value->>1, k.value->>2, k.value->>3, \
     k.value->>4, k.value->>5 FROM json_each($6) k WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.scope = k.value->>1 \
     AND c.key_id = k.value->>2 AND c.value = k.value->>3); ";

static WRITE_AND_COMMIT: LazyLock<String> = LazyLock::new(|| format!("{WRITE}{COMMIT}"));

static WRITE_CLAIMS_AND_COMMIT: LazyLock<String> = LazyLock::new(|| format!("{WRITE}{FREE}{CLAIM}{COMMIT}"));

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
        let mut connection = self.connection().await?;
        let written = write(&mut connection, batch).await;
        let ended = match &written {
            Ok(_) => true,
            // A transaction that failed to commit may have ended already.
            Err(_) => run(sqlx::query("ROLLBACK"), &mut connection).await.is_ok(),
        };
        if ended && !matches!(written, Err(BatchError::Unavailable(_))) {
            self.connection = Some(connection);
        }
        written
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
        let mut connection = self.connection().await?;
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

/// Appends a batch in two calls. If it fails, the transaction may still be open.
async fn write(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<Written, BatchError> {
    let Checked { base, recorded: before, refused } = check(connection, batch).await?;
    let recorded = soonshop_domain::clock::now().timestamp_micros().max(before);
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
    let frees: Vec<_> = good().flat_map(|r| &r.frees).map(|(scope, owner)| json!([scope, owner])).collect();
    let claims: Vec<_> = good().flat_map(|r| &r.claims).map(|c| claim(0, c)).collect();
    let changes_claims = !frees.is_empty() || !claims.is_empty();
    let sql = match (changes_claims, events.is_empty() && commands.is_empty()) {
        (true, _) => WRITE_CLAIMS_AND_COMMIT.as_str(),
        (false, false) => WRITE_AND_COMMIT.as_str(),
        (false, true) => COMMIT,
    };
    let query = sqlx::query(sql)
        .bind(json!(events).to_string())
        .bind(base)
        .bind(recorded)
        .bind(json!(commands).to_string())
        .bind(json!(frees).to_string())
        .bind(json!(claims).to_string());
    run(query, connection).await?;
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

/// The log's last position and time, and the requests of a batch that are refused.
#[derive(Default)]
struct Checked {
    base: i64,
    recorded: i64,
    refused: Vec<Refused>,
}

async fn check(connection: &mut SqliteConnection, batch: &Batch<'_>) -> Result<Checked, BatchError> {
    let ids: Vec<_> = batch.requests.iter().map(|request| request.command_id).collect();
    let streams: Vec<_> = batch
        .checks
        .iter()
        .map(|(request, s)| json!([request, s.aggregate_type, s.aggregate_id, s.sequence, s.event_id]))
        .collect();
    let with_claims = batch.requests.iter().any(|request| !request.claim_keys.is_empty());
    let numbered = batch.requests.iter().enumerate();
    let claims: Vec<_> = numbered.flat_map(|(i, r)| r.claims.iter().map(move |c| claim(i + 1, c))).collect();
    let sql = if with_claims { BEGIN_WITH_CLAIMS.as_str() } else { BEGIN };
    let query = sqlx::query(sql)
        .bind(json!(ids).to_string())
        .bind(json!(streams).to_string())
        .bind(json!(claims).to_string());
    let (mut checked, mut keys) = (Checked::default(), Vec::new());
    for row in rows(query, connection).await? {
        let why = match column::<String>(&row, 0)?.as_str() {
            "head" => {
                (checked.base, checked.recorded) = (column(&row, 1)?, column(&row, 2)?);
                continue;
            }
            "key" => {
                keys.push(column::<i32>(&row, 1)?);
                continue;
            }
            "known" => Why::Command {
                fingerprint: column(&row, 2)?,
                status: column(&row, 3)?,
                location: column(&row, 4)?,
                version: column(&row, 5)?,
                first: column(&row, 6)?,
                last: column(&row, 7)?,
                detail: column(&row, 8)?,
            },
            "version" => {
                let last: Option<String> = column(&row, 6)?;
                let (sequence, event): (i64, Option<String>) = match last {
                    Some(last) => {
                        serde_json::from_str(&last).map_err(|error| BatchError::Data(error.to_string()))?
                    }
                    None => (0, None),
                };
                if sequence == column::<i64>(&row, 4)? && event == column::<Option<String>>(&row, 5)? {
                    continue;
                }
                let (aggregate_type, id) = (column(&row, 2)?, column(&row, 3)?);
                // One process owns the log: no other writer exists whose events it could have missed.
                Why::Version { aggregate_type, id, sequence, diverged: true, missed: None }
            }
            _ => Why::Claim { scope: column(&row, 2)?, owner: column(&row, 3)? },
        };
        let request =
            usize::try_from(column::<i64>(&row, 1)?).map_err(|error| BatchError::Data(error.to_string()))?;
        checked.refused.push(Refused { request, why });
    }
    if with_claims && keys != batch.claim_keys {
        return Err(BatchError::ClaimKeysChanged);
    }
    Ok(checked)
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

fn classify(error: &sqlx::Error) -> BatchError {
    if sqlx_unavailable(error) {
        BatchError::Unavailable(error.to_string())
    } else {
        BatchError::Data(error.to_string())
    }
}
