//! NATS `JetStream`: one stream, one durable pull consumer per queue, each acknowledgement for all before it.
//!
//! A client here lives only as long as its server connection. It does not reconnect by itself, so that messages in
//! flight get an answer, and stream and consumer are declared again.

mod rights;

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::pull::{Config as Pull, Stream as Pulled};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config as StreamConfig, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectOptions};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use soonshop_certificates::ServerTls;
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use self::rights::{BACKEND, Refusals, Since};
use crate::address::address;
use crate::link::{Health, Inlet, Link, LinkedPublisher, LinkedSubscription, Outlet, Pause, UNACKNOWLEDGED};
use crate::parameters::{must_know, take_parameter};
use crate::{Bus, Confirmation, Delivery, Error, Message, Publisher, Settings, Subscription, message};

/// The server's limit includes the headers: the id, its name, and the version line.
const HEADERS: usize = 512;

/// The default limit of a server.
const USUAL_LIMIT: usize = 1024 * 1024 - HEADERS;

pub(crate) struct Nats {
    server: Arc<Server>,
    control: Mutex<Link<Session>>,
}

struct Server {
    /// The URL without name and password.
    url: Url,
    /// Nothing is sent without TLS.
    encrypted: bool,
    tls: ServerTls,
    login: Login,
    stream: String,
    /// The prefix of the stream's subjects.
    root: String,
    settings: Settings,
}

enum Login {
    None,
    Token(String),
    Password(String, String),
}

impl Nats {
    pub(crate) fn new(mut url: Url, settings: &Settings) -> Result<Self, Error> {
        let stream = take_parameter(&mut url, "stream").unwrap_or_else(|| "SOONSHOP".to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if stream.is_empty() || stream.len() > 50 || !stream.bytes().all(plain) {
            return Err(address(&url, "a stream's name is 1 to 50 letters, digits, - and _"));
        }
        let encrypted = match take_parameter(&mut url, "tls").as_deref() {
            None => url.scheme() == "tls" || names_files(&url),
            Some("required") => true,
            Some(_) => return Err(address(&url, "tls=required is the only value of tls")),
        };
        let tls = ServerTls::take_usable(&mut url, None);
        let tls = tls.map_err(|reason| address(&url, &reason.to_string()))?;
        must_know(&url, &[])?;
        let login = match (url.username(), url.password()) {
            ("", None) => Login::None,
            (token, None) => Login::Token(decoded(token)),
            (user, Some(password)) => Login::Password(decoded(user), decoded(password)),
        };
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        bare.map_err(|()| address(&url, "it names no server"))?;
        let root = stream.to_ascii_lowercase();
        let server = Arc::new(Server { url, encrypted, tls, login, stream, root, settings: *settings });
        let here = Arc::clone(&server);
        let at_once = Pause::new(Duration::ZERO, Duration::ZERO);
        let control = Mutex::new(Link::new(at_once, move || Arc::clone(&here).session("control")));
        Ok(Self { server, control })
    }

    /// Does one administrative task on its own connection.
    async fn control<F>(&self, patience: Duration, work: impl FnOnce(Client) -> F + Send) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let asked = async {
            let mut link = self.control.lock().await;
            if link.open_session().is_some_and(Session::broken) {
                link.lost();
            }
            let session = link.session().await?;
            let (client, mut refusals) = (session.client.clone(), session.refusals.since_now());
            refusals.or(work(client)).await.inspect_err(|_| link.lost())
        };
        let answered = timeout(patience, asked).await;
        answered.unwrap_or_else(|_| {
            // The server says once on a session what it does not permit, maybe long before: a new one is told.
            if let Ok(mut link) = self.control.try_lock() {
                link.lost();
            }
            Err(silent("no answer", patience))
        })
    }
}

#[async_trait]
impl Bus for Nats {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    async fn ping(&self) -> Result<(), Error> {
        // JetStream must answer, not just the server. The content of the answer differs from version to version.
        let ask = |client: Client| async move {
            client.request("$JS.API.INFO", Bytes::new()).await.map(drop).map_err(unreachable)
        };
        self.control(self.server.settings.ping, ask).await
    }

    async fn examine(&self, queue: &str) -> Result<(), Error> {
        message::check_queue(BACKEND, queue)?;
        let server = Arc::clone(&self.server);
        let (stream, queue) = (server.stream.clone(), queue.to_owned());
        let look = |client: Client| async move {
            let jetstream = jetstream::new(client);
            let mut found = match jetstream.get_stream(&stream).await {
                Ok(found) => found,
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => return Err(unreachable(error)),
            };
            let info = found.info().await.map_err(unreachable)?;
            server.compare(&info.config)?;
            match found.get_consumer::<Pull>(&queue).await {
                Ok(consumer) if consumer.cached_info().config.ack_policy != AckPolicy::All => {
                    let difference = "its acknowledgement policy is not `all`".to_owned();
                    Err(Error::Different {
                        object: format!("consumer {queue} of stream {stream}"),
                        difference,
                    })
                }
                // A consumer that is missing is made again by its reader.
                _ => Ok(()),
            }
        };
        self.control(self.server.settings.ping, look).await
    }

    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        let settings = &self.server.settings;
        let server = Arc::clone(&self.server);
        let link = Link::new(settings.pause(), move || Arc::clone(&server).outlet());
        Ok(Box::new(LinkedPublisher {
            backend: BACKEND,
            link,
            patience: settings.confirm,
            limit: USUAL_LIMIT,
        }))
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Subscription>, Error> {
        message::check_queue(BACKEND, queue)?;
        let queue = queue.to_owned();
        let server = Arc::clone(&self.server);
        let link = Link::new(self.server.settings.pause(), move || Arc::clone(&server).inlet(queue.clone()));
        Ok(Box::new(LinkedSubscription::new(link, self.server.settings.ping).await))
    }

    async fn remove(&self, queue: &str) -> Result<(), Error> {
        message::check_queue(BACKEND, queue)?;
        let stream = self.server.stream.clone();
        let queue = queue.to_owned();
        let delete = |client: Client| async move {
            match jetstream::new(client).delete_consumer_from_stream(queue, stream).await {
                Ok(_) => Ok(()),
                Err(error) => match &error.kind() {
                    ConsumerErrorKind::JetStream(reason)
                        if matches!(
                            reason.error_code(),
                            ErrorCode::CONSUMER_NOT_FOUND | ErrorCode::STREAM_NOT_FOUND
                        ) =>
                    {
                        Ok(())
                    }
                    _ => Err(unreachable(error)),
                },
            }
        };
        self.control(self.server.settings.confirm, delete).await
    }
}

/// Whether the address names a file of TLS.
fn names_files(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| matches!(&*name, "ca" | "cert" | "key"))
}

impl Server {
    async fn session(self: Arc<Self>, role: &'static str) -> Result<Session, Error> {
        let settings = &self.settings;
        let options = match &self.login {
            Login::None => ConnectOptions::new(),
            Login::Token(token) => ConnectOptions::with_token(token.clone()),
            Login::Password(user, password) => {
                ConnectOptions::with_user_and_password(user.clone(), password.clone())
            }
        };
        // The client reads the files itself, and does not say which of them is wrong.
        self.tls.read().map_err(|error| unreachable(error.of_server()))?;
        let mut options = options.require_tls(self.encrypted);
        if let Some(ca) = self.tls.ca() {
            options = options.add_root_certificates(ca.to_owned());
        }
        if let Some((certificate, key)) = self.tls.own() {
            options = options.add_client_certificate(certificate.to_owned(), key.to_owned());
        }
        let refusals = Refusals::default();
        let heard = refusals.clone();
        let options = options
            .event_callback(move |event| {
                heard.hear(event);
                std::future::ready(())
            })
            .name(format!("soonshop-bus {role}"))
            .connection_timeout(settings.connect)
            .request_timeout(Some(settings.connect))
            .ping_interval(settings.heartbeat)
            // One, because zero means no limit.
            .max_reconnects(1);
        let client = options.connect(self.url.as_str()).await.map_err(unreachable)?;
        let jetstream = ContextBuilder::new()
            .timeout(settings.connect)
            .ack_timeout(settings.confirm)
            // The caller limits how many messages are in flight.
            .max_ack_inflight(1_000_000)
            .build(client.clone());
        Ok(Session { client, jetstream, refusals })
    }

    /// The stream, declared each time: a server may restart empty. An existing stream is used as it is, so that an
    /// operator can give it other limits, or replicas.
    async fn stream(&self, jetstream: &Context) -> Result<Stream, Error> {
        let config = StreamConfig {
            name: self.stream.clone(),
            subjects: vec![format!("{}.>", self.root)],
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_bytes: i64::try_from(self.settings.stream_bytes).unwrap_or(i64::MAX),
            max_age: self.settings.age,
            ..StreamConfig::default()
        };
        jetstream.get_or_create_stream(config).await.map_err(unreachable)
    }

    /// Refuses a stream in which messages can be lost or refused, or that is not fed. An operator may give it other
    /// limits.
    fn compare(&self, config: &StreamConfig) -> Result<(), Error> {
        let subjects = format!("{}.>", self.root);
        let differences = [
            (config.retention != RetentionPolicy::Limits, "its retention is not `limits`"),
            (
                config.discard != DiscardPolicy::Old,
                "it discards new messages when it is full, and not old ones",
            ),
            (!config.subjects.contains(&subjects), "it does not take every subject of the shop"),
            (config.sealed, "it is sealed"),
            (config.no_ack, "it confirms no message"),
        ];
        let differences: Vec<_> =
            differences.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what).collect();
        if differences.is_empty() {
            return Ok(());
        }
        let object = format!("stream {}", self.stream);
        Err(Error::Different { object, difference: differences.join("; ") })
    }

    async fn outlet(self: Arc<Self>) -> Result<NatsOutlet, Error> {
        let session = Arc::clone(&self).session("publisher").await?;
        session.refusals.since_now().or(self.stream(&session.jetstream)).await?;
        let limit = session.client.server_info().max_payload.saturating_sub(HEADERS);
        Ok(NatsOutlet { server: self, session, limit, health: Health::default() })
    }

    async fn inlet(self: Arc<Self>, queue: String) -> Result<NatsInlet, Error> {
        let session = Arc::clone(&self).session("subscription").await?;
        let mut refusals = session.refusals.since_now();
        let opened = async {
            let stream = self.stream(&session.jetstream).await?;
            let consumer = self.consumer(&stream, &queue).await?;
            let pulled = consumer
                .stream()
                .max_messages_per_batch(UNACKNOWLEDGED.into())
                .expires(self.settings.heartbeat * 3)
                .heartbeat(self.settings.heartbeat)
                .messages();
            pulled.await.map_err(unreachable)
        };
        let pulled = refusals.or(opened).await?;
        Ok(NatsInlet {
            session,
            refusals,
            pulled,
            last: None,
            prefix: self.root.len() + 1,
            patience: self.settings.connect,
        })
    }

    /// A new consumer begins with the next message. A consumer with unacknowledged messages would send them again
    /// only after a wait, and behind newer ones: it is replaced by one that begins at the first of them.
    async fn consumer(&self, stream: &Stream, queue: &str) -> Result<PullConsumer, Error> {
        let config = |deliver_policy| Pull {
            durable_name: Some(queue.to_owned()),
            ack_policy: AckPolicy::All,
            deliver_policy,
            // Twice the size of one request: the next request is sent while the last one is being processed.
            max_ack_pending: 2 * i64::from(UNACKNOWLEDGED),
            inactive_threshold: self.settings.unread,
            ..Pull::default()
        };
        let mut from = DeliverPolicy::New;
        if let Ok(mut there) = stream.get_consumer::<Pull>(queue).await {
            let info = there.info().await.map_err(unreachable)?;
            if info.num_ack_pending == 0 {
                return Ok(there);
            }
            from = DeliverPolicy::ByStartSequence { start_sequence: info.ack_floor.stream_sequence + 1 };
            stream.delete_consumer(queue).await.map_err(unreachable)?;
        }
        stream.create_consumer(config(from)).await.map_err(unreachable)
    }
}

struct Session {
    client: Client,
    jetstream: Context,
    refusals: Refusals,
}

impl Session {
    fn broken(&self) -> bool {
        self.client.connection_state() != State::Connected
    }
}

struct NatsOutlet {
    server: Arc<Server>,
    session: Session,
    limit: usize,
    health: Health,
}

impl Outlet for NatsOutlet {
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error> {
        let subject = format!("{}.{}", self.server.root, message::topic(&message.topic));
        let publish = PublishMessage::build().payload(message.body).message_id(&message.id);
        let mut refusals = self.session.refusals.since_now();
        let sent = self.session.jetstream.send_publish(subject, publish).await.map_err(unreachable)?;
        let answer = async move {
            let answered = async {
                match sent.await {
                    Ok(_) => Ok(Delivery::Confirmed),
                    // The server answered and refused: the stream is full or sealed, or the disk is full.
                    Err(error) if error.kind() == PublishErrorKind::Other => {
                        Err(Error::Refused { backend: BACKEND, reason: error.to_string() })
                    }
                    Err(error) => Err(unreachable(error)),
                }
            };
            refusals.or(answered).await
        };
        Ok(self.health.watch(BACKEND, self.server.settings.confirm, answer))
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn broken(&self) -> bool {
        self.health.broken() || self.session.broken()
    }
}

struct NatsInlet {
    pulled: Pulled,
    refusals: Since,
    /// The last message that was returned: acknowledging it acknowledges all before it.
    last: Option<jetstream::message::Acker>,
    /// The length of the subject's prefix before the topic.
    prefix: usize,
    patience: Duration,
    session: Session,
}

impl NatsInlet {
    fn take(&mut self, came: jetstream::Message) -> Message {
        let (came, acker) = came.split();
        self.last = Some(acker);
        let id = came.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
        Message {
            id: id.map(ToString::to_string).unwrap_or_default(),
            topic: came.subject.get(self.prefix..).unwrap_or_default().to_owned(),
            body: came.payload,
        }
    }
}

impl Inlet for NatsInlet {
    async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error> {
        let ended =
            || Error::Unreachable { backend: BACKEND, reason: "the connection was closed".to_owned() };
        let pulled = &mut self.pulled;
        let first = async { pulled.next().await.ok_or_else(ended)?.map_err(unreachable) };
        let first = self.refusals.or(first).await?;
        let mut came = vec![self.take(first)];
        // No await from here on, so that every message taken from the consumer is returned.
        while came.len() < most
            && let Some(Some(Ok(next))) = self.pulled.next().now_or_never()
        {
            came.push(self.take(next));
        }
        Ok(came)
    }

    async fn acknowledge(&mut self) -> Result<(), Error> {
        let Some(last) = self.last.take() else { return Ok(()) };
        if self.session.broken() {
            return Err(Error::Unreachable {
                backend: BACKEND,
                reason: "the connection was closed".to_owned(),
            });
        }
        // Waits for the server's answer, or the acknowledgement could still be in flight when the subscription is
        // dropped.
        let answered = timeout(self.patience, last.double_ack()).await;
        answered.map_err(|_| silent("no answer", self.patience))?.map_err(unreachable)
    }
}

/// Decodes percent-encoding. A `+` stays a `+` in a login, unlike in a form.
fn decoded(part: &str) -> String {
    let form = part.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

fn unreachable(error: impl std::fmt::Display) -> Error {
    Error::Unreachable { backend: BACKEND, reason: error.to_string() }
}

/// Whether the server has no such stream.
fn is_missing(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind::JetStream;
    matches!(error.kind(), JetStream(reason) if reason.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn silent(what: &str, patience: Duration) -> Error {
    Error::Unreachable { backend: BACKEND, reason: format!("{what} in {patience:?}") }
}
