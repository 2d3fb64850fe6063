//! The figures, each beside its baseline in the same run: `make bench`. Medians over rounds; they report and never
//! fail. `BENCH_ONLY=append,read` runs some of them; `BENCH_SECONDS` is the length of one round.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a report on standard output; what fails has failed"
)]

#[path = "../integration/support.rs"]
#[expect(dead_code, reason = "the benchmarks use a part of what the tests use")]
mod support;

#[path = "bench/floor.rs"]
mod floor;
#[path = "bench/identity.rs"]
mod identity;
#[path = "bench/lines.rs"]
mod lines;
#[path = "bench/orders.rs"]
mod orders;
#[path = "bench/readers.rs"]
mod readers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_es::persist::{PersistedEventRepository as _, SerializedEvent};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::json;
use soonshop::{Role, Shop, import, migrate};
use soonshop_bus::Message;
use soonshop_domain::inventory::{At, Command, MAIN, Stock, StockPlace};
use soonshop_domain::text::Sku;
use soonshop_domain::{Actor, Channel, Metadata, ids};
use soonshop_event_log::seal::{Positions, Verdict, check};
use soonshop_event_store::{CommandContext, EventStore};
use soonshop_workers::sealer::Sealer;
use support::{Place, Process, Set, TestShop, free_port, server};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The allocator of the binaries.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;

fn seconds() -> Duration {
    let text = std::env::var("BENCH_SECONDS").unwrap_or_default();
    Duration::from_secs_f64(text.parse().unwrap_or(3.0))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((values.len() as f64) * share) as usize;
    values[index.min(values.len() - 1)]
}

fn row(what: &str, ours: f64, unit: &str, baseline: &str, theirs: f64) {
    println!("| {what} | {ours:.0} {unit} | {theirs:.0} {unit} ({baseline}) | {:.2} |", ours / theirs);
}

/// Calls per second of `callers` tasks that call one after the other for the length of a round.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn rate<F: Future<Output = ()> + Send + 'static>(
    callers: usize,
    call: impl Fn(usize, u64) -> F,
) -> f64 {
    let begun = Instant::now();
    let limit = seconds();
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let call = &call;
        let done = Arc::clone(&done);
        tasks.push(async move {
            let mut number = 0;
            while begun.elapsed() < limit {
                call(caller, number).await;
                number += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    futures::future::join_all(tasks).await;
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn metadata() -> Metadata {
    let actor = Actor::guest("anonymous");
    Metadata {
        correlation_id: Some(ids::new()),
        command_type: Some("stock.receive".to_owned()),
        actor_kind: Some(actor.kind),
        actor_id: Some(actor.id),
        channel: Some(Channel::Api),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        ..Metadata::default()
    }
}

async fn receive(store: &EventStore, sku: &Sku) {
    let place = StockPlace { sku: sku.clone(), location: MAIN.to_owned() };
    let stream = soonshop_domain::inventory::stream(sku, MAIN);
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata());
    store
        .execute::<Stock>(stream, At { place, command: Command::Receive { quantity: 1 } }, context)
        .await
        .unwrap();
}

async fn postgres_shop() -> (Place, Shop) {
    let place = Place::new(Set::Nats).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    (place, shop)
}

async fn append() {
    let (place, shop) = postgres_shop().await;
    let store = shop.event_store().unwrap();
    let pool =
        sqlx::postgres::PgPoolOptions::new().max_connections(32).connect(&place.config.store).await.unwrap();
    for sql in [
        "CREATE SCHEMA theirs",
        "CREATE TABLE theirs.events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint NOT NULL, \
         event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL, \
         PRIMARY KEY (aggregate_type, aggregate_id, sequence))",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let theirs = Arc::new(
        postgres_es::PostgresEventRepository::new(pool.clone())
            .with_tables("theirs.events", "theirs.snapshots"),
    );
    let payload = json!({"StockReceived": {"sku": "S-1-1", "location": "main", "quantity": 1}});
    let full = serde_json::to_value(metadata()).unwrap();
    for callers in [1, 8, 32, 256] {
        let (mut ours, mut other) = (Vec::new(), Vec::new());
        // Creates the streams first: only appends are measured.
        for caller in 0..callers {
            receive(&store, &Sku::try_new(&format!("S-{callers}-{caller}")).unwrap()).await;
        }
        for _ in 0..ROUNDS {
            ours.push(
                rate(callers, |caller, _| {
                    let store = store.clone();
                    let sku = Sku::try_new(&format!("S-{callers}-{caller}")).unwrap();
                    async move { receive(&store, &sku).await }
                })
                .await,
            );
            let run = Uuid::new_v4();
            other.push(
                rate(callers, |caller, number| {
                    let (theirs, payload, metadata) = (Arc::clone(&theirs), payload.clone(), full.clone());
                    async move {
                        let event = SerializedEvent {
                            aggregate_id: format!("{run}-{caller}"),
                            sequence: usize::try_from(number).unwrap() + 1,
                            aggregate_type: "stock".to_owned(),
                            event_type: "StockReceived".to_owned(),
                            event_version: "1".to_owned(),
                            payload,
                            metadata,
                        };
                        theirs.persist::<Stock>(&[event], None).await.unwrap();
                    }
                })
                .await,
            );
        }
        let what = format!("append with checks, command record, full metadata, {callers} callers");
        row(&what, median(ours), "/s", "postgres-es 0.5 repository, 32 connections", median(other));
    }
    floor::floor(&place.config.store, &pool).await;
    read(&store, &pool).await;
    seal(&shop).await;
    store.close().await;
    pool.close().await;
    place.remove().await;
}

/// Reads what `append` wrote: decoded and typed, against binary COPY out of the same rows.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn read(store: &EventStore, pool: &sqlx::PgPool) {
    let head = store.log().head().await.unwrap().position;
    let events = head as f64;
    let (mut ours, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut pages = store.log().read_all(0, 5_000);
        let mut seen = 0;
        loop {
            let page = pages.next().await.unwrap();
            if page.is_empty() {
                break;
            }
            seen += page.len();
        }
        assert_eq!(i64::try_from(seen).unwrap(), head);
        ours.push(events / begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let mut connection = pool.acquire().await.unwrap();
        let mut copy = connection.copy_out_raw("COPY log.events TO STDOUT (FORMAT BINARY)").await.unwrap();
        let mut bytes = 0;
        while let Some(chunk) = copy.next().await {
            bytes += chunk.unwrap().len();
        }
        assert!(bytes > 0);
        copies.push(events / begun.elapsed().as_secs_f64());
    }
    let what = format!("read the log in order, decoded, {events} events");
    row(&what, median(ours), "/s", "binary COPY of the same rows", median(copies));
}

/// Seals what `append` wrote, and checks it.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn seal(shop: &Shop) {
    let (log, seals) = (shop.log().unwrap(), shop.seals().unwrap());
    let head = log.head().await.unwrap().position;
    let sealer = Sealer {
        name: soonshop_workers::sealer::NAME,
        log: log.clone(),
        seals: seals.clone(),
        process: shop.store_database.namespace("process").unwrap(),
        keys: shop.seal_keys().unwrap(),
        appended: tokio::sync::watch::channel(0).1,
        holder: shop.holder.clone(),
    };
    let begun = Instant::now();
    let stop = CancellationToken::new();
    let running = tokio::spawn(sealer.run(stop.clone()));
    while seals.last().await.unwrap().is_none_or(|seal| seal.unwrap().last < head) {
        tokio::task::yield_now().await;
    }
    let sealed = head as f64 / begun.elapsed().as_secs_f64();
    stop.cancel();
    running.await.unwrap();
    let mut checked = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let report = check(&log, &seals, Positions::ALL, None).await.unwrap();
        assert_eq!((report.verdict, report.rows), (Verdict::Intact, head));
        checked.push(head as f64 / begun.elapsed().as_secs_f64());
    }
    println!("| seal a backlog of {head} events | {sealed:.0} /s | | |");
    println!("| check log and seals, {head} events | {:.0} /s | ≥ 300000 /s (goal) | |", median(checked));
}

const MESSAGES: usize = 20_000;

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn through_port(url: &str, bytes: usize) -> f64 {
    let bus = soonshop_bus::connect(url).unwrap();
    let subscription = bus.subscribe("bench").await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let body = bytes::Bytes::from(vec![b'x'; bytes]);
    let begun = Instant::now();
    let mut flight = FuturesUnordered::new();
    for number in 0..MESSAGES {
        let message = Message {
            id: format!("{}-{number}", Uuid::new_v4()),
            topic: "order.OrderPlaced".to_owned(),
            body: body.clone(),
        };
        flight.push(publisher.send(message).await.unwrap());
        if flight.len() >= 1_000 {
            flight.next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = flight.next().await {
        done.unwrap();
    }
    let rate = MESSAGES as f64 / begun.elapsed().as_secs_f64();
    drop(subscription);
    bus.remove("bench").await.unwrap();
    rate
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn bare_rabbit(url: &str, bytes: usize, as_ours: bool) -> f64 {
    use lapin::options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    };
    use lapin::types::AMQPValue::{LongLongInt, LongString};
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let nothing = lapin::types::FieldTable::default;
    let mut arguments = nothing();
    arguments.insert("x-queue-type".into(), LongString("quorum".into()));
    if as_ours {
        arguments.insert("x-max-length".into(), LongLongInt(1_000_000));
        arguments.insert("x-overflow".into(), LongString("drop-head".into()));
        arguments.insert("x-message-ttl".into(), LongLongInt(3_600_000));
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("bare".into(), options, arguments).await.unwrap();
    let (exchange, key) = if as_ours { ("bare", "order.OrderPlaced") } else { ("", "bare") };
    if as_ours {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let topic = lapin::ExchangeKind::Topic;
        channel.exchange_declare(exchange.into(), topic, durable, nothing()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel.queue_bind("bare".into(), exchange.into(), "#".into(), bind, nothing()).await.unwrap();
    }
    let body = vec![b'x'; bytes];
    let begun = Instant::now();
    let mut flight = FuturesUnordered::new();
    for number in 0..MESSAGES {
        let mut properties = lapin::BasicProperties::default().with_delivery_mode(2);
        if as_ours {
            let id = format!("{}-{number}", Uuid::new_v4());
            properties = properties
                .with_message_id(id.into())
                .with_content_type("application/cloudevents+json".into());
        }
        let options = BasicPublishOptions { mandatory: as_ours, ..BasicPublishOptions::default() };
        let sent = channel.basic_publish(exchange.into(), key.into(), options, &body, properties);
        flight.push(sent.await.unwrap());
        if flight.len() >= 1_000 {
            flight.next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = flight.next().await {
        done.unwrap();
    }
    let rate = MESSAGES as f64 / begun.elapsed().as_secs_f64();
    channel.queue_delete("bare".into(), QueueDeleteOptions::default()).await.unwrap();
    rate
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn bare_nats(url: &str, bytes: usize) -> f64 {
    // The client does not take a login from a URL.
    let address = url::Url::parse(url).unwrap();
    let (user, password) = (address.username().to_owned(), address.password().unwrap_or_default().to_owned());
    let login = async_nats::ConnectOptions::with_user_and_password(user, password);
    let client = login.connect(url).await.unwrap();
    let stream = format!("BARE{}", Uuid::new_v4().simple());
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: stream.clone(),
        subjects: vec![format!("{stream}.>")],
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let body = bytes::Bytes::from(vec![b'x'; bytes]);
    let begun = Instant::now();
    let mut flight = FuturesUnordered::new();
    for _ in 0..MESSAGES {
        let sent = jetstream.publish(format!("{stream}.a"), body.clone()).await.unwrap();
        flight.push(sent.into_future());
        if flight.len() >= 1_000 {
            flight.next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = flight.next().await {
        done.unwrap();
    }
    let rate = MESSAGES as f64 / begun.elapsed().as_secs_f64();
    jetstream.delete_stream(&stream).await.unwrap();
    rate
}

async fn relay() {
    for bytes in [300, 1_000] {
        let rabbit = Place::new(Set::Rabbit).await;
        let (mut ours, mut bare, mut alike) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(through_port(&rabbit.config.bus, bytes).await);
            bare.push(bare_rabbit(&rabbit.config.bus, bytes, false).await);
            alike.push(bare_rabbit(&rabbit.config.bus, bytes, true).await);
        }
        let what = format!("publish with confirms in flight, RabbitMQ quorum queue, one queue, {bytes} B");
        let ours = median(ours);
        row(&what, ours, "/s", "bare lapin", median(bare));
        row(&what, ours, "/s", "bare lapin with our exchange, queue and properties", median(alike));
        rabbit.remove().await;
        let nats = Place::new(Set::Nats).await;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(through_port(&nats.config.bus, bytes).await);
            bare.push(bare_nats(&server("NATS_URL"), bytes).await);
        }
        let what = format!("publish with acks in flight, JetStream file, one consumer, {bytes} B");
        row(&what, median(ours), "/s", "bare async-nats", median(bare));
        nats.remove().await;
    }
}

/// From sending a command to reading its effect, over HTTP, on real servers.
async fn latency() {
    for set in [Set::Rabbit, Set::Nats, Set::Embedded] {
        let shop = TestShop::start(set).await;
        let (id, _) = shop.client.product("LAT", "Latency", 100, 0).await;
        let mut milliseconds = Vec::new();
        for round in 0..300 {
            let body = json!({"sku": "LAT", "price": {"amount": 200 + round, "currency": "GBP"}});
            let begun = Instant::now();
            let position = shop.client.post(&format!("/products/{id}/prices"), &body).await.position();
            let seen = shop.client.get_at(&format!("/products/{id}"), &position).await.expect(200).json();
            milliseconds.push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert_eq!(seen["price"]["amount"], 200 + round);
        }
        let (middle, high) = (percentile(&mut milliseconds, 0.5), percentile(&mut milliseconds, 0.99));
        println!(
            "| command to visible over HTTP, {set:?}, idle | p50 {middle:.1} ms, p99 {high:.1} ms | ≤ 50 ms (goal, p99) | |"
        );
        shop.stop().await;
    }
}

/// A real shop's half year goes in as commands; then each read model is rebuilt from the log, beside a bulk write of
/// the same rows with their keys and indexes.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn rebuilding() {
    let (place, shop) = postgres_shop().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/online-retail/2010-12_2011-06.csv.gz");
    let options = import::Options { files: vec![file.into()], quiet: true, ..import::Options::default() };
    let begun = Instant::now();
    let report = import::run(&shop, &options).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let events = shop.log().unwrap().head().await.unwrap().position as f64;
    let rows = report.rows as f64;
    println!(
        "| import of half a year, {rows} rows | {:.0} rows/s, {:.0} events/s | | |",
        rows / seconds,
        events / seconds
    );
    let registry = shop.registry().unwrap();
    let db = registry.operations().connection.clone();
    for projector in soonshop_projections::all() {
        let (mut rebuilt, mut there, mut sent, mut written) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for _ in 0..ROUNDS {
            let (name, seconds) = rebuilt_once(&shop, &registry, &projector).await;
            rebuilt.push(seconds);
            let (mut copies, mut bulks) = (0.0, 0.0);
            written = 0;
            for table in projector.tables() {
                let keys = table.keys().join(", ");
                let of_table = |sql: &&str| sql.contains(&format!("@{} ", table.name()));
                let indexes: Vec<&str> = projector.indexes().iter().copied().filter(of_table).collect();
                copies += copy_time(&db, &name, &table.name(), &keys, &indexes).await;
                let (seconds, rows) = bulk_written(&db, &name, &table.name(), &keys, &indexes).await;
                bulks += seconds;
                written += rows;
            }
            there.push(copies);
            sent.push(bulks);
            let drop = format!("DROP SCHEMA copy_{name} CASCADE; DROP SCHEMA sent_{name} CASCADE");
            db.execute_unprepared(&drop).await.unwrap();
        }
        let (rebuilt, there, sent) = (median(rebuilt), median(there), median(sent));
        let rows = |seconds: f64| written as f64 / seconds;
        println!(
            "| rebuild {}, {written} rows in {rebuilt:.1} s | {:.0} events/s, {:.0} rows/s | {:.0} rows/s (bulk write of \
             the same rows by a client, then keys and indexes) | {:.2} |",
            projector.name(),
            events / rebuilt,
            rows(rebuilt),
            rows(sent),
            sent / rebuilt
        );
        println!(
            "| the same | {:.0} rows/s | {:.0} rows/s (copy of the same rows inside the server, keys and indexes) | {:.2} |",
            rows(rebuilt),
            rows(there),
            there / rebuilt
        );
    }
    place.remove().await;
}

/// The namespace of a new generation, and the seconds that it takes to fold the log into it and to build its indexes.
async fn rebuilt_once(
    shop: &Shop,
    registry: &soonshop_projections::Registry,
    projector: &Arc<dyn soonshop_projections::Projector>,
) -> (String, f64) {
    use soonshop_projections::runner::{Follower, Poison, ROWS};
    use soonshop_replay_tool::rebuild::{CHUNK, KEPT, Pages};

    let generation = registry.create(&**projector).await.unwrap();
    let name = generation.namespace();
    let follower = Follower {
        projector: Arc::clone(projector),
        generation,
        registry: registry.clone(),
        feed: soonshop_projections::Feed::new(shop.log().unwrap()),
        holder: "bench".to_owned(),
    };
    let lease = follower.leases().take(&follower.name(ROWS)).await.unwrap();
    settled(&registry.operations().connection).await;
    let begun = Instant::now();
    let mut fold = follower.fold(&lease, Poison::Stop).await.unwrap();
    fold.keep(KEPT);
    let mut pages = Pages::after(&shop.log().unwrap(), 0, CHUNK);
    loop {
        let page = pages.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        fold.take(&page).await.unwrap();
    }
    fold.index().await.unwrap();
    (name, begun.elapsed().as_secs_f64())
}

/// Waits until earlier writes are on disk, so that they do not slow this measurement.
async fn settled(db: &DatabaseConnection) {
    db.execute_unprepared("CHECKPOINT").await.unwrap();
}

/// Seconds that a copy of a table takes inside the server, with its keys and indexes.
async fn copy_time(db: &DatabaseConnection, name: &str, table: &str, keys: &str, indexes: &[&str]) -> f64 {
    settled(db).await;
    let begun = Instant::now();
    for sql in [
        format!("CREATE SCHEMA IF NOT EXISTS copy_{name}"),
        format!("CREATE TABLE copy_{name}.{table} AS SELECT * FROM {name}.{table}"),
        format!("ALTER TABLE copy_{name}.{table} ADD PRIMARY KEY ({keys})"),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
    for index in indexes {
        db.execute_unprepared(&index.replace('@', &format!("copy_{name}."))).await.unwrap();
    }
    begun.elapsed().as_secs_f64()
}

/// Seconds that a client takes to write a table that it has in memory, by binary COPY, and the server to build its keys
/// and indexes; and how many rows there are.
async fn bulk_written(
    db: &DatabaseConnection,
    name: &str,
    table: &str,
    keys: &str,
    indexes: &[&str],
) -> (f64, u64) {
    let mut client = db.get_postgres_connection_pool().acquire().await.unwrap();
    let mut out =
        client.copy_out_raw(&format!("COPY {name}.{table} TO STDOUT (FORMAT BINARY)")).await.unwrap();
    let mut held = Vec::new();
    while let Some(chunk) = out.next().await {
        held.push(chunk.unwrap());
    }
    drop(out);
    settled(db).await;
    let begun = Instant::now();
    for sql in [
        format!("CREATE SCHEMA IF NOT EXISTS sent_{name}"),
        format!("CREATE TABLE sent_{name}.{table} (LIKE {name}.{table} INCLUDING COMPRESSION)"),
    ] {
        db.execute_unprepared(&sql).await.unwrap();
    }
    let mut copy =
        client.copy_in_raw(&format!("COPY sent_{name}.{table} FROM STDIN (FORMAT BINARY)")).await.unwrap();
    // In messages of a size that serves the server best, as clients do.
    let mut message = Vec::with_capacity(MESSAGE + 4_096);
    for chunk in held {
        message.extend_from_slice(&chunk);
        if message.len() >= MESSAGE {
            copy.send(message.as_slice()).await.unwrap();
            message.clear();
        }
    }
    copy.send(message.as_slice()).await.unwrap();
    let rows = copy.finish().await.unwrap();
    db.execute_unprepared(&format!("ALTER TABLE sent_{name}.{table} ADD PRIMARY KEY ({keys})"))
        .await
        .unwrap();
    for index in indexes {
        db.execute_unprepared(&index.replace('@', &format!("sent_{name}."))).await.unwrap();
    }
    (begun.elapsed().as_secs_f64(), rows)
}

/// Bytes of one message of a client's COPY.
const MESSAGE: usize = 64 * 1_024;

/// How many copies of the half year the log holds for the measurement of the audit trail: a million events.
const TIMES: i64 = 5;

/// Asks for each of these pages.
const ASKED: usize = 60;

/// The audit trail of a million events: the real shop's half year, again and again with other streams and ids.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn audit() {
    let (place, shop) = postgres_shop().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/online-retail/2010-12_2011-06.csv.gz");
    let options = import::Options { files: vec![file.into()], quiet: true, ..import::Options::default() };
    import::run(&shop, &options).await.unwrap();
    let log = shop.log().unwrap();
    let once = log.head().await.unwrap().position;
    for round in 1..TIMES {
        let sql = format!(
            "INSERT INTO log.events SELECT aggregate_type, md5(aggregate_id || {round})::uuid::text, sequence, event_type, \
             event_version, payload, metadata, position + {once} * {round}, md5(event_id::text || {round})::uuid, \
             occurred_at, recorded_at FROM log.events WHERE position <= {once}"
        );
        log.db().connection.execute_unprepared(&sql).await.unwrap();
    }
    log.db().connection.execute_unprepared("ANALYZE log.events").await.unwrap();
    let head = log.head().await.unwrap().position;
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let contexts = soonshop::contexts(None).unwrap();
    // No reactor: it would take the existing orders for new ones, and the log would grow.
    let options = |role| soonshop::serve::Options { role, contexts: contexts.clone(), listen };
    let trail: Vec<Arc<dyn soonshop_projections::Projector>> =
        vec![Arc::new(soonshop_projections::audit::Audit)];
    let begun = Instant::now();
    let projecting = soonshop::serve::start(shop.clone(), options(Role::Projector), trail).await.unwrap();
    let running = soonshop::serve::start(shop.clone(), options(Role::QueryApi), Vec::new()).await.unwrap();
    let token = shop.operator_token().unwrap();
    let client = support::Client::new(&format!("http://{}", running.address), &token);
    support::eventually("all of it is there", Duration::from_mins(15), async || {
        let got = client.look("/api/audit/timeline?limit=1").await;
        got.status == 200 && got.header("event-position") == format!("main:{head}")
    })
    .await;
    println!(
        "| audit trail of {head} events, caught up as a live follower | {:.0} /s | | |",
        head as f64 / begun.elapsed().as_secs_f64()
    );
    pages(&client, once).await;
    exported(&client, head).await;
    running.stop().await.unwrap();
    projecting.stop().await.unwrap();
    seal(&shop).await;
    place.remove().await;
}

/// Measures the time of pages, as the client sees it.
async fn pages(client: &support::Client, once: i64) {
    let one = |items: &serde_json::Value, name: &str| items[0][name].as_str().unwrap_or_default().to_owned();
    let order = client.look("/api/audit/timeline?type=OrderPlaced&limit=1").await.json()["items"].clone();
    let stock = client.look("/api/audit/timeline?type=StockReserved&limit=1").await.json()["items"].clone();
    let deep = once / 2;
    let (stream, correlation) = (one(&stock, "aggregate_id"), one(&order, "correlation_id"));
    for (what, path, goal) in [
        ("the newest page", "/audit/timeline".to_owned(), 150),
        ("a page deep inside", format!("/audit/timeline?before={deep}"), 150),
        ("the newest page by command", "/audit/timeline?group=1".to_owned(), 150),
        ("type:Stock*", "/audit/timeline?q=type:Stock*".to_owned(), 150),
        ("a rare type", "/audit/timeline?q=type:OrderCancelled".to_owned(), 150),
        ("a kind of actor", "/audit/timeline?actor=system".to_owned(), 150),
        ("one aggregate's events", format!("/audit/timeline?id={}", one(&order, "aggregate_id")), 150),
        ("created:last:24h", "/audit/timeline?q=created:last:24h".to_owned(), 150),
        ("amount:>100", "/audit/timeline?q=amount:%3E100".to_owned(), 150),
        ("an amount that is nowhere", "/audit/timeline?q=amount:%3E99999999".to_owned(), 150),
        ("a text that is everywhere", "/audit/timeline?q=main".to_owned(), 150),
        ("a text that is nowhere", "/audit/timeline?q=weathercock".to_owned(), 150),
        ("an order at its first version", format!("/audit/a/order/{}?v=1", one(&order, "aggregate_id")), 100),
        ("a stock at its last version", format!("/audit/a/stock/{stream}"), 100),
        ("all that followed from a request", format!("/audit/c/{correlation}"), 200),
        ("the overview", "/audit".to_owned(), 150),
    ] {
        let mut milliseconds = Vec::new();
        for _ in 0..ASKED {
            let begun = Instant::now();
            let status = client.look(&path).await.status.as_u16();
            milliseconds.push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert!(status == 200 || status == 503, "{path}: {status}");
        }
        let (middle, high) = (percentile(&mut milliseconds, 0.5), percentile(&mut milliseconds, 0.95));
        println!("| audit: {what} | p50 {middle:.0} ms, p95 {high:.0} ms | ≤ {goal} ms (goal, p95) | |");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn exported(client: &support::Client, head: i64) {
    for kind in ["ndjson", "csv", "ndjson?changes=0", "csv?changes=0"] {
        let begun = Instant::now();
        // Longer than tests wait for anything.
        let patient = reqwest::Client::builder().timeout(Duration::from_mins(10)).no_proxy().build().unwrap();
        let request = patient.get(format!("{}/api/audit/export.{kind}", client.base));
        let got = request.bearer_auth(&client.token).send().await.unwrap().error_for_status().unwrap();
        let bytes = got.bytes().await.unwrap().len();
        assert!(bytes > 1_000_000, "{bytes}");
        let rate = head as f64 / begun.elapsed().as_secs_f64();
        println!("| audit: export of {head} rows as {kind} | {rate:.0} /s | ≥ 20000 /s (goal) | |");
    }
}

/// Measures the time from the command to readiness, and the memory of an idle shop.
fn start_up() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().display();
    let config = soonshop::Config {
        store: format!("sqlite://{folder}"),
        read_models: None,
        keys: None,
        erasures: None,
        bus: "in-process:".to_owned(),
        cache: "moka:".to_owned(),
        search: format!("tantivy://{folder}/search"),
        master_key_file: place.path().join("master.key"),
        seal_key_file: place.path().join("seal.key"),
        operator_token_file: place.path().join("operator.token"),
        name: "bench".to_owned(),
        keep_records_days: soonshop::KEEP_RECORDS_DAYS,
        keep_process_records_days: soonshop::KEEP_PROCESS_RECORDS_DAYS,
        erase_within_days: soonshop::ERASE_WITHIN_DAYS,
        cancel_unshipped_after_days: 0,
        cart_days: 30,
        payments: None,
        mail: soonshop::MailSettings::default(),
        connections: soonshop::ConnectionSettings::default(),
        rates: soonshop::RateOptions::off(),
        factors: soonshop::FactorSettings::default(),
        sign_in: soonshop::ProviderOptions::default(),
        sessions: soonshop::SessionSettings::default(),
        work: soonshop_service_kit::work::Bounds::default(),
    };
    let (mut starts, mut memory) = (Vec::new(), Vec::new());
    let migrated = Process::start(&config, "bench", &["migrate"]);
    assert_eq!(migrated.wait(), Some(0));
    for _ in 0..5 {
        let port = free_port();
        let begun = Instant::now();
        let process = Process::start(&config, "bench", &["serve", "--listen", &format!("127.0.0.1:{port}")]);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::hint::spin_loop();
        }
        starts.push(begun.elapsed().as_secs_f64() * 1_000.0);
        let idle = Instant::now();
        while idle.elapsed() < Duration::from_secs(3) {
            std::thread::yield_now();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        memory.push(kib / 1024.0);
        assert_eq!(process.stop(), Some(0));
    }
    println!("| start of the embedded shop | {:.0} ms | ≤ 300 ms (goal) | |", median(starts));
    println!("| memory of the embedded shop, idle | {:.0} MiB | ≤ 80 MiB (goal) | |", median(memory));
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let expected = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("\n{build} build, medians of {ROUNDS} rounds of {:?}\n", seconds());
    println!("| what | SoonShop | baseline | ratio |\n|---|---|---|---|");
    if expected("append") {
        append().await;
    }
    if expected("lines") {
        lines::lines().await;
    }
    if expected("orders") {
        orders::orders().await;
    }
    if expected("relay") {
        relay().await;
    }
    if expected("rebuild") {
        rebuilding().await;
    }
    if expected("audit") {
        audit().await;
    }
    if expected("readers") {
        readers::readers().await;
    }
    if expected("identity") {
        Box::pin(identity::identity()).await;
    }
    if expected("latency") {
        latency().await;
    }
    if expected("start") {
        start_up();
    }
}
