//! Sends the commands of instances: one worker per instance, one command at a time, in order. A command that cannot be
//! executed at the moment is retried a few times at once; then it waits in its row for its next attempt.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures::future::BoxFuture;
use soonshop_domain::process::Input;
use soonshop_domain::{Actor, Channel, Classified, Decider, Dispatch, Metadata};
use soonshop_event_log::{Error, Stopped};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Reactor;
use super::changes::Changes;
use super::completing::{Prepared, prepared};
use super::rows::Row;
use super::work::{Named, Work};

/// How many instances send commands at the same time.
const WORKERS: usize = 64;

/// The shortest and the longest pause before a command is sent again.
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(10);

/// A pause that is shorter than this is waited for by the worker; otherwise it works for another instance meanwhile.
const SHORT: Duration = Duration::from_secs(1);

/// How many rows of waiting instances are kept in memory; those of others are read.
const KNOWN: usize = 50_000;

/// How long rows of commands that were sent may stay: by then the next page of events has deleted most of them.
const SOON: Duration = Duration::from_millis(20);

/// How a worker ended.
enum Ended {
    /// Everything was sent.
    All,
    /// There are rows that have to wait.
    Waits,
}

/// The outcome of a command.
enum Sent {
    Done,
    Refused(String),
    /// Not now.
    Unavailable(String),
}

/// Executes a command of any aggregate.
struct Execute<'a> {
    store: &'a EventStore,
    stream: Uuid,
    context: CommandContext,
}

impl<'a> Dispatch for Execute<'a> {
    type Output = BoxFuture<'a, Sent>;

    fn take<A: Decider>(self, command: A::Command) -> BoxFuture<'a, Sent> {
        let Self { store, stream, context } = self;
        Box::pin(async move { outcome(store.execute::<A>(stream, command, context).await) })
    }
}

fn outcome<E: Classified>(result: Result<Executed, ExecuteError<E>>) -> Sent {
    match result {
        Ok(_) => Sent::Done,
        Err(ExecuteError::Rejected(error)) => Sent::Refused(error.as_ref().to_owned()),
        Err(ExecuteError::RejectedBefore { slug, .. }) => Sent::Refused(slug),
        Err(ExecuteError::TooLarge { .. }) => Sent::Refused("event-too-large".to_owned()),
        // For good: no key is ever made again for them.
        Err(ExecuteError::Erased) => Sent::Refused("person-erased".to_owned()),
        Err(error) => Sent::Unavailable(error.to_string()),
    }
}

/// How long a command waits that has been tried so many times.
fn pause(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    (LEAST * 2_u32.pow(doublings)).min(MOST)
}

impl Reactor {
    async fn send(&self, instance: &str, row: &Row) -> Result<Sent, Stopped> {
        let name = self.process.name();
        let (id, targets) = self.process.command(instance, row.input, &row.task)?;
        // Records that were made before hold this for every instance that is named by an id.
        let key = Uuid::try_parse(instance);
        let key = key.as_ref().map_or(instance.as_bytes(), |id| id.as_bytes().as_slice());
        let parts: [&[u8]; 3] = [name.as_bytes(), key, row.task.as_bytes()];
        let fingerprint = match self.store.keys().fingerprint(&parts).await {
            Ok(fingerprint) => fingerprint,
            Err(error) => return Ok(Sent::Unavailable(error.to_string())),
        };
        let actor = Actor::system(name);
        let parsed = |id: &Option<String>| id.as_deref().and_then(|id| id.parse().ok());
        let metadata = Metadata {
            correlation_id: parsed(&row.causes.correlation_id),
            causation_id: parsed(&row.causes.causation_id),
            command_type: targets.first().map(|target| target.command_type.to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id),
            on_behalf_of: row.causes.on_behalf_of.clone(),
            channel: Some(Channel::Process),
            traceparent: row.causes.traceparent.clone(),
            ..Metadata::default()
        };
        let Prepared { mut targets, expected } = match prepared(&self.store, targets).await {
            Ok(prepared) => prepared,
            Err(reason) => return Ok(Sent::Unavailable(reason)),
        };
        let context =
            CommandContext { record: true, expected, ..CommandContext::new(id, fingerprint, metadata) };
        if targets.len() == 1
            && let Some(target) = targets.pop()
        {
            let execute = Execute { store: &self.store, stream: target.stream, context };
            return Ok(target.command.dispatch(execute).await);
        }
        let commands = targets.into_iter().map(|target| (target.stream, target.command)).collect();
        Ok(outcome(Box::pin(self.store.execute_commands(commands, context)).await))
    }
}

impl Work {
    /// Gives every named instance one worker at a time.
    pub(super) async fn dispatch(self, mut instances: mpsc::UnboundedReceiver<Named>) -> Stopped {
        let mut workers: JoinSet<(String, Result<Ended, Stopped>)> = JoinSet::new();
        // Instances at work; true: there is something new meanwhile.
        let mut active: HashMap<String, bool> = HashMap::new();
        // In the order of their naming, each once: never two workers for one instance.
        let mut waiting: VecDeque<String> = VecDeque::new();
        // Those that wait, with the rows to send if these are all that it has.
        let mut queued: HashMap<String, Option<Vec<Row>>> = HashMap::new();
        // How many rows these are.
        let mut known = 0;
        let count = |rows: &Option<Vec<Row>>| rows.as_ref().map_or(0, Vec::len);
        // Instances with earlier rows that are not sent yet.
        let mut behind: HashSet<String> = HashSet::new();
        loop {
            while active.len() < WORKERS
                && let Some(instance) = waiting.pop_front()
            {
                let rows = queued.remove(&instance).flatten();
                known -= count(&rows);
                active.insert(instance.clone(), false);
                let work = self.clone();
                workers.spawn(async move {
                    let outcome = work.send_all(&instance, rows).await;
                    (instance, outcome)
                });
            }
            let last = self.read.is_cancelled();
            if last && instances.is_empty() && active.is_empty() && waiting.is_empty() {
                return self.forget_all().await.err().unwrap_or(Stopped::Lost);
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.read.cancelled(), if !last => {}
                named = instances.recv() => {
                    let (instance, new, rows) = match named {
                        Some(Named::New(instance, rows)) => (instance, true, rows),
                        Some(Named::Again(instance)) => (instance, false, None),
                        None => break,
                    };
                    if let Some(again) = active.get_mut(&instance) {
                        // It has a worker, which is followed by one that reads its rows.
                        *again |= new;
                    } else if let Some(rows) = queued.get_mut(&instance) {
                        known -= count(rows);
                        *rows = None;
                    } else {
                        let room = KNOWN - known;
                        let rows = rows.filter(|rows| rows.len() <= room && !behind.contains(&instance));
                        known += count(&rows);
                        queued.insert(instance.clone(), rows);
                        waiting.push_back(instance);
                    }
                },
                Some(done) = workers.join_next() => match done {
                    Ok((instance, Ok(ended))) => {
                        match ended {
                            Ended::All => behind.remove(&instance),
                            Ended::Waits => behind.insert(instance.clone()),
                        };
                        if active.remove(&instance) == Some(true) {
                            queued.insert(instance.clone(), None);
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
        self.forget_all().await.err().unwrap_or(Stopped::Lost)
    }

    /// Sends the commands of an instance in order, until there are no more, or the first of them has to wait. `rows`:
    /// all that it has, if they are known.
    async fn send_all(&self, instance: &str, rows: Option<Vec<Row>>) -> Result<Ended, Stopped> {
        let process = self.reactor.process.name();
        let mut known = rows;
        loop {
            let rows = match known.take() {
                Some(rows) => rows,
                None => self.rows().unsent(instance, self.sent.last(instance)).await?,
            };
            // A command that is stored meanwhile is named, and gets a worker of its own after this one.
            let mut again = false;
            for row in rows {
                if self.stop.is_cancelled() {
                    return Ok(Ended::Waits);
                }
                match self.reactor.send(instance, &row).await? {
                    Sent::Done => self.sent.add(instance, row.number),
                    Sent::Refused(slug) => {
                        self.refused(instance, &row, &slug).await?;
                        again = true;
                        break;
                    }
                    Sent::Unavailable(reason) => {
                        let pause = pause(row.attempts);
                        tracing::warn!(process, instance, reason, "a command of the process has to wait");
                        self.rows().put_off(instance, row.number, &reason, pause).await?;
                        if pause >= SHORT || self.read.is_cancelled() {
                            return Ok(Ended::Waits);
                        }
                        tokio::select! {
                            () = self.stop.cancelled() => {}
                            () = self.read.cancelled() => {}
                            () = tokio::time::sleep(pause) => {}
                        }
                        // By then the instance may want something else.
                        again = true;
                        break;
                    }
                }
            }
            if !again {
                return Ok(Ended::All);
            }
        }
    }

    /// Deletes the rows of commands that were sent, unless a change of instances has done so first.
    pub(super) async fn forget_sent(self) -> Stopped {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Stopped::Lost,
                () = self.sent.some() => {}
            }
            tokio::select! {
                () = self.stop.cancelled() => return Stopped::Lost,
                () = tokio::time::sleep(SOON) => {}
            }
            if let Err(stopped) = self.forget_all().await {
                return stopped;
            }
        }
    }

    /// Deletes the rows of all commands that were sent, in one transaction. If it fails, everything ends, and the rows
    /// are sent again: each command is done once.
    async fn forget_all(&self) -> Result<(), Stopped> {
        let held = self.lock.lock().await;
        let sent = self.sent.take();
        if sent.is_empty() {
            return Ok(());
        }
        let tx = self.begin().await?;
        self.rows().delete_sent(&tx, &sent).await?;
        tx.commit().await?;
        drop(held);
        Ok(())
    }

    /// A refusal is an input like any other.
    async fn refused(&self, key: &str, row: &Row, slug: &str) -> Result<(), Stopped> {
        let (process, rows) = (&*self.reactor.process, self.rows());
        let (id, _) = process.command(key, row.input, &row.task)?;
        let held = self.lock.lock().await;
        let tx = self.begin().await?;
        rows.delete_sent(&tx, &[(key.to_owned(), row.number)]).await?;
        let mut instances = rows.load(&tx, &[key]).await?;
        let instance = instances.entry(key.to_owned()).or_default();
        let reaction = instance.react(process, Input::Refused { task: &row.task, slug })?;
        if reaction.failed {
            rows.fail(&tx, key, row, slug).await?;
            let process = process.name();
            tracing::error!(process, instance = key, slug, "a command was refused that has to be done");
        }
        let mut changes = Changes::of(process);
        changes.add(key, instance, reaction, id, &row.causes);
        changes.write(&rows, &tx).await?;
        rows.save(&tx, &instances).await?;
        tx.commit().await?;
        drop(held);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use soonshop_domain::order;

    use super::*;

    #[test]
    fn what_can_never_be_done_is_a_refusal_and_does_not_wait() {
        for (error, refusal) in [
            (ExecuteError::Rejected(order::Error::OrderExists), "order-exists"),
            (ExecuteError::TooLarge { size: 1 }, "event-too-large"),
            (ExecuteError::Erased, "person-erased"),
        ] {
            assert!(matches!(outcome::<order::Error>(Err(error)), Sent::Refused(slug) if slug == refusal));
        }
        let waits = ExecuteError::<order::Error>::Unavailable("down".to_owned());
        assert!(matches!(outcome(Err(waits)), Sent::Unavailable(reason) if reason == "down"));
    }

    #[test]
    fn the_pause_before_a_retry_grows_up_to_a_limit() {
        assert_eq!(pause(0), LEAST);
        assert!((0..40).all(|attempts| pause(attempts) <= pause(attempts + 1)));
        assert_eq!(pause(i64::MAX), MOST);
    }
}
