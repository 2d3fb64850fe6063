//! Follows the log on behalf of one process manager, and lets its instances react to what happens.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::TransactionTrait as _;
use soonshop_domain::process::{Input, Process};
use soonshop_event_log::follow::{self, LogSource, Next, Wait};
use soonshop_event_log::{Checkpoint, Error, EventLog, Fence, Lease, RecordedEvent, Stopped, StoredEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::rows::Causes;
use super::work::{Named, Work};
use super::{Reactor, Start, status};
use crate::relay::{LEAST, longest_pause};

/// The most events of one transaction.
const PAGE: usize = 500;

/// The events of a page that concern the process, and the last position of the page.
struct Page {
    inputs: Vec<RecordedEvent>,
    to: Option<Checkpoint>,
}

/// Picks the events of the types that are followed, up to the first that this release does not know. Personal values
/// stay encrypted: a process has no use for them, and a key store that is down stops no process.
fn inputs(log: &EventLog, process: &dyn Process, rows: Vec<StoredEvent>) -> (Page, Option<Stopped>) {
    let mut page = Page { inputs: Vec::new(), to: None };
    for row in rows {
        let at = Checkpoint::at(row.position, row.event_id);
        if process.follows().contains(&row.aggregate_type.as_str()) {
            match log.decode_row(row) {
                Some(Ok(event)) => page.inputs.push(event),
                Some(Err(reason)) => {
                    return (page, Some(Stopped::UnknownEvent { position: at.position, reason }));
                }
                None => {}
            }
        }
        page.to = Some(at);
    }
    (page, None)
}

impl Reactor {
    /// Does what belongs to one lease: starts the sender and the clock, and reads the log until something ends it.
    pub(super) async fn follow(
        self: &Arc<Self>,
        lease: Lease,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let (db, follower) = (&self.db, self.follower());
        let log = self.store.log();
        status::begin(log, db, self.process.name(), Start::of(&*self.process)).await?;
        let (fence, checkpoint) = Fence::take(db, &follower, &lease).await?;
        if let Some(too_old) = status::too_old(log, db, self.process.name()).await? {
            return Err(too_old);
        }
        let (names, named) = mpsc::unbounded_channel();
        // When this function ends, so do the workers: none of them outlives the lease by more than one command.
        let local = stop.child_token();
        let guard = local.clone().drop_guard();
        let position = watch::channel(checkpoint.position).0;
        let work = Work {
            reactor: Arc::clone(self),
            lock: Arc::default(),
            sent: Arc::default(),
            names,
            fence,
            stop: local.clone(),
            read: CancellationToken::new(),
        };
        for instance in self.rows().unfinished().await? {
            work.name(Named::New(instance, None));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(work.clone().dispatch(named));
        tasks.spawn(work.clone().clock(position.subscribe()));
        tasks.spawn(work.clone().forget_sent());
        let source = LogSource::new(log.clone(), self.store.appended());
        let mut reading = Reading { work: &work, follower, source, checkpoint, position: &position };
        let outcome = tokio::select! {
            outcome = follow::run(&mut reading, stop) => outcome,
            stopped = ended(&mut tasks) => Err(stopped),
        };
        if let Err(Stopped::UnknownEvent { .. }) = outcome {
            // Send the commands of earlier events first: otherwise the reader would stop before them at each attempt.
            work.read.cancel();
            match ended(&mut tasks).await {
                Stopped::Lost => {}
                stopped => {
                    tracing::warn!(reason = %stopped, "not everything was sent of what comes before it");
                }
            }
        }
        drop(guard);
        while tasks.join_next().await.is_some() {}
        outcome
    }
}

/// The reader: gives the process page after page of the log.
struct Reading<'a> {
    work: &'a Work,
    follower: String,
    source: LogSource,
    checkpoint: Checkpoint,
    /// The position that the clock compares with.
    position: &'a watch::Sender<i64>,
}

#[async_trait]
impl follow::Work for Reading<'_> {
    type Source = LogSource;

    fn name(&self) -> &str {
        &self.follower
    }

    fn source(&mut self) -> &mut LogSource {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.checkpoint.clone(), PAGE))
    }

    async fn work(&mut self, rows: Vec<StoredEvent>) -> Result<Next, Stopped> {
        let reactor = &self.work.reactor;
        let log = reactor.store.log();
        if rows.is_empty() {
            let wait = Wait::doubling(LEAST, longest_pause(log));
            return Ok(Next::Wait(wait.or_news_of(self.checkpoint.position + 1)));
        }
        let (page, unknown) = inputs(log, &*reactor.process, rows);
        if let Some(to) = page.to {
            self.checkpoint = self.work.react(&page.inputs, &self.checkpoint, to).await?;
            self.position.send_replace(self.checkpoint.position);
        }
        unknown.map_or(Ok(Next::Read), Err)
    }
}

/// Why the first of them ended.
async fn ended(tasks: &mut JoinSet<Stopped>) -> Stopped {
    match tasks.join_next().await {
        Some(Ok(stopped)) => stopped,
        Some(Err(error)) => Stopped::Log(Error::Database(error.to_string())),
        None => Stopped::Lost,
    }
}

impl Work {
    /// Lets every instance react to its events; states, commands and checkpoint move together.
    async fn react(
        &self,
        inputs: &[RecordedEvent],
        from: &Checkpoint,
        to: Checkpoint,
    ) -> Result<Checkpoint, Stopped> {
        let (db, process, rows) = (&self.reactor.db, &*self.reactor.process, self.rows());
        let concerned: Vec<(String, &RecordedEvent)> = inputs
            .iter()
            .filter_map(|event| Some((process.instance(event.stream, &event.event)?, event)))
            .collect();
        let held = self.lock.lock().await;
        let tx = db.connection.begin().await?;
        self.fence.advance(&tx, from, &to).await?;
        let keys: Vec<&str> = concerned.iter().map(|(key, _)| key.as_str()).collect();
        let mut instances = rows.load(&tx, &keys).await?;
        // Instances to name, with their rows where these are known.
        let mut named = Vec::new();
        let mut changes = Changes::of(process);
        for (key, event) in concerned {
            let instance = instances.entry(key.clone()).or_default();
            let input = Input::Event { stream: event.stream, event: &event.event };
            let reaction = instance.react(process, input)?;
            let metadata = event.metadata()?;
            let causes = Arc::new(Causes {
                causation_id: Some(event.event_id.to_string()),
                correlation_id: metadata.correlation_id.map(|id| id.to_string()),
                on_behalf_of: metadata
                    .on_behalf_of
                    .clone()
                    .or_else(|| metadata.actor().map(|actor| actor.to_string())),
                traceparent: metadata.traceparent,
            });
            changes.add(&key, instance, reaction, event.event_id, &causes);
            if changes.are_many() {
                let written = std::mem::replace(&mut changes, Changes::of(process)).write(&rows, &tx).await?;
                named.extend(written.into_iter().map(|(key, _)| (key, None)));
            }
        }
        rows.delete_sent(&tx, &self.sent.take()).await?;
        let read: HashSet<String> = named.iter().map(|(key, _)| String::clone(key)).collect();
        let written = changes.write(&rows, &tx).await?;
        named.extend(written.into_iter().map(|(key, rows)| {
            let all = rows.filter(|_| !read.contains(&key));
            (key, all)
        }));
        rows.save(&tx, &instances).await?;
        tx.commit().await?;
        // In the order of the commits: rows that are named are all that the instance has.
        for (instance, rows) in named {
            self.name(Named::New(instance, rows));
        }
        drop(held);
        Ok(to)
    }
}
