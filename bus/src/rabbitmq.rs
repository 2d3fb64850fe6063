//! `RabbitMQ`: one durable topic exchange, one durable quorum queue per name, bound to everything.
//!
//! A publisher and a subscription have a connection each: a broker that is short of memory blocks publishing
//! connections, and reading must not stop with them.
//!
//! lapin logs every message that no queue wanted, with its content, as a warning: set `lapin=error` in the log
//! filter.

mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery as Delivered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Acker, BasicProperties, Channel, Confirmation as Answer, Consumer, ErrorKind, ExchangeKind};
use soonshop_certificates::ServerTls;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::{Host, Url};

use self::session::{Line, Session};
use crate::address::address;
use crate::link::{Inlet, Link, LinkedPublisher, LinkedSubscription, Outlet, Pause, UNACKNOWLEDGED};
use crate::parameters::{must_know, take_parameter};
use crate::{Bus, Confirmation, Delivery, Error, Message, Publisher, Settings, Subscription, message};

const BACKEND: &str = "rabbitmq";

/// `RabbitMQ` takes up to 128 MiB, but gets slow. No message of `SoonShop` comes near this limit.
const LIMIT: usize = 1024 * 1024;

const PERSISTENT: u8 = 2;

/// A queue that did not answer this often in a row is discarded. Electing a leader takes a second.
const SILENT: u32 = 3;

/// Longer than `RabbitMQ` waits for a queue's leader.
const GIVES_UP: Duration = Duration::from_secs(10);

pub(crate) struct RabbitMq {
    broker: Arc<Broker>,
    control: Mutex<Link<Session>>,
}

/// The broker's address, and the names to declare there.
struct Broker {
    uri: AMQPUri,
    tls: ServerTls,
    exchange: String,
    settings: Settings,
}

impl RabbitMq {
    pub(crate) fn new(mut url: Url, settings: &Settings) -> Result<Self, Error> {
        let exchange = take_parameter(&mut url, "exchange").unwrap_or_else(|| "soonshop".to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        // It is the prefix of queue names, which have a length limit.
        if exchange.is_empty() || exchange.len() > 50 || !exchange.bytes().all(plain) {
            return Err(address(&url, "an exchange's name is 1 to 50 letters, digits, dots, - and _"));
        }
        let instead = (url.scheme() != "amqps").then_some("give amqps:// instead of amqp://");
        let tls = ServerTls::take_usable(&mut url, instead);
        let tls = tls.map_err(|reason| address(&url, &reason.to_string()))?;
        must_know(&url, &["channel_max", "connection_timeout", "frame_max", "heartbeat", "auth_mechanism"])?;
        let mut uri: AMQPUri = url.as_str().parse().map_err(|reason: String| address(&url, &reason))?;
        // The parser of these addresses knows no address of IPv6, and would take its own machine.
        if let Some(Host::Ipv6(host)) = url.host() {
            uri.authority.host = host.to_string();
        }
        let heartbeat = u16::try_from(settings.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(heartbeat);
        let broker = Arc::new(Broker { uri, tls, exchange, settings: *settings });
        let here = Arc::clone(&broker);
        let at_once = Pause::new(Duration::ZERO, Duration::ZERO);
        let control = Mutex::new(Link::new(at_once, move || Arc::clone(&here).session("control")));
        Ok(Self { broker, control })
    }

    fn queue(&self, name: &str) -> Result<String, Error> {
        message::check_queue(BACKEND, name)?;
        Ok(format!("{}.{name}", self.broker.exchange))
    }

    /// Does one task on its own channel, on the connection for administrative tasks.
    async fn control<T, F>(
        &self,
        patience: Duration,
        work: impl FnOnce(Channel) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = lapin::Result<T>> + Send,
    {
        let asked = async {
            let mut link = self.control.lock().await;
            if link.open_session().is_some_and(Session::broken) {
                link.lost();
            }
            let session = link.session().await?;
            let done = async { work(session.connection.create_channel().await?).await }.await;
            done.map_err(|error| {
                link.lost();
                unreachable(error)
            })
        };
        timeout(patience, asked).await.unwrap_or_else(|_| Err(silent("no answer", patience)))
    }
}

#[async_trait]
impl Bus for RabbitMq {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn ping(&self) -> Result<(), Error> {
        self.control(
            self.broker.settings.ping,
            |channel| async move { channel.close(200, "OK".into()).await },
        )
        .await
    }

    async fn examine(&self, queue: &str) -> Result<(), Error> {
        let name = self.queue(queue)?;
        let limits = self.broker.limits();
        let declared = |channel: Channel| async move {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
            match channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await {
                Ok(_) => {}
                // The broker closes the channel with the answer that there is no such queue.
                Err(error) if reply(&error) == Some(NOT_FOUND) => return Ok(None),
                Err(error) => return Err(error),
            }
            match channel.queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), limits).await {
                Ok(_) => channel.close(200, "OK".into()).await.map(|()| None),
                Err(error) if reply(&error) == Some(PRECONDITION_FAILED) => Ok(Some((name, error))),
                Err(error) => Err(error),
            }
        };
        match self.control(self.broker.settings.ping, declared).await? {
            None => Ok(()),
            Some((name, error)) => Err(different(&name, &error)),
        }
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        let settings = &self.broker.settings;
        let broker = Arc::clone(&self.broker);
        let link = Link::new(settings.pause(), move || Arc::clone(&broker).outlet());
        Ok(Box::new(LinkedPublisher { backend: BACKEND, link, patience: settings.confirm, limit: LIMIT }))
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, Error> {
        let queue = Arc::new(Queue { name: self.queue(queue)?, silent: AtomicU32::new(0) });
        let broker = Arc::clone(&self.broker);
        let link =
            Link::new(self.broker.settings.pause(), move || Arc::clone(&broker).inlet(Arc::clone(&queue)));
        Ok(Box::new(LinkedSubscription::new(link, self.broker.settings.ping).await))
    }

    async fn remove(&self, queue: &str) -> Result<(), Error> {
        let queue = self.queue(queue)?;
        self.control(self.broker.settings.confirm, |channel| async move {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
            channel.close(200, "OK".into()).await
        })
        .await
    }
}

impl Broker {
    /// A session with the exchange, declared each time: a broker may restart empty.
    async fn session(self: Arc<Self>, role: &'static str) -> Result<Session, Error> {
        let patience = self.settings.connect;
        let opened = async {
            let line = Line::new(&self.tls)
                .map_err(|error| Error::Unreachable { backend: BACKEND, reason: error.of_server() })?;
            let session = Session::open(line, &self.uri, role, patience).await;
            let session = session.map_err(|error| self.not_opened(error))?;
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let exchange = self.exchange.as_str().into();
            session
                .channel
                .exchange_declare(exchange, ExchangeKind::Topic, durable, FieldTable::default())
                .await
                .map_err(unreachable)?;
            Ok(session)
        };
        timeout(patience, opened).await.map_err(|_| silent("no connection", patience))?
    }

    /// A broker that asks for certificates of clients cuts the connection where there is none, or a wrong one: what it
    /// says of it is lost with the connection.
    fn not_opened(&self, error: lapin::Error) -> Error {
        let cut = matches!(error.kind(), ErrorKind::IOError(io) if io.kind() == std::io::ErrorKind::ConnectionReset);
        let hint = if cut && self.uri.scheme == AMQPScheme::AMQPS {
            ": it may ask for a certificate of its clients, with cert and key, and not take this one"
        } else {
            ""
        };
        Error::Unreachable { backend: BACKEND, reason: format!("{error}{hint}") }
    }

    async fn outlet(self: Arc<Self>) -> Result<RabbitMqOutlet, Error> {
        let session = Arc::clone(&self).session("publisher").await?;
        let patience = self.settings.connect;
        let confirming =
            timeout(patience, session.channel.confirm_select(ConfirmSelectOptions::default())).await;
        confirming.map_err(|_| silent("no channel", patience))?.map_err(unreachable)?;
        Ok(RabbitMqOutlet { broker: self, session })
    }

    async fn inlet(self: Arc<Self>, queue: Arc<Queue>) -> Result<RabbitMqInlet, Error> {
        let session = Arc::clone(&self).session("subscription").await?;
        let patience = self.settings.connect;
        let Ok(consumer) = timeout(patience, self.consume(&session.channel, &queue.name)).await else {
            if queue.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT {
                queue.silent.store(0, Ordering::Relaxed);
                self.discard(&session, &queue.name).await;
            }
            return Err(silent("no queue", patience));
        };
        queue.silent.store(0, Ordering::Relaxed);
        let consumer = consumer.map_err(|error| match reply(&error) {
            Some(PRECONDITION_FAILED) => different(&queue.name, &error),
            _ => unreachable(error),
        })?;
        Ok(RabbitMqInlet { _session: session, consumer, last: None })
    }

    /// Removes a queue that has no leader and gets none: a broker that was killed soon after the queue was declared
    /// finds it like this (seen with 3.10). Such a queue delivers nothing, and prevents every published message from
    /// being confirmed. Its messages are in the log.
    async fn discard(&self, session: &Session, queue: &str) {
        tracing::warn!(
            queue,
            "the queue does not answer on a broker that does: it is removed and declared anew"
        );
        let removed = async {
            let channel = session.connection.create_channel().await?;
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await
        };
        // RabbitMQ itself waits five seconds for the leader before it removes a queue that has none.
        match timeout(self.settings.confirm.max(GIVES_UP), removed).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(queue, %error, "it could not be removed"),
            Err(_) => tracing::warn!(queue, "it could not be removed in time"),
        }
    }

    /// The settings of a queue.
    fn limits(&self) -> FieldTable {
        let mut limits = FieldTable::default();
        let milliseconds =
            |time: Duration| AMQPValue::LongLongInt(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        limits.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        limits.insert("x-max-length".into(), AMQPValue::LongLongInt(self.settings.queue_length.into()));
        limits.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        limits.insert("x-message-ttl".into(), milliseconds(self.settings.age));
        limits.insert("x-expires".into(), milliseconds(self.settings.unread));
        limits
    }

    async fn consume(&self, channel: &Channel, queue: &str) -> lapin::Result<Consumer> {
        let limits = self.limits();
        let nothing = FieldTable::default;
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), limits).await?;
        channel
            .queue_bind(
                queue.into(),
                self.exchange.as_str().into(),
                "#".into(),
                QueueBindOptions::default(),
                nothing(),
            )
            .await?;
        channel.basic_qos(UNACKNOWLEDGED, BasicQosOptions::default()).await?;
        channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), nothing()).await
    }
}

struct Queue {
    name: String,
    /// How often in a row the queue did not answer although its broker did.
    silent: AtomicU32,
}

struct RabbitMqOutlet {
    broker: Arc<Broker>,
    session: Session,
}

impl Outlet for RabbitMqOutlet {
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error> {
        if self.session.connection.status().blocked() {
            // A blocked connection is not written to. It is kept, because a new one would be blocked as well.
            return Err(refused("it takes no messages just now (short of memory or disk)"));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.as_str().into())
            .with_content_type("application/cloudevents+json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let topic = message::topic(&message.topic);
        let exchange = self.broker.exchange.as_str().into();
        let sent = self
            .session
            .channel
            .basic_publish(exchange, (&*topic).into(), options, &message.body, properties)
            .await;
        let confirm = sent.map_err(unreachable)?;
        let answer = async move {
            // lapin assigns a returned message to the next answer. All queues take everything, so only while the last
            // queue is removed can it belong to another message; the number of unwanted messages is correct even
            // then.
            match confirm.await.map_err(unreachable)? {
                Answer::Ack(None) => Ok(Delivery::Confirmed),
                Answer::Ack(Some(_)) => Ok(Delivery::Unwanted),
                Answer::Nack(_) => Err(refused("it could not store it")),
                Answer::NotRequested => Err(refused("it confirms nothing")),
            }
        };
        Ok(self.session.health.watch(BACKEND, self.broker.settings.confirm, answer))
    }

    fn limit(&self) -> usize {
        LIMIT
    }

    fn broken(&self) -> bool {
        self.session.broken()
    }
}

struct RabbitMqInlet {
    consumer: Consumer,
    /// The last message that was returned: acknowledging it acknowledges all before it.
    last: Option<Acker>,
    _session: Session,
}

impl RabbitMqInlet {
    fn take(&mut self, delivered: Delivered) -> Message {
        self.last = Some(delivered.acker);
        let id = delivered.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
        Message { id, topic: delivered.routing_key.to_string(), body: delivered.data.into() }
    }
}

impl Inlet for RabbitMqInlet {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error> {
        let ended = || Error::Unreachable { backend: BACKEND, reason: "the queue was removed".to_owned() };
        let first = self.consumer.next().await.ok_or_else(ended)?.map_err(unreachable)?;
        let mut came = vec![self.take(first)];
        // No await from here on, so that every message taken from the consumer is returned.
        while came.len() < most
            && let Some(Some(Ok(delivered))) = self.consumer.next().now_or_never()
        {
            came.push(self.take(delivered));
        }
        Ok(came)
    }

    async fn acknowledge(&mut self) -> Result<(), Error> {
        let Some(last) = self.last.take() else { return Ok(()) };
        last.ack(BasicAckOptions { multiple: true }).await.map(drop).map_err(unreachable)
    }
}

fn unreachable(error: lapin::Error) -> Error {
    Error::Unreachable { backend: BACKEND, reason: error.to_string() }
}

/// Codes of AMQP: there is no such queue; it is there with other settings.
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

/// The code with which the broker refused.
fn reply(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}

fn different(queue: &str, error: &lapin::Error) -> Error {
    Error::Different { object: format!("queue {queue}"), difference: error.to_string() }
}

fn silent(what: &str, patience: Duration) -> Error {
    Error::Unreachable { backend: BACKEND, reason: format!("{what} in {patience:?}") }
}

fn refused(reason: &str) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.to_owned() }
}
