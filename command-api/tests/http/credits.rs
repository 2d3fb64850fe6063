//! Credit notes: what goes back of an order, and what goes back without one.

use futures::future::join_all;
use serde_json::{Value, json};
use soonshop_domain::Money;
use soonshop_domain::ids::{self, CreditNoteId, OrderId};
use soonshop_domain::order::credit_note::CreditNote;
use soonshop_domain::order::{self, Line, Order};
use soonshop_event_store::{Expected, NewEvent, Outcome, Request};
use soonshop_service_kit::access::Role;
use uuid::Uuid;

use super::{Got, OPERATOR, Shop, key, keyed, order, pounds};

/// A shop with an order of two mugs at 5.00 by a guest in the United Kingdom; its id.
async fn with_order() -> (Shop, String) {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    shop.sell("cup").await;
    let ordered = shop.post("/orders", order("mug")).await.id();
    (shop, ordered)
}

fn note(order: &str, lines: Value) -> Value {
    json!({ "order_id": order, "lines": lines })
}

fn mugs(quantity: u64) -> Value {
    json!([{ "sku": "mug", "quantity": quantity }])
}

async fn state(shop: &Shop, order: &str) -> Order {
    shop.store.load::<Order>(order.parse().unwrap()).await.unwrap().0
}

/// The last event of the log of that type.
async fn last(shop: &Shop, event: &str) -> Value {
    let events = shop.store.log().read(1, 1_000).await.unwrap();
    let stored = events.into_iter().rfind(|stored| stored.event_type == event).unwrap();
    serde_json::from_str::<Value>(&stored.payload).unwrap()[event].take()
}

/// Status, slug and pointer.
fn pointed(got: &Got) -> (u16, String, String) {
    let (status, slug) = got.refused();
    (status, slug, got.json()["pointer"].as_str().unwrap_or_default().to_owned())
}

fn at(status: u16, slug: &str, pointer: &str) -> (u16, String, String) {
    (status, slug.to_owned(), pointer.to_owned())
}

#[tokio::test]
async fn a_credit_note_has_customer_country_lines_and_prices_of_its_order_and_a_number_of_its_own() {
    let (shop, ordered) = with_order().await;
    let got = shop.operate("/credit-notes", note(&ordered, mugs(1))).await;
    assert_eq!((got.status, got.header("location")), (201, format!("/credit-notes/{}", got.id()).as_str()));
    // Both streams got their event in one append, and the answer's position is that of the last.
    assert_eq!((got.header("etag"), got.header("event-position")), ("\"1\"", "main:5"));
    let issued = last(&shop, "CreditNoteIssued").await;
    let guest = ids::derived(ordered.parse().unwrap(), &["guest"]);
    assert_eq!(
        (&issued["total"], &issued["order_id"], &issued["country"], &issued["customer"]),
        (&pounds(500), &json!(ordered), &json!("United Kingdom"), &json!({ "guest": guest }))
    );
    assert_eq!(issued["order_lines"], json!([1]));
    assert_eq!(
        (&issued["lines"][0]["name"], &issued["lines"][0]["price"]),
        (&json!("The mug"), &pounds(500))
    );
    assert!(issued["number"].as_str().unwrap().starts_with("C-"));
    assert!(issued.get("without_order").is_none() && got.json().get("without_order").is_none());
    let credited = last(&shop, "OrderCredited").await;
    assert_eq!(
        credited,
        json!({ "credit_note_id": got.id(), "total": pounds(500),
                "lines": [{ "line": 1, "quantity": 1, "price": pounds(500) }] })
    );

    let mut numbered = note(&ordered, mugs(1));
    numbered["number"] = json!("C7");
    assert_eq!(shop.operate("/credit-notes", numbered.clone()).await.status, 201);
    let other = shop.post("/orders", order("mug")).await.id();
    numbered["order_id"] = json!(other);
    let got = shop.operate("/credit-notes", numbered).await;
    assert_eq!(pointed(&got), at(409, "credit-note-number-taken", "/number"));
    assert!(state(&shop, &other).await.credits.is_empty(), "the order was not credited either");
}

#[tokio::test]
async fn a_credit_never_gives_back_more_than_was_charged() {
    let (shop, ordered) = with_order().await;
    // The product costs more by now: what was charged counts.
    let product = shop.store.owner_of("sku", "MUG").await.unwrap().unwrap().replace("product:", "/products/");
    let dearer = json!({ "sku": "mug", "price": pounds(4_000) });
    assert_eq!(shop.post(&format!("{product}/prices"), dearer).await.status, 200);
    for (lines, status, slug, pointer) in [
        (mugs(3), 409, "credit-too-large", "/lines/0/quantity"),
        (mugs(1_000), 409, "credit-too-large", "/lines/0/quantity"),
        (
            json!([{ "sku": "mug", "quantity": 1 }, { "sku": "mug", "quantity": 2 }]),
            409,
            "credit-too-large",
            "/lines/1/quantity",
        ),
        (json!([{ "sku": "cup", "quantity": 1 }]), 422, "not-in-order", "/lines/0/sku"),
        (json!([{ "line": 2, "quantity": 1 }]), 422, "not-in-order", "/lines/0/line"),
        (json!([{ "line": 1, "sku": "cup", "quantity": 1 }]), 422, "not-in-order", "/lines/0/sku"),
        (
            json!([{ "sku": "mug", "quantity": 1, "price": pounds(501) }]),
            422,
            "differs-from-order",
            "/lines/0/price",
        ),
        (
            json!([{ "sku": "mug", "quantity": 1, "price": { "amount": 100, "currency": "JPY" } }]),
            422,
            "differs-from-order",
            "/lines/0/price",
        ),
        (
            json!([{ "sku": "mug", "quantity": 1, "price": pounds(-1) }]),
            422,
            "differs-from-order",
            "/lines/0/price",
        ),
        (mugs(0), 422, "bad-lines", "/lines/0/quantity"),
        (json!([]), 422, "bad-lines", "/lines"),
        (json!([{ "quantity": 1 }]), 422, "invalid-body", "/lines/0"),
    ] {
        let got = shop.operate("/credit-notes", note(&ordered, lines.clone())).await;
        assert_eq!(pointed(&got), at(status, slug, pointer), "{lines}");
    }
    let got = shop.operate("/credit-notes", note(&ordered, mugs(3))).await;
    assert_eq!(got.json()["left"], 2);
    for (field, value) in [
        ("country", json!("France")),
        ("customer", json!({ "guest": Uuid::new_v4() })),
        ("customer", json!({ "user": Uuid::new_v4() })),
    ] {
        let mut differs = note(&ordered, mugs(1));
        differs[field] = value;
        let got = shop.operate("/credit-notes", differs).await;
        assert_eq!(pointed(&got), at(422, "differs-from-order", &format!("/{field}")));
    }
    assert!(state(&shop, &ordered).await.credits.is_empty(), "nothing of this was done");

    // Values that equal the order's may be sent, in another spelling too.
    let mut same = note(&ordered, json!([{ "line": 1, "sku": " MUG", "quantity": 1, "price": pounds(500) }]));
    same["country"] = json!(" United Kingdom ");
    assert_eq!(shop.operate("/credit-notes", same).await.status, 201);
    assert_eq!(shop.operate("/credit-notes", note(&ordered, mugs(1))).await.status, 201);
    let got = shop.operate("/credit-notes", note(&ordered, mugs(1))).await;
    assert_eq!(pointed(&got), at(409, "credit-too-large", "/lines/0/quantity"));
    assert_eq!(got.json()["left"], 0);
    assert_eq!(state(&shop, &ordered).await.credits.amount, 1_000);
}

#[tokio::test]
async fn an_unknown_order_and_a_credit_note_cannot_be_credited() {
    let (shop, ordered) = with_order().await;
    let issued = shop.operate("/credit-notes", note(&ordered, mugs(1))).await.id();
    for nothing in [key(), issued] {
        let got = shop.operate("/credit-notes", note(&nothing, mugs(1))).await;
        assert_eq!(pointed(&got), at(422, "unknown-order", "/order_id"));
    }
}

#[tokio::test]
async fn an_order_is_credited_although_its_product_and_its_customer_were_deleted() {
    let shop = Shop::open().await;
    let product = shop.sell("gone").await;
    let user = shop.post("/users", json!({ "name": "Ada" })).await.id();
    let mut body = order("gone");
    body["customer"] = json!({ "user": user });
    let ordered = shop.operate("/orders", body).await.id();
    assert_eq!(shop.delete(&product, "*").await.status, 204);
    assert_eq!(shop.delete(&format!("/users/{user}"), "*").await.status, 204);
    let got = shop.operate("/credit-notes", note(&ordered, json!([{ "sku": "gone", "quantity": 1 }]))).await;
    assert_eq!(got.status, 201, "{}", got.text);
    let issued = last(&shop, "CreditNoteIssued").await;
    assert_eq!((&issued["customer"], &issued["total"]), (&json!({ "user": user }), &pounds(500)));
}

#[tokio::test]
async fn credit_and_cancellation_come_in_either_order_and_a_refused_order_is_not_credited() {
    let (shop, ordered) = with_order().await;
    let cancel = |order: &str| format!("/orders/{order}/cancellation");
    let reason = || json!({ "reason": "changed-my-mind" });
    // Credited, then cancelled, then credited again.
    assert_eq!(shop.operate("/credit-notes", note(&ordered, mugs(1))).await.status, 201);
    assert_eq!(shop.post(&cancel(&ordered), reason()).await.status, 200);
    let got = shop.operate("/credit-notes", note(&ordered, mugs(1))).await;
    assert_eq!(pointed(&got), at(409, "wrong-order-state", "/order_id"));
    // Cancelled, then credited.
    let cancelled = shop.post("/orders", order("mug")).await.id();
    assert_eq!(shop.post(&cancel(&cancelled), reason()).await.status, 200);
    // Refused.
    let refused = shop.post("/orders", order("mug")).await.id();
    let refusal = order::Refusal {
        line: 1,
        sku: soonshop_domain::text::Sku::try_new("mug").unwrap(),
        reason: "insufficient-stock".to_owned(),
    };
    shop.decide(&refused, order::Command::Refuse { refusal }).await;
    for nothing in [&cancelled, &refused] {
        let got = shop.operate("/credit-notes", note(nothing, mugs(1))).await;
        assert_eq!(pointed(&got), at(409, "wrong-order-state", "/order_id"));
    }
    // Confirmed and not shipped, then shipped: one unit each.
    let shipped = shop.post("/orders", order("mug")).await.id();
    shop.decide(&shipped, order::Command::Confirm).await;
    assert_eq!(shop.operate("/credit-notes", note(&shipped, mugs(1))).await.status, 201);
    assert_eq!(shop.post(&format!("/orders/{shipped}/shipment"), json!({})).await.status, 200);
    assert_eq!(shop.operate("/credit-notes", note(&shipped, mugs(1))).await.status, 201);
    assert_eq!(
        pointed(&shop.operate("/credit-notes", note(&shipped, mugs(1))).await),
        at(409, "credit-too-large", "/lines/0/quantity")
    );
}

#[tokio::test]
async fn a_hundred_credits_at_once_take_each_unit_of_an_order_once() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    // The same SKU on several lines: where one is used up, the next one is taken.
    let lines = json!([{ "sku": "mug", "quantity": 7 }, { "sku": "mug", "quantity": 11 }]);
    let ordered = shop.post("/orders", json!({ "lines": lines, "country": "UK" })).await.id();
    let all = join_all((0..100).map(|_| shop.operate("/credit-notes", note(&ordered, mugs(1))))).await;
    let done = all.iter().filter(|got| got.status == 201).count();
    let refused = all.iter().filter(|got| got.status == 409).map(pointed).collect::<Vec<_>>();
    assert_eq!((done, refused.len()), (18, 82));
    assert!(refused.iter().all(|message| *message == at(409, "credit-too-large", "/lines/0/quantity")));
    let credits = state(&shop, &ordered).await.credits;
    assert_eq!((credits.amount, credits.lines[&1].units, credits.lines[&2].units), (18 * 500, 7, 11));
}

#[tokio::test]
async fn a_repeated_credit_is_answered_as_it_was_and_done_once() {
    let (shop, ordered) = with_order().await;
    let key = key();
    let headers = [("idempotency-key", key.as_str()), OPERATOR];
    let send = || shop.post_with("/credit-notes", &headers, note(&ordered, mugs(2)));
    let answers = join_all((0..16).map(|_| send())).await;
    for got in &answers {
        assert_eq!((got.status, &got.text), (201, &answers[0].text), "{}", got.text);
    }
    // Also when the order would refuse it by now.
    shop.decide(&ordered, order::Command::Cancel { reason: "changed-my-mind".to_owned() }).await;
    let again = send().await;
    assert_eq!((again.status, &again.text), (201, &answers[0].text));
    assert_eq!(state(&shop, &ordered).await.credits.amount, 1_000);

    let mut free = json!({ "country": "UK", "lines": [{ "sku": "mug", "quantity": 1 }] });
    let free_key = Uuid::new_v4().to_string();
    let headers = [("idempotency-key", free_key.as_str()), OPERATOR];
    let first = shop.post_with("/credit-notes", &headers, free.clone()).await;
    let again = shop.post_with("/credit-notes", &headers, free.clone()).await;
    assert_eq!((first.status, &first.text), (201, &again.text));
    free["country"] = json!("France");
    let other = shop.post_with("/credit-notes", &headers, free).await;
    assert_eq!(other.refused(), (422, "idempotency-key-reused".into()));
}

#[tokio::test]
async fn a_credit_without_an_order_needs_the_permission_override_and_says_so() {
    let (shop, sent) = keyed(&[Role::Support, Role::Admin]).await;
    shop.sell("mug").await;
    let ordered = shop
        .post_with("/orders", &[("authorization", &sent[1].1), ("idempotency-key", &key())], order("mug"))
        .await;
    let ordered = ordered.id();
    let credit = async |who: usize, body: Value| {
        let headers = [("authorization", sent[who].1.as_str()), ("idempotency-key", &*key())];
        shop.post_with("/credit-notes", &headers, body).await
    };
    let free = json!({ "country": "UK", "lines": [{ "sku": "mug", "quantity": 1, "price": pounds(450) }] });
    let got = credit(0, free.clone()).await;
    assert_eq!(pointed(&got), at(403, "not-permitted", "/order_id"));
    let got = credit(1, free.clone()).await;
    assert_eq!((got.status, &got.json()["without_order"]), (201, &json!(true)));
    let issued = last(&shop, "CreditNoteIssued").await;
    assert_eq!((&issued["without_order"], &issued["total"]), (&json!(true), &pounds(450)));
    assert!(issued.get("order_id").is_none());
    let (kept, _) = shop.store.load::<CreditNote>(got.id().parse().unwrap()).await.unwrap();
    assert!(kept.without_order && kept.order_id.is_none());
    for (field, value, pointer) in [
        ("country", Value::Null, "/country"),
        ("lines", json!([{ "line": 1, "sku": "mug", "quantity": 1 }]), "/lines/0/line"),
        ("lines", json!([{ "quantity": 1 }]), "/lines/0/sku"),
    ] {
        let mut wrong = free.clone();
        wrong[field] = value;
        assert_eq!(pointed(&credit(1, wrong).await), at(422, "invalid-body", pointer));
    }
    // For an order, everybody who may give money back may; only its own prices, or lower ones with the permission.
    let priced = |pence| note(&ordered, json!([{ "sku": "mug", "quantity": 1, "price": pounds(pence) }]));
    assert_eq!(pointed(&credit(0, priced(450)).await), at(403, "not-permitted", "/lines/0/price"));
    assert_eq!(credit(0, priced(500)).await.status, 201);
    assert_eq!(credit(1, priced(450)).await.status, 201);
    assert_eq!(state(&shop, &ordered).await.credits.amount, 950);
}

/// Writes a credit note as a release did that did not ask the order.
async fn issued_earlier(shop: &Shop, order_id: OrderId, lines: Vec<Line>, total: Money) -> CreditNoteId {
    let id = ids::new();
    let payload = json!({ "CreditNoteIssued": {
        "number": format!("C{id}"), "order_id": order_id, "customer": { "guest": Uuid::new_v4() },
        "lines": lines, "total": total, "country": "Elsewhere",
    }});
    let request = Request {
        command_id: ids::new(),
        fingerprint: vec![1],
        record: false,
        answer: soonshop_event_store::Answer::default(),
        streams: vec![Expected {
            aggregate_type: "credit_note",
            aggregate_id: id.to_string(),
            sequence: 0,
            event_id: None,
        }],
        claims: Vec::new(),
        frees: Vec::new(),
        claim_keys: Vec::new(),
        events: vec![NewEvent {
            aggregate_type: "credit_note",
            aggregate_id: id.to_string(),
            sequence: 1,
            event_type: "CreditNoteIssued".into(),
            event_version: "1".into(),
            payload: payload.to_string(),
            metadata: "{}".to_owned(),
            event_id: ids::new(),
            occurred_at: soonshop_domain::clock::now(),
        }],
        deadline: tokio::time::Instant::now() + std::time::Duration::from_mins(1),
    };
    let done = shop.store.appender().submit(request).await.unwrap();
    assert!(matches!(done, Ok(Outcome::Done(_))), "{done:?}");
    CreditNoteId(id)
}

#[tokio::test]
async fn what_an_earlier_release_credited_without_asking_the_order_counts() {
    let (shop, ordered) = with_order().await;
    let lines = state(&shop, &ordered).await.placed.unwrap().lines;
    let id = OrderId(ordered.parse().unwrap());
    let one = vec![Line { quantity: 1, ..lines[0].clone() }];
    let earlier = issued_earlier(&shop, id, one, lines[0].price).await;
    let got = shop.operate("/credit-notes", note(&ordered, mugs(2))).await;
    assert_eq!(pointed(&got), at(409, "credit-too-large", "/lines/0/quantity"));
    assert_eq!(got.json()["left"], 1);
    assert_eq!(shop.operate("/credit-notes", note(&ordered, mugs(1))).await.status, 201);
    let credits = state(&shop, &ordered).await.credits;
    assert_eq!((credits.amount, credits.lines[&1].units), (1_000, 2));
    assert_eq!(credits.earlier.into_iter().collect::<Vec<_>>(), [earlier]);
    let got = shop.operate("/credit-notes", note(&ordered, mugs(1))).await;
    assert_eq!(got.json()["left"], 0, "{}", got.text);

    // One that gave back more than was charged leaves nothing.
    let other = shop.post("/orders", order("mug")).await.id();
    let many = vec![Line { quantity: 1_000, ..lines[0].clone() }];
    let total = lines[0].price.times(1_000).unwrap();
    issued_earlier(&shop, OrderId(other.parse().unwrap()), many, total).await;
    let got = shop.operate("/credit-notes", note(&other, mugs(1))).await;
    assert_eq!(pointed(&got), at(409, "credit-too-large", "/lines/0/quantity"));
}
