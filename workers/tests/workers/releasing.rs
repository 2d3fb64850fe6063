//! The process manager that cancels unshipped orders, beside the one that reserves: each with a checkpoint, a lease and
//! instances of its own.

use std::sync::Arc;

use soonshop_domain::order::{self, Order, Status};
use soonshop_domain::process::Process;
use soonshop_domain::process_managers::{self, Settings};
use soonshop_domain::release_unshipped::REASON;
use soonshop_event_log::Checkpoint;
use soonshop_event_store::EventStore;
use soonshop_projections::processes::{self, Key};
use soonshop_workers::reactor::{Begun, Start, begin, too_old};
use uuid::Uuid;

use crate::fixture::{Shop, on_both, until};
use crate::reacting::{self, becomes, idle, place_order, reactors, receive, send, status, there};

on_both!(
    an_unshipped_order_is_cancelled_and_releases_its_stock,
    an_order_shipped_in_time_is_not_cancelled,
    each_process_follows_the_log_with_its_own_checkpoint,
    a_process_that_is_off_does_nothing_and_says_so,
    a_new_process_starts_at_the_given_place_or_at_the_head,
    a_process_started_on_an_old_log_is_not_too_old,
);

const NAME: &str = "release-unshipped";

/// Both processes; orders wait for three days.
fn both() -> Vec<Arc<dyn Process>> {
    let all = process_managers::all(&Settings { cancel_unshipped_after_days: 3, cart_days: 0 });
    all.into_iter().take(2).collect()
}

async fn begin_both(shop: &Shop) {
    for process in both() {
        begin(&shop.log(), &shop.db("process"), process.name(), None).await.unwrap();
    }
}

async fn step(shop: &Shop, order: Uuid) -> Option<String> {
    let key = Key { process: NAME.to_owned(), instance: order.to_string() };
    processes::show(&shop.db("process"), &key).await.unwrap()?.step
}

async fn steps_to(shop: &Shop, order: Uuid, requested: &str) {
    until(&format!("the instance {requested}"), async || {
        step(shop, order).await.as_deref() == Some(requested)
    })
    .await;
}

async fn confirmed(store: &EventStore, number: u128) -> Uuid {
    let order = place_order(store, number, &[("MUG", 2)]).await;
    becomes(store, order, Status::Confirmed).await;
    order
}

async fn its_time_is_up(shop: &Shop) {
    let sql = format!("UPDATE @timeouts SET due_at = 1 WHERE process = '{NAME}'");
    shop.run("process", &sql).await;
}

async fn an_unshipped_order_is_cancelled_and_releases_its_stock(shop: Shop) {
    begin_both(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactors(&shop, &store, both());
    let order = confirmed(&store, 1).await;
    steps_to(&shop, order, "waiting").await;
    let days = format!(
        "SELECT (due_at - {now}) / 86400000 FROM @timeouts WHERE process = '{NAME}'",
        now = shop.db("process").now()
    );
    assert_eq!(shop.number("process", &days).await, 2, "three days less a moment");
    its_time_is_up(&shop).await;
    becomes(&store, order, Status::Cancelled).await;
    until("the stock is back", async || there(&store, "MUG").await == (5, 0)).await;
    steps_to(&shop, order, "ended").await;
    let state = store.load::<Order>(order).await.unwrap().0;
    assert_eq!(state.cancelled_because.as_deref(), Some(REASON));
    let rows = shop.log().read(1, 20).await.unwrap();
    let cancelled = rows.iter().find(|row| row.event_type == "OrderCancelled").unwrap();
    assert!(cancelled.metadata.contains("release-unshipped") && cancelled.metadata.contains("order.cancel"));
    let confirmed = rows.iter().find(|row| row.event_type == "OrderConfirmed").unwrap().event_id;
    assert!(cancelled.metadata.contains(&confirmed.to_string()), "{}", cancelled.metadata);
    run.stop().await;
}

async fn an_order_shipped_in_time_is_not_cancelled(shop: Shop) {
    begin_both(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactors(&shop, &store, both());
    let order = confirmed(&store, 1).await;
    steps_to(&shop, order, "waiting").await;
    run.stop().await;
    // It is shipped while no reactor runs, and by then its timeout is overdue.
    send::<Order>(&store, order, order::Command::Ship).await;
    its_time_is_up(&shop).await;
    let run = reactors(&shop, &store, both());
    steps_to(&shop, order, "ended").await;
    idle(&shop).await;
    assert_eq!(status(&store, order).await, Status::Shipped);
    let left = format!("SELECT count(*) FROM @timeouts WHERE process = '{NAME}'");
    assert_eq!(shop.number("process", &left).await, 0);
    let sent = "SELECT count(*) FROM @commands";
    // One receipt, one placing, one shipping; a reservation, a confirmation and a line that is shipped.
    assert_eq!(shop.number("log", sent).await, 6, "no cancellation was tried");
    run.stop().await;
}

async fn each_process_follows_the_log_with_its_own_checkpoint(shop: Shop) {
    begin_both(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactors(&shop, &store, both());
    let order = confirmed(&store, 1).await;
    steps_to(&shop, order, "waiting").await;
    idle(&shop).await;
    let statuses = processes::statuses(&shop.log()).await.unwrap();
    let names: Vec<_> =
        statuses.iter().map(|one| (one.name.as_str(), one.progress.holder.is_some())).collect();
    assert_eq!(names, [("fulfilment", true), (NAME, true)]);
    until("both are at the head and running", async || {
        let head = shop.log().head().await.unwrap().position;
        let statuses = processes::statuses(&shop.log()).await.unwrap();
        statuses.iter().all(|one| {
            one.progress.position == Some(head) && one.state == "running" && one.progress.complaint.is_none()
        })
    })
    .await;
    let instances = "SELECT count(DISTINCT process) FROM @instances";
    assert_eq!(shop.number("process", instances).await, 2);
    run.stop().await;
}

async fn a_process_that_is_off_does_nothing_and_says_so(shop: Shop) {
    begin_both(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactors(&shop, &store, both());
    let order = confirmed(&store, 1).await;
    steps_to(&shop, order, "waiting").await;
    run.stop().await;
    let run = reacting::reactor(&shop, &store);
    let state = async || {
        let statuses = processes::statuses(&shop.log()).await.unwrap();
        statuses.into_iter().find(|one| one.name == NAME).unwrap()
    };
    until("it is said that it is off", async || state().await.state == "off").await;
    its_time_is_up(&shop).await;
    // Old records do not matter to a process that is off.
    let ago = if shop.is_sqlite() { "600000000" } else { "interval '10 minutes'" };
    shop.run("log", &format!("UPDATE @events SET recorded_at = recorded_at - {ago}")).await;
    let later = confirmed(&store, 2).await;
    idle(&shop).await;
    assert_eq!(state().await.progress.complaint, None);
    assert_eq!(status(&store, order).await, Status::Confirmed);
    assert_eq!(step(&shop, later).await, None);
    run.stop().await;
    // Switched on again, it goes on where it was.
    let run = reactors(&shop, &store, both());
    becomes(&store, order, Status::Cancelled).await;
    steps_to(&shop, later, "waiting").await;
    run.stop().await;
}

async fn at(shop: &Shop) -> Checkpoint {
    let db = shop.db("process");
    Checkpoint::load(&db, &db.connection, "reactor:release-unshipped").await.unwrap().unwrap().0
}

async fn a_new_process_starts_at_the_given_place_or_at_the_head(shop: Shop) {
    reacting::begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reacting::reactor(&shop, &store);
    let order = confirmed(&store, 1).await;
    idle(&shop).await;
    run.stop().await;
    let (log, db) = (shop.log(), shop.db("process"));
    let head = log.head().await.unwrap();
    for (start, expected) in
        [(None, head.clone()), (Some(Start::Head), head), (Some(Start::Beginning), Checkpoint::start())]
    {
        shop.run("process", "DELETE FROM @checkpoints WHERE follower = 'reactor:release-unshipped'").await;
        let begun = begin(&log, &db, NAME, start).await.unwrap();
        assert_eq!(begun, Begun::At { position: expected.position });
        assert_eq!(at(&shop).await, expected, "{start:?}");
    }
    let again = begin(&log, &db, NAME, Some(Start::Head)).await.unwrap();
    assert_eq!(again, Begun::Before { position: 0 }, "one that has begun stays where it is");
    // From the beginning on it meets the order that was confirmed before; its days begin now.
    let run = reactors(&shop, &store, both());
    steps_to(&shop, order, "waiting").await;
    assert_eq!(status(&store, order).await, Status::Confirmed);
    run.stop().await;
}

async fn a_process_started_on_an_old_log_is_not_too_old(shop: Shop) {
    reacting::begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let ago = if shop.is_sqlite() { "60 * 86400000000" } else { "interval '60 days'" };
    shop.run("log", &format!("UPDATE @events SET recorded_at = recorded_at - {ago}")).await;
    shop.run(
        "log",
        "INSERT INTO @purged (kind, recorded_at, command_id) SELECT 'process', recorded_at, event_id FROM @events LIMIT 1",
    )
    .await;
    let (log, db) = (shop.log(), shop.db("process"));
    begin(&log, &db, NAME, Some(Start::Beginning)).await.unwrap();
    assert!(too_old(&log, &db, NAME).await.unwrap().is_none(), "it had sent nothing by then");
    // One of which it is not known when it was started may have.
    shop.run("process", "UPDATE @processes SET started_at = NULL").await;
    assert!(too_old(&log, &db, NAME).await.unwrap().is_some());
}
