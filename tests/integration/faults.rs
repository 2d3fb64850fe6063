//! Servers that stop, and a log that fails over to an older state. These tests start servers of their own, so that they
//! do not disturb other tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use soonshop::{Role, Shop, migrate, settle};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::support::{Client, Place, Process, Set, eventually, free_port};

/// Servers of a test's own, taken down with it.
pub(crate) struct Servers {
    folder: TempDir,
    base: u16,
}

impl Servers {
    pub(crate) fn up(base: u16, names: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("soonshop-faults").tempdir().unwrap();
        // PostgreSQL runs as another user, who must be able to enter.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let servers = Self { folder, base };
        servers.run(&[&["up"], names].concat());
        servers
    }

    pub(crate) fn run(&self, args: &[&str]) {
        let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/services/services.sh"));
        let status = Command::new(script)
            .args(args)
            .env("SERVICES_DIR", self.folder.path())
            .env("SERVICES_PORT_BASE", self.base.to_string())
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "services.sh {args:?}");
    }

    /// The folder of their data.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self, scheme: &str, offset: u16, path: &str) -> String {
        format!("{scheme}://soonshop:soonshop@127.0.0.1:{}/{path}", self.base + offset)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

pub(crate) async fn sql(url: &str, statement: &str) {
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn ready(client: &Client, ready: bool) {
    eventually(&format!("readiness is {ready}"), Duration::from_secs(60), async || {
        let answer = client.try_send(Method::GET, "/health/ready", None, &[]).await;
        answer.is_ok_and(|answer| answer.status.is_success() == ready)
    })
    .await;
}

fn serve(place: &Place, name: &str, port: u16) -> Process {
    Process::start(&place.config, name, &["serve", "--listen", &format!("127.0.0.1:{port}")])
}

/// A server that is down stops only the work that needs it, is named, and is used again when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_stops_nothing_else_and_is_used_again_later() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_300, &["postgres", "redis", "rabbitmq", "elasticsearch"]);
    let mut place = Place::new(Set::Embedded).await;
    place.config.store = servers.url("postgres", 0, "postgres");
    place.config.cache = format!("redis://default:soonshop@127.0.0.1:{}/0", servers.base + 1);
    place.config.bus = servers.url("amqp", 4, "%2f");
    place.config.search = format!("http://127.0.0.1:{}", servers.base + 10);
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    let port = free_port();
    let process = serve(&place, "faults", port);
    let client = Client::new(&format!("http://127.0.0.1:{port}"), token.trim());
    ready(&client, true).await;
    let (first, position) = client.product("FIRST", "First candle", 100, 5).await;
    client.get_at(&format!("/products/{first}"), &position).await.expect(200);
    client.get_at("/products/search?q=candle", &position).await.expect(200);

    for name in ["rabbitmq", "redis", "elasticsearch"] {
        servers.run(&["kill", name]);
    }
    let (second, position) = client.product("SECOND", "Second candle", 200, 5).await;
    let seen = client.get_at(&format!("/products/{second}"), &position).await.expect(200);
    assert_eq!(seen.json()["name"], "Second candle");
    let order = json!({"lines": [{"sku": "SECOND", "quantity": 1}], "country": "France"});
    let order = client.post("/orders", &order).await.expect(201).json()["id"].as_str().unwrap().to_owned();
    eventually("an order is confirmed without bus, cache and search", Duration::from_secs(30), async || {
        client.get(&format!("/orders/{order}")).await.json()["status"] == "confirmed"
    })
    .await;
    let answer = client.get("/products/search?q=candle").await.expect(503);
    assert_eq!(answer.json()["type"], "/problems/search-unavailable", "{}", answer.json());

    servers.run(&["up", "rabbitmq", "redis", "elasticsearch"]);
    eventually("search finds what was made meanwhile", Duration::from_secs(60), async || {
        let found = client.get("/products/search?q=candle").await;
        found.status.is_success() && found.json()["total"] == 2
    })
    .await;
    settle::settle(&shop, Duration::from_secs(60)).await.unwrap();

    servers.run(&["kill", "postgres"]);
    let body = json!({"name": "Third", "variants": [{"sku": "THIRD"}]});
    let key = uuid::Uuid::new_v4().to_string();
    let headers = [("idempotency-key", key.as_str())];
    let answer = client.send(Method::POST, "/products", Some(&body), &headers).await.expect(503);
    assert!(!answer.header("retry-after").is_empty());
    client.get("/orders").await.expect(503);
    servers.run(&["up", "postgres"]);
    ready(&client, true).await;
    let made = client.send(Method::POST, "/products", Some(&body), &headers).await.expect(201);
    client
        .get_at(&format!("/products/{}", made.json()["id"].as_str().unwrap()), &made.position())
        .await
        .expect(200);
    settle::settle(&shop, Duration::from_secs(60)).await.unwrap();
    assert_eq!(process.stop(), Some(0));
}

/// A standby that had not received the last events becomes the primary: every follower that had read them notices and
/// says so; commands go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_an_older_log_is_noticed_by_every_read_model() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_400, &["postgres", "standby"]);
    let mut place = Place::new(Set::Nats).await;
    place.config.read_models = Some(place.config.store.clone());
    place.config.store = servers.url("postgres", 0, "postgres");
    let standby = servers.url("postgres", 14, "postgres");
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    let port = free_port();
    let client = Client::new(&format!("http://127.0.0.1:{port}"), token.trim());
    let mut process = serve(&place, "before", port);
    ready(&client, true).await;
    client.product("KEPT", "Kept", 100, 5).await;
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    let head = shop.log().unwrap().head().await.unwrap();
    let behind = format!("SELECT 1 / (count(*) = {})::int FROM log.events", head.position);
    let options: sqlx::postgres::PgConnectOptions = standby.parse().unwrap();
    eventually("the standby has everything", Duration::from_secs(30), async || {
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(&behind).execute(&mut connection).await.is_ok()
    })
    .await;
    sql(&standby, "ALTER SYSTEM SET primary_conninfo = ''").await;
    sql(&standby, "SELECT pg_reload_conf()").await;
    let stopped = "SELECT 1 / (count(*) = 0)::int FROM pg_stat_wal_receiver";
    eventually("the standby receives no more", Duration::from_secs(30), async || {
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(stopped).execute(&mut connection).await.is_ok()
    })
    .await;
    let (lost, position) = client.product("LOST", "Lost", 100, 5).await;
    client.get_at(&format!("/products/{lost}"), &position).await.expect(200);
    settle::settle(&shop, Duration::from_secs(30)).await.unwrap();
    process.kill();
    servers.run(&["kill", "postgres"]);
    servers.run(&["promote"]);

    place.config.store = standby;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    let process = serve(&place, "after", port);
    ready(&client, true).await;
    // Selling goes on, also past the position that was lost.
    for number in 0..3 {
        client.product(&format!("NEW-{number}"), "New", 100, 1).await;
    }
    eventually("every read model says what happened", Duration::from_secs(30), async || {
        let (_, all) = settle::follower_statuses(&shop).await.unwrap();
        let models: Vec<_> =
            all.iter().filter(|one| one.name.starts_with("rm_") && !one.name.contains(':')).collect();
        models.len() == soonshop_projections::all().len()
            && models
                .iter()
                .all(|one| one.reason.as_ref().is_some_and(|reason| reason.contains("ahead-of-log")))
    })
    .await;
    let position = client.product("LAST", "Last", 100, 0).await.1;
    // The process that was killed may hold the lease of the read model for a while; then the other takes it, and stops.
    eventually("a reader is told why it does not come", Duration::from_secs(60), async || {
        let headers = [("event-position", position.as_str()), ("prefer", "wait=1")];
        let answer = client.send(Method::GET, "/products", None, &headers).await.expect(503).json();
        answer["state"] == "stopped" && answer["reason"].as_str().unwrap().contains("ahead-of-log")
    })
    .await;
    assert_eq!(process.stop(), Some(0));
    place.remove().await;
}
