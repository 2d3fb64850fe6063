//! SKUs that are given back while stock comes in, and SKUs of release 0.1.

use serde_json::json;
use soonshop_domain::claim::scope;
use soonshop_domain::inventory::{MAIN, Stock, stream};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::{Metadata, ids};
use soonshop_event_store::CommandContext;

use super::{Shop, key, order};

async fn on_hand(shop: &Shop, sku: &str) -> i64 {
    at(shop, sku, MAIN).await
}

async fn at(shop: &Shop, sku: &str, location: &str) -> i64 {
    let id = stream(&Sku::as_stored(sku).unwrap(), location);
    shop.store.load_without_parts::<Stock>(id).await.unwrap().0.on_hand
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_comes_in_while_its_sku_is_given_back_is_seen_or_refused() {
    let shop = Shop::open().await;
    let (mut given_back, mut received) = (0, 0);
    for round in 0..40 {
        let sku = format!("MUG-{round}");
        let path = shop.sell(&sku).await;
        assert_eq!(shop.send("DELETE", &path, &[("if-match", "*")], "").await.status, 204);
        let (releases, receipts) = (format!("{path}/sku-releases"), format!("/inventory/{sku}/receipts"));
        let (release, receipt) = tokio::join!(
            shop.operate(&releases, json!({ "sku": sku })),
            shop.post(&receipts, json!({ "quantity": 3 }))
        );
        match (release.status, receipt.status) {
            (200, _) => {
                given_back += 1;
                assert_eq!(
                    receipt.refused(),
                    (422, "unknown-sku".into()),
                    "another product would inherit it"
                );
                assert_eq!(on_hand(&shop, &sku).await, 0);
                // The next product begins with nothing.
                shop.sell(&sku).await;
            }
            (409, 200) => {
                received += 1;
                assert_eq!(release.refused(), (409, "stock-left".into()));
                assert_eq!((&release.json()["on_hand"], on_hand(&shop, &sku).await), (&json!(3), 3));
            }
            other => panic!("{other:?}: {} {}", release.text, receipt.text),
        }
    }
    assert_eq!(given_back + received, 40);
}

#[tokio::test]
async fn a_sku_is_given_back_only_once_no_location_has_stock_of_it() {
    let shop = Shop::open().await;
    let path = shop.sell("mug").await;
    shop.sell("cup").await;
    let receive = async |sku: &str, quantity: u32, location: &str| {
        let body = json!({ "quantity": quantity, "location": location });
        shop.post(&format!("/inventory/{sku}/receipts"), body).await
    };
    for (sku, quantity, location) in [("mug", 3, "leeds"), ("mug", 4, "york"), ("cup", 5, "leeds")] {
        assert_eq!(receive(sku, quantity, location).await.status, 200);
    }
    let gone = shop.send("DELETE", &path, &[("if-match", "*")], "").await;
    assert_eq!((gone.status, gone.header("stock-on-hand")), (204, "\"MUG\";units=7"), "at all locations");
    let releases = format!("{path}/sku-releases");
    let release = async || shop.operate(&releases, json!({ "sku": "mug" })).await;
    let empty = async |quantity: i64, location: &str| {
        let body = json!({ "quantity": quantity, "reason": "sold-off", "location": location });
        shop.post("/inventory/mug/adjustments", body).await
    };
    for (location, units) in [("leeds", 3), ("york", 4)] {
        let stays = release().await;
        assert_eq!(stays.refused(), (409, "stock-left".into()));
        let problem = stays.json();
        assert_eq!((&problem["location"], &problem["on_hand"]), (&json!(location), &json!(units)));
        assert_eq!(empty(-units, location).await.status, 200);
    }
    // What lies at the main location may grow, and is judged in the append itself.
    assert_eq!(receive("mug", 1, MAIN).await.status, 200);
    assert_eq!(release().await.json()["location"], MAIN);
    assert_eq!(empty(-1, MAIN).await.status, 200);
    assert_eq!(release().await.status, 200);
    assert_eq!(release().await.status, 200, "a repeat changes nothing");
    shop.sell("mug").await;
    assert_eq!((at(&shop, "MUG", "leeds").await, at(&shop, "MUG", "york").await), (0, 0));
    assert_eq!(at(&shop, "CUP", "leeds").await, 5);
}

#[tokio::test]
async fn goods_of_a_deleted_product_come_in_at_the_main_location_only() {
    let shop = Shop::open().await;
    let path = shop.sell("mug").await;
    let sent = key();
    let headers = [("idempotency-key", sent.as_str())];
    let body = json!({ "quantity": 3, "location": "leeds" });
    let first = shop.post_with("/inventory/mug/receipts", &headers, body.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(shop.send("DELETE", &path, &[("if-match", "*")], "").await.status, 204);
    let gone = (410, "product-deleted".to_owned());
    for (what, location) in [("receipts", "leeds"), ("receipts", "york"), ("adjustments", "leeds")] {
        let mut body = json!({ "quantity": 1, "location": location });
        if what == "adjustments" {
            body["reason"] = json!("counted");
        }
        let got = shop.post(&format!("/inventory/mug/{what}"), body).await;
        assert_eq!(got.refused(), gone, "{what} {location}");
        assert!(got.text.contains("`main`"), "{}", got.text);
    }
    let again = shop.post_with("/inventory/mug/receipts", &headers, body).await;
    assert_eq!((again.status, &again.text), (200, &first.text), "a repeat is answered as it was");
    let fewer = json!({ "quantity": -1, "reason": "broken", "location": "leeds" });
    assert_eq!(shop.post("/inventory/mug/adjustments", fewer).await.status, 200);
    for body in [json!({ "quantity": 2 }), json!({ "quantity": 2, "location": "main" })] {
        assert_eq!(shop.post("/inventory/mug/receipts", body).await.status, 200);
    }
    assert_eq!((at(&shop, "MUG", "leeds").await, on_hand(&shop, "MUG").await), (2, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_comes_in_elsewhere_while_its_product_is_deleted_is_seen_or_refused() {
    let shop = Shop::open().await;
    for round in 0..20 {
        let sku = format!("MUG-{round}");
        let path = shop.sell(&sku).await;
        let given_back = async {
            assert_eq!(shop.send("DELETE", &path, &[("if-match", "*")], "").await.status, 204);
            shop.operate(&format!("{path}/sku-releases"), json!({ "sku": sku })).await
        };
        let receipts = format!("/inventory/{sku}/receipts");
        let (release, receipt) =
            tokio::join!(given_back, shop.post(&receipts, json!({ "quantity": 3, "location": "leeds" })));
        match (release.status, receipt.status) {
            (200, _) => {
                let (status, slug) = receipt.refused();
                assert!(matches!((status, slug.as_str()), (410, "product-deleted") | (422, "unknown-sku")));
                assert_eq!(at(&shop, &sku, "leeds").await, 0, "another product would inherit it");
            }
            (409, 200) => assert_eq!(release.json()["location"], "leeds"),
            other => panic!("{other:?}: {} {}", release.text, receipt.text),
        }
    }
}

#[tokio::test]
async fn a_sku_that_release_0_1_stored_with_characters_that_nobody_sees_is_named_as_it_is_stored() {
    let shop = Shop::open().await;
    // As that release took it.
    let old = "OLD\u{200b}-1";
    let id = ids::new();
    let details = product::Details { name: "Old".to_owned(), ..product::Details::default() };
    let variants = vec![Variant { sku: Sku::as_stored(old).unwrap(), price: None }];
    let context = CommandContext::new(ids::new(), vec![1], Metadata::default());
    let create = product::Command::Create { details, variants };
    shop.store.execute::<Product>(id, create, context).await.unwrap();
    let owner = Some(format!("product:{id}"));
    assert_eq!(shop.store.owner_of(scope::SKU, old).await.unwrap(), owner);

    let path = format!("/products/{id}");
    let price = json!({ "sku": old, "price": { "amount": 500, "currency": "GBP" } });
    assert_eq!(shop.post(&format!("{path}/prices"), price).await.status, 200, "in a body");
    let receipts = "/inventory/OLD%E2%80%8B-1/receipts";
    let got = shop.post(receipts, json!({ "quantity": 7 })).await;
    assert_eq!(got.status, 200, "in a path: {}", got.text);
    assert_eq!(on_hand(&shop, old).await, 7);
    let got = shop.post("/orders", order("old\u{200b}-1")).await;
    assert_eq!(got.status, 201, "in a line, in small letters: {}", got.text);
    // The SKU without those characters is another one, which counts once a product has it.
    assert_eq!(shop.post("/orders", order("OLD-1")).await.refused().1, "unknown-sku");
    shop.sell("OLD-1").await;
    assert_eq!(shop.post(receipts, json!({ "quantity": 2 })).await.status, 200);
    assert_eq!((on_hand(&shop, old).await, on_hand(&shop, "OLD-1").await), (7, 2));
    // A SKU that no product has is understood as it is read.
    let new =
        shop.post("/products", json!({ "name": "New", "variants": [{ "sku": "new\u{200b}-1" }] })).await;
    assert_eq!(new.status, 201, "{}", new.text);
    assert!(shop.store.owner_of(scope::SKU, "NEW-1").await.unwrap().is_some());
}
