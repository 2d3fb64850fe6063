//! Executing a command: its events are appended to the log exactly once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent as _;
use ring::hmac;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::claim::scope;
use soonshop_domain::{Classified, Decider, ErrorKind, Facts, Hold, Metadata, PersonalValue, Sensitive, ids};
use soonshop_event_log::{Database, DatabaseLocation, EventLog, StoredEvent};
use tokio::time::Instant;
use uuid::Uuid;

use crate::aggregate_cache::{AggregateCache, Loaded, Slot};
use crate::appender::{Answer, Appender, Claim, Expected, NewEvent, Outcome, Request};
use crate::earlier::{self, EarlierForm};
use crate::keys::{EncryptError, KeyMaker};
use crate::kind::OutcomeKind;
use crate::purge::{Purge, Purged};
use crate::{AppendError, LARGEST_EVENT, postgres, sqlite};

/// The version of the normal forms of unique values, which are hashed.
const FORM: i16 = 1;

/// How many events of a stream are read at once.
const PAGE: i64 = 1_000;

/// How long after its deadline a command is given up: code that knows the cause of the delay may report it first.
const GRACE: Duration = Duration::from_millis(200);

/// How long a command waits for a database that is down, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first pause before the database is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A snapshot is written every so many events of a stream.
const SNAPSHOT_EVERY: i64 = 200;

/// The same while a long stream is read that has no snapshot: a command that runs out of time meanwhile leaves the next
/// one less to read.
const SNAPSHOT_WHILE_READING: i64 = 20_000;

/// The context of a command.
#[derive(Debug, Clone)]
pub struct CommandContext {
    pub command_id: Uuid,
    /// From [`KeyMaker::fingerprint`].
    pub fingerprint: Vec<u8>,
    /// The fingerprints that earlier releases gave this command under its id: such a record answers it.
    pub earlier: Vec<Vec<u8>>,
    /// Stored beside every event; `command_id` is filled in.
    pub metadata: Metadata,
    /// Business time.
    pub occurred_at: DateTime<Utc>,
    /// The stream's version that the caller has seen (`If-Match`).
    pub expected: Option<i64>,
    /// Keep the outcome even if no event is appended: a command of a process manager has one outcome.
    pub record: bool,
    /// The natural key of an imported record: claimed in the scope `import`.
    pub import_key: Option<String>,
    /// The kind of outcome if the command succeeds.
    pub kind: OutcomeKind,
    /// Kept with the outcome: see [`Answer::reference`].
    pub reference: Option<String>,
    /// Kept with a success: see [`Answer::detail`].
    pub detail: Option<String>,
    /// When to give up.
    pub deadline: Instant,
}

impl CommandContext {
    /// A command with this id, now, with a deadline in ten seconds.
    pub fn new(command_id: Uuid, fingerprint: Vec<u8>, metadata: Metadata) -> Self {
        Self {
            command_id,
            fingerprint,
            earlier: Vec::new(),
            metadata,
            occurred_at: soonshop_domain::clock::now(),
            expected: None,
            record: false,
            import_key: None,
            kind: OutcomeKind::Done,
            reference: None,
            detail: None,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Whether the record with its id and this fingerprint is of this command.
    fn is_recorded_as(&self, fingerprint: &[u8]) -> bool {
        self.fingerprint == fingerprint || self.earlier.iter().any(|earlier| earlier == fingerprint)
    }
}

/// A command that was executed, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    pub answer: Answer,
    /// It was executed before, and gets the same answer as then.
    pub repeated: bool,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The aggregate refused.
    #[error("{0}")]
    Rejected(E),
    /// The refusal that this command's id got before.
    #[error("{sentence}")]
    RejectedBefore { slug: String, sentence: String },
    #[error("the version is {actual}, not {expected}")]
    Stale { expected: i64, actual: i64 },
    /// Another owner holds a unique value.
    #[error("the {scope} is taken")]
    Taken { scope: String, owner: String },
    #[error("the command's id was used for another command")]
    IdReused,
    #[error("the person was erased, and nothing new about them is kept")]
    Erased,
    #[error("an event of {size} bytes is too large: {LARGEST_EVENT} is the most")]
    TooLarge { size: usize },
    /// Temporary. Repeated with the same id, the command is not done twice.
    #[error("{0}")]
    Unavailable(String),
    /// An internal error, or wrong data.
    #[error("{0}")]
    Fault(String),
}

impl<E> From<soonshop_event_log::Error> for ExecuteError<E> {
    fn from(error: soonshop_event_log::Error) -> Self {
        use soonshop_event_log::Error as Log;
        match error {
            Log::Unavailable(_) | Log::Keys(_) | Log::KeyStoreLost { .. } => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Fault(error.to_string()),
        }
    }
}

impl<E> From<EncryptError> for ExecuteError<E> {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::Erased => Self::Erased,
            EncryptError::Store(error) => error.into(),
        }
    }
}

impl<E> From<AppendError> for ExecuteError<E> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Unavailable(reason) | AppendError::Owned(reason) => Self::Unavailable(reason),
            AppendError::ClaimKeysChanged => Self::Unavailable(AppendError::ClaimKeysChanged.to_string()),
            AppendError::Refused(reason) => Self::Fault(reason),
        }
    }
}

/// The part of one aggregate in an append.
struct Draft {
    expected: Expected,
    version: i64,
    events: Vec<NewEvent>,
    holds: Vec<Hold>,
    /// `<type>:<id>`.
    owner: String,
    round: u64,
    /// The slot's counter: set to `version` once the append succeeds.
    confirmed: Arc<AtomicI64>,
    /// A snapshot to write once the append succeeds.
    snapshot: Option<Snapshot>,
}

/// A snapshot's version, event and JSON.
type Snapshot = (i64, Uuid, String);

fn snapshot_of<A: Decider>(loaded: &Loaded<A>) -> Option<Snapshot> {
    let state = serde_json::to_string(&*loaded.state.without_parts()).ok();
    loaded.last.zip(state).map(|(last, state)| (loaded.version, last, state))
}

/// The events of parts of a state, as the log had them.
struct PartsRead<A: Decider> {
    /// The slot's count of loads when they were read.
    loads: u64,
    /// All events up to this version were in the log then.
    logged: i64,
    events: HashMap<String, Vec<(i64, A::Event)>>,
}

/// Why nothing was drafted, and on which state this was decided.
enum Decided<E> {
    Draft(Draft),
    /// Refused by the state at this version.
    Refused(ExecuteError<E>, Expected),
}

/// What follows from a refusal that was not final.
enum Refused {
    /// The command was executed before.
    Known(Executed),
    /// It was based on events that are not in the log: decide again.
    Again(Result<Outcome, AppendError>),
}

/// The note in metadata: free text, so it is personal.
struct Note<'a>(&'a mut Metadata);

impl Sensitive for Note<'_> {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        self.0.reason_note.iter_mut().map(|note| note as &mut dyn PersonalValue).collect()
    }
}

impl<E: std::fmt::Display> ExecuteError<E> {
    /// The same error, reported for another aggregate: its refusal is then an error of the caller.
    fn of_another<F>(self) -> ExecuteError<F> {
        match self {
            Self::Rejected(error) => ExecuteError::Fault(error.to_string()),
            Self::RejectedBefore { slug, sentence } => ExecuteError::RejectedBefore { slug, sentence },
            Self::Stale { expected, actual } => ExecuteError::Stale { expected, actual },
            Self::Taken { scope, owner } => ExecuteError::Taken { scope, owner },
            Self::IdReused => ExecuteError::IdReused,
            Self::Erased => ExecuteError::Erased,
            Self::TooLarge { size } => ExecuteError::TooLarge { size },
            Self::Unavailable(reason) => ExecuteError::Unavailable(reason),
            Self::Fault(reason) => ExecuteError::Fault(reason),
        }
    }

    /// The same error, reported for an aggregate that has the other's refusals among its own.
    fn of_joined<F>(self, refusal: impl FnOnce(E) -> F) -> ExecuteError<F> {
        match self {
            Self::Rejected(error) => ExecuteError::Rejected(refusal(error)),
            other => other.of_another(),
        }
    }
}

/// The write side of a log.
#[derive(Clone)]
pub struct EventStore {
    appender: Appender,
    log: EventLog,
    keys: KeyMaker,
    states: AggregateCache,
    /// Ends when the last store is dropped.
    writer: Arc<tokio::task::JoinHandle<()>>,
    metrics: crate::metrics::Appends,
}

impl EventStore {
    /// Opens the store in `database`. It does not connect yet.
    pub fn open(database: &Database, keys: KeyMaker) -> Result<Self, soonshop_event_log::Error> {
        let backend: Box<dyn crate::appender::Backend> = match database.location() {
            DatabaseLocation::Postgres(url) => Box::new(postgres::Postgres::new(url)?),
            DatabaseLocation::Sqlite(folder) => Box::new(sqlite::Sqlite::new(folder)),
        };
        let metrics = crate::metrics::Appends::default();
        let (appender, writer) = Appender::start(backend, metrics.clone());
        let log = EventLog::new(database.namespace("log")?, keys.store().clone());
        Ok(Self {
            appender,
            log,
            keys,
            states: AggregateCache::new(20_000),
            writer: Arc::new(writer),
            metrics,
        })
    }

    /// The counters of appends since the process started.
    pub fn metrics(&self) -> &crate::metrics::Appends {
        &self.metrics
    }

    /// Succeeds if this process may write the log: a SQLite log has one owner.
    pub fn check_owner(database: &Database) -> Result<(), AppendError> {
        match database.location() {
            DatabaseLocation::Postgres(_) => Ok(()),
            DatabaseLocation::Sqlite(folder) => match sqlite::own(folder) {
                Ok(_) => Ok(()),
                Err(crate::appender::BatchError::Owned(reason)) => Err(AppendError::Owned(reason)),
                Err(_) => Err(AppendError::Unavailable(format!("{} cannot be locked", folder.display()))),
            },
        }
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Why this process could not write the log last.
    pub fn last_failure(&self) -> crate::LastFailure {
        self.appender.failed()
    }

    /// The last position that this process appended; it changes with every append.
    pub fn appended(&self) -> tokio::sync::watch::Receiver<i64> {
        self.appender.appended()
    }

    /// One step of a purge: a transaction that takes the log's lock first, and deletes so few records that appends
    /// hardly wait.
    pub async fn purge(&self, purge: Purge) -> Result<Purged, AppendError> {
        self.appender.purge(purge).await
    }

    pub fn keys(&self) -> &KeyMaker {
        &self.keys
    }

    /// The entry to the log for events that are decided elsewhere.
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Ends the appender if this is the store's last clone: its connection is closed, and another process can own a
    /// SQLite log.
    pub async fn close(self) {
        let Self { appender, writer, .. } = self;
        drop(appender);
        if let Some(writer) = Arc::into_inner(writer)
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the appender ended badly");
        }
    }

    /// True once the appender has ended; this never happens while a store is in use.
    pub fn is_stopped(&self) -> bool {
        self.writer.is_finished()
    }

    /// The current state of an aggregate and its version, with encrypted personal values. A state that is kept in parts
    /// is made of its whole history, which may be long: see [`load_without_parts`](Self::load_without_parts).
    pub async fn load<A: Decider>(&self, id: Uuid) -> Result<(A, i64), ExecuteError<A::Error>> {
        let loaded = self.current::<A>(id).await?;
        if loaded.floor() == 0 {
            return Ok((loaded.state, loaded.version));
        }
        Ok((self.folded(id, loaded.version).await?, loaded.version))
    }

    /// The current state without its parts, and its version: read as fast as a command reads it, however long the
    /// stream is.
    pub async fn load_without_parts<A: Decider>(&self, id: Uuid) -> Result<(A, i64), ExecuteError<A::Error>> {
        let loaded = self.current::<A>(id).await?;
        Ok((loaded.state.without_parts().into_owned(), loaded.version))
    }

    /// The current version of an aggregate; 0: it does not exist.
    pub async fn version<A: Decider>(&self, id: Uuid) -> Result<i64, ExecuteError<A::Error>> {
        Ok(self.current::<A>(id).await?.version)
    }

    async fn current<A: Decider>(&self, id: Uuid) -> Result<Loaded<A>, ExecuteError<A::Error>> {
        // The slot's state may be ahead of the log, or behind other writers: it only says where to start reading.
        let base = self.states.slot::<A>(id).lock().await.base().cloned();
        let mut patience = Patience::new();
        loop {
            match self.replay(base.clone(), id).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => patience.again(error).await?,
            }
        }
    }

    /// The state of an aggregate at this version, with encrypted personal values: an answer made from it is the same
    /// at any later time.
    pub async fn load_at<A: Decider>(&self, id: Uuid, version: i64) -> Result<A, ExecuteError<A::Error>> {
        let loaded = self.current::<A>(id).await?;
        if loaded.version == version && loaded.floor() == 0 {
            return Ok(loaded.state);
        }
        self.folded(id, version).await
    }

    /// The state at this version with all its parts, folded from the stream's beginning.
    async fn folded<A: Decider>(&self, id: Uuid, version: i64) -> Result<A, ExecuteError<A::Error>> {
        let (name, mut state, mut done) = (id.to_string(), A::default(), 0);
        while done < version {
            let rows = self.log.stream(A::TYPE, &name, done, PAGE.min(version - done)).await?;
            if rows.is_empty() {
                return Err(ExecuteError::Fault(format!("{} {name} has no version {version}", A::TYPE)));
            }
            for row in rows {
                let (sequence, _, event) = self.decoded::<A>(row)?;
                state.apply(event);
                done = sequence;
            }
        }
        Ok(state)
    }

    /// The owner of a unique value: `<type>:<id>`.
    pub async fn owner_of(
        &self,
        scope: &str,
        value: &str,
    ) -> Result<Option<String>, soonshop_event_log::Error> {
        let (deadline, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
        loop {
            match self.find_owner(scope, value).await {
                Err(soonshop_event_log::Error::Unavailable(_)) if Instant::now() + pause < deadline => {
                    pass(&mut pause).await;
                }
                found => return found,
            }
        }
    }

    async fn find_owner(
        &self,
        scope: &str,
        value: &str,
    ) -> Result<Option<String>, soonshop_event_log::Error> {
        let keys = self.keys.claim_keys().await?;
        let Some((key_id, key)) = keys.last() else { return Ok(None) };
        let db = self.log.db();
        let hash = claim_hash(key, scope, value);
        let hash: sea_orm::Value = match db.backend() {
            sea_orm::DatabaseBackend::Postgres => hash.into(),
            _ => crate::appender::hex(&hash).into(),
        };
        let sql = "SELECT owner FROM @claims WHERE scope = $1 AND key_id = $2 AND value = $3";
        let row = db.connection.query_one(db.statement(sql, [scope.into(), (*key_id).into(), hash])).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }

    /// Decides the command on the aggregate and appends its events. Repeats until it succeeds, is refused, or is too
    /// late.
    pub async fn execute<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        in_time(context.deadline, self.execute_one::<A>(id, command, context)).await
    }

    /// The first of these forms that a command was recorded in; `None`: it was in none of them.
    ///
    /// # Errors
    /// A record has one of the ids, and is of another command; or the database cannot be read.
    pub async fn recorded_form<E>(
        &self,
        forms: &[EarlierForm],
    ) -> Result<Option<EarlierForm>, ExecuteError<E>> {
        let mut patience = Patience::new();
        let recorded = loop {
            match earlier::recorded(self.log.db(), forms).await.map_err(ExecuteError::<E>::from) {
                Ok(recorded) => break recorded,
                Err(error) => patience.again(error).await?,
            }
        };
        match forms.iter().find(|form| recorded.contains(form)) {
            Some(form) => Ok(Some(form.clone())),
            None if recorded.is_empty() => Ok(None),
            None => Err(ExecuteError::IdReused),
        }
    }

    async fn execute_one<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        loop {
            let slot = self.states.slot::<A>(id);
            let parts = self.read_ahead(&slot, id, &command, &context).await?;
            let mut guard = slot.lock().await;
            let draft = match self.draft(&mut guard, id, command.clone(), &context, parts).await? {
                Decided::Draft(draft) => draft,
                Decided::Refused(error, expected) => {
                    let round = guard.round;
                    drop(guard);
                    let streams = vec![expected];
                    match self.refuse(error, streams, &context).await? {
                        Refused::Known(done) => return Ok(done),
                        Refused::Again(outcome) => self.give_up(&slot, round, &outcome).await,
                    }
                    continue;
                }
            };
            let request = match self.request(&[&draft], &context).await {
                Ok(request) => request,
                Err(error) => {
                    guard.forget(draft.round);
                    return Err(error);
                }
            };
            let outcome = self.appender.submit(request);
            drop(guard);
            let outcome = received(outcome).await;
            self.give_up(&slot, draft.round, &outcome).await;
            if matches!(outcome, Ok(Outcome::Done(_))) {
                draft.confirmed.fetch_max(draft.version, Ordering::Relaxed);
            }
            if let Some(done) = self.settle(outcome, &context).await? {
                self.keep::<A>(id, draft.snapshot);
                return Ok(done);
            }
        }
    }

    /// Like [`execute`](Self::execute), for two aggregates in one append: both or neither. The answer and the
    /// expected version belong to the first.
    pub async fn execute_both<A: Decider, B: Decider>(
        &self,
        first: (Uuid, A::Command),
        second: (Uuid, B::Command),
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        let of_second = ExecuteError::<B::Error>::of_another::<A::Error>;
        in_time(context.deadline, self.execute_two::<A, B>(first, second, context, of_second)).await
    }

    /// Like [`execute_both`](Self::execute_both), where the second aggregate has a say: its refusal refuses the first, as
    /// the `refusal` that it is there. It may have nothing to append, and is still judged as it is in this very append.
    pub async fn execute_joined<A: Decider, B: Decider>(
        &self,
        first: (Uuid, A::Command),
        second: (Uuid, B::Command),
        context: CommandContext,
        refusal: fn(B::Error) -> A::Error,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        let of_second = |error: ExecuteError<B::Error>| error.of_joined(refusal);
        in_time(context.deadline, self.execute_two::<A, B>(first, second, context, of_second)).await
    }

    /// `of_second`: what an error of the second aggregate is to the caller.
    async fn execute_two<A: Decider, B: Decider>(
        &self,
        first: (Uuid, A::Command),
        second: (Uuid, B::Command),
        context: CommandContext,
        of_second: impl Fn(ExecuteError<B::Error>) -> ExecuteError<A::Error>,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        let alone = CommandContext { expected: None, ..context.clone() };
        if (A::TYPE, first.0) == (B::TYPE, second.0) {
            return Err(ExecuteError::Fault(
                "an append over two streams names the same one twice".to_owned(),
            ));
        }
        loop {
            // Locked in the order of their names, so that two callers cannot deadlock.
            let slots = (self.states.slot::<A>(first.0), self.states.slot::<B>(second.0));
            let read_first = self.read_ahead(&slots.0, first.0, &first.1, &context).await?;
            let read_second = self.read_ahead(&slots.1, second.0, &second.1, &alone).await;
            let read_second = read_second.map_err(&of_second)?;
            let (mut a, mut b);
            if (A::TYPE, first.0) < (B::TYPE, second.0) {
                a = slots.0.lock().await;
                b = slots.1.lock().await;
            } else {
                b = slots.1.lock().await;
                a = slots.0.lock().await;
            }
            let drafted = match self.draft(&mut a, first.0, first.1.clone(), &context, read_first).await? {
                Decided::Draft(one) => {
                    match self.draft(&mut b, second.0, second.1.clone(), &alone, read_second).await {
                        Ok(Decided::Draft(other)) => Ok((one, other)),
                        Ok(Decided::Refused(error, expected)) => {
                            a.forget(one.round);
                            Err((of_second(error), vec![one.expected, expected]))
                        }
                        Err(error) => {
                            a.forget(one.round);
                            return Err(of_second(error));
                        }
                    }
                }
                Decided::Refused(error, expected) => Err((error, vec![expected])),
            };
            let (one, other) = match drafted {
                Ok(both) => both,
                Err((error, streams)) => {
                    let rounds = (a.round, b.round);
                    drop((a, b));
                    match self.refuse(error, streams, &context).await? {
                        Refused::Known(done) => return Ok(done),
                        Refused::Again(_) => {
                            slots.0.lock().await.forget(rounds.0);
                            slots.1.lock().await.forget(rounds.1);
                        }
                    }
                    continue;
                }
            };
            let request = match self.request(&[&one, &other], &context).await {
                Ok(request) => request,
                Err(error) => {
                    a.forget(one.round);
                    b.forget(other.round);
                    return Err(error);
                }
            };
            let outcome = self.appender.submit(request);
            drop((a, b));
            let outcome = received(outcome).await;
            if matches!(outcome, Ok(Outcome::Done(_))) {
                one.confirmed.fetch_max(one.version, Ordering::Relaxed);
                other.confirmed.fetch_max(other.version, Ordering::Relaxed);
            } else {
                slots.0.lock().await.forget(one.round);
                slots.1.lock().await.forget(other.round);
            }
            if let Some(done) = self.settle(outcome, &context).await? {
                self.keep::<A>(first.0, one.snapshot);
                self.keep::<B>(second.0, other.snapshot);
                return Ok(done);
            }
        }
    }

    /// The draft of this round is not in the log, or may not be: moves the slot to the state in the log.
    async fn give_up<A: Decider>(
        &self,
        slot: &tokio::sync::Mutex<Slot<A>>,
        round: u64,
        outcome: &Result<Outcome, AppendError>,
    ) {
        match outcome {
            // The request that it builds on moves the slot.
            Ok(Outcome::Done(_) | Outcome::Behind) => {}
            Ok(Outcome::Version { seen, missed, .. }) => {
                let missed: Vec<_> =
                    missed.iter().map_while(|row| self.decoded::<A>(row.clone()).ok()).collect();
                let mut slot = slot.lock().await;
                if !slot.catch_up(round, *seen, missed) {
                    slot.forget(round);
                }
            }
            _ => slot.lock().await.forget(round),
        }
    }

    fn decoded<A: Decider>(&self, row: StoredEvent) -> Result<(i64, Uuid, A::Event), ExecuteError<A::Error>> {
        let (sequence, event_id, position) = (row.sequence, row.event_id, row.position);
        let decoded = self.log.decode_row(row).and_then(Result::ok);
        let event = decoded.and_then(|recorded| recorded.event.downcast());
        event.map(|event| (sequence, event_id, event)).ok_or_else(|| {
            ExecuteError::Fault(format!("the event at position {position} is of a newer release, or broken"))
        })
    }

    /// Loads the state if needed; tries again while the database is down and there is time.
    async fn fill<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        context: &CommandContext,
    ) -> Result<(), ExecuteError<A::Error>> {
        // A new stream named after the command: it is empty, or the command was done before, which the append finds
        // out.
        if !slot.is_filled() && slot.base().is_none() && id == ids::stream_of(context.command_id) {
            slot.fill(Loaded::start());
        }
        let mut pause = FIRST_PAUSE;
        while !slot.is_filled() {
            match self.replay(slot.base().cloned(), id).await {
                Ok(loaded) => slot.fill(loaded),
                Err(error) => wait(error, &mut pause, context.deadline).await?,
            }
        }
        Ok(())
    }

    /// The state in the log: from `base` or a snapshot, if the log confirms them, and the events after it.
    async fn replay<A: Decider>(
        &self,
        base: Option<Loaded<A>>,
        id: Uuid,
    ) -> Result<Loaded<A>, ExecuteError<A::Error>> {
        let name = id.to_string();
        let mut loaded = base.unwrap_or_else(Loaded::start);
        if loaded.version == 0 {
            // Most streams are short: a snapshot is read only if the stream is long enough to have one.
            let rows = self.log.stream(A::TYPE, &name, 0, SNAPSHOT_EVERY).await?;
            let long = i64::try_from(rows.len()).is_ok_and(|count| count == SNAPSHOT_EVERY);
            match if long { self.snapshot::<A>(&name).await? } else { None } {
                Some(snapshot) => loaded = snapshot,
                None => self.fold(&mut loaded, rows)?,
            }
            if !long {
                return Ok(loaded);
            }
        }
        // The snapshot's last event is read with the events after it.
        let mut after = (loaded.version - 1).max(0);
        let mut kept = loaded.version;
        loop {
            let mut rows = self.log.stream(A::TYPE, &name, after, PAGE).await?;
            let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
            if after < loaded.version {
                let there = rows.first().map(|row| (row.sequence, Some(row.event_id)));
                if there != Some((loaded.version, loaded.last)) {
                    // It belongs to another history: only the log counts.
                    (loaded, after, kept) = (Loaded::start(), 0, 0);
                    continue;
                }
                rows.remove(0);
            }
            self.fold(&mut loaded, rows)?;
            after = loaded.version;
            if !full {
                return Ok(loaded);
            }
            if loaded.version - kept >= SNAPSHOT_WHILE_READING {
                kept = loaded.version;
                self.keep::<A>(id, snapshot_of(&loaded));
            }
        }
    }

    fn fold<A: Decider>(
        &self,
        loaded: &mut Loaded<A>,
        rows: Vec<StoredEvent>,
    ) -> Result<(), ExecuteError<A::Error>> {
        for row in rows {
            let (sequence, event_id, event) = self.decoded::<A>(row)?;
            loaded.apply(sequence, event_id, event);
            loaded.drop_old_parts(sequence);
        }
        Ok(())
    }

    /// Reads the parts that the command's decision needs and that are not in memory, without holding the slot: many
    /// callers of one stream read at the same time. `None`: all are there.
    async fn read_ahead<A: Decider>(
        &self,
        slot: &tokio::sync::Mutex<Slot<A>>,
        id: Uuid,
        command: &A::Command,
        context: &CommandContext,
    ) -> Result<Option<PartsRead<A>>, ExecuteError<A::Error>> {
        let mut missing = A::parts_read(command);
        if missing.is_empty() {
            return Ok(None);
        }
        let (loads, logged) = {
            let mut slot = slot.lock().await;
            self.fill(&mut slot, id, context).await?;
            missing.retain(|key| !slot.now().has_part(key));
            (slot.loads, slot.logged().max(slot.now().floor()))
        };
        if missing.is_empty() {
            return Ok(None);
        }
        let events = self.read_parts::<A>(id, missing, context).await?;
        Ok(Some(PartsRead { loads, logged, events }))
    }

    /// The events of parts, in order; tries again while the database is down and there is time.
    async fn read_parts<A: Decider>(
        &self,
        id: Uuid,
        keys: Vec<String>,
        context: &CommandContext,
    ) -> Result<HashMap<String, Vec<(i64, A::Event)>>, ExecuteError<A::Error>> {
        let (name, mut all, mut pause) = (id.to_string(), HashMap::new(), FIRST_PAUSE);
        for key in keys {
            let rows = loop {
                match self
                    .log
                    .part(A::TYPE, A::PART_KEY, &name, &key)
                    .await
                    .map_err(ExecuteError::<A::Error>::from)
                {
                    Ok(rows) => break rows,
                    Err(error) => wait(error, &mut pause, context.deadline).await?,
                }
            };
            let decoded = rows.into_iter().map(|row| self.decoded::<A>(row));
            let events = decoded.map(|event| event.map(|(version, _, event)| (version, event)));
            all.insert(key, events.collect::<Result<_, _>>()?);
        }
        Ok(all)
    }

    /// Has the parts that the command's decision needs in memory, and returns the keys of those that were added for it.
    async fn lend_parts<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        command: &A::Command,
        context: &CommandContext,
        read: Option<PartsRead<A>>,
    ) -> Result<Vec<String>, ExecuteError<A::Error>> {
        let mut missing = A::parts_read(command);
        missing.retain(|key| !slot.now().has_part(key));
        if missing.is_empty() {
            return Ok(missing);
        }
        // What was read before the slot was taken counts if it is of the same history, and if every event that may not
        // have been in the log then is in memory.
        let counts = |read: &PartsRead<A>, slot: &mut Slot<A>| {
            read.loads == slot.loads
                && read.logged >= slot.now().floor()
                && missing.iter().all(|key| read.events.contains_key(key))
        };
        let mut events = match read.filter(|read| counts(read, slot)) {
            Some(read) => read.events,
            None => self.read_parts::<A>(id, missing.clone(), context).await?,
        };
        for key in &missing {
            slot.now().lend_part(key, events.remove(key).unwrap_or_default());
        }
        Ok(missing)
    }

    async fn snapshot<A: Decider>(&self, id: &str) -> Result<Option<Loaded<A>>, ExecuteError<A::Error>> {
        let db = self.log.db();
        let sql = "SELECT sequence, CAST(event_id AS TEXT), CAST(state AS TEXT) FROM @states \
                   WHERE aggregate_type = $1 AND aggregate_id = $2 AND state_version BETWEEN $3 AND $4";
        let version = |version: u32| i32::try_from(version).unwrap_or(i32::MAX).into();
        let versions = [version(A::OLDEST_STATE), version(A::STATE_VERSION)];
        let statement = db.statement(sql, [A::TYPE.into(), id.into()].into_iter().chain(versions));
        let row = db.connection.query_one(statement).await.map_err(soonshop_event_log::Error::from)?;
        let Some(row) = row else { return Ok(None) };
        let read = || -> Result<_, sea_orm::DbErr> {
            Ok((
                row.try_get_by_index(0)?,
                row.try_get_by_index::<String>(1)?,
                row.try_get_by_index::<String>(2)?,
            ))
        };
        let (sequence, event_id, state) = read().map_err(soonshop_event_log::Error::from)?;
        // An unreadable snapshot is ignored: the log has everything.
        let read = event_id.parse().ok().zip(serde_json::from_str(&state).ok());
        Ok(read.map(|(id, state)| Loaded::from_snapshot(&state, sequence, id)))
    }

    /// Writes a snapshot in the background. It may fail or come late: it is never trusted over the log.
    fn keep<A: Decider>(&self, id: Uuid, snapshot: Option<Snapshot>) {
        let Some((sequence, event_id, state)) = snapshot else { return };
        let db = self.log.db().clone();
        tokio::spawn(async move {
            let (uuid, json) = match db.backend() {
                sea_orm::DatabaseBackend::Postgres => ("::uuid", "::json"),
                _ => ("", ""),
            };
            let sql = format!(
                "INSERT INTO @states (aggregate_type, aggregate_id, state_version, sequence, event_id, state) \
                 VALUES ($1, $2, $3, $4, $5{uuid}, $6{json}) ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET \
                 state_version = excluded.state_version, sequence = excluded.sequence, event_id = excluded.event_id, \
                 state = excluded.state WHERE states.sequence < excluded.sequence \
                 OR states.state_version <> excluded.state_version"
            );
            let values = [
                A::TYPE.into(),
                id.to_string().into(),
                i32::try_from(A::STATE_VERSION).unwrap_or(i32::MAX).into(),
                sequence.into(),
                event_id.to_string().into(),
                state.into(),
            ];
            if let Err(error) = db.connection.execute(db.statement(&sql, values)).await {
                tracing::warn!(%error, stream = %id, "a snapshot was not written");
            }
        });
    }

    /// Has the state in memory, with the parts that the command reads, and decides.
    async fn draft<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        command: A::Command,
        context: &CommandContext,
        parts: Option<PartsRead<A>>,
    ) -> Result<Decided<A::Error>, ExecuteError<A::Error>> {
        self.fill(slot, id, context).await?;
        let lent = self.lend_parts(slot, id, &command, context, parts).await?;
        let decided = self.decide(slot, id, command, context).await;
        for key in lent {
            slot.now().return_part(&key);
        }
        decided
    }

    /// Decides on the slot's state, encrypts, and moves the state ahead as if the append had succeeded: the stream's
    /// next command builds on it.
    async fn decide<A: Decider>(
        &self,
        slot: &mut Slot<A>,
        id: Uuid,
        command: A::Command,
        context: &CommandContext,
    ) -> Result<Decided<A::Error>, ExecuteError<A::Error>> {
        let name = id.to_string();
        let now = slot.now();
        let expected = Expected {
            aggregate_type: A::TYPE,
            aggregate_id: name.clone(),
            sequence: now.version,
            event_id: now.last,
        };
        if let Some(wanted) = context.expected.filter(|wanted| *wanted != now.version) {
            return Ok(Decided::Refused(
                ExecuteError::Stale { expected: wanted, actual: now.version },
                expected,
            ));
        }
        let facts = Facts { now: context.occurred_at };
        let mut events = match now.state.decide(command, &facts) {
            Ok(events) => events,
            Err(error) => return Ok(Decided::Refused(ExecuteError::Rejected(error), expected)),
        };
        let mut metadata = context.metadata.clone();
        metadata.command_id = Some(context.command_id);
        let mut note = [Note(&mut metadata)];
        let encrypted = match self.keys.encrypt(&mut events).await {
            Ok(()) if !events.is_empty() => self.keys.encrypt(&mut note).await,
            encrypted => encrypted,
        };
        match encrypted {
            Ok(()) => {}
            // The command may have been done before the person was erased: then it gets the same answer as before.
            Err(EncryptError::Erased) => return Ok(Decided::Refused(ExecuteError::Erased, expected)),
            Err(error) => return Err(error.into()),
        }
        let metadata = if events.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&metadata).map_err(|error| ExecuteError::Fault(error.to_string()))?
        };
        let mut new = Vec::with_capacity(events.len());
        for (sequence, event) in (now.version + 1..).zip(&events) {
            let payload =
                serde_json::to_string(event).map_err(|error| ExecuteError::Fault(error.to_string()))?;
            if payload.len() > LARGEST_EVENT {
                return Err(ExecuteError::TooLarge { size: payload.len() });
            }
            new.push(NewEvent {
                aggregate_type: A::TYPE,
                aggregate_id: name.clone(),
                sequence,
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload,
                metadata: metadata.clone(),
                event_id: ids::new(),
                occurred_at: context.occurred_at,
            });
        }
        let mut holds: Vec<Hold> = Vec::new();
        for (mut event, stored) in events.into_iter().zip(&new) {
            for hold in slot.now().state.holds(&event) {
                holds.retain(|earlier| earlier.scope != hold.scope);
                holds.push(hold);
            }
            event.personal().into_iter().for_each(PersonalValue::close);
            slot.draft(event, stored.event_id);
        }
        let now = slot.now();
        let version = now.version;
        let due = version / SNAPSHOT_EVERY > expected.sequence / SNAPSHOT_EVERY;
        let snapshot = if due { snapshot_of(now) } else { None };
        let owner = format!("{}:{id}", A::TYPE);
        Ok(Decided::Draft(Draft {
            expected,
            version,
            events: new,
            holds,
            owner,
            round: slot.round,
            confirmed: Arc::clone(&slot.confirmed),
            snapshot,
        }))
    }

    async fn request<E>(
        &self,
        drafts: &[&Draft],
        context: &CommandContext,
    ) -> Result<Request, ExecuteError<E>> {
        let mut request = bare(context, drafts.iter().map(|draft| draft.expected.clone()).collect());
        request.answer.version = drafts.first().map(|draft| draft.version);
        let import = context.import_key.iter().map(|key| Hold::one(scope::IMPORT, key.clone()));
        for (number, draft) in drafts.iter().enumerate() {
            request.events.extend(draft.events.iter().cloned());
            let imported = import.clone().filter(|_| number == 0 && !draft.events.is_empty());
            for hold in draft.holds.iter().cloned().chain(imported) {
                let keys = self.keys.claim_keys().await?;
                if draft.expected.sequence > 0 && hold.scope != scope::IMPORT {
                    request.frees.push((hold.scope, draft.owner.clone()));
                }
                for value in &hold.values {
                    request.claims.extend(keys.iter().map(|(key_id, key)| Claim {
                        scope: hold.scope,
                        key_id: *key_id,
                        value: claim_hash(key, hold.scope, value),
                        form: FORM,
                        owner: draft.owner.clone(),
                    }));
                }
                request.claim_keys = keys.iter().map(|(key_id, _)| *key_id).collect();
            }
        }
        Ok(request)
    }

    /// A refusal is checked like an append: on the current state, and only if the command was not done before.
    async fn refuse<E: Classified>(
        &self,
        error: ExecuteError<E>,
        streams: Vec<Expected>,
        context: &CommandContext,
    ) -> Result<Refused, ExecuteError<E>> {
        let mut request = bare(context, streams);
        if let (ExecuteError::Rejected(rejection), true) = (&error, context.record) {
            request.answer.kind = OutcomeKind::Refused(rejection.kind());
            request.answer.detail = serde_json::to_string(&(rejection.as_ref(), rejection.to_string())).ok();
        } else {
            request.record = false;
        }
        match received(self.appender.submit(request)).await {
            Ok(Outcome::Done(_)) => Err(error),
            outcome => {
                let settled = self.settle(outcome.clone(), context).await?;
                Ok(settled.map_or(Refused::Again(outcome), Refused::Known))
            }
        }
    }

    /// What an outcome means for the caller. `None`: decide again.
    async fn settle<E: std::fmt::Display>(
        &self,
        outcome: Result<Outcome, AppendError>,
        context: &CommandContext,
    ) -> Result<Option<Executed>, ExecuteError<E>> {
        let outcome = match outcome {
            Ok(Outcome::Claimed { scope, owner }) if context.record => {
                let taken = ExecuteError::Taken { scope, owner };
                let mut request = bare(context, Vec::new());
                request.answer.kind = OutcomeKind::Refused(ErrorKind::Conflict);
                request.answer.detail = serde_json::to_string(&("taken", taken.to_string())).ok();
                match received(self.appender.submit(request)).await {
                    Ok(Outcome::Done(_)) => return Err(taken),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        };
        match outcome {
            Ok(Outcome::Done(answer)) => Ok(Some(Executed { answer, repeated: false })),
            Ok(Outcome::Known { fingerprint, .. }) if !context.is_recorded_as(&fingerprint) => {
                Err(ExecuteError::IdReused)
            }
            Ok(Outcome::Known { answer, .. }) if answer.kind.is_refusal() => {
                let detail = answer.detail.unwrap_or_default();
                let (slug, sentence) = serde_json::from_str(&detail).unwrap_or_default();
                Err(ExecuteError::RejectedBefore { slug, sentence })
            }
            Ok(Outcome::Known { answer, .. }) => Ok(Some(Executed { answer, repeated: true })),
            Ok(Outcome::Claimed { scope, owner }) => Err(ExecuteError::Taken { scope, owner }),
            Ok(Outcome::Version { .. } | Outcome::Behind) if Instant::now() < context.deadline => Ok(None),
            Ok(Outcome::Version { .. } | Outcome::Behind) => {
                Err(ExecuteError::Unavailable("other writers were always faster on this stream".to_owned()))
            }
            Err(AppendError::ClaimKeysChanged) if Instant::now() < context.deadline => {
                self.keys.forget_hmac().await;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A database may hang in any query; the command may still be executed. If it is cut off at any point, the next
/// command on the slot notices the wrong state.
async fn in_time<E>(
    deadline: Instant,
    work: impl Future<Output = Result<Executed, ExecuteError<E>>>,
) -> Result<Executed, ExecuteError<E>> {
    let late = || Err(ExecuteError::Unavailable("the event store did not answer in time".to_owned()));
    tokio::time::timeout_at(deadline + GRACE, work).await.unwrap_or_else(|_| late())
}

/// Waits a little longer each time if the database is down and there is time; otherwise returns the error.
async fn wait<E>(
    error: ExecuteError<E>,
    pause: &mut Duration,
    deadline: Instant,
) -> Result<(), ExecuteError<E>> {
    if !matches!(error, ExecuteError::Unavailable(_)) || Instant::now() + *pause >= deadline {
        return Err(error);
    }
    pass(pause).await;
    Ok(())
}

/// Waits, and makes the next pause longer.
async fn pass(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(Duration::from_millis(500));
}

/// What a command reads before it is executed is read again while the database is down, for as long as a command waits.
pub(crate) struct Patience {
    deadline: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { deadline: Instant::now() + PATIENCE, pause: FIRST_PAUSE }
    }

    /// Waits, or returns the error if waiting does not help.
    pub(crate) async fn again<E>(&mut self, error: ExecuteError<E>) -> Result<(), ExecuteError<E>> {
        wait(error, &mut self.pause, self.deadline).await
    }
}

async fn received(
    outcome: tokio::sync::oneshot::Receiver<Result<Outcome, AppendError>>,
) -> Result<Outcome, AppendError> {
    outcome.await.unwrap_or_else(|_| Err(AppendError::Unavailable("the process is stopping".to_owned())))
}

fn bare(context: &CommandContext, streams: Vec<Expected>) -> Request {
    Request {
        command_id: context.command_id,
        fingerprint: context.fingerprint.clone(),
        record: context.record,
        answer: Answer {
            kind: context.kind,
            reference: context.reference.clone(),
            detail: context.detail.clone(),
            ..Answer::default()
        },
        streams,
        claims: Vec::new(),
        frees: Vec::new(),
        claim_keys: Vec::new(),
        events: Vec::new(),
        deadline: context.deadline,
    }
}

fn claim_hash(key: &hmac::Key, scope: &str, value: &str) -> Vec<u8> {
    hmac::sign(key, format!("{scope}\u{0}{value}").as_bytes()).as_ref().to_vec()
}
