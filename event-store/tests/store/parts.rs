//! States that are kept in parts: few parts are in memory and none in snapshots, and every decision is that of the whole
//! state.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use soonshop_domain::inventory::{Command, Error, Event, Stock};
use soonshop_domain::{Decider, Facts, ids};
use soonshop_event_log::Content;
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use soonshop_migrations::Namespace;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Fixture, at, context, on_both, receive, until};

on_both! {
    every_decision_is_that_of_the_whole_state_also_after_a_restart,
    a_line_that_is_not_in_memory_has_its_right_answer,
    a_line_is_reserved_once_however_many_ask_at_once,
    a_snapshot_does_not_grow_with_the_lines,
    a_log_of_an_earlier_release_with_100_000_lines_goes_on,
    an_index_of_parts_that_is_missing_or_lacks_an_event_is_named_with_the_remedy,
}

fn order(number: u128) -> ids::OrderId {
    ids::OrderId(Uuid::from_u128(number))
}

fn reserve(number: u128, quantity: u32) -> Command {
    Command::Reserve { order_id: order(number), line: 1, quantity }
}

fn release(number: u128) -> Command {
    Command::Release { order_id: order(number), line: 1 }
}

fn ship(number: u128) -> Command {
    Command::Ship { order_id: order(number), line: 1 }
}

/// A command that may take as long as a machine that is busy with other tests needs.
fn patient() -> CommandContext {
    CommandContext { deadline: Instant::now() + Duration::from_mins(2), ..context() }
}

/// Whether the command appended events, or why it was refused.
async fn outcome(store: &EventStore, stream: Uuid, command: Command) -> Result<bool, Error> {
    match store.execute::<Stock>(stream, at(command), patient()).await {
        Ok(done) => Ok(done.answer.first_position.is_some()),
        Err(ExecuteError::Rejected(error)) => Err(error),
        Err(error) => panic!("{error:?}"),
    }
}

/// A store like that of a process that was started anew.
async fn restarted(shop: &Fixture, store: EventStore) -> EventStore {
    store.close().await;
    until("the end of the appender", async || EventStore::check_owner(&shop.database).is_ok()).await;
    shop.store()
}

/// A stock of a million, with a line reserved for each of these orders, and a snapshot.
async fn stock(shop: &Fixture, store: &EventStore, orders: std::ops::Range<u128>) -> Uuid {
    let stream = ids::new();
    store.execute::<Stock>(stream, receive(1_000_000), patient()).await.unwrap();
    let reserving = orders.map(|number| outcome(store, stream, reserve(number, 1)));
    assert!(join_all(reserving).await.into_iter().all(|done| done == Ok(true)));
    until("a snapshot", async || shop.number("log", "SELECT count(*) FROM @states").await == 1).await;
    stream
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The model is the aggregate in memory, with all its lines.
async fn every_decision_is_that_of_the_whole_state_also_after_a_restart(shop: Fixture) {
    let mut stores = shop.stores();
    let stream = stock(&shop, &stores[0], 0..450).await;
    let (mut model, _) = stores[0].load::<Stock>(stream).await.unwrap();
    let (mut dice, facts) = (Dice(11), Facts { now: soonshop_domain::clock::now() });
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for step in 0..600 {
        if step % 40 == 39 {
            let store = stores.remove(0);
            stores.push(restarted(&shop, store).await);
        }
        // Some lines are in memory, some are only in the log, and some are in neither.
        let number = u128::from(dice.roll(500));
        let command = match dice.roll(10) {
            0..4 => reserve(number, 1 + u32::try_from(dice.roll(2)).unwrap()),
            4..6 => release(number),
            6..8 => ship(number),
            8 => Command::Receive { quantity: 1 },
            _ => Command::Adjust { quantity: -1, reason: "broken".into() },
        };
        let expected = model.decide(at(command.clone()), &facts);
        let store = &stores[usize::try_from(dice.roll(2)).unwrap() % stores.len()];
        let got = outcome(store, stream, command.clone()).await;
        assert_eq!(
            got,
            expected.as_ref().map(|events| !events.is_empty()).map_err(Clone::clone),
            "{command:?}"
        );
        let kind = expected.as_ref().map_or_else(ToString::to_string, |events| {
            events.first().map_or_else(|| "nothing".to_owned(), |event| event.as_ref().to_owned())
        });
        *kinds.entry(kind).or_default() += 1;
        for event in expected.unwrap_or_default() {
            cqrs_es::Aggregate::apply(&mut model, event);
        }
    }
    assert!(kinds.len() >= 9, "every kind of decision was made: {kinds:?}");
    assert_eq!(shop.store().load::<Stock>(stream).await.unwrap().0, model);
}

async fn a_line_that_is_not_in_memory_has_its_right_answer(shop: Fixture) {
    let mut store = shop.store();
    let stream = stock(&shop, &store, 0..700).await;
    assert_eq!(outcome(&store, stream, release(900)).await, Ok(true), "barred before it was reserved");
    assert_eq!(outcome(&store, stream, ship(1)).await, Ok(true));
    assert_eq!(outcome(&store, stream, release(2)).await, Ok(true));
    let more = (1_000..1_400).map(|number| outcome(&store, stream, reserve(number, 1)));
    assert!(join_all(more).await.into_iter().all(|done| done == Ok(true)));
    for restart in [false, true] {
        if restart {
            store = restarted(&shop, store).await;
        }
        let cases = [
            (reserve(0, 1), Ok(false)),
            (reserve(0, 2), Err(Error::LineReservedDifferently)),
            (reserve(1, 1), Err(Error::LineShipped)),
            (ship(1), Ok(false)),
            (release(1), Err(Error::LineShipped)),
            (reserve(2, 1), Err(Error::LineReleased)),
            (release(2), Ok(false)),
            (ship(2), Err(Error::LineReleased)),
            (reserve(900, 1), Err(Error::LineReleased)),
            (ship(5_000), Err(Error::LineNotReserved)),
        ];
        for (command, expected) in cases {
            assert_eq!(outcome(&store, stream, command.clone()).await, expected, "{command:?}");
        }
    }
    // A line of another stock is another line.
    let other = ids::new();
    store.execute::<Stock>(other, receive(1), patient()).await.unwrap();
    assert_eq!(outcome(&store, other, reserve(0, 1)).await, Ok(true));
}

async fn a_line_is_reserved_once_however_many_ask_at_once(shop: Fixture) {
    let store = shop.store();
    let stream = stock(&shop, &store, 0..600).await;
    store.close().await;
    until("the end of the appender", async || EventStore::check_owner(&shop.database).is_ok()).await;
    let stores = shop.stores();
    // Each of 600 old and 200 new lines is reserved by four callers at once, over all processes.
    let asking = (0..3_200_usize).map(|asked| {
        let number = u128::try_from(asked / 4).unwrap();
        outcome(&stores[asked % stores.len()], stream, reserve(number, 1))
    });
    let appended = join_all(asking).await.into_iter().filter(|done| *done == Ok(true)).count();
    assert_eq!(appended, 200);
    let (whole, version) = stores[0].load::<Stock>(stream).await.unwrap();
    assert_eq!((whole.reserved, version), (800, 801));
}

async fn a_snapshot_does_not_grow_with_the_lines(shop: Fixture) {
    let store = shop.store();
    let stream = stock(&shop, &store, 0..1_000).await;
    let read = "SELECT CAST(state AS TEXT) FROM @states WHERE sequence = 1000";
    let count = "SELECT count(*) FROM @states WHERE sequence = 1000";
    until("the snapshot at 1,000", async || shop.number("log", count).await == 1).await;
    let state = shop.text("log", read).await;
    assert_eq!(state, r#"{"sku":"MUG","location":"main","on_hand":1000000,"reserved":999,"lines":{}}"#);
    let store = restarted(&shop, store).await;
    assert_eq!(store.load::<Stock>(stream).await.unwrap().0.reserved, 1_000, "nothing is lost");
}

const LINES: i64 = 100_000;

/// The log as an earlier release left it: without the index, and with a snapshot that has all lines.
async fn a_log_of_an_earlier_release_with_100_000_lines_goes_on(shop: Fixture) {
    let stream = ids::new();
    let steps = "DELETE FROM soonshop_log_steps WHERE version = '003_parts'";
    shop.run("log", if shop.is_sqlite() { "DROP INDEX stock_parts" } else { "DROP INDEX log.stock_parts" })
        .await;
    assert_eq!(shop.run("log", steps).await, 1);
    shop.run("log", &old_events(&shop, stream)).await;
    let store = {
        let refused = soonshop_migrations::check(Namespace::Log, &shop.db("log").connection).await;
        assert!(matches!(refused, Err(soonshop_migrations::Error::Pending { .. })), "{refused:?}");
        soonshop_migrations::migrate(Namespace::Log, &shop.db("log").connection).await.unwrap();
        shop.store()
    };
    let check = async |store: &EventStore, next: u128| {
        assert_eq!(outcome(store, stream, reserve(77, 1)).await, Ok(false));
        assert_eq!(outcome(store, stream, reserve(77, 2)).await, Err(Error::LineReservedDifferently));
        assert_eq!(outcome(store, stream, ship(next)).await, Ok(true));
        assert_eq!(outcome(store, stream, reserve(next, 1)).await, Err(Error::LineShipped));
        assert_eq!(outcome(store, stream, release(200_000 + next)).await, Ok(true));
        assert_eq!(outcome(store, stream, reserve(200_000 + next, 1)).await, Err(Error::LineReleased));
    };
    check(&store, 5).await;
    let version = Stock::STATE_VERSION;
    let kept = format!("SELECT count(*) FROM @states WHERE sequence >= 20000 AND state_version = {version}");
    until("a snapshot while the stream was read", async || shop.number("log", &kept).await == 1).await;

    // The snapshot of the earlier release.
    let (mut stock, version) = store.load::<Stock>(stream).await.unwrap();
    assert_eq!((stock.on_hand, stock.reserved, version), (LINES + 1_000 - 1, LINES - 1, LINES + 3));
    let store = restarted(&shop, store).await;
    let last = shop.log().stream("stock", &stream.to_string(), version - 1, 1).await.unwrap().remove(0);
    // It differs from the log by seven units more.
    stock.on_hand += 7;
    let state = serde_json::to_string(&stock).unwrap();
    assert!(state.len() > 5_000_000);
    let json = if shop.is_sqlite() { "" } else { "::json" };
    shop.run(
        "log",
        &format!(
            "UPDATE @states SET state_version = 1, sequence = {version}, event_id = '{}', state = '{state}'{json}",
            last.event_id
        ),
    )
    .await;
    check(&store, 6).await;
    assert_eq!(store.version::<Stock>(stream).await.unwrap(), LINES + 5);
    let all = Command::Adjust { quantity: -1_007, reason: "lost".into() };
    assert_eq!(outcome(&store, stream, all).await, Ok(true), "it went on from that snapshot");
    let entries = shop.log().stream("stock", &stream.to_string(), 0, 3).await.unwrap();
    let entries = shop.log().decode(entries).await.unwrap();
    assert!(entries.iter().all(|entry| matches!(entry.content, Content::Event(_))), "the log is as it was");
}

/// A receipt, and a reservation for each of the orders from 1 on, inserted as they are stored.
fn old_events(shop: &Fixture, stream: Uuid) -> String {
    let receipt =
        format!(r#"{{"StockReceived":{{"sku":"MUG","location":"main","quantity":{}}}}}"#, LINES + 1_000);
    let columns = "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                   metadata, position, event_id, occurred_at, recorded_at)";
    let reserved = r#"{"StockReserved":{"sku":"MUG","location":"main","order_id":"00000000-0000-0000-0000-"#;
    let rest = r#"","line":1,"quantity":1}}"#;
    if shop.is_sqlite() {
        format!(
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {LINES}) {columns} \
             SELECT 'stock', '{stream}', n + 1, iif(n = 0, 'StockReceived', 'StockReserved'), '1', \
             iif(n = 0, '{receipt}', '{reserved}' || printf('%012x', n) || '{rest}'), '{{}}', n + 1, \
             '00000000-0000-4000-8000-' || printf('%012x', n), 0, 0 FROM n"
        )
    } else {
        format!(
            "{columns} SELECT 'stock', '{stream}', n + 1, CASE n WHEN 0 THEN 'StockReceived' ELSE 'StockReserved' END, '1', \
             (CASE n WHEN 0 THEN '{receipt}' ELSE '{reserved}' || lpad(to_hex(n), 12, '0') || '{rest}' END)::json, '{{}}', \
             n + 1, ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), now() \
             FROM generate_series(0, {LINES}) n"
        )
    }
}

async fn an_index_of_parts_that_is_missing_or_lacks_an_event_is_named_with_the_remedy(shop: Fixture) {
    let defect = async || soonshop_event_log::parts::defect(&shop.log()).await.unwrap();
    assert_eq!(defect().await, None);
    let store = shop.store();
    let stream = ids::new();
    store.execute::<Stock>(stream, receive(9), context()).await.unwrap();
    assert_eq!(outcome(&store, stream, reserve(1, 1)).await, Ok(true));
    assert_eq!(defect().await, None);
    if !shop.is_sqlite() {
        let ready = |ready: bool| {
            format!("UPDATE pg_index SET indisready = {ready} WHERE indexrelid = 'log.stock_parts'::regclass")
        };
        assert_eq!(shop.run("log", &ready(false)).await, 1);
        assert!(defect().await.unwrap().contains("missing or invalid"));
        store.close().await;
        let store = shop.store();
        assert_eq!(outcome(&store, stream, reserve(2, 1)).await, Ok(true), "the event is not in the index");
        shop.run("log", &ready(true)).await;
        let message = defect().await.unwrap();
        assert!(
            message.contains("lacks an event") && message.contains("REINDEX INDEX log.stock_parts"),
            "{message}"
        );
        shop.run("log", "REINDEX INDEX log.stock_parts").await;
        assert_eq!(defect().await, None);
    }
    shop.run("log", if shop.is_sqlite() { "DROP INDEX stock_parts" } else { "DROP INDEX log.stock_parts" })
        .await;
    let message = defect().await.unwrap();
    assert!(
        message.contains("stock_parts")
            && message.contains("003_parts")
            && message.contains("soonshop migrate"),
        "{message}"
    );
    shop.run("log", "DELETE FROM soonshop_log_steps WHERE version = '003_parts'").await;
    soonshop_migrations::migrate(Namespace::Log, &shop.db("log").connection).await.unwrap();
    assert_eq!(defect().await, None);
}

/// With the statistics of an empty table, with none, and with those of a table of one long stream.
#[tokio::test]
async fn a_part_is_read_through_its_index_however_long_the_stream_is() {
    let shop = Fixture::postgres().await;
    let stream = ids::new();
    let sql = shop.log().part_sql("stock", Stock::PART_KEY);
    let sql = shop.db("log").sql(&sql).replace("$1", "'x/1'").replace("$2", &format!("'{stream}'"));
    let plan = async || {
        let mut connection = shop.raw().await;
        let lines: Vec<String> =
            sqlx::query_scalar(&format!("EXPLAIN {sql}")).fetch_all(&mut connection).await.unwrap();
        lines.join("\n")
    };
    shop.run("log", &old_events(&shop, stream)).await;
    for analyze in [false, true] {
        if analyze {
            shop.run("log", "ANALYZE log.events").await;
        }
        let plan = plan().await;
        assert!(
            plan.contains("stock_parts") && !plan.contains("events_pkey") && !plan.contains("Seq"),
            "{plan}"
        );
    }
}

/// The index and the code name the same fields, in every version in which an event was ever stored.
async fn found_by_key(shop: &Fixture) {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../domain/tests/golden/events");
    let mut position = 0;
    for file in std::fs::read_dir(golden).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let payload = std::fs::read_to_string(&path).unwrap();
        let Some(Ok(event)) = soonshop_domain::Event::decode("stock", payload.trim()) else { continue };
        let event: Event = event.downcast().unwrap();
        let (kind, version) = name.split_once(".v").unwrap();
        position += 1;
        let (stream, id) = (ids::new().to_string(), ids::new());
        let (json, moment) = if shop.is_sqlite() { ("", "0") } else { ("::json", "now()") };
        let insert = format!(
            "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
             position, event_id, occurred_at, recorded_at) VALUES ('stock', '{stream}', 1, '{kind}', '{version}', \
             '{payload}'{json}, '{{}}', {position}, '{id}', {moment}, {moment})"
        );
        shop.run("log", &insert).await;
        let Some(key) = Stock::part_changed(&event) else { continue };
        let found = shop.log().part("stock", Stock::PART_KEY, &stream, &key).await.unwrap();
        assert_eq!(found.iter().map(|row| row.event_id).collect::<Vec<_>>(), [id], "{name}");
    }
    assert!(position >= 6, "{position} events of stock were stored");
}

#[tokio::test]
async fn every_stored_version_of_an_event_is_found_by_its_key() {
    found_by_key(&Fixture::sqlite().await).await;
    found_by_key(&Fixture::postgres().await).await;
}
