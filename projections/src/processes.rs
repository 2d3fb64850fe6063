//! The work of process managers, as an operator sees it: each instance with its step, the command that waits and why,
//! and its timeouts; and a way to try a command again at once.
//!
//! This reads only the tables of the namespace `process`. Of a row that a newer release wrote, it shows what this
//! release understands.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DbErr, QueryResult, Value};
use serde::Serialize;
use soonshop_domain::process_managers;
use soonshop_event_log::checkpoint::{REACTOR, of_process};
use soonshop_event_log::{Checkpoint, Db, Error, EventLog, Leases};
use uuid::Uuid;

use crate::follower_status::{FollowerStatus, follower_status};
use crate::verdict::Trouble;

/// The most events of an instance's history that are read, from the first on.
pub const MOST_EVENTS: u64 = 200;

/// How long a timeout may be due before its instance counts as stuck, in milliseconds.
const OVERDUE: i64 = 60_000;

/// Which instances a query lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Instances with a command to send, a timeout to wait for, or a failure.
    #[default]
    Open,
    /// Instances whose command cannot be executed and waits, with a timeout that is overdue, or with a failure.
    Stuck,
    /// All, also those that are done.
    All,
}

/// An instance's key: the process's name and its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub process: String,
    pub instance: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.process, self.instance)
    }
}

/// A text that is not `PROCESS/INSTANCE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey;

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (process, instance) = text.split_once('/').ok_or(InvalidKey)?;
        Ok(Self { process: process.to_owned(), instance: instance.to_owned() })
    }
}

/// A query for a list of instances.
#[derive(Debug, Clone, Default)]
pub struct InstanceQuery {
    /// Of this process only.
    pub process: Option<String>,
    pub which: Which,
    /// Instances after this one, ordered by process and instance.
    pub after: Option<Key>,
    /// The most instances of one page.
    pub most: u64,
}

/// The first command that an instance has to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsent {
    pub number: i64,
    /// Its purpose, such as `reserve`; `None`: this release does not know it.
    pub purpose: Option<String>,
    /// The target's own key, such as a line's number.
    pub key: Option<String>,
    /// `<type>.<command>`; of several that are done in one append, the first.
    pub command_type: Option<String>,
    /// The stream that it is for.
    pub stream: Option<Uuid>,
    /// How many attempts failed.
    pub attempts: i64,
    /// Why it waits; `None`: it was not tried yet.
    pub reason: Option<String>,
    pub waiting_since: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
}

/// A command of an instance that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its purpose, such as `reserve`.
    pub purpose: Option<String>,
    /// The target's own key, such as a line's number.
    pub key: Option<String>,
    /// Why: a refusal's slug, such as `insufficient-stock`.
    pub slug: String,
    pub at: DateTime<Utc>,
}

/// A timeout of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timeout {
    /// As the process calls it, such as `confirmation`.
    pub name: String,
    /// When it fires.
    pub at: DateTime<Utc>,
}

/// An instance of a process manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    pub process: String,
    pub instance: String,
    /// The step, in one word; `None`: its state cannot be read, and `unreadable` says why.
    pub step: Option<String>,
    pub unreadable: Option<String>,
    /// When it reached this step; unknown if an earlier release wrote it.
    pub since: Option<DateTime<Utc>>,
    /// The aggregate that it is about.
    pub aggregate_type: Option<String>,
    pub aggregate_id: Option<Uuid>,
    /// Commands that it has to send.
    pub unsent: i64,
    /// The first of them.
    pub waits_with: Option<Unsent>,
    /// The last one that was refused.
    pub refused: Option<Refused>,
    /// How many of its commands were refused although they have to be done, and nobody has acknowledged that.
    pub failures: i64,
    /// The first of them.
    pub failed: Option<Refused>,
    /// When its next timeout fires.
    pub times_out_at: Option<DateTime<Utc>>,
    /// Its timeouts, the next one first.
    pub timeouts: Vec<Timeout>,
    /// A command cannot be executed and waits, a timeout is overdue, or there is a failure.
    pub stuck: bool,
}

impl Instance {
    /// The key from which the next page of a list continues.
    pub fn key(&self) -> Key {
        Key { process: self.process.clone(), instance: self.instance.clone() }
    }
}

/// An event that an instance has reacted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceEvent {
    pub position: i64,
    pub event_type: String,
    pub recorded_at: DateTime<Utc>,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
}

fn moment(millis: Option<i64>) -> Option<DateTime<Utc>> {
    millis.and_then(DateTime::from_timestamp_millis)
}

/// The failures that nobody has acknowledged.
const OPEN: &str = "acknowledged_at IS NULL";

/// The columns of one instance; `o` is its first unsent command, `f` its first failure.
fn select(db: &Db) -> String {
    format!(
        "SELECT i.process, i.instance, i.state, i.since, i.refused_task, i.refused_slug, i.refused_at, \
             (SELECT count(*) FROM @outbox n WHERE n.process = i.process AND n.instance = i.instance), \
             o.number, o.input, o.task, o.attempts, o.last_error, o.waiting_since, o.retry_at, \
             (SELECT min(t.due_at) FROM @timeouts t WHERE t.process = i.process AND t.instance = i.instance), {now}, \
             (SELECT count(*) FROM @failures n WHERE n.process = i.process AND n.instance = i.instance AND n.{OPEN}), \
             f.task, f.slug, f.failed_at \
         FROM @instances i \
         LEFT JOIN @outbox o ON o.process = i.process AND o.instance = i.instance AND o.number = \
             (SELECT min(m.number) FROM @outbox m WHERE m.process = i.process AND m.instance = i.instance) \
         LEFT JOIN @failures f ON f.process = i.process AND f.instance = i.instance AND f.number = \
             (SELECT min(m.number) FROM @failures m WHERE m.process = i.process AND m.instance = i.instance AND m.{OPEN})",
        now = db.now()
    )
}

fn read(row: &QueryResult) -> Result<Instance, Error> {
    let (process, instance): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let known = process_managers::find(&process);
    let state: String = row.try_get_by_index(2)?;
    let (step, unreadable) = match known.as_ref().map(|known| known.step(&state)) {
        Some(Ok(step)) => (Some(step.to_owned()), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, Some(format!("this release knows no process {process}"))),
    };
    let subject = known.as_ref().and_then(|known| known.subject(&instance));
    let named = |task: &str| {
        let named = known.as_ref().and_then(|known| known.purpose(task).ok());
        named.map_or((None, None), |(purpose, key)| {
            (Some(purpose.to_owned()), Some(key).filter(|key| !key.is_empty()))
        })
    };
    let number: Option<i64> = row.try_get_by_index(8)?;
    let waits_with = match number {
        Some(number) => {
            let (input, task): (String, String) = (row.try_get_by_index(9)?, row.try_get_by_index(10)?);
            let (purpose, key) = named(&task);
            let targets =
                known.as_ref().and_then(|known| known.command(&instance, input.parse().ok()?, &task).ok());
            let target = targets.and_then(|(_, targets)| targets.into_iter().next());
            Some(Unsent {
                number,
                purpose,
                key,
                command_type: target.as_ref().map(|target| target.command_type.to_owned()),
                stream: target.map(|target| target.stream),
                attempts: row.try_get_by_index(11)?,
                reason: row.try_get_by_index(12)?,
                waiting_since: moment(row.try_get_by_index(13)?),
                retry_at: moment(row.try_get_by_index(14)?),
            })
        }
        None => None,
    };
    let refused = |task: Option<String>, slug: Option<String>, at: Option<i64>| {
        let (purpose, key) = named(&task?);
        Some(Refused { purpose, key, slug: slug?, at: moment(at)? })
    };
    let last = refused(row.try_get_by_index(4)?, row.try_get_by_index(5)?, row.try_get_by_index(6)?);
    let failures: i64 = row.try_get_by_index(17)?;
    let failed = refused(row.try_get_by_index(18)?, row.try_get_by_index(19)?, row.try_get_by_index(20)?);
    let (due_at, now): (Option<i64>, i64) = (row.try_get_by_index(15)?, row.try_get_by_index(16)?);
    let waits = waits_with.as_ref().is_some_and(|unsent| unsent.waiting_since.is_some());
    Ok(Instance {
        step,
        unreadable,
        since: moment(row.try_get_by_index(3)?),
        aggregate_type: subject.map(|(kind, _)| kind.to_owned()),
        aggregate_id: subject.map(|(_, id)| id),
        unsent: row.try_get_by_index(7)?,
        waits_with,
        refused: last,
        failures,
        failed,
        times_out_at: moment(due_at),
        timeouts: Vec::new(),
        stuck: waits || failures > 0 || due_at.is_some_and(|due| due < now - OVERDUE),
        process,
        instance,
    })
}

/// Adds the timeouts of instances that have some.
async fn add_timeouts(db: &Db, instances: &mut [Instance]) -> Result<(), Error> {
    let mut waiting: HashMap<Key, &mut Instance> = HashMap::new();
    for one in instances.iter_mut().filter(|one| one.times_out_at.is_some()) {
        waiting.insert(one.key(), one);
    }
    let keys: Vec<Key> = waiting.keys().cloned().collect();
    for chunk in keys.chunks(200) {
        let places: Vec<String> =
            (1..=chunk.len()).map(|n| format!("(${}, ${})", 2 * n - 1, 2 * n)).collect();
        let sql = format!(
            "SELECT process, instance, name, due_at FROM @timeouts \
             WHERE (process, instance) IN (VALUES {}) ORDER BY due_at, name",
            places.join(", ")
        );
        let values =
            chunk.iter().flat_map(|key| [Value::from(key.process.as_str()), key.instance.as_str().into()]);
        for row in db.connection.query_all(db.statement(&sql, values)).await? {
            let key = Key { process: row.try_get_by_index(0)?, instance: row.try_get_by_index(1)? };
            let (name, due_at): (String, i64) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let timeout = moment(Some(due_at)).map(|at| Timeout { name: name_of(&key.process, name), at });
            if let Some(one) = waiting.get_mut(&key) {
                one.timeouts.extend(timeout);
            }
        }
    }
    Ok(())
}

/// The name of a timeout; one that a release before names has set has the first name of its process.
fn name_of(process: &str, stored: String) -> String {
    if !stored.is_empty() {
        return stored;
    }
    let known = process_managers::find(process);
    known.and_then(|known| known.timeouts().first().copied()).unwrap_or_default().to_owned()
}

fn among(outbox: &str, timeouts: &str) -> String {
    format!(
        "(i.process, i.instance) IN (SELECT process, instance FROM @outbox {outbox} \
         UNION SELECT process, instance FROM @timeouts {timeouts} \
         UNION SELECT process, instance FROM @failures WHERE {OPEN})"
    )
}

/// Instances ordered by process and instance, and the key of the last one if there are more. `db` is the namespace
/// `process`.
pub async fn list(db: &Db, query: &InstanceQuery) -> Result<(Vec<Instance>, Option<Key>), Error> {
    let mut values: Vec<Value> = Vec::new();
    let mut expected = Vec::new();
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    if let Some(process) = &query.process {
        expected.push(format!("i.process = {}", place(process.as_str().into())));
    }
    match query.which {
        // By far the most instances are done: open ones are found through their unsent commands, timeouts and failures.
        Which::Open => expected.push(among("", "")),
        Which::Stuck => {
            let overdue = format!("WHERE due_at < {} - {OVERDUE}", db.now());
            expected.push(among("WHERE waiting_since IS NOT NULL", &overdue));
        }
        Which::All => {}
    }
    if let Some(Key { process, instance }) = &query.after {
        let (same, name) = (place(process.as_str().into()), place(instance.as_str().into()));
        expected.push(format!("(i.process > {same} OR (i.process = {same} AND i.instance > {name}))"));
    }
    let expected =
        if expected.is_empty() { String::new() } else { format!(" WHERE {}", expected.join(" AND ")) };
    let most = usize::try_from(query.most.max(1)).unwrap_or(usize::MAX);
    let sql =
        format!("{}{expected} ORDER BY i.process, i.instance LIMIT {}", select(db), most.saturating_add(1));
    let rows = db.connection.query_all(db.statement(&sql, values)).await?;
    let mut instances = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let more = instances.len() > most;
    instances.truncate(most);
    add_timeouts(db, &mut instances).await?;
    let next = if more { instances.last().map(Instance::key) } else { None };
    Ok((instances, next))
}

/// One instance; `None`: there is none of this name.
pub async fn show(db: &Db, key: &Key) -> Result<Option<Instance>, Error> {
    let sql = format!("{} WHERE i.process = $1 AND i.instance = $2", select(db));
    let values = [key.process.as_str().into(), key.instance.as_str().into()];
    let row = db.connection.query_one(db.statement(&sql, values)).await?;
    let mut found: Vec<_> = row.iter().map(read).collect::<Result<_, _>>()?;
    add_timeouts(db, &mut found).await?;
    Ok(found.pop())
}

/// The events of the aggregate that the instance is about, in the order of the log.
pub async fn history(log: &EventLog, instance: &Instance) -> Result<Vec<InstanceEvent>, Error> {
    let (Some(kind), Some(id)) = (&instance.aggregate_type, instance.aggregate_id) else {
        return Ok(Vec::new());
    };
    let db = log.db();
    let micros = |column: &str| match db.backend() {
        sea_orm::DatabaseBackend::Postgres => format!("(extract(epoch FROM {column}) * 1000000)::bigint"),
        _ => column.to_owned(),
    };
    let (recorded, occurred) = (micros("recorded_at"), micros("occurred_at"));
    let sql = format!(
        "SELECT position, event_type, {recorded}, {occurred} FROM @events \
         WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence LIMIT {MOST_EVENTS}"
    );
    let rows =
        db.connection.query_all(db.statement(&sql, [kind.as_str().into(), id.to_string().into()])).await?;
    let heard = |row: &QueryResult| {
        let at = |index| -> Result<_, DbErr> {
            let micros = row.try_get_by_index(index)?;
            Ok(DateTime::from_timestamp_micros(micros).unwrap_or_default())
        };
        Ok(InstanceEvent {
            position: row.try_get_by_index(0)?,
            event_type: row.try_get_by_index(1)?,
            recorded_at: at(2)?,
            occurred_at: at(3)?,
        })
    };
    rows.iter().map(heard).collect()
}

/// How far a process manager is, and what work it has.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub name: String,
    /// `running`, `stopped` or `off`, as last recorded.
    pub state: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    #[serde(flatten)]
    pub progress: FollowerStatus,
    /// Commands that it has to send.
    pub unsent: i64,
    /// Those among them that have to wait.
    pub waiting: i64,
    /// Commands that were refused although they have to be done, and that nobody has acknowledged.
    pub failures: i64,
}

impl Status {
    /// The name of its checkpoint and its lease.
    pub fn follower(&self) -> String {
        of_process(&self.name)
    }
}

/// Every process manager that has started on this log.
pub async fn statuses(log: &EventLog) -> Result<Vec<Status>, Error> {
    match find_statuses(log).await {
        // Missing rights are reported as a complaint; a database that is down fails the whole request.
        Err(error @ (Error::Database(_) | Error::Damaged(_))) => Ok(vec![Status {
            name: "processes".to_owned(),
            state: "unknown".to_owned(),
            since: None,
            progress: FollowerStatus::new(None, (0, 0.0), Some(Trouble::Other { detail: error.to_string() })),
            unsent: 0,
            waiting: 0,
            failures: 0,
        }]),
        found => found,
    }
}

async fn find_statuses(log: &EventLog) -> Result<Vec<Status>, Error> {
    let db = log.db().beside("process")?;
    let leases = Leases::new(db.clone(), "");
    let sql = "SELECT c.follower, p.state, p.reason, p.since FROM @checkpoints c \
               LEFT JOIN @processes p ON c.follower = $1 || p.process WHERE c.follower LIKE $2 ORDER BY c.follower";
    let values = [REACTOR.into(), format!("{REACTOR}%").into()];
    let rows = db.connection.query_all(db.statement(sql, values)).await?;
    let sql = "SELECT process, count(*), count(waiting_since) FROM @outbox GROUP BY process";
    let mut counts: HashMap<String, (i64, i64)> = HashMap::new();
    for row in db.connection.query_all(db.statement(sql, [])).await? {
        counts.insert(row.try_get_by_index(0)?, (row.try_get_by_index(1)?, row.try_get_by_index(2)?));
    }
    let sql = format!("SELECT process, count(*) FROM @failures WHERE {OPEN} GROUP BY process");
    let mut failed: HashMap<String, i64> = HashMap::new();
    for row in db.connection.query_all(db.statement(&sql, [])).await? {
        failed.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let follower: String = row.try_get_by_index(0)?;
        let (state, reason): (Option<String>, Option<String>) =
            (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        // A process manager that an earlier release started has no row yet.
        let state = state.unwrap_or_else(|| "running".to_owned());
        let at = async {
            let at = Checkpoint::load(&db, &db.connection, &follower).await?.map(|(at, _)| at);
            if let Some(at) = &at {
                // This also checks that the log is still the same one.
                at.rows_after(log, &follower, 1).await?;
            }
            Ok(at)
        };
        let mut progress = follower_status(log, at.await).await?;
        match state.as_str() {
            "stopped" => {
                let message = reason.map(|detail| Trouble::Other { detail });
                let found = message.or_else(|| progress.trouble.take());
                progress.set_trouble(found);
            }
            // It is switched off, so being behind is no complaint.
            "off" => progress.set_trouble(None),
            _ => {}
        }
        let name = follower[REACTOR.len()..].to_owned();
        let (unsent, waiting) = counts.get(&name).copied().unwrap_or_default();
        progress.holder = leases.holder(&follower).await?;
        let (since, failures) =
            (moment(row.try_get_by_index(3)?), failed.get(&name).copied().unwrap_or_default());
        all.push(Status { name, state, since, progress, unsent, waiting, failures });
    }
    Ok(all)
}

/// The failures of all instances that nobody has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// How many there are.
    pub count: i64,
    /// The first instances that have some, with the first failure of each.
    pub first: Vec<Instance>,
}

/// The failures that nobody has acknowledged, with at most `most` of their instances. `db` is the namespace `process`.
pub async fn failures(db: &Db, most: u64) -> Result<Failures, Error> {
    let sql = format!("SELECT count(*) FROM @failures WHERE {OPEN}");
    let row = db.connection.query_one(db.statement(&sql, [])).await?;
    let count = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    if count == 0 {
        return Ok(Failures { count, first: Vec::new() });
    }
    let sql = format!(
        "{} WHERE (i.process, i.instance) IN (SELECT process, instance FROM @failures WHERE {OPEN}) \
         ORDER BY i.process, i.instance LIMIT {most}",
        select(db)
    );
    let rows = db.connection.query_all(db.statement(&sql, [])).await?;
    let mut first = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    add_timeouts(db, &mut first).await?;
    Ok(Failures { count, first })
}

/// Writes down that somebody knows the failures of an instance. How many they were.
pub async fn acknowledge(db: &Db, key: &Key) -> Result<u64, Error> {
    let sql = format!(
        "UPDATE @failures SET acknowledged_at = {} WHERE process = $1 AND instance = $2 AND {OPEN}",
        db.now()
    );
    let values = [key.process.as_str().into(), key.instance.as_str().into()];
    Ok(db.connection.execute(db.statement(&sql, values)).await?.rows_affected())
}

/// Makes the process manager try the first command of an instance again at once. False: it has none.
pub async fn retry(db: &Db, key: &Key) -> Result<bool, Error> {
    let sql = format!(
        "UPDATE @outbox SET retry_at = {} WHERE process = $1 AND instance = $2 AND number = \
         (SELECT min(m.number) FROM @outbox m WHERE m.process = $1 AND m.instance = $2)",
        db.now()
    );
    let values = [key.process.as_str().into(), key.instance.as_str().into()];
    Ok(db.connection.execute(db.statement(&sql, values)).await?.rows_affected() == 1)
}
