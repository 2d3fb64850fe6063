//! The bus is for speed; the log is the truth.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use soonshop_event_log::{Checkpoint, StoredEvent};
use soonshop_projections::analytics::Sales;
use soonshop_projections::inventory::Stock;
use soonshop_projections::runner::Readers;
use soonshop_projections::user::Users;
use soonshop_projections::{Feed, Generation, Projector};
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Lateness, Raw, Running, Shop, Writer, on_both, raw, until};
use crate::history::{received, registered, stock, uuid};

on_both!(
    messages_that_are_lost_doubled_and_reordered_change_nothing,
    a_message_with_a_forged_predecessor_is_only_a_wake_up,
    a_message_of_another_history_is_only_a_wake_up,
    announcing_a_missing_position_costs_almost_no_processor_time,
    a_last_message_that_was_lost_is_noticed_within_a_quarter_of_a_second,
    without_a_bus_the_log_is_polled,
    rows_that_are_read_later_are_those_of_a_live_follower_and_have_their_indexes_in_the_end,
    a_page_is_never_taken_from_another_history,
    clear_values_are_kept_for_a_few_seconds_only,
    an_event_type_that_is_not_known_makes_the_follower_let_go_before_it,
    events_of_types_without_followers_are_skipped_by_name,
);

fn receipts(count: usize) -> Vec<Raw> {
    let skus = ["MUG", "CUP", "TEAPOT"];
    (0..count).map(|n| raw(stock(skus[n % 3]), received(skus[n % 3], 1))).collect()
}

async fn replayed(shop: &Shop, projector: Arc<dyn Projector>) -> Value {
    let generation = shop.generation(&*projector).await;
    shop.project(projector, &generation).await;
    shop.rows(&generation).await
}

/// A follower of sales whose rows nobody reads before it has ended.
fn read_later(shop: &Shop, generation: &Generation) -> Running {
    let mut running = Running::new(Feed::new(shop.log()));
    running.keep_rows_for(Readers::Later, shop, Arc::new(Sales), generation);
    running
}

async fn is_indexed(shop: &Shop, generation: &Generation) -> bool {
    let name = generation.namespace();
    let sql = if shop.is_sqlite() {
        "SELECT count(*) FROM sqlite_master WHERE name = 'facts_by_time'".to_owned()
    } else {
        format!("SELECT count(*) FROM pg_indexes WHERE schemaname = '{name}' AND indexname = 'facts_by_time'")
    };
    shop.number(&name, &sql).await == 1
}

async fn rows_that_are_read_later_are_those_of_a_live_follower_and_have_their_indexes_in_the_end(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let killed = read_later(&shop, &generation);
    for _ in 0..5 {
        writer.all(receipts(500)).await;
    }
    shop.reach(&generation, 1_000).await;
    killed.kill().await;
    assert!(!is_indexed(&shop, &generation).await, "indexes come last");
    let stopped = read_later(&shop, &generation);
    let last = writer.all(receipts(700)).await;
    shop.reach(&generation, last).await;
    stopped.stop().await;
    assert!(is_indexed(&shop, &generation).await);
    assert_eq!(shop.rows(&generation).await, replayed(&shop, Arc::new(Sales)).await);
}

/// A follower whose feed gets events from the bus only: the head is not read.
fn hearing(shop: &Shop, generation: &Generation) -> Running {
    let mut running = Running::new(Feed::new(shop.log()));
    running.tasks.abort_all();
    running.feed.set_bus(true);
    running.keep_rows(shop, Arc::new(Sales), generation);
    running
}

async fn messages_that_are_lost_doubled_and_reordered_change_nothing(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let running = hearing(&shop, &generation);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut roll = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut sent: Vec<(StoredEvent, Option<Uuid>)> = Vec::new();
    for _ in 0..40 {
        let last = writer.all(receipts(9)).await;
        let rows = shop.log().read((last - 9).max(1), 10).await.unwrap();
        let mut messages: Vec<_> =
            rows.windows(2).map(|pair| (pair[1].clone(), Some(pair[0].event_id))).collect();
        messages.retain(|_| roll(5) > 0);
        if let (Some(old), 0) = (sent.last(), roll(2)) {
            messages.push(old.clone());
        }
        for at in (1..messages.len()).rev() {
            if roll(3) == 0 {
                messages.swap(at, usize::try_from(roll(u64::try_from(at).unwrap())).unwrap());
            }
        }
        for (event, previous) in &messages {
            running.feed.offer(event.clone(), *previous).await.unwrap();
        }
        sent.extend(messages);
    }
    running.feed.wake(360);
    shop.reach(&generation, 360).await;
    running.stop().await;
    assert_eq!(shop.rows(&generation).await, replayed(&shop, Arc::new(Sales)).await);
}

async fn a_message_with_a_forged_predecessor_is_only_a_wake_up(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let running = hearing(&shop, &generation);
    writer.all(receipts(6)).await;
    let rows = shop.log().read(1, 10).await.unwrap();
    // It is none of the events at 2, 3 or 4, but claims to follow the last applied one.
    let forged = |position: i64, previous: usize| {
        let event = StoredEvent { position, event_id: Uuid::from_u128(7), ..rows[5].clone() };
        (event, Some(rows[previous].event_id))
    };
    running.feed.offer(rows[0].clone(), None).await.unwrap();
    shop.reach(&generation, 1).await;
    for (position, previous) in [(3, 0), (4, 0), (6, 0)] {
        let (event, previous) = forged(position, previous);
        running.feed.offer(event, previous).await.unwrap();
    }
    shop.reach(&generation, 6).await;
    let checkpoint = shop.checkpoint(&generation).await;
    assert_eq!(checkpoint, Checkpoint::at(6, rows[5].event_id));
    running.stop().await;
    assert_eq!(shop.rows(&generation).await, replayed(&shop, Arc::new(Sales)).await);
}

async fn a_message_of_another_history_is_only_a_wake_up(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let running = hearing(&shop, &generation);
    writer.all(receipts(6)).await;
    let rows = shop.log().read(1, 10).await.unwrap();
    running.feed.offer(rows[0].clone(), None).await.unwrap();
    shop.reach(&generation, 1).await;
    // It has the next position, and follows an event that is not the last applied one.
    let other = StoredEvent { position: 2, event_id: Uuid::from_u128(7), ..rows[5].clone() };
    running.feed.offer(other, Some(Uuid::from_u128(8))).await.unwrap();
    shop.reach(&generation, 6).await;
    assert_eq!(shop.checkpoint(&generation).await, Checkpoint::at(6, rows[5].event_id));
    running.stop().await;
    assert_eq!(shop.rows(&generation).await, replayed(&shop, Arc::new(Sales)).await);
}

async fn announcing_a_missing_position_costs_almost_no_processor_time(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let running = hearing(&shop, &generation);
    writer.all(receipts(3)).await;
    running.feed.wake(i64::MAX);
    shop.reach(&generation, 3).await;
    let before = processor_time();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = processor_time().saturating_sub(before);
    // A loop without a pause would take most of a second. (Other tests run in this process as well.)
    assert!(!lonely() || spent < Duration::from_millis(500), "{spent:?}");
    let last = writer.all(receipts(3)).await;
    shop.reach(&generation, last).await;
    running.stop().await;
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Whether this process runs a single test.
fn lonely() -> bool {
    std::env::args().any(|argument| argument == "--exact" || argument == "--test-threads=1")
}

async fn a_last_message_that_was_lost_is_noticed_within_a_quarter_of_a_second(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let mut running = Running::new(Feed::new(shop.log()));
    running.feed.set_bus(true);
    running.keep_rows(&shop, Arc::new(Sales), &generation);
    let first = writer.all(receipts(1)).await;
    shop.reach(&generation, first).await;
    let mut worst = Duration::ZERO;
    let lateness = Lateness::watched();
    for _ in 0..5 {
        let last = writer.all(receipts(1)).await;
        let began = Instant::now();
        shop.reach(&generation, last).await;
        worst = worst.max(began.elapsed());
    }
    // A quarter of a second, the time of writing and asking, and some fifty steps that each wait for a turn.
    let late = lateness.worst();
    assert!(worst < Duration::from_millis(600) + 50 * late, "{worst:?} on a machine that is {late:?} late");
    running.stop().await;
}

async fn without_a_bus_the_log_is_polled(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Sales).await;
    let running = shop.start(Arc::new(Sales), &generation);
    for _ in 0..5 {
        let last = writer.all(receipts(30)).await;
        shop.reach(&generation, last).await;
    }
    running.stop().await;
    assert_eq!(shop.rows(&generation).await, replayed(&shop, Arc::new(Sales)).await);
}

async fn a_page_is_never_taken_from_another_history(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.all(receipts(1_500)).await;
    writer.store.close().await;
    let feed = Feed::new(shop.log());
    feed.wake(1_500);
    // The page is read, and kept.
    let old = feed.after("x", &Checkpoint::start(), 1_000).await.unwrap();
    assert_eq!(old.len(), 1_000);
    shop.run("log", "DELETE FROM @events WHERE position > 500").await;
    let mut other = Writer::of_another_history(&shop);
    let skus = (0..1_000).map(|n| raw(uuid(n + 1_000), received("SPOON", 1)));
    other.all(skus.collect()).await;
    let new = shop.log().read(1, 2_000).await.unwrap();
    let at = |position: usize| Checkpoint::at(new[position - 1].position, new[position - 1].event_id);
    for position in [501, 600, 999] {
        let entries = feed.after("x", &at(position), 10).await.unwrap();
        assert_eq!(entries[0].event_id, new[position].event_id, "after {position}");
    }
    // A follower that has seen events that no longer exist gets an error.
    let lost = old[999].checkpoint();
    assert!(feed.after("x", &lost, 10).await.unwrap_err().to_string().contains("ahead-of-log"));
}

async fn clear_values_are_kept_for_a_few_seconds_only(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let mut running = Running::new(Feed::new(shop.log()));
    let generation = shop.generation(&Users).await;
    running.keep_rows(&shop, Arc::new(Users), &generation);
    writer.write(uuid(1), registered(uuid(1))).await;
    let stored = shop.log().read(1, 1).await.unwrap().remove(0);
    running.feed.offer(stored, None).await.unwrap();
    shop.reach(&generation, 1).await;
    let entry = running.feed.after("x", &Checkpoint::start(), 1).await.unwrap().remove(0);
    let soonshop_event_log::Content::Event(event) = entry.content else { panic!("an event") };
    let weak = Arc::downgrade(&event);
    drop(event);
    until("the entry is dropped, although no new one comes", async || weak.strong_count() == 0).await;
    running.stop().await;
}

fn unknown(event_type: &str, event_version: &str) -> Raw {
    Raw {
        aggregate_type: "stock",
        stream: stock("MUG").to_string(),
        event_type: event_type.to_owned(),
        event_version: event_version.to_owned(),
        payload: format!(r#"{{"{event_type}":{{"sku":"MUG","location":"main","quantity":1}}}}"#),
    }
}

async fn an_event_type_that_is_not_known_makes_the_follower_let_go_before_it(shop: Shop) {
    for (round, raw) in [unknown("StockReceived", "2"), unknown("StockCounted", "1")].into_iter().enumerate()
    {
        let mut writer = Writer::new(&shop);
        let base = shop.log().head().await.unwrap().position;
        if round == 0 {
            writer.all(receipts(5)).await;
        }
        let at = writer.raw(Raw { stream: uuid(900 + round as u128).to_string(), ..raw }).await;
        writer.write(uuid(1_000 + round as u128), received("CUP", 1)).await;
        writer.store.close().await;
        let (stocks, users) = (shop.generation(&Stock).await, shop.generation(&Users).await);
        let mut running = Running::new(Feed::new(shop.log()));
        running.keep_rows(&shop, Arc::new(Stock), &stocks);
        running.keep_rows(&shop, Arc::new(Users), &users);
        // A follower of other types has passed it.
        shop.reach(&users, at + 1).await;
        until("it says why it stands", async || shop.status(&stocks, "rows").await.0 == "stopped").await;
        let first = if round == 0 { at } else { 6 };
        assert_eq!(shop.rows_at(&stocks).await, first - 1, "from {base}");
        assert_eq!(shop.parked(&stocks).await, Vec::<i64>::new());
        let (_, reason) = shop.status(&stocks, "rows").await;
        assert!(
            reason.contains(&format!("position {first}")) && reason.contains("newer release"),
            "{reason}"
        );
        let held = format!(
            "SELECT count(*) FROM @leases WHERE expires_at > 0 AND name = '{}:rows'",
            stocks.namespace()
        );
        until("the lease is free", async || shop.number("operations", &held).await == 0).await;
        running.stop().await;
    }
}

async fn events_of_types_without_followers_are_skipped_by_name(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let foreign = |kind: &'static str, stream: &str| Raw {
        aggregate_type: kind,
        stream: stream.to_owned(),
        event_type: "Anything".to_owned(),
        event_version: "1.7-beta".to_owned(),
        payload: r#"{"nothing":["of","ours"]}"#.to_owned(),
    };
    writer.raw(foreign("invoice", "no uuid")).await;
    writer.raw(foreign("shop.basket", "17")).await;
    let last = writer.write(stock("MUG"), received("MUG", 1)).await;
    for projector in soonshop_projections::all() {
        let generation = shop.generation(&*projector).await;
        shop.project(projector, &generation).await;
        assert_eq!((shop.rows_at(&generation).await, shop.parked(&generation).await), (last, vec![]));
    }
}
