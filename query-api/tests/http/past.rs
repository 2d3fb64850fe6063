//! States of the past.

use serde_json::{Value, json};
use soonshop_domain::ids;
use soonshop_domain::order::Order;
use soonshop_domain::product::{self, Product};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Purpose, inventory};
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use crate::shop::*;

#[tokio::test]
async fn a_past_state_is_found_by_version_position_or_time() {
    let shop = Shop::open().await;
    shop.user("Nobody", "UK").await;
    let id = shop.product("Mug", &["mug"], None).await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 5 }).await;
    let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(777) };
    shop.command::<Product>(id, price).await;
    shop.command::<Product>(id, product::Command::Delete).await;
    shop.user("Last", "UK").await;
    let path = format!("/products/{id}");
    let as_of = |point: &str| format!("{path}?as_of={point}");

    let got = shop.get(&as_of("v:1")).await;
    let then = got.ok();
    assert_eq!(then["state"]["variants"][0]["price"]["amount"], 500);
    assert_eq!(
        (&then["version"], &then["position"], &then["as_of_position"]),
        (&json!(1), &json!(2), &json!(2))
    );
    assert_eq!(
        (&then["event"]["type"], got.header("etag"), got.header("event-position")),
        (&json!("ProductCreated"), "\"1\"", "main:2")
    );
    assert_eq!(then["erased"], false);
    // Between two of its events, the state is that after the first one.
    let then = shop.get(&as_of("p:3")).await.ok();
    assert_eq!(
        (&then["version"], &then["position"], &then["as_of_position"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let then = shop.get(&as_of("p:4")).await.ok();
    assert_eq!(
        (&then["version"], &then["state"]["variants"][0]["price"]["amount"]),
        (&json!(2), &json!(777))
    );
    let then = shop.get(&as_of("p:6")).await.ok();
    assert_eq!((&then["version"], &then["state"]["status"]), (&json!(3), &json!("deleted")));

    // A moment means the recorded time; of two events recorded at it, the later one is included.
    let events = shop.store.log().read(1, 100).await.unwrap();
    for event in &events {
        let known = events.iter().rfind(|other| other.recorded_at <= event.recorded_at).unwrap();
        let moment = event.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let by_time = shop.get(&as_of(&moment)).await;
        let by_position = shop.get(&as_of(&format!("p:{}", known.position))).await;
        assert_eq!(by_time.json()["as_of_position"], by_position.json()["as_of_position"]);
        assert_eq!(by_time.json()["state"], by_position.json()["state"]);
        // Until a later one is recorded, more events may get this time.
        let settled = event.recorded_at < events.last().unwrap().recorded_at;
        if by_time.status == 200 {
            let cache = if settled { "private, no-cache" } else { "no-store" };
            assert_eq!(by_time.header("cache-control"), cache, "{moment}");
        }
    }
    let future = shop.get(&as_of("2999-01-01T00:00:00Z")).await;
    assert_eq!((&future.ok()["as_of_position"], future.header("cache-control")), (&json!(6), "no-store"));

    for (point, slug) in [
        ("p:0", "not-yet-there"),
        ("p:1", "not-yet-there"),
        ("p:7", "not-yet-there"),
        ("v:4", "not-yet-there"),
        ("2001-01-01", "not-yet-there"),
    ] {
        assert_eq!(shop.get(&as_of(point)).await.refused(), (404, slug.into()), "{point}");
    }
    assert_eq!(
        shop.get(&format!("/products/{}?as_of=v:1", Uuid::nil())).await.refused(),
        (404, "not-found".into())
    );
    let got = shop.get("/inventory/mug?as_of=v:1").await.ok();
    assert_eq!((&got["state"]["on_hand"], &got["event"]["type"]), (&json!(5), &json!("StockReceived")));
    assert_eq!(
        shop.get("/inventory/mug?as_of=v:1&location=north").await.refused(),
        (404, "not-found".into())
    );
    // Read models are not used: the log itself must have reached the position.
    let got = shop.get_with(&as_of("v:1"), &[("event-position", "main:7"), ("prefer", "wait=0")]).await;
    assert_eq!((got.refused().1.as_str(), &got.json()["projection"]), ("read-model-behind", &json!("log")));
    let headers = [("event-position", "main:7"), ("prefer", "wait=20")];
    let path = as_of("p:7");
    let (got, _) = tokio::join!(shop.get_with(&path, &headers), shop.user("New", "UK"));
    assert_eq!(got.ok()["version"], 3);
}

#[tokio::test]
async fn erased_values_are_erased_in_past_states_too() {
    let shop = Shop::open().await;
    let ada = shop.user("Ada", "UK").await;
    let buyer = ids::new();
    let order = ids::new();
    shop.command::<Order>(order, place_of("A1", user_id(buyer), vec![line(1, "mug", 1, 1)], "UK")).await;
    let user = format!("/users/{ada}?as_of=v:1");
    let then = shop.get_as(Role::Admin, &user).await.ok();
    assert_eq!((&then["state"]["name"], &then["state"]["email"]), (&json!("Ada"), &json!("Ada@example.org")));
    assert_eq!((&then["state"]["country"], &then["erased"]), (&json!("UK"), &json!(false)));
    let placed = format!("/orders/{order}?as_of=v:1");
    let then = shop.get_as(Role::Admin, &placed).await.ok();
    assert_eq!(then["state"]["placed"]["contact"]["name"], "Ada");

    shop.command::<User>(ada, user::Command::Delete).await;
    shop.erase(ada, &[Purpose::Account]).await;
    let got = shop.get_as(Role::Admin, &user).await;
    let then = got.ok();
    assert_eq!(
        (&then["state"]["name"], &then["state"]["country"], &then["erased"]),
        (&Value::Null, &json!("UK"), &json!(true))
    );
    assert!(!got.text.contains("Ada") && !got.text.contains("eyJ"));
    assert_eq!(shop.get(&user).await.ok(), then, "nobody sees more or less of what was erased");
    assert_eq!(shop.get(&placed).await.ok()["erased"], false, "another purpose, and another person");
    shop.erase(buyer, &[Purpose::Invoice]).await;
    let then = shop.get_as(Role::Admin, &placed).await.ok();
    assert_eq!((&then["state"]["placed"]["contact"]["name"], &then["erased"]), (&Value::Null, &json!(true)));
    let order = shop.see_as(Role::Admin, &format!("/orders/{order}"), &[]).await.ok();
    assert_eq!(order["contact"]["name"], Value::Null);
}

/// An erasure does not change the version, so a conditional request must not be answered with "not modified".
#[tokio::test]
async fn erasable_states_are_never_answered_as_not_modified() {
    let shop = Shop::open().await;
    let (buyer, order) = (ids::new(), ids::new());
    shop.command::<Order>(order, place_of("A1", user_id(buyer), vec![line(1, "mug", 1, 1)], "UK")).await;
    let path = format!("/orders/{order}");
    let got = shop.see_as(Role::Admin, &path, &[]).await;
    assert_eq!((&got.ok()["contact"]["name"], got.header("etag")), (&json!("Ada"), "\"1\""));
    shop.erase(buyer, &[Purpose::Invoice]).await;
    shop.see(&path).await;
    for (path, name) in
        [(path.clone(), "/contact/name"), (format!("{path}?as_of=v:1"), "/state/placed/contact/name")]
    {
        let got = shop.get_with(&path, &[("if-none-match", "\"1\"")]).await;
        assert_eq!((got.header("etag"), got.ok().pointer(name)), ("\"1\"", Some(&Value::Null)));
    }
}

#[tokio::test]
async fn an_unavailable_key_store_is_not_mistaken_for_an_erasure() {
    let shop = Shop::open().await;
    let ada = shop.user("Ada", "UK").await;
    let path = format!("/users/{ada}?as_of=v:1");
    let keys = shop.database.namespace("keys").unwrap();
    shop.sql(&keys, "DELETE FROM @data_keys").await;
    shop.store.keys().store().evict(&format!("{ada}.account"));
    assert_eq!(shop.get(&path).await.refused(), (503, "history-unreadable".into()));
    shop.sql(
        &keys,
        if keys.backend() == sea_orm::DatabaseBackend::Postgres {
            "DROP TABLE @data_keys"
        } else {
            "DROP TABLE data_keys"
        },
    )
    .await;
    assert_eq!(shop.get(&path).await.refused(), (503, "key-store-unavailable".into()));
}

#[tokio::test]
async fn a_history_of_thousands_of_events_is_folded() {
    let shop = Shop::without_projectors().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    let receiving =
        (0..2_500).map(|_| shop.stock("mug", "main", inventory::Command::Receive { quantity: 1 }));
    futures::future::join_all(receiving).await;
    for version in [1, 999, 1_000, 1_001, 2_000, 2_500] {
        let then = shop.get(&format!("/inventory/mug?as_of=v:{version}")).await.ok();
        assert_eq!((&then["state"]["on_hand"], &then["version"]), (&json!(version), &json!(version)));
    }
    let then = shop.get("/inventory/mug?as_of=p:1000").await.ok();
    assert_eq!(then["version"], 1_000);
    assert_eq!(shop.get("/inventory/mug?as_of=v:2501").await.refused(), (404, "not-yet-there".into()));
}

#[tokio::test]
async fn a_past_state_of_a_stock_is_shown_with_a_page_of_its_lines() {
    let shop = Shop::without_projectors().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 500 }).await;
    let reserve = |number: u128| {
        let order_id = ids::OrderId(Uuid::from_u128(number));
        shop.stock("mug", "main", inventory::Command::Reserve { order_id, line: 1, quantity: 1 })
    };
    futures::future::join_all((0..250).map(reserve)).await;
    let (mut path, mut seen) = ("/inventory/mug?as_of=v:251".to_owned(), Vec::new());
    loop {
        let page = shop.get(&path).await.ok();
        assert_eq!((&page["state"]["reserved"], &page["parts"]["total"]), (&json!(250), &json!(250)));
        let lines = page["state"]["lines"].as_object().unwrap();
        assert!(lines.len() <= 100, "{}", lines.len());
        seen.extend(lines.keys().cloned());
        let Some(next) = page["parts"]["next"].as_str() else { break };
        path = format!("/inventory/mug?as_of=v:251&parts_after={next}");
    }
    let all: Vec<_> = (0..250).map(|number| format!("{}/1", Uuid::from_u128(number))).collect();
    assert_eq!(seen, all);
    let early = shop.get("/inventory/mug?as_of=v:2").await.ok();
    assert_eq!((&early["parts"]["total"], &early["parts"]["next"]), (&json!(1), &Value::Null));
    let order = Uuid::from_u128(7);
    for bad in
        ["x", "", "/1", &order.to_string(), &format!("{order}/01"), &format!("{order}/x"), "%2F", "2a/1"]
    {
        let got = shop.get(&format!("/inventory/mug?as_of=v:251&parts_after={bad}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{bad:?}");
        assert_eq!(got.json()["parameter"], "parts_after", "{bad:?}");
    }
    // A line that is not there is a place between others.
    let between = format!("/inventory/mug?as_of=v:251&parts_after={order}/2");
    let page = shop.get(&between).await.ok();
    let first = page["state"]["lines"].as_object().unwrap().keys().next().unwrap().clone();
    assert_eq!(first, format!("{}/1", Uuid::from_u128(8)));
    let now = shop.get("/inventory/mug?parts_after=x").await;
    assert_eq!(now.refused(), (400, "invalid-query".into()));
    let product = shop.get(&format!("/products/{}?as_of=v:1&parts_after=x", Uuid::nil())).await;
    assert_eq!(product.refused().0, 400, "a product has no parts");
}
