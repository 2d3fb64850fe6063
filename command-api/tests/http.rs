//! The endpoints over HTTP, on an embedded store of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};
use soonshop_command_api::{self as http, Commands};
use soonshop_domain::claim::scope;
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::order::{Command, Order, number_of};
use soonshop_domain::{AGGREGATES, Metadata, Purpose, context, personal};
use soonshop_event_log::{Database, DatabaseLocation, Key, KeyStore, MasterKeys, codec};
use soonshop_event_store::{CommandContext, EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_service_kit::access::{Access, Role};
use soonshop_service_kit::serve::stack;
use tower::ServiceExt as _;
use uuid::Uuid;

#[expect(dead_code, reason = "what other tests ask of it")]
#[path = "../../service-kit/tests/fixture/shelf.rs"]
mod shelf;

#[path = "http/credits.rs"]
mod credits;
#[path = "http/moments.rs"]
mod moments;
#[path = "http/payments.rs"]
mod payments;
#[path = "http/releases.rs"]
mod releases;
#[path = "http/stock.rs"]
mod stock;
#[path = "http/texts.rs"]
mod texts;
#[path = "http/things.rs"]
mod things;

use shelf::Shelf;

const TOKEN: &str = "the-operator's-token";
const OPERATOR: (&str, &str) = ("authorization", "Bearer the-operator's-token");

struct Shop {
    folder: tempfile::TempDir,
    store: EventStore,
    router: Router,
}

/// A response.
struct Got {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }

    /// Status and slug of a problem, whole as a problem must be.
    #[track_caller]
    fn refused(&self) -> (u16, String) {
        let problem = self.json();
        let slug =
            problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default();
        assert!(!slug.is_empty(), "{} is no problem: {}", self.status, self.text);
        assert_eq!(
            (problem["status"].as_u64(), self.header("content-type")),
            (Some(self.status.into()), "application/problem+json")
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        (self.status, slug.to_owned())
    }
}

async fn open(folder: &Path) -> EventStore {
    let db = Database::new(DatabaseLocation::parse(&format!("sqlite://{}", folder.display())).unwrap());
    for namespace in Namespace::ALL {
        let connection = db.namespace(namespace.name()).unwrap().connection;
        soonshop_migrations::migrate(namespace, &connection).await.unwrap();
    }
    let file = folder.join("master.key");
    MasterKeys::create(&file).unwrap();
    let keys = KeyMaker::new(KeyStore::new(db.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap()));
    keys.prepare(&db.namespace("log").unwrap()).await.unwrap();
    EventStore::open(&db, keys).unwrap()
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let router = stack(http::router(Commands::new(store.clone(), Some(Arc::from(TOKEN)))));
        Self { folder, store, router }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// With a fresh key, as JSON.
    async fn post(&self, path: &str, body: Value) -> Got {
        self.post_with(path, &[("idempotency-key", &key())], body).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Got {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        self.send("POST", path, &headers, body.to_string()).await
    }

    async fn operate(&self, path: &str, body: Value) -> Got {
        self.post_with(path, &[("idempotency-key", &key()), OPERATOR], body).await
    }

    async fn put(&self, path: &str, if_match: &str, body: Value) -> Got {
        let headers = [("content-type", "application/json"), ("if-match", if_match)];
        self.send("PUT", path, &headers, body.to_string()).await
    }

    async fn delete(&self, path: &str, if_match: &str) -> Got {
        self.send("DELETE", path, &[("if-match", if_match)], "").await
    }

    /// A product with one variant of that SKU at 5.00; its path.
    async fn sell(&self, sku: &str) -> String {
        let body =
            json!({ "name": format!("The {sku}"), "variants": [{ "sku": sku, "price": pounds(500) }] });
        let got = self.post("/products", body).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.header("location").to_owned()
    }

    /// Does what the process manager does with an order.
    async fn decide(&self, order: &str, command: Command) {
        let context = CommandContext::new(ids::new(), vec![1], Metadata::default());
        self.store.execute::<Order>(order.parse().unwrap(), command, context).await.unwrap();
    }

    /// Confirms the order, and says that it was shipped.
    async fn ship(&self, order: &str) {
        self.decide(order, Command::Confirm).await;
        let got = self.post(&format!("/orders/{order}/shipment"), json!({})).await;
        assert_eq!(got.status, 200, "{}", got.text);
    }

    async fn head(&self) -> i64 {
        self.store.log().head().await.unwrap().position
    }
}

fn pounds(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

fn order(sku: &str) -> Value {
    json!({ "lines": [{ "sku": sku, "quantity": 2 }], "country": "United Kingdom" })
}

// ---- what each endpoint does ---------------------------------------------------------------------------------------

#[tokio::test]
async fn a_user_registers_changes_and_is_erased() {
    let shop = Shop::open().await;
    let got =
        shop.post("/users", json!({ "name": "Ada", "email": "ada@example.org", "country": "UK" })).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (201, "\"1\"", "main:1"));
    let path = format!("/users/{}", got.id());
    assert_eq!(got.header("location"), path);
    assert_eq!(got.text, format!("{{\"id\":\"{}\",\"version\":1,\"position\":1}}", got.id()));

    let taken = shop.post("/users", json!({ "email": "ADA@example.org" })).await;
    assert_eq!(taken.refused(), (409, "email-taken".into()));
    assert!(!taken.text.contains("example.org") && taken.json()["owner"].is_null());

    let got = shop.put(&path, "\"1\"", json!({ "name": "Ada L." })).await;
    assert_eq!((got.status, got.header("etag")), (200, "\"2\""));
    // She gave the address up.
    assert_eq!(shop.post("/users", json!({ "email": "ada@example.org" })).await.status, 201);

    let got = shop.delete(&path, "\"2\"").await;
    assert_eq!((got.status, got.header("etag"), got.text.as_str()), (204, "\"3\"", ""));
    assert_eq!(got.header("event-position"), format!("main:{}", shop.head().await));
    let events = shop.store.log().read(1, 100).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(
        kinds,
        ["UserRegistered", "UserDetailsChanged", "UserRegistered", "UserDeleted", "ErasureRequested"]
    );
    assert!(events.iter().all(|event| !event.payload.contains("Ada") && !event.payload.contains("example")));
    assert_eq!(shop.put(&path, "*", json!({})).await.refused(), (410, "user-deleted".into()));
    assert_eq!(shop.delete(&path, "*").await.status, 204, "deleting again changes nothing");
    assert_eq!(shop.head().await, 5);
}

fn erasure(purposes: &[&str]) -> Value {
    json!({ "purposes": purposes })
}

async fn kinds(shop: &Shop, from: i64) -> Vec<String> {
    let events = shop.store.log().read(from, 100).await.unwrap();
    events.into_iter().map(|event| format!("{} {}", event.event_type, event.payload)).collect()
}

#[tokio::test]
async fn a_guest_is_erased_once_for_the_named_purposes() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let guest = Uuid::new_v4();
    let mut bought = order("mug");
    bought["customer"] = json!({ "guest": guest });
    bought["contact"] = json!({ "name": "Ada" });
    assert_eq!(shop.post("/orders", bought.clone()).await.status, 201);
    let path = format!("/people/{guest}/erasures");
    let sent = key();
    let headers = [("idempotency-key", &*sent), OPERATOR];
    let got = shop.post_with(&path, &headers, erasure(&["invoice"])).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (200, "\"1\"", "main:3"));
    assert_eq!(got.id(), guest.to_string());
    assert_eq!(kinds(&shop, 3).await, [r#"ErasureRequested {"ErasureRequested":{"purposes":["invoice"]}}"#]);
    assert_eq!(shop.post_with(&path, &headers, erasure(&["invoice"])).await.text, got.text);
    // Asked again under another key, it was done; the other purpose is another erasure.
    let got = shop.operate(&path, erasure(&["invoice"])).await;
    assert_eq!((got.status, &got.json()["position"]), (200, &Value::Null));
    let got = shop.operate(&path, erasure(&["invoice", "account"])).await;
    assert_eq!((got.status, got.header("etag")), (200, "\"2\""));
    assert_eq!(kinds(&shop, 4).await, [r#"ErasureRequested {"ErasureRequested":{"purposes":["account"]}}"#]);
    let stored = shop.store.log().read(4, 1).await.unwrap().remove(0);
    assert!(stored.metadata.contains(r#""command_type":"person.request-erasure""#), "{}", stored.metadata);
    assert!(stored.metadata.contains(r#""actor_id":"operator""#), "{}", stored.metadata);
}

#[tokio::test]
async fn erasing_the_account_of_a_user_deletes_the_user() {
    let shop = Shop::open().await;
    let ada = json!({ "name": "Ada", "email": "ada@example.org" });
    let user = shop.post("/users", ada.clone()).await.id();
    let path = format!("/people/{user}/erasures");
    // The data of orders has a key of its own: the user stays.
    assert_eq!(shop.operate(&path, erasure(&["invoice"])).await.status, 200);
    assert_eq!(shop.post("/users", ada.clone()).await.refused(), (409, "email-taken".into()));
    let headers = [("if-match", "\"7\""), OPERATOR];
    let stale = shop.post_with(&path, &headers, erasure(&["account"])).await;
    assert_eq!(stale.refused(), (412, "stale-version".into()));
    let got = shop.operate(&path, erasure(&["account"])).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (200, "\"2\"", "main:4"));
    let expected = [
        r#"ErasureRequested {"ErasureRequested":{"purposes":["account"]}}"#,
        r#"UserDeleted {"UserDeleted":{}}"#,
    ];
    assert_eq!(kinds(&shop, 3).await, expected);
    let got = shop.put(&format!("/users/{user}"), "*", json!({})).await;
    assert_eq!(got.refused(), (410, "user-deleted".into()));
    assert_eq!(shop.post("/users", ada).await.status, 201, "the address is free");
    // Deleted first, erasure requested afterwards: nothing is left to do.
    let got = shop.operate(&path, erasure(&["account"])).await;
    assert_eq!((got.status, &got.json()["position"]), (200, &Value::Null));
}

#[tokio::test]
async fn an_erasure_names_known_purposes_once_and_a_known_person() {
    let shop = Shop::open().await;
    let user = shop.post("/users", json!({ "name": "Ada" })).await.id();
    let path = format!("/people/{user}/erasures");
    for (body, pointer) in [
        (erasure(&[]), "/purposes"),
        (erasure(&["invoice", "invoice"]), "/purposes/1"),
        (erasure(&["account", "marketing"]), "/purposes/1"),
        (json!({}), "/purposes"),
        (json!({ "purposes": "account" }), "/purposes"),
    ] {
        let got = shop.operate(&path, body.clone()).await;
        assert_eq!((got.refused(), &got.json()["pointer"]), ((422, "invalid-body".into()), &json!(pointer)));
        assert!(!got.text.contains("marketing"), "{}", got.text);
    }
    let nobody = format!("/people/{}/erasures", Uuid::new_v4());
    let got = shop.operate(&nobody, erasure(&["account"])).await;
    assert_eq!(got.refused(), (404, "person-not-found".into()));
    assert_eq!(shop.head().await, 1, "nothing was asked for");
}

#[tokio::test]
async fn a_product_is_listed_changed_priced_and_deleted() {
    let shop = Shop::open().await;
    let path = shop.sell("mug").await;
    let details = json!({ "name": "Mug", "category": "kitchen", "attributes": { "colour": "red" } });
    let got = shop.put(&path, "\"1\"", details.clone()).await;
    assert_eq!((got.status, got.header("etag"), got.header("location")), (200, "\"2\"", ""));
    // A repetition changes nothing, and its answer says so.
    let got = shop.put(&path, "\"2\"", details).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (200, "\"2\"", ""));
    assert_eq!(got.json()["position"], Value::Null);

    let got = shop.post(&format!("{path}/variants"), json!({ "sku": "mug-xl" })).await;
    assert_eq!((got.status, got.header("etag")), (200, "\"3\""));
    let price = |sku: &str, amount| json!({ "sku": sku, "price": pounds(amount) });
    let prices = format!("{path}/prices");
    assert_eq!(shop.post(&prices, price("mug-xl", 900)).await.header("etag"), "\"4\"");
    let with = [("if-match", "\"4\"")];
    assert_eq!(shop.post_with(&prices, &with, price("mug", 450)).await.header("etag"), "\"5\"");
    assert_eq!(
        shop.post_with(&prices, &with, price("mug", 1)).await.refused(),
        (412, "stale-version".into())
    );
    assert_eq!(shop.post(&prices, price("cup", 1)).await.refused(), (404, "no-such-variant".into()));
    assert_eq!(shop.post(&prices, price("mug", -1)).await.refused(), (422, "bad-price".into()));

    assert_eq!(shop.delete(&path, "\"5\"").await.status, 204);
    assert_eq!(shop.post(&prices, price("mug", 2)).await.refused(), (410, "product-deleted".into()));
}

#[tokio::test]
async fn a_sku_belongs_to_one_product_in_every_spelling() {
    let shop = Shop::open().await;
    let path = shop.sell("MUG").await;
    let body = json!({ "name": "Another", "variants": [{ "sku": " mug " }] });
    let got = shop.post("/products", body).await;
    assert_eq!(got.refused(), (409, "sku-taken".into()));
    assert_eq!(got.json()["owner"], path.replace("/products/", "product:"));
}

#[tokio::test]
async fn stock_is_received_adjusted_reserved_released_and_shipped() {
    let shop = Shop::open().await;
    shop.sell("a/b c").await;
    let at = |what: &str| format!("/inventory/a%2Fb%20c/{what}");
    let got = shop.post(&at("receipts"), json!({ "quantity": 10 })).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (200, "\"1\"", "main:2"));
    let stock = got.id();
    let got = shop.post(&at("adjustments"), json!({ "quantity": -3, "reason": "broken" })).await;
    assert_eq!((got.status, got.id()), (200, stock.clone()));
    let order = async |quantities: &[u32]| {
        let lines: Vec<_> =
            quantities.iter().map(|quantity| json!({ "sku": "a/b c", "quantity": quantity })).collect();
        shop.post("/orders", json!({ "lines": lines, "country": "UK" })).await.id()
    };
    let (given_up, kept) = (order(&[4, 1]).await, order(&[3]).await);
    let line = |order: &str, line: u32, quantity: u32| json!({ "order_id": order, "line": line, "quantity": quantity });
    let of = |order: &str| json!({ "order_id": order, "line": 1 });
    assert_eq!(shop.operate(&at("reservations"), line(&given_up, 1, 4)).await.status, 200);
    assert_eq!(shop.operate(&at("reservations"), line(&kept, 1, 3)).await.status, 200);
    let got = shop.operate(&at("reservations"), line(&given_up, 2, 1)).await;
    assert_eq!(got.refused(), (409, "insufficient-stock".into()));
    let cancel = json!({ "reason": "changed-my-mind" });
    assert_eq!(shop.post(&format!("/orders/{given_up}/cancellation"), cancel).await.status, 200);
    assert_eq!(shop.operate(&at("releases"), of(&given_up)).await.status, 200);
    shop.ship(&kept).await;
    assert_eq!(shop.operate(&at("shipments"), of(&kept)).await.status, 200);
    assert_eq!(shop.operate(&at("shipments"), of(&given_up)).await.refused(), (409, "line-released".into()));
    let elsewhere = shop.post(&at("receipts"), json!({ "quantity": 1, "location": "leeds-2" })).await;
    assert_ne!(elsewhere.id(), stock, "each location has a stock of its own");
    let events = shop.store.log().read(1, 100).await.unwrap();
    let named: Vec<_> = events.iter().filter(|event| event.payload.contains("sku")).collect();
    assert!(named.len() >= 10, "{}", named.len());
    assert!(named.iter().all(|event| event.payload.contains("\"sku\":\"A/B C\"")), "in its normal form");
}

#[tokio::test]
async fn stock_of_a_sku_that_no_product_has_is_taken_only_on_request_and_shown_as_such() {
    let shop = Shop::open().await;
    let at = |what: &str| format!("/inventory/typo-1/{what}");
    let line = json!({ "order_id": key(), "line": 1 });
    for (what, body) in [
        ("receipts", json!({ "quantity": 7 })),
        ("adjustments", json!({ "quantity": 7, "reason": "counted" })),
        ("releases", line.clone()),
        ("shipments", line),
    ] {
        let got = shop.operate(&at(what), body).await;
        assert_eq!(got.refused(), (422, "unknown-sku".into()), "{what}");
    }
    assert_eq!(shop.head().await, 0);
    let sent = key();
    let headers = [("idempotency-key", sent.as_str())];
    let taken = shop.post_with(&at("receipts"), &headers, json!({ "quantity": 7, "unlisted": true })).await;
    assert_eq!((taken.status, taken.header("event-position")), (200, "main:1"));
    let counted = json!({ "quantity": -1, "reason": "counted" });
    assert_eq!(shop.post(&at("adjustments"), counted).await.status, 200, "what is there can be counted");
    assert_eq!(shop.post(&at("receipts"), json!({ "quantity": 7 })).await.refused().1, "unknown-sku");
    let reason = async |position: i64| {
        let stored = shop.store.log().read(position, 1).await.unwrap().remove(0);
        serde_json::from_str::<Value>(&stored.metadata).unwrap()["reason_code"].clone()
    };
    assert_eq!(reason(1).await, "sku-without-product");
    let explained = [("idempotency-key", &*key()), ("x-reason", "early-delivery")];
    let more = json!({ "quantity": 1, "unlisted": true });
    assert_eq!(shop.post_with(&at("receipts"), &explained, more.clone()).await.status, 200);
    assert_eq!(reason(3).await, "early-delivery");
    // Once a product has it, it is a SKU like any other.
    shop.sell("TYPO-1").await;
    assert_eq!(shop.post(&at("receipts"), more).await.status, 200);
    assert_eq!(reason(5).await, Value::Null);
    // And a repeat is answered as it was, whatever has become of the SKU.
    let again = shop.post_with(&at("receipts"), &headers, json!({ "quantity": 7, "unlisted": true })).await;
    assert_eq!((again.status, &again.text), (200, &taken.text));
}

#[tokio::test]
async fn a_deleted_product_says_what_it_leaves_and_gives_its_skus_back() {
    let shop = Shop::open().await;
    let body = json!({ "name": "Mug", "variants": [{ "sku": "mug" }, { "sku": "tassë" }, { "sku": "cup" }] });
    let path = shop.post("/products", body.clone()).await.header("location").to_owned();
    for (sku, quantity) in [("mug", 7), ("tass%C3%AB", 2)] {
        let path = format!("/inventory/{sku}/receipts");
        assert_eq!(shop.post(&path, json!({ "quantity": quantity })).await.status, 200);
    }
    let releases = format!("{path}/sku-releases");
    let release = async |sku: &str| shop.operate(&releases, json!({ "sku": sku })).await;
    assert_eq!(release("cup").await.refused(), (409, "product-listed".into()));
    let sent = key();
    let headers = [("if-match", "*"), ("idempotency-key", &*sent)];
    let gone = shop.send("DELETE", &path, &headers, "").await;
    let left = "\"MUG\";units=7, \"TASS%C3%8B\";units=2";
    assert_eq!((gone.status, gone.header("stock-on-hand")), (204, left));
    let taken = shop.post("/products", body).await;
    assert_eq!(taken.refused(), (409, "sku-taken".into()), "it keeps them until they are given back");

    let stays = release("mug").await;
    assert_eq!(stays.refused(), (409, "stock-left".into()));
    assert_eq!((&stays.json()["on_hand"], &stays.json()["reserved"]), (&json!(7), &json!(0)));
    let empty = json!({ "quantity": -7, "reason": "sold-off" });
    assert_eq!(shop.post("/inventory/mug/adjustments", empty).await.status, 200);
    assert_eq!(release("spoon").await.refused(), (404, "no-such-variant".into()));
    let guest = shop.post(&releases, json!({ "sku": "mug" })).await;
    assert_eq!(guest.refused(), (403, "operator-only".into()));
    let done = release("mug").await;
    assert_eq!((done.status, done.header("etag")), (200, "\"3\""), "{}", done.text);
    assert_eq!(release("mug").await.json()["position"], Value::Null, "it was given back before");
    // The deletion is answered as it was, whatever lies there now.
    let again = shop.send("DELETE", &path, &headers, "").await;
    assert_eq!((again.status, again.header("stock-on-hand")), (204, left));

    let new = shop.sell("mug").await;
    assert_eq!(
        shop.store.owner_of(scope::SKU, "MUG").await.unwrap(),
        Some(new.replace("/products/", "product:"))
    );
    let cup = shop.post("/products", json!({ "name": "Cup", "variants": [{ "sku": "cup" }] })).await;
    assert_eq!(cup.refused(), (409, "sku-taken".into()), "the others are still its own");
    assert_eq!(shop.post("/orders", order("mug")).await.status, 201);
}

#[tokio::test]
async fn an_order_takes_names_and_prices_from_the_products_and_a_guest_comes_into_being() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let body = json!({
        "lines": [{ "sku": "mug", "quantity": 2 }, { "sku": "MUG", "quantity": 1 }],
        "country": " United  Kingdom ",
        "contact": { "name": "Grace Hopper", "email": "grace@example.org", "address": "1 Road\nTown" },
    });
    let got = shop.post("/orders", body).await;
    assert_eq!((got.status, got.header("etag"), got.header("event-position")), (201, "\"1\"", "main:2"));
    let id: Uuid = got.id().parse().unwrap();
    assert_eq!(got.header("location"), format!("/orders/{id}"));

    let stored = shop.store.log().read(2, 1).await.unwrap().remove(0);
    let placed = &serde_json::from_str::<Value>(&stored.payload).unwrap()["OrderPlaced"];
    let line = |number: u32, quantity: u32| {
        json!({ "number": number, "sku": "MUG", "product_id": product.replace("/products/", ""),
                "name": "The mug", "quantity": quantity, "price": pounds(500) })
    };
    assert_eq!(placed["lines"], json!([line(1, 2), line(2, 1)]));
    assert_eq!((&placed["total"], &placed["number"]), (&pounds(1_500), &json!(number_of(OrderId(id), 0))));
    assert_eq!(placed["customer"], json!({ "guest": ids::derived(id, &["guest"]) }));
    for personal in ["Grace", "example.org", "Road"] {
        assert!(!stored.payload.contains(personal) && !got.text.contains(personal));
    }

    let cancel = format!("/orders/{id}/cancellation");
    let got = shop.post(&format!("/orders/{id}/shipment"), json!({})).await;
    assert_eq!(got.refused(), (409, "wrong-order-state".into()), "nobody has confirmed it");
    for reason in ["changed-mind", "other"] {
        let got = shop.post(&cancel, json!({ "reason": reason })).await;
        assert_eq!((got.status, got.header("etag")), (200, "\"2\""), "{}", got.text);
    }
}

#[tokio::test]
async fn a_confirmed_order_is_shipped() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let id = shop.post("/orders", order("mug")).await.id();
    shop.decide(&id, Command::Confirm).await;
    let got = shop.post(&format!("/orders/{id}/shipment"), json!({})).await;
    assert_eq!((got.status, got.header("etag")), (200, "\"3\""));
}

#[tokio::test]
async fn an_order_of_an_unsold_sku_or_an_unknown_user_is_refused() {
    let shop = Shop::open().await;
    let gone = shop.sell("gone").await;
    shop.delete(&gone, "*").await;
    shop.post("/products", json!({ "name": "Free", "variants": [{ "sku": "no-price" }] })).await;
    shop.sell("mug").await;
    let before = shop.head().await;
    for (sku, slug) in
        [("nothing", "unknown-sku"), ("no-price", "sku-without-price"), ("gone", "sku-not-sold")]
    {
        let lines = json!([{ "sku": "mug", "quantity": 1 }, { "sku": sku, "quantity": 1 }]);
        let got = shop.post("/orders", json!({ "lines": lines, "country": "UK" })).await;
        let pointer = json!("/lines/1/sku");
        assert_eq!((got.refused(), &got.json()["pointer"]), ((422, slug.to_owned()), &pointer));
    }
    let mut body = order("mug");
    body["customer"] = json!({ "user": key() });
    assert_eq!(shop.post("/orders", body.clone()).await.refused(), (422, "unknown-customer".into()));
    assert_eq!(shop.head().await, before);

    let user = shop.post("/users", json!({ "name": "Ada" })).await;
    body["customer"] = json!({ "user": user.id() });
    assert_eq!(shop.post("/orders", body.clone()).await.status, 201);
    shop.delete(user.header("location"), "*").await;
    assert_eq!(shop.post("/orders", body).await.refused(), (422, "unknown-customer".into()));
    let mut guest = order("mug");
    guest["customer"] = json!({ "guest": key() });
    assert_eq!(shop.post("/orders", guest).await.status, 201);
}

#[tokio::test]
async fn a_taken_number_is_refused_if_given_and_replaced_if_generated() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let key = key();
    let command = ids::derived(ids::COMMANDS, &["guest:anonymous", "POST", "/orders", &key]);
    let id = OrderId(ids::stream_of(command));
    let mut numbered = order("mug");
    numbered["number"] = json!(number_of(id, 0));
    let first = shop.operate("/orders", numbered.clone()).await;
    assert_eq!(first.status, 201);
    let got = shop.operate("/orders", numbered).await;
    assert_eq!(got.refused(), (409, "order-number-taken".into()));
    assert_eq!(got.json()["owner"], format!("order:{}", first.id()));

    let got = shop.post_with("/orders", &[("idempotency-key", &key)], order("mug")).await;
    assert_eq!((got.status, got.id()), (201, id.to_string()));
    let owner = shop.store.owner_of(scope::ORDER_NUMBER, &number_of(id, 1)).await.unwrap();
    assert_eq!(owner, Some(format!("order:{id}")));
}

// ---- who may -------------------------------------------------------------------------------------------------------

/// Every operation of the description: method, path with ids in it, and the operation.
fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(http::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path
                .replace("{id}", &Uuid::new_v4().to_string())
                .replace("{sku}", "mug")
                .replace("{address}", &Uuid::new_v4().to_string())
                .replace("{medium}", "email");
            found.push((method.to_uppercase(), path, operation.clone()));
        }
    }
    found
}

#[tokio::test]
async fn only_the_operator_moves_stock_for_orders_and_gives_money_back() {
    let shop = Shop::open().await;
    let mut only_operator = BTreeSet::new();
    for (method, path, operation) in operations() {
        let headers = [("idempotency-key", &*key()), ("if-match", "*"), ("content-type", "application/json")];
        let got = shop.send(&method, &path, &headers, if method == "DELETE" { "" } else { "{}" }).await;
        let open = operation["security"].as_array().unwrap().contains(&json!({}));
        assert_eq!(got.status == 403, !open, "{method} {path}: {}", got.text);
        if !open {
            assert_eq!(got.refused(), (403, "operator-only".into()));
            only_operator.insert(operation["operationId"].as_str().unwrap().to_owned());
        }
        let got = shop.send(&method, &path, &[&headers[..], &[OPERATOR]].concat(), "{}").await;
        assert!(![401, 403].contains(&got.status) && got.status < 500, "{method} {path}: {}", got.text);
    }
    let expected = [
        "credit_note.issue",
        "payment.charge",
        "payment.close",
        "payment.refund",
        "payment.release",
        "person.request-erasure",
        "person.request-staff-erasure",
        "product.release-sku",
        "stock.release",
        "stock.reserve",
        "stock.ship",
    ];
    assert_eq!(only_operator, BTreeSet::from(expected.map(str::to_owned)));
}

/// A shop with a key of each of these roles: their ids, and the header values of their holders.
async fn keyed(roles: &[Role]) -> (Shop, Vec<(Uuid, String)>) {
    let shop = Shop::open().await;
    let shelf = Shelf::default();
    let made = roles.iter().map(|role| shelf.add(*role, |_| {}).unwrap());
    let sent = made.map(|(key, id)| (id, format!("Bearer {}", key.text()))).collect();
    let access = Access::new(None).with_keys(Arc::new(shelf));
    let router = stack(http::router(Commands { access, ..Commands::new(shop.store.clone(), None) }));
    (Shop { router, ..shop }, sent)
}

#[tokio::test]
async fn each_command_is_for_the_roles_that_may_give_it_and_for_no_others() {
    let roles = &Role::ALL[1..];
    let (shop, sent) = keyed(roles).await;
    // docs/api.md says which permission each command needs.
    let holders = |permission: &str| match permission {
        "shop" | "register" => "support admin service",
        "trade" => "ops admin service",
        "stock" | "fulfil" => "warehouse ops admin service",
        "refund" => "support finance admin",
        "charge" => "finance admin",
        "erase-person" => "support admin",
        "override" | "erase-staff" => "admin",
        other => panic!("no command has needed {other} yet: say here who has it"),
    };
    let mut table = BTreeSet::new();
    for (method, path, operation) in operations() {
        let mut may = Vec::new();
        for (role, (_, bearer)) in roles.iter().zip(&sent) {
            let headers = [
                ("authorization", bearer.as_str()),
                ("idempotency-key", &*key()),
                ("if-match", "*"),
                ("content-type", "application/json"),
            ];
            let got = shop.send(&method, &path, &headers, if method == "DELETE" { "" } else { "{}" }).await;
            assert!(got.status != 401 && got.status < 500, "{method} {path}: {}", got.text);
            if got.status == 403 {
                assert_eq!(got.refused(), (403, "not-permitted".into()));
            } else {
                may.push(role.as_ref());
            }
        }
        let permission = operation["description"].as_str().unwrap().split('`').nth(1).unwrap();
        assert_eq!(may.join(" "), holders(permission), "{method} {path}");
        table.insert(format!("{}: {}", operation["operationId"].as_str().unwrap(), may.join(" ")));
    }
    let expected = [
        "credit_note.issue: support finance admin",
        "order.cancel: support admin service",
        "order.claim: support admin service",
        "order.pay: support admin service",
        "order.place: support admin service",
        "order.ship: warehouse ops admin service",
        "payment.charge: finance admin",
        "payment.close: finance admin",
        "payment.refund: support finance admin",
        "payment.release: finance admin",
        "payment.stop: support admin service",
        "person.request-erasure: support admin",
        "person.request-staff-erasure: admin",
        "product.add-variant: ops admin service",
        "product.change: ops admin service",
        "product.create: ops admin service",
        "product.delete: ops admin service",
        "product.release-sku: admin",
        "product.set-price: ops admin service",
        "stock.adjust: warehouse ops admin service",
        "stock.receive: warehouse ops admin service",
        "stock.release: warehouse ops admin service",
        "stock.reserve: warehouse ops admin service",
        "stock.ship: warehouse ops admin service",
        "user.add-address: support admin service",
        "user.change: support admin service",
        "user.change-address: support admin service",
        "user.delete: support admin service",
        "user.register: support admin service",
        "user.remove-address: support admin service",
        "user.set-consent: support admin service",
    ];
    // Other contexts bring commands of their own; those of these types are exactly these.
    let types: BTreeSet<&str> = expected.iter().filter_map(|row| Some(row.split_once('.')?.0)).collect();
    table.retain(|row| row.split_once('.').is_some_and(|(name, _)| types.contains(name)));
    assert_eq!(table, BTreeSet::from(expected.map(str::to_owned)));
}

#[tokio::test]
async fn only_the_holder_of_a_key_may_name_a_customer_a_channel_and_a_reason() {
    let (shop, sent) = keyed(&[Role::Support, Role::Service]).await;
    let (staff, service) = (&sent[0], &sent[1]);
    let known = shop.post_with("/users", &[("authorization", &*staff.1)], json!({})).await;
    let somebody = format!("customer:{}", known.id());
    let note = "she rang, über Zebedee";
    let all = [("authorization", &*staff.1), ("x-on-behalf-of", &*somebody), ("x-reason-note", note)];
    assert_eq!(shop.post_with("/users", &all, json!({})).await.status, 201);
    let door = [("authorization", &*service.1), ("x-channel", "storefront")];
    assert_eq!(shop.post_with("/users", &door, json!({})).await.status, 201);
    assert_eq!(shop.post_with("/users", &door[..1], json!({})).await.status, 201);
    let events = shop.store.log().read(2, 3).await.unwrap();
    let metadata = |index: usize| serde_json::from_str::<Value>(&events[index].metadata).unwrap();
    let first = metadata(0);
    assert_eq!(
        [&first["actor_kind"], &first["actor_id"], &first["channel"], &first["on_behalf_of"]],
        [&json!("staff"), &json!(staff.0), &json!("admin"), &json!(somebody)]
    );
    assert!(!events[0].metadata.contains("Zebedee"));
    // The note is its writer's: it opens under the key's own id until that is erased.
    let jwe = first["reason_note"].as_str().unwrap();
    let kid = codec::kid_of(jwe).unwrap();
    assert_eq!(kid, personal::kid(staff.0, Purpose::Account));
    let keys = shop.store.keys().store().keys(&HashSet::from([kid.clone()])).await.unwrap();
    let Key::Living(key) = &keys[&kid] else { panic!("it was made for the note") };
    assert_eq!(codec::decrypt(jwe, key).unwrap(), json!({ "v": 1, "value": note }).to_string().as_bytes());
    assert_eq!(
        (&metadata(1)["actor_id"], &metadata(1)["channel"]),
        (&json!(service.0), &json!("storefront"))
    );
    assert_eq!(metadata(2)["channel"], "api");

    for header in [("x-channel", "admin"), ("x-on-behalf-of", &*somebody), ("x-reason-note", note)] {
        let got = shop.post_with("/users", &[header], json!({})).await;
        assert_eq!((got.refused(), got.json()["header"].is_string()), ((403, "operator-only".into()), true));
    }
    let long = "x".repeat(1_001);
    for (name, bad) in [
        ("x-channel", "process"),
        ("x-channel", "window"),
        ("x-on-behalf-of", "staff:0199e7a0-0000-7000-8000-000000000000"),
        ("x-on-behalf-of", "customer:ada@example.org"),
        ("x-on-behalf-of", ""),
        ("x-reason-note", ""),
        ("x-reason-note", "two\tcolumns"),
        ("x-reason-note", &*long),
    ] {
        let got = shop.post_with("/users", &[all[0], (name, bad)], json!({})).await;
        assert_eq!(got.refused(), (400, "invalid-header".into()), "{name} {bad}");
    }
    let got = shop.post_with("/users", &[all[0], ("x-channel", "import")], json!({})).await;
    assert_eq!(
        (got.refused(), &got.json()["permission"]),
        ((403, "not-permitted".into()), &json!("override"))
    );
}

#[tokio::test]
async fn business_time_numbers_and_prices_of_ones_own_are_the_operators() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let mut dated = order("mug");
    dated["occurred_at"] = json!("2010-12-01T08:26:00Z");
    let mut numbered = order("mug");
    numbered["number"] = json!("536365");
    let mut priced = order("mug");
    priced["lines"][0]["price"] = pounds(1);
    for (body, pointer) in [(dated, "/occurred_at"), (numbered, "/number"), (priced, "/lines/0/price")] {
        let got = shop.post("/orders", body.clone()).await;
        assert_eq!((got.refused(), &got.json()["pointer"]), ((403, "operator-only".into()), &json!(pointer)));
        assert_eq!(shop.operate("/orders", body).await.status, 201);
    }
    let stored = shop.store.log().read(2, 1).await.unwrap().remove(0);
    assert_eq!(stored.occurred_at.to_rfc3339(), "2010-12-01T08:26:00+00:00");
    let receipt = json!({ "quantity": 1, "occurred_at": "2010-12-01T08:26:00Z" });
    assert_eq!(shop.post("/inventory/mug/receipts", receipt.clone()).await.refused().0, 403);
    assert_eq!(shop.operate("/inventory/mug/receipts", receipt).await.status, 200);
    let future = json!({ "quantity": 1, "occurred_at": "2999-01-01T00:00:00Z" });
    assert_eq!(shop.operate("/inventory/mug/receipts", future).await.refused().0, 422);
}

#[tokio::test]
async fn a_bad_token_is_refused_on_every_endpoint() {
    let shop = Shop::open().await;
    for wrong in
        ["Bearer nearly", "Bearer", "the-operator's-token", "Basic dGhl", "Bearer the-operator's-toke", ""]
    {
        let got = shop.post_with("/users", &[("authorization", wrong)], json!({})).await;
        assert_eq!(got.refused(), (401, "bad-token".into()), "{wrong}");
    }
    let nobody = stack(http::router(Commands::new(shop.store.clone(), None)));
    let shop = Shop { router: nobody, ..shop };
    assert_eq!(shop.post_with("/users", &[OPERATOR], json!({})).await.refused().0, 401);
}

#[tokio::test]
async fn an_import_key_is_accepted_once() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    let import = |key: &'static str| [("x-import-key", key), ("x-channel", "import"), OPERATOR];
    let with_key = |import: [(&'static str, &'static str); 3], key: &'static str| {
        [&import[..], &[("idempotency-key", key)]].concat()
    };
    let got = shop.post_with("/orders", &with_key(import("order:1"), "one"), order("mug")).await;
    assert_eq!(got.status, 201);
    let again = shop.post_with("/orders", &with_key(import("order:1"), "two"), order("mug")).await;
    assert_eq!(again.refused(), (409, "imported-before".into()));
    assert_eq!(again.json()["owner"], format!("order:{}", got.id()));
    // It is refused as imported before, whatever else is wrong with it by now.
    let again = shop.post_with("/orders", &with_key(import("order:1"), "three"), order("cup")).await;
    assert_eq!(again.refused(), (409, "imported-before".into()));
    let receipts = "/inventory/mug/receipts";
    let body = json!({ "quantity": 1 });
    assert_eq!(
        shop.post_with(receipts, &with_key(import("opening"), "four"), body.clone()).await.status,
        200
    );
    let again = shop.post_with(receipts, &with_key(import("opening"), "five"), body.clone()).await;
    assert_eq!(again.refused(), (409, "imported-before".into()));
    let same = shop.post_with(receipts, &with_key(import("opening"), "four"), body.clone()).await;
    assert_eq!((same.status, same.header("event-position")), (200, "main:3"));
    assert_eq!(shop.head().await, 3);
    let stored = shop.store.log().read(2, 1).await.unwrap().remove(0);
    let metadata: Value = serde_json::from_str(&stored.metadata).unwrap();
    assert_eq!(metadata["channel"], "import");

    for header in [("x-import-key", "order:2"), ("x-channel", "import")] {
        let key = key();
        let got = shop.post_with(receipts, &[header, ("idempotency-key", key.as_str())], body.clone()).await;
        assert_eq!(got.refused(), (403, "operator-only".into()));
    }
}

#[tokio::test]
async fn an_event_holds_actor_reason_and_correlation() {
    let shop = Shop::open().await;
    let (correlation, trace) = (key(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let headers = [
        ("x-correlation-id", correlation.as_str()),
        ("traceparent", trace),
        ("x-reason", "fraud-check"),
        ("idempotency-key", &key()),
    ];
    assert_eq!(shop.post_with("/users", &headers, json!({})).await.status, 201);
    assert_eq!(shop.operate("/users", json!({})).await.status, 201);
    let events = shop.store.log().read(1, 2).await.unwrap();
    let metadata = |index: usize| serde_json::from_str::<Value>(&events[index].metadata).unwrap();
    let command = metadata(0)["command_id"].clone();
    assert_eq!(
        metadata(0),
        json!({
            "correlation_id": correlation, "command_id": command, "command_type": "user.register",
            "actor_kind": "guest", "actor_id": "anonymous", "channel": "api", "reason_code": "fraud-check",
            "traceparent": trace,
        })
    );
    let operator = metadata(1);
    assert_eq!((&operator["actor_kind"], &operator["actor_id"]), (&json!("service"), &json!("operator")));
    for bad in ["two words", "", "Ana", "447700900123", "ana@example.org", &"x".repeat(65)] {
        let got = shop.post_with("/users", &[("x-reason", bad)], json!({})).await;
        assert_eq!(got.refused(), (400, "invalid-header".into()), "{bad:?}");
    }
}

// ---- once ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_command_sent_32_times_at_once_is_done_once_and_answered_the_same_byte_for_byte() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    for (path, body) in [
        ("/orders", order("mug")),
        ("/inventory/mug/receipts", json!({ "quantity": 7 })),
        ("/users", json!({ "email": "ada@example.org" })),
        ("/carts", json!({ "sku": "mug", "quantity": 1, "note": "a gift" })),
    ] {
        let (key, before) = (key(), shop.head().await);
        let headers = [("idempotency-key", key.as_str())];
        let sent = (0..32).map(|_| shop.post_with(path, &headers, body.clone()));
        let answers = futures::future::join_all(sent).await;
        assert!([200, 201].contains(&answers[0].status), "{}", answers[0].text);
        let bytes = |got: &Got| {
            let headers = ["location", "etag", "event-position", "content-type"]
                .map(|name| got.header(name).to_owned());
            (got.status, headers, got.text.clone())
        };
        assert!(answers.iter().all(|got| bytes(got) == bytes(&answers[0])), "{path}");
        assert_eq!(shop.head().await, before + 1, "{path}");
        // And later, when the facts are others.
        shop.put(&product, "*", json!({ "name": key })).await;
        let again = shop.post_with(path, &headers, body.clone()).await;
        assert_eq!(bytes(&again), bytes(&answers[0]), "{path}");
    }
}

#[tokio::test]
async fn a_repeated_order_is_answered_the_same_after_its_product_is_deleted() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    let first = shop.post_with("/orders", &headers, order("mug")).await;
    shop.delete(&product, "*").await;
    let again = shop.post_with("/orders", &headers, order("mug")).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    let other = shop.post_with("/orders", &headers, order("cup")).await;
    assert_eq!(other.refused(), (422, "idempotency-key-reused".into()));
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_request_of_one_caller() {
    let shop = Shop::open().await;
    let key = key();
    let headers = [("idempotency-key", key.as_str())];
    let first = shop.post_with("/users", &headers, json!({ "country": "UK" })).await;
    let other = shop.post_with("/users", &headers, json!({ "country": "FR" })).await;
    assert_eq!(other.refused(), (422, "idempotency-key-reused".into()));
    let conditional = [headers[0], ("if-match", "\"1\"")];
    let other = shop.post_with("/users", &conditional, json!({ "country": "UK" })).await;
    assert_eq!(other.refused(), (422, "idempotency-key-reused".into()));
    let upper = key.to_uppercase();
    let same = shop.post_with("/users", &[("idempotency-key", &upper)], json!({ "country": "UK" })).await;
    assert_eq!(same.text, first.text, "a UUID is the same in capitals");
    // Another caller and another path have keys of their own.
    let operator = [headers[0], OPERATOR];
    assert_ne!(shop.post_with("/users", &operator, json!({ "country": "UK" })).await.id(), first.id());
    let body = json!({ "name": "Mug", "variants": [{ "sku": "mug" }] });
    assert_eq!(shop.post_with("/products", &headers, body).await.status, 201);
    assert_eq!(shop.head().await, 3);
}

#[tokio::test]
async fn a_command_is_what_it_means_however_it_is_written() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let id = product.replace("/products/", "");
    let guest = key();
    let cases = [
        (
            vec!["/orders".to_owned()],
            vec![
                r#"{"lines":[{"sku":"MUG","quantity":1}],"country":"France"}"#.to_owned(),
                r#"{"country":"France","lines":[{"quantity":1,"sku":"MUG"}]}"#.to_owned(),
                " {\n\t\"country\" : \"France\", \"lines\" : [ { \"sku\": \"MUG\", \"quantity\" : 1 } ] }\r\n".to_owned(),
                r#"{"lines":[{"sku":" mug ","quantity":1.0,"price":null}],"country":"\u0046rance ","contact":{},"customer":null}"#
                    .to_owned(),
                "{\"lines\":[{\"sku\":\"M\u{200b}UG\",\"quantity\":10e-1}],\"country\":\"\u{feff}Fr\u{ad}ance\u{a0}\"}".to_owned(),
            ],
            r#"{"lines":[{"sku":"MUG","quantity":2}],"country":"France"}"#,
        ),
        (
            ["MUG", "mug", "%4DUG", "%20m%75g%E2%80%8B"].map(|sku| format!("/inventory/{sku}/receipts")).to_vec(),
            vec![r#"{"quantity":5}"#.to_owned(), r#"{"location":"main","quantity":5}"#.to_owned()],
            r#"{"quantity":5,"location":"leeds"}"#,
        ),
        (
            [id.clone(), id.to_uppercase(), id.replace('-', "")].map(|id| format!("/products/{id}/prices")).to_vec(),
            vec![
                r#"{"sku":"mug","price":{"amount":700,"currency":"GBP"}}"#.to_owned(),
                r#"{"price":{"currency":"GBP","amount":7.00e2},"sku":"MUG"}"#.to_owned(),
            ],
            r#"{"sku":"mug","price":{"amount":700,"currency":"EUR"}}"#,
        ),
        (
            vec!["/users".to_owned()],
            vec![
                r#"{"name":"Zo\u00eb","email":"zoe@example.org"}"#.to_owned(),
                "{\"email\":\"zoe@example.org\",\"name\":\" Zoe\u{308}\",\"phone\":null}".to_owned(),
            ],
            r#"{"name":"Zoe","email":"zoe@example.org"}"#,
        ),
        (
            vec!["/products".to_owned()],
            vec![
                r#"{"name":"Cup","variants":[{"sku":"cup"}],"attributes":{"colour":"red","size":"L"}}"#.to_owned(),
                r#"{"variants":[{"price":null,"sku":"CUP"}],"attributes":{"size":"L","colour":"red"},"description":"","name":"Cup"}"#
                    .to_owned(),
            ],
            r#"{"name":"Cup","variants":[{"sku":"cup"}],"attributes":{"colour":"red"}}"#,
        ),
    ];
    for (paths, bodies, another) in cases {
        let (sent, before) = (key(), shop.head().await);
        let quoted = format!("\"{sent}\"");
        let headers = |key| [("idempotency-key", key), ("content-type", "application/json")];
        let mut first: Option<Got> = None;
        for path in &paths {
            for body in &bodies {
                for key in [&sent, &quoted] {
                    let got = shop.send("POST", path, &headers(key.as_str()), body.clone()).await;
                    let first = first.get_or_insert(got);
                    let again = shop.send("POST", path, &headers(key.as_str()), body.clone()).await;
                    assert!([200, 201].contains(&first.status), "{path} {body}: {}", first.text);
                    assert_eq!((again.status, &again.text), (first.status, &first.text), "{path} {body}");
                }
            }
        }
        assert_eq!(shop.head().await, before + 1, "{paths:?}: it was done once");
        let got = shop.send("POST", &paths[0], &headers(&sent), another.to_owned()).await;
        assert_eq!(got.refused(), (422, "idempotency-key-reused".into()), "{another}");
    }
    // A set has no order.
    let mut bought = order("mug");
    bought["customer"] = json!({ "guest": guest });
    bought["contact"] = json!({ "name": "Ada" });
    assert_eq!(shop.post("/orders", bought).await.status, 201);
    let (path, sent) = (format!("/people/{guest}/erasures"), key());
    let headers = [("idempotency-key", sent.as_str()), OPERATOR];
    let ask = async |purposes: &[&str]| shop.post_with(&path, &headers, erasure(purposes)).await;
    let first = ask(&["account", "invoice"]).await;
    assert_eq!((first.status, &ask(&["invoice", "account"]).await.text), (200, &first.text));
}

#[tokio::test]
async fn a_key_that_was_used_for_another_target_is_refused() {
    let shop = Shop::open().await;
    let (mug, cup) = (shop.sell("mug").await, shop.sell("cup").await);
    let key = key();
    let headers =
        [("idempotency-key", key.as_str()), ("if-match", "*"), ("content-type", "application/json")];
    assert_eq!(
        shop.post_with("/inventory/mug/receipts", &headers[..1], json!({ "quantity": 1 })).await.status,
        200
    );
    let other = shop.post_with("/inventory/cup/receipts", &headers[..1], json!({ "quantity": 1 })).await;
    assert_eq!(other.refused(), (422, "idempotency-key-reused".into()));
    assert_eq!(shop.send("DELETE", &mug, &headers, "").await.status, 204);
    assert_eq!(
        shop.send("DELETE", &cup, &headers, "").await.refused(),
        (422, "idempotency-key-reused".into())
    );
    assert_eq!(shop.head().await, 4, "nothing was done to the cup");
}

#[tokio::test]
async fn a_repeated_command_is_answered_before_its_version_is_checked() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let key = key();
    let headers =
        [("idempotency-key", key.as_str()), ("if-match", "\"1\""), ("content-type", "application/json")];
    let first = shop.send("PUT", &product, &headers, r#"{"name":"Mug"}"#).await;
    let again = shop.send("PUT", &product, &headers, r#"{"name":"Mug"}"#).await;
    assert_eq!((first.status, &first.text), (again.status, &again.text));
    assert_eq!(again.header("etag"), "\"2\"");
}

#[tokio::test]
async fn an_idempotency_key_is_required_where_money_or_stock_moves_and_random_from_guests() {
    let shop = Shop::open().await;
    let mut required = BTreeSet::new();
    for (method, path, operation) in operations() {
        let headers = [OPERATOR, ("if-match", "*"), ("content-type", "application/json")];
        let got = shop.send(&method, &path, &headers, if method == "DELETE" { "" } else { "{}" }).await;
        let parameters = operation["parameters"].as_array().unwrap();
        let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
        let refused = got.text.contains("/problems/idempotency-key-required");
        assert_eq!(refused, key["required"] == true, "{method} {path}: {}", got.text);
        if refused {
            assert_eq!(got.refused(), (400, "idempotency-key-required".into()));
            required.insert(operation["operationId"].as_str().unwrap().split('.').next().unwrap().to_owned());
        }
    }
    let expected = ["cart", "checkout", "credit_note", "order", "payment", "stock"];
    assert_eq!(required, BTreeSet::from(expected.map(str::to_owned)));

    let v1 = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let v5 = ids::derived(ids::COMMANDS, &["x"]).to_string();
    for guessable in ["order-1", v1, v5.as_str(), "00000000-0000-0000-0000-000000000000"] {
        let got = shop.post_with("/users", &[("idempotency-key", guessable)], json!({})).await;
        assert_eq!(got.refused(), (400, "idempotency-key-not-random".into()), "{guessable}");
    }
    let v7 = ids::new().to_string();
    assert_eq!(shop.post_with("/users", &[("idempotency-key", &v7)], json!({})).await.status, 201);
    let named = [("idempotency-key", "customer-1"), OPERATOR];
    assert_eq!(shop.post_with("/users", &named, json!({})).await.status, 201);
}

// ---- versions ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn put_and_delete_require_if_match() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let user = shop.post("/users", json!({})).await.header("location").to_owned();
    for path in [&product, &user] {
        let json = [("content-type", "application/json")];
        let got = shop.send("PUT", path, &json, r#"{"name":"x"}"#).await;
        assert_eq!(got.refused(), (428, "if-match-required".into()));
        assert_eq!(shop.send("DELETE", path, &[], "").await.refused(), (428, "if-match-required".into()));
        let got = shop.put(path, "\"2\"", json!({ "name": "x" })).await;
        assert_eq!((got.refused(), &got.json()["version"]), ((412, "stale-version".into()), &json!(1)));
        assert_eq!(shop.delete(path, "\"2\"").await.refused(), (412, "stale-version".into()));
        for bad in ["1", "w/\"1\"", "\"1", "\"1\" \"2\"", "*, \"1\"", ""] {
            let got = shop.delete(path, bad).await;
            assert_eq!(got.refused(), (400, "invalid-header".into()), "{bad}");
            assert_eq!(got.json()["header"], "If-Match", "{bad}");
        }
        // Well-formed tags that name no version that it has: the comparison is strong.
        for other in ["W/\"1\"", "\"-1\"", "\"x\"", "\"2\", \"3\"", "\"1,\""] {
            assert_eq!(shop.delete(path, other).await.refused(), (412, "stale-version".into()), "{other}");
        }
        assert_eq!(shop.put(path, "*", json!({ "name": "y" })).await.header("etag"), "\"2\"");
        assert_eq!(shop.delete(path, "\"2\"").await.status, 204);
    }
}

#[tokio::test]
async fn if_match_may_be_a_list_on_several_lines_as_proxies_send_it() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let user = shop.post("/users", json!({})).await.header("location").to_owned();
    for path in [&product, &user] {
        let lines = [("if-match", "\"9\" ,\tW/\"8\""), ("if-match", ", \"1\", \"x\"")];
        let headers = [&lines[..], &[("content-type", "application/json")]].concat();
        let got = shop.send("PUT", path, &headers, r#"{"name":"z"}"#).await;
        assert_eq!((got.status, got.header("etag")), (200, "\"2\""), "{}", got.text);
        assert_eq!(shop.send("PUT", path, &headers, r#"{"name":"a"}"#).await.refused().0, 412);
        let got = shop.delete(path, "\"1\", \"2\"").await;
        assert_eq!((got.status, got.header("etag")), (204, "\"3\""));
    }
    let key = key();
    let headers = |if_match| {
        [("idempotency-key", key.as_str()), ("if-match", if_match), ("content-type", "application/json")]
    };
    let other = shop.sell("cup").await;
    let first = shop.send("PUT", &other, &headers("\"1\", \"7\""), r#"{"name":"Cup"}"#).await;
    let again = shop.send("PUT", &other, &headers("\"7\" , W/\"3\",\"1\""), r#"{"name":"Cup"}"#).await;
    assert_eq!(
        (again.status, &again.text),
        (first.status, &first.text),
        "the same versions, written otherwise"
    );
    let reused = shop.send("PUT", &other, &headers("\"2\""), r#"{"name":"Cup"}"#).await;
    assert_eq!(reused.refused(), (422, "idempotency-key-reused".into()));
}

#[tokio::test]
async fn a_missing_thing_is_a_404_with_any_if_match() {
    let shop = Shop::open().await;
    for (what, slug) in [("users", "user-not-found"), ("products", "product-not-found")] {
        let path = format!("/{what}/{}", Uuid::new_v4());
        for version in ["*", "\"1\""] {
            let got = shop.put(&path, version, json!({ "name": "x" })).await;
            assert_eq!(got.refused(), (404, slug.to_owned()), "{version}");
            assert_eq!(shop.delete(&path, version).await.refused(), (404, slug.to_owned()), "{version}");
        }
    }
    let order = format!("/orders/{}/cancellation", Uuid::new_v4());
    assert_eq!(
        shop.post(&order, json!({ "reason": "other" })).await.refused(),
        (404, "order-not-found".into())
    );
    // A command that begins a stream cannot have read it before.
    for version in ["*", "\"1\""] {
        let headers = [("if-match", version), ("idempotency-key", &key())];
        let got = shop.post_with("/inventory/mug/receipts", &headers, json!({ "quantity": 1 })).await;
        assert_eq!(got.refused(), (412, "stale-version".into()));
    }
    assert_eq!(shop.head().await, 0);
}

// ---- bad input -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_refusal_points_at_the_field_and_never_repeats_its_value() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    let prices = format!("{product}/prices");
    let too_long = "s".repeat(300);
    let lines = |line: Value| json!({ "lines": [line], "country": "UK" });
    let price = |price: Value| json!({ "sku": "mug", "price": price });
    let cases = [
        ("/users", json!({ "secret": 1 }), "/secret"),
        ("/users", json!({ "name": ["secret"] }), "/name"),
        ("/users", json!({ "email": "secret" }), "/email"),
        ("/users", json!({ "name": "secret\u{0}" }), "/name"),
        ("/users", json!({ "phone": too_long }), "/phone"),
        ("/users", json!({ "country": "" }), "/country"),
        ("/products", json!({ "variants": [] }), "/name"),
        ("/products", json!({ "name": "x", "variants": [{ "sku": "" }] }), "/variants/0/sku"),
        ("/products", json!({ "name": "x", "variants": [{ "sku": "x", "stock": 1 }] }), "/variants/0/stock"),
        ("/products", json!({ "name": " ", "variants": [{ "sku": "x" }] }), "/name"),
        (
            "/products",
            json!({ "name": "x", "variants": [{ "sku": "x" }], "attributes": { "": "x" } }),
            "/attributes",
        ),
        (prices.as_str(), price(json!({ "amount": 1.5, "currency": "GBP" })), "/price/amount"),
        (prices.as_str(), price(json!({ "amount": "1", "currency": "GBP" })), "/price/amount"),
        (prices.as_str(), price(json!({ "amount": 1, "currency": "XXX" })), "/price/currency"),
        (prices.as_str(), price(json!({ "amount": 1, "currency": "gbp" })), "/price/currency"),
        (prices.as_str(), price(json!({ "amount": 1 })), "/price/currency"),
        ("/inventory/mug/receipts", json!({ "quantity": -1 }), "/quantity"),
        ("/inventory/mug/receipts", json!({ "quantity": 4_294_967_296_u64 }), "/quantity"),
        ("/inventory/mug/receipts", json!({ "quantity": "1" }), "/quantity"),
        ("/inventory/mug/receipts", json!({ "quantity": 1, "location": "Se cret" }), "/location"),
        ("/inventory/mug/adjustments", json!({ "quantity": 1, "reason": "" }), "/reason"),
        ("/inventory/mug/adjustments", json!({ "quantity": 1 }), "/reason"),
        ("/inventory/mug/adjustments", json!({ "quantity": 1, "reason": "Free secret text" }), "/reason"),
        ("/inventory/mug/adjustments", json!({ "quantity": 1, "reason": "447700900123" }), "/reason"),
        ("/carts", json!({ "sku": "mug", "quantity": 1, "price": 1 }), "/price"),
        ("/carts", json!({ "sku": "mug", "quantity": 1, "note": "secret\u{0}" }), "/note"),
        ("/orders", json!({ "lines": [] }), "/country"),
        ("/orders", lines(json!({ "sku": "mug", "quantity": -2 })), "/lines/0/quantity"),
        ("/orders", lines(json!({ "sku": "mug" })), "/lines/0/quantity"),
        ("/orders", json!({ "lines": [{ "sku": "mug", "quantity": 1 }], "country": "\n" }), "/country"),
        (
            "/orders",
            json!({ "lines": [], "country": "UK", "customer": { "user": "secret" } }),
            "/customer/user",
        ),
        ("/orders", json!({ "lines": [], "country": "UK", "customer": { "staff": key() } }), "/customer"),
        (
            "/orders",
            json!({ "lines": [], "country": "UK", "contact": { "email": "secret" } }),
            "/contact/email",
        ),
    ];
    let before = shop.head().await;
    for (path, body, pointer) in cases {
        let got = shop.post(path, body.clone()).await;
        assert_eq!(got.refused(), (422, "invalid-body".into()), "{path} {body}");
        assert_eq!(got.json()["pointer"], pointer, "{path} {body}: {}", got.text);
        assert!(pointer == "/secret" || !got.text.contains("secret"), "{}", got.text);
    }
    assert_eq!(shop.head().await, before);
}

#[tokio::test]
async fn numbers_that_make_no_sense_are_refused_by_the_domain() {
    let shop = Shop::open().await;
    let product = shop.sell("mug").await;
    shop.post("/inventory/mug/receipts", json!({ "quantity": 1 })).await;
    let before = shop.head().await;
    let none = json!({ "lines": [], "country": "UK" });
    let zero = json!({ "lines": [{ "sku": "mug", "quantity": 0 }], "country": "UK" });
    let many: Vec<_> = (0..1_501).map(|_| json!({ "sku": "mug", "quantity": 1 })).collect();
    let many = json!({ "lines": many, "country": "UK" });
    let adjust = |quantity: i64| json!({ "quantity": quantity, "reason": "count" });
    let price = |amount: i64| json!({ "sku": "mug", "price": pounds(amount) });
    let twice = json!({ "name": "x", "variants": [{ "sku": "a" }, { "sku": "A" }] });
    let prices = format!("{product}/prices");
    for (path, body, status, slug) in [
        ("/orders", none, 422, "bad-lines"),
        ("/orders", zero, 422, "bad-lines"),
        ("/orders", many, 422, "bad-lines"),
        ("/inventory/mug/receipts", json!({ "quantity": 0 }), 422, "bad-quantity"),
        ("/inventory/mug/adjustments", adjust(0), 422, "bad-quantity"),
        ("/inventory/mug/adjustments", adjust(i64::MAX), 422, "bad-quantity"),
        ("/inventory/mug/adjustments", adjust(i64::MIN), 422, "bad-quantity"),
        ("/inventory/mug/adjustments", adjust(-2), 409, "insufficient-stock"),
        ("/products", twice, 422, "bad-variants"),
        ("/products", json!({ "name": "x", "variants": [] }), 422, "bad-variants"),
        (prices.as_str(), price(i64::MAX), 422, "bad-price"),
    ] {
        let got = shop.post(path, body.clone()).await;
        assert_eq!(got.refused(), (status, slug.to_owned()), "{path} {body}");
    }
    let mut dear = order("mug");
    dear["lines"][0]["price"] = pounds(i64::MAX);
    assert_eq!(shop.operate("/orders", dear).await.refused(), (422, "total-too-large".into()));
    assert_eq!(shop.head().await, before);
}

#[tokio::test]
async fn a_malformed_body_is_refused_before_its_fields_are_checked() {
    let shop = Shop::open().await;
    let json = [("content-type", "application/json")];
    let random = key();
    let headers = [json[0], ("idempotency-key", random.as_str())];
    let send = |body: Vec<u8>| shop.send("POST", "/orders", &headers, body);
    for bad in
        [&b""[..], b"{", b"{\"lines\":[}", b"nul", b"{} {}", b"\xff\xfe", b"{\"country\":\"\xc3\x28\"}"]
    {
        let got = send(bad.to_vec()).await;
        assert_eq!(got.refused(), (400, "malformed-json".into()), "{}", String::from_utf8_lossy(bad));
    }
    assert!(send(b"[".repeat(200_000)).await.refused().0 < 500);
    let deep = [b"{\"lines\":".to_vec(), b"[".repeat(50_000), b"]".repeat(50_000), b"}".to_vec()].concat();
    assert!(send(deep).await.refused().0 < 500);
    let large = format!("{{\"country\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
    assert_eq!(send(large.clone().into_bytes()).await.refused(), (413, "body-too-large".into()));
    // Without a length announced.
    let chunks = futures::stream::iter(
        large
            .into_bytes()
            .chunks(65_536)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect::<Vec<_>>(),
    );
    let got = shop.send("POST", "/orders", &headers, Body::from_stream(chunks)).await;
    assert_eq!(got.refused(), (413, "body-too-large".into()));

    let got = shop.send("POST", "/users", &[("content-type", "text/plain")], "{}").await;
    assert_eq!(got.refused(), (415, "unsupported-media-type".into()));
    let got = shop.send("POST", "/users", &[json[0], ("content-encoding", "gzip")], "{}").await;
    assert_eq!(got.refused(), (415, "unsupported-media-type".into()));
    let path = format!("/users/{}", Uuid::new_v4());
    let got = shop.send("DELETE", &path, &[("if-match", "*")], "{}").await;
    assert_eq!(got.refused(), (400, "unexpected-body".into()));
    assert_eq!(shop.head().await, 0);
}

#[tokio::test]
async fn a_malformed_id_or_an_unknown_path_is_refused() {
    let shop = Shop::open().await;
    for (path, status, slug) in [
        ("/users/7", 400, "invalid-id"),
        ("/users/7e57e57e-0000-0000-0000-00000000000g", 400, "invalid-id"),
        ("/users/%ff%fe", 404, "not-found"),
        ("/users/", 404, "no-such-path"),
        ("/carts/1", 404, "no-such-path"),
    ] {
        assert_eq!(shop.put(path, "*", json!({})).await.refused(), (status, slug.to_owned()), "{path}");
    }
    let long = format!("/inventory/{}/receipts", "x".repeat(65));
    for sku in [long.as_str(), "/inventory/%20/receipts", "/inventory/a%00b/receipts"] {
        let got = shop.post(sku, json!({ "quantity": 1 })).await;
        assert_eq!(got.refused(), (400, "invalid-id".into()), "{sku}");
    }
    let got = shop.post("/users?dry_run=true", json!({})).await;
    assert_eq!(got.refused(), (400, "invalid-query".into()));
    let got = shop.send("PATCH", "/users", &[], "").await;
    assert_eq!(got.refused(), (405, "method-not-allowed".into()));
    assert_eq!(shop.head().await, 0);
}

#[tokio::test]
async fn no_body_of_any_shape_makes_any_endpoint_fail() {
    let shop = Shop::open().await;
    let bodies = [
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "\"\"",
        "[]",
        "{}",
        "[[[]]]",
        "{\"\":null}",
        r#"{"name":null,"variants":null}"#,
        r#"{"quantity":1e3,"reason":"other"}"#,
        r#"{"quantity":99999999999999999999999999}"#,
        r#"{"sku":"\ud800","price":{}}"#,
        r#"{"order_id":"00000000-0000-0000-0000-000000000000","line":4294967295,"quantity":4294967295}"#,
        r#"{"lines":[{"sku":"x","quantity":4294967295,"price":{"amount":-9223372036854775808,"currency":"GBP"}}],"country":"x"}"#,
        r#"{"occurred_at":"+262142-12-31T23:59:59Z","quantity":1}"#,
        r#"{"occurred_at":"2016-12-31T23:59:60Z","quantity":1,"location":"a"}"#,
    ];
    for (method, path, _) in operations() {
        for body in bodies {
            let headers = [
                OPERATOR,
                ("idempotency-key", &*key()),
                ("if-match", "*"),
                ("content-type", "application/json"),
            ];
            let got = shop.send(&method, &path, &headers, body).await;
            assert!(got.status < 500, "{method} {path} {body}: {}", got.text);
        }
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused() {
    let shop = Shop::open().await;
    let long_name = "\u{1f600}".repeat(200);
    let sku = "\u{1f600}".repeat(64);
    let body = json!({ "name": long_name, "variants": [{ "sku": sku, "price": pounds(1) }] });
    assert_eq!(shop.post("/products", body).await.status, 201);
    let lines: Vec<_> = (0..400).map(|_| json!({ "sku": sku, "quantity": 1 })).collect();
    let got = shop.post("/orders", json!({ "lines": lines, "country": "UK" })).await;
    assert_eq!(got.refused(), (413, "event-too-large".into()));
    assert_eq!(shop.head().await, 1);
}

#[tokio::test]
async fn an_unavailable_store_is_a_503_with_retry_after() {
    let shop = Shop::open().await;
    shop.sell("mug").await;
    // Another process owns the log.
    let second = open(shop.folder.path()).await;
    let second = Shop { router: stack(http::router(Commands::new(second, None))), ..shop };
    let got = second.post("/users", json!({})).await;
    assert_eq!(got.refused(), (503, "event-store-unavailable".into()));
    assert_eq!(got.header("retry-after"), "1");
    assert!(!got.text.contains(second.folder.path().to_str().unwrap()));
    assert_eq!(second.head().await, 1);
}

// ---- contexts and the API's description ----------------------------------------------------------------------------

#[tokio::test]
async fn a_process_serves_only_its_contexts() {
    let shop = Shop::open().await;
    let contexts = ["product", "inventory"].map(str::to_owned).into();
    let commands = Commands { contexts, ..Commands::new(shop.store.clone(), None) };
    let shop = Shop { router: stack(http::router(commands)), ..shop };
    shop.sell("mug").await;
    assert_eq!(shop.post("/inventory/mug/receipts", json!({ "quantity": 1 })).await.status, 200);
    for path in ["/users", "/orders", "/credit-notes"] {
        assert_eq!(shop.post(path, json!({})).await.refused(), (404, "no-such-path".into()));
    }
}

#[test]
fn the_description_is_complete_openapi_3_1() {
    let document = serde_json::to_value(http::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let tags: BTreeSet<_> =
        operations().iter().map(|(_, _, o)| o["tags"][0].as_str().unwrap().to_owned()).collect();
    let owning = AGGREGATES.iter().map(|aggregate| aggregate.context.to_owned());
    assert_eq!(tags, owning.filter(|name| name != context::IDENTITY).collect());
    // docs/api.md lists each of them.
    assert!(operations().len() >= 18, "{} commands", operations().len());
    for (method, path, operation) in operations() {
        assert_eq!(operation.get("requestBody").is_some(), method != "DELETE", "{method} {path}");
    }
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "nothing is at {reference}");
    }
    let order = &document["components"]["schemas"]["NewOrder"];
    assert_eq!(order["additionalProperties"], false, "unknown fields are refused: {order}");
    assert_eq!(order["required"], json!(["lines", "country"]));
}

/// The slugs of the refusals that a source file names outside its tests.
fn slugs(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = BTreeSet::new();
    // A refusal of the domain's: each variant of an `Error` that strum names.
    for block in source.split("pub enum Error {").skip(1) {
        let block = block.split("\n}").next().unwrap().split("\n    }").next().unwrap();
        let transparent: Vec<_> = block.split("#[strum(transparent)]").skip(1).map(str::trim_start).collect();
        let mut given = None;
        for line in block.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("#[strum(serialize = \"") {
                given = rest.split('"').next();
            }
            if !line.starts_with(|c: char| c.is_ascii_uppercase()) {
                continue;
            }
            if let Some(slug) = given.take() {
                found.insert(slug.to_owned());
                continue;
            }
            if transparent.iter().any(|rest| rest.starts_with(line)) {
                continue;
            }
            let name = line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
            let kebab = name.chars().flat_map(|c| {
                let dash = c.is_ascii_uppercase().then_some('-');
                dash.into_iter().chain([c.to_ascii_lowercase()])
            });
            found.insert(kebab.collect::<String>().trim_start_matches('-').to_owned());
        }
    }
    found
}

/// The slugs of the problems in a source file, outside its tests: the first argument of a constructor.
fn problem_slugs(source: &str) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = BTreeSet::new();
    for call in source.split("Problem::").skip(1).chain(source.split("Self::new(").skip(1)) {
        let Some((before, rest)) = call.split_once('"') else { continue };
        let argument =
            before.chars().all(|c| c.is_ascii_alphanumeric() || "_(:,".contains(c) || c.is_whitespace());
        let slug = rest.split('"').next().unwrap();
        if argument && slug.contains('-') && slug.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()) {
            found.insert(slug.to_owned());
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn every_refusal_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages: BTreeSet<_> = http::problems::PAGES.iter().map(|(slug, _)| (*slug).to_owned()).collect();
    let mut known = BTreeSet::new();
    for source in sources(&root.join("domain/src")) {
        known.extend(slugs(&source));
    }
    assert!(known.contains("insufficient-stock") && known.contains("credit-note-exists"), "{known:?}");
    for folder in ["command-api/src", "service-kit/src"] {
        for source in sources(&root.join(folder)) {
            known.extend(problem_slugs(&source));
        }
    }
    for slug in ["stale-version", "unknown-sku", "timed-out", "invalid-header", "internal-error"] {
        assert!(known.contains(slug), "{slug} is not found any more: {known:?}");
    }
    let missing: Vec<_> = known.difference(&pages).collect();
    assert!(missing.is_empty(), "docs/problems/ lacks a page for {missing:?}");
    let files: BTreeSet<_> = std::fs::read_dir(root.join("docs/problems"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, pages, "docs/problems/ holds what is no page of a problem");

    let shop = Shop::open().await;
    for (slug, page) in http::problems::PAGES {
        let got = shop.send("GET", &format!("/problems/{slug}"), &[], "").await;
        assert_eq!((got.status, got.text.as_str()), (200, *page));
        assert_eq!(got.header("content-type"), "text/markdown; charset=utf-8");
        assert!(page.contains(&format!("`{slug}`")) && (5..=10).contains(&page.lines().count()), "{slug}");
    }
    assert_eq!(shop.send("GET", "/problems/nothing", &[], "").await.refused(), (404, "not-found".into()));
}
