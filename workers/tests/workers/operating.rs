//! An operator's view of process managers: what an instance waits for, what was refused, which process stopped; and the
//! retry of a command.

use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, At, Stock};
use soonshop_domain::order::{self, Order, Status};
use soonshop_domain::process_managers::{self, Settings};
use soonshop_event_store::EventStore;
use soonshop_migrations::Namespace;
use soonshop_projections::processes::{self, Instance, InstanceQuery, Key, Status as Shown, Which};
use uuid::Uuid;

use crate::fixture::{Shop, Writer, on_both, until};
use crate::history::{place, received, stock};
use crate::reacting::{becomes, begin, idle, jam, place_order, reactor, reactors, receive, send, there};

on_both!(
    a_waiting_command_gives_its_reason_and_is_retried_on_request,
    a_refused_command_is_shown_with_its_reason,
    a_refusal_that_leaves_order_and_stock_apart_is_a_failure_until_it_is_acknowledged,
    a_failure_that_an_earlier_release_kept_to_itself_is_found,
    instances_are_listed_in_pages,
    an_unreadable_state_stops_only_its_process_and_names_it,
    a_waiting_instance_does_not_block_others,
);

fn key(order: Uuid) -> Key {
    Key { process: "fulfilment".to_owned(), instance: order.to_string() }
}

async fn shown(shop: &Shop, order: Uuid) -> Instance {
    processes::show(&shop.db("process"), &key(order)).await.unwrap().unwrap()
}

async fn listed(shop: &Shop, which: Which) -> Vec<Instance> {
    let asked = InstanceQuery { which, most: 1_000, ..InstanceQuery::default() };
    processes::list(&shop.db("process"), &asked).await.unwrap().0
}

/// Undoes [`jam`]: restores the receipt with this quantity.
async fn unjam(shop: &Shop, name: &str, quantity: u32) {
    let payload = received(name, quantity).encode().unwrap().replace('\'', "''");
    let sql = format!(
        "UPDATE @events SET event_type = 'StockReceived', payload = '{payload}' WHERE aggregate_id = '{}' \
         AND sequence = 1",
        stock(name)
    );
    assert_eq!(shop.run("log", &sql).await, 1);
}

async fn waits(shop: &Shop, order: Uuid) -> Instance {
    let found = async || processes::show(&shop.db("process"), &key(order)).await.unwrap();
    until("the command has to wait", async || found().await.is_some_and(|one| one.stuck)).await;
    shown(shop, order).await
}

async fn jammed(shop: &Shop, number: u128) -> (EventStore, Uuid) {
    begin(shop).await;
    let mut writer = Writer::new(shop);
    let store = writer.store.clone();
    receive(&store, "MUG", 5).await;
    jam(shop, &mut writer, "CUP").await;
    let order = place_order(&store, number, &[("MUG", 2), ("CUP", 1)]).await;
    (store, order)
}

async fn a_waiting_command_gives_its_reason_and_is_retried_on_request(shop: Shop) {
    let (store, order) = Box::pin(jammed(&shop, 1)).await;
    let run = reactor(&shop, &store);
    let one = waits(&shop, order).await;
    assert_eq!((one.step.as_deref(), one.unsent), (Some("reserving"), 2));
    assert_eq!((one.aggregate_type.as_deref(), one.aggregate_id), (Some("order"), Some(order)));
    assert!(one.since.is_some() && one.times_out_at.is_some() && one.refused.is_none());
    let unsent = one.waits_with.unwrap();
    assert_eq!((unsent.purpose.as_deref(), unsent.key.as_deref()), (Some("reserve"), Some("2")));
    assert_eq!((unsent.command_type.as_deref(), unsent.stream), (Some("stock.reserve"), Some(stock("CUP"))));
    assert!(unsent.attempts >= 1 && unsent.waiting_since.is_some() && unsent.retry_at.is_some());
    let reason = unsent.reason.unwrap();
    assert!(reason.contains("StockCounted") || reason.contains("position"), "{reason}");
    assert_eq!(listed(&shop, Which::Stuck).await.len(), 1);
    let history = processes::history(&shop.log(), &shown(&shop, order).await).await.unwrap();
    assert_eq!(history.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(), ["OrderPlaced"]);

    // Once it waits for the clock it is retried only at its time, or on request.
    let attempts = async || shown(&shop, order).await.waits_with.map_or(0, |unsent| unsent.attempts);
    until("it waits for years", async || {
        let before = attempts().await;
        if before > 5 {
            shop.run("process", "UPDATE @outbox SET retry_at = 9000000000000").await;
        }
        before > 5 && before == attempts().await
    })
    .await;
    unjam(&shop, "CUP", 5).await;
    assert_eq!(there(&store, "CUP").await, (5, 0));
    assert!(shown(&shop, order).await.stuck);
    assert!(processes::retry(&shop.db("process"), &key(order)).await.unwrap());
    becomes(&store, order, Status::Confirmed).await;
    idle(&shop).await;
    assert_eq!(there(&store, "CUP").await, (5, 1));
    let one = shown(&shop, order).await;
    assert_eq!(
        (one.step.as_deref(), one.unsent, one.waits_with, one.stuck),
        (Some("confirmed"), 0, None, false)
    );
    assert!(!processes::retry(&shop.db("process"), &key(order)).await.unwrap(), "there is nothing to send");
    assert!(listed(&shop, Which::Open).await.is_empty());
    run.stop().await;
}

async fn a_refused_command_is_shown_with_its_reason(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "CUP", 1).await;
    let order = place_order(&store, 1, &[("CUP", 2)]).await;
    let run = reactor(&shop, &store);
    becomes(&store, order, Status::Refused).await;
    idle(&shop).await;
    let one = shown(&shop, order).await;
    assert_eq!((one.step.as_deref(), one.stuck, one.times_out_at), (Some("ended"), false, None));
    let refused = one.refused.unwrap();
    assert_eq!((refused.purpose.as_deref(), refused.key.as_deref()), (Some("reserve"), Some("1")));
    assert_eq!(refused.slug, "insufficient-stock");
    run.stop().await;
}

/// Ships the first line of an order as if by hand, out of step with the order: an earlier release let that happen.
async fn ship(store: &EventStore, order: Uuid, name: &str) {
    let command = inventory::Command::Ship { order_id: OrderId(order), line: 1 };
    send::<Stock>(store, stock(name), At { place: place(name), command }).await;
}

async fn a_refusal_that_leaves_order_and_stock_apart_is_a_failure_until_it_is_acknowledged(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 9).await;
    let run = reactor(&shop, &store);
    let mut orders = Vec::new();
    for number in 1..=3 {
        let order = place_order(&store, number, &[("MUG", 2)]).await;
        becomes(&store, order, Status::Confirmed).await;
        orders.push(order);
    }
    let [cancelled, shipped, good] = orders[..] else { unreachable!() };
    // The goods have left, and then the order is cancelled.
    ship(&store, cancelled, "MUG").await;
    send::<Order>(&store, cancelled, order::Command::Cancel { reason: "changed-my-mind".to_owned() }).await;
    // The stock was given back, and then the order is shipped.
    let command = inventory::Command::Release { order_id: OrderId(shipped), line: 1 };
    send::<Stock>(&store, stock("MUG"), At { place: place("MUG"), command }).await;
    send::<Order>(&store, shipped, order::Command::Ship).await;
    send::<Order>(&store, good, order::Command::Ship).await;
    idle(&shop).await;
    for (order, purpose, slug) in [(cancelled, "release", "line-shipped"), (shipped, "ship", "line-released")]
    {
        let one = shown(&shop, order).await;
        assert_eq!((one.step.as_deref(), one.unsent, one.failures, one.stuck), (Some("ended"), 0, 1, true));
        let failed = one.failed.unwrap();
        assert_eq!((failed.purpose.as_deref(), failed.key.as_deref()), (Some(purpose), Some("1")));
        assert_eq!(failed.slug, slug);
    }
    let one = shown(&shop, good).await;
    assert_eq!((one.failures, one.stuck), (0, false), "this one went as planned");
    let found = processes::failures(&shop.db("process"), 1).await.unwrap();
    assert_eq!((found.count, found.first.len()), (2, 1));
    let stuck = async || listed(&shop, Which::Stuck).await.len();
    assert_eq!((stuck().await, listed(&shop, Which::Open).await.len()), (2, 2));
    let status = processes::statuses(&shop.log()).await.unwrap();
    assert_eq!(status.iter().map(|one| one.failures).sum::<i64>(), 2);
    for order in [cancelled, shipped] {
        assert_eq!(processes::acknowledge(&shop.db("process"), &key(order)).await.unwrap(), 1);
        assert_eq!(processes::acknowledge(&shop.db("process"), &key(order)).await.unwrap(), 0);
    }
    assert_eq!(stuck().await, 0);
    assert_eq!(processes::failures(&shop.db("process"), 1).await.unwrap().count, 0);
    assert!(!shown(&shop, cancelled).await.stuck);
    run.stop().await;
}

async fn a_failure_that_an_earlier_release_kept_to_itself_is_found(shop: Shop) {
    begin(&shop).await;
    shop.run("process", "DROP TABLE @failures").await;
    shop.run("process", "DELETE FROM soonshop_process_steps WHERE version = '003_failures'").await;
    let release = r#"{"do":"release","place":{"sku":"MUG","location":"main"},"line":1}"#;
    let refused = [
        (1, release, "line-shipped", 1),
        (2, &release.replace("release", "ship"), "line-released", 1),
        (3, &release.replace("release", "reserve"), "insufficient-stock", 0),
    ];
    for (number, task, slug, _) in refused {
        let sql = format!(
            "INSERT INTO @instances (process, instance, state, next, since, refused_task, refused_slug, refused_at) \
             VALUES ('fulfilment', '{}', '{{\"phase\":\"ended\",\"lines\":[]}}', 3, 1, '{task}', '{slug}', 1700000000000)",
            Uuid::from_u128(number)
        );
        shop.run("process", &sql).await;
    }
    soonshop_migrations::migrate(Namespace::Process, &shop.db("process").connection).await.unwrap();
    for (number, _, slug, failures) in refused {
        let one = shown(&shop, Uuid::from_u128(number)).await;
        assert_eq!(one.failures, failures, "{slug}");
        assert_eq!(one.failed.is_some_and(|failed| failed.slug == slug), failures == 1, "{slug}");
    }
}

async fn instances_are_listed_in_pages(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 50).await;
    let run = reactor(&shop, &store);
    let mut orders = Vec::new();
    for number in 1..=5 {
        orders.push(place_order(&store, number, &[("MUG", 1)]).await);
    }
    idle(&shop).await;
    run.stop().await;
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let asked =
            InstanceQuery { process: Some("fulfilment".to_owned()), which: Which::All, after, most: 2 };
        let (page, next) = processes::list(&shop.db("process"), &asked).await.unwrap();
        assert!(page.len() <= 2);
        found.extend(page.into_iter().map(|one| one.aggregate_id.unwrap()));
        pages += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    orders.sort_by_key(Uuid::to_string);
    assert_eq!((found, pages), (orders, 3));
    let other = InstanceQuery {
        process: Some("release-unshipped".to_owned()),
        which: Which::All,
        most: 9,
        after: None,
    };
    assert!(processes::list(&shop.db("process"), &other).await.unwrap().0.is_empty());
}

async fn an_unreadable_state_stops_only_its_process_and_names_it(shop: Shop) {
    let both = || {
        let all = process_managers::all(&Settings { cancel_unshipped_after_days: 3, cart_days: 0 });
        all.into_iter().take(2).collect::<Vec<_>>()
    };
    for process in both() {
        soonshop_workers::reactor::begin(&shop.log(), &shop.db("process"), process.name(), None)
            .await
            .unwrap();
    }
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactors(&shop, &store, both());
    let order = place_order(&store, 1, &[("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    idle(&shop).await;
    let broken = "UPDATE @instances SET state = '{' WHERE process = 'fulfilment'";
    shop.run("process", broken).await;
    let cancel = soonshop_domain::order::Command::Cancel { reason: "a-test".to_owned() };
    crate::reacting::send::<soonshop_domain::order::Order>(&store, order, cancel).await;
    let status = async |name: &str| -> Shown {
        let all = processes::statuses(&shop.log()).await.unwrap();
        all.into_iter().find(|one| one.name == name).unwrap()
    };
    until("it is said why it stopped", async || status("fulfilment").await.state == "stopped").await;
    let stopped = status("fulfilment").await;
    let complaint = stopped.progress.complaint.unwrap();
    assert!(complaint.starts_with("the state of an instance of fulfilment cannot be read: "), "{complaint}");
    assert!(stopped.progress.lag_events > 0);
    // The other one goes on.
    let other = "release-unshipped";
    until("the other has read it", async || status(other).await.progress.lag_events == 0).await;
    let other = status(other).await;
    assert_eq!((other.state.as_str(), other.progress.complaint), ("running", None));
    let one = shown(&shop, order).await;
    assert!(one.step.is_none() && one.unreadable.is_some());
    // Once repaired, it continues by itself.
    let whole =
        r#"{"phase":"confirmed","lines":[{"line":1,"place":{"sku":"MUG","location":"main"},"quantity":1}]}"#;
    shop.run("process", &format!("UPDATE @instances SET state = '{whole}' WHERE process = 'fulfilment'"))
        .await;
    until("the stock is back", async || there(&store, "MUG").await == (5, 0)).await;
    until("it is said that it runs", async || status("fulfilment").await.state == "running").await;
    assert_eq!(status("fulfilment").await.progress.complaint, None);
    run.stop().await;
}

async fn a_waiting_instance_does_not_block_others(shop: Shop) {
    let (store, first) = Box::pin(jammed(&shop, 1)).await;
    // More than there are workers.
    for number in 2..=80 {
        place_order(&store, number, &[("CUP", 1)]).await;
    }
    let last = place_order(&store, 99, &[("MUG", 1)]).await;
    let run = reactor(&shop, &store);
    becomes(&store, last, Status::Confirmed).await;
    assert!(waits(&shop, first).await.stuck);
    run.stop().await;
}
