//! What a process may have: several timeouts with names, and tasks of several commands that are done in one append.

use std::sync::Arc;

use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory;
use soonshop_domain::order::{self, Order, Status};
use soonshop_domain::process::{self, Input, ProcessManager, Target, Wake, command_id, timeout_id};
use soonshop_domain::{Command, Event};
use soonshop_event_store::EventStore;
use soonshop_projections::processes::{self, Key};
use soonshop_workers::reactor;
use uuid::Uuid;

use crate::fixture::{Shop, Writer, on_both, until};
use crate::history::{place, stock};
use crate::reacting::{self, Run, becomes, begin, place_order, reactors, receive, send, status, there};

on_both!(
    each_timeout_of_an_instance_is_set_cancelled_and_fires_by_its_name_alone,
    a_timeout_that_a_release_before_names_set_fires_as_the_first_of_its_process,
    a_timeout_that_this_release_does_not_know_stops_its_process_alone,
    the_commands_of_a_task_are_done_in_one_append,
    a_task_whose_second_command_is_refused_does_nothing_and_is_refused_as_one,
);

/// Confirms an order together with the reservation of its first line.
struct Joining;

const COMPLETE: &str = "complete";
const CANCEL: &str = "cancel";

impl ProcessManager for Joining {
    /// Why the last command was refused.
    type State = String;
    type Task = String;

    const NAME: &'static str = "joining";
    const FOLLOWS: &'static [&'static str] = &["order"];
    const STEPS: &'static [&'static str] = &["new", "refused"];
    const TIMEOUTS: &'static [&'static str] = &["hold", "expiry", "ask"];

    fn instance(&self, stream: Uuid, _: &Event) -> Option<String> {
        Some(stream.to_string())
    }

    fn react(&self, state: &mut String, input: Input<'_, String>) -> process::Reaction<String> {
        let wake = |name, seconds| Wake { name, seconds };
        let nothing = process::Reaction::default();
        match input {
            Input::Event { event: Event::Order(order::Event::OrderPlaced { .. }), .. } => process::Reaction {
                wake_after: vec![wake("hold", 1_000), wake("expiry", 2_000), wake("ask", 3_000)],
                ..nothing
            },
            Input::Event { event: Event::Order(order::Event::OrderConfirmed {}), .. } => process::Reaction {
                stop_waiting: vec!["ask"],
                wake_after: vec![wake("expiry", 9_000)],
                ..nothing
            },
            Input::TimedOut { name: "hold" } => {
                process::Reaction { tasks: vec![COMPLETE.to_owned()], ..nothing }
            }
            Input::TimedOut { .. } => process::Reaction { tasks: vec![CANCEL.to_owned()], ..nothing },
            Input::Refused { slug, .. } => {
                slug.clone_into(state);
                nothing
            }
            Input::Event { .. } => nothing,
        }
    }

    fn purpose(task: &String) -> (&'static str, String) {
        (if task == COMPLETE { COMPLETE } else { CANCEL }, String::new())
    }

    fn targets(instance: &str, task: String) -> Option<Vec<Target>> {
        let id: Uuid = instance.parse().ok()?;
        let order =
            |command_type, command| Target { command_type, stream: id, command: Command::Order(command) };
        let reserve = inventory::Command::Reserve { order_id: OrderId(id), line: 1, quantity: 2 };
        let reserve = Command::Stock(inventory::At { place: place("MUG"), command: reserve });
        Some(match task.as_str() {
            COMPLETE => vec![
                order("order.confirm", order::Command::Confirm),
                Target { command_type: "stock.reserve", stream: stock("MUG"), command: reserve },
            ],
            _ => vec![order("order.cancel", order::Command::Cancel { reason: "a-test".to_owned() })],
        })
    }

    fn step(state: &String) -> &'static str {
        if state.is_empty() { "new" } else { "refused" }
    }

    fn subject(instance: &str) -> Option<(&'static str, Uuid)> {
        Some(("order", instance.parse().ok()?))
    }
}

async fn joining(shop: &Shop) -> (EventStore, Run) {
    reactor::begin(&shop.log(), &shop.db("process"), "joining", None).await.unwrap();
    let store = shop.store();
    let run = reactors(shop, &store, vec![Arc::new(Joining)]);
    (store, run)
}

/// How many timeouts are stored.
async fn waiting(shop: &Shop) -> i64 {
    shop.number("process", "SELECT count(*) FROM @timeouts").await
}

async fn due(shop: &Shop, name: &str) {
    shop.run("process", &format!("UPDATE @timeouts SET due_at = 1 WHERE name = '{name}'")).await;
}

async fn names(shop: &Shop, process: &str, order: Uuid) -> Vec<String> {
    let key = Key { process: process.to_owned(), instance: order.to_string() };
    let one = processes::show(&shop.db("process"), &key).await.unwrap().unwrap();
    assert_eq!(one.times_out_at, one.timeouts.first().map(|timeout| timeout.at));
    one.timeouts.into_iter().map(|timeout| timeout.name).collect()
}

async fn each_timeout_of_an_instance_is_set_cancelled_and_fires_by_its_name_alone(shop: Shop) {
    let (store, run) = joining(&shop).await;
    receive(&store, "MUG", 5).await;
    let (order, other) =
        (place_order(&store, 1, &[("MUG", 2)]).await, place_order(&store, 2, &[("MUG", 2)]).await);
    until("both wait", async || waiting(&shop).await == 6).await;
    assert_eq!(names(&shop, "joining", order).await, ["hold", "expiry", "ask"]);
    // One of them is cancelled, and one is set anew.
    send::<Order>(&store, order, order::Command::Confirm).await;
    until("one is cancelled", async || waiting(&shop).await == 5).await;
    assert_eq!(names(&shop, "joining", order).await, ["hold", "expiry"]);
    let later = "SELECT count(*) FROM @timeouts WHERE name = 'expiry' AND due_at > $";
    let later = later.replace('$', &format!("{} + 8000000", shop.db("process").now()));
    assert_eq!(shop.number("process", &later).await, 1, "the one that was set anew");
    assert_eq!(names(&shop, "joining", other).await, ["hold", "expiry", "ask"]);
    // One fires, of both; the others go on waiting.
    due(&shop, "expiry").await;
    becomes(&store, order, Status::Cancelled).await;
    becomes(&store, other, Status::Cancelled).await;
    until("they are gone", async || waiting(&shop).await == 3).await;
    assert_eq!(names(&shop, "joining", order).await, ["hold"]);
    assert_eq!(names(&shop, "joining", other).await, ["hold", "ask"]);
    run.stop().await;
}

async fn a_timeout_that_a_release_before_names_set_fires_as_the_first_of_its_process(shop: Shop) {
    begin(&shop).await;
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    reacting::jam(&shop, &mut writer, "CUP").await;
    let orders = [place_order(&store, 1, &[("CUP", 1)]).await, place_order(&store, 2, &[("CUP", 1)]).await];
    let run = reacting::reactor(&shop, &store);
    until("they wait", async || waiting(&shop).await == 2).await;
    // As a reactor of that release writes them.
    shop.run("process", "UPDATE @timeouts SET name = ''").await;
    assert_eq!(names(&shop, "fulfilment", orders[0]).await, ["confirmation"]);
    let sql = format!("UPDATE @timeouts SET due_at = 1 WHERE instance = '{}'", orders[0]);
    shop.run("process", &sql).await;
    becomes(&store, orders[0], Status::Refused).await;
    // Also one without a name is cancelled by its name.
    send::<Order>(&store, orders[1], order::Command::Cancel { reason: "x".to_owned() }).await;
    until("none waits", async || waiting(&shop).await == 0).await;
    run.stop().await;
}

async fn a_timeout_that_this_release_does_not_know_stops_its_process_alone(shop: Shop) {
    let (store, run) = joining(&shop).await;
    let order = place_order(&store, 1, &[("MUG", 2)]).await;
    until("it waits", async || waiting(&shop).await == 3).await;
    shop.run("process", "UPDATE @timeouts SET name = 'newer', due_at = 1 WHERE name = 'ask'").await;
    until("the process has stopped", async || {
        let sql = "SELECT count(*) FROM @processes WHERE state = 'stopped' AND reason LIKE '%newer%'";
        shop.number("process", sql).await == 1
    })
    .await;
    assert_eq!(waiting(&shop).await, 3, "it is kept for the release that knows it");
    assert_eq!(status(&store, order).await, Status::Placed);
    run.stop().await;
}

async fn the_commands_of_a_task_are_done_in_one_append(shop: Shop) {
    let (store, run) = joining(&shop).await;
    receive(&store, "MUG", 5).await;
    let order = place_order(&store, 1, &[("MUG", 2)]).await;
    until("it waits", async || waiting(&shop).await == 3).await;
    let set_by = shop.log().read(1, 9).await.unwrap().pop().unwrap().event_id;
    due(&shop, "hold").await;
    becomes(&store, order, Status::Confirmed).await;
    assert_eq!(there(&store, "MUG").await, (5, 2));
    let events = shop.log().read(1, 9).await.unwrap();
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["StockReceived", "OrderPlaced", "OrderConfirmed", "StockReserved"]);
    let id =
        command_id("joining", &order.to_string(), timeout_id(&Joining, set_by, "hold"), ("complete", ""));
    for event in &events[2..] {
        for part in ["system", "joining", "order.confirm", &id.to_string()] {
            assert!(event.metadata.contains(part), "{part}: {}", event.metadata);
        }
    }
    run.stop().await;
}

async fn a_task_whose_second_command_is_refused_does_nothing_and_is_refused_as_one(shop: Shop) {
    let (store, run) = joining(&shop).await;
    receive(&store, "MUG", 1).await;
    let order = place_order(&store, 1, &[("MUG", 2)]).await;
    until("it waits", async || waiting(&shop).await == 3).await;
    due(&shop, "hold").await;
    let refused = "SELECT count(*) FROM @instances WHERE refused_slug = 'insufficient-stock'";
    until("it is refused", async || shop.number("process", refused).await == 1).await;
    assert_eq!(status(&store, order).await, Status::Placed);
    assert_eq!(there(&store, "MUG").await, (1, 0));
    assert_eq!(shop.number("process", "SELECT count(*) FROM @outbox").await, 0);
    run.stop().await;
}
