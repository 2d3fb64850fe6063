//! Two aggregates in one append, of which the second may append nothing and still has a say.

use soonshop_domain::ids;
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace, stream};
use soonshop_domain::product::{self, Details, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_event_store::{EventStore, ExecuteError, Executed};
use uuid::Uuid;

use crate::fixture::{Fixture, context, on_both};

on_both! {
    a_sku_is_given_back_only_if_its_stock_is_empty_in_the_append_itself,
    stock_comes_in_only_if_the_product_holds_the_sku_in_the_append_itself,
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
