//! Two aggregates in one append, of which the second may append nothing and still has a say.

use soonshop_domain::Purpose;
use soonshop_domain::ids::{self, GuestId, OrderId, UserId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace, stream};
use soonshop_domain::order::{
    self, CLAIMS_BY_ACCOUNT, ClaimedBy, Customer, Movement, ORDERS_BY_GUEST, Order, Status,
};
use soonshop_domain::product::{self, Details, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::person::{self, Person};
use soonshop_event_store::{EventStore, ExecuteError, Executed};
use uuid::Uuid;

use crate::fixture::{Fixture, context, on_both, place_order};

on_both! {
    a_sku_is_given_back_only_if_its_stock_is_empty_in_the_append_itself,
    stock_comes_in_only_if_the_product_holds_the_sku_in_the_append_itself,
    stock_comes_in_elsewhere_only_if_the_product_is_listed_in_the_append_itself,
    stock_is_moved_by_hand_only_if_the_order_is_so_far_in_the_append_itself,
    the_stocks_of_a_sku_are_found_at_every_location_through_an_index,
    an_order_is_claimed_only_by_an_account_that_nobody_erases_in_the_append_itself,
    claims_of_an_account_and_orders_of_a_guest_are_found_through_an_index,
}

fn sku() -> Sku {
    Sku::try_new("MUG").unwrap()
}

fn stock(command: inventory::Command) -> (Uuid, At) {
    let place = StockPlace { sku: sku(), location: MAIN.to_owned() };
    (stream(&sku(), MAIN), At { place, command })
}

/// A product that was deleted, and holds its SKU.
async fn deleted(store: &EventStore) -> Uuid {
    let id = ids::new();
    let details = Details { name: "Mug".to_owned(), ..Details::default() };
    let variants = vec![Variant { sku: sku(), price: None }];
    for command in [product::Command::Create { details, variants }, product::Command::Delete] {
        store.execute::<Product>(id, command, context()).await.unwrap();
    }
    id
}

async fn give_back(store: &EventStore, id: Uuid) -> Result<Executed, ExecuteError<product::Error>> {
    let release = product::Command::ReleaseSku { sku: sku() };
    let empty = stock(inventory::Command::BeEmpty);
    let refusal = |error| match error {
        inventory::Error::StockLeft { on_hand, reserved } => product::Error::StockLeft { on_hand, reserved },
        other => panic!("{other}"),
    };
    Box::pin(store.execute_joined::<Product, Stock>((id, release), empty, context(), refusal)).await
}

async fn receive(store: &EventStore, id: Uuid) -> Result<Executed, ExecuteError<inventory::Error>> {
    let hold = product::Command::HoldSku { sku: sku() };
    let received = stock(inventory::Command::Receive { quantity: 3 });
    let refusal = |_| inventory::Error::UnknownSku;
    Box::pin(store.execute_joined::<Stock, Product>(received, (id, hold), context(), refusal)).await
}

async fn a_sku_is_given_back_only_if_its_stock_is_empty_in_the_append_itself(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    let id = deleted(one).await;
    // One process has seen an empty stock, and another one receives.
    let (stream, empty) = stock(inventory::Command::BeEmpty);
    one.execute::<Stock>(stream, empty, context()).await.unwrap();
    receive(other, id).await.unwrap();
    let refused = give_back(one, id).await;
    let left = product::Error::StockLeft { on_hand: 3, reserved: 0 };
    assert!(matches!(&refused, Err(ExecuteError::Rejected(error)) if *error == left), "{refused:?}");
    let reason = "counted".to_owned();
    let (stream, gone) = stock(inventory::Command::Adjust { quantity: -3, reason });
    other.execute::<Stock>(stream, gone, context()).await.unwrap();
    give_back(one, id).await.unwrap();
}

async fn stock_comes_in_only_if_the_product_holds_the_sku_in_the_append_itself(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    let id = deleted(one).await;
    // One process has seen that the product holds it, and another one gives it back.
    one.execute::<Product>(id, product::Command::HoldSku { sku: sku() }, context()).await.unwrap();
    give_back(other, id).await.unwrap();
    let refused = receive(one, id).await;
    assert!(matches!(&refused, Err(ExecuteError::Rejected(inventory::Error::UnknownSku))), "{refused:?}");
    assert_eq!(one.version::<Stock>(stream(&sku(), MAIN)).await.unwrap(), 0);
}

async fn stock_comes_in_elsewhere_only_if_the_product_is_listed_in_the_append_itself(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    let id = ids::new();
    let details = Details { name: "Mug".to_owned(), ..Details::default() };
    let variants = vec![Variant { sku: sku(), price: None }];
    one.execute::<Product>(id, product::Command::Create { details, variants }, context()).await.unwrap();
    let place = StockPlace { sku: sku(), location: "leeds".to_owned() };
    let receive = async |store: &EventStore| {
        let received = At { place: place.clone(), command: inventory::Command::Receive { quantity: 3 } };
        let hold = product::Command::HoldListedSku { sku: sku() };
        let refusal = |error| match error {
            product::Error::ProductDeleted => inventory::Error::ProductDeleted,
            other => panic!("{other}"),
        };
        let first = (stream(&sku(), "leeds"), received);
        Box::pin(store.execute_joined::<Stock, Product>(first, (id, hold), context(), refusal)).await
    };
    receive(one).await.unwrap();
    other.execute::<Product>(id, product::Command::Delete, context()).await.unwrap();
    let refused = receive(one).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(inventory::Error::ProductDeleted))), "{refused:?}");
}

async fn stock_is_moved_by_hand_only_if_the_order_is_so_far_in_the_append_itself(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    let (order_id, guest) = (ids::new(), Customer::Guest(GuestId(ids::new())));
    let place = place_order(guest, "S-1");
    let order::Command::Place(placement) = &place else { unreachable!() };
    let ordered = placement.lines[0].clone();
    one.execute::<Order>(order_id, place.clone(), context()).await.unwrap();
    let at = |command| {
        let place = StockPlace { sku: ordered.sku.clone(), location: MAIN.to_owned() };
        (stream(&ordered.sku, MAIN), At { place, command })
    };
    let (id, receive) = at(inventory::Command::Receive { quantity: 9 });
    one.execute::<Stock>(id, receive, context()).await.unwrap();
    let (line, quantity) = (ordered.number, ordered.quantity);
    let moved = async |store: &EventStore, movement| {
        let order_id = OrderId(order_id);
        let command = match movement {
            Movement::Reserve { quantity } => inventory::Command::Reserve { order_id, line, quantity },
            Movement::Ship => inventory::Command::Ship { order_id, line },
            _ => inventory::Command::Release { order_id, line },
        };
        let agree = order::Command::MoveStock { line, sku: ordered.sku.clone(), movement };
        let second = (order_id.0, agree);
        Box::pin(store.execute_joined::<Stock, Order>(at(command), second, context(), Into::into)).await
    };
    let refused = |done: Result<Executed, _>, status| match done {
        Err(ExecuteError::Rejected(inventory::Error::Order(error))) => {
            assert_eq!(error, order::Error::WrongOrderState(status));
        }
        other => panic!("{other:?}"),
    };
    moved(one, Movement::Reserve { quantity }).await.unwrap();
    refused(moved(one, Movement::Ship).await, Status::Placed);
    refused(moved(one, Movement::Release).await, Status::Placed);
    // Another process goes on with the order.
    let cancel = order::Command::Cancel { reason: "changed-my-mind".to_owned() };
    other.execute::<Order>(order_id, cancel, context()).await.unwrap();
    refused(moved(one, Movement::Ship).await, Status::Cancelled);
    refused(moved(one, Movement::Reserve { quantity }).await, Status::Cancelled);
    moved(one, Movement::Release).await.unwrap();
}

async fn the_stocks_of_a_sku_are_found_at_every_location_through_an_index(shop: Fixture) {
    let store = shop.store();
    let send = async |sku: &str, location: &str, command: inventory::Command| {
        let place = StockPlace { sku: Sku::try_new(sku).unwrap(), location: location.to_owned() };
        let id = inventory::stream(&place.sku, location);
        store.execute::<Stock>(id, At { place, command }, context()).await.unwrap();
        id.to_string()
    };
    let receive = |quantity| inventory::Command::Receive { quantity };
    let mut mugs = Vec::new();
    for location in ["main", "leeds", "york"] {
        mugs.push(send("MUG", location, receive(3)).await);
    }
    // One that begins with another event, and what is no first event, or of another SKU.
    let bar = inventory::Command::Release { order_id: OrderId(ids::new()), line: 1 };
    mugs.push(send("MUG", "bath", bar).await);
    for _ in 0..200 {
        send("MUG", "leeds", receive(1)).await;
    }
    for number in 0..200 {
        send(&format!("CUP-{number}"), "main", receive(1)).await;
    }
    let [aggregate_type, field] = inventory::BY_SKU;
    let found = shop.log().first_with_field(aggregate_type, field, "MUG").await.unwrap();
    assert_eq!(found.iter().map(|event| event.aggregate_id.clone()).collect::<Vec<_>>(), mugs);
    assert_eq!(shop.log().first_with_field(aggregate_type, field, "mug").await.unwrap().len(), 0);
    let sql = shop.log().first_with_field_sql(aggregate_type, field).replace("$1", "'MUG'");
    let plan = shop.plan(&sql).await;
    assert!(plan.contains("stocks_by_sku"), "{plan}");
}

async fn an_order_is_claimed_only_by_an_account_that_nobody_erases_in_the_append_itself(shop: Fixture) {
    let stores = shop.stores();
    let (one, other) = (&stores[0], stores.last().unwrap());
    let (account, guest) = (ids::new(), GuestId(ids::new()));
    let order = ids::new();
    one.execute::<Order>(order, place_order(Customer::Guest(guest), "S-1"), context()).await.unwrap();
    // One process has seen that nobody erases the account, and another one asks for it.
    one.execute::<Person>(account, person::Command::TakeOver { purpose: None }, context()).await.unwrap();
    let purposes = vec![Purpose::Invoice];
    other.execute::<Person>(account, person::Command::RequestErasure { purposes }, context()).await.unwrap();
    let command = order::Command::Claim { account: UserId(account), by: ClaimedBy::Token, guest };
    let (first, second) = ((order, command), (account, person::Command::TakeOver { purpose: None }));
    let refusal = order::Error::Person;
    let refused = Box::pin(one.execute_joined::<Order, Person>(first, second, context(), refusal)).await;
    let gone = order::Error::Person(person::Error::PersonErased);
    assert!(matches!(&refused, Err(ExecuteError::Rejected(error)) if *error == gone), "{refused:?}");
    assert_eq!(one.version::<Order>(order).await.unwrap(), 1);
}

async fn claims_of_an_account_and_orders_of_a_guest_are_found_through_an_index(shop: Fixture) {
    let store = shop.store();
    let (account, other, guest) = (UserId(ids::new()), UserId(ids::new()), GuestId(ids::new()));
    let place = async |customer, number: usize| {
        let order = ids::new();
        store
            .execute::<Order>(order, place_order(customer, &format!("S-{number}")), context())
            .await
            .unwrap();
        order
    };
    let claim = async |order, account, guest| {
        let claim = order::Command::Claim { account, by: ClaimedBy::Token, guest };
        store.execute::<Order>(order, claim, context()).await.unwrap();
    };
    let mut orders = Vec::new();
    for number in 0..3 {
        orders.push(place(Customer::Guest(guest), number).await);
    }
    claim(orders[0], account, guest).await;
    claim(orders[1], account, guest).await;
    for number in 3..200 {
        // What else there is: orders of users, and claims of others.
        let stranger = GuestId(ids::new());
        place(Customer::User(account), number * 2).await;
        claim(place(Customer::Guest(stranger), number * 2 + 1).await, other, stranger).await;
    }
    let names = |orders: &[Uuid]| orders.iter().map(ToString::to_string).collect::<Vec<_>>();
    let log = shop.log();
    for (path, value, expected, index) in [
        (CLAIMS_BY_ACCOUNT, account.0, &orders[..2], "orders_by_account"),
        (ORDERS_BY_GUEST, guest.0, &orders[..], "orders_by_guest"),
    ] {
        let found = log.with_field(path, &value.to_string()).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|event| event.aggregate_id).collect();
        assert_eq!(found, names(expected));
        let unknown = ids::new().to_string();
        assert_eq!(log.with_field(path, &unknown).await.unwrap().len(), 0);
        let some = [unknown, value.to_string()];
        assert_eq!(log.values_of_field(path, &some).await.unwrap(), some[1..]);
        let plan = shop.plan(&log.with_field_sql(path).replace("$1", &format!("'{value}'"))).await;
        assert!(plan.contains(index), "{plan}");
    }
    assert_eq!(log.of_type("order", &orders[0].to_string(), "OrderClaimed").await.unwrap().len(), 1);
    assert_eq!(log.of_type("order", &orders[2].to_string(), "OrderClaimed").await.unwrap().len(), 0);
}
