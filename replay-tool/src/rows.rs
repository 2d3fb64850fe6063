//! Rows of a generation as JSON, whatever its columns: a page of them, or one, with the position of the generation.

use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait as _, DatabaseBackend, Value as Bound};
use serde_json::{Map, Value};
use soonshop_event_log::{Checkpoint, Db, places, quoted};
use soonshop_projections::Generation;
use soonshop_projections::runner::ROWS;

use crate::{Failure, Sentence, Tool};

/// Rows of one page.
pub(crate) const PAGE: usize = 1_000;

pub(crate) type Row = Map<String, Value>;

/// The columns of a table, in order.
pub(crate) async fn columns(db: &Db, table: &str) -> Result<Vec<String>, Failure> {
    let postgres = db.backend() == DatabaseBackend::Postgres;
    let (sql, values): (&str, Vec<Bound>) = if postgres {
        let sql = "SELECT column_name::text FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 \
                   ORDER BY ordinal_position";
        (sql, vec![db.name().into(), table.into()])
    } else {
        ("SELECT name FROM pragma_table_info($1) ORDER BY cid", vec![table.into()])
    };
    let rows = db.connection.query_all(db.statement(sql, values)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// The columns in SQL.
pub(crate) fn names(columns: &[String]) -> String {
    columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// The row of `t` as JSON text.
pub(crate) fn as_json(db: &Db, columns: &[String]) -> String {
    match db.backend() {
        DatabaseBackend::Postgres => "row_to_json(t)::text".to_owned(),
        _ => {
            let pairs: Vec<String> =
                columns.iter().map(|name| format!("'{name}', t.{}", quoted(name))).collect();
            format!("json_object({})", pairs.join(", "))
        }
    }
}

/// The columns of a row. (SQLite returns JSON columns as text.)
pub(crate) fn parsed(text: &str) -> Result<Row, Failure> {
    let mut row: Row =
        serde_json::from_str(text).map_err(|error| Failure::unexpected(format!("a row: {error}")))?;
    for value in row.values_mut() {
        if let Value::String(text) = value
            && text.starts_with(['{', '['])
            && let Ok(inner) = serde_json::from_str(text)
        {
            *value = inner;
        }
    }
    Ok(row)
}

/// One side of a comparison.
pub(crate) struct Side {
    pub(crate) generation: Generation,
    pub(crate) db: Db,
    moved: AtomicU64,
}

impl Side {
    pub(crate) fn new(tool: &Tool, generation: &Generation) -> Result<Self, Failure> {
        let db = generation.db(tool.registry.database())?;
        Ok(Self { generation: generation.clone(), db, moved: AtomicU64::new(0) })
    }

    /// Whether the database computes digests.
    pub(crate) fn digests(&self) -> bool {
        self.db.backend() == DatabaseBackend::Postgres
    }

    /// Bytes of rows, or of their digests, that were read for the comparison.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn read(&self, text: &str) -> Result<Row, Failure> {
        self.moved.fetch_add(u64::try_from(text.len()).unwrap_or(0), Ordering::Relaxed);
        parsed(text)
    }

    pub(crate) async fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        let at = Checkpoint::load(&self.db, &self.db.connection, ROWS).await?;
        Ok(at
            .ok_or_else(|| Failure::Unexpected(Sentence::NoCheckpoint { name: self.generation.namespace() }))?
            .0)
    }

    pub(crate) async fn count(&self, table: &str) -> Result<u64, Failure> {
        let sql = format!("SELECT count(*) FROM @{table}");
        let row = self.db.connection.query_one(self.db.statement(&sql, [])).await?;
        let count: i64 = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

/// A table that both sides have.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) keys: Vec<String>,
    /// The columns that both sides have, and those that only one side has.
    pub(crate) columns: Vec<String>,
    pub(crate) other: Vec<String>,
}

/// The values of a row's primary key.
pub(crate) type Key = Vec<Value>;

pub(crate) fn key_of(table: &Table, row: &Row) -> Key {
    table.keys.iter().map(|name| row.get(name).cloned().unwrap_or(Value::Null)).collect()
}

pub(crate) fn bound(key: &[Value]) -> Vec<Bound> {
    key.iter()
        .map(|value| match value {
            Value::Number(number) => number.as_i64().into(),
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        })
        .collect()
}

pub(crate) fn shown_key(key: &[Value]) -> String {
    let part = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    key.iter().map(part).collect::<Vec<_>>().join("/")
}

pub(crate) fn changed_at(row: &Row) -> i64 {
    row.get("position").and_then(Value::as_i64).unwrap_or(0)
}

/// The part of a row that is read.
pub(crate) enum Part {
    Row,
    /// Its key, and one digest of these columns.
    Digest(Vec<String>),
}

impl Part {
    /// This part of `t` as JSON text.
    fn as_json(&self, db: &Db, table: &Table) -> String {
        match self {
            Self::Row => as_json(db, &table.columns),
            Self::Digest(columns) => {
                let keys: Vec<String> =
                    table.keys.iter().map(|name| format!("'{name}', t.{}", quoted(name))).collect();
                // In a subquery of its own: a function takes at most a hundred arguments.
                let values: Vec<String> = columns.iter().map(|name| format!("t.{}", quoted(name))).collect();
                let row = format!("row_to_json(ROW({}))::text", values.join(", "));
                format!(
                    "json_build_object({}, 'digest', encode(sha256(convert_to({row}, 'UTF8')), 'base64'))::text",
                    keys.join(", ")
                )
            }
        }
    }
}

/// One page of rows with keys above `after` and up to `to`, and the position of the generation.
pub(crate) async fn page(
    side: &Side,
    table: &Table,
    part: &Part,
    after: Option<&Key>,
    to: Option<&Key>,
) -> Result<(i64, Vec<Row>), Failure> {
    let db = &side.db;
    let keys = names(&table.keys);
    let mut values: Vec<Bound> = Vec::new();
    let mut limits = Vec::new();
    for (key, is) in [(after, ">"), (to, "<=")] {
        let Some(key) = key else { continue };
        limits.push(format!("({keys}) {is} ({})", places(values.len() + 1, key.len())));
        values.extend(bound(key));
    }
    let filter = if limits.is_empty() { String::new() } else { format!("WHERE {}", limits.join(" AND ")) };
    let limit = if to.is_some() { String::new() } else { format!("LIMIT {PAGE}") };
    let row = part.as_json(db, table);
    let qualified: Vec<String> = table.keys.iter().map(|key| format!("r.{}", quoted(key))).collect();
    let name = &table.name;
    // Rows and checkpoint are read by one statement, and so from one snapshot.
    let sql = format!(
        "SELECT c.position, r.row_ FROM (SELECT position FROM @checkpoints WHERE follower = '{ROWS}') c LEFT JOIN \
         (SELECT {row} AS row_, {keys} FROM @{name} t {filter} ORDER BY {keys} {limit}) r ON true ORDER BY {}",
        qualified.join(", ")
    );
    let rows = db.connection.query_all(db.statement(&sql, values)).await?;
    let mut position = 0;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        position = row.try_get_by_index(0)?;
        if let Some(text) = row.try_get_by_index::<Option<String>>(1)? {
            found.push(side.read(&text)?);
        }
    }
    Ok((position, found))
}

/// A row that differs between the sides.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) table: String,
    pub(crate) key: Key,
    pub(crate) left: Option<Row>,
    pub(crate) right: Option<Row>,
    /// Pointers to the values that differ.
    pub(crate) fields: Vec<String>,
}

pub(crate) async fn one(side: &Side, table: &Table, key: &Key) -> Result<Option<Row>, Failure> {
    let db = &side.db;
    let row = as_json(db, &table.columns);
    let is: Vec<String> =
        table.keys.iter().enumerate().map(|(n, key)| format!("{} = ${}", quoted(key), n + 1)).collect();
    let sql = format!("SELECT {row} FROM @{} t WHERE {}", table.name, is.join(" AND "));
    let row = db.connection.query_one(db.statement(&sql, bound(key))).await?;
    row.map(|row| side.read(&row.try_get_by_index::<String>(0)?)).transpose()
}

/// The rows with these keys, at most a page of them.
pub(crate) async fn some(side: &Side, table: &Table, keys: &[Key]) -> Result<Vec<Row>, Failure> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (db, width) = (&side.db, table.keys.len());
    let row = as_json(db, &table.columns);
    let given: Vec<String> = (0..keys.len()).map(|n| format!("({})", places(n * width + 1, width))).collect();
    let (names, given) = (names(&table.keys), given.join(", "));
    let sql = format!("SELECT {row} FROM @{} t WHERE ({names}) IN (VALUES {given})", table.name);
    let values: Vec<Bound> = keys.iter().flat_map(|key| bound(key)).collect();
    let rows = db.connection.query_all(db.statement(&sql, values)).await?;
    rows.iter().map(|row| side.read(&row.try_get_by_index::<String>(0)?)).collect()
}
