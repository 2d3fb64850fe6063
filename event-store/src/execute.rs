//! Executing a command: its events are appended to the log exactly once.

use std::sync::atomic::Ordering;

use soonshop_domain::Decider;
use uuid::Uuid;

use crate::aggregate_cache::Slot;
use crate::appender::Outcome;
use crate::command::{CommandContext, Executed};
use crate::draft::Decided;
use crate::settle::Refused;
use crate::waiting::{in_time, received};
use crate::{AppendError, EventStore, ExecuteError};

impl EventStore {
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
                    guard.discard(draft.round);
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
                    slot.discard(round);
                }
            }
            _ => slot.lock().await.discard(round),
        }
    }
}
