//! The port: what a bus can do, and how patient it is.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

/// One message. `body` is opaque here (a `CloudEvents` 1.0 document in structured JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id: a broker that can tell repeats apart by id does so.
    pub id: String,
    /// `<type>.<event>`, such as `order.OrderPlaced`: the routing key, or the tail of the subject.
    pub topic: String,
    pub body: Bytes,
}

/// What became of a message that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The broker has it, as safely as it keeps anything.
    Confirmed,
    /// The broker took it and had no queue that wants it.
    Unwanted,
}

/// Why the bus could not do as asked. All of them pass: ask again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{backend} cannot be reached: {reason}")]
    Unreachable { backend: &'static str, reason: String },
    #[error("{backend} refused the message: {reason}")]
    Refused { backend: &'static str, reason: String },
    #[error("the message has {size} bytes, {backend} takes {limit}")]
    TooLarge { backend: &'static str, size: usize, limit: usize },
    #[error("the bus address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
}

/// Resolves when the broker has answered for one message, or has not in time. Await every one: the connection keeps
/// what is dropped unanswered.
pub type Confirmation = BoxFuture<'static, Result<Delivery, Error>>;

/// A way to publish, with as many messages in flight as the caller keeps [`Confirmation`]s.
#[async_trait]
pub trait Publisher: Send {
    /// Hands one message to the broker, in the order of the calls, and does not wait for its confirmation.
    /// After an error the next call connects anew; confirmations that were open resolve to an error.
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error>;

    /// The largest body, in bytes, that the broker takes. A larger one is an [`Error::TooLarge`], at once.
    fn limit(&self) -> usize;
}

/// A durable, unfiltered queue with a name, read by one process at a time.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for messages and returns at least one and at most `most`, never waiting to fill up.
    /// Safe to drop at any await: what was not acknowledged comes again.
    /// An error says that the bus is down just now; the next call tries again (with a pause of its own).
    /// A broker waits when 500 are out: call [`acknowledge`](Self::acknowledge) in between.
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error>;

    /// Acknowledges everything that [`next`](Self::next) returned so far. An error is harmless: it comes again.
    /// So is a success after the connection was lost in between.
    async fn acknowledge(&mut self) -> Result<(), Error>;
}

/// The port.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// `in-process`, `rabbitmq` or `nats`.
    fn backend(&self) -> &'static str;
    /// Asks the broker for a sign of life, within two seconds.
    async fn ping(&self) -> Result<(), Error>;
    /// Does not wait for the broker to be up.
    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error>;
    /// Declares the queue where it is missing; does not wait for the broker to be up. `queue` is `[a-z0-9-]+`.
    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, Error>;
    /// Removes the queue and what it holds, if it is there.
    async fn remove(&self, queue: &str) -> Result<(), Error>;
}

/// How patient the bus is and how much it keeps. The defaults are meant for production; tests are less patient.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// To open a connection and declare what is needed there.
    pub connect: Duration,
    /// For the broker's answer to a message.
    pub confirm: Duration,
    /// For [`Bus::ping`].
    pub ping: Duration,
    /// An idle connection shows that it lives this often, and counts as lost after twice as long; whole seconds.
    pub heartbeat: Duration,
    /// After the first failure; each further one doubles it.
    pub pause_least: Duration,
    /// The longest pause between two attempts.
    pub pause_most: Duration,
    /// Messages in a queue in memory; the oldest are dropped.
    pub in_process_length: usize,
    /// Messages in a `RabbitMQ` queue; the oldest are dropped.
    pub queue_length: u32,
    /// Bytes in a `JetStream` stream; the oldest messages are dropped.
    pub stream_bytes: u64,
    /// How long `RabbitMQ` and `JetStream` keep a message.
    pub age: Duration,
    /// How long they keep a queue that nobody reads: that of a process which is no more slows every message down.
    pub unread: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            confirm: Duration::from_secs(10),
            ping: Duration::from_secs(2),
            heartbeat: Duration::from_secs(10),
            pause_least: Duration::from_millis(100),
            pause_most: Duration::from_secs(5),
            in_process_length: 10_000,
            queue_length: 100_000,
            stream_bytes: 1024 * 1024 * 1024,
            age: Duration::from_hours(1),
            unread: Duration::from_hours(24),
        }
    }
}
