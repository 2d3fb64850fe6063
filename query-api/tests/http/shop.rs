//! A shop with real projectors, in a folder of each test's own: commands are executed directly, queries over HTTP. The
//! file that includes this one defines the router.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request};
use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop_cache::Cache;
use soonshop_domain::ids::{self, GuestId, ProductId, UserId};
use soonshop_domain::order::{self, Contact, Customer, Line, Placement};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, User, person};
use soonshop_domain::{Currency, Decider, Metadata, Money, Purpose, inventory};
use soonshop_event_log::{Database, DatabaseLocation, Db, EventLog, KeyStore, MasterKeys};
use soonshop_event_store::{CommandContext, EventStore, KeyMaker};
use soonshop_migrations::Namespace;
use soonshop_projections::runner::{Follower, Readers};
use soonshop_projections::{Feed, Generation, Projector, Registry};
use soonshop_query_api::http::Queries;
use soonshop_search::Search;
use soonshop_service_kit::access::{Access, Role};
use soonshop_service_kit::serve::stack;
use soonshop_service_kit::work::Work;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::form_urlencoded;
use uuid::Uuid;

#[expect(dead_code, reason = "what other tests ask of it")]
#[path = "../../../service-kit/tests/fixture/shelf.rs"]
mod shelf;

use shelf::Shelf;

pub(crate) struct Shop {
    _folder: tempfile::TempDir,
    pub(crate) database: Database,
    pub(crate) store: EventStore,
    pub(crate) registry: Registry,
    pub(crate) feed: Feed,
    pub(crate) search: Arc<dyn Search>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) router: Router,
    /// One key for each role.
    pub(crate) keys: BTreeMap<Role, String>,
    /// The store of the keys.
    pub(crate) shelf: Arc<Shelf>,
    /// The last position that a command of this test wrote.
    pub(crate) last: AtomicI64,
    pub(crate) stop: CancellationToken,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Checks that the answer is a complete problem; returns its status and slug.
    #[track_caller]
    pub(crate) fn refused(&self) -> (u16, String) {
        let problem = self.json();
        let slug =
            problem["type"].as_str().and_then(|kind| kind.strip_prefix("/problems/")).unwrap_or_default();
        assert!(!slug.is_empty(), "{} is no problem: {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        (self.status, slug.to_owned())
    }

    #[track_caller]
    pub(crate) fn items(&self) -> Vec<Value> {
        self.ok()["items"].as_array().unwrap().clone()
    }
}

pub(crate) async fn open(database: &Database, folder: &Path) -> EventStore {
    for namespace in Namespace::ALL {
        let connection = database.namespace(namespace.name()).unwrap().connection;
        soonshop_migrations::migrate(namespace, &connection).await.unwrap();
        // Roles belong to the whole server: another test may have created them, so they get their rights here.
        soonshop_migrations::rights::grant(namespace, &connection).await.unwrap();
    }
    let file = folder.join("master.key");
    MasterKeys::create(&file).unwrap();
    let keys =
        KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), MasterKeys::read(&file).unwrap()));
    keys.prepare(&database.namespace("log").unwrap()).await.unwrap();
    EventStore::open(database, keys).unwrap()
}

/// A folder, or a database of its own on the server that `QUERY_API_TEST_POSTGRES` names.
pub(crate) async fn place(folder: &Path) -> DatabaseLocation {
    let Ok(server) = std::env::var("QUERY_API_TEST_POSTGRES") else {
        return DatabaseLocation::Sqlite(folder.to_owned());
    };
    let name = format!("query_{}", Uuid::new_v4().simple());
    let admin = sea_orm::Database::connect(&server).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    DatabaseLocation::parse(&format!("{base}/{name}")).unwrap()
}

/// The queries of all contexts, for guests.
pub(crate) fn queries(
    database: &Database,
    log: EventLog,
    search: Arc<dyn Search>,
    cache: Arc<dyn Cache>,
) -> Queries {
    Queries {
        registry: Registry::new(database).unwrap(),
        log,
        search,
        cache,
        access: Access::new(None),
        work: Work::default(),
        contexts: soonshop_domain::context::NAMES.map(str::to_owned).into(),
    }
}

impl Shop {
    /// Without projectors.
    pub(crate) async fn without_projectors() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(place(folder.path()).await);
        let store = open(&database, folder.path()).await;
        let registry = Registry::new(&database).unwrap();
        let feed = Feed::new(store.log().clone());
        let search =
            soonshop_search::connect(&format!("tantivy://{}/index", folder.path().display())).unwrap();
        let cache = soonshop_cache::connect("moka:").unwrap();
        let (last, stop) = (AtomicI64::new(0), CancellationToken::new());
        let shelf = Arc::new(Shelf::default());
        let keys =
            Role::ALL[1..].iter().map(|role| (*role, shelf.add(*role, |_| {}).unwrap().0.text())).collect();
        let access = Access::new(None).with_keys(shelf.clone());
        let queries = queries(&database, store.log().clone(), search.clone(), cache.clone());
        let router = stack(crate::router(Queries { access, ..queries }, &stop));
        tokio::spawn({
            let (feed, stop) = (feed.clone(), stop.clone());
            async move { feed.watch_head(stop).await }
        });
        Self {
            _folder: folder,
            database,
            store,
            registry,
            feed,
            search,
            cache,
            router,
            keys,
            shelf,
            last,
            stop,
        }
    }

    /// With all projectors.
    pub(crate) async fn open() -> Self {
        let shop = Self::without_projectors().await;
        for projector in soonshop_projections::all() {
            let generation = shop.registry.ensure(&*projector).await.unwrap();
            shop.follow(projector, &generation, &shop.stop);
        }
        shop
    }

    pub(crate) fn follow(
        &self,
        projector: Arc<dyn Projector>,
        generation: &Generation,
        stop: &CancellationToken,
    ) {
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
        tokio::spawn(async move { follower.keep_rows(Readers::Now, stop).await });
    }

    pub(crate) async fn generation(&self, projection: &str) -> Db {
        let generation = self.registry.active(projection).await.unwrap().unwrap();
        generation.db(&self.database).unwrap()
    }

    /// Runs SQL in the namespace.
    pub(crate) async fn sql(&self, db: &Db, sql: &str) {
        db.connection.execute(db.statement(sql, [])).await.unwrap();
    }

    // ---- commands

    pub(crate) async fn command_at<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        occurred_at: DateTime<Utc>,
    ) -> i64 {
        let context = CommandContext {
            occurred_at,
            ..CommandContext::new(ids::new(), vec![7; 32], Metadata::default())
        };
        self.command_in::<A>(id, command, context).await
    }

    /// Executes a command in this context; returns its position.
    pub(crate) async fn command_in<A: Decider>(
        &self,
        id: Uuid,
        command: A::Command,
        context: CommandContext,
    ) -> i64 {
        let done = Box::pin(self.store.execute::<A>(id, command, context)).await.unwrap();
        self.written(done.answer.last_position.unwrap())
    }

    /// Has the read models follow to this position, and answers wait for it; returns it.
    pub(crate) fn written(&self, position: i64) -> i64 {
        self.last.fetch_max(position, Ordering::SeqCst);
        self.feed.wake(position);
        position
    }

    pub(crate) async fn command<A: Decider>(&self, id: Uuid, command: A::Command) -> i64 {
        self.command_at::<A>(id, command, soonshop_domain::clock::now()).await
    }

    pub(crate) async fn product(&self, name: &str, skus: &[&str], category: Option<&str>) -> Uuid {
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

    pub(crate) async fn user(&self, name: &str, country: &str) -> Uuid {
        let id = ids::new();
        let details =
            user::Details::try_new(id, Some(name), Some(&format!("{name}@example.org")), None, Some(country))
                .unwrap();
        self.command::<User>(id, user::Command::Register { details }).await;
        id
    }

    pub(crate) async fn stock(&self, name: &str, location: &str, command: inventory::Command) -> i64 {
        let place = inventory::StockPlace { sku: sku(name), location: location.to_owned() };
        let id = inventory::stream(&place.sku, location);
        self.command::<inventory::Stock>(id, inventory::At { place, command }).await
    }

    pub(crate) async fn erase(&self, subject: Uuid, purposes: &[Purpose]) {
        let purposes = purposes.to_vec();
        self.command::<person::Person>(
            subject,
            person::Command::RequestErasure { purposes: purposes.clone() },
        )
        .await;
        self.store.keys().erase(subject, &purposes).await.unwrap();
        self.command::<person::Person>(subject, person::Command::ConfirmErasure { purposes }).await;
    }

    // ---- queries

    /// Without a key, except that a path for certain roles gets that of support.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let audited = path.starts_with("/audit") || path.starts_with("/api/audit");
        let known = headers.iter().any(|(name, _)| ["authorization", "cookie"].contains(name));
        let role = (audited && !known).then_some(Role::Support);
        self.send(role, Request::get(path), headers, Body::empty()).await
    }

    /// Sends the request with a key of this role.
    pub(crate) async fn get_as(&self, role: Role, path: &str) -> Got {
        self.send(Some(role), Request::get(path), &[], Body::empty()).await
    }

    /// The same, and waits until everything that this test wrote is projected.
    pub(crate) async fn see_as(&self, role: Role, path: &str, headers: &[(&str, &str)]) -> Got {
        let position = format!("main:{}", self.last.load(Ordering::SeqCst));
        let waits = [("event-position", position.as_str()), ("prefer", "wait=20")];
        self.send(Some(role), Request::get(path), &[headers, &waits].concat(), Body::empty()).await
    }

    /// Sends a form with a key of this role.
    pub(crate) async fn post_as(&self, role: Option<Role>, path: &str, form: &[(&str, &str)]) -> Got {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(role, Request::post(path), &headers, Body::from(body)).await
    }

    pub(crate) async fn send(
        &self,
        role: Option<Role>,
        mut request: Builder,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Got {
        if let Some(key) = role.and_then(|role| self.keys.get(&role)) {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Got { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Answers from what is projected already.
    pub(crate) async fn get(&self, path: &str) -> Got {
        self.get_with(path, &[]).await
    }

    /// Waits until everything that this test wrote is projected.
    pub(crate) async fn see(&self, path: &str) -> Got {
        let position = format!("main:{}", self.last.load(Ordering::SeqCst));
        self.get_with(path, &[("event-position", &position), ("prefer", "wait=20")]).await
    }
}

pub(crate) fn sku(text: &str) -> Sku {
    Sku::try_new(text).unwrap()
}

pub(crate) fn pounds(amount: i64) -> Money {
    Money::new(amount, Currency::GBP)
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(crate) fn line(number: u32, name: &str, quantity: u32, pence: i64) -> Line {
    let product_id = ProductId(Uuid::new_v5(&Uuid::nil(), name.as_bytes()));
    Line { number, sku: sku(name), product_id, name: name.to_owned(), quantity, price: pounds(pence) }
}

pub(crate) fn place_of(number: &str, customer: Customer, lines: Vec<Line>, country: &str) -> order::Command {
    let contact =
        Contact::try_new(customer.subject(), Some("Ada"), Some("ada@example.org"), None, None).unwrap();
    let (number, country) = (number.to_owned(), country.to_owned());
    order::Command::Place(Placement { number, customer, lines, country, contact })
}

pub(crate) fn user_id(id: Uuid) -> Customer {
    Customer::User(UserId(id))
}

pub(crate) fn guest() -> Customer {
    Customer::Guest(GuestId(ids::new()))
}

pub(crate) fn names(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// Follows `Link` to the end; the ids, and the pages' sizes.
pub(crate) async fn walk(shop: &Shop, first: &str) -> (Vec<String>, Vec<usize>) {
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
        let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        next.unwrap().clone_into(&mut path);
        assert!(path.contains(got.ok()["next"].as_str().unwrap()), "{path}");
    }
}
