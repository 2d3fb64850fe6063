//! A shop's databases for each test, a history that is written as given, and followers like those of a process.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, FromQueryResult as _, Iterable as _};
use serde_json::{Map, Value, json};
use soonshop_domain::{Event, ids};
use soonshop_event_log::{Checkpoint, Database, DatabaseLocation, Db, EventLog, KeyStore, MasterKeys};
use soonshop_event_store::{Answer, EventStore, Expected, KeyMaker, NewEvent, Outcome, Request};
use soonshop_migrations::Namespace;
use soonshop_projections::runner::{Follower, ROWS, Readers};
use soonshop_projections::{
    Feed, Generation, Projector, Registry, Row, analytics, audit, checkout, inventory, order, product, user,
};
use sqlx::{Connection as _, Executor as _};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Databases with every schema, removed with the fixture.
pub(crate) struct Shop {
    pub(crate) place: DatabaseLocation,
    pub(crate) database: Database,
    folder: tempfile::TempDir,
    /// On PostgreSQL: the server's URL and the database's name.
    server: Option<(String, String)>,
}

/// The address of a server that `make test` starts.
pub(crate) fn address(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`")
    })
}

impl Shop {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = DatabaseLocation::Sqlite(folder.path().join("data"));
        Self::prepare(place, folder, None).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = address("POSTGRES_URL");
        let name = format!("rows_{}", ids::new().simple());
        let mut server = sqlx::PgConnection::connect(&url).await.unwrap();
        // Another session may be connected to `template1`; none can connect to `template0`.
        server.execute(format!("CREATE DATABASE {name} TEMPLATE template0").as_str()).await.unwrap();
        server.close().await.unwrap();
        let place = DatabaseLocation::parse(&format!("{}/{name}", url.rsplit_once('/').unwrap().0)).unwrap();
        Self::prepare(place, tempfile::tempdir().unwrap(), Some((url, name))).await
    }

    async fn prepare(
        place: DatabaseLocation,
        folder: tempfile::TempDir,
        server: Option<(String, String)>,
    ) -> Self {
        let database = Database::new(place.clone());
        let shop = Self { place, database, folder, server };
        for namespace in Namespace::ALL {
            let connection = shop.db(namespace.name()).connection;
            soonshop_migrations::migrate(namespace, &connection).await.unwrap();
            // Roles belong to the whole server: another test may have made them, and then they still need rights
            // here.
            soonshop_migrations::rights::grant(namespace, &connection).await.unwrap();
        }
        Shop::key_maker(&shop.database).prepare(&shop.db("log")).await.unwrap();
        shop
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.place.is_sqlite()
    }

    /// A folder that is removed with the fixture.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn db(&self, namespace: &str) -> Db {
        self.database.namespace(namespace).unwrap()
    }

    pub(crate) fn keys(database: &Database) -> KeyStore {
        let masters = MasterKeys::parse(&base64::engine::general_purpose::STANDARD.encode([7; 32])).unwrap();
        KeyStore::new(database.namespace("keys").unwrap(), masters)
    }

    pub(crate) fn key_maker(database: &Database) -> KeyMaker {
        KeyMaker::new(Self::keys(database))
    }

    /// A store like that of another process: with its own connections, caches and appender.
    pub(crate) fn store(&self) -> EventStore {
        let database = Database::new(self.place.clone());
        EventStore::open(&database, Self::key_maker(&database)).unwrap()
    }

    pub(crate) fn log(&self) -> EventLog {
        let database = Database::new(self.place.clone());
        EventLog::new(database.namespace("log").unwrap(), Self::keys(&database))
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new(&Database::new(self.place.clone())).unwrap()
    }

    pub(crate) async fn run(&self, namespace: &str, sql: &str) -> u64 {
        let db = self.db(namespace);
        db.connection.execute_unprepared(&db.sql(sql)).await.unwrap().rows_affected()
    }

    pub(crate) async fn number(&self, namespace: &str, sql: &str) -> i64 {
        let db = self.db(namespace);
        let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// The first column of the first row, if there is one.
    pub(crate) async fn text(&self, namespace: &str, sql: &str) -> Option<String> {
        let db = self.db(namespace);
        let row = db.connection.query_one(db.statement(sql, [])).await.unwrap();
        row.map(|row| row.try_get_by_index(0).unwrap())
    }

    pub(crate) async fn generation(&self, projector: &dyn Projector) -> Generation {
        self.registry().create(projector).await.unwrap()
    }

    /// The position of a generation's rows.
    pub(crate) async fn rows_at(&self, generation: &Generation) -> i64 {
        self.checkpoint(generation).await.position
    }

    pub(crate) async fn checkpoint(&self, generation: &Generation) -> Checkpoint {
        let db = self.db(&generation.namespace());
        Checkpoint::load(&db, &db.connection, ROWS).await.unwrap().unwrap().0
    }

    /// State and reason of a follower, as a waiting reader gets them.
    pub(crate) async fn status(&self, generation: &Generation, follower: &str) -> (String, String) {
        let sql = format!("SELECT state || '|' || reason FROM @status WHERE follower = '{follower}'");
        let text = self.text(&generation.namespace(), &sql).await.unwrap_or_else(|| "|".to_owned());
        let (state, reason) = text.split_once('|').unwrap();
        (state.to_owned(), reason.to_owned())
    }

    pub(crate) async fn parked(&self, generation: &Generation) -> Vec<i64> {
        let db = self.db(&generation.namespace());
        let rows =
            db.connection.query_all(db.statement("SELECT position FROM @parked ORDER BY position", [])).await;
        rows.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    pub(crate) async fn ask_to_retry(&self, generation: &Generation) {
        let sql =
            "INSERT INTO @retries (position) SELECT position FROM @parked WHERE true ON CONFLICT DO NOTHING";
        self.run(&generation.namespace(), sql).await;
    }

    pub(crate) async fn reach(&self, generation: &Generation, position: i64) {
        let name = generation.namespace();
        until(&format!("{name} at {position}"), async || self.rows_at(generation).await >= position).await;
    }

    /// Every row of a generation, by table.
    pub(crate) async fn rows(&self, generation: &Generation) -> Value {
        let db = self.db(&generation.namespace());
        match generation.projection.as_str() {
            "users" => json!({ "users": table::<user::Model>(&db, "users").await }),
            "products" => json!({
                "products": table::<product::Model>(&db, "products").await,
                "product_prices": table::<product::price::Model>(&db, "product_prices").await,
                "product_skus": table::<product::sku::Model>(&db, "product_skus").await,
            }),
            "stock" => json!({ "stock": table::<inventory::Model>(&db, "stock").await }),
            "orders" => json!({
                "orders": table::<order::Model>(&db, "orders").await,
                "credit_notes": table::<order::credit::Model>(&db, "credit_notes").await,
            }),
            "analytics" => json!({
                "sales": table::<analytics::Model>(&db, "sales").await,
                "sale_lines": table::<analytics::line::Model>(&db, "sale_lines").await,
                "facts": table::<analytics::fact::Model>(&db, "facts").await,
            }),
            "checkouts" => json!({ "checkouts": table::<checkout::Model>(&db, "checkouts").await }),
            "audit" => json!({ "audit": table::<audit::Model>(&db, "audit").await }),
            other => {
                let known = soonshop_projections::all().into_iter().find(|one| one.name() == other);
                let projector = known.unwrap_or_else(|| panic!("no projection is called {other}"));
                let mut rows = Map::new();
                for table in projector.tables() {
                    let sql = format!("SELECT * FROM @{} ORDER BY {}", table.name(), table.keys().join(", "));
                    let found = sea_orm::JsonValue::find_by_statement(db.statement(&sql, []));
                    rows.insert(table.name(), found.all(&db.connection).await.unwrap().into());
                }
                rows.into()
            }
        }
    }

    /// Projects the whole log into a generation, and stops.
    pub(crate) async fn project(&self, projector: Arc<dyn Projector>, generation: &Generation) {
        let head = self.log().head().await.unwrap().position;
        let running = self.start(projector, generation);
        self.reach(generation, head).await;
        running.stop().await;
    }

    /// A process that keeps one generation's rows up to date, without a bus.
    pub(crate) fn start(&self, projector: Arc<dyn Projector>, generation: &Generation) -> Running {
        let mut running = Running::new(Feed::new(self.log()));
        running.keep_rows(self, projector, generation);
        running
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let Some((url, name)) = self.server.take() else { return };
        // The test's runtime may be gone or busy: another one drops the database.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut server = sqlx::PgConnection::connect(&url).await?;
                server.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)").as_str()).await
            })
        });
        drop(dropping.join());
    }
}

async fn table<M: Row>(db: &Db, name: &str) -> Vec<Value> {
    type Columns<M> = <<M as sea_orm::ModelTrait>::Entity as sea_orm::EntityTrait>::Column;
    let rows = M::find_by_statement(db.statement(&format!("SELECT * FROM @{name}"), []));
    let mut rows: Vec<M> = rows.all(&db.connection).await.unwrap();
    rows.sort_by_key(|row| (row.group(), row.key()));
    let json = |row: &M| -> Value {
        let column = |column: Columns<M>| {
            let value = sea_orm::sea_query::sea_value_to_json_value(&row.get(column));
            (sea_orm::IdenStatic::as_str(&column).to_owned(), value)
        };
        Columns::<M>::iter().map(column).collect::<Map<_, _>>().into()
    };
    rows.iter().map(json).collect()
}

/// The tasks of one process.
pub(crate) struct Running {
    pub(crate) feed: Feed,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) holder: String,
}

impl Running {
    pub(crate) fn new(feed: Feed) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.clone().watch_head(stop.clone()));
        Self { feed, stop, tasks, holder: format!("test-{}", ids::new().simple()) }
    }

    pub(crate) fn follower(
        &self,
        shop: &Shop,
        projector: Arc<dyn Projector>,
        generation: &Generation,
    ) -> Arc<Follower> {
        Arc::new(Follower {
            projector,
            generation: generation.clone(),
            registry: shop.registry(),
            feed: self.feed.clone(),
            holder: self.holder.clone(),
        })
    }

    pub(crate) fn keep_rows(&mut self, shop: &Shop, projector: Arc<dyn Projector>, generation: &Generation) {
        self.keep_rows_for(Readers::Now, shop, projector, generation);
    }

    pub(crate) fn keep_rows_for(
        &mut self,
        readers: Readers,
        shop: &Shop,
        projector: Arc<dyn Projector>,
        generation: &Generation,
    ) {
        let (follower, stop) = (self.follower(shop, projector, generation), self.stop.clone());
        self.tasks.spawn(async move { follower.keep_rows(readers, stop).await });
    }

    /// Stops like a process that is asked to stop.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_mins(1), all).await.expect("everything ends when it is stopped");
    }

    /// Ends like a process that is killed.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Waits until `done`, for at most two minutes; `what` names the event for the panic message.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !done().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How slow this machine is: the most by which short sleeps took longer than they should, since this was created.
/// Time limits in tests are extended by it.
pub(crate) struct Lateness {
    worst: std::sync::Arc<std::sync::atomic::AtomicU64>,
    watch: tokio::task::JoinHandle<()>,
}

impl Lateness {
    pub(crate) fn watched() -> Self {
        let worst = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
        let noted = std::sync::Arc::clone(&worst);
        let watch = tokio::spawn(async move {
            loop {
                let due = Instant::now() + Duration::from_millis(10);
                tokio::time::sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_micros()).unwrap();
                noted.fetch_max(late, std::sync::atomic::Ordering::Relaxed);
            }
        });
        Self { worst, watch }
    }

    pub(crate) fn worst(&self) -> Duration {
        Duration::from_micros(self.worst.load(std::sync::atomic::Ordering::Relaxed))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Declares each test twice: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name(crate::fixture::Shop::sqlite().await)).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(super::$name(crate::fixture::Shop::postgres().await)).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// An event, as written to the log.
pub(crate) struct Raw {
    pub(crate) aggregate_type: &'static str,
    pub(crate) stream: String,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: String,
}

/// Writes events as given, without decisions; ids and times are always the same.
pub(crate) struct Writer {
    pub(crate) store: EventStore,
    tips: HashMap<(&'static str, String), (i64, Uuid)>,
    /// The number of the next event: part of its id and its time.
    next: u128,
    /// The metadata of the next events, as stored.
    pub(crate) metadata: String,
}

impl Writer {
    pub(crate) fn new(shop: &Shop) -> Self {
        Self { store: shop.store(), tips: HashMap::new(), next: 1, metadata: "{}".to_owned() }
    }

    /// A writer of another history: its events have other ids.
    pub(crate) fn of_another_history(shop: &Shop) -> Self {
        Self { next: 1_000_000, ..Self::new(shop) }
    }

    /// Appends the event; returns its position.
    pub(crate) async fn write(&mut self, stream: Uuid, event: impl Into<Event>) -> i64 {
        let mut event = event.into();
        self.store.keys().encrypt(std::slice::from_mut(&mut event)).await.unwrap();
        self.raw(Raw {
            aggregate_type: event.aggregate_type(),
            stream: stream.to_string(),
            event_type: event.event_type().to_owned(),
            event_version: "1".to_owned(),
            payload: event.encode().unwrap(),
        })
        .await
    }

    pub(crate) async fn raw(&mut self, raw: Raw) -> i64 {
        let request = self.request(raw);
        match self.store.appender().submit(request).await.unwrap().unwrap() {
            Outcome::Done(answer) => answer.last_position.unwrap(),
            other => panic!("not appended: {other:?}"),
        }
    }

    /// Appends many at once; returns the last position.
    pub(crate) async fn all(&mut self, events: Vec<Raw>) -> i64 {
        let requests: Vec<Request> = events.into_iter().map(|raw| self.request(raw)).collect();
        let waiting: Vec<_> = requests.into_iter().map(|one| self.store.appender().submit(one)).collect();
        let mut last = 0;
        for outcome in waiting {
            match outcome.await.unwrap().unwrap() {
                Outcome::Done(answer) => last = answer.last_position.unwrap(),
                other => panic!("not appended: {other:?}"),
            }
        }
        last
    }

    fn request(&mut self, raw: Raw) -> Request {
        let event_id = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + self.next);
        let minute = i64::try_from(self.next).unwrap();
        let occurred_at = DateTime::<Utc>::from_timestamp(1_300_000_000 + minute * 60, 0).unwrap();
        self.next += 1;
        let key = (raw.aggregate_type, raw.stream.clone());
        let tip = self.tips.get(&key).copied();
        let sequence = tip.map_or(0, |(sequence, _)| sequence);
        self.tips.insert(key, (sequence + 1, event_id));
        Request {
            command_id: ids::new(),
            fingerprint: b"a test".to_vec(),
            record: false,
            answer: Answer::default(),
            streams: vec![Expected {
                aggregate_type: raw.aggregate_type,
                aggregate_id: raw.stream.clone(),
                sequence,
                event_id: tip.map(|(_, id)| id),
            }],
            claims: Vec::new(),
            frees: Vec::new(),
            claim_keys: Vec::new(),
            events: vec![NewEvent {
                aggregate_type: raw.aggregate_type,
                aggregate_id: raw.stream,
                sequence: sequence + 1,
                event_type: raw.event_type,
                event_version: raw.event_version,
                payload: raw.payload,
                metadata: self.metadata.clone(),
                event_id,
                occurred_at,
            }],
            deadline: Instant::now() + Duration::from_mins(1),
        }
    }
}

pub(crate) fn raw(stream: Uuid, event: impl Into<Event>) -> Raw {
    let event = event.into();
    Raw {
        aggregate_type: event.aggregate_type(),
        stream: stream.to_string(),
        event_type: event.event_type().to_owned(),
        event_version: "1".to_owned(),
        payload: event.encode().unwrap(),
    }
}
