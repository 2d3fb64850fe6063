//! Loading an aggregate: from memory or a snapshot, and the events after it.

use soonshop_domain::{Decider, ids};
use soonshop_event_log::StoredEvent;
use soonshop_event_log::history::PageSize;
use uuid::Uuid;

use crate::aggregate_cache::{Loaded, Slot};
use crate::command::CommandContext;
use crate::snapshot::{SNAPSHOT_EVERY, snapshot_of};
use crate::waiting::{FIRST_PAUSE, Patience, wait};
use crate::{EventStore, ExecuteError};

/// The most events of a stream that are read at once.
const MOST_AT_ONCE: i64 = 1_000;

/// The same while a long stream is read that has no snapshot: a command that runs out of time meanwhile leaves the next
/// one less to read.
const SNAPSHOT_WHILE_READING: i64 = 20_000;

impl EventStore {
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

    /// The state of an aggregate at this version, with encrypted personal values: an answer made from it is the same
    /// at any later time.
    pub async fn load_at<A: Decider>(&self, id: Uuid, version: i64) -> Result<A, ExecuteError<A::Error>> {
        let loaded = self.current::<A>(id).await?;
        if loaded.version == version && loaded.floor() == 0 {
            return Ok(loaded.state);
        }
        self.folded(id, version).await
    }

    pub(crate) async fn current<A: Decider>(&self, id: Uuid) -> Result<Loaded<A>, ExecuteError<A::Error>> {
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

    /// The state at this version with all its parts, folded from the stream's beginning.
    async fn folded<A: Decider>(&self, id: Uuid, version: i64) -> Result<A, ExecuteError<A::Error>> {
        let (name, mut state, mut done) = (id.to_string(), A::default(), 0);
        let mut size = PageSize::up_to(MOST_AT_ONCE);
        while done < version {
            let rows = self.log.stream(A::TYPE, &name, done, size.events().min(version - done)).await?;
            size.next(&rows);
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
        let mut size = PageSize::up_to(MOST_AT_ONCE);
        loop {
            let mut rows = self.log.stream(A::TYPE, &name, after, size.events()).await?;
            let last = size.is_last(&rows);
            size.next(&rows);
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
            if last {
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

    pub(crate) fn decoded<A: Decider>(
        &self,
        row: StoredEvent,
    ) -> Result<(i64, Uuid, A::Event), ExecuteError<A::Error>> {
        let (sequence, event_id, position) = (row.sequence, row.event_id, row.position);
        let decoded = self.log.decode_row(row).and_then(Result::ok);
        let event = decoded.and_then(|recorded| recorded.event.downcast());
        event.map(|event| (sequence, event_id, event)).ok_or_else(|| {
            ExecuteError::Fault(format!("the event at position {position} is of a newer release, or broken"))
        })
    }

    /// Loads the state if needed; tries again while the database is down and there is time.
    pub(crate) async fn fill<A: Decider>(
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
}
