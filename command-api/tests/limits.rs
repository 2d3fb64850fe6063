//! The limits that the API's description states hold: a body at a limit is accepted, one beyond it is refused.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use soonshop_command_api::{self as http, Commands};
use soonshop_domain::order::{Command, Order};
use soonshop_domain::{Metadata, reasons};
use soonshop_event_log::{Database, DatabaseLocation, KeyStore, MasterKeys};
use soonshop_event_store::{CommandContext, EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;
use uuid::Uuid;

const TOKEN: &str = "the-operator's-token";

/// The most units of a SKU that lie at a location.
const MOST_UNITS: i64 = 1_000_000_000_000;

struct Shop {
    _folder: tempfile::TempDir,
    store: EventStore,
    router: Router,
    names: AtomicU32,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = DatabaseLocation::parse(&format!("sqlite://{}", folder.path().display())).unwrap();
        let db = Database::new(place);
        for namespace in Namespace::ALL {
            let connection = db.namespace(namespace.name()).unwrap().connection;
            soonshop_migrations::migrate(namespace, &connection).await.unwrap();
        }
        let file = folder.path().join("master.key");
        MasterKeys::create(&file).unwrap();
        let keys = KeyStore::new(db.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap());
        let keys = KeyMaker::new(keys);
        keys.prepare(&db.namespace("log").unwrap()).await.unwrap();
        let store = EventStore::open(&db, keys).unwrap();
        let router = stack(http::router(Commands::new(store.clone(), Some(Arc::from(TOKEN)))));
        Self { _folder: folder, store, router, names: AtomicU32::new(0) }
    }

    /// Sends a body as the operator; the status, and the answer.
    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer, _) = self.send_and_locate(method, path, body).await;
        (status, answer)
    }

    /// The same, with where the new thing is.
    async fn send_and_locate(&self, method: &str, path: &str, body: &Value) -> (u16, Value, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("idempotency-key", Uuid::new_v4().to_string())
            // Who agrees for somebody else says why.
            .header("x-reason", "customer-request")
            .header("authorization", format!("Bearer {TOKEN}"));
        // Something new has no version to name.
        let request =
            if ["PUT", "DELETE"].contains(&method) { request.header("if-match", "*") } else { request };
        let sent = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = request.body(sent).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let location = location.unwrap_or_default().to_owned();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default(), location)
    }

    async fn made(&self, path: &str, body: &Value) -> String {
        let (status, answer) = self.send("POST", path, body).await;
        let expected: &[u16] = if path == "/checkouts" { &[202] } else { &[200, 201] };
        assert!(expected.contains(&status), "{path}: {status} {answer}");
        answer["id"].as_str().unwrap_or_default().to_owned()
    }

    /// A text of that many characters that no other call gives.
    fn text(&self, length: usize) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        if length < 8 {
            // The signs of a script without capitals.
            return (0..length).map(|_| char::from_u32(0x4e00 + number).unwrap()).collect();
        }
        format!("{number:X>length$}")
    }

    /// A product with that SKU.
    async fn sell(&self, sku: &str) -> String {
        self.made("/products", &json!({ "name": "Mug", "variants": [variant(sku)] })).await
    }

    /// An order of that SKU, with a line as the body has it: its id.
    async fn ordered(&self, sku: &str, body: &Value) -> String {
        let number = |field: &str| body[field].as_u64();
        let line = usize::try_from(number("line").unwrap_or(1).clamp(1, 1_500)).unwrap();
        let free = json!({ "amount": 0, "currency": "GBP" });
        let mut lines = vec![json!({ "sku": sku, "quantity": 1, "price": free }); line];
        lines[line - 1]["quantity"] = number("quantity").unwrap_or(1).clamp(1, u32::MAX.into()).into();
        self.made("/orders", &json!({ "lines": lines, "country": "UK" })).await
    }

    /// Where the command is sent to, once everything is there that the body needs. The body then names an order that is.
    async fn target(&self, what: &str, body: &mut Value) -> String {
        let (_, path) = what.split_once(' ').unwrap();
        for line in body["lines"].as_array().into_iter().flatten() {
            let sku = line["sku"].as_str().unwrap_or_default();
            // Another line may have it, or it is beyond its limit.
            let product = json!({ "name": "Mug", "variants": [variant(sku)] });
            self.send("POST", "/products", &product).await;
        }
        let sku = self.text(12);
        let stock = format!("/inventory/{sku}");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = |name: &&str| (1..=64).contains(&name.len()) && name.bytes().all(plain);
        let location = body["location"].as_str().filter(fits);
        let full = json!({ "quantity": MOST_UNITS, "reason": "counted", "location": location });
        match path {
            "/users/{id}" | "/users/{id}/addresses" | "/users/{id}/consents/{medium}" => {
                let user = self.made("/users", &json!({})).await;
                path.replace("{id}", &user).replace("{medium}", "email")
            }
            "/users/{id}/addresses/{address}" => {
                let book = format!("/users/{}/addresses", self.made("/users", &json!({})).await);
                let (status, answer, address) =
                    self.send_and_locate("POST", &book, &self.body("PostalAddress")).await;
                assert_eq!(status, 201, "{answer}");
                address
            }
            "/people/{id}/erasures" => {
                format!("/people/{}/erasures", self.made("/users", &json!({ "name": "Ada" })).await)
            }
            "/products/{id}" | "/products/{id}/variants" => path.replace("{id}", &self.sell(&sku).await),
            "/products/{id}/prices" => {
                let named = body["sku"].as_str().filter(|sku| (1..=64).contains(&sku.chars().count()));
                path.replace("{id}", &self.sell(named.unwrap_or(&sku)).await)
            }
            "/products/{id}/sku-releases" => {
                let named = body["sku"].as_str().filter(|sku| (1..=64).contains(&sku.chars().count()));
                let id = self.sell(named.unwrap_or(&sku)).await;
                let (status, answer) = self.send("DELETE", &format!("/products/{id}"), &Value::Null).await;
                assert_eq!(status, 204, "{answer}");
                path.replace("{id}", &id)
            }
            "/carts" => {
                let sku = body["sku"].as_str().unwrap_or_default();
                let product = json!({ "name": "Mug", "variants": [variant(sku)] });
                self.send("POST", "/products", &product).await;
                path.to_owned()
            }
            _ if path.starts_with("/checkouts") => {
                self.sell(&sku).await;
                let cart = self.made("/carts", &json!({ "sku": sku, "quantity": 1 })).await;
                if path == "/checkouts" {
                    body["cart"] = cart.into();
                    return path.to_owned();
                }
                let checkout = self.made("/checkouts", &json!({ "cart": cart, "country": "UK" })).await;
                path.replace("{checkout}", &checkout).replace("{id}", &checkout)
            }
            _ if path.starts_with("/carts/{id}/") => {
                for one in [body["sku"].as_str().unwrap_or_default(), &sku] {
                    let product = json!({ "name": "Mug", "variants": [variant(one)] });
                    self.send("POST", "/products", &product).await;
                }
                let cart = self.made("/carts", &json!({ "sku": sku, "quantity": 1 })).await;
                path.replace("{id}", &cart).replace("{line}", "1")
            }
            "/orders/{id}/cancellation" | "/orders/{id}/shipment" | "/orders/{order}/payments" => {
                self.sell(&sku).await;
                let order = json!({ "lines": [{ "sku": sku, "quantity": 1 }], "country": "UK" });
                let order = self.made("/orders", &order).await;
                path.replace("{id}", &order).replace("{order}", &order)
            }
            _ if path.starts_with("/inventory/{sku}/") => {
                self.sell(&sku).await;
                let (_, action) = path.rsplit_once('/').unwrap();
                if action != "receipts" && !(action == "adjustments" && body["quantity"].as_i64() > Some(0)) {
                    self.made(&format!("{stock}/adjustments"), &full).await;
                }
                if !body["order_id"].is_null() {
                    let order = self.ordered(&sku, body).await;
                    body["order_id"] = order.as_str().into();
                    if action == "shipments" {
                        // A line beyond its limit cannot be reserved either.
                        let line = json!({ "order_id": order, "line": body["line"], "quantity": 1 });
                        self.send("POST", &format!("{stock}/reservations"), &line).await;
                        let context = CommandContext::new(Uuid::new_v4(), vec![1], Metadata::default());
                        let confirm = Command::Confirm;
                        self.store.execute::<Order>(order.parse().unwrap(), confirm, context).await.unwrap();
                        self.made(&format!("/orders/{order}/shipment"), &json!({})).await;
                    }
                    if action == "releases" {
                        let reason = json!({ "reason": "broken" });
                        self.made(&format!("/orders/{order}/cancellation"), &reason).await;
                    }
                }
                format!("{stock}/{action}")
            }
            _ => path.to_owned(),
        }
    }

    /// A body with every field that has a limit.
    fn body(&self, name: &str) -> Value {
        let sku = self.text(12);
        let money = json!({ "amount": 500, "currency": "GBP" });
        let lines = json!([{ "sku": sku, "quantity": 2, "price": money }]);
        let email = format!("{}@example.org", self.text(12));
        match name {
            "UserDetails" => json!({ "name": "Ada", "email": email, "phone": "1", "country": "UK" }),
            "PostalAddress" => json!({
                "label": "home", "name": "Ada", "street": "1 Road", "postal_code": "SW1", "city": "Bath",
                "region": "Avon", "country": "GB", "phone": "1",
            }),
            "MarketingConsent" => json!({ "given": true, "wording": "2026-11", "language": "en" }),
            "PersonErasure" => json!({ "purposes": ["account"] }),
            "NewProduct" | "ProductDetails" => {
                let mut body =
                    json!({ "name": "Mug", "description": "", "category": "Mugs", "attributes": {} });
                if name == "NewProduct" {
                    body["variants"] = json!([variant(&sku)]);
                }
                body
            }
            "NewVariant" | "NewPrice" => variant(&sku),
            "SkuRelease" => json!({ "sku": sku }),
            "StockReceipt" => json!({ "quantity": 1, "location": "main" }),
            "StockAdjustment" => json!({ "quantity": 1, "reason": "counted", "location": "main" }),
            "StockReservation" => {
                json!({ "order_id": Uuid::new_v4(), "line": 1, "quantity": 1, "location": "main" })
            }
            "ReservedLine" | "ShippedLine" => {
                json!({ "order_id": Uuid::new_v4(), "line": 1, "location": "main" })
            }
            "NewOrder" => {
                let contact = json!({ "name": "Ada", "email": email, "phone": "1", "address": "1 Road" });
                json!({ "lines": lines, "country": "UK", "number": self.text(12), "contact": contact })
            }
            "NewCheckout" => {
                let contact = json!({ "name": "Ada", "email": email, "phone": "1", "address": "1 Road" });
                json!({ "cart": Uuid::nil(), "country": "UK", "contact": contact, "total": money })
            }
            "NewCreditNote" => json!({ "lines": lines, "country": "UK", "number": self.text(12) }),
            "OrderCancellation" => json!({ "reason": "broken" }),
            "OrderClaim" | "CartClaim" => json!({ "guest_token": "ssg_" }),
            "OrderShipment" | "PaymentStop" | "CartLineMove" | "CheckoutEnd" | "NewCartShare" => json!({}),
            "NewCart" | "NewCartLine" => json!({ "sku": sku, "quantity": 1, "note": "a gift" }),
            "CartLineChange" => json!({ "quantity": 1, "note": "a gift", "seen": money }),
            "NewPayment" | "NewCheckoutPayment" | "PaymentAmount" => json!({ "amount": money }),
            other => panic!("give {other} a body with every field that has a limit"),
        }
    }

    /// A text of that length for a field.
    fn text_for(&self, field: &str, length: usize) -> Value {
        match field {
            // A code, which is longer elsewhere.
            "country" if length == 2 => "GB".into(),
            "language" => format!("en{}", "-aaaaaaaa".repeat(4))[..length].into(),
            "currency" => "GBPX".repeat(length)[..length].into(),
            "email" => format!("{}@example.org", self.text(length.saturating_sub(12))).into(),
            // Characters are counted, not bytes.
            "reason" | "wording" => "a".repeat(length).into(),
            "name" | "description" | "address" | "country" | "category" | "note" => {
                "茶".repeat(length).into()
            }
            _ => self.text(length).into(),
        }
    }

    /// A list of that many items.
    fn items(&self, first: &Value, many: usize) -> Value {
        let item = |n: usize| {
            if first.is_string() {
                return Value::from(["account", "invoice"][n % 2]);
            }
            let mut item = first.clone();
            // Lines of an order may have the same SKU, variants may not.
            if first.get("quantity").is_none() {
                item["sku"] = self.text(12).into();
            }
            item
        };
        (0..many).map(item).collect()
    }
}

fn variant(sku: &str) -> Value {
    json!({ "sku": sku, "price": { "amount": 500, "currency": "GBP" } })
}

/// The place of a limit in a body, and the limit.
struct Limit {
    /// The JSON pointer.
    at: String,
    schema: Value,
    /// Of the names, or of the values, of an object whose fields anybody names.
    of_map: Option<&'static str>,
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(document, document.pointer(&reference[1..]).unwrap());
    }
    let one_of = schema["oneOf"].as_array().or_else(|| schema["allOf"].as_array());
    match one_of.and_then(|all| all.iter().find(|one| one["$ref"].is_string())) {
        Some(one) => resolved(document, one),
        None => schema,
    }
}

fn limits(document: &Value, schema: &Value, at: &str, found: &mut Vec<Limit>) {
    let schema = resolved(document, schema);
    let keys = ["minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern"];
    if keys.iter().any(|key| !schema[*key].is_null()) {
        found.push(Limit { at: at.to_owned(), schema: schema.clone(), of_map: None });
    }
    // A number in one of two ranges.
    for option in schema["oneOf"].as_array().into_iter().flatten().filter(|one| one["type"] == "integer") {
        limits(document, option, at, found);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        limits(document, field, &format!("{at}/{name}"), found);
    }
    if schema["items"].is_object() {
        limits(document, &schema["items"], &format!("{at}/0"), found);
    }
    for key in ["propertyNames", "additionalProperties"] {
        if schema[key].is_object() {
            found.push(Limit { at: at.to_owned(), schema: schema[key].clone(), of_map: Some(key) });
        }
    }
}

/// Values at a limit, and values beyond it.
fn values(shop: &Shop, body: &Value, limit: &Limit) -> (Vec<Value>, Vec<Value>) {
    let (schema, field) = (&limit.schema, limit.at.rsplit('/').next().unwrap());
    let (mut at, mut beyond) = (Vec::new(), Vec::new());
    let size = |key: &str| schema[key].as_u64().map(|size| usize::try_from(size).unwrap());
    let text = |length| match limit.of_map {
        Some("propertyNames") => json!({ "n".repeat(length): "red" }),
        Some(_) => json!({ "colour": "茶".repeat(length) }),
        None => shop.text_for(field, length),
    };
    if let Some(least) = size("minLength") {
        at.push(text(least));
        beyond.push(text(least - 1));
    }
    if let Some(most) = size("maxLength") {
        at.push(text(most));
        beyond.push(text(most + 1));
    }
    let items = |many| shop.items(body.pointer(&format!("{}/0", limit.at)).unwrap(), many);
    if let Some(least) = size("minItems") {
        at.push(items(least));
        beyond.push(items(least - 1));
    }
    if let Some(most) = size("maxItems") {
        at.push(items(most));
        beyond.push(items(most + 1));
    }
    if let Some(least) = schema["minimum"].as_i64() {
        at.push(least.into());
        beyond.push((least - 1).into());
    }
    if let Some(most) = schema["maximum"].as_i64() {
        at.push(most.into());
        beyond.push((most + 1).into());
    }
    match schema["pattern"].as_str() {
        None => {}
        Some("^[a-z0-9-]{1,64}$") => {
            at.extend(["a".into(), "0-z9".repeat(16).into()]);
            beyond.extend(["".into(), "a".repeat(65).into(), "A".into(), "a b".into()]);
        }
        Some("^main$") => {
            at.push("main".into());
            beyond.extend(["".into(), "leeds".into(), "mains".into()]);
        }
        Some(reasons::PATTERN) => {
            at.extend(["a".into(), "rma2024-17".into(), "goods_missing".into()]);
            beyond.extend(["".into(), "A".into(), "a b".into(), "a-".into(), "tel-12345".into()]);
        }
        Some(other) => panic!("say which values fit {other}"),
    }
    (at, beyond)
}

#[tokio::test]
async fn a_body_at_a_described_limit_is_accepted_and_one_beyond_it_refused() {
    let shop = Shop::open().await;
    let document = serde_json::to_value(http::openapi()).unwrap();
    let (mut tried, mut wrong) = (BTreeSet::new(), Vec::new());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else {
                continue;
            };
            let what = format!("{} {path}", method.to_uppercase());
            let mut found = Vec::new();
            limits(&document, schema, "", &mut found);
            // The number of a credited line is a line of its order: no range of numbers holds for every order.
            found.retain(|limit| (name, limit.at.as_str()) != ("NewCreditNote", "/lines/0/line"));
            // How much a payment still has depends on what was done with it.
            found.retain(|_| name != "PaymentAmount");
            // An order owes less than the most that any may owe.
            let owed = ["NewPayment", "NewCheckoutPayment"];
            found.retain(|limit| !(owed.contains(&name) && limit.at == "/amount/amount"));
            // What the buyer was shown is what the cart comes to.
            found.retain(|limit| (name, limit.at.as_str()) != ("NewCheckout", "/total/amount"));
            for limit in &found {
                let (at, beyond) = values(&shop, &shop.body(name), limit);
                let cases = at.into_iter().map(|value| (value, true));
                for (value, fits) in cases.chain(beyond.into_iter().map(|value| (value, false))) {
                    let mut body = shop.body(name);
                    *body
                        .pointer_mut(&limit.at)
                        .unwrap_or_else(|| panic!("{what}: {} in a body", limit.at)) = value.clone();
                    let target = shop.target(&what, &mut body).await;
                    let (status, answer) = shop.send(&method.to_uppercase(), &target, &body).await;
                    let held = if fits { status < 300 } else { (400..500).contains(&status) };
                    if !held {
                        let value = value.to_string().chars().take(80).collect::<String>();
                        wrong.push(format!("{what} {} {value}: {status} {answer}", limit.at));
                    }
                }
                tried.insert(format!("{name}{}", limit.at));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for limit in [
        "NewProduct/variants/0/price/amount",
        "NewOrder/lines",
        "NewProduct/attributes",
        "StockAdjustment/quantity",
    ] {
        assert!(tried.contains(limit), "{limit} is not described: {tried:?}");
    }
}

#[tokio::test]
async fn a_body_with_everything_at_its_limit_is_accepted() {
    let shop = Shop::open().await;
    let mut order = shop.body("NewOrder");
    let mut line = order["lines"][0].clone();
    // With longer names and SKUs the event would be larger than any may be, which the description says.
    line["sku"] = shop.text(12).into();
    order["lines"] = vec![line; 1_500].into();
    let target = shop.target("POST /orders", &mut json!({ "lines": [order["lines"][0]] })).await;
    let (status, answer) = shop.send("POST", &target, &order).await;
    assert_eq!(status, 201, "{answer}");
    let mut product = shop.body("NewProduct");
    product["description"] = "茶".repeat(10_000).into();
    product["variants"] = (0..200).map(|_| variant(&shop.text(64))).collect();
    let (status, answer) = shop.send("POST", "/products", &product).await;
    assert_eq!(status, 201, "{answer}");
}
