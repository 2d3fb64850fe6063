//! The shop's whole story over HTTP, the same on every set of backends.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Set, TestShop};

async fn story(set: Set) {
    let shop = TestShop::start(set).await;
    products_and_stock(&shop).await;
    orders(&shop).await;
    credits(&shop).await;
    once(&shop).await;
    people(&shop).await;
    hot_sku(&shop).await;
    figures(&shop).await;
    checkouts(&shop).await;
    nothing_was_sold_twice(&shop).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_works_embedded() {
    story(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_works_on_rabbitmq_redis_and_elasticsearch() {
    story(Set::Rabbit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_works_on_nats_redis_and_opensearch() {
    story(Set::Nats).await;
}

/// A query with the position of a command sees its events.
async fn products_and_stock(shop: &TestShop) {
    let client = &shop.client;
    let (id, position) = client.product("lamp-1", "Reading lamp", 8900, 5).await;
    let product = client.get_at(&format!("/products/{id}"), &position).await.expect(200);
    assert_eq!(product.json()["name"], "Reading lamp");
    assert_eq!(product.header("etag"), "\"1\"");
    let stock = client.get_at("/inventory/LAMP-1", &position).await.expect(200);
    assert_eq!(
        stock.json()["items"][0]["available"].as_i64().or(stock.json()["available"].as_i64()),
        Some(5),
        "{}",
        stock.json()
    );

    let price = json!({"sku": "LAMP-1", "price": {"amount": 7900, "currency": "GBP"}});
    let changed = client.post(&format!("/products/{id}/prices"), &price).await;
    assert!(changed.status.is_success(), "{}", changed.json());
    let product = client.get_at(&format!("/products/{id}"), &changed.position()).await.expect(200).json();
    assert_eq!(product["price"]["amount"], 7900, "the cache gave an old price: {product}");

    let body = json!({"name": "Reading lamp, brass", "description": "Warm light.", "category": "things"});
    let path = format!("/products/{id}");
    client.send(Method::PUT, &path, Some(&body), &[]).await.expect(428);
    client.send(Method::PUT, &path, Some(&body), &[("if-match", "\"1\"")]).await.expect(412);
    let changed = client.send(Method::PUT, &path, Some(&body), &[("if-match", "\"2\"")]).await;
    assert!(changed.status.is_success(), "{}", changed.json());

    let found =
        client.get_at("/products/search?q=raeding%20lamp", &changed.position()).await.expect(200).json();
    assert_eq!(found["items"][0]["id"], id.as_str(), "{found}");
    let before = client.get(&format!("/products/{id}?as_of=v:1")).await.expect(200).json();
    assert_eq!(before["state"]["name"], "Reading lamp", "{before}");
}

fn order(lines: &[(&str, u32)]) -> Value {
    let lines: Vec<_> =
        lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({"lines": lines, "country": "United Kingdom"})
}

async fn placed(shop: &TestShop, body: &Value) -> String {
    shop.client.post("/orders", body).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

async fn status(shop: &TestShop, id: &str) -> Value {
    shop.client.get(&format!("/orders/{id}")).await.expect(200).json()
}

async fn stock(shop: &TestShop, sku: &str) -> (i64, i64) {
    let answer = shop.client.get(&format!("/inventory?sku={sku}")).await.expect(200).json();
    let row = &answer["items"][0];
    (row["on_hand"].as_i64().unwrap(), row["reserved"].as_i64().unwrap())
}

/// Placed, reserved line by line, confirmed; or refused and everything given back; cancelled; shipped.
async fn orders(shop: &TestShop) {
    shop.client.product("TEA", "Tea", 450, 10).await;
    shop.client.product("POT", "Teapot", 2500, 2).await;
    let good = placed(shop, &order(&[("TEA", 2), ("POT", 1), ("TEA", 1)])).await;
    let short = placed(shop, &order(&[("TEA", 1), ("POT", 5)])).await;
    shop.settle().await;
    let confirmed = status(shop, &good).await;
    assert_eq!(
        (&confirmed["status"], &confirmed["total"]["amount"]),
        (&json!("confirmed"), &json!(3 * 450 + 2500)),
        "{confirmed}"
    );
    let refused = status(shop, &short).await;
    assert_eq!(
        (&refused["status"], &refused["refusal"]["reason"]),
        (&json!("refused"), &json!("insufficient-stock"))
    );
    assert_eq!((stock(shop, "TEA").await, stock(shop, "POT").await), ((10, 3), (2, 1)));

    let reason = json!({"reason": "changed-mind"});
    let cancelled = placed(shop, &order(&[("TEA", 4)])).await;
    shop.settle().await;
    let answer = shop.client.post(&format!("/orders/{cancelled}/cancellation"), &reason).await;
    assert!(answer.status.is_success(), "{}", answer.json());
    let answer = shop.client.post(&format!("/orders/{good}/shipment"), &json!({})).await;
    assert!(answer.status.is_success(), "{}", answer.json());
    shop.settle().await;
    assert_eq!(status(shop, &cancelled).await["status"], "cancelled");
    assert_eq!(status(shop, &good).await["status"], "shipped");
    assert_eq!((stock(shop, "TEA").await, stock(shop, "POT").await), ((7, 0), (1, 0)));
    shop.client.post(&format!("/orders/{good}/cancellation"), &reason).await.expect(409);
    let unknown = order(&[("NOTHING", 1)]);
    shop.client.post("/orders", &unknown).await.expect(422);
}

/// A credit is of the order's own lines, at its own prices, and each unit is credited once.
async fn credits(shop: &TestShop) {
    let client = &shop.client;
    let (product, _) = client.product("CREDIT-1", "Mug to give back", 1000, 50).await;
    client.product("CREDIT-2", "Never ordered", 500, 1).await;
    let ordered = placed(shop, &order(&[("CREDIT-1", 2)])).await;
    let cancelled = placed(shop, &order(&[("CREDIT-1", 2)])).await;
    shop.settle().await;
    let dearer = json!({"sku": "CREDIT-1", "price": {"amount": 2000, "currency": "GBP"}});
    assert!(client.post(&format!("/products/{product}/prices"), &dearer).await.status.is_success());
    let credit = async |order: &str, line: Value| {
        client.operate("/credit-notes", &json!({"order_id": order, "lines": [line]})).await
    };
    let yen = json!({"amount": 100_000, "currency": "JPY"});
    for (line, status, pointer) in [
        (json!({"sku": "CREDIT-1", "quantity": 1000}), 409, "/lines/0/quantity"),
        (json!({"sku": "CREDIT-2", "quantity": 1}), 422, "/lines/0/sku"),
        (json!({"sku": "CREDIT-1", "quantity": 1, "price": yen}), 422, "/lines/0/price"),
    ] {
        let refused = credit(&ordered, line).await.expect(status).json();
        assert_eq!(refused["pointer"], pointer, "{refused}");
    }
    let one = || json!({"sku": "CREDIT-1", "quantity": 1});
    // Fifty callers at once, for two units; the product is deleted after the first.
    credit(&ordered, one()).await.expect(201);
    client
        .send(Method::DELETE, &format!("/products/{product}"), None, &[("if-match", "*")])
        .await
        .expect(204);
    let answers = join_all((0..50).map(|_| credit(&ordered, one()))).await;
    let done = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    let refused = answers.iter().filter(|answer| answer.status.as_u16() == 409).count();
    assert_eq!((done, refused), (1, 49));
    // Credited, then cancelled: it counts as if it had never been.
    credit(&cancelled, one()).await.expect(201);
    let reason = json!({"reason": "changed-mind"});
    client.post(&format!("/orders/{cancelled}/cancellation"), &reason).await.expect(200);
    credit(&cancelled, one()).await.expect(409);
    let free = json!({"country": "France", "lines": [{"sku": "TEA", "quantity": 1}]});
    let free = client.operate("/credit-notes", &free).await.expect(201);
    assert_eq!(free.json()["without_order"], true);
    shop.settle().await;
    let shown = status(shop, &ordered).await;
    assert_eq!(shown["credited"], json!({"amount": 2000, "currency": "GBP"}), "{shown}");
    let credits = client.get("/analytics/credits?group_by=country").await.expect(200).json();
    let figures: Vec<_> =
        credits["rows"].as_array().unwrap().iter().map(|row| (&row["key"], &row["credited"])).collect();
    assert_eq!(
        figures,
        [(&json!("France"), &json!(450)), (&json!("United Kingdom"), &json!(2000))],
        "the cancelled order is not among them: {credits}"
    );
    let summary = client.get("/analytics/summary").await.expect(200).json();
    assert_eq!((&summary["credit_notes"], &summary["credited"][0]["amount"]), (&json!(3), &json!(2450)));
}

/// The same command is done once, and answered the same, byte for byte, 32 times at once.
async fn once(shop: &TestShop) {
    let key = Uuid::new_v4().to_string();
    let body = order(&[("TEA", 1)]);
    let send = || shop.client.send(Method::POST, "/orders", Some(&body), &[]);
    send().await.expect(400);
    let headers = [("idempotency-key", key.as_str())];
    let answers =
        join_all((0..32).map(|_| shop.client.send(Method::POST, "/orders", Some(&body), &headers))).await;
    for answer in &answers {
        assert_eq!(answer.status.as_u16(), 201);
        assert_eq!(answer.bytes, answers[0].bytes);
        for name in ["location", "etag", "event-position"] {
            assert_eq!(answer.header(name), answers[0].header(name));
        }
    }
    let other = order(&[("TEA", 2)]);
    shop.client.send(Method::POST, "/orders", Some(&other), &headers).await.expect(422);
    shop.settle().await;
    assert_eq!(stock(shop, "TEA").await, (7, 1));
}

/// A user registers, changes and is erased: read models and the log lose the personal values.
async fn people(shop: &TestShop) {
    let ada = json!({"name": "Ada Lovelace", "email": "Ada@Example.com", "country": "United Kingdom"});
    let made = shop.client.post("/users", &ada).await.expect(201);
    let path = format!("/users/{}", made.json()["id"].as_str().unwrap());
    let masked = shop.client.get_at(&path, &made.position()).await.expect(200).json();
    assert_eq!(masked["name"], json!({"personal": "masked"}), "a guest");
    let user = shop.client.look(&path).await.expect(200).json();
    assert_eq!((&user["name"], &user["email"]), (&json!("Ada Lovelace"), &json!("Ada@Example.com")));
    // A masked value cannot be written back by mistake.
    let back = json!({"name": masked["name"], "email": masked["email"]});
    shop.client.send(Method::PUT, &path, Some(&back), &[("if-match", "\"1\"")]).await.expect(422);
    let taken = shop.client.post("/users", &json!({"email": "ada@example.COM"})).await.expect(409);
    // Not "ada" alone: one id in a hundred contains that.
    let message = String::from_utf8_lossy(&taken.bytes).to_lowercase();
    assert!(
        !message.contains("ada@") && !message.contains("example.com"),
        "a problem shows a value: {message}"
    );
    let gone = shop.client.send(Method::DELETE, &path, None, &[("if-match", "\"1\"")]).await;
    assert!(gone.status.is_success(), "{}", gone.json());
    shop.settle().await;
    shop.client.get(&path).await.expect(410);
    let past = shop.client.get(&format!("{path}?as_of=v:1")).await.expect(200);
    assert!(!String::from_utf8_lossy(&past.bytes).contains("Ada"), "{}", past.json());
    shop.client.post("/users", &json!({"email": "ada@example.com"})).await.expect(201);
}

/// Two hundred buyers, twenty units: twenty confirmed orders.
async fn hot_sku(shop: &TestShop) {
    shop.client.product("HOT", "The one thing", 100, 20).await;
    let body = order(&[("HOT", 1)]);
    let ids = join_all((0..200).map(|_| placed(shop, &body))).await;
    shop.settle().await;
    let mut confirmed = 0;
    for id in ids {
        confirmed += usize::from(status(shop, &id).await["status"] == "confirmed");
    }
    assert_eq!(confirmed, 20);
    assert_eq!(stock(shop, "HOT").await, (20, 20));
}

/// Two hundred buyers, twenty units: twenty paid orders, and nobody else's money or stock is kept.
async fn checkouts(shop: &TestShop) {
    shop.client.product("RARE", "The rare thing", 100, 20).await;
    let made = async |path: &str, body: Value| {
        let status = if path == "/checkouts" { 202 } else { 201 };
        shop.client.post(path, &body).await.expect(status).json()["id"].as_str().unwrap().to_owned()
    };
    let buy = async || {
        let cart = made("/carts", json!({"sku": "RARE", "quantity": 1})).await;
        let checkout = made("/checkouts", json!({"cart": cart, "country": "United Kingdom"})).await;
        let payment = shop.client.post(&format!("/checkouts/{checkout}/payments"), &json!({})).await;
        // Who comes too late may know it by now.
        assert!([201, 409].contains(&payment.status.as_u16()), "{}", payment.json());
        checkout
    };
    let ids = join_all((0..200).map(|_| buy())).await;
    shop.settle().await;
    let mut completed = 0;
    for id in ids {
        let checkout = shop.client.get(&format!("/checkouts/{id}")).await.expect(200).json();
        if checkout["status"] == "completed" {
            completed += 1;
            let order = status(shop, &id).await;
            assert_eq!((&order["status"], &order["paid"]["amount"]), (&json!("confirmed"), &json!(100)));
        } else {
            assert_eq!(
                (&checkout["status"], &checkout["reason"]),
                (&json!("refused"), &json!("insufficient-stock"))
            );
            shop.client.get(&format!("/orders/{id}")).await.expect(404);
            for payment in checkout["payments"].as_array().unwrap() {
                let path = format!("/payments/{}", payment["id"].as_str().unwrap());
                let payment = shop.client.get(&path).await.expect(200).json();
                assert_eq!(payment["captured"]["amount"], 0, "{payment}");
                assert_eq!(payment["released"], payment["authorized"], "{payment}");
            }
        }
    }
    assert_eq!(completed, 20);
    assert_eq!(stock(shop, "RARE").await, (20, 20));
}

/// At no position of the log, and for no line.
async fn nothing_was_sold_twice(shop: &TestShop) {
    let report = soonshop::stock::verify(&shop.shop.log().unwrap()).await.unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(report.stocks >= 4 && report.reserved >= 40 && report.lines >= 40, "{report}");
}

/// Only sold lines count, not refused or cancelled ones.
async fn figures(shop: &TestShop) {
    let sales = shop.client.get("/analytics/sales?interval=none&group_by=sku").await.expect(200).json();
    let rows = sales["items"].as_array().or(sales["rows"].as_array()).unwrap();
    let of = |sku: &str| rows.iter().find(|row| row["key"] == sku).map(|row| row["units"].as_i64().unwrap());
    assert_eq!((of("TEA"), of("POT"), of("HOT")), (Some(4), Some(1), Some(20)), "{sales}");
}
