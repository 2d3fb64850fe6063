//! Runs the process manager: follows the log, stores what each instance wants to do in the transaction of its
//! checkpoint, and sends it, in order and one command at a time per instance, until it is done or refused.
//!
//! Command ids come from the input, so sending twice is doing once. Whoever is killed anywhere goes on from the rows.
//! The protocol between the tasks: the reader and the clock write rows and name the instance; a worker per named
//! instance sends its rows; changes of an instance's state are serialized by one lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait as _, Value};
use soonshop_domain::fulfilment::{self, Fulfilment, Input, Reaction, Target, Task};
use soonshop_domain::ids::OrderId;
use soonshop_domain::{Actor, Channel, Classified, Event, Metadata, ids, inventory, order};
use soonshop_event_log::{
    Checkpoint, Db, Error, EventLog, Lease, Leases, RecordedEvent, Stopped, StoredEvent,
};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Whose, purged};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::relay::{longest_pause, news};

/// The follower's name: of its lease and its checkpoint.
pub const NAME: &str = "reactor:fulfilment";

/// Instances whose commands are sent at the same time.
const WORKERS: usize = 64;

/// The shortest and the longest pause before a command is sent again.
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(2);

/// The most events of one transaction.
const PAGE: i64 = 500;

pub struct Reactor {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    pub holder: String,
}

/// What stands beside a task in its row: whose doing it is, and what it follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Causes {
    causation_id: Option<String>,
    correlation_id: Option<String>,
    on_behalf_of: Option<String>,
    traceparent: Option<String>,
}

/// A command to send.
struct Row {
    number: i64,
    input: Uuid,
    task: Task,
    causes: Causes,
}

/// What became of a command.
enum Sent {
    Done,
    Refused(String),
    /// Not now.
    Unavailable(String),
}

/// What of a page concerns the process, and how far it goes.
struct Page {
    inputs: Vec<RecordedEvent>,
    to: Option<Checkpoint>,
}

/// Picks the events of orders, up to the first that this release does not know. What is personal in them stays sealed:
/// it is none of a process's business, and a key store that is down stops no process.
fn inputs(log: &EventLog, rows: Vec<StoredEvent>) -> (Page, Option<Stopped>) {
    let mut page = Page { inputs: Vec::new(), to: None };
    for row in rows {
        let at = Checkpoint::at(row.position, row.event_id);
        if row.aggregate_type == "order" {
            match log.decode_row(row) {
                Some(Ok(event)) => page.inputs.push(event),
                Some(Err(reason)) => {
                    return (page, Some(Stopped::UnknownEvent { position: at.position, reason }));
                }
                None => {}
            }
        }
        page.to = Some(at);
    }
    (page, None)
}

impl Reactor {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let reactor = Arc::new(self);
        let follow =
            |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(reactor.follow(lease, &stop)) };
        leases.hold(NAME, &stop, follow, |_| Box::pin(async {})).await;
    }

    /// Where the process starts: at the beginning of a log that is empty, at the head of any other.
    pub async fn begin(log: &EventLog, process: &Db) -> Result<(), Error> {
        let head = log.head().await?;
        if Checkpoint::load(process, &process.connection, NAME).await?.is_none() {
            if head.position > 0 {
                tracing::warn!(position = head.position, "{NAME} is new to this log and starts at its head");
            }
            head.begin(process, &process.connection, NAME).await?;
        }
        Ok(())
    }

    /// Whether it is where records of its commands may be gone: what it stores came back from a backup that is older
    /// than they are kept. A process that lives is never there: nothing is purged that is younger than its checkpoint.
    pub async fn too_old(log: &EventLog, process: &Db) -> Result<Option<Stopped>, Error> {
        let Some((at, _)) = Checkpoint::load(process, &process.connection, NAME).await? else {
            return Ok(None);
        };
        let Some(purged) = purged(log.db(), Whose::Processes).await? else { return Ok(None) };
        let there = log.read(at.position, 1).await?.into_iter().find(|row| Some(row.event_id) == at.event_id);
        let too_old = match (at.event_id, there) {
            // It has read nothing yet, of what was done with long ago.
            (None, _) => true,
            (Some(_), Some(event)) => event.recorded_at <= purged,
            // Another event stands there: that is what it stops for.
            (Some(_), None) => false,
        };
        Ok(too_old.then(|| Stopped::TooOld { follower: NAME.to_owned(), position: at.position, purged }))
    }

    async fn follow(self: &Arc<Self>, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = &self.process;
        Self::begin(self.store.log(), db).await?;
        if !Checkpoint::fence(db, &db.connection, NAME, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        if let Some(too_old) = Self::too_old(self.store.log(), db).await? {
            return Err(too_old);
        }
        let (mut checkpoint, _) = Checkpoint::load(db, &db.connection, NAME).await?.ok_or(Stopped::Lost)?;
        let (names, instances) = mpsc::unbounded_channel();
        // Whatever ends this function ends the workers: none of them outlives the lease by more than one command.
        let local = stop.child_token();
        let guard = local.clone().drop_guard();
        let position = watch::channel(checkpoint.position).0;
        let lock = Arc::new(Mutex::new(()));
        let work = Work {
            reactor: Arc::clone(self),
            lock,
            names,
            epoch: lease.epoch,
            stop: local.clone(),
            read: CancellationToken::new(),
        };
        for instance in self.unfinished().await? {
            work.name(instance);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(work.clone().dispatch(instances));
        tasks.spawn(work.clone().clock(position.subscribe()));
        let read = async {
            let mut appended = self.store.appended();
            let longest = longest_pause(self.store.log());
            let mut pause = Duration::from_millis(1);
            while !stop.is_cancelled() {
                let rows = checkpoint.rows_after(self.store.log(), NAME, PAGE).await?;
                if rows.is_empty() {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = news(&mut appended) => pause = Duration::from_millis(1),
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
                    }
                    continue;
                }
                pause = Duration::from_millis(1);
                let (page, unknown) = inputs(self.store.log(), rows);
                if let Some(to) = page.to {
                    checkpoint = work.react(&page.inputs, &checkpoint, to).await?;
                    position.send_replace(checkpoint.position);
                }
                if let Some(stopped) = unknown {
                    return Err(stopped);
                }
            }
            Ok(())
        };
        let outcome = tokio::select! {
            outcome = read => outcome,
            stopped = ended(&mut tasks) => Err(stopped),
        };
        if let Err(Stopped::UnknownEvent { .. }) = outcome {
            // What was read before it is sent first: each time that it is met again would end before that.
            work.read.cancel();
            match ended(&mut tasks).await {
                Stopped::Lost => {}
                stopped => {
                    tracing::warn!(reason = %stopped, "not everything was sent of what comes before it");
                }
            }
        }
        drop(guard);
        while tasks.join_next().await.is_some() {}
        outcome
    }

    async fn unfinished(&self) -> Result<Vec<String>, Stopped> {
        let db = &self.process;
        let sql = "SELECT DISTINCT instance FROM @outbox WHERE process = $1";
        let rows = db.connection.query_all(db.statement(sql, [fulfilment::NAME.into()])).await?;
        Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
    }

    async fn rows(&self, instance: &str, after: i64) -> Result<Vec<Row>, Stopped> {
        let db = &self.process;
        let sql = "SELECT number, input, task, causation_id, correlation_id, on_behalf_of, traceparent FROM @outbox \
                   WHERE process = $1 AND instance = $2 AND number > $3 ORDER BY number";
        let values = [fulfilment::NAME.into(), instance.into(), after.into()];
        let rows = db.connection.query_all(db.statement(sql, values)).await?;
        let mut tasks = Vec::with_capacity(rows.len());
        for row in rows {
            let (input, task): (String, String) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            let broken = |error: String| Stopped::Log(Error::Database(format!("a command to send: {error}")));
            tasks.push(Row {
                number: row.try_get_by_index(0)?,
                input: input.parse().map_err(|error: uuid::Error| broken(error.to_string()))?,
                task: serde_json::from_str(&task).map_err(|error| broken(error.to_string()))?,
                causes: Causes {
                    causation_id: row.try_get_by_index(3)?,
                    correlation_id: row.try_get_by_index(4)?,
                    on_behalf_of: row.try_get_by_index(5)?,
                    traceparent: row.try_get_by_index(6)?,
                },
            });
        }
        Ok(tasks)
    }

    async fn send(&self, order: OrderId, row: &Row) -> Sent {
        let id = row.task.command_id(order, row.input);
        let task = match serde_json::to_vec(&row.task) {
            Ok(task) => task,
            Err(error) => return Sent::Unavailable(error.to_string()),
        };
        let parts: [&[u8]; 3] = [fulfilment::NAME.as_bytes(), order.0.as_bytes(), &task];
        let fingerprint = match self.store.keys().fingerprint(&parts).await {
            Ok(fingerprint) => fingerprint,
            Err(error) => return Sent::Unavailable(error.to_string()),
        };
        let actor = Actor::system(fulfilment::NAME);
        let parsed = |id: &Option<String>| id.as_deref().and_then(|id| id.parse().ok());
        let metadata = |command: &str| Metadata {
            correlation_id: parsed(&row.causes.correlation_id),
            causation_id: parsed(&row.causes.causation_id),
            command_type: Some(command.to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id.clone()),
            on_behalf_of: row.causes.on_behalf_of.clone(),
            channel: Some(Channel::Process),
            traceparent: row.causes.traceparent.clone(),
            ..Metadata::default()
        };
        let context = |command| CommandContext {
            record: true,
            ..CommandContext::new(id, fingerprint, metadata(command))
        };
        match row.task.clone().target(order) {
            Target::Stock(stream, at) => {
                let name = match at.command {
                    inventory::Command::Reserve { .. } => "stock.reserve",
                    inventory::Command::Release { .. } => "stock.release",
                    inventory::Command::Ship { .. } => "stock.ship",
                    _ => "stock.change",
                };
                outcome(self.store.execute::<inventory::Stock>(stream, at, context(name)).await)
            }
            Target::Order(order, command) => {
                let name = match command {
                    order::Command::Confirm => "order.confirm",
                    order::Command::Refuse { .. } => "order.refuse",
                    _ => "order.change",
                };
                outcome(self.store.execute::<order::Order>(order.0, command, context(name)).await)
            }
        }
    }
}

fn outcome<E: Classified>(result: Result<soonshop_event_store::Executed, ExecuteError<E>>) -> Sent {
    match result {
        Ok(_) => Sent::Done,
        Err(ExecuteError::Rejected(error)) => Sent::Refused(error.as_ref().to_owned()),
        Err(ExecuteError::RejectedBefore { slug, .. }) => Sent::Refused(slug),
        Err(ExecuteError::TooLarge { .. }) => Sent::Refused("event-too-large".to_owned()),
        Err(error) => Sent::Unavailable(error.to_string()),
    }
}

/// Why the first of them ended.
async fn ended(tasks: &mut JoinSet<Stopped>) -> Stopped {
    match tasks.join_next().await {
        Some(Ok(stopped)) => stopped,
        Some(Err(error)) => Stopped::Log(Error::Database(error.to_string())),
        None => Stopped::Lost,
    }
}

/// What the tasks of one lease share.
#[derive(Clone)]
struct Work {
    reactor: Arc<Reactor>,
    /// Held while states change.
    lock: Arc<Mutex<()>>,
    names: mpsc::UnboundedSender<String>,
    epoch: i64,
    stop: CancellationToken,
    /// Everything was read that this release can: what is there to send is sent as far as it can be just now, and
    /// nothing is waited for.
    read: CancellationToken,
}

impl Work {
    fn name(&self, instance: String) {
        // An error means that the dispatcher has ended; its rows are found again by whoever is next.
        drop(self.names.send(instance));
    }

    /// Lets every instance react to its events; states, commands and checkpoint move together.
    async fn react(
        &self,
        inputs: &[RecordedEvent],
        from: &Checkpoint,
        to: Checkpoint,
    ) -> Result<Checkpoint, Stopped> {
        let db = &self.reactor.process;
        let held = self.lock.lock().await;
        let tx = db.connection.begin().await?;
        if !from.advance(db, &tx, NAME, &to, self.epoch).await? {
            return Err(Stopped::Lost);
        }
        let ids: Vec<String> = inputs.iter().map(|event| event.stream.to_string()).collect();
        let mut states = load(db, &tx, &ids).await?;
        let mut named = Vec::new();
        for event in inputs {
            let Event::Order(input) = &event.event else { continue };
            let instance = event.stream.to_string();
            let state = states.entry(instance.clone()).or_default();
            let reaction = state.process.react(Input::Event(input));
            let metadata = event.metadata()?;
            let causes = Causes {
                causation_id: Some(event.event_id.to_string()),
                correlation_id: metadata.correlation_id.map(|id| id.to_string()),
                on_behalf_of: metadata
                    .on_behalf_of
                    .clone()
                    .or_else(|| metadata.actor().map(|actor| actor.to_string())),
                traceparent: metadata.traceparent,
            };
            if store(db, &tx, &instance, state, reaction, event.event_id, &causes).await? {
                named.push(instance);
            }
        }
        save(db, &tx, &states).await?;
        tx.commit().await?;
        drop(held);
        for instance in named {
            self.name(instance);
        }
        Ok(to)
    }

    /// Gives every named instance one worker at a time.
    async fn dispatch(self, mut instances: mpsc::UnboundedReceiver<String>) -> Stopped {
        let mut workers: JoinSet<(String, Result<(), Stopped>)> = JoinSet::new();
        // Instances at work; true: named again meanwhile.
        let mut active: HashMap<String, bool> = HashMap::new();
        // In the order of their naming, each once: never two workers for one instance.
        let mut waiting: VecDeque<String> = VecDeque::new();
        let mut queued: HashSet<String> = HashSet::new();
        loop {
            while active.len() < WORKERS
                && let Some(instance) = waiting.pop_front()
            {
                queued.remove(&instance);
                active.insert(instance.clone(), false);
                let work = self.clone();
                workers.spawn(async move {
                    let outcome = work.send_all(&instance).await;
                    (instance, outcome)
                });
            }
            let last = self.read.is_cancelled();
            if last && instances.is_empty() && active.is_empty() && waiting.is_empty() {
                return Stopped::Lost;
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.read.cancelled(), if !last => {}
                named = instances.recv() => match named {
                    Some(instance) => match active.get_mut(&instance) {
                        Some(again) => *again = true,
                        None if queued.insert(instance.clone()) => waiting.push_back(instance),
                        None => {}
                    },
                    None => break,
                },
                Some(done) = workers.join_next() => match done {
                    Ok((instance, Ok(()))) => {
                        if active.remove(&instance) == Some(true) && queued.insert(instance.clone()) {
                            waiting.push_back(instance);
                        }
                    }
                    Ok((_, Err(stopped))) => return stopped,
                    Err(error) => return Stopped::Log(Error::Database(error.to_string())),
                },
            }
        }
        // Each finishes the command that it took.
        while workers.join_next().await.is_some() {}
        Stopped::Lost
    }

    /// Sends what an instance has to send, in order, until there is no more.
    async fn send_all(&self, instance: &str) -> Result<(), Stopped> {
        let Ok(order) = instance.parse().map(OrderId) else { return Ok(()) };
        let mut done = 0;
        let mut pause = LEAST;
        loop {
            let rows = self.reactor.rows(instance, done).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                if self.stop.is_cancelled() {
                    return self.forget(instance, done).await;
                }
                match self.reactor.send(order, &row).await {
                    Sent::Done => (done, pause) = (row.number, LEAST),
                    Sent::Refused(slug) => {
                        (done, pause) = (row.number, LEAST);
                        self.refused(instance, &row, &slug).await?;
                        break;
                    }
                    Sent::Unavailable(reason) => {
                        tracing::warn!(%order, reason, "a command of the process has to wait");
                        if self.read.is_cancelled() {
                            return self.forget(instance, done).await;
                        }
                        tokio::select! {
                            () = self.stop.cancelled() => {}
                            () = self.read.cancelled() => {}
                            () = tokio::time::sleep(pause) => pause = (pause * 2).min(MOST),
                        }
                        // By then the instance may want something else.
                        break;
                    }
                }
            }
            self.forget(instance, done).await?;
        }
    }

    /// Takes the rows up to that number away: they were sent.
    async fn forget(&self, instance: &str, number: i64) -> Result<(), Stopped> {
        let db = &self.reactor.process;
        let sql = "DELETE FROM @outbox WHERE process = $1 AND instance = $2 AND number <= $3";
        db.connection
            .execute(db.statement(sql, [fulfilment::NAME.into(), instance.into(), number.into()]))
            .await?;
        Ok(())
    }

    /// A transaction that changes an instance's state. It begins with the checkpoint's row: whoever lost the lease
    /// changes nothing, and on SQLite the lock is there before anything is read.
    async fn begin(&self) -> Result<DatabaseTransaction, Stopped> {
        let db = &self.reactor.process;
        let tx = db.connection.begin().await?;
        if Checkpoint::fence(db, &tx, NAME, self.epoch).await? { Ok(tx) } else { Err(Stopped::Lost) }
    }

    /// A refusal is an input like any other.
    async fn refused(&self, instance: &str, row: &Row, slug: &str) -> Result<(), Stopped> {
        let db = &self.reactor.process;
        let input = Input::Refused { task: &row.task, slug };
        let id = row.task.command_id(OrderId(instance.parse().unwrap_or_default()), row.input);
        let held = self.lock.lock().await;
        let tx = self.begin().await?;
        let sql = "DELETE FROM @outbox WHERE process = $1 AND instance = $2 AND number <= $3";
        tx.execute(db.statement(sql, [fulfilment::NAME.into(), instance.into(), row.number.into()])).await?;
        let mut states = load(db, &tx, &[instance.to_owned()]).await?;
        let state = states.entry(instance.to_owned()).or_default();
        let reaction = state.process.react(input);
        store(db, &tx, instance, state, reaction, id, &row.causes).await?;
        save(db, &tx, &states).await?;
        tx.commit().await?;
        drop(held);
        Ok(())
    }

    /// Fires timeouts that are due, once everything that was in the log when they came due has been read.
    async fn clock(self, position: watch::Receiver<i64>) -> Stopped {
        let mut ticks =
            tokio::time::interval_at(Instant::now() + Duration::from_millis(500), Duration::from_millis(500));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Stopped::Lost,
                _ = ticks.tick() => {}
            }
            let at = *position.borrow();
            if let Err(stopped) = self.fire(at).await {
                return stopped;
            }
        }
    }

    async fn fire(&self, position: i64) -> Result<(), Stopped> {
        let db = &self.reactor.process;
        let due = format!(
            "SELECT instance FROM @timeouts WHERE process = $1 AND due_at <= {} AND not_before IS NULL LIMIT 1",
            db.now()
        );
        if db.connection.query_one(db.statement(&due, [fulfilment::NAME.into()])).await?.is_some() {
            // Those that are due now; the head is read after that.
            let mark = format!(
                "UPDATE @timeouts SET not_before = -1 WHERE process = $1 AND due_at <= {} AND not_before IS NULL",
                db.now()
            );
            db.connection.execute(db.statement(&mark, [fulfilment::NAME.into()])).await?;
        }
        let marked = "SELECT 1 AS one FROM @timeouts WHERE process = $1 AND not_before = -1 LIMIT 1";
        if db.connection.query_one(db.statement(marked, [fulfilment::NAME.into()])).await?.is_some() {
            let head = self.reactor.store.log().head().await?.position;
            let sql = "UPDATE @timeouts SET not_before = $2 WHERE process = $1 AND not_before = -1";
            db.connection.execute(db.statement(sql, [fulfilment::NAME.into(), head.into()])).await?;
        }
        let sql = "SELECT instance, id, causation_id, correlation_id, on_behalf_of FROM @timeouts \
                   WHERE process = $1 AND not_before >= 0 AND not_before <= $2 LIMIT 100";
        let rows =
            db.connection.query_all(db.statement(sql, [fulfilment::NAME.into(), position.into()])).await?;
        for row in rows {
            let (instance, id): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let causes = Causes {
                causation_id: row.try_get_by_index(2)?,
                correlation_id: row.try_get_by_index(3)?,
                on_behalf_of: row.try_get_by_index(4)?,
                traceparent: None,
            };
            let held = self.lock.lock().await;
            let tx = self.begin().await?;
            let sql = "DELETE FROM @timeouts WHERE process = $1 AND instance = $2 AND id = $3";
            let values: [Value; 3] = [fulfilment::NAME.into(), instance.as_str().into(), id.as_str().into()];
            if tx.execute(db.statement(sql, values)).await?.rows_affected() == 1 {
                let mut states = load(db, &tx, std::slice::from_ref(&instance)).await?;
                let state = states.entry(instance.clone()).or_default();
                let reaction = state.process.react(Input::TimedOut);
                store(db, &tx, &instance, state, reaction, id.parse().unwrap_or_default(), &causes).await?;
                save(db, &tx, &states).await?;
            }
            tx.commit().await?;
            drop(held);
            self.name(instance);
        }
        Ok(())
    }
}

/// An instance's row.
#[derive(Default)]
struct State {
    process: Fulfilment,
    next: i64,
}

async fn load(db: &Db, tx: &DatabaseTransaction, ids: &[String]) -> Result<HashMap<String, State>, Stopped> {
    let mut states = HashMap::new();
    for chunk in ids.chunks(500) {
        let places: Vec<String> = (2..=chunk.len() + 1).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT instance, state, next FROM @instances WHERE process = $1 AND instance IN ({})",
            places.join(", ")
        );
        let values =
            std::iter::once(fulfilment::NAME.into()).chain(chunk.iter().map(|id| Value::from(id.as_str())));
        for row in tx.query_all(db.statement(&sql, values)).await? {
            let stored: String = row.try_get_by_index(1)?;
            let process = serde_json::from_str(&stored)
                .map_err(|error| Stopped::Log(Error::Database(format!("the state of a process: {error}"))))?;
            states.insert(row.try_get_by_index(0)?, State { process, next: row.try_get_by_index(2)? });
        }
    }
    Ok(states)
}

async fn save(db: &Db, tx: &DatabaseTransaction, states: &HashMap<String, State>) -> Result<(), Stopped> {
    let states: Vec<_> = states.iter().collect();
    for chunk in states.chunks(200) {
        let places: Vec<String> = (0..chunk.len())
            .map(|n| format!("($1, ${}, ${}, ${})", n * 3 + 2, n * 3 + 3, n * 3 + 4))
            .collect();
        let sql = format!(
            "INSERT INTO @instances (process, instance, state, next) VALUES {} ON CONFLICT (process, instance) \
             DO UPDATE SET state = excluded.state, next = excluded.next",
            places.join(", ")
        );
        let mut values: Vec<Value> = vec![fulfilment::NAME.into()];
        for (instance, state) in chunk {
            let json = serde_json::to_string(&state.process)
                .map_err(|error| Stopped::Log(Error::Database(error.to_string())))?;
            values.extend([instance.as_str().into(), json.into(), state.next.into()]);
        }
        tx.execute(db.statement(&sql, values)).await?;
    }
    Ok(())
}

/// Writes down what an instance wants; true if there is something to send.
async fn store(
    db: &Db,
    tx: &DatabaseTransaction,
    instance: &str,
    state: &mut State,
    reaction: Reaction,
    input: Uuid,
    causes: &Causes,
) -> Result<bool, Stopped> {
    let key: [Value; 2] = [fulfilment::NAME.into(), instance.into()];
    if reaction.drop_unsent {
        let sql = "DELETE FROM @outbox WHERE process = $1 AND instance = $2";
        tx.execute(db.statement(sql, key.clone())).await?;
    }
    if reaction.stop_waiting || reaction.wake_after.is_some() {
        let sql = "DELETE FROM @timeouts WHERE process = $1 AND instance = $2";
        tx.execute(db.statement(sql, key)).await?;
    }
    if let Some(seconds) = reaction.wake_after {
        let sql = format!(
            "INSERT INTO @timeouts (process, instance, id, due_at, causation_id, correlation_id, on_behalf_of) \
             VALUES ($1, $2, $3, {} + $4, $5, $6, $7)",
            db.now()
        );
        let values: [Value; 7] = [
            fulfilment::NAME.into(),
            instance.into(),
            ids::derived(ids::PROCESSES, &["timeout", &input.to_string()]).to_string().into(),
            (seconds * 1_000).into(),
            causes.causation_id.clone().into(),
            causes.correlation_id.clone().into(),
            causes.on_behalf_of.clone().into(),
        ];
        tx.execute(db.statement(&sql, values)).await?;
    }
    let any = !reaction.tasks.is_empty();
    for chunk in reaction.tasks.chunks(200) {
        let row = |n: usize| {
            let first = n * 2 + 8;
            format!("($1, $2, ${first}, $3, ${}, $4, $5, $6, $7)", first + 1)
        };
        let places: Vec<String> = (0..chunk.len()).map(row).collect();
        let sql = format!(
            "INSERT INTO @outbox (process, instance, number, input, task, causation_id, correlation_id, on_behalf_of, \
             traceparent) VALUES {}",
            places.join(", ")
        );
        let mut values: Vec<Value> = vec![
            fulfilment::NAME.into(),
            instance.into(),
            input.to_string().into(),
            causes.causation_id.clone().into(),
            causes.correlation_id.clone().into(),
            causes.on_behalf_of.clone().into(),
            causes.traceparent.clone().into(),
        ];
        for task in chunk {
            state.next += 1;
            let task = serde_json::to_string(task)
                .map_err(|error| Stopped::Log(Error::Database(error.to_string())))?;
            values.extend([state.next.into(), task.into()]);
        }
        tx.execute(db.statement(&sql, values)).await?;
    }
    Ok(any)
}
