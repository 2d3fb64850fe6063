//! The log itself: pages in order of position, streams, and the decoding of both.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseBackend};
use serde_json::{Value, json};
use soonshop_domain::catalog;
use soonshop_domain::{Event, Metadata};
use sqlx::Row as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::copy_out::copy_out;
use crate::{Checkpoint, Db, Error, KeyStore, LOG, RECORD, StoredEvent, places, upcast};

/// More values than this in one page that cannot be decrypted are no accident: the key store was lost.
const MOST_DAMAGED: usize = 3;

/// An event of a known type, decoded, upcast and decrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    pub position: i64,
    pub event_id: Uuid,
    /// The stream's id; its type is the event's.
    pub stream: Uuid,
    /// The version of the stream after it, from 1.
    pub version: i64,
    /// The version that its shape was stored in, before it was upcast.
    pub event_version: u32,
    pub occurred_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
    pub event: Event,
    metadata: String,
}

impl RecordedEvent {
    /// Decoded on request: most followers never need it.
    pub fn metadata(&self) -> Result<Metadata, Error> {
        serde_json::from_str(&self.metadata).map_err(|error| Error::Undecodable {
            position: self.position,
            reason: format!("metadata: {error}"),
        })
    }
}

/// One position of the log, as a follower sees it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub position: i64,
    pub event_id: Uuid,
    pub aggregate_type: Cow<'static, str>,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Event(Arc<RecordedEvent>),
    /// An event of an unknown type: skipped by name, never decoded.
    Foreign,
    /// An event of a known type in a shape that this release does not know: a follower of the type lets go.
    Unknown(String),
    /// A personal value in the event cannot be decrypted.
    Damaged(Arc<RecordedEvent>, String),
}

impl Entry {
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::at(self.position, self.event_id)
    }
}

/// A part of a stream: the events above one version, up to another.
#[derive(Debug, Clone)]
pub struct Span<'a> {
    pub kind: &'a str,
    pub stream: &'a str,
    pub above: i64,
    pub upto: i64,
}

/// Read access to a log.
#[derive(Clone)]
pub struct EventLog {
    name: &'static str,
    db: Db,
    keys: KeyStore,
}

const COLUMNS: &str = "position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
     occurred_at, recorded_at";

/// SQL for a page.
fn page(position: impl Display, limit: impl Display) -> String {
    format!("SELECT {COLUMNS} FROM @events WHERE position >= {position} ORDER BY position LIMIT {limit}")
}

/// The static name of an aggregate type; `None`: this release does not know it.
fn known(aggregate_type: &str) -> Option<&'static str> {
    catalog::aggregate(aggregate_type).map(|aggregate| aggregate.name)
}

/// Rows of both backends, by the same SQL. (`payload` and `metadata` are text in both protocols, so nothing is
/// converted.)
macro_rules! rows {
    ($self:ident, $sql:expr, [$($value:expr),*]) => {{
        let sql = $self.db.sql($sql);
        if $self.db.backend() == DatabaseBackend::Postgres {
            // (The pool would pass each row through a stream of its own.)
            let mut connection = $self.db.connection.get_postgres_connection_pool().acquire().await?;
            sqlx::query(&sql)$(.bind($value))*.try_map(|row: sqlx::postgres::PgRow| Ok(StoredEvent {
                position: row.try_get(0)?,
                event_id: row.try_get(1)?,
                aggregate_type: row.try_get(2)?,
                aggregate_id: row.try_get(3)?,
                sequence: row.try_get(4)?,
                event_type: row.try_get(5)?,
                event_version: row.try_get(6)?,
                payload: row.try_get_unchecked(7)?,
                metadata: row.try_get_unchecked(8)?,
                occurred_at: row.try_get(9)?,
                recorded_at: row.try_get(10)?,
            })).fetch_all(&mut *connection).await?
        } else {
            let pool = $self.db.connection.get_sqlite_connection_pool();
            sqlx::query(&sql)$(.bind($value))*.try_map(|row: sqlx::sqlite::SqliteRow| Ok(StoredEvent {
                position: row.try_get(0)?,
                event_id: row.try_get::<String, _>(1)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                aggregate_type: row.try_get(2)?,
                aggregate_id: row.try_get(3)?,
                sequence: row.try_get(4)?,
                event_type: row.try_get(5)?,
                event_version: row.try_get(6)?,
                payload: row.try_get(7)?,
                metadata: row.try_get(8)?,
                occurred_at: DateTime::from_timestamp_micros(row.try_get(9)?).unwrap_or_default(),
                recorded_at: DateTime::from_timestamp_micros(row.try_get(10)?).unwrap_or_default(),
            })).fetch_all(pool).await?
        }
    }};
}

impl EventLog {
    pub fn new(db: Db, keys: KeyStore) -> Self {
        Self { name: LOG, db, keys }
    }

    /// The record of operations, which the views `events` and `head` of its namespace present as a log, so that it is
    /// sealed and checked like one. It is never decoded.
    pub fn of_record(operations: Db, keys: KeyStore) -> Self {
        Self { name: RECORD, ..Self::new(operations, keys) }
    }

    /// The log's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// The checkpoint of the last event.
    pub async fn head(&self) -> Result<Checkpoint, Error> {
        let sql = format!("SELECT {COLUMNS} FROM @events ORDER BY position DESC LIMIT 1");
        let rows = rows!(self, &sql, []);
        Ok(rows.first().map_or_else(Checkpoint::start, |row| Checkpoint::at(row.position, row.event_id)))
    }

    /// At most `limit` rows from `position` on, with that position.
    pub async fn read(&self, position: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
        Ok(rows!(self, &page("$1", "$2"), [position, limit]))
    }

    /// The same for pages that are probably full: PostgreSQL copies the rows out. (For polling a few new rows a query
    /// is better, because the server keeps its plan.)
    pub async fn read_many(&self, position: i64, limit: i64) -> Result<Vec<StoredEvent>, Error> {
        if self.db.backend() != DatabaseBackend::Postgres {
            return self.read(position, limit).await;
        }
        let pool = self.db.connection.get_postgres_connection_pool();
        Ok(Box::pin(copy_out(pool, &self.db.sql(&page(position, limit)))).await?)
    }

    /// The entries after a checkpoint, at most `limit`: [`Checkpoint::rows_after`], decoded and decrypted.
    pub async fn read_after(
        &self,
        follower: &str,
        checkpoint: &Checkpoint,
        limit: i64,
    ) -> Result<Vec<Entry>, Error> {
        self.decode(checkpoint.rows_after(self, follower, limit).await?).await
    }

    /// A stream after `version`, in order, with encrypted values as stored.
    pub async fn stream(
        &self,
        aggregate_type: &str,
        id: &str,
        version: i64,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM @events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 \
             ORDER BY sequence LIMIT $4"
        );
        Ok(rows!(self, &sql, [aggregate_type, id, version, limit]))
    }

    /// The events of a stream that changed one part of its state, in order, with encrypted values as stored: those whose
    /// `fields` have the values that, joined by `/`, are `key`.
    pub async fn part(
        &self,
        aggregate_type: &'static str,
        fields: &[&str],
        id: &str,
        key: &str,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = self.part_sql(aggregate_type, fields);
        Ok(rows!(self, &sql, [key, id]))
    }

    /// The SQL of [`part`](Self::part). It reads through the index `<type>_parts`, however long the stream is and
    /// whatever the database's statistics say: its expression fits no other index, and the stream is compared only after
    /// the rows were found.
    pub fn part_sql(&self, aggregate_type: &'static str, fields: &[&str]) -> String {
        let field = |name: &&str| format!("(payload -> event_type ->> '{name}')");
        let joined = fields.iter().map(field).collect::<Vec<_>>().join(" || '/' || ");
        if self.db.backend() == DatabaseBackend::Postgres {
            format!(
                "SELECT {COLUMNS} FROM (SELECT * FROM @events WHERE \
                 (CASE WHEN aggregate_type = '{aggregate_type}' THEN {joined} END COLLATE \"C\") = $1 OFFSET 0) e \
                 WHERE aggregate_id = $2 ORDER BY sequence"
            )
        } else {
            format!(
                "SELECT {COLUMNS} FROM @events INDEXED BY {aggregate_type}_parts WHERE aggregate_type = '{aggregate_type}' \
                 AND (CASE WHEN json_valid(payload) THEN {joined} END) = $1 AND aggregate_id = $2 ORDER BY sequence"
            )
        }
    }

    /// The events of one type in a stream, in order, with encrypted values as stored.
    pub async fn of_type(
        &self,
        aggregate_type: &str,
        id: &str,
        event_type: &str,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM @events WHERE aggregate_type = $1 AND aggregate_id = $2 AND event_type = $3 \
             ORDER BY sequence"
        );
        Ok(rows!(self, &sql, [aggregate_type, id, event_type]))
    }

    /// The events of an aggregate type and an event type whose field has this value, in order, with encrypted values as
    /// stored. A field of a field is `outer.inner`. The schema has an index for each such field, `<type>s_by_<field>`; the
    /// names are in the SQL as they are in the index.
    pub async fn with_field(&self, path: [&'static str; 3], value: &str) -> Result<Vec<StoredEvent>, Error> {
        let sql = self.with_field_sql(path);
        Ok(rows!(self, &sql, [value]))
    }

    /// Which of these values the field has in some event; each once. The same index finds them.
    pub async fn values_of_field(
        &self,
        path: [&'static str; 3],
        values: &[String],
    ) -> Result<Vec<String>, Error> {
        let places = places(1, values.len());
        let (from, field) = self.field_sql(path);
        let sql = format!("SELECT DISTINCT {field} FROM {from} AND {field} IN ({places})");
        let values = values.iter().map(|value| value.as_str().into());
        let rows = self.db.connection.query_all(self.db.statement(&sql, values)).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// The SQL of [`with_field`](Self::with_field). SQLite without statistics may as well choose the index on the stream,
    /// and read every event of the type: the SQL names the index.
    pub fn with_field_sql(&self, path: [&'static str; 3]) -> String {
        let (from, field) = self.field_sql(path);
        format!("SELECT {COLUMNS} FROM {from} AND {field} = $1 ORDER BY position")
    }

    /// The table with its index and the conditions on the types, and the expression of the field.
    fn field_sql(&self, [aggregate_type, event_type, field]: [&'static str; 3]) -> (String, String) {
        let (outer, inner) = field.rsplit_once('.').unwrap_or(("", field));
        let (index, field) = if self.db.backend() == DatabaseBackend::Postgres {
            let outer = match outer {
                "" => String::new(),
                names => format!(" -> '{}'", names.replace('.', "' -> '")),
            };
            (String::new(), format!("(payload -> '{event_type}'{outer} ->> '{inner}')"))
        } else {
            (
                format!(" INDEXED BY {aggregate_type}s_by_{}", inner.trim_end_matches("_id")),
                format!("(CASE WHEN json_valid(payload) THEN payload ->> '$.{event_type}.{field}' END)"),
            )
        };
        let from = format!(
            "@events{index} WHERE aggregate_type = '{aggregate_type}' AND event_type = '{event_type}'"
        );
        (from, field)
    }

    /// The first events of the streams of an aggregate type whose field has this value, in order, with encrypted values
    /// as stored. The schema has an index for each such field, `<type>s_by_<field>`.
    pub async fn first_with_field(
        &self,
        aggregate_type: &'static str,
        field: &'static str,
        value: &str,
    ) -> Result<Vec<StoredEvent>, Error> {
        let sql = self.first_with_field_sql(aggregate_type, field);
        Ok(rows!(self, &sql, [value]))
    }

    /// The SQL of [`first_with_field`](Self::first_with_field). On SQLite it names the index, as that of
    /// [`with_field`](Self::with_field) does.
    pub fn first_with_field_sql(&self, aggregate_type: &'static str, field: &'static str) -> String {
        let path = format!("payload -> event_type ->> '{field}'");
        let (index, path) = if self.db.backend() == DatabaseBackend::Postgres {
            (String::new(), format!("({path})"))
        } else {
            let index = format!(" INDEXED BY {aggregate_type}s_by_{field}");
            (index, format!("(CASE WHEN json_valid(payload) THEN {path} END)"))
        };
        format!(
            "SELECT {COLUMNS} FROM @events{index} WHERE aggregate_type = '{aggregate_type}' AND sequence = 1 \
             AND {path} = $1 ORDER BY position"
        )
    }

    /// Parts of many streams in one query, each in order, with encrypted values as stored. Each part is read through
    /// the index on the stream, whatever the database's statistics say.
    pub async fn spans(&self, spans: &[Span<'_>]) -> Result<Vec<StoredEvent>, Error> {
        let requested = |span: &Span<'_>| json!({ "kind": span.kind, "stream": span.stream, "above": span.above, "upto": span.upto });
        let requested = Value::Array(spans.iter().map(requested).collect()).to_string();
        let from = if self.db.backend() == DatabaseBackend::Postgres {
            "jsonb_to_recordset($1::jsonb) AS w(kind text, stream text, above bigint, upto bigint) \
             CROSS JOIN LATERAL (SELECT * FROM @events WHERE aggregate_type = w.kind AND aggregate_id = w.stream \
             AND sequence > w.above AND sequence <= w.upto OFFSET 0) e"
        } else {
            "json_each($1) w CROSS JOIN @events e ON e.aggregate_type = w.value ->> 'kind' \
             AND e.aggregate_id = w.value ->> 'stream' AND e.sequence > w.value ->> 'above' \
             AND e.sequence <= w.value ->> 'upto'"
        };
        let sql = format!("SELECT {COLUMNS} FROM {from}");
        let mut rows = rows!(self, &sql, [&requested]);
        rows.sort_by_key(|row| row.sequence);
        Ok(rows)
    }

    /// The last position recorded no later than `moment`; 0 before the first. Positions have no gaps and
    /// `recorded_at` never decreases, so this is a binary search.
    pub async fn position_at(&self, moment: DateTime<Utc>) -> Result<i64, Error> {
        let (mut low, mut high) = (0, self.head().await?.position);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            let rows = self.read(middle, 1).await?;
            if rows.first().is_some_and(|row| row.recorded_at <= moment) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    /// Decodes rows and decrypts their personal values, with all their keys loaded at once.
    pub async fn decode(&self, rows: Vec<StoredEvent>) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::with_capacity(rows.len());
        let mut events: Vec<(usize, RecordedEvent)> = Vec::with_capacity(rows.len());
        for (index, row) in rows.into_iter().enumerate() {
            if index % 256 == 255 {
                // Decoding computes: other requests have their turn in between.
                tokio::task::yield_now().await;
            }
            let mut entry = Entry {
                position: row.position,
                event_id: row.event_id,
                aggregate_type: known(&row.aggregate_type)
                    .map_or_else(|| Cow::Owned(row.aggregate_type.clone()), Cow::Borrowed),
                content: Content::Foreign,
            };
            match self.decode_row(row) {
                Some(Ok(event)) => events.push((index, event)),
                Some(Err(reason)) => entry.content = Content::Unknown(reason),
                None => {}
            }
            entries.push(entry);
        }
        let mut open: Vec<&mut Event> = events.iter_mut().map(|(_, event)| &mut event.event).collect();
        let damaged = self.keys.decrypt(&mut open).await?;
        if damaged.len() > MOST_DAMAGED {
            return Err(Error::KeyStoreLost { count: damaged.len() });
        }
        let mut damaged = damaged.into_iter().peekable();
        for (number, (index, event)) in events.into_iter().enumerate() {
            let event = Arc::new(event);
            entries[index].content = match damaged.next_if(|(which, _)| *which == number) {
                Some((_, reason)) => Content::Damaged(event, reason),
                None => Content::Event(event),
            };
        }
        Ok(entries)
    }

    /// `None`: the type is unknown. An error says what this release does not understand.
    pub fn decode_row(&self, row: StoredEvent) -> Option<Result<RecordedEvent, String>> {
        let kind = known(&row.aggregate_type)?;
        let decoded = (|| {
            let (event_version, event) = upcast::decode(kind, &row, catalog::UPCASTERS)?;
            let stream = row.aggregate_id.parse().map_err(|_| "the stream's id is not a UUID".to_owned())?;
            Ok(RecordedEvent {
                position: row.position,
                event_id: row.event_id,
                stream,
                version: row.sequence,
                event_version,
                occurred_at: row.occurred_at,
                recorded_at: row.recorded_at,
                event,
                metadata: row.metadata,
            })
        })();
        Some(decoded)
    }

    /// Reads the whole log after `position` in pages; the next page is read while the current one is used.
    pub fn read_all(&self, position: i64, page: i64) -> PageReader {
        let (sender, pages) = mpsc::channel(2);
        let log = self.clone();
        let task = tokio::spawn(async move {
            let mut next = position + 1;
            loop {
                let rows = log.read_many(next, page).await;
                let last = match &rows {
                    Ok(rows) => rows.last().map(|row| row.position),
                    Err(_) => None,
                };
                if sender.send(rows).await.is_err() {
                    return;
                }
                match last {
                    Some(last) => next = last + 1,
                    None => return,
                }
            }
        });
        PageReader { log: self.clone(), pages, task, ended: false }
    }
}

impl Checkpoint {
    /// The rows after it, at most `limit`, as stored. The row at the checkpoint is read as well: if it is missing or
    /// another event, the log is not the one that was followed.
    pub async fn rows_after(
        &self,
        log: &EventLog,
        follower: &str,
        limit: i64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let mut rows = log.read(self.position, limit + i64::from(self.event_id.is_some())).await?;
        if let Some(expected) = self.event_id {
            let found = rows.first().filter(|row| row.position == self.position).map(|row| row.event_id);
            if found != Some(expected) {
                return Err(Error::AheadOfLog {
                    follower: follower.to_owned(),
                    position: self.position,
                    expected,
                    found: found.map_or_else(|| "no event".to_owned(), |id| id.to_string()),
                });
            }
            rows.remove(0);
        }
        Ok(rows)
    }
}

/// Pages of the log, read ahead.
pub struct PageReader {
    log: EventLog,
    pages: mpsc::Receiver<Result<Vec<StoredEvent>, Error>>,
    task: tokio::task::JoinHandle<()>,
    /// The end of the log was reached.
    ended: bool,
}

impl PageReader {
    /// The next page as stored; empty at the end. An error is never taken for the end.
    pub async fn next_stored(&mut self) -> Result<Vec<StoredEvent>, Error> {
        match self.pages.recv().await {
            Some(Ok(rows)) => {
                self.ended = rows.is_empty();
                Ok(rows)
            }
            Some(Err(error)) => Err(error),
            None if self.ended => Ok(Vec::new()),
            None => Err(Error::Unavailable("reading the log was interrupted".to_owned())),
        }
    }

    /// The next page, decoded and decrypted; empty at the end.
    pub async fn next(&mut self) -> Result<Vec<Entry>, Error> {
        let rows = self.next_stored().await?;
        self.log.decode(rows).await
    }
}

impl Drop for PageReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
