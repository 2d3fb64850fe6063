//! Read models are rebuilt, verified, swapped and rolled back while the shop sells; and runs are killed, run twice,
//! lose their lease and are stopped.

use std::process::{Child, Command, Output as Ran, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::migrate;
use soonshop_domain::{Event, order};
use soonshop_event_log::{Db, RecordedEvent};
use soonshop_projections::order::Orders;
use soonshop_projections::projector::{Failure as Unprojectable, PersonalColumns, TableOf, Unit, Wants};
use soonshop_projections::{Projector, operations};
use soonshop_replay_tool::output::ShowProgress;
use soonshop_replay_tool::verify::Against;
use soonshop_replay_tool::{Failure, Output, Stop, Tool, exit, parked, rebuild, swap, verify};
use uuid::Uuid;

use crate::support::{Place, Set, TestShop, built, eventually};

/// The tool in this process, with these projectors.
pub(crate) async fn tool(place: &Place, projectors: Vec<Arc<dyn Projector>>) -> Tool {
    let config = soonshop_replay_tool::Config {
        store: place.config.store.clone(),
        read_models: None,
        keys: None,
        cache: place.config.cache.clone(),
        search: place.config.search.clone(),
        master_key_file: place.config.master_key_file.clone(),
    };
    Tool::open(&config, projectors, Output::new(false, ShowProgress::None), Stop::default()).await.unwrap()
}

/// The tool as a process of its own.
pub(crate) fn command(place: &Place, args: &[&str]) -> Command {
    command_on(place, &place.config.store, args)
}

/// The same with another address of the store.
pub(crate) fn command_on(place: &Place, store: &str, args: &[&str]) -> Command {
    let mut command = Command::new(built("replay-tool"));
    command
        .args(args)
        .args(["--store", store, "--cache", &place.config.cache])
        .args(["--search", &place.config.search, "--progress", "none"])
        .arg("--master-key-file")
        .arg(&place.config.master_key_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) async fn ran(place: &Place, args: &[&str]) -> Ran {
    let mut command = command(place, args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Every line of `--json`, each of which must parse; the last says how it ended.
pub(crate) fn lines(ran: &Ran) -> Vec<Value> {
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        assert_eq!(line["schema"], 1, "{line}");
    }
    let kind = lines.last().expect("there is at least the last line")["message_type"].as_str().unwrap();
    assert!(["summary", "exit_error"].contains(&kind), "{text}");
    lines
}

pub(crate) fn code(ran: &Ran) -> i32 {
    ran.status.code().unwrap_or_else(|| panic!("no exit code: {}", String::from_utf8_lossy(&ran.stderr)))
}

fn order_of(sku: &str) -> Value {
    json!({"lines": [{"sku": sku, "quantity": 1}], "country": "France", "contact": {"name": "Ada Lovelace"}})
}

/// A shop that has sold something.
pub(crate) async fn sold(set: Set, orders: usize) -> TestShop {
    let shop = TestShop::start(set).await;
    shop.client.product("TEA", "Green tea", 450, 100_000).await;
    shop.client.product("POT", "Teapot", 2_500, 100_000).await;
    sell(&shop, orders).await;
    shop.settle().await;
    shop
}

pub(crate) async fn sell(shop: &TestShop, orders: usize) {
    let bodies = [order_of("TEA"), order_of("POT")];
    let place = async |number: usize| {
        let key = Uuid::new_v4().to_string();
        let headers = [("idempotency-key", key.as_str())];
        let send = || shop.client.send(Method::POST, "/orders", Some(&bodies[number % 2]), &headers);
        let mut answer = send().await;
        // Where the disk is slow it may not be known whether it was done: as the answer says, it is sent again.
        for _ in 0..10 {
            if answer.status.as_u16() == 503 {
                answer = send().await;
            }
        }
        answer.expect(201);
    };
    join_all((0..orders).map(place)).await;
}

pub(crate) async fn number(db: &Db, sql: &str) -> i64 {
    let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// How many orders the read model has, by the query that readers use.
async fn listed(shop: &TestShop) -> usize {
    let (mut count, mut path) = (0, "/orders?limit=200".to_owned());
    loop {
        let page = shop.client.get(&path).await.expect(200).json();
        count += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => path = format!("/orders?limit=200&after={next}"),
            None => return count,
        }
    }
}

/// An extra effect of a projector in a test.
pub(crate) type Mutation = Box<dyn Fn(&RecordedEvent, &mut Unit) -> Result<(), Unprojectable> + Send + Sync>;

/// Orders, as a release projects them that got something wrong.
pub(crate) struct MutatedProjector(pub(crate) Mutation);

impl MutatedProjector {
    /// The totals of some orders are a penny short.
    fn short() -> Arc<dyn Projector> {
        Arc::new(Self(Box::new(|event, unit| {
            let id = event.stream.to_string();
            match &event.event {
                Event::Order(order::Event::OrderPlaced { number, .. })
                    if number.ends_with(['0', '1', '2', '3', '4']) =>
                {
                    unit.change(&id, &id, |row: &mut soonshop_projections::order::Model| row.total -= 1)
                }
                _ => Ok(()),
            }
        })))
    }

    /// The first order that it sees cannot be projected, however often it is tried.
    fn failing() -> Arc<dyn Projector> {
        let first = std::sync::OnceLock::new();
        Arc::new(Self(Box::new(move |event, _| {
            let placed = matches!(event.event, Event::Order(order::Event::OrderPlaced { .. }));
            if placed && *first.get_or_init(|| event.event_id) == event.event_id {
                return Err(Unprojectable("it is in a mood".to_owned()));
            }
            Ok(())
        })))
    }
}

impl Projector for MutatedProjector {
    fn name(&self) -> &'static str {
        Orders.name()
    }

    fn version(&self) -> i32 {
        Orders.version()
    }

    fn shape(&self) -> i32 {
        Orders.shape()
    }

    fn follows(&self) -> &'static [&'static str] {
        Orders.follows()
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        Orders.tables()
    }

    fn indexes(&self) -> &'static [&'static str] {
        Orders.indexes()
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        Orders.wants(event, wants);
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Unprojectable> {
        Orders.project(event, unit)?;
        (self.0)(event, unit)
    }

    fn personal(&self) -> &'static [PersonalColumns] {
        Orders.personal()
    }
}

/// Every read model is rebuilt while the shop sells; readers see no error and miss nothing; and back again.
async fn beside_traffic(set: Set) {
    let shop = sold(set, 60).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let tea = shop.client.get("/products?limit=1").await.expect(200).position();
    let stop = AtomicBool::new(false);
    let selling = async {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            sell(&shop, 4).await;
            count += 4;
        }
        count
    };
    let reading = async {
        // An event that was visible once stays visible, in every generation.
        let mut seen = 0;
        while !stop.load(Ordering::Relaxed) {
            let answers = join_all((0..8).map(|_| shop.client.get("/orders?limit=1"))).await;
            let found = shop.client.get_at("/products/search?q=tea", &tea).await.expect(200).json();
            assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
            for answer in answers {
                assert_eq!(answer.status.as_u16(), 200, "{}", answer.json());
                let position: i64 = answer.position().rsplit_once(':').unwrap().1.parse().unwrap();
                assert!(position + 1 > seen, "a reader went back in time");
            }
            let position = shop.client.get("/orders?limit=1").await.expect(200).position();
            seen = seen.max(position.rsplit_once(':').unwrap().1.parse().unwrap());
        }
    };
    let replaying = async {
        for projector in soonshop_projections::all() {
            let name = projector.name();
            let built = rebuild::rebuild(&tool, &rebuild::Options::new(name)).await.unwrap();
            assert_eq!(built.code, exit::DONE, "{}", built.summary);
            assert!(!built.summary["kept_by"].is_null(), "the shop takes it over: {}", built.summary);
            let verified = verify::verify(&tool, &verify::Options::new(name)).await.unwrap();
            assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
            swap::swap(&tool, &swap::Swap { max_lag: 10_000, ..swap::Swap::new(name) }).await.unwrap();
        }
        swap::rollback(&tool, &swap::Rollback::new("orders")).await.unwrap();
        stop.store(true, Ordering::Relaxed);
    };
    let (sold_beside, (), ()) = tokio::join!(selling, reading, replaying);
    shop.settle().await;
    assert_eq!(listed(&shop).await, 60 + sold_beside, "no row was lost on the way there and back");
    let again =
        verify::Options { generation: Some(1), against: Against::Fold, ..verify::Options::new("orders") };
    let verified = verify::verify(&tool, &again).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    let rejected = tool.known("orders", Some(2)).await.unwrap();
    assert_eq!(rejected.state.as_ref(), "rejected");
    // Every step was recorded, without gaps.
    let record = operations::last_of(tool.registry.operations(), None, 100).await.unwrap();
    let positions: Vec<i64> = record.iter().rev().map(|line| line.position).collect();
    assert_eq!(positions, (1..=i64::try_from(record.len()).unwrap()).collect::<Vec<_>>());
    let swaps = record.iter().filter(|line| line.action == "swap").count();
    assert_eq!(swaps, soonshop_projections::all().len());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_are_rebuilt_beside_traffic_embedded() {
    Box::pin(beside_traffic(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_are_rebuilt_beside_traffic_on_real_servers() {
    Box::pin(beside_traffic(Set::Nats)).await;
}

/// A bug in a projector is found and named, stops the swap, and is rolled back without losing later events.
async fn a_bug(set: Set) {
    let shop = sold(set, 40).await;
    let buggy = tool(&shop.place, vec![MutatedProjector::short()]).await;
    let built = rebuild::rebuild(&buggy, &rebuild::Options::new("orders")).await.unwrap();
    assert_eq!(built.code, exit::DONE);
    let report = shop.place.folder.path().join("report.ndjson");
    let options = verify::Options { report: Some(report.clone()), ..verify::Options::new("orders") };
    let found = verify::verify(&buggy, &options).await.unwrap();
    assert_eq!(found.code, exit::FOUND, "{}", found.summary);
    let wrong = usize::try_from(found.summary["differences"].as_u64().unwrap()).unwrap();
    assert!((1..40).contains(&wrong), "{}", found.summary);
    assert_eq!(found.summary["fields"], json!({ "orders/total": wrong }));
    let text = std::fs::read_to_string(&report).unwrap();
    assert_eq!(text.lines().count(), wrong);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        first["fields"][0]["left"].as_i64(),
        first["fields"][0]["right"].as_i64().map(|total| total + 1)
    );
    assert!(first["caused_by"]["event_type"].as_str().unwrap().starts_with("Order"), "{first}");
    assert!(!text.contains("Lovelace"), "a report shows what is personal");

    let refused = swap::swap(&buggy, &swap::Swap::new("orders")).await.unwrap_err();
    assert_eq!(refused.code(), 4, "{refused}");
    let run = found.summary["run"].as_i64().unwrap();
    let accepted =
        swap::Swap { accept: Some(run), reason: Some("ticket 412".to_owned()), ..swap::Swap::new("orders") };
    swap::swap(&buggy, &accepted).await.unwrap();
    let key = first["key"].as_str().unwrap();
    let shown = shop.client.get(&format!("/orders/{key}")).await.expect(200).json();
    assert_eq!(shown["total"]["amount"].as_i64(), first["fields"][0]["right"].as_i64());

    sell(&shop, 20).await;
    shop.settle().await;
    swap::rollback(&buggy, &swap::Rollback::new("orders")).await.unwrap();
    assert_eq!(listed(&shop).await, 60);
    let shown = shop.client.get(&format!("/orders/{key}")).await.expect(200).json();
    assert_eq!(shown["total"]["amount"].as_i64(), first["fields"][0]["left"].as_i64());
    let note = operations::last_of(buggy.registry.operations(), None, 10).await.unwrap();
    let note = note.iter().find(|line| line.action == "swap").and_then(|line| line.note.clone()).unwrap();
    assert!(!note.contains("ticket"), "a reason is sealed");
    let again =
        swap::swap(&buggy, &swap::Swap { generation: Some(2), ..accepted.clone() }).await.unwrap_err();
    assert_eq!(again.code(), 4, "what was rejected is never read again: {again}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_bug_is_found_stops_the_swap_and_is_rolled_back_embedded() {
    Box::pin(a_bug(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_bug_is_found_stops_the_swap_and_is_rolled_back_on_real_servers() {
    Box::pin(a_bug(Set::Nats)).await;
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A slow rebuild, as a process; returned once it is somewhere between the beginning and the end. A running shop takes
/// a generation over as soon as its lease is free: close the shop where several runs share one.
pub(crate) async fn slow(place: &Place, tool: &Tool, rate: &str) -> Child {
    let before = tool.runs.last(Some("orders"), 1).await.unwrap().first().map_or(0, |run| run.run);
    let args = ["rebuild", "orders", "--max-rate", rate, "--chunk", "5", "--json"];
    let mut child = command(place, &args).spawn().unwrap();
    eventually("the rebuild is on its way", Duration::from_mins(1), async || {
        let runs = tool.runs.last(Some("orders"), 1).await.unwrap();
        runs.first().is_some_and(|run| run.run > before && run.progress.position > run.progress.from_position)
    })
    .await;
    assert!(child.try_wait().unwrap().is_none(), "there is so little to rebuild that it is at its end");
    child
}

/// A rebuild that is killed again and again, and stopped, ends with the same rows as one that ran through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rebuild_continues_where_it_was() {
    // Without a shop that runs: between two calls it would go on with the generation, to its end.
    let place = sold(Set::Nats, 400).await.close().await;
    let tool = tool(&place, soonshop_projections::all()).await;
    let events = number(tool.log.db(), "SELECT count(*) FROM @events").await;
    assert!(events > 1_000, "at two a second it is far from its end after all that follows: {events}");
    for _ in 0..5 {
        let mut child = slow(&place, &tool, "2/s").await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let child = slow(&place, &tool, "2/s").await;
    // A second run names the holder, and changes nothing.
    let second = ran(&place, &["rebuild", "orders", "--json"]).await;
    assert_eq!(code(&second), 75, "{}", String::from_utf8_lossy(&second.stderr));
    let last = lines(&second).pop().unwrap();
    assert_eq!((&last["retryable"], &last["holder"]["run"]["pid"]), (&json!(true), &json!(child.id())));
    signal(&child, "-INT");
    let stopped = child.wait_with_output().unwrap();
    assert_eq!(code(&stopped), 130, "{}", String::from_utf8_lossy(&stopped.stderr));
    let message = String::from_utf8(stopped.stderr).unwrap();
    assert!(message.contains("Resume:  replay-tool rebuild orders"), "{message}");
    let child = slow(&place, &tool, "2/s").await;
    signal(&child, "-TERM");
    assert_eq!(code(&child.wait_with_output().unwrap()), 143);
    let timed =
        ran(&place, &["rebuild", "orders", "--max-rate", "2/s", "--chunk", "5", "--timeout", "1s"]).await;
    assert_eq!(code(&timed), 124, "{}", String::from_utf8_lossy(&timed.stderr));

    let all = tool.registry.all(Some("orders")).await.unwrap();
    assert_eq!(all.len(), 2, "every call went on with the same generation");
    let done = ran(&place, &["rebuild", "orders", "--json"]).await;
    assert_eq!(code(&done), 0, "{}", String::from_utf8_lossy(&done.stderr));
    let summary = lines(&done).pop().unwrap();
    assert!(summary["folded"].as_i64().unwrap() < events, "it went on, and did not begin anew: {summary}");
    let verified = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    assert_eq!(number(tool.log.db(), "SELECT count(*) FROM @events").await, events, "the log is untouched");
    drop(tool);
    place.remove().await;
}

/// A rebuild that lost its lease writes nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_lost_its_lease_writes_nothing_more() {
    // No running shop, which would continue after the lease taken here expires.
    let place = sold(Set::Nats, 60).await.close().await;
    let tool = tool(&place, soonshop_projections::all()).await;
    let child = slow(&place, &tool, "2/s").await;
    let generation = tool.candidate("orders", None).await.unwrap().generation;
    let lease = tool.leases().take(&format!("{}:rows", generation.namespace())).await.unwrap();
    let db = generation.db(tool.registry.database()).unwrap();
    assert!(soonshop_event_log::Checkpoint::fence(&db, &db.connection, "rows", lease.epoch).await.unwrap());
    let at = number(&db, "SELECT position FROM @checkpoints WHERE follower = 'rows'").await;
    let ended = child.wait_with_output().unwrap();
    assert_eq!(code(&ended), 75, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(number(&db, "SELECT position FROM @checkpoints WHERE follower = 'rows'").await, at);
    drop(tool);
    place.remove().await;
}

/// Told from another shell: rest, go on, be slower, end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_obeys_pause_resume_throttle_and_stop() {
    let shop = sold(Set::Nats, 60).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    // It must still run when it is stopped: at this rate it takes three minutes.
    let child = slow(&shop.place, &tool, "2/s").await;
    let run = tool.runs.alive().await.unwrap()[0].run;
    let name = run.to_string();
    assert_eq!(code(&ran(&shop.place, &["pause", &name]).await), 0);
    let state = async || tool.runs.get(run).await.unwrap().unwrap();
    eventually("it rests", Duration::from_secs(30), async || state().await.state.as_ref() == "paused").await;
    assert_eq!(code(&ran(&shop.place, &["resume", &name]).await), 0);
    assert_eq!(code(&ran(&shop.place, &["throttle", &name, "--max-rate", "1/s"]).await), 0);
    eventually("it goes on", Duration::from_secs(30), async || {
        let now = state().await;
        now.state.as_ref() == "running" && now.limit_rate == Some(1)
    })
    .await;
    assert_eq!(code(&ran(&shop.place, &["cancel", &name]).await), 0);
    assert_eq!(code(&child.wait_with_output().unwrap()), 4);
    assert_eq!(state().await.state.as_ref(), "cancelled");
    assert_eq!(code(&ran(&shop.place, &["pause", &name]).await), 4, "it is over");
    shop.stop().await;
}

/// A rate limit is never exceeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_is_never_exceeded() {
    let shop = sold(Set::Nats, 150).await;
    let head = shop.shop.log().unwrap().head().await.unwrap().position;
    let done = ran(&shop.place, &["rebuild", "orders", "--max-rate", "200/s", "--json"]).await;
    assert_eq!(code(&done), 0, "{}", String::from_utf8_lossy(&done.stderr));
    let seconds = lines(&done).pop().unwrap()["seconds"].as_f64().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let most = head as f64 / seconds;
    assert!(most <= 210.0, "{head} positions in {seconds} s");
    shop.stop().await;
}

/// A failing event stops a rebuild with that option, and is parked otherwise; parked events are listed, retried and
/// discarded, and each of these is recorded.
async fn poison(set: Set) {
    let shop = sold(set, 10).await;
    let tool = tool(&shop.place, vec![MutatedProjector::failing()]).await;
    let built = rebuild::rebuild(&tool, &rebuild::Options::new("orders")).await.unwrap();
    assert_eq!((built.code, built.summary["parked"].as_i64()), (exit::PARKED, Some(2)), "{}", built.summary);
    let refused =
        swap::swap(&tool, &swap::Swap { verified: false, ..swap::Swap::new("orders") }).await.unwrap_err();
    assert_eq!(refused.code(), 4, "{refused}");

    let all = parked::find(&tool, &parked::Which::default()).await.unwrap();
    assert_eq!(all.len(), 2);
    let one = parked::Which { stream: Some(all[0].stream.clone()), ..parked::Which::default() };
    assert_eq!(parked::find(&tool, &one).await.unwrap().len(), 2, "an order's events wait for its first");
    parked::retry(&tool, &one, false, Some("the cure is there")).await.unwrap();
    eventually("the shop, which has no such fault, projects them", Duration::from_secs(20), async || {
        parked::find(&tool, &parked::Which::default()).await.unwrap().is_empty()
    })
    .await;
    let verified = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    let actions: Vec<String> = operations::last_of(tool.registry.operations(), None, 20)
        .await
        .unwrap()
        .into_iter()
        .map(|line| line.action)
        .collect();
    assert!(actions.contains(&"retry".to_owned()), "{actions:?}");
    // The last, as the workers of the shop go on with what was left when it stopped.
    let options = rebuild::Options {
        poison: soonshop_projections::runner::Poison::Stop,
        ..rebuild::Options::new("orders")
    };
    let stopped = rebuild::rebuild(&tool, &options).await.unwrap_err();
    assert!(matches!(stopped, Failure::Poison { .. }), "{stopped}");
    assert_eq!(stopped.code(), 5);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_stops_the_rebuild_or_is_parked_embedded() {
    Box::pin(poison(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_stops_the_rebuild_or_is_parked_on_real_servers() {
    Box::pin(poison(Set::Nats)).await;
}

/// SQL that gives, for every table of the log and of operations but the leases, the number of rows and the last
/// transaction that wrote one. (PostgreSQL's own counters are late: a connection reports when it likes.)
async fn written_rows(db: &Db) -> String {
    let sql = "SELECT string_agg(format('SELECT %L || count(*) || '' '' || coalesce(max(xmin::text::bigint), 0) AS t FROM %I.%I', \
               tablename || ' ', schemaname, tablename), ' UNION ALL ') FROM pg_tables \
               WHERE schemaname IN ('operations', 'log') AND tablename <> 'leases'";
    let row = db.connection.query_one(db.statement(sql, [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn written_by(db: &Db, tables: &str) -> String {
    let sql = format!("SELECT string_agg(t, E'\\n' ORDER BY t) FROM ({tables}) all_tables");
    let row = db.connection.query_one(db.statement(&sql, [])).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// `plan` changes nothing; every verb can answer in JSON; wrong arguments are answered with a hint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_answers_in_json_and_plan_writes_nothing() {
    let shop = sold(Set::Nats, 10).await;
    // This is done as the owner: the tool's role cannot even read all tables.
    let db = &shop.shop.read_database.namespace("operations").unwrap();
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rm_%'";
    let written = written_rows(db).await;
    let before = (written_by(db, &written).await, number(db, schemas).await);
    let planned = ran(&shop.place, &["rebuild", "orders", "--dry-run", "--json"]).await;
    assert_eq!(code(&planned), 0, "{}", String::from_utf8_lossy(&planned.stderr));
    let plan = &lines(&planned)[0];
    assert_eq!((&plan["from_generation"], &plan["to_generation"]), (&json!(1), &json!(2)), "{plan}");
    assert_eq!((written_by(db, &written).await, number(db, schemas).await), before);

    let page = shop.client.get("/orders?limit=1").await.expect(200).json();
    let order = page["items"][0]["id"].as_str().unwrap().to_owned();
    let number = page["items"][0]["number"].as_str().unwrap().to_owned();
    let cases: &[(&[&str], i32)] = &[
        (&["list"], 0),
        (&["status", "--wide"], 0),
        (&["status", "orders", "--wide"], 0),
        (&["plan", "analytics"], 0),
        (&["rebuild", "orders", "--reason", "a test"], 0),
        (&["swap", "orders"], 4),
        (&["verify", "orders"], 0),
        (&["verify", "orders", "--mode", "sample", "--sample", "5"], 0),
        (&["verify", "orders", "--mode", "digest"], 0),
        (&["verify", "orders"], 0),
        (&["swap", "orders", "--expect-gen", "7"], 4),
        (&["swap", "orders", "--expect-gen", "1"], 0),
        (&["rollback", "orders"], 0),
        (&["retire", "orders", "--min-age", "0s"], 2),
        (&["retire", "orders", "--min-age", "0s", "--dry-run"], 0),
        (&["retire", "orders", "--min-age", "0s", "--yes"], 0),
        (&["retire", "orders", "--gen", "2", "--yes"], 4),
        (&["runs"], 0),
        (&["status", "--run", "1"], 0),
        (&["status", "--run", "999"], 2),
        (&["show", "order", &order], 0),
        (&["show", "order", &number], 0),
        (&["show", "product", &number], 2),
        (&["diff", "order", &number, "v1", "v2"], 0),
        (&["show", "order", &order, "--as-of", "v1"], 0),
        (&["show", "order", &order, "--as-of", "v99"], 2),
        (&["show", "spaceship", &order], 2),
        (&["diff", "order", &order, "v1", "v2"], 0),
        (&["diff", "order", &order, "v1", "--patch"], 0),
        (&["diff", "order", &order, "v0", "v99"], 2),
        (&["show", "order", &order, "--as-of", "p1"], 2),
        (&["show", "order", "O-1042"], 2),
        (&["tail", "--q", "agg:order"], 0),
        (&["tail", "--follow", "--timeout", "1s"], 124),
        (&["export"], 2),
        (&["export", "--out", "/dev/null", "--q", "agg:order"], 0),
        (&["step", "orders", "--key", &order], 0),
        (&["step", "orders", "--key", "nothing"], 2),
        (&["doctor"], 0),
        (&["check", "--from", "1000000"], 3),
        (&["check", "--record", "--from", "1000000"], 3),
        (
            &[
                "check",
                "--offline",
                "/nowhere",
                "--pubkey",
                "9c:41:00:00:00:00:00:00:00:00:00:00:00:00:00:00",
            ],
            2,
        ),
        (&["check", "--pubkey", "nonsense"], 2),
        (&["parked", "list"], 0),
        (&["parked", "retry", "orders"], 0),
        (&["parked", "discard", "orders", "--reason", "none there", "--yes"], 0),
        (&["rebuild", "spaceships"], 2),
        (&["rebuild", "orders", "--chunk", "0"], 2),
        (&["pause", "999"], 4),
    ];
    for (args, expected) in cases {
        let ran = ran(&shop.place, &[*args, &["--json"]].concat()).await;
        let message = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(code(&ran), *expected, "{args:?}: {message}");
        let last = lines(&ran).pop().unwrap();
        let in_json = last["exit_code"].as_i64().or(last["code"].as_i64());
        assert_eq!(in_json, Some(i64::from(*expected)), "{args:?}: {last}");
        let out = String::from_utf8_lossy(&ran.stdout);
        assert!(
            !out.contains("Lovelace") && !message.contains("Lovelace"),
            "{args:?} shows what is personal"
        );
    }
    let words = ran(&shop.place, &["rebuild", "orders", "--max-rate", "fast"]).await;
    assert_eq!(code(&words), 2);
    // Under a role that reads nothing of what processes keep but how far they are.
    let all = lines(&ran(&shop.place, &["status", "--json"]).await);
    let whole = all.iter().find(|line| !line["relay"].is_null()).unwrap();
    let head = &whole["append"]["position"];
    assert_eq!((&whole["relay"]["position"], &whole["relay"]["complaint"]), (head, &json!(null)), "{whole}");
    assert!(whole["seals"]["complaint"].is_null() && whole["parked"] == 0, "{whole}");
    let mut away =
        command(&shop.place, &["list", "--json", "--read-models", "postgres://x@127.0.0.1:9/none"]);
    assert_eq!(code(&away.output().unwrap()), 69, "a store that is away");
    shop.client.send(Method::GET, &format!("/orders/{order}"), None, &[]).await.expect(200);
    shop.stop().await;
}

/// On PostgreSQL the tool works under a role that cannot write the log, which `doctor` checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_the_tool_cannot_write_the_log() {
    let shop = sold(Set::Nats, 2).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let log = tool.log.db();
    let who =
        log.connection.query_one(log.statement("SELECT current_user::text", [])).await.unwrap().unwrap();
    assert_eq!(who.try_get_by_index::<String>(0).unwrap(), "soonshop_replay");
    for sql in [
        "INSERT INTO log.events SELECT * FROM log.events LIMIT 1",
        "UPDATE log.events SET payload = payload",
        "DELETE FROM log.events",
        "TRUNCATE log.events",
        "UPDATE log.head SET name = name",
        "INSERT INTO log.commands SELECT * FROM log.commands LIMIT 1",
        "DELETE FROM keys.data_keys",
        "DELETE FROM operations.entries",
        "UPDATE operations.entries SET actor = actor",
        "UPDATE process.checkpoints SET position = position",
        "UPDATE process.outbox SET attempts = attempts",
        "DELETE FROM process.instances",
        "SELECT * FROM process.leases",
    ] {
        let refused = log.connection.execute_unprepared(sql).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{sql}: {refused}");
    }
    // The guard of the record holds for everybody, owners included.
    let owner = shop.shop.read_database.namespace("operations").unwrap().connection;
    for sql in [
        "DELETE FROM operations.entries",
        "UPDATE operations.entries SET actor = actor",
        "TRUNCATE operations.entries",
    ] {
        let refused = owner.execute_unprepared(sql).await.unwrap_err().to_string();
        assert!(refused.contains("only ever added to"), "{sql}: {refused}");
    }
    let found = async || {
        let findings = soonshop::doctor::examine(&shop.shop).await;
        findings.into_iter().find(|finding| finding.what == "role of replay-tool").unwrap()
    };
    assert!(found().await.ok, "{:?}", found().await);
    owner.execute_unprepared("GRANT INSERT ON log.events TO soonshop_replay").await.unwrap();
    assert!(!found().await.ok);
    let refused = ran(&shop.place, &["list"]).await;
    assert_eq!(code(&refused), 4, "{}", String::from_utf8_lossy(&refused.stderr));
    migrate::migrate(&shop.shop).await.unwrap();
    assert!(found().await.ok, "migrating again takes away what was granted by hand");
    shop.stop().await;
}

/// Builds, verifies and swaps; returns the generation that is active then.
pub(crate) async fn renewed(tool: &Tool, name: &str) -> i32 {
    rebuild::rebuild(tool, &rebuild::Options::new(name)).await.unwrap();
    let verified = verify::verify(tool, &verify::Options::new(name)).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    swap::swap(tool, &swap::Swap::new(name)).await.unwrap();
    tool.known(name, None).await.unwrap().generation.number
}

/// A script that swaps twice does not go back to the generation before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_is_repeated_does_not_go_back_to_an_older_generation() {
    let shop = sold(Set::Nats, 4).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    for number in 2..=4 {
        assert_eq!(renewed(&tool, "stock").await, number);
    }
    let again = swap::swap(&tool, &swap::Swap::new("stock")).await.unwrap_err();
    assert_eq!(again.code(), 4, "{again}");
    assert_eq!(tool.known("stock", None).await.unwrap().generation.number, 4);
    // A generation that readers left just now is too young for any age, however often readers were moved since.
    let options = swap::Retire {
        projection: "stock".to_owned(),
        generation: Some(2),
        min_age: Duration::from_secs(3_600),
        dry_run: false,
        reason: None,
    };
    let db = tool.registry.operations();
    db.connection.execute_unprepared("UPDATE operations.generations SET made_at = 0").await.unwrap();
    let young = swap::retire(&tool, &options).await.unwrap_err();
    assert_eq!(young.code(), 4, "{young}");
    // There is no rollback to a generation that was never active.
    rebuild::rebuild(&tool, &rebuild::Options::new("stock")).await.unwrap();
    let back = swap::Rollback { generation: Some(5), ..swap::Rollback::new("stock") };
    let refused = swap::rollback(&tool, &back).await.unwrap_err();
    assert!(refused.code() == 4 && refused.to_string().contains("never active"), "{refused}");
    shop.stop().await;
}

/// After a restore of the log, a swap goes to a generation of the restored log, and never back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_a_swap_goes_to_the_restored_log_and_never_back() {
    let shop = sold(Set::Nats, 10).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    assert_eq!(renewed(&tool, "orders").await, 2);
    let db = tool.registry.operations();
    for number in 1..=2 {
        let other = uuid::Uuid::new_v4();
        let sql = format!("UPDATE rm_orders_{number}.checkpoints SET event_id = '{other}'");
        db.connection.execute_unprepared(&sql).await.unwrap();
    }
    let back = swap::rollback(&tool, &swap::Rollback::new("orders")).await.unwrap_err();
    assert!(back.code() == 4 && back.to_string().contains("ahead-of-log"), "{back}");
    rebuild::rebuild(&tool, &rebuild::Options::new("orders")).await.unwrap();
    let proves_nothing = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap_err();
    assert!(proves_nothing.code() == 4 && proves_nothing.to_string().contains("--against fold"));
    let fold = verify::Options { against: Against::Fold, ..verify::Options::new("orders") };
    let verified = verify::verify(&tool, &fold).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    swap::swap(&tool, &swap::Swap::new("orders")).await.unwrap();
    sell(&shop, 2).await;
    shop.client.get("/orders?limit=1").await.expect(200);
    eventually("readers recover", Duration::from_secs(20), async || listed(&shop).await == 12).await;
    shop.stop().await;
}

/// The next run removes the rest of a killed run, and a retired generation leaves no file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_remains_of_a_killed_run_are_removed() {
    let shop = sold(Set::Embedded, 4).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let products = tool.projector("products").unwrap();
    let scratch = tool.registry.create_scratch(&*products).await.unwrap();
    assert!(tool.registry.is_there(&scratch).await.unwrap());
    rebuild::rebuild(&tool, &rebuild::Options::new("products")).await.unwrap();
    assert!(!tool.registry.is_there(&scratch).await.unwrap(), "a comparison left it behind");
    // Retired, and killed before anything was removed.
    let half = tool.candidate("products", None).await.unwrap().generation;
    let sql = format!("UPDATE @generations SET state = 'retired' WHERE generation = {}", half.number);
    let db = tool.registry.operations();
    db.connection.execute(db.statement(&sql, [])).await.unwrap();
    let options = swap::Retire {
        projection: "products".to_owned(),
        generation: None,
        min_age: Duration::ZERO,
        dry_run: false,
        reason: None,
    };
    swap::retire(&tool, &options).await.unwrap();
    let left = || {
        let names = |folder: &std::path::Path| -> Vec<String> {
            let files = std::fs::read_dir(folder).unwrap();
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
        };
        let folder = shop.place.folder.path();
        [names(folder), names(&folder.join("search"))].concat()
    };
    let of_it = |name: &String| name.starts_with(&half.namespace()) || name.starts_with(&scratch.namespace());
    assert!(!left().iter().any(of_it), "{:?}", left());
    // The shop, which ran it, brings nothing of it back.
    sell(&shop, 2).await;
    shop.settle().await;
    assert!(!left().iter().any(of_it), "{:?}", left());
    shop.stop().await;
}

/// If no process has the version, the tool keeps the generation up to date, and it can be swapped in meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_the_tool_keeps_up_to_date_can_be_swapped_in() {
    let place = sold(Set::Nats, 4).await.close().await;
    let tool = tool(&place, soonshop_projections::all()).await;
    let child = command(&place, &["rebuild", "orders", "--tail", "--json"]).spawn().unwrap();
    eventually("it is built", Duration::from_secs(30), async || {
        let runs = tool.runs.last(Some("orders"), 1).await.unwrap();
        runs.first().is_some_and(|run| run.state.as_ref() == "done")
    })
    .await;
    for (verb, expected) in [("verify", 0), ("swap", 0)] {
        let ran = ran(&place, &[verb, "orders"]).await;
        assert_eq!(code(&ran), expected, "{verb}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    signal(&child, "-INT");
    assert_eq!(code(&child.wait_with_output().unwrap()), 0);
    drop(tool);
    place.remove().await;
}

/// A comparison that says "equal" has compared every row of both sides, and every column but the excluded ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_sees_every_row_of_both_sides() {
    let shop = sold(Set::Nats, 4).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    for name in ["stock", "analytics"] {
        rebuild::rebuild(&tool, &rebuild::Options::new(name)).await.unwrap();
    }
    let db = tool.registry.operations();
    let execute = async |sql: &str| {
        db.connection.execute_unprepared(sql).await.unwrap();
    };
    let differences = async |name: &str| {
        let found = verify::verify(&tool, &verify::Options::new(name)).await.unwrap();
        assert_eq!(found.code == exit::DONE, found.summary["differences"] == 0, "{}", found.summary);
        found.summary["differences"].as_i64().unwrap()
    };
    for more in [999, 1_000, 1_001] {
        execute(&format!(
            "INSERT INTO rm_stock_2.stock (id, sku, location, on_hand, reserved, available, version, position) \
             SELECT 'zz' || n, 'SKU', 'main', 1, 0, 1, 1, 1 FROM generate_series(1, {more}) n"
        ))
        .await;
        assert_eq!(differences("stock").await, more);
        execute("DELETE FROM rm_stock_2.stock WHERE id LIKE 'zz%'").await;
    }
    execute("UPDATE rm_analytics_2.sale_lines SET units = units + 1").await;
    assert_eq!(differences("analytics").await, 4);
    execute("DELETE FROM rm_analytics_2.sale_lines WHERE line = 1").await;
    assert_eq!(differences("analytics").await, 4);
    for ignored in ["", "/", "units", "/nothing"] {
        let ran = ran(&shop.place, &["verify", "analytics", "--ignore", ignored]).await;
        assert_eq!(code(&ran), 2, "{ignored:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    execute("DROP TABLE rm_analytics_2.sale_lines").await;
    let gone = verify::verify(&tool, &verify::Options::new("analytics")).await.unwrap_err();
    assert!(gone.code() == 4 && gone.to_string().contains("sale_lines"), "{gone}");
    shop.stop().await;
}
