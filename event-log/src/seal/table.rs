//! Reading the table of seals. Only the sealer, in another crate, writes it.

use sea_orm::{ConnectionTrait as _, QueryResult, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::encoding::{Bytes, Hash};
use super::key::PublicKey;
use super::statement::{Kind, Seal, VERSION};
use crate::{Checkpoint, Db, Error, EventLog, RECORD};

/// The name of the sealer as a follower.
pub const SEALER: &str = "sealer";

/// The lease of the sealer of the record of operations.
pub const RECORD_SEALER: &str = "record-sealer";

/// A row of the table of seals that is not a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub number: i64,
    pub reason: String,
}

/// A row of the table of seals, read.
pub type ReadSeal = Result<Seal, Broken>;

/// The id that a log got when it was created: another log of the same name has another id.
pub async fn log_id(log: &EventLog) -> Result<Uuid, Error> {
    let db = log.db();
    let sql = "SELECT CAST(log_id AS TEXT) FROM @head WHERE name = $1";
    let row = db.connection.query_one(db.statement(sql, [log.name().into()])).await?;
    let row = row.ok_or_else(|| Error::Database(format!("the log {} has no head", log.name())))?;
    let id: String = row.try_get_by_index(0)?;
    id.parse().map_err(|_| Error::Database(format!("the id of the log is {id:?}")))
}

/// Sealing continues only from a seal that is valid on its own.
pub fn accept(found: ReadSeal, log_id: Uuid) -> Result<Seal, Error> {
    let seal = found.map_err(|broken| Error::Seals(format!("seal {}: {}", broken.number, broken.reason)))?;
    if seal.log_id != log_id {
        return Err(Error::Seals(format!("seal {} is of another log, {}", seal.number, seal.log_id)));
    }
    if !seal.signature_holds() {
        return Err(Error::Seals(format!("the signature of seal {} does not hold", seal.number)));
    }
    Ok(seal)
}

/// The namespaces of seals, beside the log: for the log, and for the record of operations.
pub const SEALS: &str = "seals";
pub const RECORD_SEALS: &str = "record_seals";

/// A table of seals.
#[derive(Debug, Clone)]
pub struct Seals {
    db: Db,
}

const COLUMNS: &str = "number, version, kind, log, log_id, first_position, last_position, events, root, previous, last_event, \
     sealed_at, signing_key, other_key, signature, leaves";

impl Seals {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The newest seal.
    pub async fn last(&self) -> Result<Option<ReadSeal>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @seals ORDER BY number DESC LIMIT 1");
        Ok(self.rows(&sql, []).await?.pop())
    }

    /// The last sealed position: the start of the log if nothing is sealed. An error says why sealing cannot continue
    /// from it.
    pub async fn end(&self, log: &EventLog) -> Result<Checkpoint, Error> {
        let Some(found) = self.last().await? else { return Ok(Checkpoint::start()) };
        let end = accept(found, log_id(log).await?)?.checkpoint();
        let sealer = if log.name() == RECORD { RECORD_SEALER } else { SEALER };
        end.rows_after(log, sealer, 1).await?;
        Ok(end)
    }

    /// At most `limit` seals from `number` on, in order.
    pub async fn read(&self, number: i64, limit: i64) -> Result<Vec<ReadSeal>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @seals WHERE number >= $1 ORDER BY number LIMIT $2");
        self.rows(&sql, [number.into(), limit.into()]).await
    }

    /// The changes of keys before `number`.
    pub(super) async fn key_changes(&self, number: i64) -> Result<Vec<ReadSeal>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM @seals WHERE kind = 'key-change' AND number < $1 ORDER BY number");
        self.rows(&sql, [number.into()]).await
    }

    /// The number of the seal that covers a position, according to the seals; `None`: no seal does yet.
    pub async fn over(&self, position: i64) -> Result<Option<i64>, Error> {
        let sql = "SELECT min(number) FROM @seals WHERE first_position <= $1 AND last_position >= $1";
        let row = self.db.connection.query_one(self.db.statement(sql, [position.into()])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.flatten())
    }

    /// The numbers of the first and the last seal that concern these positions, according to the seals.
    pub(super) async fn numbers(&self, from: i64, to: i64) -> Result<Option<(i64, i64)>, Error> {
        let sql =
            "SELECT min(number), max(number) FROM @seals WHERE last_position >= $1 AND first_position <= $2";
        let row = self.db.connection.query_one(self.db.statement(sql, [from.into(), to.into()])).await?;
        let Some(row) = row else { return Ok(None) };
        let numbers: (Option<i64>, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(numbers.0.zip(numbers.1))
    }

    /// The last sealed position, according to the seals.
    pub(super) async fn sealed_to(&self) -> Result<i64, Error> {
        let sql = "SELECT coalesce(max(last_position), 0) FROM @seals";
        let row = self.db.connection.query_one(self.db.statement(sql, [])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
    }

    async fn rows(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<ReadSeal>, Error> {
        let rows = self.db.connection.query_all(self.db.statement(sql, values)).await?;
        rows.iter()
            .map(|row| {
                let number = row.try_get_by_index(0)?;
                Ok(seal(row, number).map_err(|reason| Broken { number, reason }))
            })
            .collect()
    }
}

/// Reads a row; an error says which value cannot be part of a seal.
fn seal(row: &QueryResult, number: i64) -> Result<Seal, String> {
    fn get<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T, String> {
        row.try_get("", name).map_err(|error| format!("{name}: {error}"))
    }
    fn sized<const N: usize>(name: &str, bytes: Vec<u8>) -> Result<[u8; N], String> {
        bytes.try_into().map_err(|bytes: Vec<u8>| format!("{name} has {} bytes", bytes.len()))
    }
    let id = |name: &str| {
        let text: String = get(row, name)?;
        Uuid::parse_str(&text).map_err(|_| format!("{name} is {text:?}"))
    };
    let version = get(row, "version")?;
    if version != VERSION {
        return Err(format!("its version is {version}, and this release knows {VERSION}"));
    }
    let kind: String = get(row, "kind")?;
    let kind = [Kind::Events, Kind::KeyChange].into_iter().find(|one| one.name() == kind);
    let other_key: Option<Vec<u8>> = get(row, "other_key")?;
    Ok(Seal {
        version,
        number,
        kind: kind.ok_or("its kind is unknown")?,
        log: get(row, "log")?,
        log_id: id("log_id")?,
        first: get(row, "first_position")?,
        last: get(row, "last_position")?,
        count: get(row, "events")?,
        root: Hash(sized("root", get(row, "root")?)?),
        previous: Hash(sized("previous", get(row, "previous")?)?),
        last_event: id("last_event")?,
        sealed_at: get(row, "sealed_at")?,
        key: PublicKey(sized("signing_key", get(row, "signing_key")?)?),
        other_key: other_key.map(|bytes| sized("other_key", bytes)).transpose()?.map(PublicKey),
        signature: Bytes(get(row, "signature")?),
        leaves: Bytes(get(row, "leaves")?),
    })
}
