//! Reading one's own writes from a replica that lags behind.

use std::time::Duration;

use reqwest::Method;
use soonshop::{Config, Role, Shop, migrate};
use sqlx::ConnectOptions as _;

use crate::faults::{Servers, ready, sql};
use crate::support::{Client, Place, Process, Set, eventually, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_on_a_replica_waits_for_its_position() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_600, &["postgres", "standby"]);
    let mut place = Place::new(Set::Nats).await;
    place.config.store = servers.url("postgres", 0, "postgres");
    migrate::migrate(&Shop::open(&place.config, Role::All).unwrap()).await.unwrap();
    let token = std::fs::read_to_string(&place.config.operator_token_file).unwrap();
    let serve = |config: &Config, name: &str, role: &str| {
        let listen = format!("127.0.0.1:{}", free_port());
        let process = Process::start(config, name, &["serve", "--role", role, "--listen", &listen]);
        (process, Client::new(&format!("http://{listen}"), token.trim()))
    };
    let (writing, shop) = serve(&place.config, "primary", "all");
    ready(&shop, true).await;
    let primary = place.config.store.clone();
    let standby = servers.url("postgres", 14, "postgres");
    let options: sqlx::postgres::PgConnectOptions = standby.parse().unwrap();
    place.config.store.clone_from(&standby);
    let (_, first) = shop.product("FIRST", "First", 100, 0).await;
    eventually("the replica has every schema", Duration::from_secs(60), async || {
        let there = "SELECT 1 / (count(*) > 0)::int FROM operations.active";
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(there).execute(&mut connection).await.is_ok()
    })
    .await;
    let (reading, replica) = serve(&place.config, "replica", "query-api");
    ready(&replica, true).await;
    replica.get_at("/products", &first).await.expect(200);

    sql(&standby, "SELECT pg_wal_replay_pause()").await;
    eventually("the replica stands still", Duration::from_secs(30), async || {
        let paused = "SELECT 1 / (pg_get_wal_replay_pause_state() = 'paused')::int";
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(paused).execute(&mut connection).await.is_ok()
    })
    .await;
    let (_, second) = shop.product("SECOND", "Second", 100, 0).await;
    let there = shop.get_at("/products", &second).await.expect(200).json();
    assert_eq!(there["items"].as_array().unwrap().len(), 2);
    let headers = [("event-position", second.as_str()), ("prefer", "wait=1")];
    let behind = replica.send(Method::GET, "/products", None, &headers).await.expect(503);
    assert_eq!(behind.json()["type"], "/problems/read-model-behind", "{}", behind.json());
    let resume = sql(&standby, "SELECT pg_wal_replay_resume()");
    let (seen, ()) = tokio::join!(replica.get_at("/products", &second), resume);
    assert_eq!(seen.expect(200).json()["items"].as_array().unwrap().len(), 2);
    assert_eq!((reading.stop(), writing.stop()), (Some(0), Some(0)));
    place.config.store = primary;
    place.remove().await;
}
