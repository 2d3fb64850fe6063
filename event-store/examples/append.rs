//! Appends per second through `EventStore::execute`, one event each, with everything that an append does.
//!
//! `cargo run --release -p soonshop-event-store --example append -- postgres://… [seconds [callers]]`, on an empty
//! database (or `sqlite://FOLDER`). It migrates, and leaves its events behind.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, for people to read")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use soonshop_domain::inventory::{At, Command, MAIN, Stock, StockPlace as Shelf};
use soonshop_domain::text::Sku;
use soonshop_domain::{Actor, ActorKind, Channel, Metadata, ids};
use soonshop_event_log::{Database, DatabaseLocation, KeyStore, MasterKeys};
use soonshop_event_store::{CommandContext, EventStore, KeyMaker, OutcomeKind};
use soonshop_migrations::Namespace;
use tokio::time::Instant;

fn context() -> CommandContext {
    let metadata = Metadata {
        correlation_id: Some(ids::new()),
        command_type: Some("stock.receive".into()),
        actor_kind: Some(ActorKind::System),
        actor_id: Some(Actor::system("bench").id),
        channel: Some(Channel::Cli),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..Metadata::default()
    };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata);
    CommandContext { kind: OutcomeKind::Created, reference: Some("/inventory/MUG".into()), ..context }
}

/// Executes commands until stopped: on 16 streams of its own, whose states stay cached, or each on a new stream.
async fn call(
    store: EventStore,
    new: bool,
    stop: Arc<AtomicBool>,
    warm: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
) {
    let place = Shelf { sku: Sku::try_new("MUG").unwrap(), location: MAIN.into() };
    let streams: Vec<_> = (0..16).map(|_| ids::new()).collect();
    for round in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if round == streams.len() {
            warm.fetch_add(1, Ordering::Relaxed);
        }
        let context = context();
        let stream = if new { ids::stream_of(context.command_id) } else { streams[round % streams.len()] };
        let receive = At { place: place.clone(), command: Command::Receive { quantity: 1 } };
        store.execute::<Stock>(stream, receive, context).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of an empty database");
    let seconds = arguments.next().map_or(5, |seconds| seconds.parse().unwrap());
    let callers = arguments.next().map_or(vec![1, 8, 32, 256], |callers| vec![callers.parse().unwrap()]);
    let database = Database::new(DatabaseLocation::parse(&url).unwrap());
    for namespace in [Namespace::Log, Namespace::Keys] {
        let db = database.namespace(namespace.name()).unwrap();
        soonshop_migrations::migrate(namespace, &db.connection).await.unwrap();
    }
    let masters = MasterKeys::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let keys = KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), masters));
    keys.prepare(&database.namespace("log").unwrap()).await.unwrap();
    let store = EventStore::open(&database, keys).unwrap();
    for (callers, new) in callers.into_iter().flat_map(|callers| [(callers, false), (callers, true)]) {
        let stop = Arc::new(AtomicBool::new(false));
        let (warm, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let call = || call(store.clone(), new, Arc::clone(&stop), Arc::clone(&warm), Arc::clone(&done));
        let calling: Vec<_> = (0..callers).map(|_| tokio::spawn(call())).collect();
        // Not counted: loading the streams for the first time.
        while warm.load(Ordering::Relaxed) < callers {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (before, started) = (done.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let (count, took) = (done.load(Ordering::Relaxed) - before, started.elapsed().as_millis());
        stop.store(true, Ordering::Relaxed);
        for task in calling {
            task.await.unwrap();
        }
        let streams = if new { "new" } else { "hot" };
        println!(
            "{callers:>4} callers, {streams} streams: {:>7} appends/s",
            u128::from(count) * 1_000 / took
        );
    }
}
