//! One contract, three adapters, real servers. A new adapter is accepted when it passes this, and nothing else.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod common;
#[path = "../../tests/services/encrypted.rs"]
mod encrypted;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{LONG, message, publish, receive, receive_count, settings};
use futures::FutureExt as _;
use soonshop_bus::{Bus, Delivery, Error, Message, Settings, Subscription, connect, connect_with};
use tokio::time::timeout;
use url::Url;

// ---- the contract ----------------------------------------------------------------------------------------

async fn a_message_arrives_as_it_was_sent(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("whole").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let bodies = [Bytes::new(), Bytes::from_static(b"\0\xff{}"), vec![7; publisher.limit()].into()];
    let sent: Vec<_> =
        bodies.into_iter().enumerate().map(|(n, body)| Message { body, ..message(n) }).collect();
    for delivery in publish(&mut *publisher, sent.clone()).await {
        assert_eq!(delivery.unwrap(), Delivery::Confirmed);
    }
    assert!(receive_count(&mut *subscription, sent.len()).await == sent, "other messages than were sent");
}

async fn every_queue_gets_everything_in_order(bus: &dyn Bus) {
    let mut first = bus.subscribe("first").await.unwrap();
    let mut second = bus.subscribe("second-2").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let sent: Vec<_> = (0..300).map(message).collect();
    for delivery in publish(&mut *publisher, sent.clone()).await {
        assert_eq!(delivery.unwrap(), Delivery::Confirmed);
    }
    assert_eq!(receive_count(&mut *first, 300).await, sent);
    assert_eq!(receive_count(&mut *second, 300).await, sent);
}

async fn thousands_are_in_flight_at_once(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("many").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let sent: Vec<_> = (0..6_000).map(message).collect();
    let reader = async {
        let mut came = Vec::new();
        while came.len() < sent.len() {
            came.extend(timeout(LONG, subscription.next(100)).await.expect("the next come").unwrap());
            subscription.acknowledge().await.unwrap();
        }
        came
    };
    let (deliveries, came) = tokio::join!(publish(&mut *publisher, sent.clone()), reader);
    assert!(deliveries.into_iter().all(|delivery| delivery.unwrap() == Delivery::Confirmed));
    assert!(came == sent, "lost, repeated or out of order, with nothing wrong");
}

async fn next_returns_available_messages_up_to_its_limit(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("most").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    publish(&mut *publisher, (0..5).map(message)).await;
    let mut came = Vec::new();
    while came.len() < 5 {
        let more = timeout(LONG, subscription.next(2)).await.expect("does not wait to fill up").unwrap();
        assert!(!more.is_empty() && more.len() <= 2);
        came.extend(more);
    }
    assert_eq!(came, (0..5).map(message).collect::<Vec<_>>());
}

async fn next_may_be_dropped_while_it_waits(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("dropped").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let mut came = Vec::new();
    for number in 0..20 {
        let waiting = timeout(Duration::from_millis(5), subscription.next(10)).await;
        came.extend(waiting.into_iter().flatten().flatten());
        publish(&mut *publisher, [message(number)]).await;
    }
    let missing = 20 - came.len();
    came.extend(receive_count(&mut *subscription, missing).await);
    assert_eq!(came, (0..20).map(message).collect::<Vec<_>>());
}

async fn unacknowledged_messages_come_again(bus: &dyn Bus) {
    let mut publisher = bus.publisher().await.unwrap();
    let mut subscription = bus.subscribe("again").await.unwrap();
    publish(&mut *publisher, (0..5).map(message)).await;
    assert_eq!(receive_count(&mut *subscription, 5).await.len(), 5);
    drop(subscription);

    let mut subscription = bus.subscribe("again").await.unwrap();
    let mut came: Vec<Message> = Vec::new();
    while came.len() < 3 {
        came.extend(timeout(LONG, subscription.next(3 - came.len())).await.expect("it comes again").unwrap());
    }
    assert_eq!(came, (0..3).map(message).collect::<Vec<_>>());
    subscription.acknowledge().await.unwrap();
    drop(subscription);

    let mut subscription = bus.subscribe("again").await.unwrap();
    assert_eq!(receive_count(&mut *subscription, 2).await, [message(3), message(4)]);
    subscription.acknowledge().await.unwrap();
    subscription.acknowledge().await.unwrap();
    drop(subscription);

    let mut subscription = bus.subscribe("again").await.unwrap();
    publish(&mut *publisher, [message(5)]).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(5)]);
}

async fn a_queue_keeps_messages_while_it_has_no_reader(bus: &dyn Bus) {
    drop(bus.subscribe("kept").await.unwrap());
    let mut publisher = bus.publisher().await.unwrap();
    publish(&mut *publisher, (0..10).map(message)).await;
    let mut subscription = bus.subscribe("kept").await.unwrap();
    assert_eq!(receive_count(&mut *subscription, 10).await, (0..10).map(message).collect::<Vec<_>>());
}

async fn a_repeat_does_no_harm(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("repeat").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    for delivery in publish(&mut *publisher, [message(1), message(1), message(2)]).await {
        assert_eq!(delivery.unwrap(), Delivery::Confirmed);
    }
    let came = receive(&mut *subscription, |came| came.contains(&message(2))).await;
    assert_eq!(
        came.iter().map(|message| &*message.id).collect::<HashSet<_>>(),
        HashSet::from(["id-1", "id-2"])
    );
}

async fn a_too_large_message_is_refused_at_once(bus: &dyn Bus) {
    let mut publisher = bus.publisher().await.unwrap();
    publish(&mut *publisher, [message(1)]).await;
    let limit = publisher.limit();
    assert!(limit >= 512 * 1024, "{limit}: an event may have 256 KiB, and travels as JSON");
    let large = Message { body: vec![0; limit + 1].into(), ..message(2) };
    // At once: without waiting for anything, least of all the broker.
    let sent = publisher.send(large).now_or_never().expect("it is refused before anything is waited for");
    let Err(error) = sent else { panic!("was not refused") };
    assert!(matches!(error, Error::TooLarge { size, limit: text, .. } if size == limit + 1 && text == limit));
    assert!(publish(&mut *publisher, [message(3)]).await[0].is_ok(), "the publisher goes on");
}

async fn an_id_that_no_broker_carries_is_refused_and_any_topic_is_carried(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("odd").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    for id in ["", "two words", "line\r\nbreak", &"x".repeat(300)] {
        let refused = publisher.send(Message { id: id.to_owned(), ..message(0) }).await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{id:?}");
    }
    let topics = ["", "a..b", "order.Order placed", "x.*.>", "größe.#", &"long.".repeat(100)];
    let odd =
        topics.iter().enumerate().map(|(n, topic)| Message { topic: (*topic).to_owned(), ..message(n) });
    assert!(publish(&mut *publisher, odd).await.into_iter().all(|delivery| delivery.is_ok()));
    let came = receive_count(&mut *subscription, topics.len()).await;
    assert_eq!(came[2].topic, "order.Order_placed");
    assert_eq!(came.last().unwrap().id, "id-5");
}

async fn a_removed_queue_is_gone_with_its_messages(bus: &dyn Bus) {
    let mut other = bus.subscribe("other").await.unwrap();
    let mut subscription = bus.subscribe("removed").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    publish(&mut *publisher, [message(1)]).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(1)]);
    drop(subscription);
    bus.remove("removed").await.unwrap();
    bus.remove("removed").await.unwrap();
    bus.remove("never-was").await.unwrap();

    let mut subscription = bus.subscribe("removed").await.unwrap();
    publish(&mut *publisher, [message(2)]).await;
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(2)]);
    assert_eq!(receive_count(&mut *other, 2).await, [message(1), message(2)]);
}

async fn a_subscription_recovers_from_the_removal_of_its_queue(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("pulled-away").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    bus.remove("pulled-away").await.unwrap();
    // It gets messages only once the queue exists again.
    let came = timeout(LONG, async {
        let mut number = 0;
        loop {
            publish(&mut *publisher, [message(number)]).await;
            number += 1;
            if let Ok(Ok(came)) = timeout(Duration::from_millis(50), subscription.next(1)).await {
                break came;
            }
        }
    });
    assert_eq!(came.await.expect("it comes back").len(), 1);
}

async fn an_invalid_queue_name_is_refused(bus: &dyn Bus) {
    for bad in ["", "Projector", "a.b", "a b", "a*", "ä", &"a".repeat(300)] {
        assert!(matches!(bus.subscribe(bad).await.err(), Some(Error::Refused { .. })), "{bad:?}");
        assert!(matches!(bus.remove(bad).await, Err(Error::Refused { .. })), "{bad:?}");
    }
}

async fn ping_is_answered(bus: &dyn Bus) {
    for _ in 0..3 {
        bus.ping().await.unwrap();
    }
}

async fn publishers_do_not_disturb_each_other(bus: &dyn Bus) {
    let mut subscription = bus.subscribe("both").await.unwrap();
    let (mut one, mut two) = (bus.publisher().await.unwrap(), bus.publisher().await.unwrap());
    tokio::join!(publish(&mut *one, (0..200).map(message)), publish(&mut *two, (1000..1200).map(message)),);
    let came = receive_count(&mut *subscription, 400).await;
    let (low, high): (Vec<_>, Vec<_>) = came.into_iter().partition(|message| message.id.len() < 7);
    assert_eq!(low, (0..200).map(message).collect::<Vec<_>>());
    assert_eq!(high, (1000..1200).map(message).collect::<Vec<_>>());
}

/// Not NATS: a stream does not tell whether a consumer waits.
async fn without_a_queue_a_message_is_unwanted(bus: &dyn Bus) {
    let mut publisher = bus.publisher().await.unwrap();
    for delivery in publish(&mut *publisher, (0..50).map(message)).await {
        assert_eq!(delivery.unwrap(), Delivery::Unwanted);
    }
    let mut subscription = bus.subscribe("wanted").await.unwrap();
    assert_eq!(publish(&mut *publisher, [message(50)]).await[0].clone().unwrap(), Delivery::Confirmed);
    assert_eq!(receive_count(&mut *subscription, 1).await, [message(50)]);
    drop(subscription);
    bus.remove("wanted").await.unwrap();
    assert_eq!(publish(&mut *publisher, [message(51)]).await[0].clone().unwrap(), Delivery::Unwanted);
}

/// A full queue drops its oldest messages, and confirms new ones.
async fn a_full_queue_drops_its_oldest(bus: &dyn Bus) {
    drop(bus.subscribe("full").await.unwrap());
    let mut publisher = bus.publisher().await.unwrap();
    for delivery in publish(&mut *publisher, (0..FULL * 3).map(message)).await {
        assert_eq!(delivery.unwrap(), Delivery::Confirmed);
    }
    let mut subscription = bus.subscribe("full").await.unwrap();
    let mut came = Vec::new();
    while came.last() != Some(&message(FULL * 3 - 1)) {
        came.extend(timeout(LONG, subscription.next(100)).await.expect("up to the newest").unwrap());
        subscription.acknowledge().await.unwrap();
    }
    assert!(came.len() <= FULL + 1, "{}", came.len());
    let first = FULL * 3 - came.len();
    assert_eq!(came, (first..FULL * 3).map(message).collect::<Vec<_>>());
}

// ---- who has to pass it ----------------------------------------------------------------------------------

macro_rules! contract {
    ($adapter:ident: $($name:ident)*) => {
        mod $adapter {
            $(
                #[tokio::test]
                async fn $name() {
                    let place = super::$adapter().await;
                    super::$name(&*place.bus).await;
                }
            )*
        }
    };
}

macro_rules! everyone {
    ($($adapter:ident + $($own:ident)*;)*) => {
        $(contract! { $adapter:
            a_message_arrives_as_it_was_sent
            every_queue_gets_everything_in_order
            thousands_are_in_flight_at_once
            next_returns_available_messages_up_to_its_limit
            next_may_be_dropped_while_it_waits
            unacknowledged_messages_come_again
            a_queue_keeps_messages_while_it_has_no_reader
            a_repeat_does_no_harm
            a_too_large_message_is_refused_at_once
            an_id_that_no_broker_carries_is_refused_and_any_topic_is_carried
            a_removed_queue_is_gone_with_its_messages
            a_subscription_recovers_from_the_removal_of_its_queue
            an_invalid_queue_name_is_refused
            ping_is_answered
            publishers_do_not_disturb_each_other
            $($own)*
        })*
    };
}

// Over TLS the same protocol is spoken: these carry the most, and the largest.
contract! { rabbitmq_over_tls: a_message_arrives_as_it_was_sent every_queue_gets_everything_in_order }
contract! { nats_over_tls: a_message_arrives_as_it_was_sent every_queue_gets_everything_in_order }

everyone! {
    in_process + without_a_queue_a_message_is_unwanted a_full_queue_drops_its_oldest;
    rabbitmq + without_a_queue_a_message_is_unwanted a_full_queue_drops_its_oldest;
    nats +;
}

/// As many as `thousands_are_in_flight_at_once` has in flight.
const FULL: usize = 6_000;

fn small() -> Settings {
    // A subscription that is made in time gets what is published after it. On a busy machine that takes a while.
    let ping = LONG / 2;
    Settings { in_process_length: FULL, queue_length: 6_000, ping, ..settings() }
}

/// A bus for one test, and its cleanup.
struct TestBus {
    bus: Arc<dyn Bus>,
    _cleanup: Option<Cleanup>,
}

struct Cleanup(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(cleanup) = self.0.take() {
            // In a thread, because a test's runtime cannot be waited for from inside. A failure here has already
            // failed the test.
            let _ = std::thread::spawn(cleanup).join();
        }
    }
}

async fn in_process() -> TestBus {
    TestBus { bus: connect_with("in-process:", &small()).unwrap(), _cleanup: None }
}

async fn rabbitmq() -> TestBus {
    rabbitmq_at(&server("AMQP_URL"), |url| url)
}

async fn rabbitmq_over_tls() -> TestBus {
    rabbitmq_at(&encrypted::server("AMQP_TLS_URL"), |url| encrypted::right(&url, TLS))
}

/// The parameters of an address for the files of TLS.
const TLS: encrypted::Names = ["ca", "cert", "key"];

/// In a virtual host of its own.
fn rabbitmq_at(url: &str, with_parameters: impl FnOnce(String) -> String) -> TestBus {
    let api = server("RABBITMQ_API_URL");
    let name = unique();
    let vhost = format!("{api}/vhosts/{name}");
    let ask = |method: &str, url: &str| {
        let asked = Command::new("curl").args(["-fsS", "-m", "30", "-X", method, url]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    };
    ask("PUT", &vhost);
    let (base, _) = url.rsplit_once('/').unwrap();
    let bus = connect_with(&with_parameters(format!("{base}/{name}")), &small()).unwrap();
    TestBus { bus, _cleanup: Some(Cleanup(Some(Box::new(move || ask("DELETE", &vhost))))) }
}

async fn nats() -> TestBus {
    let url = server("NATS_URL");
    let stream = unique();
    // nats-server 2.9 does not tell a reader that its consumer was removed: the reader misses two heartbeats.
    let settings = Settings { heartbeat: Duration::from_secs(2), ..small() };
    let bus = connect_with(&format!("{url}?stream={stream}"), &settings).unwrap();
    let cleanup = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = Url::parse(&url).unwrap();
            let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
            let login = async_nats::ConnectOptions::with_user_and_password(user, password);
            let client = login.connect(url.as_str()).await.unwrap();
            // Fails if the test made no stream.
            let _ = async_nats::jetstream::new(client).delete_stream(stream).await;
        });
    };
    TestBus { bus, _cleanup: Some(Cleanup(Some(Box::new(cleanup)))) }
}

/// Its stream goes with the server's data.
async fn nats_over_tls() -> TestBus {
    let url = encrypted::right(&encrypted::server("NATS_TLS_URL"), TLS);
    let settings = Settings { heartbeat: Duration::from_secs(2), ..small() };
    let bus = connect_with(&format!("{url}&stream={}", unique()), &settings).unwrap();
    TestBus { bus, _cleanup: None }
}

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"` before cargo")
    })
}

fn unique() -> String {
    format!("bus-test-{:016x}", RandomState::new().hash_one(0))
}

// ---- addresses, and what only one adapter has ------------------------------------------------------------

#[tokio::test]
async fn an_address_is_checked_at_once_and_shown_without_its_password() {
    for bad in [
        "",
        "kafka://u:secret@host",
        "amqp:",
        "amqp:///vhost",
        "nats:x",
        "nats:secret",
        "amqp://u:secret@host/%2f?exchange=",
        "amqp://u:secret@host/%2f?exchange=two%20words",
        "amqp://u:secret@host/%2f?heartbeat=often",
        "nats://u:secret@host?stream=a.b",
        "http://u:secret@[host",
        "amqp://u:secret@host?ca=a.pem",
        "amqps://u:secret@host?ca=",
        "amqps://u:secret@host?ca=/no/such/file.pem",
        "amqps://u:secret@host?cert=a.pem",
        "nats://u:secret@host?key=a.pem",
        "nats://u:secret@host?tls=maybe",
        "nats://host?pass=secret",
        "nats://host?sslrootcert=a.pem",
        "amqp://host?cacertfile=secret",
        "tls:secret",
    ] {
        let error = connect(bad).err().unwrap_or_else(|| panic!("{bad:?} was taken"));
        assert!(matches!(error, Error::Address { .. }), "{bad:?}");
        assert!(
            bad == "nats:secret" || bad == "tls:secret" || !error.to_string().contains("secret"),
            "{error}"
        );
    }
    for (good, backend) in [
        ("in-process:", "in-process"),
        ("amqp://localhost", "rabbitmq"),
        ("amqps://u:p@localhost:5671/shop?exchange=a.b&heartbeat=5", "rabbitmq"),
        ("nats://u:p@localhost?stream=SHOP_2", "nats"),
        ("nats://u:p@localhost?tls=required", "nats"),
        ("tls://u:p@localhost?stream=SHOP_2", "nats"),
    ] {
        assert_eq!(connect(good).unwrap().backend(), backend);
    }
}

#[tokio::test]
async fn without_a_server_every_call_fails_in_time() {
    // Port 9, discard: no server listens there.
    for url in ["amqp://127.0.0.1:9", "nats://127.0.0.1:9"] {
        let bus = connect_with(url, &settings()).unwrap();
        let unreachable =
            |error: Option<Error>| assert!(matches!(error, Some(Error::Unreachable { .. })), "{url}");
        unreachable(timeout(LONG, bus.ping()).await.unwrap().err());
        unreachable(bus.remove("queue").await.err());
        let mut publisher = bus.publisher().await.unwrap();
        let mut subscription: Box<dyn Subscription> = bus.subscribe("queue").await.unwrap();
        for _ in 0..3 {
            unreachable(timeout(LONG, publisher.send(message(1))).await.unwrap().err());
            unreachable(timeout(LONG, subscription.next(1)).await.unwrap().err());
        }
        subscription.acknowledge().await.unwrap();
    }
}

/// The error of a broker with that address.
async fn asked(url: String) -> Result<(), String> {
    let bus = connect_with(&url, &settings()).map_err(|error| error.to_string())?;
    bus.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_rabbitmq_with_tls_takes_the_right_files_only() {
    encrypted::only_the_right_files_are_taken(&encrypted::server("AMQP_TLS_URL"), TLS, asked).await;
}

#[tokio::test]
async fn a_nats_server_with_tls_takes_the_right_files_only() {
    encrypted::only_the_right_files_are_taken(&encrypted::server("NATS_TLS_URL"), TLS, asked).await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_nats_server_without_tls_where_tls_is_required() {
    let plain = server("NATS_URL");
    let encrypted = plain.replacen("nats://", "tls://", 1);
    for url in [format!("{plain}?tls=required"), encrypted::right(&plain, TLS), encrypted] {
        asked(url.clone()).await.expect_err(&url);
    }
    asked(plain).await.unwrap();
}
