//! Every text of every body is read by one rule: what people do not see makes no difference, or is refused at its field.

use std::collections::BTreeMap;

use soonshop_service_kit::access::ApiKey;

use super::things::Staffed;
use super::*;

/// In the middle of a text they change nothing that people see, so the command stays the same.
const INVISIBLE: [char; 22] = [
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{200f}',
    '\u{202a}',
    '\u{202d}',
    '\u{202e}',
    '\u{2060}',
    '\u{2063}',
    '\u{2066}',
    '\u{2069}',
    '\u{3164}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{fff9}',
    '\u{e0061}',
];

/// At the end of a text they are white space, which is left out.
const SPACES: [char; 6] = [' ', '\u{a0}', '\u{2003}', '\u{202f}', '\u{3000}', '\u{2028}'];

const CONTROLS: [char; 6] = ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{8}', '\u{9b}'];

/// The pointers of all texts that a schema describes. Each must be in the sample, so that none is forgotten.
fn texts(document: &Value, schema: &Value, sample: &Value, at: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return texts(document, document.pointer(&reference[1..]).unwrap(), sample, at, found);
    }
    if let Some(options) = schema["oneOf"].as_array() {
        let named = |option: &&Value| {
            let properties = option["properties"].as_object();
            option["type"] != "null"
                && properties.is_none_or(|all| all.keys().any(|name| sample.get(name).is_some()))
        };
        let fitting: Vec<_> = options.iter().filter(named).collect();
        assert!(!fitting.is_empty(), "{at}: give it a value in the sample: {sample}");
        return fitting.into_iter().for_each(|option| texts(document, option, sample, at, found));
    }
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let is = |kind: &str| kinds.iter().any(|known| known == kind);
    if is("string") {
        assert!(sample.is_string(), "{at}: give it a text in the sample");
        found.insert(at.to_owned());
    } else if is("array") {
        assert!(sample[0] != Value::Null, "{at}: give it an item in the sample");
        texts(document, &schema["items"], &sample[0], &format!("{at}/0"), found);
    } else if is("object") {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            texts(document, property, &sample[name], &format!("{at}/{name}"), found);
        }
        if schema["additionalProperties"].is_object() {
            let entries = sample.as_object().filter(|entries| !entries.is_empty());
            for (name, value) in entries.unwrap_or_else(|| panic!("{at}: give it an entry in the sample")) {
                texts(document, &schema["additionalProperties"], value, &format!("{at}/{name}"), found);
            }
        }
    }
}

/// A body for each command, in which each text has a value, and the path to send it to.
async fn samples(Staffed { shop, revoked, .. }: &Staffed) -> BTreeMap<&'static str, (String, Value)> {
    let at = "2011-01-05T10:00:00Z";
    let mug = shop.sell("mug").await;
    let gone = shop.sell("GONE-1").await;
    shop.delete(&gone, "*").await;
    let guest = Uuid::new_v4();
    let user = async || shop.post("/users", json!({ "name": "Ada" })).await.id();
    let (changed, erased) = (user().await, user().await);
    let mut bought = order("mug");
    bought["customer"] = json!({ "guest": guest });
    // A credit note has the country of its order.
    bought["country"] = json!("Zaïrë");
    // And it is no earlier.
    bought["occurred_at"] = json!(at);
    let (cancelled, credited) =
        (shop.operate("/orders", bought.clone()).await.id(), shop.operate("/orders", bought).await.id());
    shop.post("/inventory/mug/receipts", json!({ "quantity": 9 })).await;
    let new = async || shop.post("/orders", order("mug")).await.id();
    let (reserved, released, shipped) = (new().await, new().await, new().await);
    for order in [&released, &shipped] {
        let reserve = json!({ "order_id": order, "line": 1, "quantity": 2 });
        assert_eq!(shop.operate("/inventory/mug/reservations", reserve).await.status, 200);
    }
    shop.decide(&released, Command::Cancel { reason: "changed-my-mind".to_owned() }).await;
    shop.ship(&shipped).await;
    let postal = json!({
        "label": "Bürë", "name": "Zoë", "street": "1 Strassë\nHaus", "postal_code": "SW1 ë", "city": "Köëln",
        "region": "Zaïrë", "country": "GB", "phone": "+44 20",
    });
    let booked = shop.operate(&format!("/users/{changed}/addresses"), postal.clone()).await;
    let booked = booked.header("location").to_owned();
    let details = json!({
        "name": "Zoë", "email": "zoe@example.org", "phone": "+44 20 7946", "country": "Zaïrë", "occurred_at": at,
    });
    let described = json!({
        "name": "Tassë", "description": "Zwei\nZeilën", "category": "Küchë", "attributes": { "farbë": "rot" },
    });
    let mut listed = described.clone();
    listed["variants"] = json!([{ "sku": "TASSË", "price": pounds(500) }]);
    listed["occurred_at"] = json!(at);
    let lines = json!([{ "sku": "MUG", "quantity": 1, "price": pounds(500) }]);
    let placed = json!({
        "customer": { "guest": guest }, "lines": lines, "country": "Zaïrë", "number": "A-ë-1", "occurred_at": at,
        "contact": { "name": "Zoë", "email": "zoe@example.org", "phone": "+44", "address": "1 Strassë\nOrt" },
    });
    let credit = json!({
        "number": "C-ë-1", "order_id": credited, "customer": { "guest": guest }, "lines": lines, "country": "Zaïrë",
        "occurred_at": at,
    });
    let line = |order: &str| json!({ "order_id": order, "line": 1, "location": "main" });
    let reservation = json!({ "order_id": reserved, "line": 1, "quantity": 2, "location": "main" });
    let adjusted = json!({ "quantity": 1, "reason": "counted", "location": "main", "occurred_at": at });
    let stock = |what: &str| format!("/inventory/mug/{what}");
    let mut samples = BTreeMap::from([
        ("user.register", ("/users".to_owned(), details.clone())),
        (
            "user.change",
            (format!("/users/{changed}"), {
                let mut other = details;
                other["email"] = json!("zoe.l@example.org");
                other
            }),
        ),
        ("user.add-address", (format!("/users/{changed}/addresses"), postal.clone())),
        ("user.change-address", (booked, postal)),
        (
            "user.set-consent",
            (
                format!("/users/{changed}/consents/email"),
                json!({ "given": true, "wording": "2026-11", "language": "en-GB", "occurred_at": at }),
            ),
        ),
        ("person.request-erasure", (format!("/people/{erased}/erasures"), erasure(&["account"]))),
        (
            "person.request-staff-erasure",
            (format!("/keys/{revoked}/erasures"), json!({ "confirm": ApiKey::prefix_of(*revoked) })),
        ),
        ("product.create", ("/products".to_owned(), listed)),
        ("product.change", (mug.clone(), described)),
        ("product.add-variant", (format!("{mug}/variants"), json!({ "sku": "MUG-Ë", "price": pounds(500) }))),
        (
            "product.set-price",
            (format!("{mug}/prices"), json!({ "sku": "MUG", "price": pounds(600), "occurred_at": at })),
        ),
        ("product.release-sku", (format!("{gone}/sku-releases"), json!({ "sku": "GONE-1" }))),
        (
            "stock.receive",
            (stock("receipts"), json!({ "quantity": 5, "location": "main", "occurred_at": at })),
        ),
        ("stock.adjust", (stock("adjustments"), adjusted)),
        ("stock.reserve", (stock("reservations"), reservation)),
        ("stock.release", (stock("releases"), line(&released))),
        ("stock.ship", (stock("shipments"), line(&shipped))),
        ("order.place", ("/orders".to_owned(), placed)),
        ("order.cancel", (format!("/orders/{cancelled}/cancellation"), json!({ "reason": "changed-mind" }))),
        ("credit_note.issue", ("/credit-notes".to_owned(), credit)),
    ]);
    samples.extend(of_carts(shop).await);
    samples
}

/// The same of payments.
async fn samples_of_payments(shop: &Shop) -> BTreeMap<&'static str, (String, Value)> {
    let unpaid = shop.post("/orders", order("mug")).await.id();
    let ((_, open), (given_up, kept)) = (payments::authorized(shop).await, payments::paid(shop).await);
    shop.decide(&given_up, Command::Cancel { reason: "changed-my-mind".to_owned() }).await;
    let part = json!({ "amount": pounds(100) });
    BTreeMap::from([
        (
            "order.pay",
            (format!("/orders/{unpaid}/payments"), json!({ "amount": pounds(500), "capture": "at_once" })),
        ),
        ("payment.charge", (format!("/payments/{open}/charges"), part.clone())),
        ("payment.release", (format!("/payments/{open}/releases"), part.clone())),
        ("payment.refund", (format!("/payments/{kept}/refunds"), part)),
    ])
}

async fn of_carts(shop: &Shop) -> [(&'static str, (String, Value)); 4] {
    let note = "Geschënk\nrot";
    let cart = shop.post("/carts", json!({ "sku": "mug", "quantity": 1 })).await.id();
    let line = json!({ "sku": "MUG", "quantity": 1, "note": note });
    let changed = json!({ "quantity": 2, "note": note, "seen": pounds(500) });
    let until = soonshop_domain::clock::now() + std::time::Duration::from_hours(24);
    let mut started = line.clone();
    started["customer"] = json!({ "guest": Uuid::new_v4() });
    [
        ("cart.start", ("/carts".to_owned(), started)),
        ("cart.add", (format!("/carts/{cart}/lines"), line)),
        ("cart.change", (format!("/carts/{cart}/lines/1"), changed)),
        ("cart.share", (format!("/carts/{cart}/shares"), json!({ "until": until }))),
    ]
}

async fn of_checkouts(shop: &Shop) -> [(&'static str, (String, Value)); 2] {
    let cart = async || shop.post("/carts", json!({ "sku": "mug", "quantity": 1 })).await.id();
    let contact =
        json!({ "name": "Zoë", "email": "zoe@example.org", "phone": "12", "address": "1 Röad\nBath" });
    let total = json!({ "amount": 500, "currency": "GBP" });
    let new = json!({ "cart": cart().await, "country": "Österreich", "contact": contact, "total": total, "capture": "at_once" });
    let running = json!({ "cart": cart().await, "country": "UK" });
    let running = shop.post("/checkouts", running).await.id();
    [
        ("checkout.start", ("/checkouts".to_owned(), new)),
        ("checkout.pay", (format!("/checkouts/{running}/payments"), json!({ "amount": total }))),
    ]
}

/// The text with the character after its first one.
fn with_inside(text: &str, char: char) -> String {
    let first = text.chars().next().unwrap();
    format!("{first}{char}{}", &text[first.len_utf8()..])
}

#[tokio::test]
async fn invisible_characters_make_no_text_of_any_body_another_one() {
    let staffed = Staffed::open().await;
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut samples = Box::pin(samples(&staffed)).await;
    let shop = &staffed.shop;
    samples.extend(samples_of_payments(shop).await);
    samples.extend(of_checkouts(shop).await);
    let types: BTreeSet<&str> =
        samples.keys().copied().filter_map(|name: &str| Some(name.split_once('.')?.0)).collect();
    let mut seen = 0;
    for (method, _, operation) in operations() {
        let command = operation["operationId"].as_str().unwrap();
        // Another context has tests of its own; a token is no text.
        let is_token = ["order.claim", "cart.claim"].contains(&command);
        if is_token
            || !command.split_once('.').is_some_and(|(name, _)| types.contains(name))
            || method == "DELETE"
        {
            continue;
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some((path, sample)) = samples.remove(command) else {
            texts(&document, schema, &json!({}), command, &mut BTreeSet::new());
            continue;
        };
        let mut pointers = BTreeSet::new();
        texts(&document, schema, &sample, "", &mut pointers);
        assert!(!pointers.is_empty(), "{command}");
        let send = async |key: &str, body: &Value| {
            let mut headers = vec![OPERATOR, ("idempotency-key", key), ("content-type", "application/json")];
            headers.extend((method == "PUT").then_some(("if-match", "*")));
            // Who agrees for somebody else says why.
            headers.extend((command == "user.set-consent").then_some(("x-reason", "customer-request")));
            shop.send(&method, &path, &headers, body.to_string()).await
        };
        let with = |pointer: &str, value: String| {
            let mut body = sample.clone();
            *body.pointer_mut(pointer).unwrap() = json!(value);
            body
        };
        let at_field = |got: &Got, pointer: &str| {
            assert_eq!(got.refused(), (422, "invalid-body".into()), "{command} {pointer}: {}", got.text);
            let message = got.json()["pointer"].as_str().unwrap_or_default().to_owned();
            assert!(
                !message.is_empty() && pointer.starts_with(&message),
                "{command} {pointer}: {}",
                got.text
            );
        };
        let sent = key();
        let first = send(&sent, &sample).await;
        let expected: &[u16] = if command == "checkout.start" { &[202] } else { &[200, 201] };
        assert!(expected.contains(&first.status), "{command}: {}", first.text);
        for pointer in &pointers {
            let text = sample.pointer(pointer).and_then(Value::as_str).unwrap();
            let apart = text.replace('ë', "e\u{308}").replace('Ë', "E\u{308}");
            for same in INVISIBLE.map(|char| with_inside(text, char)).into_iter().chain([apart]) {
                let got = send(&sent, &with(pointer, same.clone())).await;
                assert_eq!(
                    (got.status, &got.text),
                    (first.status, &first.text),
                    "{command} {pointer} {same:?}"
                );
            }
            for char in SPACES {
                let got = send(&sent, &with(pointer, format!("{text}{char}"))).await;
                if got.status == first.status {
                    assert_eq!(got.text, first.text, "{command} {pointer} {char:?}");
                } else {
                    at_field(&got, pointer);
                }
            }
            for char in CONTROLS {
                at_field(&send(&key(), &with(pointer, with_inside(text, char))).await, pointer);
            }
            seen += 1;
        }
    }
    assert!(samples.is_empty(), "no such command: {:?}", samples.keys());
    assert!(seen > 40, "{seen}");
}

#[tokio::test]
async fn the_name_of_an_attribute_is_a_text_like_any_other() {
    let shop = Shop::open().await;
    let product = |attributes: Value| json!({ "name": "Mug", "variants": [{ "sku": "mug" }], "attributes": attributes });
    let sent = key();
    let headers = [("idempotency-key", sent.as_str())];
    let first = shop.post_with("/products", &headers, product(json!({ "farbë": "rot" }))).await;
    for same in ["farbe\u{308}", "\u{feff}far\u{200b}bë\u{a0}"] {
        let again = shop.post_with("/products", &headers, product(json!({ same: "rot" }))).await;
        assert_eq!((again.status, &again.text), (201, &first.text), "{same:?}");
    }
    for same in ["farbe\u{308} ", "farb\u{200b}ë"] {
        let twice = shop.post("/products", product(json!({ "farbë": "rot", same: "blau" }))).await;
        assert_eq!(
            (twice.refused(), &twice.json()["pointer"]),
            ((422, "invalid-body".into()), &json!("/attributes")),
            "{same:?}"
        );
    }
}

#[tokio::test]
async fn invisible_characters_make_no_other_sku_address_or_name() {
    let shop = Shop::open().await;
    let product = |sku: &str| json!({ "name": "Mug", "variants": [{ "sku": sku }] });
    assert_eq!(shop.post("/products", product("MUG-77")).await.status, 201);
    for same in ["MUG-77\u{200b}", "MUG\u{ad}-77", "\u{feff}mug-77", "\u{2066}MUG-77\u{2069}", "MUG-77\u{a0}"]
    {
        assert_eq!(
            shop.post("/products", product(same)).await.refused(),
            (409, "sku-taken".into()),
            "{same:?}"
        );
    }
    assert_eq!(shop.post("/products", product("MUG -80")).await.status, 201);
    assert_eq!(shop.post("/products", product("MUG\u{a0}-80")).await.refused(), (409, "sku-taken".into()));
    let empty = shop.post("/products", product("\u{200b}")).await;
    assert_eq!(
        (empty.refused(), &empty.json()["pointer"]),
        ((422, "invalid-body".into()), &json!("/variants/0/sku"))
    );
    let user = |email: &str| json!({ "email": email });
    assert_eq!(shop.post("/users", user("ada@example.org")).await.status, 201);
    for same in ["ada\u{200b}@example.org", "ada@example.org\u{feff}", "\u{202a}Ada@example.org\u{202c}"] {
        assert_eq!(shop.post("/users", user(same)).await.refused(), (409, "email-taken".into()), "{same:?}");
    }
    let apart = shop.post("/users", user("a\u{a0}da@example.org")).await;
    assert_eq!((apart.refused(), &apart.json()["pointer"]), ((422, "invalid-body".into()), &json!("/email")));
    // Characters that a name needs to be read stay.
    let family = "می\u{200c}خواهم 👩\u{200d}👩\u{200d}👧";
    let got = shop.post("/products", json!({ "name": family, "variants": [{ "sku": "P-1" }] })).await;
    let stored = shop.store.log().read(got.json()["position"].as_i64().unwrap(), 1).await.unwrap().remove(0);
    assert!(stored.payload.contains(family), "{}", stored.payload);
}
