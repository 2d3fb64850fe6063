//! Reactions of instances, gathered in memory and written together: a few statements for a page of events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Value};
use soonshop_domain::process::{Process, Reaction, timeout_id};
use soonshop_event_log::{Stopped, places};
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

/// A timeout of an instance, by its name.
type Timeout = (&'static str, String);

/// The changes of some reactions beside the instances.
pub(super) struct Changes<'a> {
    process: &'a dyn Process,
    /// Instances whose stored commands are not to be sent any more.
    drop_unsent: HashSet<String>,
    /// Stored timeouts that go.
    stop_waiting: BTreeSet<Timeout>,
    wakes: BTreeMap<Timeout, Wake>,
    /// In the order of the events.
    commands: Vec<(String, Row)>,
}

impl<'a> Changes<'a> {
    /// None yet, of that process.
    pub(super) fn of(process: &'a dyn Process) -> Self {
        Self {
            process,
            drop_unsent: HashSet::new(),
            stop_waiting: BTreeSet::new(),
            wakes: BTreeMap::new(),
            commands: Vec::new(),
        }
    }

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
        for name in reaction.stop_waiting {
            self.wakes.remove(&(name, key.to_owned()));
            self.stop_waiting.insert((name, key.to_owned()));
        }
        for wake in reaction.wake_after {
            let timeout = (wake.name, key.to_owned());
            let id = timeout_id(self.process, input, wake.name);
            self.stop_waiting.insert(timeout.clone());
            self.wakes.insert(timeout, Wake { id, after: wake.seconds, causes: Arc::clone(causes) });
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
        rows.delete("outbox", "TRUE", &dropped, tx).await?;
        for name in self.process.timeouts() {
            let of_name = self.stop_waiting.iter().filter(|(of, _)| of == name);
            let stopped: Vec<String> = of_name.map(|(_, key)| key.clone()).collect();
            rows.delete("timeouts", &Rows::named(self.process, name), &stopped, tx).await?;
        }
        let wakes: Vec<(Timeout, Wake)> = self.wakes.into_iter().collect();
        for chunk in wakes.chunks(ROWS) {
            let mut values: Vec<Value> = vec![rows.process.into()];
            let mut places = Vec::with_capacity(chunk.len());
            for ((name, key), wake) in chunk {
                let first = values.len() + 1;
                let place = |n: usize| format!("${}", first + n);
                places.push(format!(
                    "($1, {}, {}, {}, {} + {}, {}, {}, {})",
                    place(0),
                    place(1),
                    place(2),
                    rows.db.now(),
                    place(3),
                    place(4),
                    place(5),
                    place(6)
                ));
                let causes = Causes::clone(&wake.causes);
                values.extend([
                    key.as_str().into(),
                    (*name).into(),
                    wake.id.to_string().into(),
                    (wake.after * 1_000).into(),
                    causes.causation_id.into(),
                    causes.correlation_id.into(),
                    causes.on_behalf_of.into(),
                ]);
            }
            let sql = format!(
                "INSERT INTO @timeouts (process, instance, name, id, due_at, causation_id, correlation_id, \
                 on_behalf_of) VALUES {}",
                places.join(", ")
            );
            tx.execute(rows.db.statement(&sql, values)).await?;
        }
        for chunk in self.commands.chunks(ROWS) {
            let mut values: Vec<Value> = vec![rows.process.into()];
            let mut given = Vec::with_capacity(chunk.len());
            for (key, row) in chunk {
                let first = values.len() + 1;
                given.push(format!("($1, {})", places(first, 8)));
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
                given.join(", ")
            );
            tx.execute(rows.db.statement(&sql, values)).await?;
        }
        let mut named: Vec<(String, Option<Vec<Row>>)> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for (key, row) in self.commands {
            let place = *at.entry(key.clone()).or_insert_with(|| {
                named.push((key, None));
                named.len() - 1
            });
            named[place].1.get_or_insert_default().push(row);
        }
        named.extend(dropped.into_iter().filter(|key| !at.contains_key(key)).map(|key| (key, None)));
        Ok(named)
    }
}
