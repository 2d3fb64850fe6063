//! A person is erased: over HTTP, from every store, during other work and after a restore; and `soonshop verify erased`
//! proves it by their values.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::erased::overdue::drop_overdue;
use soonshop::erased::{self, Report};
use soonshop::{doctor, migrate};
use soonshop_domain::Purpose;
use soonshop_event_log::{Checkpoint, Leases};
use soonshop_event_store::EventStore;
use soonshop_projections::operations;
use soonshop_projections::order::Orders;
use soonshop_projections::runner::ROWS;
use uuid::Uuid;

use crate::support::{Place, Set, TestShop, binary, eventually};

/// The guest's values. Characters outside ASCII, and quotes, are stored in several encodings.
const VALUES: [&str; 4] =
    ["Zoë \"Zee\" Quuxley", "Zoe.Quuxley@Hidden.example", "+44 7700 900456", "9 Nowhere Mews\nÅtown"];

/// Of a user.
const USER: [&str; 3] = ["Ùrsula Quuxley", "ursula@hidden.example", "+44 7700 900789"];

/// A file with the values, one a line, as a person would write them.
fn written(folder: &Path, values: &[&str]) -> PathBuf {
    let file = folder.join("values.txt");
    let lines: Vec<String> = values.iter().flat_map(|value| value.lines()).map(str::to_uppercase).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    file
}

/// Runs `verify erased` as an operator would, in a process of its own; its exit code and output.
fn run(place: &Place, person: Uuid, args: &[&str]) -> (Option<i32>, String) {
    let config = &place.config;
    let output = Command::new(binary())
        .args(["verify", "erased", &person.to_string()])
        .args(args)
        .args(["--store", &config.store, "--search", &config.search, "--cache", &config.cache])
        .arg("--master-key-file")
        .arg(&config.master_key_file)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), message)
}

fn verify(shop: &TestShop, person: Uuid, values: &[&str]) -> Report {
    let file = written(shop.place.folder.path(), values);
    let (code, message) = run(&shop.place, person, &["--json", "--values", file.to_str().unwrap()]);
    let report: Report = serde_json::from_str(message.trim()).unwrap_or_else(|_| panic!("{message}"));
    assert_eq!(code, Some(report.exit_code().into()));
    report
}

/// Until the verdict is clean. (A SQLite file is overwritten a moment after it was cleaned.)
async fn clean(shop: &TestShop, person: Uuid, values: &[&str]) -> Report {
    eventually("nothing is found", Duration::from_secs(20), async || {
        verify(shop, person, values).found.is_empty()
    })
    .await;
    verify(shop, person, values)
}

fn order(customer: &Value) -> Value {
    json!({"lines": [{"sku": "MUG", "quantity": 1}], "country": "France", "customer": customer,
        "contact": {"name": VALUES[0], "email": VALUES[1], "phone": VALUES[2], "address": VALUES[3]}})
}

/// An order of a guest's. Its path.
async fn ordered(shop: &TestShop, guest: Uuid) -> String {
    let placed = shop.client.post("/orders", &order(&json!({"guest": guest}))).await.expect(201);
    let path = placed.header("location").to_owned();
    shop.client.get_at(&path, &placed.position()).await.expect(200);
    path
}

async fn registered(shop: &TestShop) -> Uuid {
    let body = json!({"name": USER[0], "email": USER[1], "phone": USER[2], "country": "France"});
    let made = shop.client.post("/users", &body).await.expect(201);
    let path = made.header("location").to_owned();
    shop.client.get_at(&path, &made.position()).await.expect(200);
    made.json()["id"].as_str().unwrap().parse().unwrap()
}

async fn erase(shop: &TestShop, person: Uuid, purposes: &[&str]) {
    let body = json!({ "purposes": purposes });
    shop.client.operate(&format!("/people/{person}/erasures"), &body).await.expect(200);
}

/// A guest is erased, and their values are gone from every read model, index, cache and key store.
async fn forgotten(set: Set) {
    let shop = TestShop::start(set).await;
    let (product, _) = shop.client.product("MUG", "A mug", 500, 100).await;
    let (guest, other) = (Uuid::new_v4(), Uuid::new_v4());
    let path = ordered(&shop, guest).await;
    let user = registered(&shop).await;
    shop.client.post("/orders", &order(&json!({"guest": other}))).await.expect(201);
    shop.settle().await;
    let answers = async || {
        let mut all = String::new();
        for path in [
            path.clone(),
            format!("/orders?customer={guest}"),
            format!("{path}?as_of=v:1"),
            "/products/search?q=quuxley".to_owned(),
            format!("/products/{product}"),
        ] {
            all.push_str(&String::from_utf8(shop.client.look(&path).await.expect(200).bytes).unwrap());
        }
        all
    };
    assert_eq!(answers().await.matches("Quuxley@").count(), 2, "in the order and in the past");

    // Before: the search finds the values in the read models, and only there.
    let report = verify(&shop, guest, &VALUES);
    assert_eq!((report.exit_code(), report.sealed), (3, 4));
    assert_eq!((&report.asked[..], &report.kept[..]), (&[][..], &[Purpose::Invoice][..]));
    let places: Vec<&str> = report
        .found
        .iter()
        .filter(|found| found.store == "rm_orders_1")
        .map(|found| found.place.as_str())
        .collect();
    let columns = ["contact_address", "contact_email", "contact_name", "contact_phone"];
    assert_eq!(places, columns.map(|column| format!("orders.{column}")));
    assert!(report.found.iter().any(|found| found.why.contains("no erasure was requested")));
    let elsewhere =
        |found: &&erased::Leftover| !["rm_orders_1", "log", "files"].contains(&found.store.as_str());
    assert_eq!(report.found.iter().filter(elsewhere).count(), 0, "{report}");
    assert!(!VALUES.iter().any(|value| report.to_string().contains(value)), "a report names no value");

    erase(&shop, guest, &["invoice"]).await;
    erase(&shop, other, &["invoice"]).await;
    shop.settle().await;
    assert!(!answers().await.contains("Quuxley"));
    let order_of = shop.client.look(&path).await.expect(200).json();
    assert_eq!(order_of["contact"]["name"], Value::Null);
    let then = shop.client.look(&format!("{path}?as_of=v:1")).await.expect(200).json();
    assert_eq!(then["erased"], true);
    let report = clean(&shop, guest, &VALUES).await;
    assert_eq!((report.exit_code(), report.sealed), (0, 4), "{report}");
    assert_eq!((&report.asked[..], &report.kept[..]), (&[Purpose::Invoice][..], &[][..]));
    let looked = |store: &str, what: &str| {
        report.looked_at.iter().find(|one| one.store == store && one.what == what).map(|one| one.items)
    };
    assert_eq!(looked("rm_orders_1", "orders"), Some(1), "of theirs");
    let events = shop.shop.log().unwrap().head().await.unwrap().position;
    assert_eq!(looked("log", "events"), u64::try_from(events).ok());
    for (store, table) in [("log", "commands"), ("log", "states"), ("log", "claims"), ("keys", "data_keys")] {
        assert!(looked(store, table).is_some(), "{store}.{table}");
    }
    for (store, table) in [("process", "outbox"), ("operations", "entries"), ("rm_users_1", "parked")] {
        assert!(looked(store, table).is_some(), "{store}.{table}");
    }
    assert_eq!(looked("search", "rm_products_1"), Some(1));
    assert_eq!(looked("cache", "rm_products_1").is_some(), set != Set::Embedded);
    assert_eq!(report.looked_at.iter().any(|one| one.store == "files"), set == Set::Embedded);
    let backups = report.backups.unwrap();
    assert_eq!((backups.until - backups.recorded_at).num_days(), 35);
    let confirmed = shop.shop.log().unwrap().read(backups.position, 1).await.unwrap().remove(0);
    assert_eq!(
        (confirmed.event_type.as_str(), confirmed.event_id, confirmed.aggregate_id),
        ("PersonErased", backups.event_id, guest.to_string())
    );
    let message = shop.client.post("/orders", &order(&json!({"guest": guest}))).await.expect(410);
    assert_eq!(message.json()["type"], "/problems/person-erased");

    // The user is deleted with the account; the address is free, and the deletion is the same as by `DELETE`.
    erase(&shop, user, &["account", "invoice"]).await;
    shop.settle().await;
    shop.client.get(&format!("/users/{user}")).await.expect(410);
    let report = clean(&shop, user, &USER).await;
    assert_eq!((&report.asked[..], report.sealed), (&[Purpose::Account, Purpose::Invoice][..], 3));
    assert_eq!(erased::incomplete(&shop.shop, None).await.unwrap(), []);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_everywhere_embedded() {
    forgotten(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_everywhere_on_rabbitmq_redis_and_elasticsearch() {
    forgotten(Set::Rabbit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_everywhere_on_nats_redis_and_opensearch() {
    forgotten(Set::Nats).await;
}

/// Sends a command as the operator, and returns the id of what it made.
async fn made(shop: &TestShop, path: &str, body: &Value) -> String {
    let status = if path == "/checkouts" { 202 } else { 201 };
    shop.client.operate(path, body).await.expect(status).json()["id"].as_str().unwrap().to_owned()
}

/// A checkout of the guest's cart, with all of their values.
async fn checked_out(shop: &TestShop, cart: &str) -> String {
    let contact = order(&Value::Null)["contact"].clone();
    made(shop, "/checkouts", &json!({"cart": cart, "country": "France", "contact": contact})).await
}

/// Three checkouts of one guest: one became an order, one came to nothing, and one runs when they are erased.
async fn forgotten_with_checkouts(set: Set) {
    let shop = TestShop::start(set).await;
    shop.client.product("MUG", "A mug", 500, 100).await;
    let guest = Uuid::new_v4();
    let cart = json!({"sku": "MUG", "quantity": 1, "customer": {"guest": guest}});
    let bought = checked_out(&shop, &made(&shop, "/carts", &cart).await).await;
    made(&shop, &format!("/checkouts/{bought}/payments"), &json!({})).await;
    shop.settle().await;
    let cart = made(&shop, "/carts", &cart).await;
    let given_up = checked_out(&shop, &cart).await;
    let why = [("x-reason", "customer-request")];
    shop.client.operate_with(&format!("/checkouts/{given_up}/end"), &json!({}), &why).await.expect(200);
    shop.settle().await;
    let running = checked_out(&shop, &cart).await;
    shop.settle().await;
    let past = async |path: &str| {
        String::from_utf8(shop.client.look(&format!("{path}?as_of=v:1")).await.expect(200).bytes).unwrap()
    };
    let all = [&bought, &given_up, &running].map(|id| format!("/checkouts/{id}"));
    for path in &all {
        assert!(past(path).await.contains("Quuxley"), "{path}: what it began with");
    }
    erase(&shop, guest, &["account", "invoice"]).await;
    made(&shop, &format!("/checkouts/{running}/payments"), &json!({})).await;
    shop.settle().await;
    let ended = shop.client.get(&all[2]).await.expect(200).json();
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("refused"), &json!("person-erased")), "{ended}");
    for path in &all {
        assert!(!past(path).await.contains("Quuxley"), "{path}");
    }
    let report = clean(&shop, guest, &VALUES).await;
    assert_eq!(report.asked, [Purpose::Account, Purpose::Invoice]);
    // Four of each checkout, and four of the order.
    assert_eq!((report.exit_code(), report.sealed), (0, 16), "{report}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_erased_with_what_they_bought_and_did_not_buy_embedded() {
    forgotten_with_checkouts(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_is_erased_with_what_they_bought_and_did_not_buy_on_servers() {
    forgotten_with_checkouts(Set::Nats).await;
}

/// Orders come in while the person is being forgotten, and a generation is built from the beginning meanwhile.
async fn attacked(set: Set) {
    let shop = TestShop::start(set).await;
    shop.client.product("MUG", "A mug", 500, 1_000).await;
    let guest = Uuid::new_v4();
    for _ in 0..20 {
        ordered(&shop, guest).await;
    }
    let buying = async {
        let mut statuses = Vec::new();
        while !statuses.ends_with(&[410; 5]) {
            let body = order(&json!({"guest": guest}));
            statuses.push(shop.client.post("/orders", &body).await.status.as_u16());
        }
        statuses
    };
    let forgetting = async {
        shop.shop.registry().unwrap().create(&Orders).await.unwrap();
        erase(&shop, guest, &["invoice"]).await;
    };
    let (statuses, ()) = tokio::join!(buying, forgetting);
    assert!(statuses.iter().all(|status| [201, 410].contains(status)), "{statuses:?}");
    eventually("the second generation is there", Duration::from_secs(30), async || {
        let missing = erased::incomplete(&shop.shop, Some(guest)).await.unwrap();
        missing.iter().all(|one| one.sink != "rm_orders_2:rows")
    })
    .await;
    shop.settle().await;
    let report = clean(&shop, guest, &VALUES).await;
    assert!(report.sealed >= 80, "{report}");
    for generation in ["rm_orders_1", "rm_orders_2"] {
        let looked = |one: &&erased::SearchedPlace| one.store == generation && one.what == "orders";
        let looked = report.looked_at.iter().find(looked).unwrap();
        assert_eq!(looked.items * 4, report.sealed, "{generation}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_erased_during_a_rebuild_is_erased_in_every_generation_embedded() {
    attacked(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_erased_during_a_rebuild_is_erased_in_every_generation_on_real_servers() {
    attacked(Set::Nats).await;
}

fn copy_files(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        std::fs::copy(from.join(format!("{name}.sqlite")), to.join(format!("{name}.sqlite"))).unwrap();
        for suffix in ["sqlite-wal", "sqlite-shm"] {
            let left = to.join(format!("{name}.{suffix}"));
            assert!(!left.exists() || std::fs::remove_file(left).is_ok());
        }
    }
}

/// Stopped: every file is whole.
async fn closed(shop: TestShop) -> Place {
    let of = shop.shop.clone();
    let place = shop.close().await;
    eventually("the log has no owner", Duration::from_secs(10), async || {
        EventStore::check_owner(&of.store_database).is_ok()
    })
    .await;
    for file in std::fs::read_dir(place.folder.path()).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "sqlite") {
            let name = file.file_stem().unwrap().to_str().unwrap();
            for one in [&of.store_database, &of.read_database, &of.keys_database, &of.erasures_database] {
                one.close(name).await.unwrap();
            }
        }
    }
    // SQLite takes these away when the last connection closes, and the driver closes on threads of its own.
    eventually("nobody has a file open", Duration::from_secs(30), async || {
        let mut files = std::fs::read_dir(place.folder.path()).unwrap().map(|file| file.unwrap().file_name());
        !files.any(|name| name.to_string_lossy().ends_with("-wal"))
    })
    .await;
    place
}

/// A user and a guest, a backup of the folder, and then both are erased.
async fn erased_after_a_backup(backup: &Path) -> (Place, Uuid, Uuid, String) {
    let shop = TestShop::start(Set::Embedded).await;
    shop.client.product("MUG", "A mug", 500, 10).await;
    let guest = Uuid::new_v4();
    let path = ordered(&shop, guest).await;
    let user = registered(&shop).await;
    shop.settle().await;
    let place = closed(shop).await;
    copy_files(place.folder.path(), backup, &["log", "keys", "process"]);
    let shop = TestShop::serve(place).await;
    erase(&shop, guest, &["invoice"]).await;
    let gone = shop.client.send(Method::DELETE, &format!("/users/{user}"), None, &[("if-match", "*")]).await;
    assert!(gone.status.is_success());
    shop.settle().await;
    clean(&shop, guest, &VALUES).await;
    clean(&shop, user, &USER).await;
    (closed(shop).await, guest, user, path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_come_back_with_a_backup_open_nothing_from_the_first_request_on() {
    let backup = tempfile::tempdir().unwrap();
    let (place, guest, user, path) = Box::pin(erased_after_a_backup(backup.path())).await;
    copy_files(backup.path(), place.folder.path(), &["keys"]);
    let shop = TestShop::serve(place).await;
    let then = shop.client.look(&format!("{path}?as_of=v:1")).await.expect(200).json();
    assert_eq!((&then["erased"], &then["state"]["placed"]["contact"]["name"]), (&json!(true), &Value::Null));
    shop.settle().await;
    assert_eq!(clean(&shop, guest, &VALUES).await.asked, [Purpose::Invoice]);
    assert_eq!(clean(&shop, user, &USER).await.asked, [Purpose::Account]);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_erased_again() {
    let backup = tempfile::tempdir().unwrap();
    let (place, guest, user, path) = Box::pin(erased_after_a_backup(backup.path())).await;
    copy_files(backup.path(), place.folder.path(), &["log", "keys", "process"]);
    // As after any restore of a log: the read models are built again.
    for file in std::fs::read_dir(place.folder.path()).unwrap().map(|file| file.unwrap()) {
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("rm_") || name.starts_with("operations") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    std::fs::remove_dir_all(place.folder.path().join("search")).unwrap();
    let shop = TestShop::serve(place).await;
    shop.settle().await;
    assert_eq!(shop.client.look(&path).await.expect(200).json()["contact"]["name"], Value::Null);
    shop.client.get(&format!("/users/{user}")).await.expect(410);
    assert_eq!(clean(&shop, guest, &VALUES).await.asked, [Purpose::Invoice]);
    assert_eq!(clean(&shop, user, &USER).await.asked, [Purpose::Account]);
    shop.stop().await;
}

/// A generation whose code no process has: nothing runs it, so it keeps its rows until the deadline.
async fn orphaned(set: Set) {
    let shop = TestShop::start(set).await;
    let guest = Uuid::new_v4();
    shop.client.product("MUG", "A mug", 500, 10).await;
    ordered(&shop, guest).await;
    shop.settle().await;
    let registry = shop.shop.registry().unwrap();
    let execute = async |sql: &str| {
        registry.operations().connection.execute_unprepared(&registry.operations().sql(sql)).await.unwrap();
    };
    let second = registry.create(&Orders).await.unwrap();
    eventually("it is kept", Duration::from_secs(20), async || {
        let last = shop.shop.log().unwrap().head().await.unwrap().position;
        let db = second.db(registry.database()).unwrap();
        let at = Checkpoint::load(&db, &db.connection, ROWS).await.unwrap();
        at.is_some_and(|(at, _)| at.position == last)
    })
    .await;
    // From here on it is of a release that is not here.
    execute("UPDATE @generations SET version = 99 WHERE projection = 'orders' AND generation = 2").await;
    let alone = async |number: u8| {
        let leases = Leases::new(registry.operations().clone(), "");
        let lease = format!("rm_orders_{number}:{ROWS}");
        eventually("no worker keeps it up to date", Duration::from_secs(30), async || {
            leases.holder(&lease).await.unwrap().is_none()
        })
        .await;
    };
    alone(2).await;
    erase(&shop, guest, &["invoice"]).await;
    shop.settle().await;
    let report = verify(&shop, guest, &VALUES);
    let found: Vec<_> = report.found.iter().map(|one| (one.store.as_str(), one.place.as_str())).collect();
    assert!(found.contains(&("rm_orders_2", "orders.contact_name")), "{report}");
    let named = "rm_orders_2:rows has not dealt with the erasure of";
    assert!(report.to_string().contains(named) && report.to_string().contains("no process runs it"));
    let finding = |all: Vec<doctor::Finding>| all.into_iter().find(|one| one.what == "erasures").unwrap();
    let message = finding(doctor::examine(&shop.shop).await);
    assert!(!message.ok && message.detail.contains(named), "{message:?}");

    let day = TimeDelta::days(1);
    assert_eq!(drop_overdue(&shop.shop, day).await.unwrap(), [""; 0], "it is not due yet");
    // Another run is about to change the generations: this one is left to it.
    let somebody = Leases::new(registry.operations().clone(), "somebody");
    let lease = somebody.acquire("replay:orders").await.unwrap().unwrap();
    assert_eq!(drop_overdue(&shop.shop, TimeDelta::zero()).await.unwrap(), [""; 0]);
    somebody.release(&lease).await.unwrap();
    assert_eq!(drop_overdue(&shop.shop, TimeDelta::zero()).await.unwrap(), ["rm_orders_2"]);
    assert_eq!(drop_overdue(&shop.shop, TimeDelta::zero()).await.unwrap(), [""; 0], "and once only");
    assert!(finding(doctor::examine(&shop.shop).await).ok);
    clean(&shop, guest, &VALUES).await;
    let written = operations::last_of(registry.operations(), "retire", 9).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!((&*written[0].subject, &*written[0].actor), ("rm_orders_2", "system:eraser"));
    assert_eq!(written[0].detail["erasure_of"], guest.to_string());

    // The active generation is never dropped, whoever runs it.
    execute("UPDATE @generations SET version = 99 WHERE projection = 'orders' AND generation = 1").await;
    alone(1).await;
    let first = registry.active("orders").await.unwrap().unwrap();
    let db = first.db(registry.database()).unwrap();
    db.connection.execute_unprepared(&db.sql("DELETE FROM @erased")).await.unwrap();
    assert_eq!(drop_overdue(&shop.shop, TimeDelta::zero()).await.unwrap(), [""; 0]);
    assert!(registry.is_there(&first).await.unwrap());
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_without_a_projector_is_named_and_dropped_at_the_deadline_embedded() {
    orphaned(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_without_a_projector_is_named_and_dropped_at_the_deadline_on_real_servers() {
    orphaned(Set::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_erased_lists_the_searched_places_and_exits_with_0_3_or_1() {
    let shop = TestShop::start(Set::Embedded).await;
    let user = registered(&shop).await;
    shop.settle().await;
    let file = written(shop.place.folder.path(), &USER);
    let args = ["--values", file.to_str().unwrap()];
    let (code, message) = run(&shop.place, user, &args);
    assert_eq!(code, Some(3), "{message}");
    assert!(
        message.contains("users.email") && message.contains("NOT clean") && !message.contains("Quuxley"),
        "{message}"
    );
    erase(&shop, user, &["account"]).await;
    shop.settle().await;
    clean(&shop, user, &USER).await;
    let (code, message) = run(&shop.place, user, &args);
    assert_eq!(code, Some(0), "{message}");
    assert!(
        message.contains("35 days after the event at position 4") && message.contains("clean: nothing"),
        "{message}"
    );
    let (code, message) = run(&shop.place, user, &[&args[..], &["--json", "--backup-days", "7"]].concat());
    let report: Value = serde_json::from_str(message.trim()).unwrap();
    assert_eq!((code, &report["found"], &report["backups"]["days"]), (Some(0), &json!([]), &json!(7)));
    assert_eq!(report["asked"], json!(["account"]));
    std::fs::write(&file, "Quuxley\nUK\n").unwrap();
    let (code, message) = run(&shop.place, user, &args);
    assert!(code == Some(1) && message.contains("line 2"), "{message}");
    let db = shop.shop.keys_database.namespace("keys").unwrap();
    db.connection.execute_unprepared("ALTER TABLE data_keys RENAME TO away").await.unwrap();
    let (code, message) = run(&shop.place, user, &[]);
    assert!(code == Some(1) && message.contains("keys"), "{message}");
    db.connection.execute_unprepared("ALTER TABLE away RENAME TO data_keys").await.unwrap();
    migrate::check(&shop.shop).await.unwrap();
    shop.stop().await;
}
