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
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use soonshop_bus::{Bus, Confirmation, Delivery, Message, Publisher};
use soonshop_event_log::{
    Checkpoint, Db, Error, EventLog, Lease, Leases, Stopped, StoredEvent, checkpoint, cloud_event,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The follower's name: of its lease and its checkpoint.
pub const NAME: &str = checkpoint::RELAY;

/// Messages that may be unconfirmed at once.
const IN_FLIGHT: usize = 1_000;

/// How often the checkpoint is written down while messages flow.
const PERSIST: Duration = Duration::from_millis(100);

/// How often it is said that messages are not wanted.
const SAID: Duration = Duration::from_secs(60);

/// The longest pause between two looks at a log that other processes append to.
const IDLE: Duration = Duration::from_millis(20);

/// Where nobody else does, only what was lost is found by looking.
const IDLE_ALONE: Duration = Duration::from_millis(250);

/// How long to wait at most before looking at the log again.
pub(crate) fn longest_pause(log: &EventLog) -> Duration {
    match log.db().backend() {
        sea_orm::DatabaseBackend::Postgres => IDLE,
        // One process owns a SQLite log, and follows it.
        _ => IDLE_ALONE,
    }
}

/// Resolves when this process appends; never, where it appends nothing.
pub(crate) async fn news(appended: &mut watch::Receiver<i64>) {
    if appended.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub struct Relay {
    pub log: EventLog,
    /// The namespace `process`.
    pub process: Db,
    pub bus: Arc<dyn Bus>,
    /// Moves when this process appends.
    pub appended: watch::Receiver<i64>,
    pub holder: String,
    pub published: Published,
}

/// What was published since the process began.
#[derive(Debug, Clone, Default)]
pub struct Published {
    confirmed: Counter,
    unwanted: Counter,
}

impl Published {
    pub fn register(&self, registry: &mut Registry) {
        let confirmed = "Messages that the broker has confirmed";
        registry.register("relay_confirmed", confirmed, self.confirmed.clone());
        let unwanted = "Messages among them that no queue wanted; followers find them in the log";
        registry.register("relay_unwanted", unwanted, self.unwanted.clone());
    }
}

/// What is sent and not yet written down.
struct Progress {
    /// As written down.
    persisted: Checkpoint,
    confirmed: Checkpoint,
    at: Instant,
    /// Messages that no queue wanted, since it was last said.
    unwanted: u64,
    said: Option<Instant>,
}

impl Relay {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        let follow =
            |lease: Lease| -> BoxFuture<'_, Result<(), Stopped>> { Box::pin(self.follow(lease, &stop)) };
        leases.hold(NAME, &stop, follow, |_| Box::pin(async {})).await;
    }

    async fn follow(&self, lease: Lease, stop: &CancellationToken) -> Result<(), Stopped> {
        let db = &self.process;
        Checkpoint::start().begin(db, &db.connection, NAME).await?;
        if !Checkpoint::fence(db, &db.connection, NAME, lease.epoch).await? {
            return Err(Stopped::Lost);
        }
        let (checkpoint, _) = Checkpoint::load(db, &db.connection, NAME).await?.ok_or(Stopped::Lost)?;
        let (persisted, confirmed) = (checkpoint.clone(), checkpoint);
        let mut progress = Progress { persisted, confirmed, at: Instant::now(), unwanted: 0, said: None };
        let published = self.publish(&mut progress, &lease, stop).await;
        // Whatever ended it: what was confirmed is not published again.
        let persisted = self.persist(&mut progress, &lease).await;
        published.and(persisted)
    }

    async fn publish(
        &self,
        progress: &mut Progress,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut publisher = self.bus.publisher().await.map_err(bus)?;
        let mut read = progress.confirmed.clone();
        let mut flight = FuturesOrdered::new();
        let mut appended = self.appended.clone();
        let longest = longest_pause(&self.log);
        let mut pause = Duration::from_millis(1);
        while !stop.is_cancelled() {
            let room = IN_FLIGHT.saturating_sub(flight.len());
            let rows = match i64::try_from(room) {
                Ok(room) if flight.len() < IN_FLIGHT * 3 / 4 => {
                    read.rows_after(&self.log, NAME, room).await?
                }
                _ => Vec::new(),
            };
            let idle = rows.is_empty();
            for row in rows {
                let confirmation = send(&mut *publisher, &row, read.event_id).await?;
                read = Checkpoint::at(row.position, row.event_id);
                let at = read.clone();
                flight.push_back(async move { (at, confirmation.await) });
            }
            if idle && flight.is_empty() {
                self.persist(progress, lease).await?;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = news(&mut appended) => pause = Duration::from_millis(1),
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
                }
                continue;
            }
            pause = Duration::from_millis(1);
            // Wait for one confirmation where there is no room, or nothing to send; take along what is there.
            if (idle || flight.len() >= IN_FLIGHT * 3 / 4)
                && let Some(done) = flight.next().await
            {
                self.confirm(progress, done)?;
            }
            while let Some(Some(done)) = futures::FutureExt::now_or_never(flight.next()) {
                self.confirm(progress, done)?;
            }
            if progress.at.elapsed() > PERSIST {
                self.persist(progress, lease).await?;
            }
        }
        while let Some(done) = flight.next().await {
            self.confirm(progress, done)?;
        }
        Ok(())
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
        if progress.unwanted > 0 && progress.said.is_none_or(|said| said.elapsed() > SAID) {
            tracing::info!(
                messages = progress.unwanted,
                "no queue wants these; followers find them in the log"
            );
            (progress.unwanted, progress.said) = (0, Some(Instant::now()));
        }
        Ok(())
    }

    fn confirm(
        &self,
        progress: &mut Progress,
        (at, outcome): (Checkpoint, Result<Delivery, soonshop_bus::Error>),
    ) -> Result<(), Stopped> {
        // Anything but a confirmation holds the checkpoint: what was not confirmed is published again.
        if outcome.map_err(bus)? == Delivery::Unwanted {
            progress.unwanted += 1;
            self.published.unwanted.inc();
        }
        self.published.confirmed.inc();
        progress.confirmed = at;
        Ok(())
    }
}

/// Hands an event to the broker; without its data where that is what it takes to get it through.
async fn send(
    publisher: &mut dyn Publisher,
    row: &StoredEvent,
    previous: Option<uuid::Uuid>,
) -> Result<Confirmation, Stopped> {
    // What an adopted event holds may be no JSON.
    let whole = cloud_event::encode(row, previous, true).ok().filter(|body| body.len() <= publisher.limit());
    if let Some(body) = whole {
        match publisher.send(message(row, body)).await {
            // The limit may be known only now.
            Err(soonshop_bus::Error::TooLarge { .. }) => {}
            sent => return sent.map_err(bus),
        }
    }
    tracing::debug!(position = row.position, "an event is published without its data");
    let small = cloud_event::encode(row, previous, false)
        .map_err(|error| Error::Undecodable { position: row.position, reason: error.to_string() })?;
    publisher.send(message(row, small)).await.map_err(bus)
}

fn message(row: &StoredEvent, body: Vec<u8>) -> Message {
    Message { id: row.event_id.to_string(), topic: cloud_event::topic(row), body: body.into() }
}

fn bus(error: soonshop_bus::Error) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}
