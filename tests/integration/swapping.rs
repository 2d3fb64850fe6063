//! Readers are moved under load, by tools that are killed, during erasures: no answer mixes two generations, and
//! nothing is half done.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use soonshop_domain::{Event, order};
use soonshop_projections::{Projector, operations};
use soonshop_replay_tool::verify::{Against, Mode};
use soonshop_replay_tool::{Tool, exit, rebuild, swap, verify};
use tokio::time::Instant;
use uuid::Uuid;

use crate::replay::{
    MutatedProjector, code, command, command_on, lines, number, ran, renewed, sell, signal, slow, sold, tool,
};
use crate::support::{Set, TestShop, built, eventually, server};

/// Orders whose totals are a penny short, every one: their rows show which generation they are from.
fn pennies() -> Arc<dyn Projector> {
    Arc::new(MutatedProjector(Box::new(|event, unit| {
        let id = event.stream.to_string();
        match &event.event {
            Event::Order(order::Event::OrderPlaced { .. }) => {
                unit.change(&id, &id, |row: &mut soonshop_projections::order::Model| row.total -= 1)
            }
            _ => Ok(()),
        }
    })))
}

/// Which generation an answer's rows are of; it panics where they are of both.
fn of_one(items: &[Value]) -> bool {
    let short = |item: &Value| item["total"]["amount"].as_i64().unwrap() % 10 == 9;
    let short: Vec<bool> = items.iter().map(short).collect();
    assert!(short.windows(2).all(|pair| pair[0] == pair[1]), "rows of two generations in one answer");
    short[0]
}

/// The answers that readers got during a swap: complete lists of the old and the new generation, and refused cursors.
#[derive(Default)]
struct Seen {
    old: AtomicUsize,
    new: AtomicUsize,
    refused: AtomicUsize,
}

/// Pages through all orders again and again.
async fn reads(shop: &TestShop, seen: &Seen, stop: &AtomicBool, orders: usize) {
    while !stop.load(Ordering::Relaxed) {
        let (mut path, mut count, mut list) = ("/orders?limit=7".to_owned(), 0, None);
        loop {
            let answer = shop.client.get(&path).await;
            if answer.status == 410 {
                assert_eq!(answer.json()["type"], "/problems/cursor-expired");
                assert!(path.contains("after="), "only a cursor can be of a generation that is gone");
                seen.refused.fetch_add(1, Ordering::Relaxed);
                break;
            }
            let page = answer.expect(200).json();
            let items = page["items"].as_array().unwrap();
            let short = of_one(items);
            assert_eq!(*list.get_or_insert(short), short, "a cursor went on in another generation");
            count += items.len();
            let Some(next) = page["next"].as_str() else {
                assert_eq!(count, orders, "a list has every order once");
                (if short { &seen.new } else { &seen.old }).fetch_add(1, Ordering::Relaxed);
                break;
            };
            path = format!("/orders?limit=7&after={next}");
        }
    }
}

/// Two hundred readers page with cursors during a swap, a rollback and a retirement.
async fn under_readers(set: Set) {
    let orders = 40;
    let shop = sold(set, orders).await;
    let tool = tool(&shop.place, vec![pennies()]).await;
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    let more = async |counter: &AtomicUsize, what: &str| {
        let before = counter.load(Ordering::Relaxed);
        eventually(what, Duration::from_secs(60), async || counter.load(Ordering::Relaxed) > before + 20)
            .await;
    };
    let to_new = async || {
        rebuild::rebuild(&tool, &rebuild::Options::new("orders")).await.unwrap();
        let found = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap();
        assert_eq!(found.summary["differences"], orders, "{}", found.summary);
        let (accept, reason) = (found.summary["run"].as_i64(), Some("a test".to_owned()));
        swap::swap(&tool, &swap::Swap { accept, reason, ..swap::Swap::new("orders") }).await.unwrap();
        more(&seen.new, "lists are of the new generation").await;
    };
    let moving = async {
        more(&seen.old, "lists are of the old generation").await;
        to_new().await;
        swap::rollback(&tool, &swap::Rollback::new("orders")).await.unwrap();
        more(&seen.old, "lists are of the old generation again").await;
        to_new().await;
        let page = shop.client.get("/orders?limit=7").await.expect(200).json();
        let cursor = page["next"].as_str().unwrap().to_owned();
        rebuild::rebuild(&tool, &rebuild::Options::new("orders")).await.unwrap();
        let options = swap::Swap { verified: false, ..swap::Swap::new("orders") };
        swap::swap(&tool, &options).await.unwrap();
        let retire = swap::Retire {
            projection: "orders".to_owned(),
            generation: None,
            min_age: Duration::ZERO,
            dry_run: false,
            reason: None,
        };
        swap::retire(&tool, &retire).await.unwrap();
        let refused = shop.client.get(&format!("/orders?limit=7&after={cursor}")).await.expect(410);
        assert_eq!(refused.json()["type"], "/problems/cursor-expired");
        more(&seen.new, "lists are of the last generation").await;
        stop.store(true, Ordering::Relaxed);
    };
    let readers = join_all((0..200).map(|_| reads(&shop, &seen, &stop, orders)));
    tokio::join!(readers, moving);
    assert!(seen.old.load(Ordering::Relaxed) > 40 && seen.new.load(Ordering::Relaxed) > 40);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_generations_during_a_swap_embedded() {
    Box::pin(under_readers(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_generations_during_a_swap_on_real_servers() {
    Box::pin(under_readers(Set::Nats)).await;
}

/// The record of moves: how often readers were moved, and the active generation.
async fn moves(tool: &Tool, name: &str) -> (usize, i32) {
    let all = operations::last_of(tool.registry.operations(), None, 1_000).await.unwrap();
    let of = |line: &&operations::Recorded| {
        ["swap", "rollback"].contains(&line.action.as_str())
            && line.subject.starts_with(&format!("rm_{name}_"))
    };
    (all.iter().filter(of).count(), tool.known(name, None).await.unwrap().generation.number)
}

/// A move that is killed after so long; true if readers were moved before that. Either way nothing is half done.
async fn killed(shop: &TestShop, tool: &Tool, args: &[&str], after: Duration) -> bool {
    let name = args[1];
    let before = moves(tool, name).await;
    let store = format!("{}?application_name=doomed-{name}", shop.place.config.store);
    let mut child = command_on(&shop.place, &store, args).spawn().unwrap();
    tokio::time::sleep_until(Instant::now() + after).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // A commit on its way may arrive or not: check once the server has closed the connection.
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'doomed-{name}%'");
    let gone = async || number(tool.registry.operations(), &sql).await == 0;
    eventually("the server has noticed", Duration::from_secs(10), gone).await;
    let now = moves(tool, name).await;
    assert_eq!(
        now.0 - before.0,
        usize::from(now.1 != before.1),
        "{name}: the active generation and the record"
    );
    let left = tool.known(name, Some(before.1)).await.unwrap();
    let rejected = args[0] == "rollback" && now != before;
    assert_eq!(left.state.as_ref() == "rejected", rejected, "{name}: what readers left");
    let back = args[0] == "swap" && now != before;
    assert_eq!(left.previous, back, "{name}: where readers can go back to");
    now != before
}

/// A swap or rollback, killed at many different moments, is done or not, and the next call does it.
async fn kills(shop: &TestShop, name: &str, rounds: u32) -> [usize; 2] {
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let mut done = [0, 0];
    // How long an undisturbed swap or rollback takes: first a guess, then measured here.
    let mut whole = [Duration::from_millis(300); 2];
    for round in 0..rounds {
        rebuild::rebuild(&tool, &rebuild::Options::new(name)).await.unwrap();
        let verified = verify::verify(&tool, &verify::Options::new(name)).await.unwrap();
        assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
        for (place, verb) in ["swap", "rollback"].into_iter().enumerate() {
            let began = Instant::now();
            let percent = 15 + (round * 97 + u32::try_from(name.len()).unwrap() * 31) % 110;
            let after = whole[place] * percent / 100;
            let moved = killed(shop, &tool, &[verb, name], after).await;
            done[place] += usize::from(moved);
            if !moved {
                let alone = Instant::now();
                let again = ran(&shop.place, &[verb, name]).await;
                whole[place] = alone.elapsed();
                let message = String::from_utf8_lossy(&again.stderr).into_owned();
                assert_eq!(code(&again), 0, "{name}: {verb} after one that was killed: {message}");
            }
            assert!(began.elapsed() < Duration::from_mins(2), "it hangs");
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_swap_is_done_completely_or_not_at_all() {
    let shop = sold(Set::Nats, 10).await;
    let stop = AtomicBool::new(false);
    let reading = async {
        while !stop.load(Ordering::Relaxed) {
            for path in ["/orders", "/inventory", "/users", "/analytics/sales?interval=none"] {
                shop.client.get(path).await.expect(200);
            }
        }
    };
    let moving = async {
        let names = ["stock", "users", "orders", "analytics"];
        let done = join_all(names.map(|name| kills(&shop, name, 6))).await;
        stop.store(true, Ordering::Relaxed);
        // Both happened: kills before the row was moved, and kills after.
        for place in 0..2 {
            let moved: usize = done.iter().map(|done| done[place]).sum();
            assert!(moved < 24, "{done:?}");
        }
        done
    };
    let ((), done) = tokio::join!(reading, moving);
    assert!(done.iter().flatten().sum::<usize>() > 0, "every kill came too early to say anything: {done:?}");
    sell(&shop, 4).await;
    shop.settle().await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    for name in ["stock", "orders"] {
        let active = Some(tool.known(name, None).await.unwrap().generation.number);
        let fold =
            verify::Options { generation: active, against: Against::Fold, ..verify::Options::new(name) };
        let verified = verify::verify(&tool, &fold).await.unwrap();
        assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    }
    shop.stop().await;
}

/// How many rows the newest generation of orders has of a person, and how many values of theirs.
async fn held_of(tool: &Tool, person: Uuid) -> (i64, i64) {
    let generation = tool.candidate("orders", None).await.unwrap().generation;
    let db = generation.db(tool.registry.database()).unwrap();
    let projector = tool.projector("orders").unwrap();
    let personal = projector.personal().iter().find(|personal| personal.table == "orders").unwrap();
    let statement = db.statement(&personal.left(), [person.to_string().into()]);
    let row = db.connection.query_one(statement).await.unwrap().unwrap();
    let left = (1..=personal.columns.len()).map(|n| row.try_get_by_index::<i64>(n).unwrap()).sum();
    (row.try_get_by_index(0).unwrap(), left)
}

/// A person buys and is erased during a rebuild that is killed once: the new generation holds nothing of them.
async fn forgotten_meanwhile(set: Set) {
    let shop = TestShop::start(set).await;
    shop.client.product("TEA", "Green tea", 450, 1_000).await;
    let person = Uuid::new_v4();
    let order = json!({"lines": [{"sku": "TEA", "quantity": 1}], "country": "France", "customer": {"guest": person},
        "contact": {"name": "Quintus Quux", "address": "7 Hidden Mews"}});
    let buy = async || shop.client.post("/orders", &order).await.status.as_u16();
    for _ in 0..30 {
        assert_eq!(buy().await, 201);
    }
    shop.settle().await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let mut child = slow(&shop.place, &tool, "5/s").await;
    eventually("it has begun with what is theirs", Duration::from_secs(30), async || {
        let (rows, values) = held_of(&tool, person).await;
        rows > 0 && values > 0
    })
    .await;
    let erasure = json!({ "purposes": ["invoice"] });
    shop.client.operate(&format!("/people/{person}/erasures"), &erasure).await.expect(200);
    child.kill().unwrap();
    child.wait().unwrap();
    // This run or the shop continues it: the first to take the lease of the killed one after it expires.
    let child = command(&shop.place, &["rebuild", "orders", "--max-rate", "60/s", "--json"]).spawn().unwrap();
    eventually("who is forgotten can buy no more", Duration::from_secs(30), async || buy().await == 410)
        .await;
    let built = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(code(&built), 0, "{}", String::from_utf8_lossy(&built.stderr));
    shop.settle().await;
    eventually("nothing of them is left", Duration::from_secs(20), async || {
        held_of(&tool, person).await.1 == 0
    })
    .await;
    assert!(held_of(&tool, person).await.0 >= 30, "the rows are there, without what was theirs");
    let verified = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    swap::swap(&tool, &swap::Swap::new("orders")).await.unwrap();
    let listed = shop.client.get(&format!("/orders?customer={person}")).await.expect(200);
    let text = String::from_utf8(listed.bytes).unwrap();
    assert!(text.contains("TEA") && !text.contains("Quux") && !text.contains("Mews"), "{text}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_during_an_erasure_keeps_nothing_of_the_person_embedded() {
    Box::pin(forgotten_meanwhile(Set::Embedded)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_during_an_erasure_keeps_nothing_of_the_person_on_real_servers() {
    Box::pin(forgotten_meanwhile(Set::Nats)).await;
}

/// Told twice, a rebuild does not wait for its chunk: it is rolled back, and the next call does it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stop_rolls_the_chunk_back_and_ends_the_rebuild_at_once() {
    let shop = sold(Set::Nats, 60).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    let mut child = slow(&shop.place, &tool, "2/s").await;
    let generation = tool.candidate("orders", None).await.unwrap().generation;
    let db = generation.db(tool.registry.database()).unwrap();
    // Writers of these rows wait: the chunk lasts as long as this transaction.
    let held = db.connection.begin().await.unwrap();
    held.execute_unprepared("LOCK TABLE rm_orders_2.orders IN SHARE MODE").await.unwrap();
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'rm_orders_2.orders'::regclass";
    let waits = async || number(tool.registry.operations(), waiting).await == 1;
    eventually("a chunk is under way", Duration::from_secs(20), waits).await;
    let position = "SELECT position FROM @checkpoints WHERE follower = 'rows'";
    let before = number(&db, position).await;
    signal(&child, "-INT");
    let status = format!("/proc/{}/status", child.id());
    let heard = async || {
        let text = std::fs::read_to_string(&status).unwrap();
        let pending = text.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap().trim();
        u64::from_str_radix(pending, 16).unwrap() & 0b10 == 0
    };
    eventually("the signal has arrived", Duration::from_secs(30), heard).await;
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..10 {
        looks.tick().await;
        assert!(waits().await && child.try_wait().unwrap().is_none(), "once is not at once");
    }
    signal(&child, "-INT");
    // The chunk cannot end before this test releases the table: a run that ends now has not waited for it.
    let ending = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let ended =
        tokio::time::timeout(Duration::from_mins(1), ending).await.expect("it does not wait").unwrap();
    assert_eq!(code(&ended), 130, "{}", String::from_utf8_lossy(&ended.stderr));
    held.commit().await.unwrap();
    eventually("nobody is at it", Duration::from_secs(10), async || !waits().await).await;
    assert_eq!(number(&db, position).await, before, "the chunk was rolled back");
    let done = ran(&shop.place, &["rebuild", "orders", "--json"]).await;
    assert_eq!(code(&done), 0, "{}", String::from_utf8_lossy(&done.stderr));
    let verified = verify::verify(&tool, &verify::Options::new("orders")).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    shop.stop().await;
}

/// Words that are no text are refused like any others that are wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_are_no_text_are_refused() {
    let shop = sold(Set::Embedded, 1).await;
    let odd = || OsString::from_vec(vec![b'o', 0xff, b'r']);
    let cases: [&[OsString]; 5] = [
        &[odd()],
        &["rebuild".into(), odd()],
        &["verify".into(), "orders".into(), "--reason".into(), odd()],
        &["show".into(), "order".into(), odd()],
        &["export".into(), "--q".into(), odd()],
    ];
    for args in cases {
        for json in [false, true] {
            let mut command = command(&shop.place, &[]);
            command.args(args).args(json.then_some("--json"));
            let ran = command.output().unwrap();
            let message = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(code(&ran), 2, "{args:?}: {message}");
            assert!(!message.contains("panicked"), "{args:?}: {message}");
            if json {
                assert_eq!(lines(&ran).last().unwrap()["code"], 2, "{args:?}");
            }
        }
    }
    let mut by_name = command(&shop.place, &["list"]);
    assert_eq!(code(&by_name.env("SOONSHOP_READ_MODELS", odd()).output().unwrap()), 2);
    // A file name may hold any bytes.
    let file = shop.place.folder.path().join(OsString::from_vec(vec![b'f', 0xfe]));
    let ran = command(&shop.place, &["export", "--format", "csv"]).arg("--out").arg(&file).output().unwrap();
    assert_eq!(code(&ran), 0, "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(file.exists());
    shop.stop().await;
}

/// Warnings are on standard error where that is no terminal, in every progress mode: when they come, and again at the
/// end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_come_through_a_pipe() {
    let shop = sold(Set::Nats, 2).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    rebuild::rebuild(&tool, &rebuild::Options::new("analytics")).await.unwrap();
    let db = tool.registry.operations();
    for table in ["sale_lines", "facts"] {
        let sql = format!("ALTER TABLE rm_analytics_2.{table} ADD COLUMN odd bigint");
        db.connection.execute_unprepared(&sql).await.unwrap();
    }
    for progress in ["auto", "bar", "plain", "json", "none"] {
        let mut command = Command::new(built("replay-tool"));
        command
            .args(["verify", "analytics", "--progress", progress, "--store", &shop.place.config.store])
            .args(["--cache", &shop.place.config.cache, "--search", &shop.place.config.search])
            .arg("--master-key-file")
            .arg(&shop.place.config.master_key_file)
            .stdin(Stdio::null());
        let ran = command.output().unwrap();
        let message = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{message}");
        let warnings =
            message.lines().filter(|line| line.starts_with("WARN") && line.contains("odd")).count();
        assert_eq!(warnings, 2, "{progress}: {message}");
        let again = message.split_once("2 warnings:").unwrap_or_else(|| panic!("{progress}: {message}")).1;
        assert_eq!(again.matches("odd").count(), 2, "{progress}: {message}");
    }
    let ran = ran(&shop.place, &["verify", "analytics", "--json"]).await;
    let warnings = lines(&ran).iter().filter(|line| line["message_type"] == "warning").count();
    assert_eq!(warnings, 2);
    shop.stop().await;
}

/// A shared cache holds nothing of a retired generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_of_a_retired_generation_is_left_in_redis() {
    let shop = sold(Set::Nats, 1).await;
    let (product, position) = shop.client.product("MUG", "A mug", 100, 1).await;
    let path = format!("/products/{product}");
    shop.client.get_at(&path, &position).await.expect(200);
    let (_, prefix) = shop.place.config.cache.rsplit_once("prefix=").unwrap();
    let keys = |generation: i32| -> Vec<String> {
        let mut server = redis::Client::open(server("REDIS_URL")).unwrap().get_connection().unwrap();
        let pattern = format!("{prefix}*rm_products_{generation}*");
        redis::cmd("KEYS").arg(pattern).query(&mut server).unwrap()
    };
    assert!(keys(1).iter().any(|key| key.contains(&product)), "{:?}", keys(1));
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    assert_eq!(renewed(&tool, "products").await, 2);
    shop.client.get(&path).await.expect(200);
    let retired = ran(&shop.place, &["retire", "products", "--min-age", "0s", "--yes"]).await;
    assert_eq!(code(&retired), 0, "{}", String::from_utf8_lossy(&retired.stderr));
    assert_eq!(keys(1), Vec::<String>::new());
    // The shop, which ran it, and readers bring nothing of it back.
    shop.client.product("MUG-2", "Another", 100, 1).await;
    shop.settle().await;
    shop.client.get(&path).await.expect(200);
    assert_eq!(keys(1), Vec::<String>::new());
    assert!(keys(2).iter().any(|key| key.contains(&product)), "{:?}", keys(2));
    shop.stop().await;
}

/// A comparison by digests finds the same differences as one of whole rows, and reads less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_find_the_same_differences_and_move_less() {
    let shop = sold(Set::Nats, 60).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    rebuild::rebuild(&tool, &rebuild::Options::new("audit")).await.unwrap();
    let compare = async |mode: Mode, ignore: &[&str]| {
        let ignore = ignore.iter().map(|&pointer| pointer.to_owned()).collect();
        let options = verify::Options { mode, ignore, ..verify::Options::new("audit") };
        let summary = verify::verify(&tool, &options).await.unwrap().summary;
        (summary["bytes"].as_u64().unwrap(), summary)
    };
    let (all, full) = compare(Mode::Full, &[]).await;
    let (few, digest) = compare(Mode::Digest, &[]).await;
    for name in ["result", "rows", "counts", "differences"] {
        assert_eq!(full[name], digest[name], "{name}");
    }
    assert_eq!((&digest["result"], &digest["mode"]), (&json!("equal"), &json!("digest")));
    assert!(few * 5 < all, "{few} of {all} bytes");
    let db = tool.registry.operations();
    for sql in [
        "UPDATE rm_audit_2.audit SET summary = '{}' WHERE position % 20 = 3",
        "DELETE FROM rm_audit_2.audit WHERE position % 20 = 4",
        "INSERT INTO rm_audit_2.audit SELECT (json_populate_record(a, json_build_object('position', -a.position))).* \
         FROM rm_audit_2.audit a WHERE position % 20 = 5",
    ] {
        db.connection.execute_unprepared(sql).await.unwrap();
    }
    let (_, full) = compare(Mode::Full, &[]).await;
    let (few, digest) = compare(Mode::Digest, &[]).await;
    assert!(full["differences"].as_u64() >= Some(9), "{full}");
    for name in ["result", "rows", "counts", "differences", "fields", "keys"] {
        assert_eq!(full[name], digest[name], "{name}");
    }
    assert!(few * 3 < all, "only rows that differ are read: {few} of {all} bytes");
    let (_, full) = compare(Mode::Full, &["/summary"]).await;
    let (_, digest) = compare(Mode::Digest, &["/summary"]).await;
    assert_eq!(full["keys"], digest["keys"]);
    assert!(digest["fields"]["audit/summary"].is_null(), "{digest}");
    shop.stop().await;
}
