//! The rows of a generation in one process, moved forward in batches.

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

/// The rows of a generation in one process, moved forward in batches: each writes its rows and its checkpoint in one
/// transaction.
pub struct Fold<'a> {
    pub(super) follower: &'a Follower,
    pub(super) db: Db,
    pub(super) fence: Fence,
    poison: Poison,
    mode: Mode,
    memory: Memory,
    pub(super) checkpoint: Checkpoint,
    /// The folded batch that is being written.
    writing: Option<Writing>,
    pub(super) texts: Option<Index>,
    pub(super) parking: Parking,
    damage: Damage,
    pub(super) overwritten: Overwritten,
}

impl Follower {
    /// Takes over the rows under a lease that this process holds. A process that moved them before finds its
    /// checkpoint fenced, and lets go.
    pub async fn fold(&self, lease: &Lease, poison: Poison) -> Result<Fold<'_>, Stopped> {
        let db = self.generation.db(self.registry.database())?;
        let (fence, checkpoint) = Fence::take(&db, ROWS, lease).await?;
        let parking = Parking::load(&db).await?;
        // A generation of an older release has no table of erasures.
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
    /// The checkpoint in the database.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The checkpoint after the batch that is being written.
    pub fn folded(&self) -> &Checkpoint {
        self.writing.as_ref().map_or(&self.checkpoint, |writing| &writing.to)
    }

    /// How many groups of rows wait for a parked event.
    pub fn parked(&self) -> usize {
        self.parking.len()
    }

    /// Keeps up to this many rows in memory between batches. While all rows of the generation are in memory, a batch
    /// is folded while the one before it is written: call [`Fold::written`] at the end.
    pub fn keep(&mut self, rows: usize) {
        self.mode = Mode::Bulk { keep: rows };
        self.memory.all = self.needs_none() || rows > 0 && self.checkpoint.position == 0;
    }

    /// Folds a batch while the one before it is written, for projectors that only add rows.
    pub(super) fn go_live(&mut self) {
        self.mode = Mode::Live;
        self.memory.all = self.needs_none();
    }

    fn needs_none(&self) -> bool {
        self.mode != Mode::Stepwise && self.follower.projector.only_adds()
    }

    /// Drops the rows in memory, because something other than a batch is about to change them.
    pub(super) fn clear_memory(&mut self) {
        self.memory = Memory { all: self.needs_none(), ..Memory::default() };
    }

    /// Projects the entries after the folded ones. The checkpoint moves with the rows, now or in a later call.
    pub async fn take(&mut self, entries: &[Entry]) -> Result<(), Stopped> {
        let Some(last) = entries.last() else { return Ok(()) };
        let ahead = if self.is_plain(entries) { self.fold_ahead(entries) } else { None };
        let as_thought = self.settled().await?;
        if let Some(writes) = ahead.filter(|_| as_thought) {
            let way = (self.checkpoint.clone(), last.checkpoint());
            let (db, fence) = (self.db.clone(), self.fence.clone());
            self.writing = Some(Writing::begin(db, fence, entries, way, writes));
            return Ok(());
        }
        let from = self.checkpoint.clone();
        self.checkpoint = Box::pin(self.apply(entries, &from)).await?;
        Ok(())
    }

    /// Returns when everything folded is committed.
    pub async fn written(&mut self) -> Result<(), Stopped> {
        self.settled().await.map(drop)
    }

    /// Waits for the batch that is being written. False: part of it was parked, so what was folded after it is wrong.
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
        self.clear_memory();
        self.texts.as_mut().map(Index::break_off);
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        let from = self.checkpoint.clone();
        self.checkpoint = Box::pin(self.apply(&writing.entries, &from)).await?;
        Ok(false)
    }

    /// Whether these entries can be folded with the rows in memory alone.
    fn is_plain(&self, entries: &[Entry]) -> bool {
        let follows = self.follower.projector.follows();
        let plain = |entry: &Entry| match &entry.content {
            Content::Event(_) => erasure(entry).is_none(),
            Content::Foreign => true,
            Content::Damaged(..) | Content::Unknown(_) => !follows.contains(&&*entry.aggregate_type),
        };
        self.memory.all && self.parking.is_empty() && entries.iter().all(plain)
    }

    /// Folds over the rows in memory, which must be all rows, and returns the writes. `None`: this is not possible,
    /// and memory is unchanged.
    fn fold_ahead(&mut self, entries: &[Entry]) -> Option<Vec<Write>> {
        let projector = Arc::clone(&self.follower.projector);
        let mut unit = std::mem::take(&mut self.memory.unit);
        self.clear_memory();
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

    /// Projects the entries and moves the checkpoint over them, in as few transactions as possible.
    async fn apply(&mut self, entries: &[Entry], from: &Checkpoint) -> Result<Checkpoint, Stopped> {
        let follows = self.follower.projector.follows();
        let mut checkpoint = from.clone();
        // An erasure is applied alone: rows that were loaded before it must not be written back after it.
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
                    // Halve the batch until the failing event is alone.
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

    /// In the mode that parks nothing, the first failing event stops the fold.
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
        // An erasure is complete only once it is on disk.
        let erases = entries.iter().any(|entry| erasure(entry).is_some());
        let durable = if erases { Durable::AtOnce } else { Durable::Soon };
        let tx = Transaction::begin(&self.db, durable).await?;
        self.fence.advance(&tx, from, &to).await?;
        // Taken out of `self`, so that a failed batch leaves nothing in memory.
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
        self.overwritten.note(erases);
        // Rows that an erasure may have changed outside memory are read again.
        let beside = erases && !projector.personal().is_empty();
        let keep = self.mode.keep();
        if !beside && keep > 0 && unit.settle() <= keep {
            self.memory = Memory { unit, all };
        }
        self.memory.all |= self.needs_none();
        Ok(to)
    }

    /// Splits the events into those to project, with the rows that they need, and those to park, with the rows that
    /// they block: failing events, and events behind a parked one.
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

    /// A transaction that does not move the checkpoint, but starts like any other batch.
    pub(super) async fn begin(&self, at: &Checkpoint) -> Result<Transaction, Stopped> {
        let tx = Transaction::begin(&self.db, Durable::AtOnce).await?;
        self.fence.advance(&tx, at, at).await?;
        Ok(tx)
    }
}
