//! The endpoints over HTTP, over read models that real projectors keep, in a folder of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop_cache::{Cache, Entry};
use soonshop_domain::ids::{self, GuestId, OrderId, ProductId, UserId};
use soonshop_domain::order::{self, Contact, Customer, Line, Order, Placement, Refusal, credit_note};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, User, person};
use soonshop_domain::{Currency, Decider, Metadata, Money, Purpose, inventory};
use soonshop_event_log::{Database, Db, KeyStore, MasterKeys, Place};
use soonshop_event_store::{CommandContext, EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_projections::runner::Follower;
use soonshop_projections::{Feed, Generation, Projector, Registry};
use soonshop_query_api::http::{self, Queries};
use soonshop_search::Search;
use soonshop_service_kit::serve::stack;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use uuid::Uuid;

// ---- a shop -------------------------------------------------------------------------------------------------------

struct Shop {
    _folder: tempfile::TempDir,
    database: Database,
    store: EventStore,
    registry: Registry,
    feed: Feed,
    search: Arc<dyn Search>,
    cache: Arc<dyn Cache>,
    router: Router,
    /// The last position that a command of this test wrote.
    last: AtomicI64,
    stop: CancellationToken,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What came back.
#[derive(Debug)]
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

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Status and slug of a problem, whole as a problem must be.
    #[track_caller]
    fn refused(&self) -> (u16, String) {
        let problem = self.json();
        let slug = problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default();
        assert!(!slug.is_empty(), "{} is no problem: {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        (self.status, slug.to_owned())
    }

    #[track_caller]
    fn items(&self) -> Vec<Value> {
        self.ok()["items"].as_array().unwrap().clone()
    }
}

async fn open(database: &Database, folder: &Path) -> EventStore {
    for namespace in Namespace::ALL {
        let connection = database.namespace(namespace.name()).unwrap().connection;
        soonshop_migrations::migrate(namespace, &connection).await.unwrap();
    }
    let file = folder.join("master.key");
    MasterKeys::create(&file).unwrap();
    let keys = KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap()));
    keys.prepare(&database.namespace("log").unwrap()).await.unwrap();
    EventStore::open(database, keys).unwrap()
}

/// A folder, or a database of its own on the server that `QUERY_API_TEST_POSTGRES` names.
async fn place(folder: &Path) -> Place {
    let Ok(server) = std::env::var("QUERY_API_TEST_POSTGRES") else {
        return Place::Sqlite(folder.to_owned());
    };
    let name = format!("query_{}", Uuid::new_v4().simple());
    let admin = sea_orm::Database::connect(&server).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    Place::parse(&format!("{base}/{name}")).unwrap()
}

impl Shop {
    /// Nobody projects anything.
    async fn still() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(place(folder.path()).await);
        let store = open(&database, folder.path()).await;
        let registry = Registry::new(&database).unwrap();
        let feed = Feed::new(store.log().clone());
        let search = soonshop_search::connect(&format!("tantivy://{}/index", folder.path().display())).unwrap();
        let cache = soonshop_cache::connect("moka:").unwrap();
        let queries = Queries::new(registry.clone(), store.log().clone(), search.clone(), cache.clone());
        let router = stack(http::router(queries));
        let (last, stop) = (AtomicI64::new(0), CancellationToken::new());
        tokio::spawn({
            let (feed, stop) = (feed.clone(), stop.clone());
            async move { feed.watch_head(stop).await }
        });
        Self { _folder: folder, database, store, registry, feed, search, cache, router, last, stop }
    }

    /// Everything is projected.
    async fn open() -> Self {
        let shop = Self::still().await;
        for projector in soonshop_projections::all() {
            let generation = shop.registry.ensure(&*projector).await.unwrap();
            shop.follow(projector, &generation, &shop.stop);
        }
        shop
    }

    fn follow(&self, projector: Arc<dyn Projector>, generation: &Generation, stop: &CancellationToken) {
        let searchable = projector.searchable();
        let follower = Arc::new(Follower {
            projector,
            generation: generation.clone(),
            registry: self.registry.clone(),
            feed: self.feed.clone(),
            holder: Uuid::new_v4().to_string(),
        });
        if searchable {
            let (index, cache) = (follower.clone(), follower.clone());
            let (search, entries) = (self.search.clone(), self.cache.clone());
            let (one, other) = (stop.clone(), stop.clone());
            tokio::spawn(async move { index.keep_index(search, one).await });
            tokio::spawn(async move { cache.keep_cache(entries, other).await });
        }
        let stop = stop.clone();
        tokio::spawn(async move { follower.keep_rows(stop).await });
    }

    async fn generation(&self, projection: &str) -> Db {
        let generation = self.registry.active(projection).await.unwrap().unwrap();
        generation.db(&self.database).unwrap()
    }

    /// Runs SQL in the namespace.
    async fn sql(&self, db: &Db, sql: &str) {
        db.connection.execute(db.statement(sql, [])).await.unwrap();
    }

    // ---- commands

    async fn command_at<A: Decider>(&self, id: Uuid, command: A::Command, occurred_at: DateTime<Utc>) -> i64 {
        let context = CommandContext {
            occurred_at,
            ..CommandContext::new(ids::new(), vec![7; 32], Metadata::default())
        };
        let done = self.store.execute::<A>(id, command, context).await.unwrap();
        let position = done.answer.last_position.unwrap();
        self.last.fetch_max(position, Ordering::SeqCst);
        self.feed.wake(position);
        position
    }

    async fn command<A: Decider>(&self, id: Uuid, command: A::Command) -> i64 {
        self.command_at::<A>(id, command, soonshop_domain::clock::now()).await
    }

    async fn product(&self, name: &str, skus: &[&str], category: Option<&str>) -> Uuid {
        let id = ids::new();
        let details = product::Details {
            name: name.to_owned(),
            description: format!("{name}, for every day"),
            category: category.map(str::to_owned),
            attributes: BTreeMap::from([("colour".to_owned(), "red".to_owned())]),
        };
        let variants = skus.iter().map(|name| Variant { sku: sku(name), price: Some(pounds(500)) }).collect();
        self.command::<Product>(id, product::Command::Create { details, variants }).await;
        id
    }

    async fn user(&self, name: &str, country: &str) -> Uuid {
        let id = ids::new();
        let details =
            user::Details::try_new(id, Some(name), Some(&format!("{name}@example.org")), None, Some(country)).unwrap();
        self.command::<User>(id, user::Command::Register { details }).await;
        id
    }

    async fn stock(&self, name: &str, location: &str, command: inventory::Command) -> i64 {
        let place = inventory::Place { sku: sku(name), location: location.to_owned() };
        let id = inventory::stream(&place.sku, location);
        self.command::<inventory::Stock>(id, inventory::At { place, command }).await
    }

    async fn erase(&self, subject: Uuid, purposes: &[Purpose]) {
        let purposes = purposes.to_vec();
        self.command::<person::Person>(subject, person::Command::RequestErasure { purposes: purposes.clone() }).await;
        self.store.keys().erase(subject, &purposes).await.unwrap();
        self.command::<person::Person>(subject, person::Command::ConfirmErasure { purposes }).await;
    }

    // ---- queries

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Whatever is there.
    async fn get(&self, path: &str) -> Got {
        self.get_with(path, &[]).await
    }

    /// All that this test wrote is there.
    async fn see(&self, path: &str) -> Got {
        let position = format!("main:{}", self.last.load(Ordering::SeqCst));
        self.get_with(path, &[("event-position", &position), ("prefer", "wait=20")]).await
    }
}

fn sku(text: &str) -> Sku {
    Sku::try_new(text).unwrap()
}

fn pounds(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn line(number: u32, name: &str, quantity: u32, pence: i64) -> Line {
    let product_id = ProductId(Uuid::new_v5(&Uuid::nil(), name.as_bytes()));
    Line { number, sku: sku(name), product_id, name: name.to_owned(), quantity, price: pounds(pence) }
}

fn place_of(number: &str, customer: Customer, lines: Vec<Line>, country: &str) -> order::Command {
    let contact = Contact::try_new(customer.subject(), Some("Ada"), Some("ada@example.org"), None, None).unwrap();
    let (number, country) = (number.to_owned(), country.to_owned());
    order::Command::Place(Placement { number, customer, lines, country, contact })
}

fn user_id(id: Uuid) -> Customer {
    Customer::User(UserId(id))
}

fn guest() -> Customer {
    Customer::Guest(GuestId(ids::new()))
}

fn names(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

// ---- look-ups and lists -------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_product_is_looked_up_with_its_version_and_position() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug-1", "mug-2"], Some("kitchen")).await;
    let path = format!("/products/{id}");
    let got = shop.see(&path).await;
    let product = got.ok();
    assert_eq!(product["id"], id.to_string());
    assert_eq!((&product["name"], &product["category"]), (&json!("Mug"), &json!("kitchen")));
    assert_eq!(product["variants"][1], json!({ "sku": "MUG-2", "price": { "amount": 500, "currency": "GBP" } }));
    assert_eq!(product["price"], json!({ "amount": 500, "currency": "GBP" }));
    assert_eq!((got.header("etag"), got.header("event-position")), ("\"1\"", "main:1"));
    assert_eq!((got.header("preference-applied"), got.header("content-type")), ("wait", "application/json"));
    assert!(product["created_at"].as_str().unwrap().ends_with('Z'));

    for has in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let got = shop.get_with(&path, &[("if-none-match", has)]).await;
        assert_eq!((got.status, got.text.as_str(), got.header("etag")), (304, "", "\"1\""), "{has}");
    }
    assert_eq!(shop.get_with(&path, &[("if-none-match", "\"2\", nonsense")]).await.status, 200);

    let prices = shop.get(&format!("{path}/prices")).await;
    assert_eq!(prices.header("etag"), "\"1\"");
    assert_eq!(prices.ok()["items"][0]["sku"], "MUG-1");
    assert_eq!(prices.ok()["product_id"], id.to_string());
}

#[tokio::test]
async fn what_is_not_there_never_was_or_is_gone_is_told_apart() {
    let shop = Shop::open().await;
    let product = shop.product("Mug", &["mug"], None).await;
    let user = shop.user("Ada", "UK").await;
    let forgotten = shop.user("Bob", "UK").await;
    shop.command::<Product>(product, product::Command::Delete).await;
    shop.command::<User>(user, user::Command::Delete).await;
    shop.command::<User>(forgotten, user::Command::Delete).await;
    shop.erase(forgotten, &[Purpose::Account]).await;
    for path in [format!("/products/{product}"), format!("/products/{product}/prices")] {
        assert_eq!(shop.see(&path).await.refused(), (410, "product-deleted".into()));
    }
    for user in [user, forgotten] {
        let got = shop.see(&format!("/users/{user}")).await;
        assert_eq!(got.refused(), (410, "user-deleted".into()));
        assert!(!got.header("event-position").is_empty());
    }
    for path in ["/products", "/users", "/orders", "/credit-notes"] {
        let got = shop.see(&format!("{path}/{}", Uuid::nil())).await;
        assert_eq!(got.refused(), (404, "not-found".into()), "{path}");
        for bad in ["7", "x%00y", "%ff", "'%20OR%201=1"] {
            assert_eq!(shop.get(&format!("{path}/{bad}")).await.refused(), (400, "invalid-id".into()), "{path}");
        }
    }
    assert_eq!(shop.get("/inventory/NONE").await.refused(), (404, "not-found".into()));
    assert_eq!(shop.get("/inventory/a%0Ab").await.refused(), (400, "invalid-id".into()));

    assert_eq!(shop.get("/products").await.items().len(), 0);
    assert_eq!(shop.get("/products?status=deleted").await.items().len(), 1);
    assert_eq!(shop.get("/users").await.items().len(), 0);
    assert_eq!(shop.get("/users?status=deleted").await.items().len(), 1);
    let erased = shop.get("/users?status=erased").await;
    assert_eq!((&erased.items()[0]["name"], erased.text.contains("Bob")), (&Value::Null, false));
}

#[tokio::test]
async fn stock_is_looked_up_by_sku_and_location() {
    let shop = Shop::open().await;
    shop.stock("mug 1/2", "main", inventory::Command::Receive { quantity: 5 }).await;
    shop.stock("mug 1/2", "north", inventory::Command::Receive { quantity: 9 }).await;
    shop.stock("cup", "main", inventory::Command::Receive { quantity: 7 }).await;
    let order_id = OrderId(Uuid::nil());
    shop.stock("cup", "main", inventory::Command::Reserve { order_id, line: 1, quantity: 3 }).await;

    let got = shop.see("/inventory/mug%201%2F2").await;
    assert_eq!((got.ok()["available"].as_i64(), got.header("etag")), (Some(5), "\"1\""));
    let got = shop.get("/inventory/MUG%201%2F2?location=north").await.ok();
    assert_eq!((got["sku"].as_str(), got["on_hand"].as_i64()), (Some("MUG 1/2"), Some(9)));
    assert_eq!(shop.get("/inventory/cup?location=North!").await.refused(), (400, "invalid-query".into()));
    let got = shop.get("/inventory/cup").await.ok();
    assert_eq!((got["on_hand"].as_i64(), got["reserved"].as_i64(), got["available"].as_i64()), (Some(7), Some(3), Some(4)));

    assert_eq!(names(&shop.get("/inventory").await.items(), "sku"), ["CUP", "MUG 1/2", "MUG 1/2"]);
    assert_eq!(names(&shop.get("/inventory?sku=%20mug%201/2").await.items(), "sku").len(), 2);
    assert_eq!(names(&shop.get("/inventory?location=north").await.items(), "sku"), ["MUG 1/2"]);
    assert_eq!(names(&shop.get("/inventory?available_below=5").await.items(), "sku"), ["CUP"]);
    let available = |items: Vec<Value>| items.iter().map(|item| item["available"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(available(shop.get("/inventory?sort=-available").await.items()), [9, 5, 4]);
}

#[tokio::test]
async fn orders_are_filtered_and_found_by_their_number() {
    let shop = Shop::open().await;
    let (ada, bob) = (ids::new(), ids::new());
    let mut ids = Vec::new();
    for (number, customer, country, day) in [
        ("A 1", user_id(ada), "France", "2011-01-31T23:59:59.999999Z"),
        ("A 2", user_id(bob), "France", "2011-02-01T00:00:00Z"),
        ("A 3", user_id(ada), "Spain", "2011-02-28T12:00:00Z"),
        ("A 4", guest(), "Spain", "2011-03-01T00:00:00Z"),
    ] {
        let id = ids::new();
        shop.command_at::<Order>(id, place_of(number, customer, vec![line(1, "mug", 2, 250)], country), at(day)).await;
        ids.push(id);
    }
    shop.command::<Order>(ids[1], order::Command::Confirm).await;

    let order = shop.see(&format!("/orders/{}", ids[0])).await;
    let order = order.ok();
    assert_eq!((&order["number"], &order["status"], &order["customer"]), (&json!("A 1"), &json!("placed"), &json!({ "user": ada })));
    assert_eq!(order["total"], json!({ "amount": 500, "currency": "GBP" }));
    assert_eq!((&order["lines"][0]["quantity"], &order["contact"]["name"]), (&json!(2), &json!("Ada")));
    assert_eq!(order["placed_at"], "2011-01-31T23:59:59.999999Z");

    for (query, expected) in [
        ("", vec!["A 4", "A 3", "A 2", "A 1"]),
        ("sort=placed", vec!["A 1", "A 2", "A 3", "A 4"]),
        ("number=A%202", vec!["A 2"]),
        ("number=a+2", vec![]),
        ("status=confirmed", vec!["A 2"]),
        ("status=placed&country=Spain", vec!["A 4", "A 3"]),
        ("placed_from=2011-02-01&placed_to=2011-03-01", vec!["A 3", "A 2"]),
        ("placed_to=2011-02-01T00:00:00Z", vec!["A 1"]),
        (&format!("customer={ada}"), vec!["A 3", "A 1"]),
        (&format!("customer={}&sort=placed", ada.simple()), vec!["A 1", "A 3"]),
    ] {
        assert_eq!(names(&shop.get(&format!("/orders?{query}")).await.items(), "number"), expected, "{query}");
    }
}

#[tokio::test]
async fn credit_notes_and_users_have_lists_too() {
    let shop = Shop::open().await;
    let (order_id, note) = (OrderId(ids::new()), ids::new());
    let issue = |number: &str, order_id| credit_note::Command::Issue {
        number: number.to_owned(),
        order_id,
        customer: guest(),
        lines: vec![line(1, "mug", 1, 250)],
        country: "France".to_owned(),
    };
    shop.command::<credit_note::CreditNote>(note, issue("C1", Some(order_id))).await;
    shop.command::<credit_note::CreditNote>(ids::new(), issue("C2", None)).await;
    let got = shop.see(&format!("/credit-notes/{note}")).await.ok();
    assert_eq!((&got["number"], &got["order_id"], &got["total"]["amount"]), (&json!("C1"), &json!(order_id), &json!(250)));
    assert_eq!(names(&shop.get(&format!("/credit-notes?order={order_id}")).await.items(), "number"), ["C1"]);
    assert_eq!(names(&shop.get("/credit-notes?number=C2").await.items(), "number"), ["C2"]);
    assert_eq!(shop.get("/credit-notes?issued_to=2001-01-01").await.items().len(), 0);

    let ada = shop.user("Ada", "UK").await;
    shop.user("Ben", "France").await;
    let got = shop.see(&format!("/users/{ada}")).await.ok();
    assert_eq!((&got["name"], &got["email"], &got["phone"]), (&json!("Ada"), &json!("Ada@example.org"), &Value::Null));
    assert_eq!(names(&shop.get("/users?country=France").await.items(), "name"), ["Ben"]);
    assert_eq!(names(&shop.get("/users?sort=registered").await.items(), "name"), ["Ada", "Ben"]);
}

/// Follows `Link` to the end; the ids, and the pages' sizes.
async fn walk(shop: &Shop, first: &str) -> (Vec<String>, Vec<usize>) {
    let (mut ids, mut sizes, mut path) = (Vec::new(), Vec::new(), first.to_owned());
    loop {
        let got = shop.get(&path).await;
        let items = got.items();
        sizes.push(items.len());
        ids.extend(names(&items, "id"));
        let link = got.header("link");
        if link.is_empty() {
            assert_eq!(got.ok()["next"], Value::Null);
            return (ids, sizes);
        }
        path = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
        assert!(path.contains(got.ok()["next"].as_str().unwrap()), "{path}");
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let shop = Shop::open().await;
    // Many share a moment: then the id decides.
    let placing = (0..450).map(|n| {
        let command = place_of(&format!("N{n}"), guest(), vec![line(1, "mug", 1, 1)], if n % 3 == 0 { "Spain" } else { "France" });
        let moment = at("2011-01-01T00:00:00Z") + chrono::Duration::hours(n / 100);
        shop.command_at::<Order>(ids::new(), command, moment)
    });
    futures::future::join_all(placing).await;
    let all = shop.see("/orders?limit=200").await;
    assert_eq!(all.items().len(), 200);

    let (down, sizes) = walk(&shop, "/orders?limit=200").await;
    assert_eq!((sizes, down.iter().collect::<BTreeSet<_>>().len()), (vec![200, 200, 50], 450));
    let (mut up, _) = walk(&shop, "/orders?limit=7&sort=placed").await;
    up.reverse();
    assert_eq!(up, down);
    let (spanish, sizes) = walk(&shop, "/orders?country=Spain").await;
    assert_eq!((spanish.len(), sizes), (150, vec![50, 50, 50]));

    // What is added meanwhile is newer than the page before, and changes nothing after it.
    let first = shop.get("/orders?limit=200").await.ok();
    shop.command::<Order>(ids::new(), place_of("NEW", guest(), vec![line(1, "mug", 1, 1)], "France")).await;
    shop.see("/orders?limit=1").await.ok();
    let second = shop.get(&format!("/orders?limit=200&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(names(&second.items(), "id"), down[200..400]);
}

// ---- bad input ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_cannot_be_asked_is_refused_by_name() {
    let shop = Shop::open().await;
    let long = "x".repeat(300);
    for (path, parameter) in [
        ("/orders?colour=red", "colour"),
        ("/orders/00000000-0000-0000-0000-000000000000?status=placed", "status"),
        ("/orders?status=gone", "status"),
        ("/orders?status=placed&status=placed", "status"),
        ("/orders?limit=0", "limit"),
        ("/orders?limit=201", "limit"),
        ("/orders?limit=-1", "limit"),
        ("/orders?limit=1e2", "limit"),
        ("/orders?limit=99999999999999999999", "limit"),
        ("/orders?customer=me", "customer"),
        ("/orders?placed_from=yesterday", "placed_from"),
        ("/orders?number=%00", "number"),
        (&format!("/orders?country={long}"), "country"),
        ("/orders?sort=total%3B%20DROP%20TABLE%20orders", "sort"),
        ("/orders?after=", "after"),
        ("/orders?after=nonsense", "after"),
        ("/orders?after=e30", "after"),
        ("/inventory?available_below=-1", "available_below"),
        ("/inventory?sku=%00", "sku"),
        ("/users/00000000-0000-0000-0000-000000000000?as_of=", "as_of"),
        ("/users/00000000-0000-0000-0000-000000000000?as_of=v:0", "as_of"),
        ("/products/search?limit=0", "limit"),
        ("/products/search?sort=best", "sort"),
        ("/products/search?colour=red", "colour"),
        ("/products/search?after=nonsense", "after"),
        ("/products/search?after=1.nonsense", "after"),
        ("/products/search?currency=pounds", "currency"),
        (&format!("/products/search?q={}", "x".repeat(3_000)), "q"),
        (&format!("/products/search?facets={}", "a,".repeat(30)), "facets"),
        ("/products/suggestions", "q"),
        ("/analytics/sales?interval=week", "interval"),
        ("/analytics/sales?group_by=customer", "group_by"),
        ("/analytics/sales?order_by=name", "order_by"),
        ("/analytics/sales?from=2011-02-30", "from"),
        ("/analytics/sales?from=2011-03-01&to=2011-02-01", "to"),
        ("/analytics/sales?limit=10001", "limit"),
        ("/analytics/stock?from=2011-01-01", "from"),
        ("/analytics/summary?interval=day", "interval"),
    ] {
        let got = shop.get(path).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{path}");
        assert_eq!(got.json()["parameter"], parameter, "{path}");
    }
    for headers in [
        [("event-position", "other:7"), ("prefer", "wait=1")],
        [("event-position", "-7"), ("prefer", "wait=1")],
        [("event-position", "main:99999999999999999999"), ("prefer", "wait=1")],
        [("event-position", "main:7"), ("prefer", "wait=forever")],
    ] {
        assert_eq!(shop.get_with("/orders", &headers).await.refused(), (400, "invalid-header".into()), "{headers:?}");
    }
    // A cursor is of its list, its filters and its order.
    for n in 0..2 {
        let place = place_of(&format!("N{n}"), guest(), vec![line(1, "mug", 1, 1)], "France");
        shop.command::<Order>(ids::new(), place).await;
    }
    let next = shop.see("/orders?limit=1").await.ok()["next"].as_str().unwrap().to_owned();
    assert_eq!(shop.get(&format!("/orders?limit=1&after={next}")).await.items().len(), 1);
    for other in ["/orders?sort=placed", "/orders?country=France", "/credit-notes?limit=1", "/users?limit=1"] {
        let got = shop.get(&format!("{other}&after={next}")).await;
        assert_eq!(got.refused(), (400, "invalid-query".into()), "{other}");
    }
}

#[tokio::test]
async fn a_shop_that_was_never_migrated_says_so_and_a_database_that_is_down_too() {
    let folder = tempfile::tempdir().unwrap();
    let queries = |place| {
        let database = Database::new(place);
        let file = folder.path().join("master.key");
        MasterKeys::create(&file).unwrap();
        let keys = KeyStore::new(database.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap());
        let log = soonshop_event_log::EventLog::new(database.namespace("log").unwrap(), keys);
        let search = soonshop_search::connect(&format!("tantivy://{}/index", folder.path().display())).unwrap();
        let cache = soonshop_cache::connect("moka:").unwrap();
        stack(http::router(Queries::new(Registry::new(&database).unwrap(), log, search, cache)))
    };
    let ask = async |router: Router, path: &str| {
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(axum::body::to_bytes(body, 10_000).await.unwrap().to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    };
    let new = queries(Place::Sqlite(folder.path().to_owned()));
    for path in ["/orders", "/products/search?q=x", "/analytics/summary", &format!("/users/{}", Uuid::nil())] {
        let got = ask(new.clone(), path).await;
        assert_eq!(got.refused(), (503, "read-model-missing".into()), "{path}");
        assert!(got.text.contains("soonshop migrate") && !got.header("retry-after").is_empty());
    }
    // Nothing listens there.
    let down = queries(Place::Postgres("postgres://nobody@127.0.0.1:1/none".to_owned()));
    let got = ask(down.clone(), "/orders").await;
    assert_eq!((got.refused(), got.header("retry-after")), ((503, "database-unavailable".into()), "1"));
    let got = ask(down, &format!("/orders/{}?as_of=v:1", Uuid::nil())).await;
    assert_eq!(got.refused(), (503, "database-unavailable".into()));
}

// ---- reading one's own writes ---------------------------------------------------------------------------------------

#[tokio::test]
async fn a_query_waits_for_what_is_about_to_be_written() {
    let shop = Shop::open().await;
    shop.user("Ada", "UK").await;
    let wanted = (shop.last.load(Ordering::SeqCst) + 1).to_string();
    let headers = [("event-position", wanted.as_str()), ("prefer", "wait=20")];
    let (got, _) = tokio::join!(shop.get_with("/users", &headers), shop.user("Ben", "UK"));
    assert_eq!((got.items().len(), got.header("preference-applied")), (2, "wait"));
    assert_eq!(got.header("event-position"), format!("main:{wanted}"));
    // Once it is there, nobody needs to wait for it, and a check is enough.
    let got = shop.get_with("/users", &[("event-position", &wanted)]).await;
    assert_eq!((got.items().len(), got.header("preference-applied")), (2, ""));
}

#[tokio::test]
async fn a_read_model_that_does_not_get_there_says_why() {
    let shop = Shop::still().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    let id = shop.product("Mug", &["mug"], None).await;
    let path = format!("/products/{id}");

    // Nobody waits where nobody asked to.
    let got = shop.get_with(&path, &[("event-position", "main:1")]).await;
    assert_eq!((got.refused(), got.header("retry-after")), ((503, "read-model-behind".into()), "1"));
    let problem = got.json();
    assert_eq!(
        (&problem["projection"], &problem["state"], &problem["position"], &problem["wanted"]),
        (&json!("products"), &json!("behind"), &json!(0), &json!(1))
    );
    assert_eq!(problem["reason"], "nobody projects it just now");
    assert_eq!((shop.get(&path).await.status, shop.get("/products").await.items().len()), (404, 0));
    let got = shop.get_with("/analytics/summary", &[("event-position", "1"), ("prefer", "wait=1")]).await;
    assert_eq!((got.refused().1.as_str(), &got.json()["projection"]), ("read-model-behind", &json!("analytics")));
    let got = shop.get_with("/products/search?q=mug", &[("event-position", "1"), ("prefer", "wait=0")]).await;
    assert_eq!((got.refused().1.as_str(), &got.json()["sink"]), ("read-model-behind", &json!("index")));

    let products = shop.generation("products").await;
    shop.sql(&products, "INSERT INTO @status (follower, state, reason) VALUES ('rows', 'stopped', 'ahead-of-log')").await;
    let got = shop.get_with(&path, &[("event-position", "1")]).await.json();
    assert_eq!((&got["state"], &got["reason"]), (&json!("stopped"), &json!("ahead-of-log")));
    shop.sql(&products, "DELETE FROM @status").await;

    shop.sql(shop.registry.operations(), "UPDATE @generations SET state = 'building' WHERE projection = 'products'").await;
    let got = shop.get_with(&path, &[("event-position", "1")]).await.json();
    assert_eq!(got["state"], "rebuilding");
    shop.sql(shop.registry.operations(), "UPDATE @generations SET state = 'rejected' WHERE projection = 'products'").await;
    assert_eq!(shop.get(&path).await.refused(), (503, "read-model-missing".into()));
}

#[tokio::test]
async fn a_row_that_waits_for_a_parked_event_is_stopped_and_its_neighbours_are_not() {
    let shop = Shop::open().await;
    let broken = shop.product("Mug", &["mug"], None).await;
    let whole = shop.product("Cup", &["cup"], None).await;
    shop.see("/products").await.ok();
    let products = shop.generation("products").await;
    let park = format!(
        "INSERT INTO @parked (position, event_id, rows, cause) VALUES (1, 'x', '[\"products/{broken}\"]', 'broken')"
    );
    shop.sql(&products, &park).await;

    let got = shop.see(&format!("/products/{broken}")).await;
    assert_eq!((got.refused().0, &got.json()["state"]), (503, &json!("stopped")));
    assert!(got.json()["reason"].as_str().unwrap().contains("parked"));
    assert_eq!(shop.see(&format!("/products/{whole}")).await.status, 200);
    assert_eq!(shop.see("/products").await.items().len(), 2, "the list was asked for what came later");
    let got = shop.get_with("/products", &[("event-position", "1")]).await;
    assert_eq!((got.refused().0, &got.json()["state"]), (503, &json!("stopped")), "it is this very event");
    assert_eq!(shop.get(&format!("/products/{broken}")).await.status, 200, "who waits for nothing gets what is there");
    assert_eq!(shop.see(&format!("/products/{broken}")).await.refused().0, 503, "and that is not kept");
}

// ---- generations ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_cursor_goes_on_in_its_generation_while_that_one_lives() {
    let shop = Shop::open().await;
    for n in 0..4 {
        shop.product(&format!("Mug {n}"), &[&format!("mug-{n}")], None).await;
    }
    let first = shop.see("/products?limit=1&sort=created").await.ok();
    let found = shop.see("/products/search?limit=1&sort=name").await.ok();
    let next = first["next"].as_str().unwrap().to_owned();
    let found_next = found["next"].as_str().unwrap().to_owned();

    let projector: Arc<dyn Projector> = Arc::new(soonshop_projections::product::Products);
    let second = shop.registry.create(&*projector).await.unwrap();
    assert_eq!(second.number, 2);
    shop.follow(projector, &second, &shop.stop);
    shop.registry.activate(&second).await.unwrap();
    // The old one alone has this name.
    let old = shop.database.namespace("rm_products_1").unwrap();
    shop.sql(&old, "UPDATE @products SET name = 'of the old one' WHERE name = 'Mug 1'").await;

    assert_eq!(names(&shop.see("/products?limit=2&sort=created").await.items(), "name"), ["Mug 0", "Mug 1"]);
    let path = format!("/products?limit=1&sort=created&after={next}");
    let page = shop.get(&path).await;
    assert_eq!(names(&page.items(), "name"), ["of the old one"]);
    let third = page.ok()["next"].as_str().unwrap().to_owned();
    let page = shop.get(&format!("/products?limit=1&sort=created&after={third}")).await;
    assert_eq!(names(&page.items(), "name"), ["Mug 2"]);
    let search = format!("/products/search?limit=1&sort=name&after={found_next}");
    assert_eq!(names(&shop.get(&search).await.items(), "name"), ["Mug 1"]);
    assert!(shop.see("/products/search?limit=1&sort=name").await.ok()["next"].as_str().unwrap().starts_with("2."));

    for state in ["retired", "rejected"] {
        let sql = format!("UPDATE @generations SET state = '{state}' WHERE projection = 'products' AND generation = 1");
        shop.sql(shop.registry.operations(), &sql).await;
        assert_eq!(shop.get(&path).await.refused(), (410, "cursor-expired".into()));
        assert_eq!(shop.get(&search).await.refused(), (410, "cursor-expired".into()));
        assert_eq!(shop.get("/products").await.items().len(), 4);
    }
}

// ---- the cache ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_product_comes_out_of_the_cache_and_never_older_than_asked() {
    let shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let path = format!("/products/{id}");
    shop.see(&path).await.ok();
    let entry = shop.cache.get("rm_products_1", &id.to_string()).await.unwrap().unwrap();
    assert_eq!(entry.position, 1);

    // Whatever is there is answered: the rows are not asked.
    let kept = String::from_utf8(entry.value.to_vec()).unwrap().replace("\"name\":\"Mug\"", "\"name\":\"Kept\"");
    shop.cache.put("rm_products_1", &id.to_string(), Entry { value: kept.into(), position: 1 }).await.unwrap();
    let got = shop.get(&path).await;
    assert_eq!((&got.ok()["name"], got.header("event-position")), (&json!("Kept"), "main:1"));
    let other = shop.product("Cup", &["cup"], None).await;
    // Asked for what came later, it is passed by, and what was read instead is kept.
    assert_eq!(shop.see(&path).await.ok()["name"], "Mug");
    assert_eq!(shop.get(&path).await.ok()["name"], "Mug");

    // A change of price drops it.
    let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(777) };
    shop.command::<Product>(id, price).await;
    let got = shop.see(&path).await;
    assert_eq!((&got.ok()["price"]["amount"], got.header("etag")), (&json!(777), "\"2\""));
    assert_eq!(shop.get(&format!("{path}/prices")).await.ok()["items"][0]["price"]["amount"], 777);
    // What is broken in it is read anew.
    let broken = Entry { value: "nonsense".into(), position: 1_000 };
    shop.cache.put("rm_products_1", &other.to_string(), broken).await.unwrap();
    assert_eq!(shop.get(&format!("/products/{other}")).await.ok()["name"], "Cup");
}

/// A cache that is down, and counts who asks it.
struct Down(AtomicI64);

fn down<T>() -> Result<T, soonshop_cache::Error> {
    Err(soonshop_cache::Error::Unreachable { backend: "none", reason: "it is down".to_owned() })
}

#[async_trait::async_trait]
impl Cache for Down {
    fn backend(&self) -> &'static str {
        "none"
    }
    fn shared(&self) -> bool {
        true
    }
    async fn ping(&self) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn get(&self, _: &str, _: &str) -> Result<Option<Entry>, soonshop_cache::Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        // The first one never answers.
        if self.0.load(Ordering::SeqCst) == 1 { std::future::pending().await } else { down() }
    }
    async fn put(&self, _: &str, _: &str, _: Entry) -> Result<bool, soonshop_cache::Error> {
        down()
    }
    async fn invalidate(&self, _: &str, _: &[String], _: i64) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn checkpoint(&self, _: &str) -> Result<Option<String>, soonshop_cache::Error> {
        down()
    }
    async fn set_checkpoint(&self, _: &str, _: &str) -> Result<(), soonshop_cache::Error> {
        down()
    }
    async fn drop_space(&self, _: &str) -> Result<(), soonshop_cache::Error> {
        down()
    }
}

#[tokio::test]
async fn with_the_cache_and_the_search_gone_everything_else_works() {
    let mut shop = Shop::open().await;
    let id = shop.product("Mug", &["mug"], None).await;
    let cache = Arc::new(Down(AtomicI64::new(0)));
    let search = soonshop_search::connect("http://127.0.0.1:1").unwrap();
    let queries = Queries::new(shop.registry.clone(), shop.store.log().clone(), search, cache.clone());
    shop.router = stack(http::router(queries));
    for _ in 0..20 {
        assert_eq!(shop.see(&format!("/products/{id}")).await.ok()["name"], "Mug");
    }
    assert!(cache.0.load(Ordering::SeqCst) < 20, "it is passed by for a while");
    assert_eq!(shop.get("/products").await.items().len(), 1);
    for path in ["/products/search?q=mug", "/products/suggestions?q=m"] {
        let got = shop.get(path).await;
        assert_eq!((got.refused(), got.header("retry-after")), ((503, "search-unavailable".into()), "1"));
    }
}

// ---- search ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn products_are_searched_with_facets_prices_and_highlights() {
    let shop = Shop::open().await;
    let mug = shop.product("Red Mug", &["mug-1"], Some("kitchen")).await;
    shop.product("Blue Mug", &["mug-2"], Some("office")).await;
    let lamp = shop.product("红色台灯", &["lamp"], Some("office")).await;
    let price = product::Command::SetPrice { sku: sku("mug-2"), price: pounds(900) };
    let blue = shop.see("/products/search?q=blue").await.items()[0]["id"].as_str().unwrap().parse().unwrap();
    shop.command::<Product>(blue, price).await;

    let got = shop.see("/products/search?q=mugg&facets=category,colour&sort=name").await;
    let found = got.ok();
    assert_eq!(names(&got.items(), "name"), ["Blue Mug", "Red Mug"]);
    assert_eq!((&found["total"], &found["next"]), (&json!(2), &Value::Null));
    assert_eq!(found["facets"]["category"], json!([{ "value": "kitchen", "count": 1 }, { "value": "office", "count": 1 }]));
    assert_eq!(found["items"][1]["highlights"]["name"], "Red <mark>Mug</mark>");
    assert_eq!(found["items"][0]["price"], json!({ "amount": 900, "currency": "GBP" }));
    assert_eq!(got.header("event-position"), format!("main:{}", shop.last.load(Ordering::SeqCst)));

    for (query, expected) in [
        ("category=kitchen", vec!["Red Mug"]),
        ("facet.category=kitchen&facet.category=office&facet.colour=red&q=mug&sort=name", vec!["Blue Mug", "Red Mug"]),
        ("facet.colour=green", vec![]),
        ("price_from=600&currency=GBP", vec!["Blue Mug"]),
        ("price_to=899&sort=-name&q=mug", vec!["Red Mug"]),
        ("q=台灯", vec!["红色台灯"]),
        ("q=MUG-1", vec!["Red Mug"]),
        ("sort=-price&limit=1", vec!["Blue Mug"]),
    ] {
        let path: String = format!("/products/search?{query}").replace("台灯", "%E5%8F%B0%E7%81%AF");
        assert_eq!(names(&shop.get(&path).await.items(), "name"), expected, "{query}");
    }
    let (walked, sizes) = walk(&shop, "/products/search?limit=1&sort=name&facet.colour=red").await;
    assert_eq!((walked.len(), sizes.len()), (3, 3));
    let suggestions = shop.get("/products/suggestions?q=mu&limit=5").await.ok();
    assert_eq!(suggestions["items"].as_array().unwrap().len(), 2);
    assert_eq!(shop.get("/products/suggestions?q=").await.items().len(), 0);

    shop.command::<Product>(lamp, product::Command::Delete).await;
    assert_eq!(shop.see("/products/search").await.ok()["total"], 2);
    shop.command::<Product>(mug, product::Command::Delete).await;
    assert_eq!(names(&shop.see("/products/search?q=mug").await.items(), "name"), ["Blue Mug"]);
}

// ---- the past -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_state_of_the_past_is_asked_by_version_position_and_time() {
    let shop = Shop::open().await;
    shop.user("Nobody", "UK").await;
    let id = shop.product("Mug", &["mug"], None).await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 5 }).await;
    let price = product::Command::SetPrice { sku: sku("mug"), price: pounds(777) };
    shop.command::<Product>(id, price).await;
    shop.command::<Product>(id, product::Command::Delete).await;
    shop.user("Last", "UK").await;
    let path = format!("/products/{id}");
    let as_of = |point: &str| format!("{path}?as_of={point}");

    let got = shop.get(&as_of("v:1")).await;
    let then = got.ok();
    assert_eq!(then["state"]["variants"][0]["price"]["amount"], 500);
    assert_eq!((&then["version"], &then["position"], &then["as_of_position"]), (&json!(1), &json!(2), &json!(2)));
    assert_eq!((&then["event"]["type"], got.header("etag"), got.header("event-position")), (&json!("ProductCreated"), "\"1\"", "main:2"));
    assert_eq!(then["erased"], false);
    // Between two of its events it is as after the first.
    let then = shop.get(&as_of("p:3")).await.ok();
    assert_eq!((&then["version"], &then["position"], &then["as_of_position"]), (&json!(1), &json!(2), &json!(3)));
    let then = shop.get(&as_of("p:4")).await.ok();
    assert_eq!((&then["version"], &then["state"]["variants"][0]["price"]["amount"]), (&json!(2), &json!(777)));
    let then = shop.get(&as_of("p:6")).await.ok();
    assert_eq!((&then["version"], &then["state"]["status"]), (&json!(3), &json!("deleted")));

    // A moment is that of the record; of two that were recorded in it, the later one is known.
    let events = shop.store.log().read(1, 100).await.unwrap();
    for event in &events {
        let known = events.iter().filter(|other| other.recorded_at <= event.recorded_at).next_back().unwrap();
        let moment = event.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let by_time = shop.get(&as_of(&moment)).await;
        let by_position = shop.get(&as_of(&format!("p:{}", known.position))).await;
        assert_eq!(by_time.json()["as_of_position"], by_position.json()["as_of_position"]);
        assert_eq!(by_time.json()["state"], by_position.json()["state"]);
        // Until a later one is recorded, more may belong to that moment.
        let settled = event.recorded_at < events.last().unwrap().recorded_at;
        if by_time.status == 200 {
            let cache = if settled { "private, no-cache" } else { "no-store" };
            assert_eq!(by_time.header("cache-control"), cache, "{moment}");
        }
    }
    let future = shop.get(&as_of("2999-01-01T00:00:00Z")).await;
    assert_eq!((&future.ok()["as_of_position"], future.header("cache-control")), (&json!(6), "no-store"));

    for (point, slug) in [
        ("p:0", "not-yet-there"),
        ("p:1", "not-yet-there"),
        ("p:7", "not-yet-there"),
        ("v:4", "not-yet-there"),
        ("2001-01-01", "not-yet-there"),
    ] {
        assert_eq!(shop.get(&as_of(point)).await.refused(), (404, slug.into()), "{point}");
    }
    assert_eq!(shop.get(&format!("/products/{}?as_of=v:1", Uuid::nil())).await.refused(), (404, "not-found".into()));
    let got = shop.get("/inventory/mug?as_of=v:1").await.ok();
    assert_eq!((&got["state"]["on_hand"], &got["event"]["type"]), (&json!(5), &json!("StockReceived")));
    assert_eq!(shop.get("/inventory/mug?as_of=v:1&location=north").await.refused(), (404, "not-found".into()));
    // Read models are not asked: the log itself must be there.
    let got = shop.get_with(&as_of("v:1"), &[("event-position", "main:7"), ("prefer", "wait=0")]).await;
    assert_eq!((got.refused().1.as_str(), &got.json()["projection"]), ("read-model-behind", &json!("log")));
    let headers = [("event-position", "main:7"), ("prefer", "wait=20")];
    let path = as_of("p:7");
    let (got, _) = tokio::join!(shop.get_with(&path, &headers), shop.user("New", "UK"));
    assert_eq!(got.ok()["version"], 3);
}

#[tokio::test]
async fn what_was_erased_is_erased_in_the_past_as_well() {
    let shop = Shop::open().await;
    let ada = shop.user("Ada", "UK").await;
    let buyer = ids::new();
    let order = ids::new();
    shop.command::<Order>(order, place_of("A1", user_id(buyer), vec![line(1, "mug", 1, 1)], "UK")).await;
    let user = format!("/users/{ada}?as_of=v:1");
    let then = shop.get(&user).await.ok();
    assert_eq!((&then["state"]["name"], &then["state"]["email"]), (&json!("Ada"), &json!("Ada@example.org")));
    assert_eq!((&then["state"]["country"], &then["erased"]), (&json!("UK"), &json!(false)));
    let placed = format!("/orders/{order}?as_of=v:1");
    assert_eq!(shop.get(&placed).await.ok()["state"]["placed"]["contact"]["name"], "Ada");

    shop.command::<User>(ada, user::Command::Delete).await;
    shop.erase(ada, &[Purpose::Account]).await;
    let got = shop.get(&user).await;
    let then = got.ok();
    assert_eq!((&then["state"]["name"], &then["state"]["country"], &then["erased"]), (&Value::Null, &json!("UK"), &json!(true)));
    assert!(!got.text.contains("Ada") && !got.text.contains("eyJ"));
    assert_eq!(shop.get(&placed).await.ok()["erased"], false, "another purpose, and another person");
    shop.erase(buyer, &[Purpose::Invoice]).await;
    let then = shop.get(&placed).await.ok();
    assert_eq!((&then["state"]["placed"]["contact"]["name"], &then["erased"]), (&Value::Null, &json!(true)));
    assert_eq!(shop.see(&format!("/orders/{order}")).await.ok()["contact"]["name"], Value::Null);
}

#[tokio::test]
async fn a_key_store_that_does_not_answer_reads_as_nothing_erased() {
    let shop = Shop::open().await;
    let ada = shop.user("Ada", "UK").await;
    let path = format!("/users/{ada}?as_of=v:1");
    let keys = shop.database.namespace("keys").unwrap();
    shop.sql(&keys, "DELETE FROM @data_keys").await;
    shop.store.keys().store().forget(&format!("{ada}.account"));
    assert_eq!(shop.get(&path).await.refused(), (503, "history-unreadable".into()));
    shop.sql(&keys, if keys.backend() == sea_orm::DatabaseBackend::Postgres { "DROP TABLE @data_keys" } else { "DROP TABLE data_keys" })
        .await;
    assert_eq!(shop.get(&path).await.refused(), (503, "key-store-unavailable".into()));
}

#[tokio::test]
async fn a_history_of_thousands_of_events_is_folded() {
    let shop = Shop::still().await;
    for projector in soonshop_projections::all() {
        shop.registry.ensure(&*projector).await.unwrap();
    }
    let receiving =
        (0..2_500).map(|_| shop.stock("mug", "main", inventory::Command::Receive { quantity: 1 }));
    futures::future::join_all(receiving).await;
    for version in [1, 999, 1_000, 1_001, 2_000, 2_500] {
        let then = shop.get(&format!("/inventory/mug?as_of=v:{version}")).await.ok();
        assert_eq!((&then["state"]["on_hand"], &then["version"]), (&json!(version), &json!(version)));
    }
    let then = shop.get("/inventory/mug?as_of=p:1000").await.ok();
    assert_eq!(then["version"], 1_000);
    assert_eq!(shop.get("/inventory/mug?as_of=v:2501").await.refused(), (404, "not-yet-there".into()));
}

// ---- figures --------------------------------------------------------------------------------------------------------

/// Two months of a shop, the figures of which can be worked out by hand.
async fn trade(shop: &Shop) {
    let ada = shop.user("Ada", "UK").await;
    shop.user("Ben", "France").await;
    shop.product("Mug", &["mug"], None).await;
    shop.product("Cup", &["cup"], None).await;
    shop.stock("mug", "main", inventory::Command::Receive { quantity: 100 }).await;
    shop.stock("cup", "main", inventory::Command::Receive { quantity: 50 }).await;
    shop.stock("cup", "north", inventory::Command::Receive { quantity: 5 }).await;
    shop.stock("mug", "main", inventory::Command::Adjust { quantity: -7, reason: "lost".into() }).await;
    shop.stock("cup", "main", inventory::Command::Adjust { quantity: 2, reason: "found".into() }).await;
    let order_id = OrderId(Uuid::nil());
    shop.stock("mug", "main", inventory::Command::Reserve { order_id, line: 1, quantity: 40 }).await;

    let euros = |mut line: Line| {
        line.price.currency = "EUR".parse().unwrap();
        line
    };
    let mut ids = Vec::new();
    for (number, customer, lines, country, day) in [
        ("1", user_id(ada), vec![line(1, "mug", 2, 500), line(2, "cup", 1, 300), line(3, "mug", 1, 450)], "UK", "2011-01-05T10:00:00Z"),
        ("2", guest(), vec![line(1, "cup", 10, 300)], "France", "2011-01-31T23:59:59Z"),
        ("3", user_id(ada), vec![line(1, "mug", 4, 500)], "UK", "2011-02-01T00:00:00Z"),
        ("4", user_id(ada), vec![line(1, "mug", 100, 500)], "UK", "2011-01-06T00:00:00Z"),
        ("5", guest(), vec![line(1, "mug", 100, 500)], "Spain", "2011-02-06T00:00:00Z"),
        ("6", guest(), vec![euros(line(1, "mug", 1, 999))], "France", "2011-02-07T00:00:00Z"),
    ] {
        let id = ids::new();
        shop.command_at::<Order>(id, place_of(number, customer, lines, country), at(day)).await;
        ids.push(id);
    }
    let refusal = Refusal { line: 1, sku: sku("mug"), reason: "insufficient-stock".into() };
    shop.command_at::<Order>(ids[3], order::Command::Refuse { refusal }, at("2011-03-01T00:00:00Z")).await;
    shop.command_at::<Order>(ids[4], order::Command::Cancel { reason: "changed".into() }, at("2011-04-01T00:00:00Z")).await;
    shop.command_at::<Order>(ids[0], order::Command::Confirm, at("2011-04-01T00:00:00Z")).await;
    let issue = credit_note::Command::Issue {
        number: "C1".to_owned(),
        order_id: None,
        customer: user_id(ada),
        lines: vec![line(1, "mug", 1, 450), line(2, "cup", 1, 300)],
        country: "UK".to_owned(),
    };
    shop.command_at::<credit_note::CreditNote>(ids::new(), issue, at("2011-02-10T00:00:00Z")).await;
}

#[tokio::test]
async fn sales_are_summed_by_period_and_by_one_thing_without_what_was_refused_or_cancelled() {
    let shop = Shop::open().await;
    trade(&shop).await;
    let rows = async |query: &str| {
        let got = shop.see(&format!("/analytics/sales?{query}")).await.ok();
        assert_eq!(got["more"], false);
        got["rows"].clone()
    };
    let row = |period: Value, key: Value, [orders, lines, units, revenue]: [i64; 4], currency: &str| {
        json!({ "period": period, "key": key, "orders": orders, "lines": lines, "units": units, "revenue": revenue, "currency": currency })
    };
    let none = Value::Null;
    let jan = json!("2011-01");
    let feb = json!("2011-02");
    assert_eq!(
        rows("").await,
        json!([row(none.clone(), none.clone(), [1, 1, 1, 999], "EUR"), row(none.clone(), none.clone(), [3, 5, 18, 6_750], "GBP")])
    );
    assert_eq!(
        rows("interval=month&currency=GBP").await,
        json!([row(jan.clone(), none.clone(), [2, 4, 14, 4_750], "GBP"), row(feb, none.clone(), [1, 1, 4, 2_000], "GBP")])
    );
    assert_eq!(
        rows("interval=day&from=2011-01-01&to=2011-02-01T00:00:00Z").await,
        json!([
            row(json!("2011-01-05"), none.clone(), [1, 3, 4, 1_750], "GBP"),
            row(json!("2011-01-31"), none.clone(), [1, 1, 10, 3_000], "GBP")
        ])
    );
    assert_eq!(rows("interval=year&currency=EUR").await, json!([row(json!("2011"), none.clone(), [1, 1, 1, 999], "EUR")]));
    assert_eq!(
        rows("group_by=country&currency=GBP").await,
        json!([row(none.clone(), json!("France"), [1, 1, 10, 3_000], "GBP"), row(none.clone(), json!("UK"), [2, 4, 8, 3_750], "GBP")])
    );
    assert_eq!(
        rows("group_by=customer_kind&interval=month&to=2011-02-01").await,
        json!([row(jan.clone(), json!("guest"), [1, 1, 10, 3_000], "GBP"), row(jan, json!("user"), [1, 3, 4, 1_750], "GBP")])
    );
    // Two lines of the same order are one order.
    assert_eq!(
        rows("group_by=sku&order_by=revenue&currency=GBP").await,
        json!([row(none.clone(), json!("MUG"), [2, 3, 7, 3_450], "GBP"), row(none.clone(), json!("CUP"), [2, 2, 11, 3_300], "GBP")])
    );
    let by_units = rows("group_by=sku&order_by=units&currency=GBP").await;
    assert_eq!((&by_units[0]["key"], &by_units[1]["key"]), (&json!("CUP"), &json!("MUG")));
    assert_eq!(rows("group_by=product&currency=GBP").await.as_array().unwrap().len(), 2);
    assert_eq!(rows("from=2012-01-01").await, json!([]));
    let cut = shop.get("/analytics/sales?group_by=sku&limit=1&order_by=units").await.ok();
    assert_eq!((cut["rows"].as_array().unwrap().len(), &cut["more"]), (1, &json!(true)));
}

#[tokio::test]
async fn credits_movements_stock_and_the_summary_have_their_figures() {
    let shop = Shop::open().await;
    trade(&shop).await;
    let rows = async |path: &str| shop.see(path).await.ok()["rows"].clone();
    assert_eq!(
        rows("/analytics/credits?interval=month&group_by=country").await,
        json!([{ "period": "2011-02", "key": "UK", "credit_notes": 1, "lines": 2, "units": 2, "credited": 750, "currency": "GBP" }])
    );
    assert_eq!(rows("/analytics/credits?currency=EUR").await, json!([]));
    assert_eq!(
        rows("/analytics/stock-movements").await,
        json!([
            { "period": null, "key": "adjustment", "movements": 2, "units": -5 },
            { "period": null, "key": "receipt", "movements": 3, "units": 155 }
        ])
    );
    assert_eq!(
        rows("/analytics/stock-movements?kind=receipt&group_by=sku&order_by=units").await,
        json!([
            { "period": null, "key": "MUG", "movements": 1, "units": 100 },
            { "period": null, "key": "CUP", "movements": 2, "units": 55 }
        ])
    );
    assert_eq!(
        rows("/analytics/stock").await,
        json!([{ "period": null, "key": null, "stocks": 3, "on_hand": 150, "reserved": 40, "available": 110 }])
    );
    assert_eq!(
        rows("/analytics/stock?group_by=location&location=north").await,
        json!([{ "period": null, "key": "north", "stocks": 1, "on_hand": 5, "reserved": 0, "available": 5 }])
    );
    let got = shop.see("/analytics/summary").await;
    assert_eq!(
        got.ok(),
        json!({
            "orders": 4, "guest_orders": 2, "order_lines": 6, "units": 19,
            "revenue": [{ "amount": 999, "currency": "EUR" }, { "amount": 6_750, "currency": "GBP" }],
            "credit_notes": 1, "credit_lines": 2, "credited": [{ "amount": 750, "currency": "GBP" }],
            "products": 2, "customers": 2,
            "adjustments": 2, "adjusted_units": -5, "receipts": 3, "received_units": 155,
        })
    );
    assert_eq!(got.header("event-position"), format!("main:{}", shop.last.load(Ordering::SeqCst)));
    let february = shop.get("/analytics/summary?from=2011-02-01&to=2011-03-01").await.ok();
    assert_eq!((&february["orders"], &february["customers"], &february["credit_notes"]), (&json!(2), &json!(0), &json!(1)));
}

#[tokio::test]
async fn sums_that_no_column_holds_are_answered_whole() {
    let shop = Shop::open().await;
    for number in ["1", "2", "3"] {
        let lines = vec![line(1, "gold", 1, i64::MAX)];
        shop.command::<Order>(ids::new(), place_of(number, guest(), lines, "UK")).await;
    }
    let got = shop.see("/analytics/sales?order_by=revenue").await;
    assert_eq!(got.status, 200);
    let sum = (i128::from(i64::MAX) * 3).to_string();
    assert!(got.text.contains(&format!("\"revenue\":{sum}")), "{}", got.text);
    assert!(shop.see("/analytics/summary").await.text.contains(&sum));
    assert!(shop.see("/analytics/sales?group_by=sku&order_by=revenue").await.text.contains(&sum));
}

// ---- the description and the pages ----------------------------------------------------------------------------------

#[tokio::test]
async fn only_the_served_contexts_are_there() {
    let mut shop = Shop::open().await;
    let cache = shop.cache.clone();
    let mut queries = Queries::new(shop.registry.clone(), shop.store.log().clone(), shop.search.clone(), cache);
    queries.contexts = BTreeSet::from(["order".to_owned()]);
    shop.router = stack(http::router(queries));
    assert_eq!(shop.get("/orders").await.status, 200);
    assert_eq!(shop.get("/credit-notes").await.status, 200);
    for path in ["/products", "/users", "/inventory", "/analytics/sales"] {
        assert_eq!(shop.get(path).await.refused(), (404, "no-such-path".into()), "{path}");
    }
}

#[tokio::test]
async fn the_description_names_every_path_and_all_that_it_refers_to() {
    let shop = Shop::open().await;
    let description = serde_json::to_value(http::openapi()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 18);
    for (path, methods) in paths {
        let concrete = path.replace("{id}", &Uuid::nil().to_string()).replace("{sku}", "NONE");
        let got = shop.get(&concrete).await;
        assert_ne!(got.json()["type"], "/problems/no-such-path", "{path}");
        let operation = &methods["get"];
        assert!(operation["operationId"].is_string() && operation["responses"]["200"].is_object(), "{path}");
        let known = operation["parameters"].as_array().unwrap();
        assert!(known.iter().any(|parameter| parameter["name"] == "Event-Position"));
    }
    let text = description.to_string();
    for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    let orders = description["paths"]["/orders"]["get"]["parameters"].as_array().unwrap();
    let status = orders.iter().find(|parameter| parameter["name"] == "status").unwrap();
    assert_eq!(status["schema"]["enum"][0], "placed");
}

#[test]
fn every_problem_of_ours_has_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut slugs = BTreeSet::from(["user-deleted".to_owned(), "product-deleted".to_owned()]);
    for file in std::fs::read_dir(root.join("src/http")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for call in source.split("Problem::").skip(1) {
            let Some((before, rest)) = call.split_once('"') else { continue };
            if before.chars().all(|c| c.is_ascii_lowercase() || "_(".contains(c) || c.is_whitespace()) {
                slugs.insert(rest.split('"').next().unwrap().to_owned());
            }
        }
    }
    slugs.retain(|slug| slug.contains('-') && !slug.contains(' '));
    assert!(slugs.contains("read-model-behind") && slugs.contains("cursor-expired"), "{slugs:?}");
    for slug in slugs {
        let page = root.join(format!("../docs/problems/{slug}.md"));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        assert!(text.contains(&format!("`{slug}`")), "{slug}");
    }
}
