//! The relay: follows the log and publishes every event on the bus. The log is the outbox; the relay's checkpoint is
//! the last event up to which every message was confirmed.
//!
//! One relay at a time holds the lease; its epoch fences the checkpoint, so that a relay that lost the lease without
//! noticing cannot move it. An event published twice is harmless: followers recognise it by the event before it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::FuturesOrdered;
use futures::{FutureExt as _, StreamExt as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use soonshop_bus::{Bus, Confirmation, Delivery, Message, Publisher};
use soonshop_event_log::follow::{LogSource, Next, Source as _, Wait, Work, follow_noted};
use soonshop_event_log::{
    Checkpoint, Db, Error, EventLog, Fence, Lease, Leases, Stopped, StoredEvent, checkpoint, cloud_event,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The follower's name: of its lease and its checkpoint.
pub const NAME: &str = checkpoint::RELAY;

/// Messages that may be unconfirmed at once.
const IN_FLIGHT: usize = 1_000;

/// How often the checkpoint is stored while messages flow.
const PERSIST: Duration = Duration::from_millis(100);

/// How often unroutable messages are reported.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The shortest pause between two polls of the log, and the longest one if other processes append to it.
pub(crate) const LEAST: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(20);

/// Polls when nothing else in the process appends: only to find events whose signal was lost.
const IDLE_ALONE: Duration = Duration::from_millis(250);

/// How long to wait at most before looking at the log again.
pub(crate) fn longest_pause(log: &EventLog) -> Duration {
    match log.db().backend() {
        sea_orm::DatabaseBackend::Postgres => IDLE,
        // One process owns a SQLite log, and follows it.
        _ => IDLE_ALONE,
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

/// The number of messages published since the process began.
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

/// A message on its way: the position to move to when the broker has confirmed it.
struct Sent {
    at: Checkpoint,
    confirmation: Confirmation,
}

impl Future for Sent {
    type Output = (Checkpoint, Result<Delivery, soonshop_bus::Error>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.confirmation.as_mut().poll(context).map(|outcome| (self.at.clone(), outcome))
    }
}

/// The relay under one lease.
struct Publishing<'a> {
    relay: &'a Relay,
    source: LogSource,
    fence: Fence,
    publisher: Box<dyn Publisher>,
    flight: FuturesOrdered<Sent>,
    /// The last event that was sent.
    read: Checkpoint,
    confirmed: Checkpoint,
    /// The checkpoint that was stored last, and when.
    persisted: (Checkpoint, Instant),
    /// Unroutable messages since the last report.
    unwanted: u64,
    text: Option<Instant>,
}

impl Relay {
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        follow_noted(&leases, NAME, &stop, |lease| Box::pin(self.begin(lease))).await;
    }

    async fn begin(&self, lease: Lease) -> Result<Publishing<'_>, Stopped> {
        let (fence, at) = Fence::begin(&self.process, NAME, &lease).await?;
        Ok(Publishing {
            relay: self,
            source: LogSource::new(self.log.clone(), self.appended.clone()),
            fence,
            publisher: self.bus.publisher().await.map_err(bus)?,
            flight: FuturesOrdered::new(),
            read: at.clone(),
            confirmed: at.clone(),
            persisted: (at, Instant::now()),
            unwanted: 0,
            text: None,
        })
    }
}

#[async_trait]
impl Work for Publishing<'_> {
    type Source = LogSource;

    fn name(&self) -> &str {
        NAME
    }

    fn source(&mut self) -> &mut LogSource {
        &mut self.source
    }

    /// Read only when there is room for many messages.
    fn place(&self) -> Option<(Checkpoint, usize)> {
        (!self.is_full()).then(|| (self.read.clone(), IN_FLIGHT - self.flight.len()))
    }

    async fn work(&mut self, rows: Vec<StoredEvent>) -> Result<Next, Stopped> {
        let idle = rows.is_empty();
        for row in rows {
            let confirmation = send(&mut *self.publisher, &row, self.read.event_id).await?;
            self.read = Checkpoint::at(row.position, row.event_id);
            self.flight.push_back(Sent { at: self.read.clone(), confirmation });
        }
        if idle && self.flight.is_empty() {
            self.persist().await?;
            let wait = Wait::doubling(LEAST, longest_pause(&self.relay.log));
            return Ok(Next::Wait(wait.or_news_of(self.read.position + 1)));
        }
        if self.is_full() {
            if let Some(done) = self.flight.next().await {
                self.confirm(done)?;
            }
        } else if idle {
            // Events that come while confirmations are awaited are sent at once.
            let news = self.source.news(self.read.position + 1);
            tokio::select! {
                Some(done) = self.flight.next() => self.confirm(done)?,
                () = news => {}
                () = tokio::time::sleep(longest_pause(&self.relay.log)) => {}
            }
        }
        // Others that have arrived.
        while let Some(Some(done)) = self.flight.next().now_or_never() {
            self.confirm(done)?;
        }
        if self.persisted.1.elapsed() > PERSIST {
            self.persist().await?;
        }
        Ok(Next::Read)
    }

    async fn end(&mut self, outcome: Result<(), Stopped>) -> Result<(), Stopped> {
        let drained = match outcome {
            Ok(()) => self.drain().await,
            stopped => stopped,
        };
        // However it ended: confirmed events are not published again.
        drained.and(self.persist().await)
    }
}

impl Publishing<'_> {
    fn is_full(&self) -> bool {
        self.flight.len() >= IN_FLIGHT * 3 / 4
    }

    /// Waits for the outstanding confirmations.
    async fn drain(&mut self) -> Result<(), Stopped> {
        while let Some(done) = self.flight.next().await {
            self.confirm(done)?;
        }
        Ok(())
    }

    async fn persist(&mut self) -> Result<(), Stopped> {
        self.persisted.1 = Instant::now();
        if self.confirmed == self.persisted.0 {
            return Ok(());
        }
        self.fence.advance(&self.relay.process.connection, &self.persisted.0, &self.confirmed).await?;
        self.persisted.0 = self.confirmed.clone();
        if self.unwanted > 0 && self.text.is_none_or(|text| text.elapsed() > LOG_EVERY) {
            tracing::info!(messages = self.unwanted, "no queue wants these; followers find them in the log");
            (self.unwanted, self.text) = (0, Some(Instant::now()));
        }
        Ok(())
    }

    fn confirm(
        &mut self,
        (at, outcome): (Checkpoint, Result<Delivery, soonshop_bus::Error>),
    ) -> Result<(), Stopped> {
        // Anything but a confirmation holds the checkpoint: the message is published again.
        if outcome.map_err(bus)? == Delivery::Unwanted {
            self.unwanted += 1;
            self.relay.published.unwanted.inc();
        }
        self.relay.published.confirmed.inc();
        self.confirmed = at;
        Ok(())
    }
}

/// Publishes an event; without its data if the broker accepts it only so.
async fn send(
    publisher: &mut dyn Publisher,
    row: &StoredEvent,
    previous: Option<uuid::Uuid>,
) -> Result<Confirmation, Stopped> {
    // The payload of an adopted event may be no JSON.
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
