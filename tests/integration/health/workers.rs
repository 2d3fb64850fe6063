//! Work that is not done: leases of dead processes, parked events, missing indexes; and a clock that was ahead.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::{Role, Shop, clock, processes};
use soonshop_domain::Metadata;
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::text::Sku;
use soonshop_event_store::CommandContext;
use soonshop_projections::operations;

use super::{Fault, doctor_names, green, nothing_is_lost, red, run, tried};
use crate::support::{Set, TestShop, eventually};

async fn text(shop: &TestShop, namespace: &str, sql: &str) -> String {
    let db = shop.shop.store_database.namespace(namespace).unwrap();
    let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_a_process_that_is_dead_is_taken_over_however_long_it_would_last() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    // The first as a process that was killed leaves it; the others as one did whose clock was ahead.
    for (number, lasts) in [5_000_i64, 3_600_000, 315_360_000_000].into_iter().enumerate() {
        for name in ["relay", "eraser", "sealer", "record-sealer", "facts", "mails", "reactor:fulfilment"] {
            let sql = format!(
                "UPDATE leases SET holder = 'dead', epoch = epoch + 1, \
                 expires_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + {lasts} WHERE name = '{name}'"
            );
            run(&shop.shop, "process", &sql).await;
        }
        eventually("every lease has another holder", Duration::from_secs(60), async || {
            text(&shop, "process", "SELECT CAST(count(*) AS TEXT) FROM @leases WHERE holder = 'dead'").await
                == "0"
        })
        .await;
        green(&shop.client, "workers").await;
        nothing_is_lost(&shop, &format!("AFTER-{number}")).await;
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_is_named_until_it_is_projected() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let refuse = "CREATE TRIGGER bad BEFORE INSERT ON products WHEN NEW.name = 'Thing BAD' \
                  BEGIN SELECT RAISE(ABORT, 'bad'); END";
    run(&shop.shop, "rm_products_1", refuse).await;
    let fault = || Fault { check: "parked", object: "rm_products_1", remedy: "parked" };
    let make = async || {
        shop.client.product("BAD", "Thing BAD", 100, 0).await;
        red(&shop.client, &fault()).await;
        doctor_names(&shop.shop, &fault()).await;
        // The rest goes on.
        shop.client.product("GOOD", "Thing GOOD", 100, 0).await;
        assert_eq!(shop.client.get("/health/ready").await.expect(200).json()["ready"], true);
    };
    let mend = async || {
        run(&shop.shop, "rm_products_1", "DROP TRIGGER bad").await;
        run(&shop.shop, "rm_products_1", "INSERT INTO retries (position) SELECT position FROM parked").await;
    };
    tried(&shop, fault(), make, mend).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_cancelled_after_its_goods_had_left_is_named_until_somebody_knows() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    shop.client.product("LEFT", "Thing LEFT", 100, 5).await;
    let order = json!({ "lines": [{ "sku": "LEFT", "quantity": 2 }], "country": "UK" });
    let order =
        shop.client.post("/orders", &order).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    let status = async || shop.client.get(&format!("/orders/{order}")).await.json()["status"].clone();
    eventually("the order is confirmed", Duration::from_secs(60), async || status().await == "confirmed")
        .await;
    // As an earlier release let it be done by hand.
    let place = StockPlace { sku: Sku::try_new("LEFT").unwrap(), location: MAIN.to_owned() };
    let command = inventory::Command::Ship { order_id: OrderId(order.parse().unwrap()), line: 1 };
    let context = CommandContext::new(ids::new(), vec![1], Metadata::default());
    let stream = inventory::stream(&place.sku, MAIN);
    // A log in a file is written by one process at a time.
    shop.settle().await;
    let closed = shop.close().await;
    let alone = Shop::open(&closed.config, Role::All).unwrap();
    let store = alone.event_store().unwrap();
    store.execute::<Stock>(stream, At { place, command }, context).await.unwrap();
    store.close().await;
    drop(alone);
    let shop = TestShop::serve(closed).await;
    let object = format!("fulfilment/{order}");
    let fault = || Fault { check: "processes", object: &object, remedy: "processes" };
    let make = async || {
        let cancel = json!({ "reason": "changed-my-mind" });
        shop.client.post(&format!("/orders/{order}/cancellation"), &cancel).await.expect(200);
        red(&shop.client, &fault()).await;
        doctor_names(&shop.shop, &fault()).await;
    };
    let mend = async || {
        let verb = processes::Verb::Acknowledge {
            process: "fulfilment".to_owned(),
            instance: order.clone(),
            reason: None,
            format: processes::Format::Text,
        };
        assert_eq!(processes::run(&shop.shop, &verb).await.unwrap().exit_code, 0);
    };
    tried(&shop, fault(), make, mend).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_missing_is_named_with_what_makes_it() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    for (namespace, index) in [
        ("log", "credit_notes_by_order"),
        ("log", "stock_parts"),
        ("log", "stocks_by_sku"),
        ("log", "orders_by_account"),
        ("log", "orders_by_guest"),
        ("log", "carts_by_user"),
        ("log", "carts_by_owner"),
        ("log", "carts_by_guest"),
        ("log", "claims_by_owner"),
        ("process", "outbox_by_retry"),
        ("seals", "seals_by_position"),
        ("keys", "data_keys_by_subject"),
    ] {
        let sql = format!("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = '{index}'");
        let again = text(&shop, namespace, &sql).await;
        let object = format!("{namespace}.{index}");
        let fault = || Fault { check: "schema", object: &object, remedy: "reindex" };
        let make = async || {
            run(&shop.shop, namespace, &format!("DROP INDEX {index}")).await;
            red(&shop.client, &fault()).await;
            doctor_names(&shop.shop, &fault()).await;
        };
        tried(&shop, fault(), make, async || run(&shop.shop, namespace, &again).await).await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_once_is_named_with_the_time_until_somebody_confirms_that_it_is_right() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let confirm = async |reason: Option<&str>| {
        let verb = clock::Verb::Confirm { reason: reason.map(str::to_owned) };
        clock::run(&shop.shop, &verb).await.unwrap().text
    };
    assert!(confirm(None).await.contains("nothing to confirm"));
    // As an event is recorded while the clock is an hour ahead.
    let ahead = "UPDATE events SET recorded_at = recorded_at + 3600000000 \
                 WHERE position = (SELECT max(position) FROM events)";
    let object = "seconds before the time of the last event";
    let fault = || Fault { check: "clock", object, remedy: "clock-was-ahead" };
    let make = async || {
        run(&shop.shop, "log", ahead).await;
        red(&shop.client, &fault()).await;
        doctor_names(&shop.shop, &fault()).await;
        // Commands go on, and the time of no event is before that of the one before it.
        shop.client.product("MEANWHILE", "Thing", 100, 0).await;
        let times = "SELECT CAST(count(*) AS TEXT) FROM @events a JOIN @events b ON b.position = a.position + 1 \
                     WHERE b.recorded_at < a.recorded_at";
        assert_eq!(text(&shop, "log", times).await, "0");
        red(&shop.client, &fault()).await;
    };
    let mend = async || {
        let message = confirm(Some("compared with the station's clock")).await;
        assert!(message.contains("all events get that time"), "{message}");
    };
    tried(&shop, fault(), make, mend).await;
    nothing_is_lost(&shop, "AFTER").await;
    green(&shop.client, "clock").await;
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let recorded = operations::last_of(&db, "clock-confirm", 2).await.unwrap();
    assert_eq!(recorded.len(), 1);
    assert!(recorded[0].note.is_some() && recorded[0].detail["until"] != Value::Null, "{recorded:?}");
    // Ahead once more, it is another clock.
    run(&shop.shop, "log", ahead).await;
    red(&shop.client, &fault()).await;
    confirm(None).await;
    green(&shop.client, "clock").await;
    shop.stop().await;
}
