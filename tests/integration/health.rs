//! Green means that it works: each fault is made, is named in `/health/audit`, `/metrics`, `soonshop doctor` and on the
//! page within ten seconds, with the object and the remedy, and is gone by itself once it is mended, with nothing lost.

mod causes;
mod certificates;
mod damage;
mod details;
mod disks;
mod integrity;
mod locks;
mod names;
mod parts;
mod rights;
mod servers;
mod stalled;
mod workers;

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::{Role, Shop, doctor, migrate};

use crate::support::{Client, Place, Set, TestShop, eventually};

/// Within this a fault is named. The machine of the test may be slow, so it is asked for longer.
const NAMED: Duration = Duration::from_secs(30);

/// Within this a fault that was mended is gone.
const MENDED: Duration = Duration::from_secs(60);

/// The names that a fault must have.
pub(crate) struct Fault<'a> {
    pub(crate) check: &'a str,
    /// Part of the name of the object, or of the reason.
    pub(crate) object: &'a str,
    pub(crate) remedy: &'a str,
}

/// The answer of a check in `/health/audit`, as the operator gets it, also where the followers cannot be asked.
async fn asked(client: &Client, check: &str) -> Value {
    let bearer = format!("Bearer {}", client.token);
    let headers = [("authorization", bearer.as_str())];
    let Ok(answer) = client.try_send(Method::GET, "/health/audit", None, &headers).await else {
        return Value::Null;
    };
    let body = answer.json();
    let found = body["checks"].as_array().into_iter().flatten().find(|one| one["name"] == check).cloned();
    let found = found.unwrap_or(Value::Null);
    assert!(answer.status == 503 || found["ok"] == true, "{body}");
    found
}

fn is_named(found: &Value, fault: &Fault<'_>) -> bool {
    let text = |key: &str| found[key].as_str().unwrap_or_default();
    let message = format!("{} {}", text("object"), text("reason"));
    let named = found["ok"] == false && message.contains(fault.object) && found["remedy"] == fault.remedy;
    named && found["cure"].as_str().is_some_and(|cure| !cure.is_empty())
}

async fn metric(client: &Client, check: &str) -> Option<bool> {
    let answer = client.try_send(Method::GET, "/metrics", None, &[]).await.ok()?;
    let text = String::from_utf8(answer.bytes).unwrap();
    let line = format!("soonshop_check_ok{{check=\"{check}\"}} ");
    text.lines().find_map(|text| text.strip_prefix(&line)).map(|value| value == "1")
}

pub(crate) async fn red(client: &Client, fault: &Fault<'_>) {
    let last = std::sync::Mutex::new(Value::Null);
    let (check, object, remedy) = (fault.check, fault.object, fault.remedy);
    let named = async || {
        let found = asked(client, check).await;
        let named = is_named(&found, fault);
        *last.lock().unwrap() = found;
        named
    };
    let ended = tokio::time::timeout(NAMED, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while !named().await {
            ticks.tick().await;
        }
    });
    assert!(ended.await.is_ok(), "{check} does not name {object} with {remedy}: {}", last.lock().unwrap());
    eventually(&format!("the metrics say that {check} fails"), NAMED, async || {
        metric(client, check).await == Some(false)
    })
    .await;
}

pub(crate) async fn green(client: &Client, check: &str) {
    let last = std::sync::Mutex::new(Value::Null);
    let works = async || {
        let found = asked(client, check).await;
        let ok = found["ok"] == true && metric(client, check).await == Some(true);
        *last.lock().unwrap() = found;
        ok
    };
    let ended = tokio::time::timeout(MENDED, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while !works().await {
            ticks.tick().await;
        }
    });
    assert!(ended.await.is_ok(), "{check} does not work again: {}", last.lock().unwrap());
}

/// The finding of the doctor names the same. A check may get no answer in time on a busy machine, so it is asked again.
pub(crate) async fn doctor_names(shop: &Shop, fault: &Fault<'_>) {
    let last = std::sync::Mutex::new(String::new());
    let named = async || {
        let findings = doctor::examine(shop).await;
        let found = findings.iter().find(|one| one.what == fault.check);
        let found = found.unwrap_or_else(|| panic!("the doctor does not look at {}", fault.check));
        *last.lock().unwrap() = format!("{found:?}");
        !found.ok && found.detail.contains(fault.object) && !found.cure.is_empty()
    };
    let ended = tokio::time::timeout(NAMED, async { while !named().await {} }).await;
    assert!(ended.is_ok(), "the doctor does not name {}: {}", fault.object, last.lock().unwrap());
}

/// Makes the fault, sees it named, mends it, and sees that all works and that a command is done.
async fn tried(shop: &TestShop, fault: Fault<'_>, make: impl AsyncFnOnce(), mend: impl AsyncFnOnce()) {
    green(&shop.client, fault.check).await;
    make().await;
    red(&shop.client, &fault).await;
    mend().await;
    green(&shop.client, fault.check).await;
}

/// A product can be made, read and found, and every event is there.
async fn nothing_is_lost(shop: &TestShop, sku: &str) {
    let made = async || {
        let key = uuid::Uuid::new_v4().to_string();
        let body = json!({"name": format!("Thing {sku}"), "variants": [{"sku": sku}]});
        let sent =
            shop.client.try_send(Method::POST, "/products", Some(&body), &[("idempotency-key", &key)]).await;
        sent.ok().filter(|answer| answer.status == 201)
    };
    let position = std::sync::Mutex::new(String::new());
    eventually("a command is done", Duration::from_secs(60), async || match made().await {
        Some(answer) => {
            *position.lock().unwrap() = answer.position();
            true
        }
        None => false,
    })
    .await;
    let position = position.into_inner().unwrap();
    shop.settle().await;
    let list = shop.client.get_at("/products?limit=200", &position).await.expect(200).json();
    let known = list["items"].as_array().unwrap().len();
    let found = shop.client.get_at("/products/search?q=thing&limit=100", &position).await.expect(200).json();
    assert_eq!(found["total"], known, "search finds every product");
    let rows = shop.shop.log().unwrap().read(1, 10_000).await.unwrap();
    for (position, row) in (1..).zip(&rows) {
        assert_eq!(row.position, position);
    }
}

pub(crate) async fn run(shop: &Shop, namespace: &str, sql: &str) {
    let kept = ["operations", "rm_orders_1", "rm_products_1"].contains(&namespace);
    let database = if kept { &shop.read_database } else { &shop.store_database };
    let db = database.namespace(namespace).unwrap();
    db.connection.execute_unprepared(&db.sql(sql)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_tables_are_named_and_recover() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let of = |namespace: &'static str, sql: &'static str| {
        let shop = shop.shop.clone();
        async move || run(&shop, namespace, sql).await
    };
    let faults: [(Fault<'_>, &str, &str, &str); 10] = [
        (
            Fault { check: "read-models", object: "rm_orders_1.orders", remedy: "rebuild" },
            "rm_orders_1",
            "ALTER TABLE orders RENAME TO away",
            "ALTER TABLE away RENAME TO orders",
        ),
        (
            Fault { check: "read-models", object: "rm_orders_1.orders", remedy: "rebuild" },
            "rm_orders_1",
            "ALTER TABLE orders RENAME COLUMN placed_at TO away",
            "ALTER TABLE orders RENAME COLUMN away TO placed_at",
        ),
        (
            Fault { check: "read-models", object: "orders", remedy: "migrate" },
            "operations",
            "UPDATE active SET projection = 'away' WHERE projection = 'orders'",
            "UPDATE active SET projection = 'orders' WHERE projection = 'away'",
        ),
        (
            Fault { check: "read-models", object: "rm_orders_1", remedy: "rebuild" },
            "operations",
            "UPDATE generations SET shape = shape + 1 WHERE projection = 'orders'",
            "UPDATE generations SET shape = shape - 1 WHERE projection = 'orders'",
        ),
        (
            Fault { check: "read-models", object: "no such table", remedy: "migrate" },
            "operations",
            "ALTER TABLE generations RENAME TO away",
            "ALTER TABLE away RENAME TO generations",
        ),
        (
            Fault { check: "keys", object: "hmac_keys", remedy: "migrate" },
            "keys",
            "ALTER TABLE hmac_keys RENAME TO away",
            "ALTER TABLE away RENAME TO hmac_keys",
        ),
        (
            Fault { check: "event-store", object: "checkpoints", remedy: "migrate" },
            "process",
            "ALTER TABLE checkpoints RENAME TO away",
            "ALTER TABLE away RENAME TO checkpoints",
        ),
        (
            Fault { check: "schema", object: "002_operate", remedy: "migrate" },
            "process",
            "DELETE FROM soonshop_process_steps WHERE version = '002_operate'",
            "INSERT INTO soonshop_process_steps (version, applied_at) VALUES ('002_operate', 0)",
        ),
        (
            Fault { check: "schema", object: "999_tomorrow", remedy: "release" },
            "keys",
            "INSERT INTO soonshop_keys_steps (version, applied_at) VALUES ('999_tomorrow', 0)",
            "DELETE FROM soonshop_keys_steps WHERE version = '999_tomorrow'",
        ),
        (
            Fault { check: "workers", object: "relay", remedy: "workers" },
            "process",
            // After this no process can take the lease.
            "UPDATE leases SET expires_at = 0 WHERE name = 'relay'; \
             CREATE TRIGGER nobody BEFORE UPDATE ON leases WHEN new.name = 'relay' \
             BEGIN SELECT RAISE(ABORT, 'nobody may'); END",
            "DROP TRIGGER nobody",
        ),
    ];
    for (fault, namespace, make, mend) in faults {
        tried(&shop, fault, of(namespace, make), of(namespace, mend)).await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_files_are_named_and_recover() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let folder = shop.place.folder.path().to_owned();
    let files = [
        ("event-store", "log.sqlite", "file-missing"),
        ("event-store", "process.sqlite", "file-missing"),
        ("read-models", "operations.sqlite", "file-missing"),
        ("read-models", "rm_orders_1.sqlite", "file-missing"),
        ("keys", "keys.sqlite", "file-missing"),
        ("schema", "erasures.sqlite", "file-missing"),
        ("keys", "master.key", "keys"),
    ];
    for (check, file, remedy) in files {
        // Only the name goes: connections that are open keep the file, and none is opened meanwhile.
        let (there, away) = (folder.join(file), folder.join(format!("{file}.away")));
        green(&shop.client, check).await;
        let checks = soonshop::checks::of(&shop.shop, Role::All, None, None).unwrap();
        std::fs::rename(&there, &away).unwrap();
        let found = checks.examine().await;
        std::fs::rename(&away, &there).unwrap();
        let found = found.into_iter().find(|one| one.name == check).unwrap();
        let message = format!("{:?} {:?}", found.object, found.reason);
        assert!(!found.ok && message.contains(file) && found.remedy == Some(remedy), "{found:?}");
        assert!(found.cure.is_some_and(|cure| !cure.is_empty()), "{found:?}");
        green(&shop.client, check).await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_named_on_the_pages_by_the_doctor_and_in_both_languages() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let fault = Fault { check: "read-models", object: "rm_orders_1.orders", remedy: "rebuild" };
    run(&shop.shop, "rm_orders_1", "ALTER TABLE orders RENAME TO away").await;
    red(&shop.client, &fault).await;
    doctor_names(&shop.shop, &fault).await;
    let ready = shop.client.get("/health/ready").await.expect(503).json();
    assert_eq!(ready["ready"], false);
    let accept = ("accept", "text/html");
    let bearer = format!("Bearer {}", shop.client.token);
    let command = r#"<code translate="no">replay-tool rebuild</code>"#;
    for (language, words) in [("en", "Run "), ("zh-CN", "请对所列对象运行 ")] {
        let words = format!("{words}{command}");
        for path in ["/", "/audit"] {
            let path = format!("{path}?lang={language}");
            let headers = [accept, ("authorization", bearer.as_str())];
            // On a busy machine a check may get no answer in time, which is named instead until it is asked again.
            eventually(&format!("{path} says {words}"), NAMED, async || {
                let page = shop.client.send(Method::GET, &path, None, &headers).await.expect(200);
                let page = String::from_utf8(page.bytes).unwrap();
                page.contains(&words) && page.contains("rm_orders_1.orders")
            })
            .await;
        }
    }
    run(&shop.shop, "rm_orders_1", "ALTER TABLE away RENAME TO orders").await;
    green(&shop.client, "read-models").await;
    eventually("the shop is ready again", MENDED, async || {
        shop.client.get("/health/ready").await.json()["ready"] == true
    })
    .await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_process_does_is_named_until_one_does() {
    let place = Place::new(Set::Embedded).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let fault = Fault { check: "workers", object: "relay, eraser", remedy: "workers" };
    doctor_names(&shop, &fault).await;
    let shop = TestShop::serve(place).await;
    green(&shop.client, "workers").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_whose_migration_did_not_finish_does_not_start() {
    let place = Place::new(Set::Embedded).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    run(&shop, "operations", "DELETE FROM active WHERE projection = 'orders'").await;
    let listen = "127.0.0.1:0".parse().unwrap();
    let options =
        soonshop::serve::Options { role: Role::All, contexts: soonshop::contexts(None).unwrap(), listen };
    let started = soonshop::serve::start(shop, options, soonshop_projections::all()).await;
    let message = started.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("orders") && message.contains("`soonshop migrate` did not finish"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_damaged_is_named_and_made_again() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let index = shop.place.folder.path().join("search/rm_products_1");
    let fault = Fault { check: "search", object: "rm_products_1", remedy: "index-damaged" };
    let damage = async || {
        let files = std::fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
        let largest = files
            .filter(|file| file.extension().is_some_and(|kind| kind == "store"))
            .max_by_key(|file| file.metadata().unwrap().len());
        // Mapped into memory: cut off, it would end the process that reads it. So its bytes are others.
        let file = largest.unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 0xff;
        let other = file.with_extension("other");
        std::fs::write(&other, bytes).unwrap();
        std::fs::rename(&other, &file).unwrap();
    };
    tried(&shop, fault, damage, async || std::fs::remove_dir_all(&index).unwrap()).await;
    nothing_is_lost(&shop, "DAMAGED").await;

    // Without its list of segments, and without its folder, it is made again by itself.
    std::fs::remove_file(index.join("meta.json")).unwrap();
    nothing_is_lost(&shop, "NO-LIST").await;
    green(&shop.client, "search").await;
    std::fs::remove_dir_all(&index).unwrap();
    nothing_is_lost(&shop, "NO-FOLDER").await;
    green(&shop.client, "search").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_a_killed_process_left_on_the_index_holds_nothing_up() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let place = shop.close().await;
    std::fs::write(place.folder.path().join("search/rm_products_1/.tantivy-writer.lock"), "").unwrap();
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "AFTER").await;
    green(&shop.client, "search").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows_is_named() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut place = Place::new(Set::Embedded).await;
    place.config.search = "http://nowhere.invalid:9200".to_owned();
    place.config.bus = "amqp://nowhere.invalid".to_owned();
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let found = soonshop::checks::of(&shop, Role::All, None, None).unwrap().examine().await;
    for check in ["search", "bus"] {
        let one = found.iter().find(|one| one.name == check).unwrap();
        assert!(
            !one.ok && one.object.as_deref().is_some_and(|object| object.contains("nowhere.invalid")),
            "{one:?}"
        );
        assert_eq!(one.remedy, Some("name"), "{one:?}");
    }
}
