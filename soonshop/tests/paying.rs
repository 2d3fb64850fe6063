//! An order is paid over HTTP, in an embedded shop of the test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use serde_json::{Value, json};
use soonshop::settle::settle;

#[path = "fixture/embedded.rs"]
mod embedded;

use embedded::{Answer, Embedded};

fn pounds(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

async fn done(shop: &Embedded, path: &str, body: Value) -> Answer {
    let answer = shop.post(path, &body).await;
    assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.json);
    answer
}

/// An order of a product at this price; its id.
async fn ordered(shop: &Embedded, price: i64) -> String {
    let product =
        json!({ "name": "Mug", "variants": [{ "sku": format!("MUG-{price}"), "price": pounds(price) }] });
    done(shop, "/products", product).await;
    let receipt = format!("/inventory/MUG-{price}/receipts");
    done(shop, &receipt, json!({ "quantity": 5 })).await;
    let order =
        json!({ "lines": [{ "sku": format!("MUG-{price}"), "quantity": 1 }], "country": "United Kingdom" });
    done(shop, "/orders", order).await.json["id"].as_str().unwrap().to_owned()
}

/// The answer of a query, once everything that follows from what was done is done.
async fn after_all(shop: &Embedded, path: &str, position: &str) -> Value {
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    let answer = shop.get(path, position).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_and_gets_its_money_back_when_it_is_cancelled() {
    let shop = Embedded::start().await;
    let order = ordered(&shop, 4_000).await;
    let opened = done(&shop, &format!("/orders/{order}/payments"), json!({})).await;
    let (payment, at) = (opened.json["id"].as_str().unwrap().to_owned(), opened.position.as_str());
    let again = shop.post(&format!("/orders/{order}/payments"), &json!({})).await;
    assert_eq!((again.status, &again.json["type"]), (409, &json!("/problems/payment-pending")));

    let read = after_all(&shop, &format!("/orders/{order}"), at).await;
    assert_eq!((&read["paid"], &read["owed"]), (&pounds(4_000), &pounds(4_000)));
    let read = after_all(&shop, &format!("/payments/{payment}"), at).await;
    assert_eq!(read["captured"], pounds(4_000));
    assert_eq!((&read["authorization"], &read["test"]), (&json!("succeeded"), &json!(true)));
    let list = shop.get(&format!("/payments?order={order}"), at).await;
    assert_eq!(list.json["items"][0]["id"], json!(payment), "{}", list.json);

    let cancel = json!({ "reason": "changed-mind" });
    done(&shop, &format!("/orders/{order}/cancellation"), cancel).await;
    let read = after_all(&shop, &format!("/orders/{order}"), at).await;
    assert_eq!((&read["paid"], &read["owed"]), (&pounds(0), &pounds(0)));
    let read = after_all(&shop, &format!("/payments/{payment}"), at).await;
    assert_eq!(read["refunded"], pounds(4_000));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_fails_makes_room_for_another_one() {
    let shop = Embedded::start().await;
    let order = ordered(&shop, 6_604).await;
    let opened = done(&shop, &format!("/orders/{order}/payments"), json!({})).await;
    let (payment, at) = (opened.json["id"].as_str().unwrap().to_owned(), opened.position.as_str());
    let read = after_all(&shop, &format!("/payments/{payment}"), at).await;
    assert_eq!(read["stopped"], json!(true));
    assert_eq!((&read["authorization"], &read["code"]), (&json!("failed"), &json!("expired-card")));
    let other = json!({ "amount": pounds(4_000) });
    done(&shop, &format!("/orders/{order}/payments"), other).await;
    assert_eq!(after_all(&shop, &format!("/orders/{order}"), at).await["paid"], pounds(4_000));
    let beyond = json!({ "amount": pounds(2_605) });
    let refused = shop.post(&format!("/orders/{order}/payments"), &beyond).await;
    assert_eq!((refused.status, &refused.json["type"]), (422, &json!("/problems/amount-too-large")));
    shop.stop().await;
}
