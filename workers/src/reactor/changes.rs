//! Reactions of instances, gathered in memory and written together: a few statements for a page of events.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Value};
use soonshop_domain::ids;
use soonshop_domain::process::Reaction;
use soonshop_event_log::Stopped;
use uuid::Uuid;

use super::rows::{Causes, Instance, Row, Rows};

/// From how many commands on they are written, before others are added.
const MANY: usize = 10_000;

/// How many rows one statement writes.
const ROWS: usize = 200;

/// A timeout to store.
struct Wake {
    id: Uuid,
    /// After how many seconds it is due.
    after: i64,
    causes: Arc<Causes>,
}

/// The changes of some reactions beside the instances.
#[derive(Default)]
pub(super) struct Changes {
    /// Instances whose stored commands are not to be sent any more.
    drop_unsent: HashSet<String>,
    /// Instances whose stored timeouts go.
    stop_waiting: HashSet<String>,
    wakes: HashMap<String, Wake>,
    /// In the order of the events.
    commands: Vec<(String, Row)>,
}

impl Changes {
    /// Adds the reaction of an instance to an input.
    pub(super) fn add(
        &mut self,
        key: &str,
        instance: &mut Instance,
        reaction: Reaction<String>,
        input: Uuid,
        causes: &Arc<Causes>,
    ) {
        if reaction.drop_unsent {
            self.commands.retain(|(of, _)| of != key);
            self.drop_unsent.insert(key.to_owned());
        }
        if reaction.stop_waiting || reaction.wake_after.is_some() {
            self.wakes.remove(key);
            self.stop_waiting.insert(key.to_owned());
        }
        if let Some(after) = reaction.wake_after {
            let id = ids::derived(ids::PROCESSES, &["timeout", &input.to_string()]);
            self.wakes.insert(key.to_owned(), Wake { id, after, causes: Arc::clone(causes) });
        }
        for task in reaction.tasks {
            let number = instance.next_number();
            self.commands
                .push((key.to_owned(), Row { number, input, task, causes: Arc::clone(causes), attempts: 0 }));
        }
    }

    /// They are to be written before others are added: an order of 1,500 lines has a command for each.
    pub(super) fn are_many(&self) -> bool {
        self.commands.len() >= MANY
    }

    /// Writes them, and returns the instances whose commands have changed, with the new commands in order. `None`: there
    /// are no new ones, and what was stored before is not to be sent.
    pub(super) async fn write(
        self,
        rows: &Rows<'_>,
        tx: &DatabaseTransaction,
    ) -> Result<Vec<(String, Option<Vec<Row>>)>, Stopped> {
        let dropped: Vec<String> = self.drop_unsent.into_iter().collect();
        let stopped: Vec<String> = self.stop_waiting.into_iter().collect();
        for (table, of) in [("outbox", &dropped), ("timeouts", &stopped)] {
            for chunk in of.chunks(ROWS) {
                let places: Vec<String> = (2..=chunk.len() + 1).map(|n| format!("${n}")).collect();
                let places = places.join(", ");
                let sql = format!("DELETE FROM @{table} WHERE process = $1 AND instance IN ({places})");
                let values = std::iter::once(rows.process.into()).chain(chunk.iter().map(Value::from));
                tx.execute(rows.db.statement(&sql, values)).await?;
            }
        }
        let wakes: Vec<(String, Wake)> = self.wakes.into_iter().collect();
        for chunk in wakes.chunks(ROWS) {
            let mut values: Vec<Value> = vec![rows.process.into()];
            let mut places = Vec::with_capacity(chunk.len());
            for (key, wake) in chunk {
                let first = values.len() + 1;
                let place = |n: usize| format!("${}", first + n);
                places.push(format!(
                    "($1, {}, {}, {} + {}, {}, {}, {})",
                    place(0),
                    place(1),
                    rows.db.now(),
                    place(2),
                    place(3),
                    place(4),
                    place(5)
                ));
                let causes = Causes::clone(&wake.causes);
                values.extend([
                    key.as_str().into(),
                    wake.id.to_string().into(),
                    (wake.after * 1_000).into(),
                    causes.causation_id.into(),
                    causes.correlation_id.into(),
                    causes.on_behalf_of.into(),
                ]);
            }
            let sql = format!(
                "INSERT INTO @timeouts (process, instance, id, due_at, causation_id, correlation_id, on_behalf_of) \
                 VALUES {}",
                places.join(", ")
            );
            tx.execute(rows.db.statement(&sql, values)).await?;
        }
        for chunk in self.commands.chunks(ROWS) {
            let mut values: Vec<Value> = vec![rows.process.into()];
            let mut places = Vec::with_capacity(chunk.len());
            for (key, row) in chunk {
                let first = values.len() + 1;
                let row_places: Vec<String> = (first..first + 8).map(|n| format!("${n}")).collect();
                places.push(format!("($1, {})", row_places.join(", ")));
                let causes = Causes::clone(&row.causes);
                values.extend([
                    key.as_str().into(),
                    row.number.into(),
                    row.input.to_string().into(),
                    row.task.as_str().into(),
                    causes.causation_id.into(),
                    causes.correlation_id.into(),
                    causes.on_behalf_of.into(),
                    causes.traceparent.into(),
                ]);
            }
            let sql = format!(
                "INSERT INTO @outbox (process, instance, number, input, task, causation_id, correlation_id, \
                 on_behalf_of, traceparent) VALUES {}",
                places.join(", ")
            );
            tx.execute(rows.db.statement(&sql, values)).await?;
        }
        let mut named: Vec<(String, Option<Vec<Row>>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (key, row) in self.commands {
            let place = *places.entry(key.clone()).or_insert_with(|| {
                named.push((key, None));
                named.len() - 1
            });
            named[place].1.get_or_insert_default().push(row);
        }
        named.extend(dropped.into_iter().filter(|key| !places.contains_key(key)).map(|key| (key, None)));
        Ok(named)
    }
}
