//! An event that cannot be projected is parked with later events for its rows, and the rest goes on.

use std::sync::Arc;

use serde_json::Value;
use soonshop_domain::product;
use soonshop_event_log::{Checkpoint, Stopped};
use soonshop_projections::inventory::Stock;
use soonshop_projections::product::Products;
use soonshop_projections::runner::{Poison, ROWS};
use soonshop_projections::user::Users;
use soonshop_projections::{Feed, Generation, Projector};

use crate::fixture::{Running, Shop, Writer, on_both, until};
use crate::history::{
    changed, described, erased, erasure_requested, product, received, registered, repriced, stock, uuid,
};
use crate::unreliable::UnreliableProjector;

on_both!(
    a_failing_event_is_parked_with_later_events_for_its_rows_and_the_rest_goes_on,
    parked_events_are_projected_in_order_once_the_cause_is_fixed,
    an_event_that_still_fails_keeps_later_events_parked,
    a_retry_projects_nothing_that_was_projected_before,
    rows_that_the_database_refuses_park_their_event_alone,
    a_missing_table_parks_no_event,
    a_value_that_cannot_be_opened_parks_its_event,
    a_lost_key_store_stops_the_reader_and_erases_no_person,
    a_lost_key_store_also_stops_followers_that_get_events_one_by_one,
    an_erasure_cleans_rows_that_are_parked,
    folding_ahead_gives_the_same_rows_as_one_by_one,
    a_batch_folded_ahead_is_fenced,
);

async fn on_hand(shop: &Shop, generation: &Generation, sku: &str) -> i64 {
    let sql = format!("SELECT coalesce(max(on_hand), -1) FROM @stock WHERE sku = '{sku}'");
    shop.number(&generation.namespace(), &sql).await
}

/// Mugs: 5, then 3 (where it fails), then 2; and one cup.
async fn mugs_and_a_cup(shop: &Shop) -> Writer {
    let mut writer = Writer::new(shop);
    for quantity in [5, 3, 2] {
        writer.write(stock("MUG"), received("MUG", quantity)).await;
    }
    writer.write(stock("CUP"), received("CUP", 1)).await;
    writer
}

async fn a_failing_event_is_parked_with_later_events_for_its_rows_and_the_rest_goes_on(shop: Shop) {
    let mut writer = mugs_and_a_cup(&shop).await;
    let unreliable = UnreliableProjector::new(Stock, [2]);
    let generation = shop.generation(&*unreliable).await;
    let running = shop.start(unreliable, &generation);
    shop.reach(&generation, 4).await;
    assert_eq!(shop.parked(&generation).await, [2, 3]);
    assert_eq!((on_hand(&shop, &generation, "MUG").await, on_hand(&shop, &generation, "CUP").await), (5, 1));
    // Also later events, and after a restart.
    running.stop().await;
    let running = shop.start(UnreliableProjector::new(Stock, []), &generation);
    writer.write(stock("MUG"), received("MUG", 1)).await;
    writer.write(stock("CUP"), received("CUP", 1)).await;
    shop.reach(&generation, 6).await;
    assert_eq!(shop.parked(&generation).await, [2, 3, 5]);
    assert_eq!((on_hand(&shop, &generation, "MUG").await, on_hand(&shop, &generation, "CUP").await), (5, 2));
    let sql = "SELECT rows || ' ' || cause FROM @parked WHERE position = 3";
    let parked = shop.text(&generation.namespace(), sql).await.unwrap();
    let name = format!("stock/{}", stock("MUG"));
    assert_eq!(parked, format!(r#"["{name}"] behind {name}"#));
    running.stop().await;
}

async fn parked_events_are_projected_in_order_once_the_cause_is_fixed(shop: Shop) {
    let mut writer = mugs_and_a_cup(&shop).await;
    let unreliable = UnreliableProjector::new(Stock, [2]);
    let generation = shop.generation(&*unreliable).await;
    let running = shop.start(unreliable.clone(), &generation);
    shop.reach(&generation, 4).await;
    unreliable.cure();
    shop.ask_to_retry(&generation).await;
    until("nothing is parked", async || shop.parked(&generation).await.is_empty()).await;
    writer.write(stock("MUG"), received("MUG", 7)).await;
    shop.reach(&generation, 5).await;
    running.stop().await;
    assert_eq!(on_hand(&shop, &generation, "MUG").await, 17);
    let replayed = shop.generation(&Stock).await;
    shop.project(Arc::new(Stock), &replayed).await;
    assert_eq!(shop.rows(&generation).await, shop.rows(&replayed).await);
}

async fn an_event_that_still_fails_keeps_later_events_parked(shop: Shop) {
    mugs_and_a_cup(&shop).await.write(stock("CUP"), received("CUP", 1)).await;
    let unreliable = UnreliableProjector::new(Stock, [2, 4]);
    let generation = shop.generation(&*unreliable).await;
    let running = shop.start(unreliable.clone(), &generation);
    shop.reach(&generation, 5).await;
    assert_eq!(shop.parked(&generation).await, [2, 3, 4, 5]);
    unreliable.fails.lock().unwrap().remove(&4);
    shop.ask_to_retry(&generation).await;
    until("the cups are there", async || shop.parked(&generation).await == [2, 3]).await;
    assert_eq!((on_hand(&shop, &generation, "MUG").await, on_hand(&shop, &generation, "CUP").await), (5, 2));
    let attempts = "SELECT attempts FROM @parked WHERE position = 2";
    assert_eq!(shop.number(&generation.namespace(), attempts).await, 2);
    running.stop().await;
}

async fn a_retry_projects_nothing_that_was_projected_before(shop: Shop) {
    mugs_and_a_cup(&shop).await;
    let generation = shop.generation(&Stock).await;
    let running = shop.start(Arc::new(Stock), &generation);
    shop.reach(&generation, 4).await;
    shop.run(&generation.namespace(), "INSERT INTO @retries (position) VALUES (1), (99)").await;
    let asked = "SELECT count(*) FROM @retries";
    until("the request is done with", async || shop.number(&generation.namespace(), asked).await == 0).await;
    assert_eq!(on_hand(&shop, &generation, "MUG").await, 10);
    running.stop().await;
}

async fn rows_that_the_database_refuses_park_their_event_alone(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for n in 1..=60 {
        let name = if n == 25 { "BAD".to_owned() } else { format!("MUG-{n}") };
        writer.write(uuid(n), product(&name, 100)).await;
    }
    writer.write(uuid(25), repriced("BAD", 5)).await;
    let generation = shop.generation(&Products).await;
    let refusing = if shop.is_sqlite() {
        "CREATE TRIGGER bad BEFORE INSERT ON products WHEN NEW.name = 'The BAD' BEGIN SELECT RAISE(ABORT, 'bad'); END"
    } else {
        "ALTER TABLE @products ADD CONSTRAINT bad CHECK (name <> 'The BAD')"
    };
    shop.run(&generation.namespace(), refusing).await;
    let running = shop.start(Arc::new(Products), &generation);
    shop.reach(&generation, 61).await;
    assert_eq!(shop.parked(&generation).await, [25, 61]);
    assert_eq!(shop.number(&generation.namespace(), "SELECT count(*) FROM @products").await, 59);
    // While the database still refuses, asking again does not stop the rest.
    shop.ask_to_retry(&generation).await;
    let attempts = "SELECT attempts FROM @parked WHERE position = 25";
    until("it was tried", async || shop.number(&generation.namespace(), attempts).await == 2).await;
    let cured =
        if shop.is_sqlite() { "DROP TRIGGER bad" } else { "ALTER TABLE @products DROP CONSTRAINT bad" };
    shop.run(&generation.namespace(), cured).await;
    shop.ask_to_retry(&generation).await;
    until("nothing is parked", async || shop.parked(&generation).await.is_empty()).await;
    running.stop().await;
    let replayed = shop.generation(&Products).await;
    shop.project(Arc::new(Products), &replayed).await;
    assert_eq!(shop.rows(&generation).await, shop.rows(&replayed).await);
}

/// PostgreSQL's text type cannot hold this character, though its JSON can.
#[tokio::test]
async fn a_text_that_the_database_cannot_hold_parks_its_event() {
    let shop = Shop::postgres().await;
    let mut writer = Writer::new(&shop);
    for n in 1..=9 {
        writer.write(uuid(n), product(&format!("MUG-{n}"), 100)).await;
    }
    let details = product::Details { name: "a\0b".to_owned(), ..described("MUG") };
    writer.write(uuid(5), product::Event::ProductDetailsChanged { details }).await;
    writer.write(uuid(6), repriced("MUG-6", 7)).await;
    let generation = shop.generation(&Products).await;
    shop.project(Arc::new(Products), &generation).await;
    assert_eq!(shop.parked(&generation).await, [10]);
    assert_eq!(shop.number(&generation.namespace(), "SELECT count(*) FROM @products").await, 9);
    assert_eq!(
        shop.number(&generation.namespace(), "SELECT price FROM @products WHERE position = 11").await,
        7
    );
}

async fn a_missing_table_parks_no_event(shop: Shop) {
    mugs_and_a_cup(&shop).await;
    let generation = shop.generation(&Stock).await;
    shop.run(&generation.namespace(), "ALTER TABLE @stock RENAME TO elsewhere").await;
    let running = shop.start(Arc::new(Stock), &generation);
    until("it says why it stands", async || shop.status(&generation, "rows").await.0 == "stopped").await;
    assert_eq!((shop.rows_at(&generation).await, shop.parked(&generation).await), (0, vec![]));
    shop.run(&generation.namespace(), "ALTER TABLE @elsewhere RENAME TO stock").await;
    shop.reach(&generation, 4).await;
    until("it says that it goes on", async || shop.status(&generation, "rows").await.0 == "running").await;
    assert_eq!(on_hand(&shop, &generation, "MUG").await, 10);
    running.stop().await;
}

/// Replaces the encrypted value in the event at this position; returns the old one.
async fn damage(shop: &Shop, position: i64) -> String {
    let stored = shop.log().read(position, 1).await.unwrap().remove(0).payload;
    let at = stored.rfind('"').unwrap() - 3;
    let (before, after) = stored.split_at(at);
    let other = if after.starts_with('A') { 'B' } else { 'A' };
    put_payload(shop, position, &format!("{before}{other}{}", &after[1..])).await;
    stored
}

async fn put_payload(shop: &Shop, position: i64, payload: &str) {
    let json = if shop.is_sqlite() { "" } else { "::json" };
    let sql = format!("UPDATE @events SET payload = '{payload}'{json} WHERE position = {position}");
    assert_eq!(shop.run("log", &sql).await, 1);
}

async fn name_of(shop: &Shop, generation: &Generation, id: u128) -> Option<String> {
    let sql = format!("SELECT coalesce(name, 'nothing') FROM @users WHERE id = '{}'", uuid(id));
    shop.text(&generation.namespace(), &sql).await
}

fn without_country(id: u128) -> soonshop_domain::Event {
    let details = soonshop_domain::user::Details { country: None, ..crate::history::details(uuid(id)) };
    soonshop_domain::user::Event::UserRegistered { details }.into()
}

async fn a_value_that_cannot_be_opened_parks_its_event(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for n in 1..=3 {
        writer.write(uuid(n), without_country(n)).await;
    }
    writer.write(uuid(2), changed(uuid(2))).await;
    let whole = damage(&shop, 2).await;
    let generation = shop.generation(&Users).await;
    let running = shop.start(Arc::new(Users), &generation);
    shop.reach(&generation, 4).await;
    assert_eq!(shop.parked(&generation).await, [2, 4]);
    assert_eq!(shop.number(&generation.namespace(), "SELECT count(*) FROM @users").await, 2);
    put_payload(&shop, 2, &whole).await;
    shop.ask_to_retry(&generation).await;
    until("nothing is parked", async || shop.parked(&generation).await.is_empty()).await;
    assert_eq!(name_of(&shop, &generation, 2).await.as_deref(), Some(crate::history::NAME));
    running.stop().await;
}

async fn take_keys_away(shop: &Shop) {
    shop.run("keys", "UPDATE @data_keys SET kid = 'x' || kid").await;
}

async fn bring_keys_back(shop: &Shop) {
    shop.run("keys", "UPDATE @data_keys SET kid = substr(kid, 2)").await;
}

async fn a_lost_key_store_stops_the_reader_and_erases_no_person(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for n in 1..=9 {
        writer.write(uuid(n), registered(uuid(n))).await;
    }
    take_keys_away(&shop).await;
    let generation = shop.generation(&Users).await;
    let running = shop.start(Arc::new(Users), &generation);
    until("it says why it stands", async || shop.status(&generation, "rows").await.0 == "stopped").await;
    assert!(shop.status(&generation, "rows").await.1.contains("key store"));
    assert_eq!((shop.rows_at(&generation).await, shop.parked(&generation).await), (0, vec![]));
    bring_keys_back(&shop).await;
    shop.reach(&generation, 9).await;
    assert_eq!(
        shop.number(&generation.namespace(), "SELECT count(*) FROM @users WHERE name IS NOT NULL").await,
        9
    );
    running.stop().await;
}

async fn a_lost_key_store_also_stops_followers_that_get_events_one_by_one(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Users).await;
    let running = shop.start(Arc::new(Users), &generation);
    for n in 1..=12 {
        writer.write(uuid(n), registered(uuid(n))).await;
        take_keys_away(&shop).await;
        let moved = async || {
            shop.rows_at(&generation).await >= i64::try_from(n).unwrap()
                || shop.status(&generation, "rows").await.0 == "stopped"
        };
        until("it moves or stops", moved).await;
        bring_keys_back(&shop).await;
        if shop.status(&generation, "rows").await.0 == "stopped" {
            break;
        }
    }
    assert!(shop.status(&generation, "rows").await.1.contains("key store"), "it stopped");
    assert!(shop.parked(&generation).await.len() <= 3);
    running.stop().await;
}

async fn an_erasure_cleans_rows_that_are_parked(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.write(uuid(1), registered(uuid(1))).await;
    writer.write(uuid(1), changed(uuid(1))).await;
    let unreliable = UnreliableProjector::new(Users, [2]);
    let generation = shop.generation(&*unreliable).await;
    let running = shop.start(unreliable.clone(), &generation);
    shop.reach(&generation, 2).await;
    assert_eq!(name_of(&shop, &generation, 1).await.as_deref(), Some(crate::history::NAME));
    let keys = writer.store.keys().clone();
    keys.erase(uuid(1), &[soonshop_domain::Purpose::Account, soonshop_domain::Purpose::Invoice])
        .await
        .unwrap();
    writer.write(uuid(1), erasure_requested()).await;
    shop.reach(&generation, 3).await;
    assert_eq!(name_of(&shop, &generation, 1).await.as_deref(), Some("nothing"), "cleaned at once");
    writer.write(uuid(1), erased()).await;
    shop.reach(&generation, 4).await;
    running.stop().await;
    unreliable.cure();
    let mut later = Running::new(Feed::new(shop.log()));
    later.keep_rows(&shop, unreliable, &generation);
    shop.ask_to_retry(&generation).await;
    until("nothing is parked", async || shop.parked(&generation).await.is_empty()).await;
    later.stop().await;
    assert_eq!(name_of(&shop, &generation, 1).await.as_deref(), Some("nothing"));
    let replayed = shop.generation(&Users).await;
    shop.project(Arc::new(Users) as Arc<dyn Projector>, &replayed).await;
    assert_eq!(shop.rows(&generation).await, shop.rows(&replayed).await);
    let status: Value = shop.rows(&generation).await["users"][0]["status"].clone();
    assert_eq!(status, "erased");
}

/// As in a rebuild: each batch is folded while the one before it is written. In every case the rows and the parked
/// events are the same as one event at a time gives.
async fn folding_ahead_gives_the_same_rows_as_one_by_one(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for n in 300..325 {
        writer.write(uuid(n), product(&format!("P-{n}"), 100)).await;
    }
    let bad = writer.write(uuid(325), product("BAD", 100)).await;
    for n in 326..332 {
        writer.write(uuid(n), product(&format!("P-{n}"), 100)).await;
    }
    // In the next batch: an event for the refused row that alone would not be refused.
    let details = described("GOOD");
    writer.write(uuid(325), product::Event::ProductDetailsChanged { details }).await;
    for n in 300..320 {
        writer.write(uuid(n), repriced(&format!("P-{n}"), 5)).await;
    }
    // With an erasure, after which not all rows are in memory any more.
    for (stream, event) in crate::history::story() {
        writer.write(stream, event).await;
    }
    let refusing = if shop.is_sqlite() {
        "CREATE TRIGGER bad BEFORE INSERT ON products WHEN NEW.name = 'The BAD' BEGIN SELECT RAISE(ABORT, 'bad'); END"
    } else {
        "ALTER TABLE @products ADD CONSTRAINT bad CHECK (name <> 'The BAD')"
    };
    for fails in [vec![], vec![5]] {
        let mut expected = None;
        for (kept, piece) in [(0, 1), (1_000, 7), (1_000, 1), (20, 7)] {
            let generation = shop.generation(&Products).await;
            shop.run(&generation.namespace(), refusing).await;
            let running = Running::new(Feed::new(shop.log()));
            let unreliable = UnreliableProjector::new(Products, fails.iter().copied());
            let follower = running.follower(&shop, unreliable, &generation);
            let lease = follower.leases().take(&follower.name(ROWS)).await.unwrap();
            let mut fold = follower.fold(&lease, Poison::Park).await.unwrap();
            fold.keep(kept);
            let entries = shop.log().read_after("test", &Checkpoint::start(), 1_000).await.unwrap();
            for piece in entries.chunks(piece) {
                fold.take(piece).await.unwrap();
                assert_eq!(Some(fold.folded().position), piece.last().map(|entry| entry.position));
                assert!(fold.checkpoint().position <= fold.folded().position);
            }
            fold.written().await.unwrap();
            assert_eq!(fold.checkpoint(), fold.folded());
            assert_eq!(shop.checkpoint(&generation).await, *fold.checkpoint());
            drop(fold);
            let found = (shop.rows(&generation).await, shop.parked(&generation).await);
            assert!(found.1.contains(&bad) && found.1.contains(&(bad + 7)), "{:?}", found.1);
            assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "{fails:?} {kept} {piece}");
            running.stop().await;
        }
    }
}

/// A batch that is still being written when the rows are taken over never lands after the next holder's batches.
async fn a_batch_folded_ahead_is_fenced(shop: Shop) {
    mugs_and_a_cup(&shop).await;
    let generation = shop.generation(&Stock).await;
    let (first, second) = (Running::new(Feed::new(shop.log())), Running::new(Feed::new(shop.log())));
    let old = first.follower(&shop, Arc::new(Stock), &generation);
    let lease = old.leases().take(&old.name(ROWS)).await.unwrap();
    let mut fold = old.fold(&lease, Poison::Park).await.unwrap();
    fold.keep(100);
    let entries = shop.log().read_after("test", &Checkpoint::start(), 100).await.unwrap();
    fold.take(&entries[..1]).await.unwrap();
    fold.written().await.unwrap();
    let new = second.follower(&shop, Arc::new(Stock), &generation);
    let taken = new.leases().take(&new.name(ROWS)).await.unwrap();
    let mut next = new.fold(&taken, Poison::Park).await.unwrap();
    // Folded, and being written; it is never committed.
    fold.take(&entries[1..2]).await.unwrap();
    assert!(matches!(fold.written().await, Err(Stopped::Lost)));
    assert_eq!((fold.checkpoint().position, shop.rows_at(&generation).await), (1, 1));
    next.take(&entries[1..]).await.unwrap();
    assert_eq!((on_hand(&shop, &generation, "MUG").await, on_hand(&shop, &generation, "CUP").await), (10, 1));
    first.stop().await;
    second.stop().await;
}
