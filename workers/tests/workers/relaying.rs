//! The relay: every event on the bus, in order, and a checkpoint that is never ahead of the confirmations.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use soonshop_bus::{Bus, Confirmation, Delivery, Error, Message, Publisher, Subscription};
use soonshop_event_log::Checkpoint;
use soonshop_event_log::cloud_event::{self, Received};
use soonshop_workers::relay::{NAME, Published, Relay};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;

use crate::fixture::{Raw, Shop, Writer, on_both, raw, until};
use crate::history::{received, registered, stock, uuid};

on_both!(
    every_event_is_published_in_order_and_names_the_one_before_it,
    a_message_the_bus_lost_refused_or_never_confirmed_is_published_again,
    an_unroutable_message_does_not_stop_the_relay,
    the_checkpoint_is_the_last_contiguous_confirmation,
    events_are_sent_while_a_confirmation_is_awaited,
    a_relay_that_lost_its_lease_moves_no_checkpoint,
    a_too_large_message_is_published_without_data,
    a_payload_that_is_not_json_is_published_without_data,
    a_stopping_relay_saves_what_was_confirmed,
    a_relay_before_another_history_stops_and_publishes_nothing,
    an_idle_relay_polls_with_pauses_and_still_publishes,
);

/// The outcome of the n-th message.
type Script = Box<dyn Fn(usize, &Message) -> Answer + Send + Sync>;

enum Answer {
    Confirmed,
    Unwanted,
    /// It is not even taken.
    Lost,
    Nack,
    Silence,
    TooLarge,
    /// When the test says so.
    Later(oneshot::Receiver<()>),
}

#[derive(Clone)]
struct UnreliablePublisher {
    script: Arc<Script>,
    sent: Arc<AtomicUsize>,
    /// The confirmed and the unwanted messages, in order of arrival.
    arrived: Arc<Mutex<Vec<Message>>>,
    limit: usize,
}

impl UnreliablePublisher {
    fn new(script: impl Fn(usize, &Message) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(Box::new(script)),
            sent: Arc::default(),
            arrived: Arc::default(),
            limit: 1 << 20,
        }
    }

    fn received(&self) -> Vec<Received> {
        let arrived = self.arrived.lock().unwrap();
        arrived.iter().map(|message| cloud_event::decode(&message.body).unwrap()).collect()
    }

    fn positions(&self) -> Vec<i64> {
        self.received().iter().map(|received| received.position).collect()
    }
}

#[async_trait]
impl Bus for UnreliablePublisher {
    fn backend(&self) -> &'static str {
        "unreliable"
    }
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
    async fn publisher(&self) -> Result<Box<dyn Publisher>, Error> {
        Ok(Box::new(self.clone()))
    }
    async fn subscribe(&self, _queue: &str) -> Result<Box<dyn Subscription>, Error> {
        Err(gone())
    }
    async fn remove(&self, _queue: &str) -> Result<(), Error> {
        Ok(())
    }
}

fn gone() -> Error {
    Error::Unreachable { backend: "unreliable", reason: "gone".to_owned() }
}

#[async_trait]
impl Publisher for UnreliablePublisher {
    async fn send(&mut self, message: Message) -> Result<Confirmation, Error> {
        let answer = (self.script)(self.sent.fetch_add(1, Ordering::SeqCst), &message);
        let arrived = Arc::clone(&self.arrived);
        let arrive = move |delivery| {
            arrived.lock().unwrap().push(message);
            Ok(delivery)
        };
        Ok(match answer {
            Answer::Confirmed => Box::pin(std::future::ready(arrive(Delivery::Confirmed))),
            Answer::Unwanted => Box::pin(std::future::ready(arrive(Delivery::Unwanted))),
            Answer::Lost => return Err(gone()),
            Answer::TooLarge => return Err(Error::TooLarge { backend: "unreliable", size: 9, limit: 8 }),
            Answer::Nack => {
                Box::pin(async { Err(Error::Refused { backend: "unreliable", reason: "nack".to_owned() }) })
            }
            Answer::Silence => Box::pin(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(gone())
            }),
            Answer::Later(confirmed) => Box::pin(async move {
                confirmed.await.map_err(|_| gone())?;
                arrive(Delivery::Confirmed)
            }),
        })
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

struct Run {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Run {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_mins(1), self.task).await.unwrap().unwrap();
    }
}

fn relay(shop: &Shop, bus: &UnreliablePublisher, holder: &str) -> Run {
    let stop = CancellationToken::new();
    Run { task: tokio::spawn(of(shop, bus, holder).run(stop.clone())), stop }
}

fn of(shop: &Shop, bus: &UnreliablePublisher, holder: &str) -> Relay {
    Relay {
        log: shop.log(),
        process: soonshop_event_log::Database::new(shop.place.clone()).namespace("process").unwrap(),
        bus: Arc::new(bus.clone()),
        // The signal of a process that appends nothing.
        appended: watch::channel(0).1,
        holder: holder.to_owned(),
        published: Published::default(),
    }
}

async fn at(shop: &Shop) -> i64 {
    let db = shop.db("process");
    let checkpoint = Checkpoint::load(&db, &db.connection, NAME).await.unwrap();
    checkpoint.map_or(-1, |(checkpoint, _)| checkpoint.position)
}

async fn reach(shop: &Shop, position: i64) {
    until(&format!("the relay at {position}"), async || at(shop).await >= position).await;
}

fn receipts(count: usize) -> Vec<Raw> {
    (0..count).map(|_| raw(stock("MUG"), received("MUG", 1))).collect()
}

async fn every_event_is_published_in_order_and_names_the_one_before_it(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let bus = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let run = relay(&shop, &bus, "one");
    writer.write(uuid(1), registered(uuid(1))).await;
    let last = writer.all(receipts(2_500)).await;
    reach(&shop, last).await;
    run.stop().await;
    let stored = shop.log().read(1, 10_000).await.unwrap();
    let mut before = None;
    let received = bus.received();
    assert_eq!(received.len(), stored.len(), "each once");
    for (received, stored) in received.iter().zip(stored) {
        assert_eq!((received.position, received.previous), (stored.position, before));
        before = Some(stored.event_id);
        assert_eq!(received.event, Some(stored));
    }
    let arrived = bus.arrived.lock().unwrap();
    assert_eq!(arrived[0].topic, "user.UserRegistered");
    assert!(!String::from_utf8_lossy(&arrived[0].body).contains(crate::history::NAME), "sealed");
}

async fn a_message_the_bus_lost_refused_or_never_confirmed_is_published_again(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let bus = UnreliablePublisher::new(|n, _| match n {
        10 => Answer::Lost,
        25 => Answer::Nack,
        60 => Answer::Silence,
        _ => Answer::Confirmed,
    });
    let run = relay(&shop, &bus, "one");
    let last = writer.all(receipts(50)).await;
    reach(&shop, last).await;
    run.stop().await;
    let mut positions = bus.positions();
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions, (1..=last).collect::<Vec<_>>());
}

async fn an_unroutable_message_does_not_stop_the_relay(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let bus = UnreliablePublisher::new(|_, _| Answer::Unwanted);
    let log_lines = CountedLogLines::default();
    let last = writer.all(receipts(5)).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(of(&shop, &bus, "one").run(stop.clone()).with_subscriber(log_lines.clone()));
    reach(&shop, last).await;
    Run { stop, task }.stop().await;
    assert_eq!(bus.positions(), [1, 2, 3, 4, 5]);
    let response = log_lines.0.load(Ordering::Relaxed);
    assert!((1..=5).contains(&response), "of five messages that nobody wants, {response} were spoken of");
}

/// Adds up the unroutable messages that the log lines report.
#[derive(Clone, Default)]
struct CountedLogLines(Arc<AtomicU64>);

impl tracing::Subscriber for CountedLogLines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl tracing::field::Visit for CountedLogLines {
    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "messages" {
            self.0.fetch_add(value, Ordering::Relaxed);
        }
    }
}

async fn the_checkpoint_is_the_last_contiguous_confirmation(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let last = writer.all(receipts(10)).await;
    let (tell, confirmed) = oneshot::channel();
    let confirmed = Mutex::new(Some(confirmed));
    let bus = UnreliablePublisher::new(move |n, _| match n {
        4 => Answer::Later(confirmed.lock().unwrap().take().unwrap()),
        _ => Answer::Confirmed,
    });
    let run = relay(&shop, &bus, "one");
    until("all but one are confirmed", async || bus.positions().len() == 9).await;
    // What was confirmed before it is stored while the relay waits, and nothing above it.
    reach(&shop, 4).await;
    assert_eq!(at(&shop).await, 4, "ahead of what was confirmed");
    // The confirmation never comes: it is sent again.
    drop(tell);
    reach(&shop, last).await;
    assert!(bus.positions().contains(&5), "an event was never sent: {:?}", bus.positions());
    run.stop().await;
}

async fn events_are_sent_while_a_confirmation_is_awaited(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (tell, confirmed) = oneshot::channel();
    let confirmed = Mutex::new(Some(confirmed));
    let bus = UnreliablePublisher::new(move |n, _| match n {
        0 => Answer::Later(confirmed.lock().unwrap().take().unwrap()),
        _ => Answer::Confirmed,
    });
    let run = relay(&shop, &bus, "one");
    writer.all(receipts(1)).await;
    until("the first is sent", async || bus.sent.load(Ordering::SeqCst) == 1).await;
    let last = writer.all(receipts(5)).await;
    until("the others are sent", async || bus.positions().len() == 5).await;
    tell.send(()).unwrap();
    reach(&shop, last).await;
    run.stop().await;
}

async fn a_relay_that_lost_its_lease_moves_no_checkpoint(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (tell, confirmed) = oneshot::channel();
    let confirmed = Mutex::new(Some(confirmed));
    let slow = UnreliablePublisher::new(move |n, _| match n {
        0 => Answer::Later(confirmed.lock().unwrap().take().unwrap()),
        _ => Answer::Confirmed,
    });
    // All three are there before it reads: while it waits for a confirmation it reads no more.
    writer.all(receipts(3)).await;
    let old = relay(&shop, &slow, "old");
    until("the old one has sent", async || slow.positions().len() == 2).await;
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
    let bus = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let new = relay(&shop, &bus, "new");
    let last = writer.all(receipts(30)).await;
    reach(&shop, last).await;
    // Only now the old one learns that its first three arrived.
    assert!(tell.send(()).is_ok(), "the old one has gone");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(at(&shop).await, last, "it was moved back");
    assert_eq!(bus.positions(), (1..=last).collect::<Vec<_>>());
    old.stop().await;
    new.stop().await;
}

async fn a_too_large_message_is_published_without_data(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.write(stock("MUG"), received("MUG", 1)).await;
    let adopted = |text: &str| Raw {
        aggregate_type: "invoice",
        stream: "1".to_owned(),
        event_type: "Written".to_owned(),
        event_version: "1.0".to_owned(),
        payload: format!(r#"{{"Written":{{"text":"{text}"}}}}"#),
    };
    writer.raw(adopted(&"long ".repeat(4_000))).await;
    writer.raw(adopted("short")).await;
    // One bus announces its limit, the other refuses only when it is too late.
    let says = UnreliablePublisher { limit: 2_000, ..UnreliablePublisher::new(|_, _| Answer::Confirmed) };
    let surprises = UnreliablePublisher::new(|_, message| match message.body.len() {
        0..2_000 => Answer::Confirmed,
        _ => Answer::TooLarge,
    });
    for (holder, bus) in [("one", says), ("two", surprises)] {
        shop.run("process", "DELETE FROM @checkpoints").await;
        let run = relay(&shop, &bus, holder);
        reach(&shop, 3).await;
        run.stop().await;
        let received = bus.received();
        let with: Vec<_> = received.iter().map(|one| (one.position, one.event.is_some())).collect();
        assert_eq!(with, [(1, true), (2, false), (3, true)]);
    }
}

async fn a_payload_that_is_not_json_is_published_without_data(shop: Shop) {
    if !shop.is_sqlite() {
        // PostgreSQL refuses such a payload.
        return;
    }
    let mut writer = Writer::new(&shop);
    writer.all(receipts(3)).await;
    shop.run("log", "UPDATE @events SET payload = '{' WHERE position = 2").await;
    let bus = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let run = relay(&shop, &bus, "one");
    reach(&shop, 3).await;
    run.stop().await;
    let with: Vec<_> = bus.received().iter().map(|one| one.event.is_some()).collect();
    assert_eq!(with, [true, false, true]);
}

async fn a_stopping_relay_saves_what_was_confirmed(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let last = writer.all(receipts(20)).await;
    let bus = UnreliablePublisher::new(|n, _| if n < 15 { Answer::Confirmed } else { Answer::Nack });
    let run = relay(&shop, &bus, "one");
    reach(&shop, 15).await;
    assert!(at(&shop).await < last);
    run.stop().await;
    let again = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let run = relay(&shop, &again, "one");
    reach(&shop, last).await;
    run.stop().await;
    assert_eq!(again.positions(), [16, 17, 18, 19, 20], "nothing is published twice without need");
}

async fn a_relay_before_another_history_stops_and_publishes_nothing(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let bus = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let run = relay(&shop, &bus, "one");
    let last = writer.all(receipts(20)).await;
    reach(&shop, last).await;
    writer.store.close().await;
    shop.run("log", "DELETE FROM @events WHERE position > 10").await;
    let mut other = Writer::of_another_history(&shop);
    other.all((0..30).map(|n| raw(uuid(n + 500), received("CUP", 1))).collect()).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(at(&shop).await, last);
    // Some of the new history may have been read before the old was gone; none of it is skipped to.
    assert_eq!(bus.positions(), (1..=last).collect::<Vec<_>>());
    run.stop().await;
}

async fn an_idle_relay_polls_with_pauses_and_still_publishes(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let bus = UnreliablePublisher::new(|_, _| Answer::Confirmed);
    let run = relay(&shop, &bus, "one");
    let last = writer.all(receipts(1)).await;
    reach(&shop, last).await;
    // The sender of its signal is gone. If it polled the log without a pause, other tasks would hardly run; its queries
    // are counted where that is possible.
    let asked = async || -> i64 {
        if shop.is_sqlite() {
            return 0;
        }
        shop.number("log", "SELECT (xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()").await
    };
    let before = Box::pin(asked()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let queries = Box::pin(asked()).await - before;
    assert!(queries < 600, "{queries} queries in three idle seconds");
    let last = writer.all(receipts(1)).await;
    reach(&shop, last).await;
    run.stop().await;
}
