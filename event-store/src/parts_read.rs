//! Parts of a state: their events are read from the log when a command's decision needs them.

use std::collections::HashMap;

use soonshop_domain::Decider;
use uuid::Uuid;

use crate::aggregate_cache::Slot;
use crate::command::CommandContext;
use crate::waiting::{FIRST_PAUSE, wait};
use crate::{EventStore, ExecuteError};

/// The events of parts of a state, as the log had them.
pub(crate) struct PartsRead<A: Decider> {
    /// The slot's count of loads when they were read.
    pub(crate) loads: u64,
    /// All events up to this version were in the log then.
    pub(crate) logged: i64,
    pub(crate) events: HashMap<String, Vec<(i64, A::Event)>>,
}

impl EventStore {
    /// Reads the parts that the command's decision needs and that are not in memory, without holding the slot: many
    /// callers of one stream read at the same time. `None`: all are there.
    pub(crate) async fn read_ahead<A: Decider>(
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
    pub(crate) async fn lend_parts<A: Decider>(
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
        // Parts that were read before the slot was taken count if they are of the same history, and if every event that
        // may not have been in the log then is in memory.
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
}
