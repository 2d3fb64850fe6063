//! API keys on real stores: what they open, for how long, and that they are nowhere but with their holder.

use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::api_keys::{ApiKeys, Limits};
use soonshop_projections::operations::{self, Recorded, SIGN_IN};
use soonshop_projections::record;
use soonshop_service_kit::access::{ApiKey, Permission, Role};
use uuid::Uuid;

use crate::support::{Answer, Client, Place, Process, Set, TestShop, binary, eventually, free_port};

async fn register(client: &Client, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    client.send(Method::POST, "/users", Some(&json!({})), &[("authorization", &bearer)]).await
}

async fn list(client: &Client, key: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    client.send(Method::GET, "/users", None, &[("authorization", &bearer)]).await.status.as_u16()
}

async fn keys_open_the_shop_until_they_are_revoked(set: Set) {
    let shop = TestShop::start(set).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let old = keys.create(Role::Support, "help desk", None).await.unwrap();
    let other = keys.create(Role::Auditor, "yearly audit", Some(30)).await.unwrap();
    register(&shop.client, &old.text()).await.expect(201);
    assert_eq!(list(&shop.client, &other.text()).await, 200);
    assert_eq!(
        register(&shop.client, &other.text()).await.expect(403).json()["type"],
        "/problems/not-permitted"
    );
    let rows = keys.all().await.unwrap();
    let event = shop.shop.log().unwrap().read(1, 1).await.unwrap().remove(0);
    let metadata: Value = serde_json::from_str(&event.metadata).unwrap();
    assert_eq!((&metadata["actor_kind"], &metadata["actor_id"]), (&json!("staff"), &json!(rows[0].id)));
    assert!(rows.iter().all(|row| row.used_at.is_some()), "{rows:?}");
    assert_eq!(rows[1].expires_at.unwrap() - rows[1].created_at, chrono::TimeDelta::days(30));

    // Two keys for a while, then one.
    let new = keys.rotate(old.prefix(), 1, None).await.unwrap();
    assert_eq!((list(&shop.client, &old.text()).await, list(&shop.client, &new.text()).await), (200, 200));
    let rows = keys.all().await.unwrap();
    assert_eq!(
        (rows[2].rotated_from, &rows[2].role, &rows[2].name),
        (Some(rows[0].id), &rows[0].role, &rows[0].name)
    );
    assert!(rows[0].expires_at.is_some() && rows[2].expires_at.is_none());
    keys.revoke(old.prefix()).await.unwrap();
    assert!(keys.revoke(old.prefix()).await.is_err() && keys.rotate(old.prefix(), 1, None).await.is_err());
    eventually("a key that was revoked opens nothing", Duration::from_secs(30), async || {
        register(&shop.client, &old.text()).await.status == 401
            && list(&shop.client, &old.text()).await == 401
    })
    .await;
    assert_eq!(list(&shop.client, &new.text()).await, 200);
    // A key that is rotated without overlap expires at once, and the answer says so.
    let newest = keys.rotate(new.prefix(), 0, None).await.unwrap();
    eventually("a key whose time is over says so", Duration::from_secs(30), async || {
        register(&shop.client, &new.text()).await.json()["type"] == "/problems/token-expired"
    })
    .await;
    // A key of another shop is unknown here.
    let stranger = ApiKey::generate(Uuid::new_v4()).unwrap();
    assert_eq!(list(&shop.client, &stranger.text()).await, 401);

    let db = shop.shop.read_database.namespace("operations").unwrap();
    let lines = operations::last_of(&db, None, 100).await.unwrap();
    let actions: Vec<_> = lines.iter().rev().map(|line| line.action.as_str()).collect();
    assert_eq!(actions, ["key-create", "key-create", "key-rotate", "key-revoke", "key-rotate"]);
    let message =
        serde_json::to_string(&lines).unwrap() + &serde_json::to_string(&keys.all().await.unwrap()).unwrap();
    for key in [&old, &other, &new, &newest] {
        assert!(!message.contains(&key.text()[13..]), "the record holds a secret");
    }
    if set != Set::Embedded {
        roles_change_nothing_of_a_key_but_its_last_use(&db).await;
        the_tables_of_processes_are_read_only_for_viewer_and_tool(&db).await;
    }
    shop.stop().await;
}

/// Nothing more may be written into that table, or it may again.
async fn close(db: &soonshop_event_log::Db, table: &str, closed: bool) {
    let steps: &[&str] = match (db.backend(), closed) {
        (sea_orm::DatabaseBackend::Postgres, true) => {
            &["ALTER TABLE @{} ADD CONSTRAINT closed CHECK (false) NOT VALID"]
        }
        (sea_orm::DatabaseBackend::Postgres, false) => &["ALTER TABLE @{} DROP CONSTRAINT closed"],
        (_, true) => &[
            "CREATE TRIGGER {}_closed_1 BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'closed'); END",
            "CREATE TRIGGER {}_closed_2 BEFORE UPDATE ON {} BEGIN SELECT RAISE(ABORT, 'closed'); END",
        ],
        (_, false) => &["DROP TRIGGER {}_closed_1", "DROP TRIGGER {}_closed_2"],
    };
    for step in steps {
        db.connection.execute_unprepared(&db.sql(&step.replace("{}", table))).await.unwrap();
    }
}

/// If one of the two cannot be written, neither is.
async fn a_key_and_its_line_in_the_record_fall_together(set: Set) {
    let place = Place::new(set).await;
    let shop = soonshop::Shop::open(&place.config, soonshop::Role::All).unwrap();
    soonshop::migrate::migrate(&shop).await.unwrap();
    let (keys, db) =
        (ApiKeys::new(&shop.read_database).unwrap(), shop.read_database.namespace("operations").unwrap());
    let one = keys.create(Role::Support, "help desk", None).await.unwrap();
    let seen = async || {
        let lines = serde_json::to_value(operations::last_of(&db, None, 100).await.unwrap()).unwrap();
        (lines, serde_json::to_value(keys.all().await.unwrap()).unwrap())
    };
    let before = seen().await;
    for table in ["api_keys", "entries"] {
        close(&db, table, true).await;
        assert!(keys.create(Role::Support, "another", None).await.is_err(), "{table}");
        assert!(keys.rotate(one.prefix(), 1, None).await.is_err(), "{table}");
        assert!(keys.revoke(one.prefix()).await.is_err(), "{table}");
        assert_eq!(seen().await, before, "{table}");
        close(&db, table, false).await;
    }
    // It was nothing else that stood in the way.
    keys.rotate(one.prefix(), 1, None).await.unwrap();
    keys.revoke(one.prefix()).await.unwrap();
    assert_eq!(seen().await.0.as_array().unwrap().len(), 3);
    db.connection.close().await.unwrap();
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_its_record_are_one_transaction_embedded() {
    a_key_and_its_line_in_the_record_fall_together(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_its_record_are_one_transaction_on_servers() {
    a_key_and_its_line_in_the_record_fall_together(Set::Nats).await;
}

async fn roles_change_nothing_of_a_key_but_its_last_use(db: &soonshop_event_log::Db) {
    for role in ["soonshop_command", "soonshop_query", "soonshop_projector", "soonshop_replay"] {
        let takes_requests = ["soonshop_command", "soonshop_query"].contains(&role);
        for (column, may) in
            [("used_at", takes_requests), ("revoked_at", false), ("role", false), ("hash", false)]
        {
            let sql =
                format!("SELECT has_column_privilege('{role}', 'operations.api_keys', '{column}', 'UPDATE')");
            let row = db.connection.query_one(db.statement(&sql, [])).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<bool>(0).unwrap(), may, "{role} {column}");
        }
        let sql = format!(
            "SELECT has_table_privilege('{role}', 'operations.api_keys', 'INSERT, DELETE, TRUNCATE')"
        );
        let row = db.connection.query_one(db.statement(&sql, [])).await.unwrap().unwrap();
        assert!(!row.try_get_by_index::<bool>(0).unwrap(), "{role}");
    }
}

/// The query role reads the instances of process managers, and the tool their positions; neither writes them, except that
/// the query role can retry a command. The tool reads no state and no command.
async fn the_tables_of_processes_are_read_only_for_viewer_and_tool(db: &soonshop_event_log::Db) {
    let may = async |role: &str, table: &str, right: &str| {
        let sql = format!("SELECT has_table_privilege('{role}', 'process.{table}', '{right}')");
        let row = db.connection.query_one(db.statement(&sql, [])).await.unwrap().unwrap();
        row.try_get_by_index::<bool>(0).unwrap()
    };
    for (role, reads) in [("soonshop_query", true), ("soonshop_replay", true), ("soonshop_projector", false)]
    {
        for table in ["checkpoints", "processes", "instances", "outbox", "timeouts"] {
            assert_eq!(may(role, table, "SELECT").await, reads, "{role} {table}");
            assert!(!may(role, table, "INSERT, UPDATE, DELETE, TRUNCATE").await, "{role} {table}");
        }
        assert_eq!(may(role, "leases", "SELECT").await, role == "soonshop_query", "{role}");
        assert!(!may(role, "leases", "INSERT, UPDATE, DELETE, TRUNCATE").await, "{role}");
        // A retry brings the next attempt forward, and changes nothing else.
        for (column, may) in [("retry_at", role == "soonshop_query"), ("attempts", false), ("task", false)] {
            let sql =
                format!("SELECT has_column_privilege('{role}', 'process.outbox', '{column}', 'UPDATE')");
            let row = db.connection.query_one(db.statement(&sql, [])).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<bool>(0).unwrap(), may, "{role} {column}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_open_the_shop_until_they_are_revoked_embedded() {
    keys_open_the_shop_until_they_are_revoked(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_open_the_shop_until_they_are_revoked_on_servers() {
    keys_open_the_shop_until_they_are_revoked(Set::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_line_and_no_file_holds_a_key() {
    let place = Place::new(Set::Embedded).await;
    let shop = soonshop::Shop::open(&place.config, soonshop::Role::All).unwrap();
    soonshop::migrate::migrate(&shop).await.unwrap();
    let key = ApiKeys::new(&shop.read_database).unwrap().create(Role::Admin, "a key", None).await.unwrap();
    let (listen, file) = (format!("127.0.0.1:{}", free_port()), place.folder.path().join("shop.log"));
    let args = ["serve", "--listen", &listen];
    let process = Process::start_logging(&place.config, "test", &args, "trace", &file);
    let client = Client::new(&format!("http://{listen}"), "");
    eventually("it answers", Duration::from_secs(30), async || {
        client.try_send(Method::GET, "/health/live", None, &[]).await.is_ok()
    })
    .await;
    register(&client, &key.text()).await.expect(201);
    let wrong = format!("{}{}", key.text(), "x");
    register(&client, &wrong).await.expect(401);
    assert_eq!(process.stop(), Some(0));
    assert!(
        std::fs::read_to_string(&file).unwrap().contains("/users"),
        "the log is the one that is looked at"
    );
    for entry in std::fs::read_dir(place.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let secret = &key.text()[13..];
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{}", path.display());
        }
    }
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_created_at_the_command_line_with_any_name() {
    let place = Place::new(Set::Embedded).await;
    let shop = soonshop::Shop::open(&place.config, soonshop::Role::All).unwrap();
    soonshop::migrate::migrate(&shop).await.unwrap();
    let config = &place.config;
    let made = std::process::Command::new(binary())
        .args(["key", "create", "--role", "support", "--name", "help desk, Bath", "--expires-days", "90"])
        .args(["--store", &config.store, "--search", &config.search])
        .arg("--master-key-file")
        .arg(&config.master_key_file)
        .output()
        .unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success() && key.starts_with("ssk_"), "{}", String::from_utf8_lossy(&made.stderr));
    let rows = ApiKeys::new(&shop.read_database).unwrap().all().await.unwrap();
    assert_eq!((rows[0].name.as_str(), rows[0].role.as_str()), ("help desk, Bath", "support"));
    place.remove().await;
}

/// Begins a session on the page for it.
async fn sign_in(shop: &TestShop, key: &str) {
    let redirects = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().no_proxy().redirect(redirects).build().unwrap();
    let sent = http
        .post(format!("{}/audit/sign-in", shop.client.base))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("key={key}"));
    assert_eq!(sent.send().await.unwrap().status().as_u16(), 303);
}

async fn sign_ins_of_one_day_are_one_entry(set: Set) {
    let shop = TestShop::start(set).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let one = keys.create(Role::Support, "one", None).await.unwrap().text();
    let other = keys.create(Role::Auditor, "other", None).await.unwrap().text();
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let entries = async || operations::last_of(&db, SIGN_IN, 100).await.unwrap();
    for _ in 0..3 {
        sign_in(&shop, &one).await;
    }
    sign_in(&shop, &other).await;
    let [of_other, of_one] = &entries().await[..] else { panic!("one for each caller") };
    let counted = async |entry: &Recorded| record::sign_ins(&db, &entry.actor, entry.at).await.unwrap();
    assert_eq!((counted(of_one).await, counted(of_other).await), (Some(3), Some(1)));
    let seen =
        shop.client.look(&format!("/api/audit/operations/{}", of_one.position)).await.expect(200).json();
    assert_eq!((&seen["action"], &seen["sign_ins"]), (&json!(SIGN_IN), &json!(3)));
    let listed = shop.client.look("/api/audit/operations").await.expect(200).json();
    assert!(!listed.to_string().contains(SIGN_IN), "{listed}");

    // The next day has an entry of its own, and what is old is not kept.
    for days in [1, 400] {
        let earlier = format!("UPDATE @sign_ins SET day = day - {days}");
        db.connection.execute(db.statement(&earlier, [])).await.unwrap();
        sign_in(&shop, &one).await;
    }
    assert_eq!(entries().await.len(), 4);
    let kept = db.statement("SELECT count(*) FROM @sign_ins", []);
    let kept: i64 = db.connection.query_one(kept).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(kept, 2, "the one of today, and the one of 400 days ago");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_of_one_day_are_one_entry_embedded() {
    sign_ins_of_one_day_are_one_entry(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_of_one_day_are_one_entry_on_servers() {
    sign_ins_of_one_day_are_one_entry(Set::Nats).await;
}

/// A key does no more than it was made for, is accepted from no other networks, and so is the one that replaces it.
async fn a_key_does_what_it_was_made_for_from_its_networks_alone(set: Set) {
    let shop = TestShop::start(set).await;
    let keys = ApiKeys::new(&shop.shop.read_database).unwrap();
    let limits = |permissions: &[Permission], network: &str| Limits {
        role: Role::Support,
        permissions: permissions.to_vec(),
        networks: vec![network.parse().unwrap()],
    };
    let too_much = limits(&[Permission::Read, Permission::Trade], "127.0.0.0/8");
    let refused = keys.create(too_much, "too much", None).await.unwrap_err().to_string();
    assert!(refused.contains("support may not trade"), "{refused}");

    let mine = keys.create(limits(&[Permission::Read], "127.0.0.0/8"), "a report", None).await.unwrap();
    let mine = keys.rotate(mine.prefix(), 0, None).await.unwrap();
    let elsewhere = keys.create(limits(&[Permission::Read], "203.0.113.0/24"), "there", None).await.unwrap();
    let whole = keys.create(Role::Support, "everything", None).await.unwrap();
    let rows = keys.all().await.unwrap();
    assert_eq!(
        (rows[1].permissions.as_deref(), rows[1].networks.as_deref()),
        (Some("read"), Some("127.0.0.0/8"))
    );
    assert_eq!((rows[3].permissions.as_deref(), rows[3].networks.as_deref()), (None, None));

    assert_eq!((list(&shop.client, &mine.text()).await, list(&shop.client, &whole.text()).await), (200, 200));
    register(&shop.client, &whole.text()).await.expect(201);
    let lacking = register(&shop.client, &mine.text()).await.expect(403).json();
    assert_eq!(
        (&lacking["type"], &lacking["permission"]),
        (&json!("/problems/not-permitted"), &json!("register"))
    );
    let bearer = format!("Bearer {}", mine.text());
    let trail =
        shop.client.send(Method::GET, "/api/audit/timeline", None, &[("authorization", &bearer)]).await;
    assert_eq!(trail.expect(403).json()["permission"], "audit");
    let away = register(&shop.client, &elsewhere.text()).await.expect(403).json();
    assert_eq!(away["type"], "/problems/address-not-allowed");
    assert_eq!(list(&shop.client, &elsewhere.text()).await, 403);

    // A session that was begun with a key has its limits, also if they are set later.
    let cookie = {
        let form: &'static str = format!("key={}", whole.text()).leak();
        let signed_in =
            shop.client.without_redirects().send_form("/audit/sign-in", form, &[]).await.expect(303);
        signed_in.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    };
    let audit = async || {
        shop.client
            .send(Method::GET, "/api/audit/timeline", None, &[("cookie", &cookie)])
            .await
            .status
            .as_u16()
    };
    assert_eq!(audit().await, 200);
    let db = shop.shop.read_database.namespace("operations").unwrap();
    for (change, status) in
        [("permissions = 'read'", 403), ("permissions = NULL", 200), ("networks = '203.0.113.7/32'", 403)]
    {
        let sql = format!("UPDATE @api_keys SET {change} WHERE name = 'everything'");
        db.connection.execute(db.statement(&sql, [])).await.unwrap();
        eventually(change, Duration::from_secs(30), async || audit().await == status).await;
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_what_it_was_made_for_from_its_networks_alone_embedded() {
    a_key_does_what_it_was_made_for_from_its_networks_alone(Set::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_what_it_was_made_for_from_its_networks_alone_on_servers() {
    a_key_does_what_it_was_made_for_from_its_networks_alone(Set::Nats).await;
}
