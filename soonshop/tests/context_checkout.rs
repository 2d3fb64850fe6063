//! The context `checkout` over HTTP, in an embedded shop of the test's own: from a cart to an order that is paid.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use reqwest::Method;
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

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json["type"].as_str().unwrap_or_default().replace("/problems/", ""))
}

/// Sends a command, waits until every follower is done, and returns the id of what the command made.
async fn made(shop: &Embedded, path: &str, body: Value) -> String {
    let answer = done(shop, path, body).await;
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    answer.json["id"].as_str().unwrap().to_owned()
}

async fn get(shop: &Embedded, path: &str) -> Value {
    get_after(shop, path, "0").await
}

/// What the shop says once it has seen what was done at that position.
async fn get_after(shop: &Embedded, path: &str, position: &str) -> Value {
    let answer = shop.get(path, position).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

/// A cart of mugs, of which the shop has ten.
async fn cart(shop: &Embedded, price: i64, quantity: u32) -> String {
    let mug = json!({ "name": "Mug", "variants": [{ "sku": "MUG", "price": pounds(price) }] });
    done(shop, "/products", mug).await;
    done(shop, "/inventory/MUG/receipts", json!({ "quantity": 10 })).await;
    made(shop, "/carts", json!({ "sku": "MUG", "quantity": quantity })).await
}

/// The path of a checkout of the cart.
async fn started(shop: &Embedded, cart: &str) -> String {
    let contact = json!({ "name": "Ada", "email": "ada@example.org", "address": "1 Street" });
    let body = json!({ "cart": cart, "country": "France", "contact": contact });
    format!("/checkouts/{}", made(shop, "/checkouts", body).await)
}

/// The path of a payment for all that is not paid yet.
async fn paid(shop: &Embedded, checkout: &str, body: Value) -> String {
    format!("/payments/{}", made(shop, &format!("{checkout}/payments"), body).await)
}

async fn stock(shop: &Embedded) -> (Value, Value) {
    let stock = get(shop, "/inventory/MUG").await;
    (stock["on_hand"].clone(), stock["reserved"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_becomes_an_order_that_is_confirmed_paid_and_shipped() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 2).await;
    let checkout = started(&shop, &cart).await;
    let order = checkout.replace("checkouts", "orders");
    let running = get(&shop, &checkout).await;
    assert_eq!((&running["status"], &running["step"]), (&json!("running"), &json!("paying")), "{running}");
    assert_eq!((&running["total"], &running["unpaid"]), (&pounds(2_598), &pounds(2_598)), "{running}");
    assert_eq!(stock(&shop).await, (json!(10), json!(2)));
    let busy = shop.post(&format!("/carts/{cart}/lines"), &json!({ "sku": "MUG", "quantity": 1 })).await;
    assert_eq!(refused(&busy), (409, "checkout-running".to_owned()));
    assert_eq!(shop.get(&order, "0").await.status, 404, "there is no order yet");

    paid(&shop, &checkout, json!({})).await;
    let completed = get(&shop, &checkout).await;
    assert_eq!(completed["status"], "completed", "{completed}");
    let order_now = get(&shop, &order).await;
    assert_eq!(
        (&order_now["status"], &order_now["paid"]),
        (&json!("confirmed"), &pounds(2_598)),
        "{order_now}"
    );
    assert_eq!(order_now["number"], completed["number"]);
    let bought = get(&shop, &format!("/carts/{cart}")).await;
    assert_eq!(bought["status"], "checked_out", "{bought}");
    assert_eq!(json!(format!("/checkouts/{}", bought["checkout"].as_str().unwrap())), json!(checkout));
    assert_eq!(stock(&shop).await, (json!(10), json!(2)));

    let shipped = done(&shop, &format!("{order}/shipment"), json!({})).await;
    assert_eq!(get_after(&shop, &order, &shipped.position).await["status"], "shipped");
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    assert_eq!(stock(&shop).await, (json!(8), json!(0)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_leaves_no_order_no_reservation_and_no_money_and_the_cart_goes_on() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 2).await;
    let checkout = started(&shop, &cart).await;
    // Of half of it: it stays open.
    let payment = paid(&shop, &checkout, json!({ "amount": pounds(1_299) })).await;
    assert_eq!(get(&shop, &payment).await["authorization"], "succeeded");
    assert_eq!(get(&shop, &checkout).await["unpaid"], pounds(1_299));

    done(&shop, &format!("{checkout}/end"), json!({})).await;
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    let ended = get(&shop, &checkout).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("refused"), &json!("given-up")), "{ended}");
    assert_eq!(stock(&shop).await, (json!(10), json!(0)));
    assert_eq!(get(&shop, &payment).await["released"], pounds(1_299));
    assert_eq!(shop.get(&checkout.replace("checkouts", "orders"), "0").await.status, 404);

    done(&shop, &format!("/carts/{cart}/lines"), json!({ "sku": "MUG", "quantity": 1 })).await;
    // And it can be bought.
    let again = started(&shop, &cart).await;
    paid(&shop, &again, json!({})).await;
    let completed = get(&shop, &again).await;
    assert_eq!(
        (&completed["status"], &completed["total"]),
        (&json!("completed"), &pounds(3_897)),
        "{completed}"
    );
    assert_eq!(stock(&shop).await, (json!(10), json!(3)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_with_its_line_and_nothing_stays_reserved() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 11).await;
    let checkout = started(&shop, &cart).await;
    let ended = get(&shop, &checkout).await;
    assert_eq!(ended["status"], "refused", "{ended}");
    let why = ["reason", "refused_line", "refused_sku"].map(|name| ended[name].clone());
    assert_eq!(why, [json!("insufficient-stock"), json!(1), json!("MUG")], "{ended}");
    assert_eq!(stock(&shop).await, (json!(10), json!(0)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_is_never_charged_another_total_than_they_were_shown() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 2).await;
    let body = |total| json!({ "cart": cart, "country": "France", "total": pounds(total) });
    let other = shop.post("/checkouts", &body(2_597)).await;
    assert_eq!((refused(&other).1.as_str(), &other.json["total"]), ("total-changed", &pounds(2_598)));
    let euros = json!({ "cart": cart, "country": "France", "total": { "amount": 2_598, "currency": "EUR" } });
    assert_eq!(refused(&shop.post("/checkouts", &euros).await).1, "total-changed");
    assert_eq!(shop.post("/checkouts", &body(2_598)).await.status, 202);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_card_is_taken_after_one_that_was_declined() {
    let shop = Embedded::start().await;
    // The sandbox declines an authorization whose amount ends in 6601.
    let cart = cart(&shop, 6_601, 1).await;
    let checkout = started(&shop, &cart).await;
    let payment = paid(&shop, &checkout, json!({})).await;
    assert_eq!(get(&shop, &payment).await["authorization"], "declined");
    let pending = shop.post(&format!("{checkout}/payments"), &json!({})).await;
    assert_eq!(refused(&pending), (409, "payment-pending".to_owned()));
    done(&shop, &format!("{payment}/stop"), json!({})).await;
    for amount in [6_000, 601] {
        paid(&shop, &checkout, json!({ "amount": pounds(amount) })).await;
    }
    let completed = get(&shop, &checkout).await;
    assert_eq!(
        (&completed["status"], &completed["settled"]),
        (&json!("completed"), &pounds(6_601)),
        "{completed}"
    );
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_another_currency_by_now_is_not_bought() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 1).await;
    let dollars = json!({ "amount": 1_299, "currency": "USD" });
    let product = get(&shop, "/products").await["items"][0]["id"].as_str().unwrap().to_owned();
    done(&shop, &format!("/products/{product}/prices"), json!({ "sku": "MUG", "price": dollars })).await;
    for total in [pounds(1_299), dollars, Value::Null] {
        let body = json!({ "cart": cart, "country": "France", "total": total });
        let answer = shop.post("/checkouts", &body).await;
        assert_eq!(refused(&answer), (422, "other-currency".to_owned()), "{}", answer.json);
        assert_eq!((&answer.json["line"], &answer.json["sku"]), (&json!(1), &json!("MUG")));
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_nothing_becomes_an_order_without_a_payment() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 0, 1).await;
    let checkout = started(&shop, &cart).await;
    assert_eq!(get(&shop, &checkout).await["status"], "completed");
    let again = shop.post("/checkouts", &json!({ "cart": cart, "country": "France" })).await;
    assert_eq!(refused(&again), (409, "cart-checked-out".to_owned()), "{}", again.json);
    shop.stop().await;
}

/// Starts the checkout of a cart with one payment of all of it, and waits for what becomes of it.
async fn bought(shop: &Embedded, cart: &str, key: &str) -> Answer {
    let headers = [("idempotency-key", key), ("prefer", "wait=30")];
    let body = json!({ "cart": cart, "country": "France", "payment": {} });
    shop.send(Method::POST, "/checkouts", &headers, Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_takes_a_cart_to_its_paid_order_however_often_it_is_sent() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 2).await;
    let key = "0199aabb-0000-4000-8000-000000000001";
    let answer = bought(&shop, &cart, key).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let path = format!("/orders/{}", answer.json["id"].as_str().unwrap());
    let order = get_after(&shop, &path, &answer.position).await;
    assert_eq!((&order["status"], &order["total"]), (&json!("confirmed"), &pounds(2_598)), "{order}");
    let again = bought(&shop, &cart, key).await;
    assert_eq!((again.status, &again.json["id"]), (201, &answer.json["id"]), "{}", again.json);
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    assert_eq!(get(&shop, &path).await["paid"], pounds(2_598));
    assert_eq!(get(&shop, "/orders").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(stock(&shop).await, (json!(10), json!(2)));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_which_line_cannot_be_had_and_is_asked_for_no_money() {
    let shop = Embedded::start().await;
    let cart = cart(&shop, 1_299, 11).await;
    let key = "0199aabb-0000-4000-8000-000000000002";
    for _ in 0..2 {
        let answer = bought(&shop, &cart, key).await;
        assert_eq!(refused(&answer), (409, "checkout-refused".to_owned()), "{}", answer.json);
        let why = ["reason", "line", "sku"].map(|name| answer.json[name].clone());
        assert_eq!(why, [json!("insufficient-stock"), json!(1), json!("MUG")], "{}", answer.json);
    }
    settle(&shop.shop, Duration::from_mins(2)).await.unwrap();
    assert_eq!(get(&shop, "/payments").await["items"], json!([]));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_sent_on_when_only_they_can_go_on() {
    let shop = Embedded::start().await;
    // The sandbox declines an authorization whose amount ends in 6601.
    let cart = cart(&shop, 6_601, 1).await;
    let answer = bought(&shop, &cart, "0199aabb-0000-4000-8000-000000000003").await;
    assert_eq!((answer.status, &answer.json["waits_for"]), (202, &json!("buyer")), "{}", answer.json);
    let checkout = format!("/checkouts/{}", answer.json["id"].as_str().unwrap());
    let running = get_after(&shop, &checkout, &answer.position).await;
    assert_eq!((&running["step"], &running["unpaid"]), (&json!("paying"), &pounds(0)), "{running}");
    assert_eq!(running["version"], answer.json["version"]);
    let payment = format!("/payments/{}", running["payments"][0]["id"].as_str().unwrap());
    assert_eq!(get_after(&shop, &payment, &answer.position).await["authorization"], "declined");
    let headers = [("idempotency-key", "0199aabb-0000-4000-8000-000000000003"), ("prefer", "wait=1")];
    let body = json!({ "cart": cart, "country": "France", "payment": {} });
    let again = shop.send(Method::POST, "/checkouts", &headers, Some(&body)).await;
    assert_eq!((again.status, &again.json["waits_for"]), (202, &json!("buyer")), "{}", again.json);

    done(&shop, &format!("{payment}/stop"), json!({})).await;
    paid(&shop, &checkout, json!({ "amount": pounds(6_000) })).await;
    paid(&shop, &checkout, json!({ "amount": pounds(601) })).await;
    assert_eq!(get(&shop, &checkout).await["status"], "completed");
    shop.stop().await;
}
