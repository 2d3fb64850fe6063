//! The reactor: a placed order gets its stock or is refused, wherever a process is killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{self, At, Stock};
use soonshop_domain::order::{self, Order, Placement, Status};
use soonshop_domain::process::Process;
use soonshop_domain::process_managers::{self, Settings};
use soonshop_domain::{Actor, Channel, Decider, Event, Metadata, ids};
use soonshop_event_log::{Checkpoint, Database, DatabaseLocation};
use soonshop_event_store::{CommandContext, EventStore, Executed};
use soonshop_workers::reactor;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixture::{Raw, Shop, Writer, on_both, raw, until};
use crate::history::{contact, guest, line, place, received, sku, stock, uuid};

on_both!(
    an_order_gets_its_stock_line_by_line_and_is_confirmed,
    an_order_with_an_unavailable_line_is_released_and_refused,
    a_cancelled_order_gives_its_stock_back,
    a_shipped_order_ships_its_reserved_stock,
    an_order_that_waits_too_long_is_refused_and_releases_its_stock,
    a_timeout_fires_only_after_every_earlier_event_was_read,
    killed_at_any_step_it_ends_in_the_same_state_and_nothing_is_doubled,
    a_refused_command_stays_refused,
    a_reactor_before_another_history_stops_and_sends_nothing,
    an_event_of_a_newer_release_stops_the_reactor_after_earlier_events,
    an_unavailable_key_store_stops_no_process,
    a_command_of_a_process_names_its_cause_and_customer,
    a_reactor_that_lost_its_lease_changes_nothing,
);

pub(crate) struct Run {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Run {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_mins(1), self.task).await.unwrap().unwrap();
    }

    async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

/// The checkpoint and the lease of the process that reserves stock.
pub(crate) const NAME: &str = "reactor:fulfilment";

/// Every process, with the release of unshipped orders off.
pub(crate) fn reactor(shop: &Shop, store: &EventStore) -> Run {
    reactors(shop, store, process_managers::all(&Settings::default()))
}

/// These processes.
pub(crate) fn reactors(shop: &Shop, store: &EventStore, processes: Vec<Arc<dyn Process>>) -> Run {
    let stop = CancellationToken::new();
    let db = Database::new(shop.place.clone()).namespace("process").unwrap();
    let holder = format!("test-{}", ids::new().simple());
    Run { task: tokio::spawn(reactor::run(store.clone(), db, processes, holder, stop.clone())), stop }
}

/// Starts them as `migrate` does, on an empty log.
pub(crate) async fn begin(shop: &Shop) {
    reactor::begin(&shop.log(), &shop.db("process"), "fulfilment", None).await.unwrap();
}

fn context() -> CommandContext {
    let actor = Actor::guest("7");
    let metadata = Metadata {
        correlation_id: Some(uuid(77)),
        actor_kind: Some(actor.kind),
        actor_id: Some(actor.id),
        channel: Some(Channel::Api),
        ..Metadata::default()
    };
    CommandContext::new(ids::new(), b"a test".to_vec(), metadata)
}

pub(crate) async fn send<A: Decider>(store: &EventStore, id: Uuid, command: A::Command) -> Executed {
    match store.execute::<A>(id, command, context()).await {
        Ok(done) => done,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn receive(store: &EventStore, name: &str, quantity: u32) {
    let command = At { place: place(name), command: inventory::Command::Receive { quantity } };
    send::<Stock>(store, stock(name), command).await;
}

fn order_for(number: u128, expected: &[(&str, u32)]) -> order::Command {
    let lines = (1..).zip(expected).map(|(n, (name, quantity))| line(n, name, *quantity, 100)).collect();
    order::Command::Place(Placement {
        number: format!("S-{number}"),
        customer: guest(number),
        lines,
        country: "Austria".to_owned(),
        contact: contact(guest(number).subject()),
    })
}

pub(crate) async fn place_order(store: &EventStore, number: u128, expected: &[(&str, u32)]) -> Uuid {
    send::<Order>(store, uuid(number), order_for(number, expected)).await;
    uuid(number)
}

pub(crate) async fn status(store: &EventStore, order: Uuid) -> Status {
    store.load::<Order>(order).await.unwrap().0.status
}

pub(crate) async fn becomes(store: &EventStore, order: Uuid, expected: Status) {
    until(&format!("the order {expected}"), async || status(store, order).await == expected).await;
}

/// On hand and reserved.
pub(crate) async fn there(store: &EventStore, name: &str) -> (i64, i64) {
    let stock = store.load::<Stock>(stock(name)).await.unwrap().0;
    (stock.on_hand, stock.reserved)
}

/// Another reactor in its place: it has continued from there, and released the lease too.
async fn tries_again(shop: &Shop, store: &EventStore, run: Run) -> Run {
    let taken = async |sql: &str| shop.number("process", sql).await;
    let before = taken(&format!("SELECT max(epoch) FROM @leases WHERE name = '{NAME}'")).await;
    run.stop().await;
    let run = reactor(shop, store);
    let let_go =
        format!("SELECT coalesce(max(epoch), 0) FROM @leases WHERE name = '{NAME}' AND expires_at = 0");
    until("another reactor tries it and stops", async || taken(&let_go).await > before).await;
    run
}

/// Every event was read, and nothing is left to send.
pub(crate) async fn idle(shop: &Shop) {
    idle_of(shop, &[NAME]).await;
}

/// Waits until these have read the log to its end, and nothing is left to be sent.
pub(crate) async fn idle_of(shop: &Shop, followers: &[&str]) {
    until("the reactor has nothing to do", async || is_idle(shop, followers).await).await;
}

async fn is_idle(shop: &Shop, followers: &[&str]) -> bool {
    let (db, head) = (shop.db("process"), shop.log().head().await.unwrap());
    for follower in followers {
        let at = Checkpoint::load(&db, &db.connection, follower).await.unwrap().map(|(at, _)| at);
        if at.as_ref() != Some(&head) {
            return false;
        }
    }
    shop.number("process", "SELECT count(*) FROM @outbox").await == 0
}

async fn count(shop: &Shop, event: &str) -> i64 {
    shop.number("log", &format!("SELECT count(*) FROM @events WHERE event_type = '{event}'")).await
}

async fn expire_leases(shop: &Shop) {
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
}

async fn an_order_gets_its_stock_line_by_line_and_is_confirmed(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    receive(&store, "MUG", 5).await;
    receive(&store, "CUP", 5).await;
    let order = place_order(&store, 1, &[("MUG", 2), ("CUP", 1), ("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    assert_eq!((there(&store, "MUG").await, there(&store, "CUP").await), ((5, 3), (5, 1)));
    idle(&shop).await;
    assert_eq!(shop.number("process", "SELECT count(*) FROM @timeouts").await, 0);
    assert_eq!(count(&shop, "StockReserved").await, 3);
    run.stop().await;
}

async fn an_order_with_an_unavailable_line_is_released_and_refused(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    receive(&store, "CUP", 1).await;
    let order = place_order(&store, 1, &[("MUG", 2), ("CUP", 2), ("MUG", 1)]).await;
    let run = reactor(&shop, &store);
    becomes(&store, order, Status::Refused).await;
    idle(&shop).await;
    assert_eq!((there(&store, "MUG").await, there(&store, "CUP").await), ((5, 0), (1, 0)));
    let refusal = store.load::<Order>(order).await.unwrap().0.refusal.unwrap();
    assert_eq!((refusal.line, refusal.sku, refusal.reason.as_str()), (2, sku("CUP"), "insufficient-stock"));
    run.stop().await;
}

async fn a_cancelled_order_gives_its_stock_back(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    receive(&store, "MUG", 5).await;
    let confirmed = place_order(&store, 1, &[("MUG", 2)]).await;
    becomes(&store, confirmed, Status::Confirmed).await;
    let early = place_order(&store, 2, &[("MUG", 1), ("MUG", 1)]).await;
    for order in [early, confirmed] {
        send::<Order>(&store, order, order::Command::Cancel { reason: "a-test".to_owned() }).await;
    }
    idle(&shop).await;
    until("the stock is back", async || there(&store, "MUG").await == (5, 0)).await;
    assert_eq!(
        (status(&store, early).await, status(&store, confirmed).await),
        (Status::Cancelled, Status::Cancelled)
    );
    run.stop().await;
}

async fn a_shipped_order_ships_its_reserved_stock(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    receive(&store, "MUG", 5).await;
    let order = place_order(&store, 1, &[("MUG", 2), ("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    send::<Order>(&store, order, order::Command::Ship).await;
    until("it is shipped", async || there(&store, "MUG").await == (2, 0)).await;
    idle(&shop).await;
    assert_eq!(count(&shop, "StockShipped").await, 2);
    run.stop().await;
}

/// An event that makes the stock of a SKU unusable for this release.
pub(crate) async fn jam(shop: &Shop, writer: &mut Writer, name: &str) {
    let payload = r#"{"StockCounted":{}}"#.to_owned();
    let (stream, event_type) = (stock(name).to_string(), "StockCounted".to_owned());
    writer
        .raw(Raw { aggregate_type: "stock", stream, event_type, event_version: "1".to_owned(), payload })
        .await;
    assert!(shop.log().head().await.unwrap().position > 0);
}

async fn an_order_that_waits_too_long_is_refused_and_releases_its_stock(shop: Shop) {
    begin(&shop).await;
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    receive(&store, "MUG", 5).await;
    jam(&shop, &mut writer, "CUP").await;
    let order = place_order(&store, 1, &[("MUG", 2), ("CUP", 1), ("MUG", 1)]).await;
    let run = reactor(&shop, &store);
    until("the first line is reserved", async || there(&store, "MUG").await == (5, 2)).await;
    assert_eq!(status(&store, order).await, Status::Placed);
    shop.run("process", "UPDATE @timeouts SET due_at = 1").await;
    becomes(&store, order, Status::Refused).await;
    until("the first line is given back", async || there(&store, "MUG").await == (5, 0)).await;
    let refusal = store.load::<Order>(order).await.unwrap().0.refusal.unwrap();
    assert_eq!(refusal.reason, "timed-out");
    run.stop().await;
}

async fn a_timeout_fires_only_after_every_earlier_event_was_read(shop: Shop) {
    begin(&shop).await;
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    receive(&store, "MUG", 5).await;
    jam(&shop, &mut writer, "CUP").await;
    let order = place_order(&store, 1, &[("CUP", 1)]).await;
    let run = reactor(&shop, &store);
    until("it waits", async || shop.number("process", "SELECT count(*) FROM @timeouts").await == 1).await;
    run.stop().await;
    // It is cancelled while no reactor runs, behind many other events; and its timeout is overdue.
    writer.all((0..6_000).map(|n| raw(uuid(10_000 + n % 100), received("TRAY", 1))).collect()).await;
    send::<Order>(&store, order, order::Command::Cancel { reason: "a-test".to_owned() }).await;
    shop.run("process", "UPDATE @timeouts SET due_at = 1").await;
    let run = reactor(&shop, &store);
    until("the cancellation was read", async || {
        shop.number("process", "SELECT count(*) FROM @timeouts").await == 0
    })
    .await;
    let sql = "SELECT count(*) FROM @instances WHERE state LIKE '%ended%'";
    assert_eq!(shop.number("process", sql).await, 1, "the cancellation came first");
    let refused = "SELECT count(*) FROM @outbox WHERE task LIKE '%refuse%'";
    assert_eq!(shop.number("process", refused).await, 0);
    run.stop().await;
}

/// The invariants at the end: no order half done, and no stock reserved twice or left reserved.
async fn assert_sound(shop: &Shop, store: &EventStore, orders: &[Uuid]) -> HashMap<Uuid, Status> {
    let log = shop.log();
    let mut reserved: HashMap<(OrderId, u32), i32> = HashMap::new();
    let mut settled: HashMap<Uuid, i32> = HashMap::new();
    for row in log.read(1, 1_000_000).await.unwrap() {
        let Some(Ok(recorded)) = log.decode_row(row) else { continue };
        match recorded.event {
            Event::Stock(inventory::Event::StockReserved { order_id, line, .. }) => {
                *reserved.entry((order_id, line)).or_default() += 1;
            }
            Event::Order(order::Event::OrderConfirmed {} | order::Event::OrderRefused { .. }) => {
                *settled.entry(recorded.stream).or_default() += 1;
            }
            _ => {}
        }
    }
    assert!(reserved.values().all(|times| *times == 1), "a line was reserved twice");
    assert!(settled.values().all(|times| *times == 1), "an order was settled twice");
    let (mut statuses, mut promised) = (HashMap::new(), HashMap::<String, i64>::new());
    for order in orders {
        let state = store.load::<Order>(*order).await.unwrap().0;
        if state.status == Status::Confirmed {
            for line in state.placed.unwrap().lines {
                *promised.entry(line.sku.to_string()).or_default() += i64::from(line.quantity);
            }
        }
        statuses.insert(*order, state.status);
    }
    for name in ["MUG", "CUP"] {
        let (on_hand, reserved) = there(store, name).await;
        assert_eq!(reserved, promised.get(name).copied().unwrap_or(0), "{name}: what confirmed orders hold");
        assert!(reserved <= on_hand, "{name} is oversold");
    }
    statuses
}

/// Whether another process could open the log to write. (On PostgreSQL any number may.)
fn has_no_owner(shop: &Shop) -> bool {
    let DatabaseLocation::Sqlite(folder) = &shop.place else { return true };
    std::fs::File::open(folder.join("log.lock")).unwrap().try_lock().is_ok()
}

/// Kills a reactor after a random number of events, or once it has nothing to do, and gives the store of another process.
pub(crate) async fn killed_at_some_moment(
    shop: &Shop,
    store: EventStore,
    run: Run,
    random: &mut u64,
    followers: &[&str],
) -> EventStore {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let enough = shop.log().head().await.unwrap().position + i64::try_from(*random % 12).unwrap();
    until("it has appended some events, or has nothing to do", async || {
        shop.log().head().await.unwrap().position >= enough || is_idle(shop, followers).await
    })
    .await;
    run.kill().await;
    expire_leases(shop).await;
    store.close().await;
    // The killed one may still hold the log for a moment.
    until("the log has no owner", async || has_no_owner(shop)).await;
    shop.store()
}

async fn killed_at_any_step_it_ends_in_the_same_state_and_nothing_is_doubled(shop: Shop) {
    begin(&shop).await;
    let mut store = shop.store();
    receive(&store, "MUG", 90).await;
    receive(&store, "CUP", 30).await;
    let mut orders = Vec::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..50_u128 {
        orders.push(place_order(&store, 2 * round + 1, &[("MUG", 1), ("CUP", 1), ("MUG", 1)]).await);
        orders.push(place_order(&store, 2 * round + 2, &[("CUP", 1)]).await);
        if round % 5 == 0 {
            // It may be at any point just now.
            let early = orders[orders.len() / 2];
            drop(
                store
                    .execute::<Order>(
                        early,
                        order::Command::Cancel { reason: "a-test".to_owned() },
                        context(),
                    )
                    .await,
            );
        }
        let run = reactor(&shop, &store);
        store = killed_at_some_moment(&shop, store, run, &mut random, &[NAME]).await;
    }
    let run = reactor(&shop, &store);
    idle(&shop).await;
    run.stop().await;
    let statuses = assert_sound(&shop, &store, &orders).await;
    assert!(
        statuses.values().all(|status| *status != Status::Placed),
        "every order was settled: {statuses:?}"
    );
    let confirmed = statuses.values().filter(|status| **status == Status::Confirmed).count();
    assert!(confirmed > 10, "{confirmed}");
}

async fn a_refused_command_stays_refused(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "CUP", 1).await;
    let order = place_order(&store, 1, &[("CUP", 2)]).await;
    let run = reactor(&shop, &store);
    becomes(&store, order, Status::Refused).await;
    idle(&shop).await;
    run.stop().await;
    let events = shop.log().head().await.unwrap().position;
    // The process's state is restored from a backup, and by now there would be enough stock.
    for table in ["instances", "outbox", "timeouts", "checkpoints"] {
        shop.run("process", &format!("DELETE FROM @{table}")).await;
    }
    let start = Checkpoint::start();
    let db = shop.db("process");
    start.begin(&db, &db.connection, NAME).await.unwrap();
    receive(&store, "CUP", 10).await;
    let run = reactor(&shop, &store);
    idle(&shop).await;
    run.stop().await;
    assert_eq!(shop.log().head().await.unwrap().position, events + 1, "nothing was done again");
    assert_eq!(there(&store, "CUP").await, (11, 0));
}

async fn a_reactor_before_another_history_stops_and_sends_nothing(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    receive(&store, "MUG", 5).await;
    let order = place_order(&store, 1, &[("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    idle(&shop).await;
    let was = shop.log().head().await.unwrap();
    run.stop().await;
    store.close().await;
    shop.run("log", "DELETE FROM @events WHERE position > 1").await;
    shop.run("log", "DELETE FROM @commands").await;
    shop.run("log", "DELETE FROM @claims").await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    for number in 2..8 {
        place_order(&store, number, &[("MUG", 1)]).await;
    }
    let run = tries_again(&shop, &store, run).await;
    let db = shop.db("process");
    let at = Checkpoint::load(&db, &db.connection, NAME).await.unwrap().unwrap().0;
    assert_eq!(at, was);
    assert_eq!(there(&store, "MUG").await, (5, 0));
    run.stop().await;
}

async fn an_event_of_a_newer_release_stops_the_reactor_after_earlier_events(shop: Shop) {
    begin(&shop).await;
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    // More commands than there are attempts in the time of a test.
    let names: Vec<String> = (0..24).map(|n| format!("MUG-{n}")).collect();
    for name in &names {
        receive(&store, name, 5).await;
    }
    let expected: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let order = place_order(&store, 1, &expected).await;
    let unknown = Raw {
        aggregate_type: "order",
        stream: uuid(2).to_string(),
        event_type: "OrderPlaced".to_owned(),
        event_version: "2".to_owned(),
        payload: r#"{"OrderPlaced":{}}"#.to_owned(),
    };
    let at = writer.raw(unknown).await;
    place_order(&store, 3, &[("MUG-1", 1)]).await;
    let run = reactor(&shop, &store);
    becomes(&store, order, Status::Confirmed).await;
    let run = tries_again(&shop, &store, run).await;
    let db = shop.db("process");
    let checkpoint = Checkpoint::load(&db, &db.connection, NAME).await.unwrap().unwrap().0;
    assert_eq!(checkpoint.position, at - 1);
    assert_eq!(status(&store, uuid(3)).await, Status::Placed);
    run.stop().await;
}

async fn an_unavailable_key_store_stops_no_process(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 5).await;
    let run = reactor(&shop, &store);
    let first = place_order(&store, 1, &[("MUG", 1)]).await;
    becomes(&store, first, Status::Confirmed).await;
    let second = place_order(&store, 2, &[("MUG", 1)]).await;
    shop.run("keys", "DELETE FROM @data_keys").await;
    becomes(&store, second, Status::Confirmed).await;
    run.stop().await;
}

async fn a_command_of_a_process_names_its_cause_and_customer(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    let run = reactor(&shop, &store);
    receive(&store, "MUG", 5).await;
    let order = place_order(&store, 1, &[("MUG", 1)]).await;
    becomes(&store, order, Status::Confirmed).await;
    run.stop().await;
    let rows = shop.log().read(1, 10).await.unwrap();
    let placed = rows.iter().find(|row| row.event_type == "OrderPlaced").unwrap().event_id;
    for name in ["StockReserved", "OrderConfirmed"] {
        let row = rows.iter().find(|row| row.event_type == name).unwrap();
        let metadata: Metadata = serde_json::from_str(&row.metadata).unwrap();
        assert_eq!(metadata.correlation_id, Some(uuid(77)));
        assert_eq!(metadata.causation_id, Some(placed));
        assert_eq!(metadata.actor().unwrap().to_string(), "system:fulfilment");
        assert_eq!(metadata.on_behalf_of.as_deref(), Some("guest:7"));
        assert_eq!(metadata.channel, Some(Channel::Process));
    }
}

async fn a_reactor_that_lost_its_lease_changes_nothing(shop: Shop) {
    begin(&shop).await;
    let store = shop.store();
    receive(&store, "MUG", 1_000).await;
    let (one, other) = (reactor(&shop, &store), reactor(&shop, &store));
    let mut orders = Vec::new();
    for number in 1..=60 {
        orders.push(place_order(&store, number, &[("MUG", 1), ("MUG", 2)]).await);
        if number % 10 == 0 {
            // Now two of them believe that they hold it.
            expire_leases(&shop).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    idle(&shop).await;
    one.stop().await;
    other.stop().await;
    let statuses = assert_sound(&shop, &store, &orders).await;
    assert!(statuses.values().all(|status| *status == Status::Confirmed), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_units_for_two_hundred_buyers_over_two_processes_confirm_twenty_orders() {
    let shop = Shop::postgres().await;
    begin(&shop).await;
    let stores = [shop.store(), shop.store()];
    receive(&stores[0], "MUG", 20).await;
    receive(&stores[1], "CUP", 1_000).await;
    let runs = [reactor(&shop, &stores[0]), reactor(&shop, &stores[1])];
    let mut buyers = tokio::task::JoinSet::new();
    for number in 1..=200 {
        let store = stores[usize::try_from(number % 2).unwrap()].clone();
        buyers.spawn(async move { place_order(&store, number, &[("CUP", 1), ("MUG", 1)]).await });
    }
    let orders = buyers.join_all().await;
    // Half way, the active one loses its lease.
    until("some are settled", async || count(&shop, "OrderConfirmed").await > 5).await;
    expire_leases(&shop).await;
    idle(&shop).await;
    for run in runs {
        run.stop().await;
    }
    let statuses = assert_sound(&shop, &stores[0], &orders).await;
    let confirmed = statuses.values().filter(|status| **status == Status::Confirmed).count();
    let refused = statuses.values().filter(|status| **status == Status::Refused).count();
    assert_eq!((confirmed, refused), (20, 180));
    assert_eq!(there(&stores[1], "MUG").await, (20, 20));
}
