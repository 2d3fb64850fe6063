//! The business time of a command: what is stored of it, and what it follows.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{OPERATOR, Shop, key, order, pounds};

/// The business time of the event at that position.
async fn occurred_at(shop: &Shop, position: &Value) -> DateTime<Utc> {
    shop.store.log().read(position.as_i64().unwrap(), 1).await.unwrap().remove(0).occurred_at
}

#[tokio::test]
async fn business_times_that_are_stored_alike_make_one_command() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let mut placed = order("mug");
    let ordered = shop.post("/orders", placed.clone()).await.id();
    placed["country"] = json!("France");
    for (path, body) in [
        ("/users".to_owned(), json!({ "name": "Ada" })),
        ("/products".to_owned(), json!({ "name": "Cup", "variants": [{ "sku": "cup" }] })),
        (format!("{product}/prices"), json!({ "sku": "mug", "price": pounds(600) })),
        ("/inventory/mug/receipts".to_owned(), json!({ "quantity": 5 })),
        ("/inventory/mug/adjustments".to_owned(), json!({ "quantity": 1, "reason": "counted" })),
        ("/orders".to_owned(), placed),
        (
            "/credit-notes".to_owned(),
            json!({ "order_id": ordered, "lines": [{ "sku": "mug", "quantity": 1 }] }),
        ),
    ] {
        let now = soonshop_domain::clock::now().format("%Y-%m-%dT%H:%M:%S");
        let sent = key();
        let send = async |fraction: &str| {
            let mut body = body.clone();
            body["occurred_at"] = json!(format!("{now}.{fraction}Z"));
            let headers = [("idempotency-key", sent.as_str()), OPERATOR];
            shop.post_with(&path, &headers, body).await
        };
        let first = send("999999").await;
        assert!([200, 201].contains(&first.status), "{path}: {}", first.text);
        for same in ["999999", "9999990", "9999995", "999999999"] {
            let again = send(same).await;
            assert_eq!((again.status, &again.text), (first.status, &first.text), "{path} {same}");
        }
        for other in ["999998", "999", "999998999"] {
            let got = send(other).await;
            assert_eq!(got.refused(), (422, "idempotency-key-reused".into()), "{path} {other}");
        }
    }
}

#[tokio::test]
async fn a_credit_note_is_not_issued_before_its_order_was_placed() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let at = "2010-12-01T08:26:00.5Z";
    let mut placed = order("mug");
    placed["occurred_at"] = json!(at);
    let ordered = shop.operate("/orders", placed).await.id();
    let note = async |at: &str| {
        let body = json!({
            "order_id": ordered, "lines": [{ "sku": "mug", "quantity": 1 }], "occurred_at": at,
        });
        shop.operate("/credit-notes", body).await
    };
    let before = shop.head().await;
    for early in ["2010-12-01T08:26:00.499999Z", "2010-11-30T08:26:00Z", "1900-01-01T00:00:00Z"] {
        let got = note(early).await;
        assert_eq!(got.refused(), (422, "invalid-body".into()), "{early}");
        assert_eq!(got.json()["pointer"], "/occurred_at", "{early}");
    }
    assert_eq!(shop.head().await, before);
    let done = note(at).await;
    assert_eq!(done.status, 201, "{}", done.text);
    assert_eq!(occurred_at(&shop, &done.json()["position"]).await, at.parse::<DateTime<Utc>>().unwrap());
    assert_eq!(note("2010-12-02T00:00:00Z").await.status, 201);
}

#[tokio::test]
async fn a_credit_note_without_a_time_is_not_earlier_than_an_order_of_a_clock_that_is_ahead() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let ahead = soonshop_domain::clock::now() + TimeDelta::minutes(4);
    let mut placed = order("mug");
    placed["occurred_at"] = json!(ahead);
    let ordered = shop.operate("/orders", placed).await;
    let body = json!({ "order_id": ordered.id(), "lines": [{ "sku": "mug", "quantity": 1 }] });
    let done = shop.operate("/credit-notes", body).await;
    assert_eq!(done.status, 201, "{}", done.text);
    let (order, note) = (&ordered.json()["position"], &done.json()["position"]);
    assert_eq!(occurred_at(&shop, note).await, occurred_at(&shop, order).await);
}
