//! A read model that is stalled is red, and stays so, whatever its attempts look like in between.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use soonshop_event_log::Leases;

use super::{nothing_is_lost, run};
use crate::replay::{code, ran};
use crate::support::{Client, Set, TestShop, eventually};

/// The read model in `/health/audit`.
async fn products(client: &Client) -> (u16, Value) {
    let answer = client.try_send(Method::GET, "/health/audit", None, &[]).await.unwrap();
    let body = answer.json();
    let found = body["items"].as_array().into_iter().flatten().find(|one| one["projection"] == "products");
    (answer.status.as_u16(), found.cloned().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_read_model_is_red_until_it_has_worked_and_shows_since_when() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let refuse = "CREATE TRIGGER stands BEFORE UPDATE ON checkpoints WHEN NEW.position > OLD.position \
                  BEGIN SELECT RAISE(ABORT, 'it stands'); END";
    run(&shop.shop, "rm_products_1", refuse).await;
    shop.client
        .post("/products", &serde_json::json!({"name": "Thing LATE", "variants": [{"sku": "LATE"}]}))
        .await
        .expect(201);
    eventually("it is red", Duration::from_secs(30), async || {
        products(&shop.client).await.1["complaint"] != Value::Null
    })
    .await;
    let (_, first) = products(&shop.client).await;
    let since = first["unhealthy_since"].clone();
    assert!(since.is_string() && first["remedy"].is_string(), "{first}");
    // As an attempt looks that has begun, and has not failed yet; and as one whose lease was just given back.
    for state in ["running", "stopped", "running"] {
        let report = format!("UPDATE status SET state = '{state}' WHERE follower = 'rows'");
        for _ in 0..20 {
            run(&shop.shop, "rm_products_1", &report).await;
            let (status, now) = products(&shop.client).await;
            assert_eq!((status, &now["unhealthy_since"]), (503, &since), "{now}");
            assert_ne!(now["complaint"], Value::Null, "{now}");
        }
    }
    let tool = ran(&shop.place, &["status", "products", "--json"]).await;
    let message = String::from_utf8(tool.stdout.clone()).unwrap();
    assert_eq!(code(&tool), 3, "{message}");
    assert!(message.contains(since.as_str().unwrap()), "the same since when: {since} {message}");
    run(&shop.shop, "rm_products_1", "DROP TRIGGER stands").await;
    eventually("it has worked", Duration::from_secs(60), async || {
        products(&shop.client).await.1["complaint"] == Value::Null
    })
    .await;
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tool_ends_alike_for_a_healthy_generation_of_another_release_and_takes_no_word_for_a_reason() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "OTHER").await;
    let other = "UPDATE generations SET version = version + 1 WHERE projection = 'orders'";
    run(&shop.shop, "operations", other).await;
    // A worker of that release keeps its rows: the one of this release gives them up, and would be missed.
    let leases = Leases::new(shop.shop.registry().unwrap().operations().clone(), "another-release");
    let lease = leases.take("rm_orders_1:rows").await.unwrap();
    let kept = tokio::spawn(async move { leases.keep(&lease).await });
    let health = async || shop.client.try_send(Method::GET, "/health/audit", None, &[]).await.unwrap();
    eventually("all is well", Duration::from_secs(30), async || health().await.json()["healthy"] == true)
        .await;
    for verb in ["status", "doctor"] {
        let ended = ran(&shop.place, &[verb]).await;
        let message = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert_eq!(code(&ended), 0, "{verb}: {message}");
    }
    let short = ran(&shop.place, &["acknowledge", "--from", "1", "--reason", " x "]).await;
    let message = String::from_utf8_lossy(&short.stderr).into_owned();
    assert_eq!(code(&short), 2, "{message}");
    assert!(message.contains("at least three characters"), "{message}");
    assert!(!kept.is_finished(), "no other process took the rows");
    kept.abort();
    shop.stop().await;
}
