//! Beside the published crates: `postgres-es` reads our events, we continue its streams, and both write at once. Its
//! defects that were found by reading are tested here: what happens in this store instead.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cqrs_es::persist::{PersistedEventRepository as _, PersistedEventStore, SerializedEvent};
use cqrs_es::{CqrsFramework, EventStore as _};
use postgres_es::PostgresEventRepository;
use soonshop_domain::inventory::{Command, Stock};
use soonshop_domain::user::User;
use soonshop_domain::{Facts, ids};
use soonshop_event_log::Checkpoint;
use soonshop_event_store::ExecuteError;
use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{
    EMAIL, Fixture, NAME, Tip, at, change, context, on_hand, receive, register, request, submit, words,
};

type Theirs = PersistedEventStore<PostgresEventRepository, Stock>;

async fn repository(shop: &Fixture) -> PostgresEventRepository {
    let pool = PgPoolOptions::new().max_connections(4).connect(&shop.url()).await.unwrap();
    PostgresEventRepository::new(pool).with_tables("log.events", "log.snapshots")
}

async fn theirs(shop: &Fixture) -> Theirs {
    PersistedEventStore::new_event_store(repository(shop).await)
}

fn framework(store: Theirs) -> CqrsFramework<Stock, Theirs> {
    CqrsFramework::new(store, vec![], Facts { now: soonshop_domain::clock::now() })
}

fn row(stream: &str, sequence: usize) -> SerializedEvent {
    let payload = serde_json::json!({"StockReceived": {"sku": "MUG", "location": "main", "quantity": 1}});
    let (kind, name) = ("stock".to_owned(), "StockReceived".to_owned());
    SerializedEvent::new(stream.to_owned(), sequence, kind, name, "1".into(), payload, serde_json::json!({}))
}

#[tokio::test]
async fn the_crate_loads_and_replays_our_events() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (stream, ada) = (ids::new(), ids::new());
    for _ in 0..5 {
        store.execute::<Stock>(stream, receive(2), context()).await.unwrap();
    }
    let loaded = theirs(&shop).await.load_aggregate(&stream.to_string()).await.unwrap();
    assert_eq!(loaded.aggregate, store.load::<Stock>(stream).await.unwrap().0);
    let events = theirs(&shop).await.load_events(&stream.to_string()).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let stored: HashMap<String, String> = serde_json::from_str(&shop.events().await[0].metadata).unwrap();
    assert_eq!(events[0].metadata, stored, "metadata is a flat map of strings");
    // A stream that was never written.
    let nothing = theirs(&shop).await.load_aggregate(&ids::new().to_string()).await.unwrap();
    assert_eq!(nothing.aggregate, Stock::default());

    // It reads personal values encrypted, and writes them back unchanged.
    store.execute::<User>(ada, register(ada, EMAIL), context()).await.unwrap();
    let users: PersistedEventStore<_, User> = PersistedEventStore::new_event_store(repository(&shop).await);
    let loaded = users.load_aggregate(&ada.to_string()).await.unwrap();
    assert_eq!(loaded.aggregate, store.load::<User>(ada).await.unwrap().0);
    assert!(!serde_json::to_string(&loaded.aggregate).unwrap().contains(NAME));
    let mut replayed = 0;
    let mut stream = repository(&shop).await.stream_all_events::<Stock>().await.unwrap();
    while let Some(event) = stream.next::<Stock>(&[]).await {
        event.unwrap();
        replayed += 1;
    }
    assert_eq!(replayed, 5);
}

#[tokio::test]
async fn we_load_and_continue_the_streams_of_the_crate() {
    let shop = Fixture::postgres().await;
    let stream = ids::new();
    let framework = framework(theirs(&shop).await);
    let before = soonshop_domain::clock::now();
    let metadata =
        HashMap::from([("channel".to_owned(), "cli".to_owned()), ("theirs".to_owned(), "yes".to_owned())]);
    for _ in 0..3 {
        framework.execute_with_metadata(&stream.to_string(), receive(2), metadata.clone()).await.unwrap();
    }
    let events = shop.events().await;
    let after = soonshop_domain::clock::now();
    assert_eq!(events.len(), 3);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), 3);
    for event in &events {
        assert_eq!(event.event_id.get_version_num(), 4, "random");
        assert!(before <= event.recorded_at && event.recorded_at <= after);
        assert_eq!(event.occurred_at, event.recorded_at);
    }
    let store = shop.store();
    assert_eq!(on_hand(&store, stream).await, (6, 3));
    let done = store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    assert_eq!((done.answer.version, done.answer.first_position), (Some(4), Some(4)));
    framework.execute(&stream.to_string(), receive(1)).await.unwrap();
    assert_eq!(on_hand(&store, stream).await, (8, 5));
    let read = shop.log().read_after("a reader", &Checkpoint::start(), 10).await.unwrap();
    let soonshop_event_log::Content::Event(event) = &read[0].content else { panic!("{:?}", read[0]) };
    assert_eq!(event.metadata().unwrap().channel, Some(soonshop_domain::Channel::Cli));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_writers_of_the_crate_and_four_of_this_store_lose_nothing_and_leave_no_gap() {
    const EACH: i64 = 25;
    let shop = Arc::new(Fixture::postgres().await);
    let shared = ids::new();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (writing, own) = (Arc::clone(&shop), ids::new());
        writers.spawn(async move {
            let framework = framework(theirs(&writing).await);
            let mut written = 0;
            while written < EACH {
                let stream = if written % 5 == number { shared } else { own };
                // It gives up on a conflict; then the command is sent again.
                if framework.execute(&stream.to_string(), receive(1)).await.is_ok() {
                    written += 1;
                }
            }
        });
        let (store, own) = (shop.store(), ids::new());
        writers.spawn(async move {
            for written in 0..EACH {
                let stream = if written % 5 == number { shared } else { own };
                store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
            }
        });
    }
    let follow = async |page: i64| {
        let (log, mut checkpoint, mut seen) = (shop.log(), Checkpoint::start(), Vec::new());
        let deadline = Instant::now() + Duration::from_mins(1);
        while i64::try_from(seen.len()).unwrap() < 8 * EACH {
            assert!(Instant::now() < deadline, "{} events were read, and no more came", seen.len());
            let entries = log.read_after("a follower", &checkpoint, page).await.unwrap();
            checkpoint = entries.last().map_or(checkpoint, soonshop_event_log::Entry::checkpoint);
            seen.extend(entries.into_iter().map(|entry| (entry.position, entry.event_id)));
            tokio::task::yield_now().await;
        }
        seen
    };
    let (one, other, _) = tokio::join!(follow(7), follow(1_000), writers.join_all());
    let events = shop.events().await;
    let stored: Vec<_> = events.iter().map(|event| (event.position, event.event_id)).collect();
    assert_eq!(stored.len(), 200);
    assert_eq!((one, other), (stored.clone(), stored));
    assert_eq!(on_hand(&shop.store(), shared).await, (40, 40));
}

/// The crate writes one row per event, and each may conflict.
#[tokio::test]
async fn a_conflict_in_the_middle_of_several_events_leaves_nothing_of_them() {
    let shop = Fixture::postgres().await;
    let (repository, store) = (repository(&shop).await, shop.store());
    let mut tip = Tip::new();
    let stream = tip.stream.clone();
    let first = request(&mut tip);
    assert_eq!(words(&submit(&store, vec![first]).await), ["done"]);
    let clash = [row("another", 1), row("another", 2), row(&stream, 1), row("another", 3)];
    assert!(repository.persist::<Stock>(&clash, None).await.is_err());
    assert_eq!(shop.events().await.len(), 1);
    // In this store the last of three events conflicts with an existing one; other requests of the batch are not
    // affected.
    let mut unseen = Tip { sequence: 0, event_id: None, ..tip.clone() };
    let mut three = request(&mut Tip::new());
    let clash = request(&mut unseen);
    three.events.push(three.events[0].clone());
    three.events[1].sequence = 2;
    three.events.extend(clash.events);
    three.streams.extend(clash.streams);
    let outcomes = submit(&store, vec![request(&mut Tip::new()), three, request(&mut Tip::new())]).await;
    assert_eq!(words(&outcomes), ["done", "version", "done"]);
    let positions: Vec<_> = shop.events().await.iter().map(|event| event.position).collect();
    assert_eq!(positions, [1, 2, 3], "a refused append leaves no gap");
}

/// `stream_all_events` sorts by the sequence within each aggregate.
#[tokio::test]
async fn the_log_is_read_in_the_order_of_commits_and_not_by_sequence() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (one, other) = (ids::new(), ids::new());
    for stream in [one, one, one, other, one, other] {
        store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    }
    let sequences: Vec<_> = shop.events().await.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 1, 4, 2]);
    let mut theirs = Vec::new();
    let mut stream = repository(&shop).await.stream_all_events::<Stock>().await.unwrap();
    while let Some(event) = stream.next::<Stock>(&[]).await {
        theirs.push(event.unwrap().sequence);
    }
    assert_ne!(theirs, [1, 2, 3, 1, 4, 2], "if this fails, the crate has got better");
}

/// It writes `sequence as i32`.
#[tokio::test]
async fn a_sequence_beyond_32_bits_is_a_sequence() {
    let shop = Fixture::postgres().await;
    let stream = ids::new();
    let last = i64::from(i32::MAX);
    shop.run(
        "log",
        &format!(
            "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
             VALUES ('stock', '{stream}', {last}, 'StockReceived', '1', \
             '{{\"StockReceived\":{{\"sku\":\"MUG\",\"location\":\"main\",\"quantity\":1}}}}', '{{}}')"
        ),
    )
    .await;
    let store = shop.store();
    let done = store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    assert_eq!(done.answer.version, Some(last + 1));
    assert_eq!(on_hand(&shop.store(), stream).await, (2, last + 1));
    // The table refuses the number that the crate makes of it: nothing is written with a wrong number.
    let wrapped = row(&stream.to_string(), usize::try_from(last + 2).unwrap());
    assert!(repository(&shop).await.persist::<Stock>(&[wrapped], None).await.is_err());
    assert_eq!(shop.number("log", "SELECT count(*) FROM log.events").await, 2);
}

/// It commits events and snapshot, and reports a conflict afterwards.
#[tokio::test]
async fn a_command_that_is_refused_where_a_snapshot_is_due_leaves_neither_events_nor_snapshot() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    store.execute::<User>(bob, register(bob, "bob@example.org"), context()).await.unwrap();
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let changes =
        (1..199).map(|n| store.execute::<User>(ada, change(ada, &format!("a{n}@example.org")), context()));
    for done in futures::future::join_all(changes).await {
        done.unwrap();
    }
    let taken = store.execute::<User>(ada, change(ada, "bob@example.org"), context()).await;
    assert!(matches!(taken, Err(ExecuteError::Taken { .. })), "{taken:?}");
    assert_eq!(shop.events().await.len(), 200);
    let done = store.execute::<User>(ada, change(ada, "ada@example.org"), context()).await.unwrap();
    assert_eq!(done.answer.version, Some(200));
    crate::fixture::until("a snapshot", async || {
        shop.number("log", "SELECT count(*) FROM log.states").await == 1
    })
    .await;
    let event = shop.text("log", "SELECT event_id::text FROM log.states WHERE sequence = 200").await;
    assert_eq!(event, shop.events().await[200].event_id.to_string());
}

/// Of several rows in one statement, each gets the next position.
#[tokio::test]
async fn a_statement_with_many_rows_is_numbered_row_by_row() {
    let shop = Fixture::postgres().await;
    let rows = "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
                SELECT 'stock', 'many', n, 'StockReceived', '1', '{}', '{}' FROM generate_series(1, 50) n";
    assert_eq!(shop.run("log", rows).await, 50);
    assert_eq!(shop.events().await.len(), 50);
}

/// This store names a SKU's stream by a UUID; the crate takes any text. Our readers accept it.
#[tokio::test]
async fn an_adopted_stream_without_a_uuid_is_skipped_as_unknown() {
    let shop = Fixture::postgres().await;
    repository(&shop).await.persist::<Stock>(&[row("mug-42", 1)], None).await.unwrap();
    let read = shop.log().read_after("a reader", &Checkpoint::start(), 10).await.unwrap();
    assert!(matches!(read[0].content, soonshop_event_log::Content::Unknown(_)), "{:?}", read[0]);
}

/// `sqlite-es` can read our table. It cannot write beside this store: a SQLite log has one owner, and its INSERT,
/// which gives no event id, is refused by the table.
#[tokio::test]
async fn sqlite_es_reads_our_log_and_is_refused_when_it_writes() {
    let shop = Fixture::sqlite().await;
    let store = shop.store();
    let stream: Uuid = ids::new();
    store.execute::<Stock>(stream, receive(2), context()).await.unwrap();
    let reserve = at(Command::Reserve { order_id: ids::OrderId(Uuid::nil()), line: 1, quantity: 1 });
    store.execute::<Stock>(stream, reserve, context()).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", shop.folder().join("log.sqlite").display()))
        .await
        .unwrap();
    let repository = sqlite_es::SqliteEventRepository::new(pool.clone());
    let theirs: PersistedEventStore<_, Stock> = PersistedEventStore::new_event_store(repository);
    let loaded = theirs.load_aggregate(&stream.to_string()).await.unwrap();
    assert_eq!(loaded.aggregate, store.load::<Stock>(stream).await.unwrap().0);
    let repository = sqlite_es::SqliteEventRepository::new(pool);
    assert!(repository.persist::<Stock>(&[row(&stream.to_string(), 3)], None).await.is_err());
    assert_eq!(shop.events().await.len(), 2);
}
