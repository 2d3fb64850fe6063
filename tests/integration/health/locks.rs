//! Locks that another program keeps: named where they are, within ten seconds, and by nothing that only waits for them.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::Value;
use soonshop_event_log::database::{sqlite_file, sqlite_options};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Fault, doctor_names, green, is_named, nothing_is_lost, red};
use crate::faults::{Servers, sql};
use crate::support::{Client, Place, Set, TestShop, eventually};

/// Every answer comes within this.
const ANSWERED: Duration = Duration::from_secs(10);

/// The failing checks of `/health/audit`.
async fn failing(client: &Client) -> Vec<Value> {
    let bearer = format!("Bearer {}", client.token);
    let headers = [("authorization", bearer.as_str())];
    let begun = Instant::now();
    let answer = client.try_send(reqwest::Method::GET, "/health/audit", None, &headers).await.unwrap();
    assert!(begun.elapsed() < ANSWERED, "{:?}", begun.elapsed());
    let body = answer.json();
    let checks = body["checks"].as_array().unwrap_or_else(|| panic!("{} {body}", answer.status)).clone();
    let failing: Vec<_> = checks.into_iter().filter(|one| one["ok"] == false).collect();
    assert!(failing.is_empty() || answer.status == 503, "{body}");
    failing
}

/// The lock is named, and every check that fails names a lock: none names another fault.
async fn is_named_alone(shop: &TestShop, fault: &Fault<'_>) {
    red(&shop.client, fault).await;
    doctor_names(&shop.shop, fault).await;
    eventually(&format!("{} is named alone", fault.object), Duration::from_secs(30), async || {
        let failing = failing(&shop.client).await;
        // A lease that cannot be renewed expires: its worker stands still until the lock is gone.
        let of_a_lock = |one: &Value| one["remedy"] == "locked" || one["name"] == "workers";
        assert!(failing.iter().all(of_a_lock), "{failing:?}");
        failing.iter().any(|one| is_named(one, fault))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_lock_on_any_file_is_named_under_its_own_name() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    for (check, namespace) in [
        ("event-store", "log"),
        ("event-store", "process"),
        ("keys", "keys"),
        ("operations", "operations"),
        ("seals", "seals"),
        ("seals", "record_seals"),
        ("accounts", "identity"),
        ("erasure-register", "erasures"),
        ("read-models", "rm_orders_1"),
    ] {
        green(&shop.client, check).await;
        let file = sqlite_file(shop.place.folder.path(), namespace);
        let mut other = sqlite_options(&file).connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        is_named_alone(&shop, &Fault { check, object: namespace, remedy: "locked" }).await;
        other.close().await.unwrap();
        green(&shop.client, check).await;
    }
    eventually("nothing is wrong any more", Duration::from_secs(60), async || {
        failing(&shop.client).await.is_empty()
    })
    .await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_lock_on_any_table_is_named_within_ten_seconds() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let servers = Servers::up(23_860, &["postgres"]);
    sql(&servers.url("postgres", 0, "postgres"), "CREATE DATABASE shop").await;
    let mut place = Place::new(Set::Embedded).await;
    place.config.store = servers.url("postgres", 0, "shop");
    let shop = TestShop::serve(place).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let other = sea_orm::Database::connect(servers.url("postgres", 0, "shop")).await.unwrap();
    for (check, object) in [
        ("event-store", "log.events"),
        ("event-store", "process.leases"),
        ("keys", "keys.data_keys"),
        ("operations", "operations.entries"),
        ("seals", "seals.seals"),
        ("seals", "record_seals.seals"),
        ("accounts", "identity.sessions"),
        ("read-models", "rm_orders_1.orders"),
        ("read-models", "operations.active"),
        // A table that only the look at the followers reads.
        ("followers", "rm_orders_1.status"),
    ] {
        let of_checks = check != "followers";
        if of_checks {
            green(&shop.client, check).await;
        }
        let kept = other.begin().await.unwrap();
        kept.execute_unprepared(&format!("LOCK TABLE {object} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
        let fault = Fault { check, object, remedy: "locked" };
        if of_checks {
            is_named_alone(&shop, &fault).await;
        } else {
            let named = async || failing(&shop.client).await.iter().any(|one| is_named(one, &fault));
            eventually(&format!("{object} is named"), Duration::from_secs(30), named).await;
        }
        kept.rollback().await.unwrap();
        if of_checks {
            green(&shop.client, check).await;
        }
    }
    eventually("nothing is wrong any more", Duration::from_secs(60), async || {
        failing(&shop.client).await.is_empty()
    })
    .await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
