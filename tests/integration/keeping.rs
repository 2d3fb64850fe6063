//! Data that a binary must not use: generations of another shape, and processes whose command records are purged.

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use soonshop::{Shop, doctor};
use soonshop_event_log::checkpoint::of_process;
use soonshop_projections::product::Products;

use crate::support::{Set, TestShop};

async fn run(shop: &Shop, namespace: &str, sql: &str) {
    let database = if namespace == "operations" { &shop.read_database } else { &shop.store_database };
    let db = database.namespace(namespace).unwrap();
    db.connection.execute(db.statement(sql, [])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_of_another_shape_is_neither_read_nor_projected() {
    for set in [Set::Embedded, Set::Nats] {
        let shop = TestShop::start(set).await;
        let (id, position) = shop.client.product("MUG", "Mug", 100, 1).await;
        shop.client.get_at(&format!("/products/{id}"), &position).await.expect(200);
        let registry = shop.shop.registry().unwrap();
        assert_eq!(registry.projected_by(&Products).await.unwrap().len(), 1);
        let shape = |by: i32| {
            let sql = format!("UPDATE @generations SET shape = shape + {by} WHERE projection = 'products'");
            let shop = shop.shop.clone();
            async move { run(&shop, "operations", &sql).await }
        };
        shape(1).await;
        for path in ["/products".to_owned(), format!("/products/{id}"), "/products/search?q=mug".to_owned()] {
            let answer = shop.client.get(&path).await.expect(503);
            assert_eq!(answer.json()["type"], "/problems/read-model-missing", "{path}");
        }
        assert!(registry.projected_by(&Products).await.unwrap().is_empty());
        shape(-1).await;
        shop.client.get(&format!("/products/{id}")).await.expect(200);
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_that_a_reactor_is_too_old_and_what_to_do() {
    for set in [Set::Embedded, Set::Nats] {
        let shop = TestShop::start(set).await;
        shop.client.product("MUG", "Mug", 100, 5).await;
        let order = json!({"lines": [{"sku": "MUG", "quantity": 1}], "country": "France"});
        shop.client.post("/orders", &order).await.expect(201);
        shop.settle().await;
        let message = async || {
            let findings = doctor::examine(&shop.shop).await;
            findings.into_iter().find(|finding| finding.what == of_process("fulfilment")).unwrap()
        };
        let well = message().await;
        assert!(well.ok, "{}", well.detail);
        // As if all records had been purged, and the process had been restored from a backup.
        run(
            &shop.shop,
            "log",
            "INSERT INTO @purged (kind, recorded_at, command_id) SELECT 'process', recorded_at, command_id \
             FROM @commands ORDER BY recorded_at DESC LIMIT 1",
        )
        .await;
        let ill = message().await;
        assert!(
            !ill.ok && ill.detail.contains("too-old: ") && ill.detail.contains("younger backup"),
            "{}",
            ill.detail
        );
        // Nothing else is held up by it.
        shop.client.product("CUP", "Cup", 100, 5).await;
        let key = uuid::Uuid::new_v4().to_string();
        let headers = [("idempotency-key", key.as_str())];
        shop.client.send(Method::POST, "/orders", Some(&order), &headers).await.expect(201);
        shop.stop().await;
    }
}
