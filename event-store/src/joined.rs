//! One append over several streams: all of its commands are done, or none is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use soonshop_domain::{Classified, Command, Decider, Dispatch, ErrorKind};
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;

use crate::aggregate_cache::Slot;
use crate::appender::{Expected, Outcome};
use crate::command::{CommandContext, Executed};
use crate::draft::{Decided, Draft};
use crate::parts_read::PartsRead;
use crate::settle::Refused;
use crate::waiting::{in_time, received};
use crate::{EventStore, ExecuteError};

/// The most streams of one append.
pub const MOST_STREAMS: usize = 4;

/// One of the commands of an append; `E` is what its refusal is to the caller.
pub struct Joined<E>(Box<dyn Member<E>>);

impl<E: Classified> Joined<E> {
    /// A command that has a say: its refusal refuses all, as the `refusal` that it is there.
    pub fn new<A: Decider>(
        id: Uuid,
        command: A::Command,
        refusal: impl Fn(A::Error) -> E + Send + Sync + 'static,
    ) -> Self {
        Self::of::<A>(id, command, move |error| error.of_joined(&refusal))
    }

    /// A command that is never refused: a refusal is an error of the caller.
    pub(crate) fn agreeing<A: Decider>(id: Uuid, command: A::Command) -> Self {
        Self::of::<A>(id, command, ExecuteError::of_another)
    }

    fn of<A: Decider>(
        id: Uuid,
        command: A::Command,
        error: impl Fn(ExecuteError<A::Error>) -> ExecuteError<E> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(OfStream::<A, _> {
            id,
            command,
            error,
            slot: None,
            parts: None,
            draft: None,
            round: 0,
        }))
    }
}

/// The refusal of one of several commands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{aggregate_type} {id}: {sentence}")]
pub struct RefusedBy {
    /// Which one refused.
    pub aggregate_type: &'static str,
    pub id: Uuid,
    pub slug: String,
    pub sentence: String,
    pub kind: ErrorKind,
}

impl AsRef<str> for RefusedBy {
    fn as_ref(&self) -> &str {
        &self.slug
    }
}

impl Classified for RefusedBy {
    fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Makes a command of any aggregate one of an append.
struct Join(Uuid);

impl Dispatch for Join {
    type Output = Joined<RefusedBy>;

    fn take<A: Decider>(self, command: A::Command) -> Joined<RefusedBy> {
        let Self(id) = self;
        Joined::new::<A>(id, command, move |error| RefusedBy {
            aggregate_type: A::TYPE,
            id,
            slug: error.as_ref().to_owned(),
            sentence: error.to_string(),
            kind: error.kind(),
        })
    }
}

/// What an append does with the stream of one of its commands, in this order: `read_ahead`, `lock`, `draft`, `unlock`;
/// then `confirm` and `keep` once it is in the log, or `discard`.
#[async_trait]
trait Member<E>: Send + Sync {
    /// Type and id of the aggregate.
    fn name(&self) -> (&'static str, Uuid);

    async fn read_ahead(
        &mut self,
        store: &EventStore,
        context: &CommandContext,
    ) -> Result<(), ExecuteError<E>>;

    async fn lock(&mut self);

    /// Decides. A refusal comes with the state on which it was decided.
    async fn draft(
        &mut self,
        store: &EventStore,
        context: &CommandContext,
    ) -> Result<Option<(ExecuteError<E>, Expected)>, ExecuteError<E>>;

    fn drafted(&self) -> Option<&Draft>;

    /// Gives the draft up while the stream is locked.
    fn take_back(&mut self);

    fn unlock(&mut self);

    /// Has the state read again, if nobody has since.
    async fn discard(&mut self);

    fn confirm(&self);

    fn keep(&mut self, store: &EventStore);
}

/// The slot of a stream.
enum Held<A: Decider> {
    Free(Arc<Mutex<Slot<A>>>),
    Locked(OwnedMutexGuard<Slot<A>>),
}

struct OfStream<A: Decider, F> {
    id: Uuid,
    command: A::Command,
    /// What an error is to the caller.
    error: F,
    slot: Option<Held<A>>,
    parts: Option<PartsRead<A>>,
    draft: Option<Draft>,
    round: u64,
}

impl<A: Decider, F> OfStream<A, F> {
    fn locked(&mut self) -> Option<&mut Slot<A>> {
        match &mut self.slot {
            Some(Held::Locked(slot)) => Some(slot),
            _ => None,
        }
    }
}

#[async_trait]
impl<A, E, F> Member<E> for OfStream<A, F>
where
    A: Decider,
    E: Classified,
    F: Fn(ExecuteError<A::Error>) -> ExecuteError<E> + Send + Sync + 'static,
{
    fn name(&self) -> (&'static str, Uuid) {
        (A::TYPE, self.id)
    }

    async fn read_ahead(
        &mut self,
        store: &EventStore,
        context: &CommandContext,
    ) -> Result<(), ExecuteError<E>> {
        let slot = store.states.slot::<A>(self.id);
        let read = store.read_ahead(&slot, self.id, &self.command, context).await;
        self.parts = read.map_err(&self.error)?;
        self.slot = Some(Held::Free(slot));
        Ok(())
    }

    async fn lock(&mut self) {
        if let Some(Held::Free(slot)) = &self.slot {
            self.slot = Some(Held::Locked(Arc::clone(slot).lock_owned().await));
        }
    }

    async fn draft(
        &mut self,
        store: &EventStore,
        context: &CommandContext,
    ) -> Result<Option<(ExecuteError<E>, Expected)>, ExecuteError<E>> {
        let Some(Held::Locked(slot)) = &mut self.slot else {
            return Err(ExecuteError::Fault("a stream was not locked before it was decided on".to_owned()));
        };
        let (command, parts) = (self.command.clone(), self.parts.take());
        match store.draft(slot, self.id, command, context, parts).await.map_err(&self.error)? {
            Decided::Draft(draft) => {
                self.draft = Some(draft);
                Ok(None)
            }
            Decided::Refused(error, expected) => Ok(Some(((self.error)(error), expected))),
        }
    }

    fn drafted(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    fn take_back(&mut self) {
        let draft = self.draft.take();
        if let (Some(draft), Some(slot)) = (draft, self.locked()) {
            slot.discard(draft.round);
        }
    }

    fn unlock(&mut self) {
        self.slot = match self.slot.take() {
            Some(Held::Locked(slot)) => {
                self.round = slot.round;
                Some(Held::Free(Arc::clone(OwnedMutexGuard::mutex(&slot))))
            }
            slot => slot,
        };
    }

    async fn discard(&mut self) {
        self.draft = None;
        if let Some(Held::Free(slot)) = &self.slot {
            slot.lock().await.discard(self.round);
        }
    }

    fn confirm(&self) {
        if let Some(draft) = &self.draft {
            draft.confirmed.fetch_max(draft.version, Ordering::Relaxed);
        }
    }

    fn keep(&mut self, store: &EventStore) {
        store.keep::<A>(self.id, self.draft.take().and_then(|draft| draft.snapshot));
    }
}

impl EventStore {
    /// Executes up to four commands on as many streams in one append, under one command id. The answer, the expected
    /// version and the import key belong to the first. If one refuses, nothing is written.
    pub async fn execute_all<E: Classified>(
        &self,
        joined: Vec<Joined<E>>,
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<E>> {
        in_time(context.deadline, self.append_all(joined, context)).await
    }

    /// Like [`execute_all`](Self::execute_all), of commands of any aggregates. The refusal says which of them it was.
    pub async fn execute_commands(
        &self,
        commands: Vec<(Uuid, Command)>,
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<RefusedBy>> {
        let joined = commands.into_iter().map(|(id, command)| command.dispatch(Join(id))).collect();
        self.execute_all(joined, context).await
    }

    /// Like [`execute`](Self::execute), for two aggregates in one append: both or neither. The answer and the
    /// expected version belong to the first.
    pub async fn execute_both<A: Decider, B: Decider>(
        &self,
        first: (Uuid, A::Command),
        second: (Uuid, B::Command),
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<A::Error>> {
        let first = Joined::new::<A>(first.0, first.1, |error| error);
        let second = Joined::agreeing::<B>(second.0, second.1);
        self.execute_all(vec![first, second], context).await
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
        let first = Joined::new::<A>(first.0, first.1, |error| error);
        let second = Joined::new::<B>(second.0, second.1, refusal);
        self.execute_all(vec![first, second], context).await
    }

    async fn append_all<E: Classified>(
        &self,
        joined: Vec<Joined<E>>,
        context: CommandContext,
    ) -> Result<Executed, ExecuteError<E>> {
        let mut all: Vec<Box<dyn Member<E>>> = joined.into_iter().map(|one| one.0).collect();
        // Locked in the order of their names, so that two callers cannot deadlock.
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|index| all[*index].name());
        if order.windows(2).any(|two| all[two[0]].name() == all[two[1]].name()) {
            return Err(ExecuteError::Fault("an append names the same stream twice".to_owned()));
        }
        if !(1..=MOST_STREAMS).contains(&all.len()) {
            let fault = format!("an append has 1 to {MOST_STREAMS} streams, and not {}", all.len());
            return Err(ExecuteError::Fault(fault));
        }
        loop {
            if let Some((error, streams)) = self.draft_all(&mut all, &order, &context).await? {
                match self.refuse(error, streams, &context).await? {
                    Refused::Known(done) => return Ok(done),
                    Refused::Again(_) => discard(&mut all).await,
                }
                continue;
            }
            let drafts: Vec<&Draft> = all.iter().filter_map(|one| one.drafted()).collect();
            let request = match self.request(&drafts, &context).await {
                Ok(request) => request,
                Err(error) => {
                    for one in &mut all {
                        one.take_back();
                    }
                    return Err(error);
                }
            };
            let outcome = self.appender.submit(request);
            for one in &mut all {
                one.unlock();
            }
            let outcome = received(outcome).await;
            let done = matches!(outcome, Ok(Outcome::Done(_)));
            if done {
                for one in &all {
                    one.confirm();
                }
            } else {
                // First: whoever comes meanwhile is not to build on what was not written.
                discard(&mut all).await;
            }
            let settled = self.settle(outcome, &context).await?;
            if done {
                for one in &mut all {
                    one.keep(self);
                }
            }
            if let Some(executed) = settled {
                return Ok(executed);
            }
        }
    }

    /// Decides all of them, and leaves their streams locked. A refusal comes with the states on which it was decided, and
    /// leaves nothing locked.
    async fn draft_all<E: Classified>(
        &self,
        all: &mut [Box<dyn Member<E>>],
        order: &[usize],
        context: &CommandContext,
    ) -> Result<Option<(ExecuteError<E>, Vec<Expected>)>, ExecuteError<E>> {
        let alone = CommandContext { expected: None, ..context.clone() };
        let of = |index| if index == 0 { context } else { &alone };
        for (index, one) in all.iter_mut().enumerate() {
            one.read_ahead(self, of(index)).await?;
        }
        for index in order {
            all[*index].lock().await;
        }
        let mut streams = Vec::with_capacity(all.len());
        for index in 0..all.len() {
            let refused = match all[index].draft(self, of(index)).await {
                Ok(refused) => refused,
                Err(error) => {
                    for one in all.iter_mut() {
                        one.take_back();
                    }
                    return Err(error);
                }
            };
            streams.extend(all[index].drafted().map(|draft| draft.expected.clone()));
            if let Some((error, expected)) = refused {
                streams.push(expected);
                for one in all.iter_mut() {
                    one.take_back();
                    one.unlock();
                }
                return Ok(Some((error, streams)));
            }
        }
        Ok(None)
    }
}

async fn discard<E>(all: &mut [Box<dyn Member<E>>]) {
    for one in all {
        one.discard().await;
    }
}
