//! The process manager that ends carts in which nothing was changed for too long.

use soonshop_domain::cart::{CHANNEL, Cart, Command, NewLine, Seen, Status};
use soonshop_domain::ids::ProductId;
use soonshop_domain::process_managers::{self, Settings};
use soonshop_domain::{Currency, Money};
use soonshop_event_store::EventStore;
use soonshop_workers::reactor::begin;
use uuid::Uuid;

use crate::fixture::{Shop, on_both, until};
use crate::history::{guest, sku, uuid};
use crate::reacting::{Run, reactors, send};

on_both!(
    a_cart_expires_once_nothing_was_changed_in_it_for_the_days_that_are_set,
    a_change_begins_the_days_of_a_cart_anew_also_if_no_reactor_ran_when_it_came,
);

const NAME: &str = "cart-expiry";

fn line(quantity: u32) -> NewLine {
    let seen = Seen { name: "Mug".to_owned(), price: Money::new(100, Currency::GBP) };
    NewLine { sku: sku("MUG"), product_id: ProductId(uuid(3)), quantity, note: None, seen }
}

async fn started(store: &EventStore, number: u128) -> Uuid {
    let command = Command::Start { channel: CHANNEL.to_owned(), customer: guest(number), line: line(1) };
    send::<Cart>(store, uuid(number), command).await;
    uuid(number)
}

async fn runs(shop: &Shop, store: &EventStore) -> Run {
    begin(&shop.log(), &shop.db("process"), NAME, None).await.unwrap();
    let settings = Settings { cart_days: 30, ..Settings::default() };
    let all = process_managers::all(&settings).into_iter().filter(|process| process.name() == NAME);
    reactors(shop, store, all.collect())
}

/// In how many whole days the cart is to expire.
async fn days_left(shop: &Shop) -> i64 {
    let now = shop.db("process").now();
    let days = format!("SELECT max((due_at - {now}) / 86400000) FROM @timeouts WHERE process = '{NAME}'");
    shop.number("process", &days).await
}

async fn waits(shop: &Shop) {
    let waiting = format!("SELECT count(*) FROM @timeouts WHERE process = '{NAME}'");
    until("it has a timeout", async || shop.number("process", &waiting).await == 1).await;
}

async fn its_time_is_up(shop: &Shop) {
    shop.run("process", &format!("UPDATE @timeouts SET due_at = 1 WHERE process = '{NAME}'")).await;
}

async fn is(store: &EventStore, cart: Uuid, expected: Status) {
    until(&format!("the cart is {expected}"), async || {
        store.load::<Cart>(cart).await.unwrap().0.status == expected
    })
    .await;
}

async fn a_cart_expires_once_nothing_was_changed_in_it_for_the_days_that_are_set(shop: Shop) {
    let store = shop.store();
    let run = runs(&shop, &store).await;
    let cart = started(&store, 1).await;
    waits(&shop).await;
    assert_eq!(days_left(&shop).await, 29, "thirty days less a moment");
    its_time_is_up(&shop).await;
    is(&store, cart, Status::Expired).await;
    let rows = shop.log().read(1, 20).await.unwrap();
    let expired = rows.iter().find(|row| row.event_type == "CartExpired").unwrap();
    assert!(expired.metadata.contains("cart-expiry") && expired.metadata.contains("cart.expire"));
    // Its owner may start another one.
    send::<Cart>(
        &store,
        uuid(2),
        Command::Start { channel: CHANNEL.to_owned(), customer: guest(1), line: line(1) },
    )
    .await;
    run.stop().await;
}

async fn a_change_begins_the_days_of_a_cart_anew_also_if_no_reactor_ran_when_it_came(shop: Shop) {
    let store = shop.store();
    let run = runs(&shop, &store).await;
    let cart = started(&store, 1).await;
    waits(&shop).await;
    run.stop().await;
    its_time_is_up(&shop).await;
    send::<Cart>(&store, cart, Command::Add { line: line(1) }).await;
    let run = runs(&shop, &store).await;
    until("the days count from the change", async || days_left(&shop).await == 29).await;
    assert_eq!(store.load::<Cart>(cart).await.unwrap().0.status, Status::Open);
    run.stop().await;
}
