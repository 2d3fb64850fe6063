//! Snapshots: used if they help, and never trusted over the log.

use soonshop_domain::inventory::{Command, Stock};
use soonshop_domain::user::User;
use soonshop_domain::{Decider, ids};
use soonshop_event_store::EventStore;
use uuid::Uuid;

use crate::fixture::{Fixture, NAME, at, change, context, on_both, on_hand, receive, register, until};

on_both! {
    a_long_stream_is_loaded_from_a_snapshot_and_as_if_there_were_none,
    a_snapshot_of_another_event_is_ignored,
    a_snapshot_of_another_version_of_the_code_is_ignored,
    a_snapshot_ahead_of_the_log_is_ignored,
    a_snapshot_that_cannot_be_read_is_ignored,
    three_increments_never_count_as_four,
    personal_values_in_a_snapshot_are_encrypted,
}

const STATES: &str = "SELECT count(*) FROM @states";

/// A stream of 205 events, and its snapshot at 200.
async fn long(shop: &Fixture, store: &EventStore) -> Uuid {
    let stream = ids::new();
    futures::future::join_all((0..205).map(|_| store.execute::<Stock>(stream, receive(1), context()))).await;
    until("a snapshot", async || shop.number("log", STATES).await == 1).await;
    stream
}

/// The state in a process that has not seen the stream.
async fn fresh(shop: &Fixture, stream: Uuid) -> (i64, i64) {
    on_hand(&shop.store(), stream).await
}

async fn a_long_stream_is_loaded_from_a_snapshot_and_as_if_there_were_none(shop: Fixture) {
    let store = shop.store();
    let stream = long(&shop, &store).await;
    assert_eq!(shop.number("log", "SELECT sequence FROM @states").await, 200);
    let full: Stock = {
        let rows = shop.log().stream("stock", &stream.to_string(), 0, 1_000).await.unwrap();
        let entries = shop.log().decode(rows).await.unwrap();
        let mut stock = Stock::default();
        for entry in entries {
            let soonshop_event_log::Content::Event(event) = entry.content else { panic!("{entry:?}") };
            cqrs_es::Aggregate::apply(&mut stock, event.event.clone().downcast().unwrap());
        }
        stock
    };
    assert_eq!(shop.store().load::<Stock>(stream).await.unwrap(), (full, 205));
    // The snapshot is used: a change that only the snapshot has is visible.
    let changed = if shop.is_sqlite() {
        "UPDATE @states SET state = replace(state, '\"on_hand\":200', '\"on_hand\":1200')"
    } else {
        "UPDATE @states SET state = replace(state::text, '\"on_hand\":200', '\"on_hand\":1200')::json"
    };
    assert_eq!(shop.run("log", changed).await, 1);
    assert_eq!(fresh(&shop, stream).await, (1205, 205));
}

async fn a_snapshot_of_another_event_is_ignored(shop: Fixture) {
    let stream = long(&shop, &shop.store()).await;
    let other = ids::new();
    let state = "{\"sku\":null,\"location\":null,\"on_hand\":9999,\"reserved\":0,\"lines\":{}}";
    shop.run("log", &format!("UPDATE @states SET event_id = '{other}', state = '{state}'")).await;
    assert_eq!(fresh(&shop, stream).await, (205, 205));
}

async fn a_snapshot_of_another_version_of_the_code_is_ignored(shop: Fixture) {
    let stream = long(&shop, &shop.store()).await;
    let state = "{\"sku\":null,\"location\":null,\"on_hand\":9999,\"reserved\":0,\"lines\":{}}";
    shop.run("log", &format!("UPDATE @states SET state = '{state}'")).await;
    assert_eq!(fresh(&shop, stream).await, (10_004, 205), "of this version it counts");
    shop.run("log", &format!("UPDATE @states SET state_version = {}", Stock::STATE_VERSION + 1)).await;
    assert_eq!(fresh(&shop, stream).await, (205, 205));
}

/// The snapshot of a log that was restored to an older state.
async fn a_snapshot_ahead_of_the_log_is_ignored(shop: Fixture) {
    let stream = long(&shop, &shop.store()).await;
    shop.run("log", "DELETE FROM @events WHERE sequence > 150").await;
    let store = if shop.is_sqlite() { restarted(&shop).await } else { shop.store() };
    assert_eq!(on_hand(&store, stream).await, (150, 150));
    store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    assert_eq!(fresh(&shop, stream).await, (151, 151));
}

async fn restarted(shop: &Fixture) -> EventStore {
    until("the end of the appender", async || EventStore::check_owner(&shop.database).is_ok()).await;
    shop.store()
}

async fn a_snapshot_that_cannot_be_read_is_ignored(shop: Fixture) {
    let stream = long(&shop, &shop.store()).await;
    shop.run("log", "UPDATE @states SET state = '{\"on_hand\":\"many\"}'").await;
    assert_eq!(fresh(&shop, stream).await, (205, 205));
}

/// The snapshot modes of `cqrs-es` 0.5 apply the events after a snapshot twice.
async fn three_increments_never_count_as_four(shop: Fixture) {
    let store = shop.store();
    let stream = ids::new();
    for expected in 1..=3 {
        store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
        assert_eq!(on_hand(&store, stream).await, (expected, expected));
    }
    let long = long(&shop, &store).await;
    for expected in 206..=412 {
        store.execute::<Stock>(long, receive(1), context()).await.unwrap();
        if expected % 50 == 0 || expected > 398 {
            assert_eq!(on_hand(&store, long).await, (expected, expected));
            assert_eq!(fresh(&shop, long).await, (expected, expected));
        }
    }
    let adjust = at(Command::Adjust { quantity: -412, reason: "count".into() });
    store.execute::<Stock>(long, adjust, context()).await.unwrap();
    assert_eq!(fresh(&shop, long).await, (0, 413));
}

async fn personal_values_in_a_snapshot_are_encrypted(shop: Fixture) {
    let store = shop.store();
    let ada = ids::new();
    store.execute::<User>(ada, register(ada, "ada0@example.org"), context()).await.unwrap();
    let changes =
        (1..201).map(|n| store.execute::<User>(ada, change(ada, &format!("ada{n}@example.org")), context()));
    futures::future::join_all(changes).await;
    until("a snapshot", async || shop.number("log", STATES).await == 1).await;
    let state = shop.text("log", "SELECT CAST(state AS TEXT) FROM @states").await;
    assert!(state.contains("eyJhbGciOiJkaXIi"), "{state}");
    for value in [NAME, "example.org", "7946"] {
        assert!(!state.contains(value), "{state}");
    }
    let (loaded, version) = shop.store().load::<User>(ada).await.unwrap();
    assert_eq!(version, 201);
    assert_eq!(loaded, store.load::<User>(ada).await.unwrap().0);
}
