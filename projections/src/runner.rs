//! Keeps the rows of one generation up to date: one holder of its lease at a time, each batch in one transaction that
//! begins with the checkpoint.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, DbErr, RuntimeErr, sqlx};
use soonshop_domain::Event;
use soonshop_domain::user::person;
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, Lease, Leases, RecordedEvent, Stopped};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::generation::{ERASED, keyed_later};
use crate::projector::{Unit, Wants};
use crate::texts::Index;
use crate::transaction::{Durable, Transaction, Write};
use crate::{Feed, Generation, Projector, Registry};

/// The follower's name in its namespace.
pub const ROWS: &str = "rows";

/// The most events of one transaction.
const BATCH: usize = 1_000;

/// Live, a follower gathers for so long: each commit leaves a dead version of the checkpoint behind.
const GATHER: Duration = Duration::from_millis(10);

/// How often is it looked whether somebody wants what is parked to be tried again.
const RETRIES: Duration = Duration::from_millis(500);

/// More damaged events than this among so many positions are no accident: the key store was lost. (A page that is read
/// from the log is judged the same way; what comes from the bus comes one by one.)
const MOST_DAMAGED: usize = 3;
const DAMAGED_WITHIN: i64 = 1_000;

/// Everything that follows the log for one generation.
pub struct Follower {
    pub projector: Arc<dyn Projector>,
    pub generation: Generation,
    pub registry: Registry,
    pub feed: Feed,
    /// A name of this process that no other has.
    pub holder: String,
}

impl Follower {
    /// The name of a sink's lease: `rm_orders_3:rows`.
    pub fn name(&self, sink: &str) -> String {
        format!("{}:{sink}", self.generation.namespace())
    }

    /// The leases of generations, on behalf of this process.
    pub fn leases(&self) -> Leases {
        Leases::new(self.registry.operations().clone(), self.holder.clone())
    }

    /// Holds the lease of one sink and runs `follow` under it until told to stop.
    pub(crate) async fn hold<'a>(
        &'a self,
        sink: &'a str,
        stop: &CancellationToken,
        follow: impl Fn(Lease) -> BoxFuture<'a, Result<(), Stopped>> + Send + Sync,
    ) {
        let report = |reason: String| -> BoxFuture<'a, ()> {
            Box::pin(async move { self.report(sink, "stopped", &reason).await })
        };
        self.leases().hold(&self.name(sink), stop, follow, report).await;
    }

    /// Writes down why the follower stands still, for whoever waits for it.
    pub(crate) async fn report(&self, sink: &str, state: &str, reason: &str) {
        let written = async {
            let db = self.generation.db(self.registry.database())?;
            let sql = "INSERT INTO @status (follower, state, reason) VALUES ($1, $2, $3) ON CONFLICT (follower) \
                       DO UPDATE SET state = excluded.state, reason = excluded.reason";
            db.connection.execute(db.statement(sql, [sink.into(), state.into(), reason.into()])).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the state of a follower was not written down");
        }
    }

    /// Keeps the rows up to date until told to stop.
    pub async fn keep_rows(&self, stop: CancellationToken) {
        self.hold(ROWS, &stop, |lease| Box::pin(self.follow_rows(lease, &stop))).await;
    }

    /// Takes up the rows where they are, under a lease that this process holds. Whoever moved them before finds the
    /// checkpoint fenced, and lets go.
    pub async fn fold(&self, lease: &Lease, poison: Poison) -> Result<Fold<'_>, Stopped> {
        let db = self.generation.db(self.registry.database())?;
        if !Checkpoint::fence(&db, &db.connection, ROWS, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        let (checkpoint, _) = Checkpoint::load(&db, &db.connection, ROWS).await?.ok_or(Stopped::Lost)?;
        let mut fold = Fold {
            follower: self,
            db,
            epoch: lease.epoch,
            poison,
            keep: 0,
            ahead: false,
            durable: Durable::AtOnce,
            whole: false,
            kept: Unit::default(),
            checkpoint,
            writing: None,
            texts: self.projector.texts().map(Index::new),
            parked: BTreeSet::new(),
            damaged: VecDeque::new(),
            overwritten: true,
        };
        fold.load_parked().await?;
        // A generation of an older release has no record of whom it was cleaned of.
        let record = ERASED.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
        fold.db.connection.execute(fold.db.statement(&record, [])).await?;
        Ok(fold)
    }

    async fn follow_rows(&self, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let mut fold = self.fold(&lease, Poison::Park).await?;
        fold.run_ahead();
        let name = self.name(ROWS);
        let (mut running, mut indexed) = (false, false);
        let mut looked = Instant::now();
        while !stop.is_cancelled() {
            let entries = self.feed.after(&name, fold.folded(), BATCH).await?;
            let began = Instant::now();
            fold.take(&entries).await?;
            if entries.len() < BATCH {
                fold.written().await?;
            }
            if !running {
                // It got this far: whatever was wrong is over.
                self.report(ROWS, "running", "").await;
                running = true;
            }
            if looked.elapsed() > RETRIES {
                looked = Instant::now();
                fold.retry().await?;
                fold.complete_texts().await?;
                fold.write_back().await?;
            }
            if entries.is_empty() && !indexed {
                fold.index().await?;
                indexed = true;
            }
            if entries.len() >= BATCH / 4 {
                continue;
            }
            let gather = async {
                if entries.is_empty() {
                    self.feed.wait(fold.checkpoint().position).await;
                }
                // Also after a call that was for nothing: what was announced may not be in the log yet, or never.
                tokio::time::sleep_until(began + GATHER).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = gather => {}
                // The checkpoint's own row is read again: the log may have been restored meanwhile.
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        fold.written().await
    }
}

/// Why a batch did not go in.
enum Broken {
    /// The event fails: park it, and do the rest.
    Event {
        position: i64,
        cause: String,
    },
    /// The rows were refused, and no telling for which event: one by one.
    Rows(String),
    Stopped(Stopped),
}

impl From<DbErr> for Broken {
    fn from(error: DbErr) -> Self {
        if of_the_data(&error) { Self::Rows(said(&error)) } else { Self::Stopped(Stopped::Log(error.into())) }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Stopped(Stopped::Log(error))
    }
}

/// Whether another event might have gone in. (Where the table is missing, none would.)
fn of_the_data(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    match error {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL: of data, of integrity, of its own limits.
            Some(code) if code.len() == 5 => ["22", "23", "54"].iter().any(|class| code.starts_with(class)),
            // SQLite: too big, constraint, mismatch; what is above the lowest byte says more.
            Some(code) => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20)),
            None => false,
        },
        _ => false,
    }
}

/// What the database said. A complaint about a value may quote it, and then only its code is told: what an event is
/// parked with is shown to people, and stays.
fn said(error: &DbErr) -> String {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Encode(_)))
        | DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::Encode(_))) => {
            "a value cannot be sent to the database".to_owned()
        }
        DbErr::Exec(RuntimeErr::SqlxError(sqlx::Error::Database(refusal)))
        | DbErr::Query(RuntimeErr::SqlxError(sqlx::Error::Database(refusal))) => {
            match refusal.code().as_deref().filter(|code| code.len() == 5 && code.starts_with("22")) {
                Some(code) => format!("the database refused a value ({code})"),
                None => error.to_string(),
            }
        }
        _ => error.to_string(),
    }
}

/// What is done about an event that a projector cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// It is parked, with what follows for its rows; the rest goes on.
    Park,
    /// Nothing goes on: [`Stopped::Poison`].
    Stop,
}

/// The rows of a generation in the hands of one process: moved on in batches, each with its checkpoint in one
/// transaction.
pub struct Fold<'a> {
    follower: &'a Follower,
    db: Db,
    epoch: i64,
    poison: Poison,
    /// How many rows stay in memory from one batch to the next. Nobody else changes them: a batch begins with the
    /// checkpoint.
    keep: usize,
    /// What was folded may be written later.
    ahead: bool,
    durable: Durable,
    kept: Unit,
    /// All rows that there are and that an event could ask for, are in memory.
    whole: bool,
    checkpoint: Checkpoint,
    /// What was folded and is being written.
    writing: Option<Writing>,
    texts: Option<Index>,
    /// The groups of rows that wait for a parked event.
    parked: BTreeSet<String>,
    /// The last positions with a value that could not be opened.
    damaged: VecDeque<i64>,
    /// A person's values were overwritten, or may have been, and the write-ahead log may still have them.
    overwritten: bool,
}

/// A batch on its way into the database, while the next one is folded. It is a transaction like any other, and the next
/// one begins when it is done.
struct Writing {
    /// If the database refuses something of it, it is done again, as carefully as it takes.
    entries: Vec<Entry>,
    to: Checkpoint,
    task: JoinHandle<Result<(), Broken>>,
}

/// Whoever lets go of the rows lets go of what is not committed.
impl Drop for Writing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One transaction: the checkpoint, then the rows.
async fn write(
    db: Db,
    epoch: i64,
    durable: Durable,
    from: Checkpoint,
    to: Checkpoint,
    writes: Vec<Write>,
) -> Result<(), Broken> {
    let tx = Transaction::begin(&db, durable).await?;
    if !from.advance(&db, &tx, ROWS, &to, epoch).await? {
        return Err(Broken::Stopped(Stopped::Lost));
    }
    for write in writes {
        tx.write(write).await?;
    }
    Ok(tx.commit().await?)
}

/// The erasure that an event asks for or confirms.
fn erasure(entry: &Entry) -> Option<(&RecordedEvent, &[soonshop_domain::Purpose])> {
    let (Content::Event(event) | Content::Damaged(event, _)) = &entry.content else { return None };
    match &event.event {
        Event::Person(
            person::Event::ErasureRequested { purposes } | person::Event::PersonErased { purposes },
        ) => Some((event, purposes)),
        _ => None,
    }
}

impl Fold<'_> {
    /// How far the rows are, in the database.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How far they are when what is being written is there.
    pub fn folded(&self) -> &Checkpoint {
        self.writing.as_ref().map_or(&self.checkpoint, |writing| &writing.to)
    }

    /// Keeps up to so many rows in memory from one batch to the next. As long as all rows that there are, are in memory,
    /// a batch is folded while the one before it is written: whoever does this ends with [`Fold::written`].
    ///
    /// Nobody reads what is being built: its commits wait for no disk, as long as one that does comes at its end
    /// ([`Fold::index`]).
    pub fn keep(&mut self, rows: usize) {
        (self.keep, self.durable) = (rows, Durable::Soon);
        self.run_ahead();
        self.whole |= rows > 0 && self.checkpoint.position == 0;
    }

    /// Folds a batch while the one before it is written, where that takes no rows at all.
    fn run_ahead(&mut self) {
        self.ahead = true;
        self.whole = self.needs_none();
    }

    fn needs_none(&self) -> bool {
        self.ahead && self.follower.projector.only_adds()
    }

    /// Forgets the rows that are in memory: something else than a batch is about to change them.
    fn forget(&mut self) {
        self.kept = Unit::default();
        self.whole = self.needs_none();
    }

    /// How many groups of rows wait for a parked event.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Projects what follows what was folded. The checkpoint moves with the rows, at once or with a later call.
    pub async fn take(&mut self, entries: &[Entry]) -> Result<(), Stopped> {
        let Some(last) = entries.last() else { return Ok(()) };
        let ahead = if self.is_plain(entries) { self.fold_ahead(entries) } else { None };
        let as_thought = self.settled().await?;
        if let Some(writes) = ahead.filter(|_| as_thought) {
            let (from, to) = (self.checkpoint.clone(), last.checkpoint());
            let task =
                tokio::spawn(write(self.db.clone(), self.epoch, self.durable, from, to.clone(), writes));
            self.writing = Some(Writing { entries: entries.to_vec(), to, task });
            return Ok(());
        }
        let from = self.checkpoint.clone();
        self.checkpoint = Box::pin(self.apply(entries, &from)).await?;
        Ok(())
    }

    /// Returns when all that was folded is in the database.
    pub async fn written(&mut self) -> Result<(), Stopped> {
        self.settled().await.map(drop)
    }

    /// Waits for what is being written. False: some of it was parked, so what was folded since is not right.
    async fn settled(&mut self) -> Result<bool, Stopped> {
        let Some(mut writing) = self.writing.take() else { return Ok(true) };
        let stopped = match (&mut writing.task).await {
            Ok(Ok(())) => {
                self.checkpoint = writing.to.clone();
                return Ok(true);
            }
            Ok(Err(Broken::Rows(_) | Broken::Event { .. })) => None,
            Ok(Err(Broken::Stopped(stopped))) => Some(stopped),
            Err(broken) => Some(Stopped::Log(Error::Database(format!("the writing broke off: {broken}")))),
        };
        self.forget();
        self.texts.as_mut().map(Index::break_off);
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        let from = self.checkpoint.clone();
        self.checkpoint = Box::pin(self.apply(&writing.entries, &from)).await?;
        Ok(false)
    }

    /// Whether it takes nothing but the rows in memory to fold these.
    fn is_plain(&self, entries: &[Entry]) -> bool {
        let follows = self.follower.projector.follows();
        let plain = |entry: &Entry| match &entry.content {
            Content::Event(_) => erasure(entry).is_none(),
            Content::Foreign => true,
            Content::Damaged(..) | Content::Unknown(_) => !follows.contains(&&*entry.aggregate_type),
        };
        self.whole && self.parked.is_empty() && entries.iter().all(plain)
    }

    /// Folds over the rows in memory, which are all that there are; what writes them. `None`: not like this, and nothing
    /// of it stays in memory.
    fn fold_ahead(&mut self, entries: &[Entry]) -> Option<Vec<Write>> {
        let projector = &self.follower.projector;
        let mut unit = std::mem::take(&mut self.kept);
        self.whole = self.needs_none();
        let events = || {
            let followed =
                entries.iter().filter(|entry| projector.follows().contains(&&*entry.aggregate_type));
            followed.filter_map(|entry| match &entry.content {
                Content::Event(event) => Some(event),
                _ => None,
            })
        };
        let mut wants = Wants::default();
        for event in events() {
            wants.next();
            projector.wants(event, &mut wants);
        }
        unit.assume(wants);
        for event in events() {
            projector.project(event, &mut unit).ok()?;
        }
        let mut writes = unit.writes(&self.db).ok()?;
        let from = self.folded().position;
        if let Some((last, texts)) = entries.last().zip(self.texts.as_mut()) {
            let gathered = texts.let_go();
            let (lines, gathered) = texts.gather(&self.db, gathered, &unit, (from, last.position));
            texts.hold(gathered);
            writes.extend(lines.into_iter().map(Write::Statement));
        }
        if unit.settle() <= self.keep {
            (self.kept, self.whole) = (unit, true);
        }
        Some(writes)
    }

    /// Gives the blocks their lines that are complete and have none: of those that began before this process did, and of
    /// those that waited for a parked event.
    async fn complete_texts(&mut self) -> Result<(), Stopped> {
        let Some(texts) = &mut self.texts else { return Ok(()) };
        let missing = texts.missing(&self.db, self.checkpoint.position).await?;
        let Some(texts) = &self.texts else { return Ok(()) };
        for block in missing {
            let lines = texts.again(&self.db, block).await?;
            let tx = self.begin(&self.checkpoint).await?;
            tx.execute(lines).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn load_parked(&mut self) -> Result<(), Stopped> {
        let rows = self.db.connection.query_all(self.db.statement("SELECT rows FROM @parked", [])).await?;
        self.parked.clear();
        for row in rows {
            let names: String = row.try_get_by_index(0)?;
            self.parked.extend(serde_json::from_str::<Vec<String>>(&names).unwrap_or_default());
        }
        Ok(())
    }

    /// Projects the entries and moves the checkpoint over them, in as few transactions as it takes.
    async fn apply(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        let follows = self.follower.projector.follows();
        let mut checkpoint = from.clone();
        // An erasure goes alone: what is cleaned must not be written back from rows that were loaded before.
        for piece in entries.chunk_by(|a, b| erasure(a).is_none() && erasure(b).is_none()) {
            let unknown = piece.iter().position(|entry| {
                matches!(entry.content, Content::Unknown(_)) && follows.contains(&&*entry.aggregate_type)
            });
            let known = &piece[..unknown.unwrap_or(piece.len())];
            if !known.is_empty() {
                checkpoint = self.apply_known(known, &checkpoint).await?;
            }
            if let Some(entry) = unknown.map(|index| &piece[index])
                && let Content::Unknown(reason) = &entry.content
            {
                return Err(Stopped::UnknownEvent { position: entry.position, reason: reason.clone() });
            }
        }
        Ok(checkpoint)
    }

    fn count_damaged(&mut self, entries: &[Entry]) -> Result<(), Stopped> {
        let follows = self.follower.projector.follows();
        for entry in entries.iter().filter(|entry| follows.contains(&&*entry.aggregate_type)) {
            if matches!(entry.content, Content::Damaged(..))
                && self.damaged.back().is_none_or(|last| *last < entry.position)
            {
                self.damaged.push_back(entry.position);
                self.damaged.retain(|position| *position > entry.position - DAMAGED_WITHIN);
            }
        }
        let count = self.damaged.len();
        if count > MOST_DAMAGED { Err(Stopped::Log(Error::KeyStoreLost { count })) } else { Ok(()) }
    }

    async fn apply_known(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        self.count_damaged(entries)?;
        let mut failing: BTreeMap<i64, String> = BTreeMap::new();
        loop {
            match Box::pin(self.transaction(entries, from, &failing)).await {
                Ok(to) => return Ok(to),
                Err(Broken::Stopped(stopped)) => return Err(stopped),
                Err(Broken::Event { position, cause }) => {
                    self.refuse(position, &cause)?;
                    tracing::error!(
                        follower = self.follower.name(ROWS),
                        position,
                        cause,
                        "an event is parked"
                    );
                    failing.insert(position, cause);
                }
                Err(Broken::Rows(cause)) => match entries {
                    [one] if !failing.contains_key(&one.position) => {
                        self.refuse(one.position, &cause)?;
                        tracing::error!(
                            follower = self.follower.name(ROWS),
                            position = one.position,
                            cause,
                            "an event is parked"
                        );
                        failing.insert(one.position, cause);
                    }
                    [_] | [] => return Err(Stopped::Log(Error::Database(cause))),
                    // In halves, until the one that is to blame is alone.
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        let between = Box::pin(self.apply_known(first, from)).await?;
                        return Box::pin(self.apply_known(second, &between)).await;
                    }
                },
            }
        }
    }

    /// Where nothing is to be parked, the first event that would be is the end.
    fn refuse(&self, position: i64, cause: &str) -> Result<(), Stopped> {
        match self.poison {
            Poison::Park => Ok(()),
            Poison::Stop => Err(Stopped::Poison { position, cause: cause.to_owned() }),
        }
    }

    async fn transaction(
        &mut self,
        entries: &[Entry],
        from: &Checkpoint,
        failing: &BTreeMap<i64, String>,
    ) -> Result<Checkpoint, Broken> {
        let projector = &self.follower.projector;
        let to = entries.last().map_or_else(|| from.clone(), Entry::checkpoint);
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        if !from.advance(&self.db, &tx, ROWS, &to, self.epoch).await? {
            return Err(Broken::Stopped(Stopped::Lost));
        }
        // Taken out: a batch that fails leaves nothing of itself in memory.
        let mut unit = std::mem::take(&mut self.kept);
        let whole = std::mem::take(&mut self.whole);
        let gathered = self.texts.as_mut().and_then(Index::let_go);
        let mut work = Vec::with_capacity(entries.len());
        let mut wants = Wants::default();
        let mut newly: BTreeSet<String> = BTreeSet::new();
        for (event, purposes) in entries.iter().filter_map(erasure) {
            self.erase(&tx, event, purposes).await?;
        }
        for entry in entries.iter().filter(|entry| projector.follows().contains(&&*entry.aggregate_type)) {
            let (event, damage) = match &entry.content {
                Content::Event(event) => (event, None),
                Content::Damaged(event, reason) => (event, Some(reason)),
                Content::Foreign | Content::Unknown(_) => continue,
            };
            wants.next();
            projector.wants(event, &mut wants);
            let cause = failing.get(&event.position).or(damage).cloned();
            if let Some(cause) = &cause {
                self.refuse(event.position, cause).map_err(Broken::Stopped)?;
            }
            if cause.is_none() && self.parked.is_empty() && newly.is_empty() {
                work.push(event);
                continue;
            }
            let names = wants.names();
            let behind = names.iter().find(|name| self.parked.contains(*name) || newly.contains(*name));
            match cause.or_else(|| behind.map(|name| format!("behind {name}"))) {
                Some(cause) => {
                    self.park(&tx, event, &names, &cause).await?;
                    newly.extend(names);
                }
                None => work.push(event),
            }
        }
        unit.load(&self.db, &tx, wants, whole).await?;
        for event in work {
            projector
                .project(event, &mut unit)
                .map_err(|failure| Broken::Event { position: event.position, cause: failure.0 })?;
        }
        unit.store(&self.db, &tx).await?;
        let between = (from.position, to.position);
        let texts = self.texts.as_mut().map(|texts| texts.gather(&self.db, gathered, &unit, between));
        let (lines, gathered) = texts.unzip();
        for statement in lines.into_iter().flatten() {
            tx.execute(statement).await?;
        }
        tx.commit().await?;
        if let Some((texts, gathered)) = self.texts.as_mut().zip(gathered) {
            texts.hold(gathered);
        }
        self.parked.extend(newly);
        let erased = entries.iter().any(|entry| erasure(entry).is_some());
        self.overwritten |= erased;
        // Rows that an erasure may have changed beside those in memory are read again.
        let beside = erased && !projector.personal().is_empty();
        if !beside && self.keep > 0 && unit.settle() <= self.keep {
            (self.kept, self.whole) = (unit, whole);
        }
        self.whole |= self.needs_none();
        Ok(to)
    }

    /// Cleans the rows of a person, and records that it was done: whatever holds nothing personal is clean at once.
    async fn erase(
        &self,
        tx: &Transaction,
        event: &RecordedEvent,
        purposes: &[soonshop_domain::Purpose],
    ) -> Result<(), Broken> {
        let subject = event.stream.to_string();
        let personal = self.follower.projector.personal().iter();
        for columns in personal.filter(|columns| purposes.contains(&columns.purpose)) {
            tx.execute(self.db.statement(&columns.clean(), [subject.as_str().into()])).await?;
        }
        let sql = "INSERT INTO @erased (subject, position) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        tx.execute(self.db.statement(sql, [subject.into(), event.position.into()])).await?;
        Ok(())
    }

    /// Has the write-ahead log of a SQLite file forget what was overwritten. Who reads just now may be in the way.
    async fn write_back(&mut self) -> Result<(), Stopped> {
        if self.overwritten {
            self.overwritten = !self.db.write_back().await?;
        }
        Ok(())
    }

    async fn park(
        &self,
        tx: &Transaction,
        event: &RecordedEvent,
        names: &BTreeSet<String>,
        cause: &str,
    ) -> Result<(), Broken> {
        let sql = "INSERT INTO @parked (position, event_id, rows, cause) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (position) DO UPDATE SET cause = excluded.cause, attempts = parked.attempts + 1";
        let names = serde_json::to_string(names).map_err(|error| Broken::Rows(error.to_string()))?;
        let values = [event.position.into(), event.event_id.to_string().into(), names.into(), cause.into()];
        tx.execute(self.db.statement(sql, values)).await?;
        Ok(())
    }

    /// Where somebody asked for it, tries what is parked again, in order; what still fails keeps what is behind it.
    async fn retry(&mut self) -> Result<(), Stopped> {
        self.written().await?;
        let at = &self.checkpoint.clone();
        self.forget();
        let asked = self.db.statement("SELECT position FROM @retries LIMIT 1", []);
        if self.db.connection.query_one(asked).await?.is_none() {
            return Ok(());
        }
        let sql = "DELETE FROM @retries AS r WHERE NOT EXISTS (SELECT 1 FROM @parked p WHERE p.position = r.position)";
        if self.db.connection.execute(self.db.statement(sql, [])).await?.rows_affected() > 0 {
            tracing::info!(follower = self.follower.name(ROWS), "what is not parked is not tried again");
        }
        let sql = "SELECT position, event_id, rows FROM @parked ORDER BY position";
        let rows = self.db.connection.query_all(self.db.statement(sql, [])).await?;
        // What comes in after its turn is in nobody's hands but the database's.
        self.texts.as_mut().map(Index::break_off);
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        for row in &rows {
            let (position, id): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let names: String = row.try_get_by_index(2)?;
            let names: BTreeSet<String> = serde_json::from_str(&names).unwrap_or_default();
            let tried = match names.iter().find(|name| blocked.contains(*name)) {
                Some(name) => Err(format!("behind {name}")),
                None => self.again(position, &id, at).await?,
            };
            if let Err(cause) = tried {
                blocked.extend(names);
                let tx = self.begin(at).await?;
                let sql = "UPDATE @parked SET attempts = attempts + 1, cause = $2 WHERE position = $1";
                tx.execute(self.db.statement(sql, [position.into(), cause.into()])).await?;
                self.done(&tx, position).await?;
                tx.commit().await?;
            }
        }
        self.load_parked().await
    }

    /// The request is dealt with. (One that comes later is a new one.)
    async fn done(&self, tx: &Transaction, position: i64) -> Result<(), DbErr> {
        let sql = "DELETE FROM @retries WHERE position = $1";
        tx.execute(self.db.statement(sql, [position.into()])).await.map(drop)
    }

    /// A transaction that leaves the checkpoint where it is; begun like any other batch.
    async fn begin(&self, at: &Checkpoint) -> Result<Transaction, Stopped> {
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        if at.advance(&self.db, &tx, ROWS, at, self.epoch).await? { Ok(tx) } else { Err(Stopped::Lost) }
    }

    /// Tries one parked event again. The error inside says why it stays parked.
    async fn again(&self, position: i64, id: &str, at: &Checkpoint) -> Result<Result<(), String>, Stopped> {
        let stored = self.follower.feed.log().read(position, 1).await?;
        let entry = self.follower.feed.log().decode(stored).await?.into_iter().next();
        let event = match entry {
            Some(entry) if entry.event_id.to_string() != id => {
                return Ok(Err("the log has another event there".to_owned()));
            }
            Some(Entry { content: Content::Event(event), .. }) => event,
            Some(Entry { content: Content::Damaged(_, reason) | Content::Unknown(reason), .. }) => {
                return Ok(Err(reason));
            }
            Some(Entry { content: Content::Foreign, .. }) | None => {
                return Ok(Err("the log has no such event".to_owned()));
            }
        };
        let tx = self.begin(at).await?;
        match self.project_again(&tx, &event).await {
            Ok(()) => {
                self.done(&tx, position).await?;
                tx.commit().await?;
                tracing::info!(follower = self.follower.name(ROWS), position, "a parked event was projected");
                Ok(Ok(()))
            }
            Err(Broken::Event { cause, .. } | Broken::Rows(cause)) => {
                tx.rollback().await?;
                Ok(Err(cause))
            }
            Err(Broken::Stopped(stopped)) => Err(stopped),
        }
    }

    async fn project_again(&self, tx: &Transaction, event: &RecordedEvent) -> Result<(), Broken> {
        let projector = &self.follower.projector;
        let position = event.position;
        let mut wants = Wants::default();
        projector.wants(event, &mut wants);
        let mut unit = Unit::default();
        unit.load(&self.db, tx, wants, false).await?;
        projector
            .project(event, &mut unit)
            .map_err(|failure| Broken::Event { position, cause: failure.0 })?;
        unit.store(&self.db, tx).await?;
        tx.execute(self.db.statement("DELETE FROM @parked WHERE position = $1", [position.into()])).await?;
        // The sinks have passed this position: here they find what they have to do again.
        let sql =
            "INSERT INTO @repeated (number, stream) SELECT coalesce(max(number), 0) + 1, $1 FROM @repeated";
        tx.execute(self.db.statement(sql, [event.stream.to_string().into()])).await?;
        Ok(())
    }

    /// Builds the indexes, now that there is something to index. On PostgreSQL two at a time where a connection is free.
    pub async fn index(&mut self) -> Result<(), Stopped> {
        self.written().await?;
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        // From here to the end of this transaction nobody else can take the rows over.
        if !Checkpoint::fence(&self.db, &tx, ROWS, self.epoch).await? {
            return Err(Stopped::Lost);
        }
        let projector = &self.follower.projector;
        let keys = keyed_later(&**projector, &self.db).into_iter().map(|table| {
            let (name, keys) = (table.name(), table.keys().join(", "));
            format!("CREATE UNIQUE INDEX IF NOT EXISTS {name}_pkey ON @{name} ({keys})")
        });
        let others = projector.indexes().iter();
        let others = others.map(|sql| sql.replacen("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ", 1));
        let left = Mutex::new(keys.chain(others).collect::<VecDeque<_>>());
        let build = async |on: &Transaction| -> Result<(), DbErr> {
            unlimited(&self.db, on).await?;
            while let Some(sql) = next(&left) {
                on.execute_unprepared(&self.db.sql(&sql)).await?;
            }
            Ok(())
        };
        let beside = async {
            let Some(other) = Transaction::beside(&self.db).await? else { return Ok(()) };
            build(&other).await?;
            other.commit().await
        };
        tokio::try_join!(Box::pin(build(&tx)), Box::pin(beside))?;
        if self.db.backend() == DatabaseBackend::Postgres {
            // Until the server looks by itself, a minute later, it would not know which index to use.
            tx.execute_unprepared("SET LOCAL default_statistics_target = 20").await?;
            for table in projector.tables() {
                tx.execute_unprepared(&self.db.sql(&format!("ANALYZE @{}", table.name()))).await?;
            }
        }
        tx.commit().await?;
        self.complete_texts().await
    }
}

fn next(left: &Mutex<VecDeque<String>>) -> Option<String> {
    left.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// What it does may take as long as it takes, and so may what it waits for.
async fn unlimited(db: &Db, on: &Transaction) -> Result<(), DbErr> {
    if db.backend() == DatabaseBackend::Postgres {
        for limit in ["statement_timeout", "idle_in_transaction_session_timeout"] {
            on.execute_unprepared(&format!("SET LOCAL {limit} = 0")).await?;
        }
    }
    Ok(())
}
