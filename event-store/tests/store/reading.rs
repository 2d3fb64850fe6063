//! Reading the log in order, ahead of the reader; and the handling of errors.

use std::time::Duration;

use soonshop_domain::ids;
use soonshop_domain::inventory::Stock;
use soonshop_event_log::{Checkpoint, Content, Error};
use soonshop_event_store::ExecuteError;
use sqlx::Executor as _;

use crate::fixture::{Fixture, Tip, context, on_both, receive, request, submit};

on_both! {
    all_pages_together_are_the_whole_log,
    one_big_page_equals_many_small_ones,
    a_dropped_big_page_leaves_nothing_for_the_next_reader,
    a_page_begins_after_the_checkpoint_and_respects_its_limit,
    a_checkpoint_of_another_history_is_ahead_of_the_log,
    a_moment_is_the_last_position_that_was_recorded_by_then,
    an_error_between_two_pages_is_an_error_and_no_end,
    a_state_is_loaded_as_it_was_at_a_version,
}

/// Appends this many events in three streams.
async fn fill(shop: &Fixture, count: usize) {
    let store = shop.store();
    let mut tips = [Tip::new(), Tip::new(), Tip::new()];
    submit(&store, (0..count).map(|number| request(&mut tips[number % 3])).collect()).await;
    assert_eq!(shop.events().await.len(), count);
}

async fn all_pages_together_are_the_whole_log(shop: Fixture) {
    fill(&shop, 1_000).await;
    for (after, page) in [(0, 100), (0, 1_000), (0, 999), (0, 7_000), (500, 33), (999, 10), (1_000, 10)] {
        let (mut reader, mut positions) = (shop.log().read_all(after, page), Vec::new());
        loop {
            let entries = reader.next().await.unwrap();
            if entries.is_empty() {
                break;
            }
            assert!(i64::try_from(entries.len()).unwrap() <= page);
            assert!(entries.iter().all(|entry| matches!(entry.content, Content::Event(_))));
            positions.extend(entries.iter().map(|entry| entry.position));
        }
        assert_eq!(positions, (after + 1..=1_000).collect::<Vec<_>>());
        assert!(reader.next().await.unwrap().is_empty(), "the end stays the end");
    }
}

async fn one_big_page_equals_many_small_ones(shop: Fixture) {
    fill(&shop, 1_000).await;
    let log = shop.log();
    let mut small = Vec::new();
    for position in (1..=1_000).step_by(100) {
        small.extend(log.read(position, 100).await.unwrap());
    }
    assert_eq!(log.read_many(1, 1_000).await.unwrap(), small);
    assert_eq!(log.read(1, 1_000).await.unwrap(), small);
    assert_eq!(log.read_many(301, 5_000).await.unwrap(), small[300..]);
    assert_eq!(log.read_many(1_001, 5_000).await.unwrap(), []);
}

async fn a_dropped_big_page_leaves_nothing_for_the_next_reader(shop: Fixture) {
    fill(&shop, 1_000).await;
    let log = shop.log();
    let whole = log.read_many(1, 1_000).await.unwrap();
    let mut let_go = 0;
    for number in 0..200 {
        let soon = Duration::from_micros(number * 50);
        let_go += usize::from(tokio::time::timeout(soon, log.read_many(1, 1_000)).await.is_err());
        assert_eq!(log.head().await.unwrap().position, 1_000);
        assert_eq!(log.read(991, 10).await.unwrap(), whole[990..]);
    }
    assert!(let_go > 0);
    assert_eq!(log.read_many(1, 1_000).await.unwrap(), whole);
}

async fn a_page_begins_after_the_checkpoint_and_respects_its_limit(shop: Fixture) {
    fill(&shop, 10).await;
    let log = shop.log();
    let (mut checkpoint, mut seen) = (Checkpoint::start(), Vec::new());
    loop {
        let page = log.read_after("a follower", &checkpoint, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        checkpoint = last.checkpoint();
        seen.extend(page.iter().map(|entry| entry.position));
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    assert_eq!(log.head().await.unwrap(), checkpoint);
}

async fn a_checkpoint_of_another_history_is_ahead_of_the_log(shop: Fixture) {
    fill(&shop, 10).await;
    let log = shop.log();
    let head = log.head().await.unwrap();
    for checkpoint in [Checkpoint::at(5, ids::new()), Checkpoint::at(11, ids::new())] {
        let error = log.read_after("rm_orders_1", &checkpoint, 10).await.unwrap_err();
        assert!(matches!(&error, Error::AheadOfLog { .. }), "{error}");
        assert!(error.to_string().contains("rebuild rm_orders_1"), "{error}");
    }
    // Restored to an older state, and written on.
    shop.run("log", "DELETE FROM @events WHERE position > 8").await;
    assert!(matches!(log.read_after("orders", &head, 10).await, Err(Error::AheadOfLog { .. })));
    crate::fixture::until("the end of the appender", async || {
        soonshop_event_store::EventStore::check_owner(&shop.database).is_ok()
    })
    .await;
    let store = shop.store();
    for _ in 0..3 {
        store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    }
    assert!(matches!(log.read_after("orders", &head, 10).await, Err(Error::AheadOfLog { .. })));
}

async fn a_moment_is_the_last_position_that_was_recorded_by_then(shop: Fixture) {
    let store = shop.store();
    let log = shop.log();
    assert_eq!(log.position_at(soonshop_domain::clock::now()).await.unwrap(), 0);
    let mut tip = Tip::new();
    for _ in 0..7 {
        let requests = vec![request(&mut tip), request(&mut tip)];
        submit(&store, requests).await;
    }
    let events = shop.events().await;
    let tick = chrono::Duration::microseconds(1);
    assert_eq!(log.position_at(events[0].recorded_at - tick).await.unwrap(), 0);
    for event in &events {
        let same = events.iter().filter(|other| other.recorded_at <= event.recorded_at).count();
        let position = i64::try_from(same).unwrap();
        assert_eq!(log.position_at(event.recorded_at).await.unwrap(), position);
        assert!(log.position_at(event.recorded_at - tick).await.unwrap() < event.position);
    }
    assert_eq!(log.position_at(events[13].recorded_at + tick).await.unwrap(), 14);
}

async fn an_error_between_two_pages_is_an_error_and_no_end(shop: Fixture) {
    fill(&shop, 500).await;
    let log = shop.log();
    let mut reader = log.read_all(0, 10);
    assert_eq!(reader.next().await.unwrap().len(), 10);
    // Its pool is closed, as when a process stops: unread rows are lost.
    log.db().connection.clone().close().await.unwrap();
    let mut read = 10;
    let error = loop {
        match reader.next().await {
            Ok(page) => {
                assert!(!page.is_empty(), "an error was taken for the end after {read} of 500");
                read += page.len();
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    let again = reader.next().await;
    assert!(again.is_err(), "and it does not become an end when asked again: {again:?}");
}

#[tokio::test]
async fn a_connection_that_is_cut_between_two_pages_is_an_error_and_no_end() {
    let shop = Fixture::postgres().await;
    fill(&shop, 500).await;
    let log = shop.log();
    let mut reader = log.read_all(0, 10);
    assert_eq!(reader.next().await.unwrap().len(), 10);
    shop.raw().await.execute("ALTER TABLE log.events RENAME TO elsewhere").await.unwrap();
    let mut read = 10;
    let error = loop {
        match reader.next().await {
            Ok(page) => {
                assert!(!page.is_empty(), "an error was taken for the end after {read} of 500");
                read += page.len();
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Database(_)), "{error}");
}

async fn a_state_is_loaded_as_it_was_at_a_version(shop: Fixture) {
    let (store, stream) = (shop.store(), ids::new());
    for quantity in [5, 7, 11] {
        store.execute::<Stock>(stream, receive(quantity), context()).await.unwrap();
    }
    // A store with the state in memory, and one of another process without it.
    for store in [store, shop.store()] {
        for (version, on_hand) in [(0, 0), (1, 5), (2, 12), (3, 23)] {
            assert_eq!(store.load_at::<Stock>(stream, version).await.unwrap().on_hand, on_hand, "{version}");
        }
        let beyond = store.load_at::<Stock>(stream, 4).await;
        assert!(matches!(beyond, Err(ExecuteError::Fault(_))), "there is no such version");
    }
}
