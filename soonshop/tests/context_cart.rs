//! The context `cart` over HTTP, in an embedded shop of the test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use reqwest::Method;
use serde_json::{Value, json};

#[path = "fixture/embedded.rs"]
mod embedded;

use embedded::{Answer, Embedded};

fn pounds(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

/// Lists a product with that one SKU; its path.
async fn sell(shop: &Embedded, sku: &str, price: i64) -> String {
    let product = json!({ "name": sku, "variants": [{ "sku": sku, "price": pounds(price) }] });
    let made = shop.post("/products", &product).await;
    assert_eq!(made.status, 201, "{}", made.json);
    format!("/products/{}", made.json["id"].as_str().unwrap())
}

async fn receive(shop: &Embedded, sku: &str, quantity: u32) {
    let got = shop.post(&format!("/inventory/{sku}/receipts"), &json!({ "quantity": quantity })).await;
    assert_eq!(got.status, 200, "{}", got.json);
}

/// Starts a cart; its path.
async fn start(shop: &Embedded, sku: &str, quantity: u32) -> (String, Answer) {
    let started = shop.post("/carts", &json!({ "sku": sku, "quantity": quantity })).await;
    assert_eq!(started.status, 201, "{}", started.json);
    (format!("/carts/{}", started.json["id"].as_str().unwrap()), started)
}

/// A command that replaces something of this version.
async fn put(shop: &Embedded, path: &str, version: &str, body: &Value) -> Answer {
    shop.send(Method::PUT, path, &[("if-match", version)], Some(body)).await
}

/// A command that removes something of this version.
async fn delete(shop: &Embedded, path: &str, version: &str) -> Answer {
    shop.send(Method::DELETE, path, &[("if-match", version)], None).await
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json["type"].as_str().unwrap_or_default().replace("/problems/", ""))
}

fn codes(line: &Value) -> Vec<&str> {
    line["notices"].as_array().unwrap().iter().map(|notice| notice["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_filled_changed_and_priced_as_it_is_read() {
    let shop = Embedded::start().await;
    sell(&shop, "MUG", 1_299).await;
    sell(&shop, "CUP", 500).await;
    for sku in ["MUG", "CUP"] {
        receive(&shop, sku, 100).await;
    }
    let (path, _) = start(&shop, "MUG", 2).await;
    let lines = format!("{path}/lines");
    let noted = json!({ "sku": "cup", "quantity": 1, "note": "a gift" });
    assert_eq!(shop.post(&lines, &noted).await.status, 200);
    let more = shop.post(&lines, &json!({ "sku": "MUG", "quantity": 1 })).await;
    assert_eq!(more.status, 200, "{}", more.json);

    let cart = shop.get(&path, &more.position).await.json;
    assert_eq!(cart["lines"][0]["quantity"], 3, "{cart}");
    assert_eq!((&cart["lines"][0]["amount"], &cart["total"]), (&pounds(3_897), &pounds(4_397)));
    assert_eq!(codes(&cart["lines"][0]), Vec::<&str>::new());
    assert_eq!((&cart["status"], &cart["version"]), (&json!("open"), &json!(3)));

    let saved = shop.post(&format!("{lines}/2/save"), &json!({})).await;
    let cart = shop.get(&path, &saved.position).await.json;
    assert_eq!((&cart["lines"][1]["saved"], &cart["total"]), (&json!(true), &pounds(3_897)));
    assert_eq!(shop.post(&format!("{lines}/2/want"), &json!({})).await.status, 200);
    let stale = put(&shop, &format!("{lines}/1"), "\"1\"", &json!({ "quantity": 1 })).await;
    assert_eq!(refused(&stale), (412, "stale-version".to_owned()), "another tab changed it");
    let changed = put(&shop, &format!("{lines}/1"), "\"5\"", &json!({ "quantity": 1 })).await;
    assert_eq!(changed.status, 200, "{}", changed.json);
    // A note stays until it is replaced; an empty one removes it.
    for (note, is_there) in [(None, true), (Some("for Ada"), true), (Some(""), false)] {
        let mut body = json!({ "quantity": 2 });
        if let Some(note) = note {
            body["note"] = json!(note);
        }
        let changed = put(&shop, &format!("{lines}/2"), "*", &body).await;
        let cart = shop.get(&path, &changed.position).await.json;
        assert_eq!(!cart["lines"][1]["note"].is_null(), is_there, "{note:?} {cart}");
    }
    let removed = delete(&shop, &format!("{lines}/2"), "*").await;
    assert_eq!(removed.status, 204, "{}", removed.json);
    let cart = shop.get(&path, &removed.position).await.json;
    assert_eq!((cart["lines"].as_array().unwrap().len(), &cart["total"]), (1, &pounds(1_299)), "{cart}");

    let before = shop.get(&format!("{path}?as_of=v:1"), &removed.position).await;
    assert_eq!(before.json["state"]["lines"][0]["quantity"], 2, "{}", before.json);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_says_what_changed_since_it_was_seen_until_its_owner_saw_it() {
    let shop = Embedded::start().await;
    let mug = sell(&shop, "MUG", 1_299).await;
    receive(&shop, "MUG", 3).await;
    let (path, _) = start(&shop, "MUG", 1).await;
    let price = json!({ "sku": "MUG", "price": pounds(1_500) });
    let raised = shop.post(&format!("{mug}/prices"), &price).await;
    for _ in 0..2 {
        // A read changes nothing.
        let line = &shop.get(&path, &raised.position).await.json["lines"][0];
        assert_eq!(codes(line), ["price-changed", "few-left"], "{line}");
        assert_eq!(
            (&line["notices"][0]["from"], &line["notices"][0]["to"]),
            (&pounds(1_299), &pounds(1_500))
        );
        assert_eq!((&line["notices"][1]["available"], &line["amount"]), (&json!(3), &pounds(1_500)));
    }
    // A price that the buyer was not shown, and one that was the price before.
    for (quantity, seen) in [(2, Value::Null), (3, pounds(1_299)), (2, pounds(1))] {
        let body = json!({ "quantity": quantity, "seen": seen });
        let changed = put(&shop, &format!("{path}/lines/1"), "*", &body).await;
        let line = &shop.get(&path, &changed.position).await.json["lines"][0];
        assert_eq!(codes(line), ["price-changed", "few-left"], "{line}");
        assert_eq!(line["amount"], pounds(1_500 * quantity));
    }
    // More of it: its owner may not have looked at the cart.
    let more = shop.post(&format!("{path}/lines"), &json!({ "sku": "MUG", "quantity": 1 })).await;
    let line = &shop.get(&path, &more.position).await.json["lines"][0];
    assert_eq!(codes(line), ["price-changed", "few-left"], "{line}");
    let seen = json!({ "quantity": 4, "seen": pounds(1_500) });
    let changed = put(&shop, &format!("{path}/lines/1"), "*", &seen).await;
    let line = &shop.get(&path, &changed.position).await.json["lines"][0];
    assert_eq!(codes(line), ["not-enough"], "{line}");
    let renamed = put(&shop, &mug, "*", &json!({ "name": "Becher" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.json);
    let line = &shop.get(&path, &renamed.position).await.json["lines"][0];
    assert_eq!((codes(line), &line["name"]), (vec!["renamed", "not-enough"], &json!("Becher")));

    let deleted = delete(&shop, &mug, "*").await;
    let cart = shop.get(&path, &deleted.position).await.json;
    assert_eq!(codes(&cart["lines"][0]), ["not-sold"], "{cart}");
    assert_eq!((&cart["lines"][0]["amount"], &cart["total"]), (&Value::Null, &pounds(0)));
    assert_eq!(delete(&shop, &format!("{path}/lines/1"), "*").await.status, 204, "it can be taken out");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quantity_that_is_no_number_of_units_changes_neither_cart_nor_stock() {
    let shop = Embedded::start().await;
    sell(&shop, "MUG", 1_000_000_000).await;
    receive(&shop, "MUG", 10).await;
    let (path, started) = start(&shop, "MUG", 1).await;
    for quantity in
        [json!(-5), json!(0), json!(1.5), json!("2"), json!(1_000_000_000_000_i64), json!(i32::MAX)]
    {
        for (method, path) in [("POST", format!("{path}/lines")), ("PUT", format!("{path}/lines/1"))] {
            let mut body = json!({ "quantity": quantity });
            if method == "POST" {
                body["sku"] = json!("MUG");
            }
            let got = if method == "POST" {
                shop.post(&path, &body).await
            } else {
                put(&shop, &path, "*", &body).await
            };
            assert_eq!((got.status, &got.json["pointer"]), (422, &json!("/quantity")), "{body} {}", got.json);
        }
    }
    // 100,000 × 1,000,000,000 is as much as an order may cost in a tenth of the cart: no sum overflows.
    let most = json!({ "sku": "MUG", "quantity": 100_000, "note": "one of many" });
    for _ in 0..9 {
        assert_eq!(shop.post(&format!("{path}/lines"), &most).await.status, 200);
    }
    let beyond = shop.post(&format!("{path}/lines"), &most).await;
    assert_eq!(refused(&beyond), (422, "total-too-large".to_owned()));
    let cart = shop.get(&path, &started.position).await.json;
    assert_eq!(cart["lines"][0]["quantity"], 1, "{cart}");
    assert_eq!(shop.get("/inventory/MUG", &started.position).await.json["available"], 10);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_of_the_client_is_an_unknown_field_and_what_is_not_sold_is_not_put_in() {
    let shop = Embedded::start().await;
    sell(&shop, "MUG", 1_299).await;
    let gone = sell(&shop, "GONE", 1).await;
    delete(&shop, &gone, "*").await;
    shop.post("/products", &json!({ "name": "Bare", "variants": [{ "sku": "BARE" }] })).await;
    let euros = json!({ "amount": 1, "currency": "EUR" });
    shop.post("/products", &json!({ "name": "Euro", "variants": [{ "sku": "EURO", "price": euros }] })).await;
    let (path, _) = start(&shop, "MUG", 1).await;
    let lines = format!("{path}/lines");
    let priced = shop.post(&lines, &json!({ "sku": "MUG", "quantity": 1, "price": pounds(1) })).await;
    assert_eq!(refused(&priced), (422, "invalid-body".to_owned()));
    for (sku, slug) in [
        ("NOTHING", "unknown-sku"),
        ("GONE", "sku-not-sold"),
        ("BARE", "sku-without-price"),
        ("EURO", "other-currency"),
    ] {
        let got = shop.post(&lines, &json!({ "sku": sku, "quantity": 1 })).await;
        assert_eq!(refused(&got), (422, slug.to_owned()), "{}", got.json);
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_link_shows_lines_alone_until_it_ends() {
    let shop = Embedded::start().await;
    sell(&shop, "MUG", 1_299).await;
    let cart = json!({ "sku": "MUG", "quantity": 2, "note": "for Ada" });
    let started = shop.post("/carts", &cart).await;
    let path = format!("/carts/{}", started.json["id"].as_str().unwrap());
    let shared = shop.post(&format!("{path}/shares"), &json!({})).await;
    assert_eq!(shared.status, 201, "{}", shared.json);
    let link = format!("/shared-carts/{}", shared.json["secret"].as_str().unwrap());
    let seen = shop.get(&link, &shared.position).await;
    assert_eq!(seen.status, 200, "{}", seen.json);
    let id = &seen.json["lines"][0]["product_id"];
    let line =
        json!({ "sku": "MUG", "product_id": id, "name": "MUG", "quantity": 2, "price": pounds(1_299) });
    assert_eq!(seen.json, json!({ "lines": [line] }));
    assert_eq!(shop.get("/shared-carts/ssc_nothing", &shared.position).await.status, 404);
    let share = shared.json["share"].as_str().unwrap();
    let links = shop.get(&path, &shared.position).await.json["shares"].clone();
    assert_eq!((links.as_array().unwrap().len(), &links[0]["share"]), (1, &shared.json["share"]), "{links}");
    let ended = delete(&shop, &format!("{path}/shares/{share}"), "*").await;
    assert_eq!(ended.status, 204, "{}", ended.json);
    assert_eq!(shop.get(&link, &ended.position).await.status, 404);
    assert_eq!(shop.get(&path, &ended.position).await.json["shares"], json!([]));
    shop.stop().await;
}
