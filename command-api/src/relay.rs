//! The relay: follows the log and publishes every event on the bus. The log is the outbox; the relay's checkpoint is the
//! last event up to which every message was confirmed.
//!
//! One relay at a time holds the lease; its epoch fences the checkpoint, so that one who lost it without noticing moves
//! nothing. What is published twice is harmless: followers tell by the event before it.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use soonshop_bus::{Bus, Delivery, Message};
use soonshop_event_log::checkpoint::Renewal;
use soonshop_event_log::{Checkpoint, Db, Error, EventLog, Lease, Leases, Stopped, StoredEvent, cloud_event};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The follower's name: of its lease and its checkpoint.
pub const NAME: &str = "relay";

/// Messages that may be unconfirmed at once.
const IN_FLIGHT: usize = 1_000;

/// How often the checkpoint is written down while messages flow.
const PERSIST: Duration = Duration::from_millis(100);

/// The longest pause between two looks at the log, when nothing in this process appends.
const IDLE: Duration = Duration::from_millis(20);

pub struct Relay {
    pub log: EventLog,
    /// The namespace `process`.
    pub process: Db,
    pub bus: Arc<dyn Bus>,
    /// Moves when this process appends.
    pub appended: watch::Receiver<i64>,
    pub holder: String,
}

/// What is sent and not yet written down.
struct Progress {
    /// As written down.
    persisted: Checkpoint,
    confirmed: Checkpoint,
    at: Instant,
}

impl Relay {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let follow = |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(self.follow(&leases, lease, &stop)) };
        leases.hold(NAME, &stop, follow, |_| Box::pin(async {})).await;
    }

    async fn follow(&self, leases: &Leases, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = &self.process;
        Checkpoint::start().begin(db, &db.connection, NAME).await?;
        if !Checkpoint::fence(db, &db.connection, NAME, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        let (checkpoint, _) = Checkpoint::load(db, &db.connection, NAME).await?.ok_or(Stopped::Lost)?;
        let mut renewal = Renewal::new(leases, &lease);
        let mut publisher = self.bus.publisher().await.map_err(bus)?;
        let mut progress =
            Progress { persisted: checkpoint.clone(), confirmed: checkpoint.clone(), at: Instant::now() };
        let mut read = checkpoint;
        let mut flight = FuturesOrdered::new();
        let mut appended = self.appended.clone();
        let mut pause = Duration::from_millis(1);
        while !stop.is_cancelled() {
            renewal.keep().await?;
            let room = IN_FLIGHT.saturating_sub(flight.len());
            let rows = if room > IN_FLIGHT / 4 { self.read(&read, room).await? } else { Vec::new() };
            let idle = rows.is_empty();
            for row in rows {
                let message = message(&row, read.event_id, publisher.limit())?;
                let confirmation = publisher.send(message).await.map_err(bus)?;
                read = Checkpoint::at(row.position, row.event_id);
                let at = read.clone();
                flight.push_back(async move { (at, confirmation.await) });
            }
            if idle && flight.is_empty() {
                self.persist(&mut progress, &lease).await?;
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = appended.changed() => pause = Duration::from_millis(1),
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(IDLE),
                }
                continue;
            }
            pause = Duration::from_millis(1);
            // Wait for one confirmation where there is no room, or nothing to send; take along what is there.
            if (idle || flight.len() >= IN_FLIGHT * 3 / 4)
                && let Some(done) = flight.next().await
            {
                confirm(&mut progress, done)?;
            }
            while let Some(Some(done)) = futures::FutureExt::now_or_never(flight.next()) {
                confirm(&mut progress, done)?;
            }
            if progress.at.elapsed() > PERSIST {
                self.persist(&mut progress, &lease).await?;
            }
        }
        while let Some(done) = flight.next().await {
            confirm(&mut progress, done)?;
        }
        self.persist(&mut progress, &lease).await
    }

    async fn read(&self, after: &Checkpoint, most: usize) -> Result<Vec<StoredEvent>, Stopped> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = self.log.read(after.position, most + i64::from(after.event_id.is_some())).await?;
        if let Some(expected) = after.event_id {
            let found = rows.first().filter(|row| row.position == after.position).map(|row| row.event_id);
            if found != Some(expected) {
                return Err(Stopped::Log(Error::AheadOfLog {
                    follower: NAME.to_owned(),
                    position: after.position,
                    expected,
                    found: found.map_or_else(|| "no event".to_owned(), |id| id.to_string()),
                }));
            }
            rows.remove(0);
        }
        Ok(rows)
    }

    async fn persist(&self, progress: &mut Progress, lease: &Lease) -> Result<(), Stopped> {
        progress.at = Instant::now();
        if progress.confirmed == progress.persisted {
            return Ok(());
        }
        let db = &self.process;
        if !progress.persisted.advance(db, &db.connection, NAME, &progress.confirmed, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        progress.persisted = progress.confirmed.clone();
        Ok(())
    }
}

fn confirm(
    progress: &mut Progress,
    (at, outcome): (Checkpoint, Result<Delivery, soonshop_bus::Error>),
) -> Result<(), Stopped> {
    // Anything but a confirmation holds the checkpoint: what was not confirmed is published again.
    if outcome.map_err(bus)? == Delivery::Unwanted {
        tracing::debug!(position = at.position, "no queue wants this message; followers find it in the log");
    }
    progress.confirmed = at;
    Ok(())
}

/// The message of an event; without its data where the broker would refuse the size.
fn message(row: &StoredEvent, previous: Option<uuid::Uuid>, limit: usize) -> Result<Message, Stopped> {
    let encode = |data| {
        cloud_event::encode(row, previous, data)
            .map_err(|error| Error::Undecodable { position: row.position, reason: error.to_string() })
    };
    let mut body = encode(true)?;
    if body.len() > limit {
        body = encode(false)?;
    }
    Ok(Message { id: row.event_id.to_string(), topic: cloud_event::topic(row), body: body.into() })
}

fn bus(error: soonshop_bus::Error) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}
