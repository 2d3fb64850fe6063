//! The rows of a generation in the hands of one process: moved on in batches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sea_orm::ConnectionTrait as _;
use soonshop_event_log::{Checkpoint, Content, Db, Entry, Error, Fence, Lease, RecordedEvent, Stopped};

use super::behind::Writing;
use super::damage::Damage;
use super::erasure::{Overwritten, erase, erasure};
use super::failure::Broken;
use super::follower::Follower;
use super::mode::{Memory, Mode, Poison};
use super::parking::{Parking, park};
use crate::generation::{ERASED, ROWS};
use crate::projector::{Projector, Wants};
use crate::texts::Index;
use crate::transaction::{Durable, Transaction, Write};

/// The rows of a generation in the hands of one process: moved on in batches, each with its checkpoint in one
/// transaction.
pub struct Fold<'a> {
    pub(super) follower: &'a Follower,
    pub(super) db: Db,
    pub(super) fence: Fence,
    poison: Poison,
    mode: Mode,
    memory: Memory,
    pub(super) checkpoint: Checkpoint,
    /// What was folded and is being written.
    writing: Option<Writing>,
    pub(super) texts: Option<Index>,
    pub(super) parking: Parking,
    damage: Damage,
    pub(super) overwritten: Overwritten,
}

impl Follower {
    /// Takes up the rows where they are, under a lease that this process holds. A process that moved them before finds
    /// the checkpoint fenced, and lets go.
    pub async fn fold(&self, lease: &Lease, poison: Poison) -> Result<Fold<'_>, Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let (fence, checkpoint) = Fence::take(&db, ROWS, lease).await?;
        let parking = Parking::load(&db).await?;
        // A generation of an older release has no record of whom it was cleaned of.
        let record = ERASED.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1);
        db.connection.execute(db.statement(&record, [])).await?;
        Ok(Fold {
            follower: self,
            db,
            fence,
            poison,
            mode: Mode::Stepwise,
            memory: Memory::default(),
            checkpoint,
            writing: None,
            texts: self.projector.texts().map(Index::new),
            parking,
            damage: Damage::default(),
            overwritten: Overwritten::unknown(),
        })
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

    /// How many groups of rows wait for a parked event.
    pub fn parked(&self) -> usize {
        self.parking.len()
    }

    /// Keeps up to so many rows in memory from one batch to the next. As long as all rows that there are, are in memory,
    /// a batch is folded while the one before it is written: whoever does this ends with [`Fold::written`].
    ///
    /// Nobody reads what is being built: its commits wait for no disk, as long as one that does comes at its end
    /// ([`Fold::index`]).
    pub fn keep(&mut self, rows: usize) {
        self.mode = Mode::Bulk { keep: rows };
        self.memory.all = self.needs_none() || rows > 0 && self.checkpoint.position == 0;
    }

    /// Folds a batch while the one before it is written, where that takes no rows at all.
    pub(super) fn go_live(&mut self) {
        self.mode = Mode::Live;
        self.memory.all = self.needs_none();
    }

    fn needs_none(&self) -> bool {
        self.mode != Mode::Stepwise && self.follower.projector.only_adds()
    }

    /// Forgets the rows that are in memory: something else than a batch is about to change them.
    pub(super) fn forget(&mut self) {
        self.memory = Memory { all: self.needs_none(), ..Memory::default() };
    }

    /// Projects what follows what was folded. The checkpoint moves with the rows, at once or with a later call.
    pub async fn take(&mut self, entries: &[Entry]) -> Result<(), Stopped> {
        let Some(last) = entries.last() else { return Ok(()) };
        let ahead = if self.is_plain(entries) { self.fold_ahead(entries) } else { None };
        let as_thought = self.settled().await?;
        if let Some(writes) = ahead.filter(|_| as_thought) {
            let way = (self.checkpoint.clone(), last.checkpoint());
            let (db, fence, durable) = (self.db.clone(), self.fence.clone(), self.mode.durable());
            self.writing = Some(Writing::begin(db, fence, durable, entries, way, writes));
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
        let stopped = match writing.done().await {
            Ok(()) => {
                self.checkpoint = writing.to.clone();
                return Ok(true);
            }
            Err(Broken::Rows(_) | Broken::Event { .. }) => None,
            Err(Broken::Stopped(stopped)) => Some(stopped),
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
        self.memory.all && self.parking.is_empty() && entries.iter().all(plain)
    }

    /// Folds over the rows in memory, which are all that there are; what writes them. `None`: not like this, and nothing
    /// of it stays in memory.
    fn fold_ahead(&mut self, entries: &[Entry]) -> Option<Vec<Write>> {
        let projector = Arc::clone(&self.follower.projector);
        let mut unit = std::mem::take(&mut self.memory.unit);
        self.forget();
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
        if unit.settle() <= self.mode.keep() {
            self.memory = Memory { unit, all: true };
        }
        Some(writes)
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

    async fn apply_known(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        self.damage.count(entries, self.follower.projector.follows())?;
        let mut failing: BTreeMap<i64, String> = BTreeMap::new();
        loop {
            let (position, cause) = match Box::pin(self.transaction(entries, from, &failing)).await {
                Ok(to) => return Ok(to),
                Err(Broken::Stopped(stopped)) => return Err(stopped),
                Err(Broken::Event { position, cause }) => (position, cause),
                Err(Broken::Rows(cause)) => match entries {
                    [one] if !failing.contains_key(&one.position) => (one.position, cause),
                    [_] | [] => return Err(Stopped::Log(Error::Database(cause))),
                    // In halves, until the one that is to blame is alone.
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        let between = Box::pin(self.apply_known(first, from)).await?;
                        return Box::pin(self.apply_known(second, &between)).await;
                    }
                },
            };
            self.refuse(position, &cause)?;
            tracing::error!(follower = self.follower.name(ROWS), position, cause, "an event is parked");
            failing.insert(position, cause);
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
        let projector = &*self.follower.projector;
        let to = entries.last().map_or_else(|| from.clone(), Entry::checkpoint);
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        self.fence.advance(&tx, from, &to).await?;
        // Taken out: a batch that fails leaves nothing of itself in memory.
        let Memory { mut unit, all } = std::mem::take(&mut self.memory);
        let gathered = self.texts.as_mut().and_then(Index::let_go);
        for (event, purposes) in entries.iter().filter_map(erasure) {
            erase(projector, &self.db, &tx, event, purposes).await?;
        }
        let (work, wants, newly) = self.sort(&tx, entries, failing).await?;
        unit.load(&self.db, &tx, wants, all).await?;
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
        self.parking.extend(newly);
        let erased = entries.iter().any(|entry| erasure(entry).is_some());
        self.overwritten.note(erased);
        // Rows that an erasure may have changed beside those in memory are read again.
        let beside = erased && !projector.personal().is_empty();
        let keep = self.mode.keep();
        if !beside && keep > 0 && unit.settle() <= keep {
            self.memory = Memory { unit, all };
        }
        self.memory.all |= self.needs_none();
        Ok(to)
    }

    /// The events that are projected, and the rows that they need; the others are parked, and named by their rows: those
    /// that fail, and those behind them.
    async fn sort<'e>(
        &self,
        tx: &Transaction,
        entries: &'e [Entry],
        failing: &BTreeMap<i64, String>,
    ) -> Result<(Vec<&'e RecordedEvent>, Wants, BTreeSet<String>), Broken> {
        let projector: &dyn Projector = &*self.follower.projector;
        let mut work: Vec<&RecordedEvent> = Vec::with_capacity(entries.len());
        let mut wants = Wants::default();
        let mut newly: BTreeSet<String> = BTreeSet::new();
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
                self.refuse(event.position, cause)?;
            }
            if cause.is_none() && self.parking.is_empty() && newly.is_empty() {
                work.push(event);
                continue;
            }
            let names = wants.names();
            let behind = names.iter().find(|name| self.parking.contains(name) || newly.contains(*name));
            match cause.or_else(|| behind.map(|name| format!("behind {name}"))) {
                Some(cause) => {
                    park(&self.db, tx, event, &names, &cause).await?;
                    newly.extend(names);
                }
                None => work.push(event),
            }
        }
        Ok((work, wants, newly))
    }

    /// A transaction that leaves the checkpoint where it is; begun like any other batch.
    pub(super) async fn begin(&self, at: &Checkpoint) -> Result<Transaction, Stopped> {
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        self.fence.advance(&tx, at, at).await?;
        Ok(tx)
    }
}
