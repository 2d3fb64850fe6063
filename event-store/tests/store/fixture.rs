//! A database for each test, and the commands that the tests send.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::inventory::{self, At, Command, Stock};
use soonshop_domain::order::{Contact, Customer, Line, Placement};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, Details};
use soonshop_domain::{Actor, ActorKind, Channel, Currency, Metadata, Money, ids, order};
use soonshop_event_log::{Database, DatabaseLocation, Db, EventLog, KeyStore, MasterKeys, StoredEvent};
use soonshop_event_store::{
    Answer, CommandContext, EventStore, Expected, KeyMaker, NewEvent, Outcome, OutcomeKind, Request,
};
use soonshop_migrations::Namespace;
use sqlx::{Connection as _, Executor as _};
use tokio::time::Instant;
use uuid::Uuid;

/// A database with an empty log and a key store. It is removed with the fixture.
pub(crate) struct Fixture {
    place: DatabaseLocation,
    pub(crate) database: Database,
    masters: MasterKeys,
    /// On SQLite: the folder.
    folder: Option<tempfile::TempDir>,
    /// On PostgreSQL: the server's URL and the database's name.
    server: Option<(String, String)>,
}

pub(crate) fn postgres_url() -> String {
    std::env::var("POSTGRES_URL").unwrap_or_else(|_| {
        panic!("POSTGRES_URL is not set: run `make test`, or `eval \"$(tests/services/services.sh env)\"`")
    })
}

/// The URL with another database name.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(crate) fn masters(byte: u8) -> MasterKeys {
    MasterKeys::parse(&base64::engine::general_purpose::STANDARD.encode([byte; 32])).unwrap()
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = DatabaseLocation::Sqlite(folder.path().to_owned());
        Self::prepare(place, Some(folder), None).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::postgres_at(&postgres_url()).await
    }

    pub(crate) async fn postgres_at(url: &str) -> Self {
        Self::postgres_as(url, |name| with_database(url, name)).await
    }

    /// A new database of the server, which is reached under that address.
    pub(crate) async fn postgres_as(url: &str, address: impl FnOnce(&str) -> String) -> Self {
        let name = format!("store_{}", ids::new().simple());
        let mut server = sqlx::PgConnection::connect(url).await.unwrap();
        // Another session may be connected to `template1`; none can connect to `template0`.
        server.execute(format!("CREATE DATABASE {name} TEMPLATE template0").as_str()).await.unwrap();
        server.close().await.unwrap();
        let place = DatabaseLocation::parse(&address(&name)).unwrap();
        Self::prepare(place, None, Some((url.to_owned(), name))).await
    }

    async fn prepare(
        place: DatabaseLocation,
        folder: Option<tempfile::TempDir>,
        server: Option<(String, String)>,
    ) -> Self {
        let database = Database::new(place.clone());
        let fixture = Self { place, database, masters: masters(7), folder, server };
        for namespace in [Namespace::Log, Namespace::Keys] {
            soonshop_migrations::migrate(namespace, &fixture.db(namespace.name()).connection).await.unwrap();
        }
        fixture.key_maker(&fixture.database).prepare(&fixture.db("log")).await.unwrap();
        fixture
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.place.is_sqlite()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The database's URL, on PostgreSQL.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            DatabaseLocation::Postgres(url) => url.clone(),
            DatabaseLocation::Sqlite(_) => panic!("this fixture is a folder"),
        }
    }

    pub(crate) fn db(&self, namespace: &str) -> Db {
        self.database.namespace(namespace).unwrap()
    }

    fn key_maker(&self, database: &Database) -> KeyMaker {
        KeyMaker::new(KeyStore::new(database.namespace("keys").unwrap(), self.masters.clone()))
    }

    /// A store like that of another process: with its own connections, caches and appender.
    pub(crate) fn store(&self) -> EventStore {
        let database = Database::new(self.place.clone());
        EventStore::open(&database, self.key_maker(&database)).unwrap()
    }

    /// Two writing processes, if the backend allows it.
    pub(crate) fn stores(&self) -> Vec<EventStore> {
        if self.is_sqlite() { vec![self.store()] } else { vec![self.store(), self.store()] }
    }

    pub(crate) fn log(&self) -> EventLog {
        let database = Database::new(self.place.clone());
        self.log_with(KeyStore::new(database.namespace("keys").unwrap(), self.masters.clone()))
    }

    pub(crate) fn log_with(&self, keys: KeyStore) -> EventLog {
        EventLog::new(Database::new(self.place.clone()).namespace("log").unwrap(), keys)
    }

    /// A connection of the driver, on PostgreSQL.
    pub(crate) async fn raw(&self) -> sqlx::PgConnection {
        sqlx::PgConnection::connect(&self.url()).await.unwrap()
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

    pub(crate) async fn text(&self, namespace: &str, sql: &str) -> String {
        let db = self.db(namespace);
        let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// How the database answers this query of the log, once it has counted its rows.
    pub(crate) async fn plan(&self, sql: &str) -> String {
        let db = self.db("log");
        let (explain, column) = if self.is_sqlite() { ("EXPLAIN QUERY PLAN", 3) } else { ("EXPLAIN", 0) };
        if !self.is_sqlite() {
            self.run("log", "ANALYZE log.events").await;
        }
        let rows = db.connection.query_all(db.statement(&format!("{explain} {sql}"), [])).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get_by_index(column).unwrap()).collect();
        steps.join("\n")
    }

    /// All events, as stored.
    pub(crate) async fn events(&self) -> Vec<StoredEvent> {
        let events = self.log().read(1, 1_000_000).await.unwrap();
        for (position, event) in (1..).zip(&events) {
            assert_eq!(event.position, position, "positions are dense");
        }
        for pair in events.windows(2) {
            assert!(pair[0].recorded_at <= pair[1].recorded_at, "recorded_at never goes back");
        }
        let mut versions: HashMap<(&str, &str), i64> = HashMap::new();
        for event in &events {
            let version = versions.entry((&event.aggregate_type, &event.aggregate_id)).or_default();
            *version += 1;
            assert_eq!(event.sequence, *version, "sequences are dense, in the order of positions");
        }
        events
    }
}

impl Drop for Fixture {
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
        // A test may have removed its server, and the database with it.
        drop(dropping.join());
    }
}

/// Declares each test twice: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                Box::pin(super::$name(crate::fixture::Fixture::sqlite().await)).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                Box::pin(super::$name(crate::fixture::Fixture::postgres().await)).await;
            })+
        }
    };
}
pub(crate) use on_both;

/// Waits until `done`, for at most two minutes; `what` names the event for the panic message.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !done().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn metadata() -> Metadata {
    let actor = Actor::guest("7");
    Metadata {
        correlation_id: Some(ids::new()),
        command_type: Some("stock.receive".into()),
        actor_kind: Some(ActorKind::Guest),
        actor_id: Some(actor.id),
        channel: Some(Channel::Api),
        ..Metadata::default()
    }
}

/// The context of a command with a new id.
pub(crate) fn context() -> CommandContext {
    context_of(ids::new())
}

pub(crate) fn context_of(command_id: Uuid) -> CommandContext {
    let context = CommandContext::new(command_id, b"the same request".to_vec(), metadata());
    CommandContext { kind: OutcomeKind::Created, reference: Some("/somewhere".into()), ..context }
}

pub(crate) fn at(command: Command) -> At {
    let sku = Sku::try_new("MUG").unwrap();
    At { place: inventory::StockPlace { sku, location: inventory::MAIN.into() }, command }
}

pub(crate) fn receive(quantity: u32) -> At {
    at(Command::Receive { quantity })
}

pub(crate) async fn on_hand(store: &EventStore, stream: Uuid) -> (i64, i64) {
    let (stock, version) = store.load_without_parts::<Stock>(stream).await.unwrap();
    (stock.on_hand, version)
}

pub(crate) const NAME: &str = "Grünhild Österreicher-Quux";
pub(crate) const EMAIL: &str = "Gruenhild.Quux@Example.ORG";
pub(crate) const PHONE: &str = "+44 20 7946 0958";
pub(crate) const ADDRESS: &str = "1 Zanzibar Terrace, Quuxham";

pub(crate) fn details(subject: Uuid, email: &str) -> Details {
    Details::try_new(subject, Some(NAME), Some(email), Some(PHONE), Some("Austria")).unwrap()
}

pub(crate) fn register(subject: Uuid, email: &str) -> user::Command {
    user::Command::Register { details: details(subject, email) }
}

pub(crate) fn change(subject: Uuid, email: &str) -> user::Command {
    user::Command::Change { details: details(subject, email) }
}

pub(crate) fn place_order(customer: Customer, number: &str) -> order::Command {
    let contact =
        Contact::try_new(customer.subject(), Some(NAME), Some(EMAIL), Some(PHONE), Some(ADDRESS)).unwrap();
    let line = Line {
        number: 1,
        sku: Sku::try_new("MUG").unwrap(),
        product_id: ids::ProductId(Uuid::from_u128(1)),
        name: "Mug".into(),
        quantity: 1,
        price: Money::new(250, Currency::GBP),
    };
    order::Command::Place(Placement {
        number: number.into(),
        customer,
        lines: vec![line],
        country: "Austria".into(),
        contact,
    })
}

/// The last event of a stream.
#[derive(Clone)]
pub(crate) struct Tip {
    pub(crate) stream: String,
    pub(crate) sequence: i64,
    pub(crate) event_id: Option<Uuid>,
}

impl Tip {
    pub(crate) fn new() -> Self {
        Self { stream: ids::new().to_string(), sequence: 0, event_id: None }
    }
}

/// A request that appends one event after `tip`, which moves on.
pub(crate) fn request(tip: &mut Tip) -> Request {
    let mut request = checking(tip);
    let event_id = ids::new();
    request.events.push(NewEvent {
        aggregate_type: "stock",
        aggregate_id: tip.stream.clone(),
        sequence: tip.sequence + 1,
        event_type: "StockReceived".into(),
        event_version: "1".into(),
        payload: r#"{"StockReceived":{"sku":"MUG","location":"main","quantity":1}}"#.into(),
        metadata: "{}".into(),
        event_id,
        occurred_at: soonshop_domain::clock::now(),
    });
    (tip.sequence, tip.event_id) = (tip.sequence + 1, Some(event_id));
    request
}

/// A request that appends nothing and expects the stream at `tip`.
pub(crate) fn checking(tip: &Tip) -> Request {
    Request {
        command_id: ids::new(),
        fingerprint: b"the same request".to_vec(),
        record: false,
        answer: Answer::default(),
        streams: vec![Expected {
            aggregate_type: "stock",
            aggregate_id: tip.stream.clone(),
            sequence: tip.sequence,
            event_id: tip.event_id,
        }],
        claims: Vec::new(),
        frees: Vec::new(),
        claim_keys: Vec::new(),
        events: Vec::new(),
        deadline: Instant::now() + Duration::from_mins(1),
    }
}

/// Submits all at once (on a runtime of one thread: as one batch, as far as they fit together).
pub(crate) async fn submit(
    store: &EventStore,
    requests: Vec<Request>,
) -> Vec<Result<Outcome, soonshop_event_store::AppendError>> {
    let waiting: Vec<_> = requests.into_iter().map(|request| store.appender().submit(request)).collect();
    let mut outcomes = Vec::new();
    for outcome in waiting {
        outcomes.push(outcome.await.unwrap());
    }
    outcomes
}

/// Each outcome as one word.
pub(crate) fn words(outcomes: &[Result<Outcome, soonshop_event_store::AppendError>]) -> Vec<&'static str> {
    let word = |outcome: &Result<Outcome, _>| match outcome {
        Ok(Outcome::Done(_)) => "done",
        Ok(Outcome::Known { .. }) => "known",
        Ok(Outcome::Version { .. }) => "version",
        Ok(Outcome::Claimed { .. }) => "claimed",
        Ok(Outcome::Behind) => "behind",
        Err(_) => "error",
    };
    outcomes.iter().map(word).collect()
}
