//! Follows the log on behalf of one process manager, and lets its instances react to what happens.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::TransactionTrait as _;
use soonshop_domain::process::{Input, Process};
use soonshop_event_log::{Checkpoint, Error, EventLog, Lease, RecordedEvent, Stopped, StoredEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::rows::Causes;
use super::work::{Named, Work};
use super::{Reactor, status};
use crate::relay::{longest_pause, news};

/// The most events of one transaction.
const PAGE: i64 = 500;

/// What of a page concerns the process, and how far it goes.
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
        status::begin(log, db, self.process.name(), None).await?;
        if !Checkpoint::fence(db, &db.connection, &follower, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        if let Some(too_old) = status::too_old(log, db, self.process.name()).await? {
            return Err(too_old);
        }
        let (checkpoint, _) = Checkpoint::load(db, &db.connection, &follower).await?.ok_or(Stopped::Lost)?;
        let (names, named) = mpsc::unbounded_channel();
        // Whatever ends this function ends the workers: none of them outlives the lease by more than one command.
        let local = stop.child_token();
        let guard = local.clone().drop_guard();
        let position = watch::channel(checkpoint.position).0;
        let work = Work {
            reactor: Arc::clone(self),
            lock: Arc::default(),
            names,
            epoch: lease.epoch,
            stop: local.clone(),
            read: CancellationToken::new(),
        };
        for instance in self.rows().unfinished().await? {
            work.name(Named::New(instance));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(work.clone().dispatch(named));
        tasks.spawn(work.clone().clock(position.subscribe()));
        let outcome = tokio::select! {
            outcome = read(&work, checkpoint, &position, stop) => outcome,
            stopped = ended(&mut tasks) => Err(stopped),
        };
        if let Err(Stopped::UnknownEvent { .. }) = outcome {
            // What was read before it is sent first: each time that it is met again would end before that.
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

/// Reads page after page, and waits where there is none.
async fn read(
    work: &Work,
    mut checkpoint: Checkpoint,
    position: &watch::Sender<i64>,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let reactor = &work.reactor;
    let (log, follower) = (reactor.store.log(), reactor.follower());
    let mut appended = reactor.store.appended();
    let longest = longest_pause(log);
    let mut pause = Duration::from_millis(1);
    while !stop.is_cancelled() {
        let rows = checkpoint.rows_after(log, &follower, PAGE).await?;
        if rows.is_empty() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = news(&mut appended) => pause = Duration::from_millis(1),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
            }
            continue;
        }
        pause = Duration::from_millis(1);
        let (page, unknown) = inputs(log, &*reactor.process, rows);
        if let Some(to) = page.to {
            checkpoint = work.react(&page.inputs, &checkpoint, to).await?;
            position.send_replace(checkpoint.position);
        }
        if let Some(stopped) = unknown {
            return Err(stopped);
        }
    }
    Ok(())
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
        if !from.advance(db, &tx, &self.reactor.follower(), &to, self.epoch).await? {
            return Err(Stopped::Lost);
        }
        let keys: Vec<&str> = concerned.iter().map(|(key, _)| key.as_str()).collect();
        let mut instances = rows.load(&tx, &keys).await?;
        let mut named = Vec::new();
        for (key, event) in concerned {
            let instance = instances.entry(key.clone()).or_default();
            let input = Input::Event { stream: event.stream, event: &event.event };
            let reaction = instance.react(process, input)?;
            let metadata = event.metadata()?;
            let causes = Causes {
                causation_id: Some(event.event_id.to_string()),
                correlation_id: metadata.correlation_id.map(|id| id.to_string()),
                on_behalf_of: metadata
                    .on_behalf_of
                    .clone()
                    .or_else(|| metadata.actor().map(|actor| actor.to_string())),
                traceparent: metadata.traceparent,
            };
            if rows.store(&tx, &key, instance, &reaction, event.event_id, &causes).await? {
                named.push(key);
            }
        }
        rows.save(&tx, &instances).await?;
        tx.commit().await?;
        drop(held);
        for instance in named {
            self.name(Named::New(instance));
        }
        Ok(to)
    }
}
