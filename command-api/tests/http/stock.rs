//! Stock of an order's line that somebody moves by hand: judged with the order, in the append itself.

use serde_json::json;
use soonshop_domain::ids::OrderId;
use soonshop_domain::inventory::{Line, MAIN, Stock, stream};
use soonshop_domain::order::{Command, Refusal};
use soonshop_domain::text::Sku;

use super::{Got, Shop, key, order};

/// Its stock at the main location, with the lines that were reserved.
async fn stock(shop: &Shop, sku: &str) -> Stock {
    shop.store.load::<Stock>(stream(&Sku::try_new(sku).unwrap(), MAIN)).await.unwrap().0
}

async fn line(shop: &Shop, order: &str) -> Option<Line> {
    stock(shop, "mug").await.line(OrderId(order.parse().unwrap()), 1)
}

/// A shop with nine mugs and nine cups.
async fn with_stock() -> Shop {
    let shop = Shop::open().await;
    for sku in ["mug", "cup"] {
        shop.sell(sku).await;
        let got = shop.post(&format!("/inventory/{sku}/receipts"), json!({ "quantity": 9 })).await;
        assert_eq!(got.status, 200, "{}", got.text);
    }
    shop
}

/// An order of two mugs; its id.
async fn ordered(shop: &Shop) -> String {
    shop.post("/orders", order("mug")).await.id()
}

async fn reserve(shop: &Shop, order: &str) -> Got {
    let body = json!({ "order_id": order, "line": 1, "quantity": 2 });
    shop.operate("/inventory/mug/reservations", body).await
}

async fn moved(shop: &Shop, what: &str, order: &str) -> Got {
    shop.operate(&format!("/inventory/mug/{what}"), json!({ "order_id": order, "line": 1 })).await
}

/// What the process manager does with an order that nobody gets.
fn refuse() -> Command {
    let sku = Sku::try_new("mug").unwrap();
    Command::Refuse { refusal: Refusal { line: 1, sku, reason: "insufficient-stock".to_owned() } }
}

fn cancel() -> Command {
    Command::Cancel { reason: "changed-my-mind".to_owned() }
}

/// Slug, and the field that is at fault: its pointer, or the parameter.
#[track_caller]
fn fault(got: &Got) -> (u16, String, String) {
    let (status, slug) = got.refused();
    let body = got.json();
    let field = body["pointer"].as_str().or_else(|| body["parameter"].as_str());
    (status, slug, field.unwrap_or_default().to_owned())
}

fn at(status: u16, slug: &str, field: &str) -> (u16, String, String) {
    (status, slug.to_owned(), field.to_owned())
}

#[tokio::test]
async fn stock_is_reserved_by_hand_only_for_a_line_that_an_order_has_with_its_sku_and_its_quantity() {
    let shop = with_stock().await;
    let mugs = ordered(&shop).await;
    let try_it = async |sku: &str, order: &str, line: u32, quantity: u32, location: &str| {
        let body = json!({ "order_id": order, "line": line, "quantity": quantity, "location": location });
        fault(&shop.operate(&format!("/inventory/{sku}/reservations"), body).await)
    };
    let before = shop.head().await;
    let not_in_order = |field: &str| at(422, "not-in-order", field);
    assert_eq!(try_it("mug", &key(), 1, 2, MAIN).await, at(422, "unknown-order", "/order_id"));
    assert_eq!(try_it("mug", &mugs, 2, 2, MAIN).await, not_in_order("/line"));
    assert_eq!(try_it("cup", &mugs, 1, 2, MAIN).await, not_in_order("sku"));
    for other in [1, 3] {
        assert_eq!(
            try_it("mug", &mugs, 1, other, MAIN).await,
            at(422, "differs-from-order", "/quantity"),
            "{other}"
        );
    }
    shop.post("/inventory/mug/receipts", json!({ "quantity": 9, "location": "leeds" })).await;
    assert_eq!(
        try_it("mug", &mugs, 1, 2, "leeds").await,
        at(422, "differs-from-order", "/location"),
        "nobody would ship it from there"
    );
    assert_eq!(shop.head().await, before + 1, "only the receipt");
    assert_eq!(reserve(&shop, &mugs).await.status, 200);
    assert_eq!(line(&shop, &mugs).await, Some(Line::Reserved(2)));
}

#[tokio::test]
async fn stock_of_a_line_is_released_or_shipped_by_hand_only_for_an_order_that_has_the_line() {
    let shop = with_stock().await;
    let mugs = ordered(&shop).await;
    assert_eq!(reserve(&shop, &mugs).await.status, 200);
    let before = shop.head().await;
    let release = async |sku: &str, order: &str, line: u32| {
        let body = json!({ "order_id": order, "line": line });
        fault(&shop.operate(&format!("/inventory/{sku}/releases"), body).await)
    };
    assert_eq!(release("mug", &key(), 1).await, at(422, "unknown-order", "/order_id"));
    assert_eq!(release("mug", &mugs, 2).await, at(422, "not-in-order", "/line"));
    assert_eq!(release("cup", &mugs, 1).await, at(422, "not-in-order", "sku"));
    let nowhere = moved(&shop, "shipments", &key()).await;
    assert_eq!(nowhere.refused(), (409, "line-not-reserved".into()));
    assert_eq!(shop.head().await, before);
}

#[tokio::test]
async fn goods_of_an_order_that_can_still_be_cancelled_do_not_leave() {
    let shop = with_stock().await;
    let mugs = ordered(&shop).await;
    assert_eq!(reserve(&shop, &mugs).await.status, 200);
    let out_of_step = at(409, "wrong-order-state", "/order_id");
    assert_eq!(fault(&moved(&shop, "shipments", &mugs).await), out_of_step, "placed");
    shop.decide(&mugs, Command::Confirm).await;
    let got = moved(&shop, "shipments", &mugs).await;
    assert_eq!(fault(&got), out_of_step, "confirmed");
    assert!(got.text.contains("`POST /orders/{id}/shipment`"), "{}", got.text);
    assert_eq!(stock(&shop, "mug").await.on_hand, 9);
    let got = shop.post(&format!("/orders/{mugs}/shipment"), json!({})).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(moved(&shop, "shipments", &mugs).await.status, 200);
    assert_eq!((stock(&shop, "mug").await.on_hand, line(&shop, &mugs).await), (7, Some(Line::Shipped)));
    assert_eq!(moved(&shop, "shipments", &mugs).await.json()["position"], json!(null), "they leave once");
    for end in [cancel(), refuse()] {
        let ended = ordered(&shop).await;
        assert_eq!(reserve(&shop, &ended).await.status, 200);
        shop.decide(&ended, end.clone()).await;
        assert_eq!(fault(&moved(&shop, "shipments", &ended).await), out_of_step, "{end:?}");
    }
}

#[tokio::test]
async fn stock_of_an_order_that_goes_on_is_not_given_away() {
    let shop = with_stock().await;
    let mugs = ordered(&shop).await;
    let out_of_step = at(409, "wrong-order-state", "/order_id");
    assert_eq!(fault(&moved(&shop, "releases", &mugs).await), out_of_step, "it would be barred");
    assert_eq!(reserve(&shop, &mugs).await.status, 200);
    assert_eq!(fault(&moved(&shop, "releases", &mugs).await), out_of_step, "placed");
    shop.decide(&mugs, Command::Confirm).await;
    assert_eq!(fault(&moved(&shop, "releases", &mugs).await), out_of_step, "confirmed");
    shop.post(&format!("/orders/{mugs}/shipment"), json!({})).await;
    assert_eq!(fault(&moved(&shop, "releases", &mugs).await), out_of_step, "shipped");
    assert_eq!(line(&shop, &mugs).await, Some(Line::Reserved(2)));
    // Of an order that has ended it is released, or barred where it was not reserved.
    for (end, reserved) in [(cancel(), true), (cancel(), false), (refuse(), true)] {
        let ended = ordered(&shop).await;
        if reserved {
            assert_eq!(reserve(&shop, &ended).await.status, 200);
        }
        shop.decide(&ended, end).await;
        for _ in 0..2 {
            assert_eq!(moved(&shop, "releases", &ended).await.status, 200);
            assert_eq!(line(&shop, &ended).await, Some(Line::Released));
        }
    }
    assert_eq!(stock(&shop, "mug").await.available(), 7);
}

#[tokio::test]
async fn nothing_is_reserved_for_an_order_that_has_ended() {
    let shop = with_stock().await;
    let out_of_step = at(409, "wrong-order-state", "/order_id");
    for end in [cancel(), refuse()] {
        let ended = ordered(&shop).await;
        shop.decide(&ended, end).await;
        assert_eq!(fault(&reserve(&shop, &ended).await), out_of_step);
    }
    let shipped = ordered(&shop).await;
    shop.ship(&shipped).await;
    assert_eq!(fault(&reserve(&shop, &shipped).await), out_of_step);
    assert_eq!(stock(&shop, "mug").await.reserved, 0);
    let confirmed = ordered(&shop).await;
    shop.decide(&confirmed, Command::Confirm).await;
    assert_eq!(reserve(&shop, &confirmed).await.status, 200);
}

#[tokio::test]
async fn a_repeat_is_answered_as_it_was_whatever_has_become_of_the_order() {
    let shop = with_stock().await;
    let mugs = ordered(&shop).await;
    let sent = key();
    let headers = [("idempotency-key", sent.as_str()), super::OPERATOR];
    let body = json!({ "order_id": mugs, "line": 1, "quantity": 2 });
    let first = shop.post_with("/inventory/mug/reservations", &headers, body.clone()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    shop.decide(&mugs, cancel()).await;
    assert_eq!(moved(&shop, "releases", &mugs).await.status, 200);
    let again = shop.post_with("/inventory/mug/reservations", &headers, body).await;
    assert_eq!((again.status, &again.text), (200, &first.text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_is_reserved_while_its_order_is_cancelled_is_refused_or_given_back() {
    let shop = with_stock().await;
    for _ in 0..20 {
        let mugs = ordered(&shop).await;
        let path = format!("/orders/{mugs}/cancellation");
        let (reserved, cancelled) =
            tokio::join!(reserve(&shop, &mugs), shop.post(&path, json!({ "reason": "changed-my-mind" })));
        assert_eq!(cancelled.status, 200, "{}", cancelled.text);
        let events = shop.store.log().read(1, 10_000).await.unwrap();
        let position = |of: &str, part: &str| {
            let found = events.iter().rfind(|event| {
                event.event_type == of && (event.aggregate_id == mugs || event.payload.contains(part))
            });
            found.map(|event| event.position)
        };
        match reserved.status {
            200 => {
                let (stock, order) = (position("StockReserved", &mugs), position("OrderCancelled", &mugs));
                assert!(stock < order, "the process manager releases what was reserved before");
                assert_eq!(moved(&shop, "releases", &mugs).await.status, 200);
            }
            _ => assert_eq!(fault(&reserved), at(409, "wrong-order-state", "/order_id")),
        }
    }
    assert_eq!(stock(&shop, "mug").await.reserved, 0);
}

#[tokio::test]
async fn an_adjustment_of_nothing_is_refused_at_its_field() {
    let shop = with_stock().await;
    let before = shop.head().await;
    let got = shop.post("/inventory/mug/adjustments", json!({ "quantity": 0, "reason": "counted" })).await;
    assert_eq!(fault(&got), at(422, "bad-quantity", "/quantity"));
    assert!(got.text.contains("an adjustment is not 0"), "{}", got.text);
    assert_eq!(shop.head().await, before);
}
