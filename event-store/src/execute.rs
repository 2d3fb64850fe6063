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
                            a.discard(one.round);
                            Err((of_second(error), vec![one.expected, expected]))
                        }
                        Err(error) => {
                            a.discard(one.round);
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
                            slots.0.lock().await.discard(rounds.0);
                            slots.1.lock().await.discard(rounds.1);
                        }
                    }
                    continue;
                }
            };
            let request = match self.request(&[&one, &other], &context).await {
                Ok(request) => request,
                Err(error) => {
                    a.discard(one.round);
                    b.discard(other.round);
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
                slots.0.lock().await.discard(one.round);
                slots.1.lock().await.discard(other.round);
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
                    slot.discard(round);
                }
            }
            _ => slot.lock().await.discard(round),
        }
    }
}
