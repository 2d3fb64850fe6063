//! How far back the reactor may start, and that records of commands it may still send are kept.

use soonshop_domain::ids;
use soonshop_domain::order::Status;
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::{Checkpoint, Database};
use soonshop_event_store::EventStore;
use soonshop_workers::purger::{Purger, Retention};
use soonshop_workers::reactor::too_old;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Shop, on_both, until};
use crate::reacting::{NAME, becomes, begin, idle, idle_of, place_order, reactor, receive, status, there};

on_both!(
    the_reactor_starts_at_the_beginning_of_an_empty_log_and_else_at_the_head,
    the_purger_keeps_what_the_reactor_may_still_send,
    a_reactor_from_an_old_backup_is_too_old_and_sends_nothing,
);

async fn at(shop: &Shop) -> Checkpoint {
    let db = shop.db("process");
    Checkpoint::load(&db, &db.connection, NAME).await.unwrap().unwrap().0
}

async fn the_reactor_starts_at_the_beginning_of_an_empty_log_and_else_at_the_head(shop: Shop) {
    begin(&shop).await;
    assert_eq!(at(&shop).await, Checkpoint::start());
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let before = place_order(&store, 1, &[("MUG", 1)]).await;
    // Once it has begun, it stays where it is.
    begin(&shop).await;
    assert_eq!(at(&shop).await, Checkpoint::start());
    shop.run("process", "DELETE FROM @checkpoints").await;
    let run = reactor(&shop, &store);
    let has_begun = format!("SELECT count(*) FROM @checkpoints WHERE follower = '{NAME}' AND epoch > 0");
    until("it has begun", async || shop.number("process", &has_begun).await == 1).await;
    let after = place_order(&store, 2, &[("MUG", 1)]).await;
    becomes(&store, after, Status::Confirmed).await;
    idle(&shop).await;
    run.stop().await;
    assert_eq!(status(&store, before).await, Status::Placed, "what was before it is not its business");
}

fn purger(shop: &Shop, store: &EventStore) -> Purger {
    Purger {
        store: store.clone(),
        process: Database::new(shop.place.clone()).namespace("process").unwrap(),
        retention: Retention { persons: 7, processes: 35 },
        holder: format!("test-{}", ids::new().simple()),
    }
}

async fn records(shop: &Shop) -> i64 {
    shop.number("log", "SELECT count(*) FROM @commands").await
}

/// A confirmed order, two months old, with its records.
async fn confirmed_long_ago(shop: &Shop, store: &EventStore) {
    begin(shop).await;
    let run = reactor(shop, store);
    receive(store, "MUG", 5).await;
    let order = place_order(store, 1, &[("MUG", 1)]).await;
    becomes(store, order, Status::Confirmed).await;
    // Where one of them is behind, its records are kept.
    idle_of(shop, &[NAME, &of_process("checkout")]).await;
    run.stop().await;
    assert_eq!(records(shop).await, 4, "two of persons, two of the process");
    let ago = if shop.is_sqlite() { "60 * 86400000000" } else { "interval '60 days'" };
    for table in ["events", "commands"] {
        shop.run("log", &format!("UPDATE @{table} SET recorded_at = recorded_at - {ago}")).await;
    }
    let milliseconds = 60_i64 * 86_400_000;
    shop.run("process", &format!("UPDATE @processes SET started_at = started_at - {milliseconds}")).await;
    let stop = CancellationToken::new();
    let purging = tokio::spawn(purger(shop, store).run(stop.clone()));
    until("old records are gone", async || records(shop).await == 1).await;
    stop.cancel();
    purging.await.unwrap();
}

async fn the_purger_keeps_what_the_reactor_may_still_send(shop: Shop) {
    let store = shop.store();
    confirmed_long_ago(&shop, &store).await;
    // Records of the event at the checkpoint and after it are kept, however old they are.
    let head = at(&shop).await.position;
    let kept = format!("SELECT count(*) FROM @commands WHERE last_position = {head}");
    assert_eq!(shop.number("log", &kept).await, 1);
    // That is enough: a process that was only down for long continues.
    assert!(too_old(&shop.log(), &shop.db("process"), "fulfilment").await.unwrap().is_none());
    let run = reactor(&shop, &store);
    let order = place_order(&store, 2, &[("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    idle(&shop).await;
    run.stop().await;
    // While no process has begun, none of its records are purged.
    shop.run("log", "UPDATE @commands SET recorded_at = (SELECT min(recorded_at) FROM @events)").await;
    shop.run("log", "DELETE FROM @purged").await;
    shop.run("process", &format!("DELETE FROM @checkpoints WHERE follower = '{NAME}'")).await;
    let before = records(&shop).await;
    purger(&shop, &store).round(&CancellationToken::new()).await.unwrap();
    assert_eq!((before, records(&shop).await), (4, 3), "but a person's is");
}

async fn a_reactor_from_an_old_backup_is_too_old_and_sends_nothing(shop: Shop) {
    let store = shop.store();
    confirmed_long_ago(&shop, &store).await;
    // Restores the state of the process as it was when the order was placed.
    for table in ["instances", "outbox", "timeouts", "leases"] {
        shop.run("process", &format!("DELETE FROM @{table}")).await;
    }
    let placed = shop.log().read(2, 1).await.unwrap().remove(0);
    assert_eq!(placed.event_type, "OrderPlaced");
    let back = format!(
        "UPDATE @checkpoints SET position = 1, event_id = '{}', epoch = 0 WHERE follower = '{NAME}'",
        shop.log().read(1, 1).await.unwrap()[0].event_id
    );
    shop.run("process", &back).await;
    let head = shop.log().head().await.unwrap();
    let run = reactor(&shop, &store);
    let let_go = format!("SELECT count(*) FROM @leases WHERE name = '{NAME}' AND expires_at = 0");
    until("it has looked, and let go", async || shop.number("process", &let_go).await == 1).await;
    let why = too_old(&shop.log(), &shop.db("process"), "fulfilment").await.unwrap().unwrap().to_string();
    assert!(why.starts_with("too-old: ") && why.contains("position 1,") && why.contains("backup"), "{why}");
    let order = place_order(&store, 2, &[("MUG", 1)]).await;
    shop.run("process", "DELETE FROM @leases").await;
    until("it has looked again", async || shop.number("process", &let_go).await == 1).await;
    assert_eq!(status(&store, order).await, Status::Placed);
    assert_eq!(shop.log().head().await.unwrap().position, head.position + 1, "nothing was sent");
    assert_eq!(at(&shop).await.position, 1);
    // A forced restart decides everything again; reserved stock stays reserved once.
    shop.run("log", "DELETE FROM @purged WHERE kind = 'process'").await;
    becomes(&store, order, Status::Confirmed).await;
    idle(&shop).await;
    assert_eq!(there(&store, "MUG").await, (5, 2));
    run.stop().await;
}
