//! The port: the operations of a bus, and its time limits.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

/// One message. `body` is opaque here (a `CloudEvents` 1.0 document in structured JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The event's id: a broker that can detect repeats does so by it.
    pub id: String,
    /// `<type>.<event>`, such as `order.OrderPlaced`: the routing key, or the tail of the subject.
    pub topic: String,
    pub body: Bytes,
}

/// The result of publishing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The broker stored it, as safely as it stores anything.
    Confirmed,
    /// The broker took it, but no queue wanted it.
    Unwanted,
}

/// Why a bus operation failed. All of these are temporary: try again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{backend} cannot be reached: {reason}")]
    Unreachable { backend: &'static str, reason: String },
    #[error("{backend} refused the message: {reason}")]
    Refused { backend: &'static str, reason: String },
    #[error("the message has {size} bytes, {backend} takes {limit}")]
    TooLarge { backend: &'static str, size: usize, limit: usize },
    /// Somebody made it beforehand, with other settings.
    #[error("{object} is not as it is declared: {difference}")]
    Different { object: String, difference: String },
    #[error("the bus address {url:?} cannot be used: {reason}")]
    Address { url: String, reason: String },
}

/// Resolves when the broker has answered for one message, or after a time limit. Await every one: the connection
/// keeps a record of each that is dropped unanswered.
pub type Confirmation = BoxFuture<'static, Result<Delivery, Error>>;

/// A way to publish, with as many messages in flight as the caller keeps [`Confirmation`]s.
#[async_trait]
pub trait Publisher: Send {
    /// Sends one message to the broker, in the order of the calls, and does not wait for its confirmation. After an
    /// error the next call reconnects; open confirmations resolve to an error.
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error>;

    /// The largest body, in bytes, that the broker takes. A larger one is refused at once with [`Error::TooLarge`].
    fn limit(&self) -> usize;
}

/// A durable, unfiltered queue with a name, read by one process at a time.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for messages and returns at least one and at most `most`, without waiting for more. Safe to drop at any
    /// await: unacknowledged messages come again. An error says that the bus is down now; the next call tries again,
    /// after a pause. A broker stops at 500 unacknowledged messages: call [`acknowledge`](Self::acknowledge) in
    /// between.
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error>;

    /// Acknowledges everything that [`next`](Self::next) returned so far. An error is harmless: the messages come
    /// again. A success after the connection was lost in between is harmless as well.
    async fn acknowledge(&mut self) -> Result<(), Error>;
}

/// The port.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// `in-process`, `rabbitmq` or `nats`.
    fn backend(&self) -> &'static str;
    /// Checks within two seconds that the broker answers.
    async fn ping(&self) -> Result<(), Error>;
    /// Checks that the queue, if it is there, and what feeds it are as [`subscribe`](Self::subscribe) declares them.
    async fn examine(&self, _queue: &str) -> Result<(), Error> {
        self.ping().await
    }
    /// A new publisher; does not wait for the broker to be up.
    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error>;
    /// Declares the queue if it is missing; does not wait for the broker to be up. `queue` is `[a-z0-9-]+`.
    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, Error>;
    /// Removes the queue and its messages, if it exists.
    async fn remove(&self, queue: &str) -> Result<(), Error>;
}

/// The time limits and sizes of the bus. The defaults are for production; tests use shorter times.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Time limit for opening a connection and declaring exchange, stream and queue.
    pub connect: Duration,
    /// Time limit for the broker's answer to a message.
    pub confirm: Duration,
    /// Time limit for [`Bus::ping`].
    pub ping: Duration,
    /// Interval of heartbeats on an idle connection, which counts as lost after twice as long; whole seconds.
    pub heartbeat: Duration,
    /// The pause after the first failure; each further one doubles it.
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
    /// How long they keep a queue without a reader: the queue of a process that is gone slows every message down.
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
