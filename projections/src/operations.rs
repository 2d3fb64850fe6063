//! The record of operations: who did what to read models, and why. Lines are only added, with positions without gaps.

use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, QueryResult, TransactionTrait as _};
use serde_json::Value;
use soonshop_domain::{Personal, Purpose};
use soonshop_event_log::{Db, Error, KeyStore, READ_MODEL};

/// The owner of notes that are written at the command line; `soonshop migrate` makes the key.
pub use soonshop_domain::ids::OPERATOR;

/// The action of a note on an event. It is no operation: only the event's own page shows it.
pub const EVENT_NOTE: &str = "event.note";

/// The action of the first sign-in of a caller on a day; further ones of that day are counted in `sign_ins`.
pub const SIGN_IN: &str = "sign-in";

/// The most notes on the events of one stream.
pub const MOST_NOTES: i64 = 1_000;

/// The most notes on one event.
pub const MOST_ON_EVENT: i64 = 50;

/// An operation to record.
#[derive(Debug, Clone)]
pub struct Operation {
    /// `<kind>:<id>`.
    pub actor: String,
    /// A verb: `rebuild`, `swap`, `retry`.
    pub action: &'static str,
    /// The thing that was changed: `rm_orders_3`, or a subject's id.
    pub subject: String,
    /// Ids, numbers and names; nothing personal.
    pub detail: Value,
    /// The reason, in the person's own words: encrypted.
    pub note: Option<Personal<String>>,
}

/// A line of the record.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Recorded {
    pub position: i64,
    /// Milliseconds since 1970, by the database's clock.
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: Value,
    /// Encrypted, as it is stored.
    pub note: Option<String>,
}

/// The note of a person at the command line, encrypted with the operator's key. If there is no such key, or it was
/// erased, this is an error: a reason is never dropped silently.
pub async fn note(keys: &KeyStore, text: &str) -> Result<Personal<String>, Error> {
    let mut note = Personal::new(text.to_owned(), OPERATOR, Purpose::Account);
    keys.encrypt(&mut note).await?;
    Ok(note)
}

/// Keeps others from adding lines until the transaction ends.
pub(crate) async fn lock(db: &Db, on: &DatabaseTransaction) -> Result<(), Error> {
    // On SQLite a transaction that writes is alone from its first statement on.
    let lock = match db.backend() {
        DatabaseBackend::Postgres => "SELECT 1 FROM @entries_head WHERE name = 'main' FOR UPDATE",
        _ => "UPDATE @entries_head SET name = name WHERE name = 'main'",
    };
    on.execute_unprepared(&db.sql(lock)).await?;
    Ok(())
}

/// Records an operation in the transaction of the change; returns its position.
pub async fn record(db: &Db, on: &DatabaseTransaction, done: &Operation) -> Result<i64, Error> {
    lock(db, on).await?;
    // Times never decrease, as in the log: a check would report that as reordered rows.
    let greatest = if db.backend() == DatabaseBackend::Postgres { "greatest" } else { "max" };
    let note = match &done.note {
        Some(note) => match serde_json::to_value(note) {
            Ok(Value::String(jwe)) => Some(jwe),
            _ => return Err(Error::Keys("a note must be encrypted before it is recorded".to_owned())),
        },
        None => None,
    };
    let sql = format!(
        "INSERT INTO @entries (position, at, actor, action, subject, detail, note) \
         SELECT coalesce(max(position), 0) + 1, {greatest}(coalesce(max(at), 0), {}), $1, $2, $3, $4, $5 \
         FROM @entries RETURNING position",
        db.now()
    );
    let values = [
        done.actor.as_str().into(),
        done.action.into(),
        done.subject.as_str().into(),
        done.detail.to_string().into(),
        note.into(),
    ];
    let row = on.query_one(db.statement(&sql, values)).await?;
    let row = row.ok_or_else(|| Error::Database("the record gave no position".to_owned()))?;
    Ok(row.try_get_by_index(0)?)
}

/// Records an operation that changes nothing else.
pub async fn add(db: &Db, done: &Operation) -> Result<(), Error> {
    let tx = db.connection.begin().await?;
    record(db, &tx, done).await?;
    tx.commit().await?;
    Ok(())
}

/// Records a note on an event (`event` in its details); the bound that it would break instead, and nothing is recorded.
pub async fn add_note(db: &Db, done: &Operation) -> Result<Option<i64>, Error> {
    let tx = db.connection.begin().await?;
    // Two notes at once are counted one after the other.
    lock(db, &tx).await?;
    // The action is a constant in the SQL, or no database would use the partial index on it.
    let sql = format!(
        "SELECT count(*), coalesce(sum(CASE WHEN detail LIKE $2 THEN 1 ELSE 0 END), 0) FROM @entries \
         WHERE action = '{EVENT_NOTE}' AND subject = $1"
    );
    let of_event = format!("%\"event\":{}%", done.detail["event"]);
    let row = tx.query_one(db.statement(&sql, [done.subject.as_str().into(), of_event.into()])).await?;
    let row = row.ok_or_else(|| Error::Database("a count gave no row".to_owned()))?;
    let counts: (i64, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    for (count, most) in [(counts.1, MOST_ON_EVENT), (counts.0, MOST_NOTES)] {
        if count >= most {
            tx.rollback().await?;
            return Ok(Some(most));
        }
    }
    record(db, &tx, done).await?;
    tx.commit().await?;
    Ok(None)
}

/// When readers last left a generation, by the record of moves; `None`: they never used it, or still do. It is
/// written in the transaction that moves the readers, so it exists even if the process died right after.
pub async fn left_at(db: &Db, projection: &str, number: i32) -> Result<Option<i64>, Error> {
    let sql = "SELECT at, subject, detail FROM @entries WHERE action IN ('swap', 'rollback') ORDER BY position DESC";
    let of = format!("{READ_MODEL}{projection}_");
    for row in db.connection.query_all(db.statement(sql, [])).await? {
        let (at, subject, detail): (i64, String, String) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let from = serde_json::from_str::<Value>(&detail).ok().and_then(|detail| detail["from"].as_i64());
        if subject.starts_with(&of) && from == Some(i64::from(number)) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The shortest reason, in characters.
const SHORTEST: usize = 3;

/// A reason that somebody gives in their own words, without the space around it; `None`: it is too short to be one.
pub fn reason(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|reason| reason.chars().count() >= SHORTEST)
}

/// The last lines of one action, or of all operations, the newest first, at most `most`.
pub async fn last_of(db: &Db, action: impl Into<Option<&str>>, most: u32) -> Result<Vec<Recorded>, Error> {
    match action.into() {
        Some(action) => lines(db, "action = $2", vec![action.into()], i64::from(most)).await,
        None => lines(db, &format!("action <> '{EVENT_NOTE}'"), Vec::new(), i64::from(most)).await,
    }
}

/// The notes on events of one stream, `<type>/<id>`, the newest first.
pub async fn notes_on(db: &Db, stream: &str) -> Result<Vec<Recorded>, Error> {
    // The action is a constant in the SQL, or no database would use the partial index on it.
    lines(db, &format!("action = '{EVENT_NOTE}' AND subject = $2"), vec![stream.into()], MOST_NOTES).await
}

/// At most `most` checks and acknowledgements of a sealed log before this position, the newest first.
pub(crate) async fn about_integrity(
    db: &Db,
    on: &impl ConnectionTrait,
    of: &str,
    (before, most): (i64, i64),
) -> Result<Vec<Recorded>, Error> {
    // The actions are constants in the SQL, or no database would use the partial index on them. SQLite knows nothing of
    // how the entries are spread, and would take the index on all subjects; it refuses an index that it cannot use.
    let index =
        if db.backend() == DatabaseBackend::Postgres { "" } else { " INDEXED BY entries_of_integrity" };
    let sql = format!(
        "SELECT position, at, actor, action, subject, detail, note FROM @entries{index} \
         WHERE action IN ('check', 'acknowledge') AND subject = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
    );
    let rows = on.query_all(db.statement(&sql, [of.into(), before.into(), most.into()])).await?;
    rows.iter().map(recorded).collect()
}

/// The lines at these positions.
pub async fn at(db: &Db, positions: &[i64]) -> Result<Vec<Recorded>, Error> {
    let mut lines = Vec::with_capacity(positions.len());
    for position in positions {
        let sql =
            "SELECT position, at, actor, action, subject, detail, note FROM @entries WHERE position = $1";
        let row = db.connection.query_one(db.statement(sql, [(*position).into()])).await?;
        lines.extend(row.as_ref().map(recorded).transpose()?);
    }
    Ok(lines)
}

fn recorded(row: &QueryResult) -> Result<Recorded, Error> {
    let detail: String = row.try_get_by_index(5)?;
    Ok(Recorded {
        position: row.try_get_by_index(0)?,
        at: row.try_get_by_index(1)?,
        actor: row.try_get_by_index(2)?,
        action: row.try_get_by_index(3)?,
        subject: row.try_get_by_index(4)?,
        detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
        note: row.try_get_by_index(6)?,
    })
}

/// Lines of the record, the newest first. `$1` is the limit; `values` are `$2`, `$3`, …
pub(crate) async fn lines(
    db: &Db,
    which: &str,
    values: Vec<sea_orm::Value>,
    most: i64,
) -> Result<Vec<Recorded>, Error> {
    let sql = format!(
        "SELECT position, at, actor, action, subject, detail, note FROM @entries \
         WHERE {which} ORDER BY position DESC LIMIT $1"
    );
    let values = std::iter::once(most.into()).chain(values);
    let rows = db.connection.query_all(db.statement(&sql, values)).await?;
    rows.iter().map(recorded).collect()
}
