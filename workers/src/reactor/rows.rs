//! The stored rows of one process manager: instances, commands to send, timeouts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};
use soonshop_domain::process::{Input, Process, Reaction, Unreadable};
use soonshop_event_log::{Db, Error, Stopped, places};
use uuid::Uuid;

/// The rows of one process manager.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) db: &'a Db,
    pub(super) process: &'static str,
}

/// The columns beside a task in its row: who caused it, and the event it follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Causes {
    pub(super) causation_id: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) on_behalf_of: Option<String>,
    pub(super) traceparent: Option<String>,
}

/// A command to send.
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) input: Uuid,
    pub(super) task: String,
    pub(super) causes: Arc<Causes>,
    /// How often it had to wait.
    pub(super) attempts: i64,
}

/// A timeout that is due.
pub(super) struct Due {
    pub(super) instance: String,
    /// Empty: a release before timeouts had names has set it.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) causes: Arc<Causes>,
}

/// An instance, as it has become.
#[derive(Default)]
pub(super) struct Instance {
    /// `None`: nothing has concerned it yet.
    state: Option<String>,
    /// The number of its last command.
    last: i64,
    changed: bool,
    new_step: bool,
    /// Task and slug of the last command that was refused.
    refused: Option<(String, String)>,
}

impl Instance {
    /// Lets it react to an input. One that starts nothing makes no instance.
    pub(super) fn react(
        &mut self,
        process: &dyn Process,
        input: Input<'_, str>,
    ) -> Result<Reaction<String>, Unreadable> {
        let refused = match &input {
            Input::Refused { task, slug } => Some(((*task).to_owned(), (*slug).to_owned())),
            _ => None,
        };
        let before = match &self.state {
            Some(state) => state.clone(),
            None => process.initial()?,
        };
        let (state, reaction) = process.react(&before, input)?;
        if state != before || refused.is_some() || reaction != Reaction::default() {
            self.new_step |= self.state.is_none() || process.step(&before)? != process.step(&state)?;
            self.refused = refused.or_else(|| self.refused.take());
            self.state = Some(state);
            self.changed = true;
        }
        Ok(reaction)
    }

    /// The number of its next command.
    pub(super) fn next_number(&mut self) -> i64 {
        self.last += 1;
        self.changed = true;
        self.last
    }
}

fn broken(what: &str, error: impl std::fmt::Display) -> Stopped {
    Stopped::Log(Error::Database(format!("{what}: {error}")))
}

/// Deletes the commands of so many instances, of each up to a number. A list of conditions with OR would have SQLite read
/// every command that waits.
fn deleting(instances: usize) -> String {
    let places: Vec<String> = (1..=instances).map(|n| format!("(${}, ${})", 2 * n, 2 * n + 1)).collect();
    format!(
        "WITH sent(instance, number) AS (VALUES {}) DELETE FROM @outbox WHERE (process, instance, number) IN \
         (SELECT o.process, o.instance, o.number FROM sent CROSS JOIN @outbox o \
         WHERE o.process = $1 AND o.instance = sent.instance AND o.number <= sent.number)",
        places.join(", ")
    )
}

impl Rows<'_> {
    /// The instances that have something to send.
    pub(super) async fn unfinished(&self) -> Result<Vec<String>, Stopped> {
        let sql = "SELECT DISTINCT instance FROM @outbox WHERE process = $1";
        let rows = self.db.connection.query_all(self.db.statement(sql, [self.process.into()])).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// The instances whose waiting command may be retried now.
    pub(super) async fn waiting(&self) -> Result<Vec<String>, Stopped> {
        let sql = format!(
            "SELECT DISTINCT instance FROM @outbox WHERE process = $1 AND retry_at <= {} LIMIT 500",
            self.db.now()
        );
        let rows = self.db.connection.query_all(self.db.statement(&sql, [self.process.into()])).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    /// The unsent commands of an instance after that number, in order.
    pub(super) async fn unsent(&self, instance: &str, after: i64) -> Result<Vec<Row>, Stopped> {
        let sql = "SELECT number, input, task, causation_id, correlation_id, on_behalf_of, traceparent, attempts \
                   FROM @outbox WHERE process = $1 AND instance = $2 AND number > $3 ORDER BY number";
        let values = [self.process.into(), instance.into(), after.into()];
        let rows = self.db.connection.query_all(self.db.statement(sql, values)).await?;
        let mut tasks = Vec::with_capacity(rows.len());
        for row in rows {
            let input: String = row.try_get_by_index(1)?;
            tasks.push(Row {
                number: row.try_get_by_index(0)?,
                input: input.parse().map_err(|error| broken("the input of a command", error))?,
                task: row.try_get_by_index(2)?,
                causes: Arc::new(Causes {
                    causation_id: row.try_get_by_index(3)?,
                    correlation_id: row.try_get_by_index(4)?,
                    on_behalf_of: row.try_get_by_index(5)?,
                    traceparent: row.try_get_by_index(6)?,
                }),
                attempts: row.try_get_by_index(7)?,
            });
        }
        Ok(tasks)
    }

    /// Writes down why a command has to wait, and after how long it is tried again.
    pub(super) async fn put_off(
        &self,
        instance: &str,
        number: i64,
        reason: &str,
        pause: Duration,
    ) -> Result<(), Stopped> {
        let sql = format!(
            "UPDATE @outbox SET attempts = attempts + 1, last_error = $4, retry_at = {now} + $5, \
             waiting_since = coalesce(waiting_since, {now}) WHERE process = $1 AND instance = $2 AND number = $3",
            now = self.db.now()
        );
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        let values = [self.process.into(), instance.into(), number.into(), reason.into(), pause.into()];
        self.db.connection.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// Keeps a refused command as a failure.
    pub(super) async fn fail(
        &self,
        tx: &DatabaseTransaction,
        instance: &str,
        row: &Row,
        slug: &str,
    ) -> Result<(), Stopped> {
        let sql = format!(
            "INSERT INTO @failures (process, instance, number, task, slug, failed_at) VALUES ($1, $2, $3, $4, $5, {})",
            self.db.now()
        );
        let values =
            [self.process.into(), instance.into(), row.number.into(), row.task.as_str().into(), slug.into()];
        tx.execute(self.db.statement(&sql, values)).await?;
        Ok(())
    }

    /// Deletes the rows of each instance up to its number: they were sent.
    pub(super) async fn delete_sent(
        &self,
        on: &impl ConnectionTrait,
        sent: &[(String, i64)],
    ) -> Result<(), Stopped> {
        for chunk in sent.chunks(50) {
            let mut values: Vec<Value> = vec![self.process.into()];
            for (instance, number) in chunk {
                values.extend([instance.as_str().into(), (*number).into()]);
            }
            let sql = deleting(chunk.len());
            on.execute(self.db.statement(&sql, values)).await?;
        }
        Ok(())
    }

    /// Marks the timeouts that are due, with the head that is read after that; a timeout is ready once the checkpoint
    /// has passed its mark.
    pub(super) async fn due(
        &self,
        head: impl AsyncFnOnce() -> Result<i64, Error>,
        position: i64,
    ) -> Result<Vec<Due>, Stopped> {
        let db = self.db;
        let due = format!(
            "SELECT instance FROM @timeouts WHERE process = $1 AND due_at <= {} AND not_before IS NULL LIMIT 1",
            db.now()
        );
        if db.connection.query_one(db.statement(&due, [self.process.into()])).await?.is_some() {
            // Those that are due now; the head is read after that.
            let mark = format!(
                "UPDATE @timeouts SET not_before = -1 WHERE process = $1 AND due_at <= {} AND not_before IS NULL",
                db.now()
            );
            db.connection.execute(db.statement(&mark, [self.process.into()])).await?;
        }
        let marked = "SELECT 1 AS one FROM @timeouts WHERE process = $1 AND not_before = -1 LIMIT 1";
        if db.connection.query_one(db.statement(marked, [self.process.into()])).await?.is_some() {
            let sql = "UPDATE @timeouts SET not_before = $2 WHERE process = $1 AND not_before = -1";
            db.connection.execute(db.statement(sql, [self.process.into(), head().await?.into()])).await?;
        }
        let sql = "SELECT instance, id, causation_id, correlation_id, on_behalf_of, name FROM @timeouts \
                   WHERE process = $1 AND not_before >= 0 AND not_before <= $2 ORDER BY due_at, name LIMIT 100";
        let rows = db.connection.query_all(db.statement(sql, [self.process.into(), position.into()])).await?;
        let mut ready = Vec::with_capacity(rows.len());
        for row in rows {
            let causes = Arc::new(Causes {
                causation_id: row.try_get_by_index(2)?,
                correlation_id: row.try_get_by_index(3)?,
                on_behalf_of: row.try_get_by_index(4)?,
                traceparent: None,
            });
            let (instance, id) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            ready.push(Due { instance, name: row.try_get_by_index(5)?, id, causes });
        }
        Ok(ready)
    }

    /// The condition that a row is the timeout of that name. One without a name is the first.
    pub(super) fn named(process: &dyn Process, name: &str) -> String {
        let unnamed = if process.timeouts().first() == Some(&name) { ", ''" } else { "" };
        format!("name IN ('{name}'{unnamed})")
    }

    /// Deletes the rows of these instances that meet the condition.
    pub(super) async fn delete(
        &self,
        table: &str,
        condition: &str,
        of: &[String],
        tx: &DatabaseTransaction,
    ) -> Result<(), Stopped> {
        for chunk in of.chunks(200) {
            let places = places(2, chunk.len());
            let sql =
                format!("DELETE FROM @{table} WHERE process = $1 AND instance IN ({places}) AND {condition}");
            let values = std::iter::once(self.process.into()).chain(chunk.iter().map(Value::from));
            tx.execute(self.db.statement(&sql, values)).await?;
        }
        Ok(())
    }

    /// Removes a timeout as it fires. False: it was removed or replaced meanwhile.
    pub(super) async fn fire(&self, tx: &DatabaseTransaction, due: &Due) -> Result<bool, Stopped> {
        let sql = "DELETE FROM @timeouts WHERE process = $1 AND instance = $2 AND id = $3";
        let values = [self.process.into(), due.instance.as_str().into(), due.id.as_str().into()];
        Ok(tx.execute(self.db.statement(sql, values)).await?.rows_affected() == 1)
    }

    /// The existing instances among these keys.
    pub(super) async fn load(
        &self,
        tx: &DatabaseTransaction,
        keys: &[&str],
    ) -> Result<HashMap<String, Instance>, Stopped> {
        let mut instances = HashMap::new();
        for chunk in keys.chunks(500) {
            let sql = format!(
                "SELECT instance, state, next FROM @instances WHERE process = $1 AND instance IN ({})",
                places(2, chunk.len())
            );
            let values =
                std::iter::once(self.process.into()).chain(chunk.iter().map(|key| Value::from(*key)));
            for row in tx.query_all(self.db.statement(&sql, values)).await? {
                let instance = Instance {
                    state: row.try_get_by_index(1)?,
                    last: row.try_get_by_index(2)?,
                    ..Instance::default()
                };
                instances.insert(row.try_get_by_index(0)?, instance);
            }
        }
        Ok(instances)
    }

    /// Writes the instances that have changed.
    pub(super) async fn save(
        &self,
        tx: &DatabaseTransaction,
        instances: &HashMap<String, Instance>,
    ) -> Result<(), Stopped> {
        let changed: Vec<_> = instances.iter().filter(|(_, instance)| instance.changed).collect();
        for chunk in changed.chunks(200) {
            let mut values: Vec<Value> = vec![self.process.into()];
            let mut places = Vec::with_capacity(chunk.len());
            for (key, instance) in chunk {
                let mut place = |value: Value| {
                    values.push(value);
                    format!("${}", values.len())
                };
                let state = place(instance.state.clone().into());
                let (key, next) = (place(key.as_str().into()), place(instance.last.into()));
                let refused = match &instance.refused {
                    Some((task, slug)) => {
                        let (task, slug) = (place(task.as_str().into()), place(slug.as_str().into()));
                        format!("{task}, {slug}, {}", self.db.now())
                    }
                    None => "NULL, NULL, NULL".to_owned(),
                };
                let since = if instance.new_step { self.db.now() } else { "NULL" };
                places.push(format!("($1, {key}, {state}, {next}, {since}, {refused})"));
            }
            let sql = format!(
                "INSERT INTO @instances (process, instance, state, next, since, refused_task, refused_slug, refused_at) \
                 VALUES {} ON CONFLICT (process, instance) DO UPDATE SET state = excluded.state, next = excluded.next, \
                 since = coalesce(excluded.since, instances.since), \
                 refused_task = coalesce(excluded.refused_task, instances.refused_task), \
                 refused_slug = coalesce(excluded.refused_slug, instances.refused_slug), \
                 refused_at = coalesce(excluded.refused_at, instances.refused_at)",
                places.join(", ")
            );
            tx.execute(self.db.statement(&sql, values)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use soonshop_event_log::{Database, DatabaseLocation};
    use soonshop_migrations::Namespace;

    use super::*;

    async fn tables(folder: &Path) -> Db {
        let database = Database::new(DatabaseLocation::Sqlite(folder.to_owned()));
        let db = database.namespace(Namespace::Process.name()).unwrap();
        soonshop_migrations::migrate(Namespace::Process, &db.connection).await.unwrap();
        db
    }

    #[tokio::test]
    async fn a_timeout_that_is_due_waits_for_the_head_that_was_read_then() {
        let folder = tempfile::tempdir().unwrap();
        let db = tables(folder.path()).await;
        let due =
            "INSERT INTO @timeouts (process, instance, id, due_at) VALUES ('fulfilment', 'one', 'first', 1)";
        db.connection.execute(db.statement(due, [])).await.unwrap();
        let rows = Rows { db: &db, process: "fulfilment" };
        let ready = async |head: i64, at: i64| rows.due(async || Ok(head), at).await.unwrap().len();
        assert_eq!(ready(9, 8).await, 0, "an event is not read yet");
        assert_eq!(ready(20, 8).await, 0);
        assert_eq!(ready(20, 9).await, 1, "later events do not hold it up");
    }

    #[tokio::test]
    async fn sent_commands_are_deleted_without_reading_those_that_wait() {
        let folder = tempfile::tempdir().unwrap();
        let db = tables(folder.path()).await;
        let sql = format!("EXPLAIN QUERY PLAN {}", deleting(50));
        let rows = db.connection.query_all(db.statement(&sql, [])).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
        let (searches, others): (Vec<_>, Vec<_>) = plan.iter().partition(|step| step.starts_with("SEARCH"));
        assert!(searches.len() >= 2, "{plan:?}");
        assert!(
            searches.iter().all(|step| step.contains("(process=? AND instance=? AND number")),
            "{plan:?}"
        );
        assert!(!others.iter().any(|step| step.contains("outbox")), "{plan:?}");
    }
}
