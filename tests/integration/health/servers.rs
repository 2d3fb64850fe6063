//! Faults of real servers, which these tests start for themselves.

use std::process::Command;

use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};
use reqwest::Method;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use soonshop::{Role, Shop, migrate};

use super::{Fault, doctor_names, green, nothing_is_lost, red, tried};
use crate::faults::{Servers, sql};
use crate::support::{Place, Set, TestShop, eventually};

/// Sends a request to the administration of a server, and refuses anything but success.
fn call(method: &str, url: &str, body: &str) {
    let curl =
        ["-fsS", "-o", "/dev/null", "-X", method, "-H", "Content-Type: application/json", "-d", body, url];
    let status = Command::new("curl").args(curl).status().unwrap();
    assert!(status.success(), "{method} {url} was refused");
}

async fn redis(url: &str, words: &[&str]) -> String {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    let answer: redis::Value = command.query_async(&mut connection).await.unwrap();
    format!("{answer:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_redis_are_named_and_recover_and_nobody_reads_an_old_price() {
    let servers = Servers::up(23_700, &["redis"]);
    let mut place = Place::new(Set::Embedded).await;
    let address = |password: &str| format!("redis://default:{password}@127.0.0.1:{}/0", 23_701);
    let (url, after) = (address("soonshop"), address("other"));
    place.config.cache.clone_from(&url);
    let shop = TestShop::serve(place).await;
    let (product, position) = shop.client.product("MUG", "Thing", 500, 1).await;
    let path = format!("/products/{product}");
    shop.client.get_at(&path, &position).await.expect(200);
    shop.settle().await;
    let costs = async |pence: i64| {
        let price = json!({"sku": "MUG", "price": {"amount": pence, "currency": "GBP"}});
        shop.client.operate(&format!("{path}/prices"), &price).await.expect(200);
        eventually("everybody sees the new price", std::time::Duration::from_secs(30), async || {
            shop.client.get(&path).await.expect(200).json()["price"]["amount"] == pence
        })
        .await;
        for _ in 0..20 {
            assert_eq!(shop.client.get(&path).await.expect(200).json()["price"]["amount"], pence);
        }
    };
    let full = Fault { check: "cache", object: "127.0.0.1:23701", remedy: "cache-writes" };
    let make = async || {
        redis(&url, &["CONFIG", "SET", "maxmemory", "1"]).await;
        costs(700).await;
    };
    tried(&shop, full, make, async || drop(redis(&url, &["CONFIG", "SET", "maxmemory", "0"]).await)).await;
    let replica = Fault { check: "cache", object: "127.0.0.1:23701", remedy: "cache-writes" };
    let make = async || {
        // Of a host that does not answer: it keeps what it has, and takes nothing.
        redis(&url, &["REPLICAOF", "127.0.0.1", "1"]).await;
        costs(800).await;
    };
    tried(&shop, replica, make, async || drop(redis(&url, &["REPLICAOF", "NO", "ONE"]).await)).await;
    let password = Fault { check: "cache", object: "127.0.0.1:23701", remedy: "login" };
    let make = async || {
        redis(&url, &["CONFIG", "SET", "requirepass", "other"]).await;
        // Open connections stay open.
        redis(&after, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        costs(900).await;
    };
    let mend = async || drop(redis(&after, &["CONFIG", "SET", "requirepass", "soonshop"]).await);
    tried(&shop, password, make, mend).await;
    let gone = Fault { check: "cache", object: "127.0.0.1:23701", remedy: "cache" };
    let make = async || {
        servers.run(&["kill", "redis"]);
        costs(1_000).await;
    };
    tried(&shop, gone, make, async || servers.run(&["up", "redis"])).await;
    let counted = Fault { check: "rates", object: "127.0.0.1:23701", remedy: "rates" };
    let make = async || servers.run(&["kill", "redis"]);
    tried(&shop, counted, make, async || servers.run(&["up", "redis"])).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_rabbitmq_are_named_with_the_object_and_the_difference_and_recover() {
    let servers = Servers::up(23_720, &["rabbitmq"]);
    let api = |path: &str| format!("http://soonshop:soonshop@127.0.0.1:{}/api/{path}", 23_725);
    let queue = api("queues/%2f/soonshop.projector-test");
    // A classic queue that somebody made beforehand.
    call("PUT", &queue, r#"{"durable": true, "arguments": {"x-queue-type": "classic"}}"#);
    let mut place = Place::new(Set::Embedded).await;
    place.config.bus = servers.url("amqp", 4, "%2f");
    let shop = TestShop::serve(place).await;
    let classic = Fault { check: "bus", object: "queue soonshop.projector-test", remedy: "queue-settings" };
    red(&shop.client, &classic).await;
    doctor_names(&shop.shop, &classic).await;
    // It works by asking the log.
    nothing_is_lost(&shop, "CLASSIC").await;
    call("DELETE", &queue, "");
    green(&shop.client, "bus").await;
    nothing_is_lost(&shop, "QUORUM").await;

    let unbound = Fault { check: "bus", object: "did not arrive", remedy: "bus" };
    let binding = api("bindings/%2f/e/soonshop/q/soonshop.projector-test");
    let make = async || call("DELETE", &format!("{binding}/%23"), "");
    let mend = async || call("POST", &binding, r##"{"routing_key": "#"}"##);
    tried(&shop, unbound, make, mend).await;

    // A queue that is deleted while it is read is declared again by its reader.
    call("DELETE", &queue, "");
    nothing_is_lost(&shop, "DELETED").await;
    green(&shop.client, "bus").await;

    let alarm = Fault { check: "bus", object: "127.0.0.1:23724", remedy: "broker-full" };
    let watermark =
        |share: &'static str| servers.run(&["rabbitmqctl", "set_vm_memory_high_watermark", share]);
    let make = async || {
        watermark("0.0001");
        // Commands go on; the relay publishes what they did once it can.
        shop.client.product("ALARM", "Thing", 100, 0).await;
    };
    tried(&shop, alarm, make, async || watermark("0.4")).await;

    let gone = Fault { check: "bus", object: "127.0.0.1:23724", remedy: "bus" };
    let make = async || servers.run(&["kill", "rabbitmq"]);
    tried(&shop, gone, make, async || servers.run(&["up", "rabbitmq"])).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_nats_are_named_with_the_stream_and_the_difference_and_recover() {
    let servers = Servers::up(23_740, &["nats"]);
    let url = servers.url("nats", 2, "");
    let login = async_nats::ConnectOptions::with_user_and_password("soonshop".into(), "soonshop".into());
    let client = login.connect(format!("nats://127.0.0.1:{}", 23_742)).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut place = Place::new(Set::Embedded).await;
    place.config.bus = format!("{}?stream=SHOP", url.trim_end_matches('/'));
    let made = async |retention, discard, subject: &str| {
        let config = async_nats::jetstream::stream::Config {
            name: "SHOP".to_owned(),
            subjects: vec![subject.to_owned()],
            retention,
            discard,
            max_bytes: 1 << 20,
            ..Default::default()
        };
        jetstream.create_stream(config).await.unwrap();
    };
    made(RetentionPolicy::WorkQueue, DiscardPolicy::Old, "shop.>").await;
    let shop = TestShop::serve(place).await;
    let work = Fault { check: "bus", object: "its retention is not `limits`", remedy: "queue-settings" };
    red(&shop.client, &work).await;
    doctor_names(&shop.shop, &work).await;
    nothing_is_lost(&shop, "WORK-QUEUE").await;
    jetstream.delete_stream("SHOP").await.unwrap();
    green(&shop.client, "bus").await;
    nothing_is_lost(&shop, "LIMITS").await;
    for (fault, discard, subject) in [
        ("it discards new messages", DiscardPolicy::New, "shop.>"),
        ("it does not take every subject", DiscardPolicy::Old, "shop.order.>"),
    ] {
        let fault = Fault { check: "bus", object: fault, remedy: "queue-settings" };
        let make = async || {
            jetstream.delete_stream("SHOP").await.unwrap();
            made(RetentionPolicy::Limits, discard, subject).await;
        };
        let mend = async || assert!(jetstream.delete_stream("SHOP").await.unwrap().success);
        tried(&shop, fault, make, mend).await;
    }
    let gone = Fault { check: "bus", object: "127.0.0.1:23742", remedy: "bus" };
    let make = async || servers.run(&["kill", "nats"]);
    tried(&shop, gone, make, async || servers.run(&["up", "nats"])).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_the_index_server_are_named_and_recover() {
    let servers = Servers::up(23_760, &["opensearch"]);
    let mut place = Place::new(Set::Embedded).await;
    let url = format!("http://127.0.0.1:{}", 23_772);
    place.config.search = format!("{url}?prefix=shop_");
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let index = format!("{url}/shop_rm_products_1-index");
    let write = |value: &str| {
        call(
            "PUT",
            &format!("{index}/_settings"),
            &json!({"index.blocks.write": serde_json::from_str::<Value>(value).unwrap()}).to_string(),
        );
    };
    let blocked = || Fault { check: "search", object: "rm_products_1", remedy: "index-blocked" };
    tried(&shop, blocked(), async || write("true"), async || write("null")).await;
    let post = |verb: &str| call("POST", &format!("{index}/{verb}"), "");
    tried(&shop, blocked(), async || post("_close"), async || post("_open")).await;
    nothing_is_lost(&shop, "BLOCKED").await;
    // Without its alias, or altogether gone, it is made again.
    call("DELETE", &format!("{index}/_alias/shop_rm_products_1"), "");
    nothing_is_lost(&shop, "NO-ALIAS").await;
    green(&shop.client, "search").await;
    call("DELETE", &index, "");
    nothing_is_lost(&shop, "DELETED").await;
    let gone = Fault { check: "search", object: "127.0.0.1:23772", remedy: "search" };
    let make = async || servers.run(&["kill", "opensearch"]);
    tried(&shop, gone, make, async || servers.run(&["up", "opensearch"])).await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

/// Each fault of PostgreSQL with what makes it and what mends it.
fn faults_of_postgres() -> [(Fault<'static>, &'static str, &'static str); 12] {
    let object = "127.0.0.1:23780/shop";
    [
        (
            Fault { check: "event-store", object: "log.events", remedy: "read-only" },
            "ALTER DATABASE shop SET default_transaction_read_only = on; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'",
            // Connections that were opened meanwhile stay read-only for as long as they live.
            "ALTER DATABASE shop RESET default_transaction_read_only",
        ),
        (
            Fault { check: "event-store", object: "log.events", remedy: "rights" },
            "ALTER TABLE log.events OWNER TO soonshop; REVOKE ALL ON log.events FROM keeper; \
             GRANT SELECT ON log.events TO keeper",
            "ALTER TABLE log.events OWNER TO keeper",
        ),
        // Tables that only some commands and callers need.
        (
            Fault { check: "schema", object: "log.claims", remedy: "rights" },
            "ALTER TABLE log.claims OWNER TO soonshop; REVOKE ALL ON log.claims FROM keeper; \
             GRANT SELECT ON log.claims TO keeper",
            "ALTER TABLE log.claims OWNER TO keeper",
        ),
        (
            Fault { check: "schema", object: "operations.sessions", remedy: "rights" },
            "ALTER TABLE operations.sessions OWNER TO soonshop; REVOKE ALL ON operations.sessions FROM keeper; \
             GRANT SELECT ON operations.sessions TO keeper",
            "ALTER TABLE operations.sessions OWNER TO keeper",
        ),
        (
            Fault { check: "keys", object: "permission denied", remedy: "rights" },
            "ALTER TABLE keys.hmac_keys OWNER TO soonshop; REVOKE ALL ON keys.hmac_keys FROM keeper",
            "ALTER TABLE keys.hmac_keys OWNER TO keeper",
        ),
        (
            Fault { check: "read-models", object: "rm_orders_1.orders", remedy: "rebuild" },
            "ALTER TABLE rm_orders_1.orders RENAME TO away",
            "ALTER TABLE rm_orders_1.away RENAME TO orders",
        ),
        (
            Fault { check: "read-models", object: "rm_orders_1.orders", remedy: "rebuild" },
            "ALTER TABLE rm_orders_1.orders RENAME COLUMN placed_at TO away",
            "ALTER TABLE rm_orders_1.orders RENAME COLUMN away TO placed_at",
        ),
        (
            Fault { check: "schema", object: "002_operate", remedy: "migrate" },
            "DELETE FROM soonshop_process_steps WHERE version = '002_operate'",
            "INSERT INTO soonshop_process_steps (version, applied_at) VALUES ('002_operate', 0)",
        ),
        (
            Fault { check: "event-store", object, remedy: "login" },
            "ALTER ROLE keeper NOLOGIN; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'",
            "ALTER ROLE keeper LOGIN",
        ),
        // Each of these has another code, and every one is over without a restart.
        (
            Fault { check: "event-store", object: "password authentication failed", remedy: "login" },
            "ALTER ROLE keeper PASSWORD 'another'; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'",
            "ALTER ROLE keeper PASSWORD 'keeper'",
        ),
        (
            Fault { check: "read-models", object: "not currently accepting connections", remedy: "login" },
            "ALTER DATABASE shop ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'",
            "ALTER DATABASE shop ALLOW_CONNECTIONS true",
        ),
        (
            Fault { check: "keys", object: "database \"shop\" does not exist", remedy: "migrate" },
            "ALTER DATABASE shop ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'; \
             ALTER DATABASE shop RENAME TO away",
            "ALTER DATABASE away RENAME TO shop; ALTER DATABASE shop ALLOW_CONNECTIONS true",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_postgres_are_named_and_recover_under_a_login_that_is_no_superuser() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_780, &["postgres"]);
    let root = servers.url("postgres", 0, "postgres");
    sql(&root, "CREATE ROLE keeper LOGIN PASSWORD 'keeper' CREATEROLE").await;
    sql(&root, "CREATE DATABASE shop OWNER keeper").await;
    let shop_root = servers.url("postgres", 0, "shop");
    let mut place = Place::new(Set::Embedded).await;
    place.config.store = format!("postgres://keeper:keeper@127.0.0.1:{}/shop", 23_780);
    // `migrate` works as such a login, and done twice it changes nothing.
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    migrate::migrate(&shop).await.unwrap();
    let owned = "SELECT 1 / count(*)::int FROM pg_namespace WHERE nspname = 'rm_orders_1' \
                 AND nspowner = 'soonshop_generations'::regrole";
    sql(&shop_root, owned).await;
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let on_root = |statement: &'static str| {
        let url = shop_root.clone();
        let of_server = servers.url("postgres", 0, "postgres");
        async move || {
            // Each in a transaction of its own: whoever connects again at once sees what came before.
            for one in statement.split("; ") {
                // A database that is read-only or takes no connections is changed from outside.
                let outside = one.starts_with("ALTER DATABASE") || one.ends_with("datname = 'shop'");
                sql(if outside { &of_server } else { &url }, one).await;
            }
        }
    };
    for (fault, make, mend) in faults_of_postgres() {
        let (check, object) = (fault.check, fault.object);
        tried(&shop, fault, on_root(make), on_root(mend)).await;
        eventually(
            &format!("a command is done after {check} {object}"),
            std::time::Duration::from_secs(60),
            async || {
                let (key, body) =
                    (uuid::Uuid::new_v4().to_string(), json!({"name": "Thing", "variants": []}));
                let headers = [("idempotency-key", key.as_str())];
                let sent = shop.client.try_send(Method::POST, "/products", Some(&body), &headers).await;
                sent.is_ok_and(|answer| answer.status.as_u16() < 500)
            },
        )
        .await;
    }
    // A program that keeps the lock of the head stops every append.
    let fault = Fault { check: "event-store", object: "log.head", remedy: "locked" };
    let keeper = sea_orm::Database::connect(&shop_root).await.unwrap();
    let kept = tokio::sync::Mutex::new(None);
    let keep = async || {
        let tx = keeper.begin().await.unwrap();
        tx.execute_unprepared("SELECT 1 FROM log.head FOR UPDATE").await.unwrap();
        *kept.lock().await = Some(tx);
    };
    tried(&shop, fault, keep, async || kept.lock().await.take().unwrap().rollback().await.unwrap()).await;
    // A pool whose sessions were all ended is filled again.
    sql(&shop_root, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'").await;
    nothing_is_lost(&shop, "STALE").await;
    for check in ["event-store", "read-models", "keys", "schema", "workers"] {
        green(&shop.client, check).await;
    }
    shop.stop().await;
}
