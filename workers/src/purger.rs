//! Purges records of commands that are old enough: a worker of the reactor role. It goes over them often, so that there
//! is little to do each time; how old they are, the database's clock says.
//!
//! Records of processes are kept for longer, and never fewer than a process manager may still need: none is purged that
//! is younger than the event at its checkpoint. So one that was only away for long goes on as if nothing had been. One
//! that is switched off keeps nothing.

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::follow::{Next, NoEvents, Wait, Work, follow_noted};
use soonshop_event_log::{Checkpoint, Db, Error, Leases, Stopped};
use soonshop_event_store::{AppendError, EventStore, Purge, RecordOwner};
use tokio_util::sync::CancellationToken;

use crate::reactor::status::running;

/// The name of its lease. It has no checkpoint: its progress is stored beside the records.
pub const NAME: &str = "purger";

/// The pause between two rounds.
const EVERY: Duration = Duration::from_hours(1);

/// The most records of one step, and the pause after it, in which others can append.
const MOST: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// How long records of commands are kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub persons: u16,
    pub processes: u16,
}

pub struct Purger {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    pub retention: Retention,
    pub holder: String,
}

/// The purger under one lease.
struct Purging<'a> {
    purger: &'a Purger,
    source: NoEvents,
    stop: &'a CancellationToken,
}

#[async_trait]
impl Work for Purging<'_> {
    type Source = NoEvents;

    fn name(&self) -> &str {
        NAME
    }

    fn source(&mut self) -> &mut NoEvents {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        None
    }

    async fn work(&mut self, _: Vec<Infallible>) -> Result<Next, Stopped> {
        self.purger.round(self.stop).await?;
        Ok(Next::Wait(Wait::steady(EVERY)))
    }
}

impl Purger {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let begin = |_| -> BoxFuture<'_, Result<Purging<'_>, Stopped>> {
            Box::pin(async { Ok(Purging { purger: &self, source: NoEvents, stop: &stop }) })
        };
        follow_noted(&leases, NAME, &stop, begin).await;
    }

    /// Purges records that are old enough.
    pub async fn round(&self, stop: &CancellationToken) -> Result<(), Stopped> {
        self.purge(RecordOwner::Persons, self.retention.persons, None, stop).await?;
        if let Some(before) = self.reacted().await? {
            self.purge(RecordOwner::Processes, self.retention.processes, Some(before), stop).await?;
        }
        Ok(())
    }

    async fn purge(
        &self,
        owner: RecordOwner,
        days: u16,
        before: Option<DateTime<Utc>>,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut deleted = 0;
        while !stop.is_cancelled() {
            let purged = self.store.purge(Purge { owner, days, before, most: MOST }).await.map_err(failed)?;
            deleted += purged.deleted;
            if purged.examined < i64::from(MOST) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        if deleted > 0 {
            tracing::info!(?owner, deleted, days, "records of commands were purged");
        }
        Ok(())
    }

    /// The time of the last event that every process manager has processed. `None`: one of them has processed none, or
    /// has followed another log.
    async fn reacted(&self) -> Result<Option<DateTime<Utc>>, Error> {
        let mut first = None;
        for process in running(&self.process).await? {
            let follower = of_process(&process);
            let at = Checkpoint::load(&self.process, &self.process.connection, &follower).await?;
            let Some((Checkpoint { position, event_id: Some(id), .. }, _)) = at else { return Ok(None) };
            let rows = self.store.log().read(position, 1).await?;
            let Some(row) = rows.first().filter(|row| row.event_id == id) else { return Ok(None) };
            first = Some(first.map_or(row.recorded_at, |first: DateTime<Utc>| first.min(row.recorded_at)));
        }
        Ok(first)
    }
}

fn failed(error: AppendError) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}
