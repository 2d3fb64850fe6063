//! Where others reach the shop, they are told that something does not work, and not what the shop is made of.

use serde_json::{Value, json};

use super::{NAMED, run};
use crate::support::{Place, Set, TestShop, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_others_reach_the_shop_only_those_who_may_see_operations_are_told_why_a_check_fails() {
    let mut place = Place::new(Set::Embedded).await;
    // A name of its own: the shop is there for others.
    place.config.connections.host = vec!["shop.example".to_owned(), "127.0.0.1".to_owned()];
    let folder = place.folder.path().display().to_string();
    let shop = TestShop::serve(place).await;
    let client = &shop.client;
    run(&shop.shop, "rm_orders_1", "ALTER TABLE orders RENAME TO away").await;
    eventually("the check fails", NAMED, async || client.get("/health/ready").await.status == 503).await;

    let inner = ["rm_orders_1", "sqlite", "object", "reason", &folder];
    for path in ["/health/ready", "/health/audit", "/metrics", "/"] {
        let (guest, operator) = (client.get(path).await, client.look(path).await);
        assert_eq!(guest.status, operator.status, "{path}: a monitor sees the same");
        let text = String::from_utf8(guest.bytes.clone()).unwrap();
        for word in inner {
            assert!(!text.contains(word), "{path} {word}: {text}");
        }
        assert!(text.contains("read-models"), "{path}: {text}");
        if path != "/metrics" {
            let checks = guest.json()["checks"].clone();
            let checks = checks.as_array().unwrap();
            assert!(checks.contains(&json!({ "name": "read-models", "ok": false })), "{path}: {checks:?}");
            let members = |one: &Value| one.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert!(checks.iter().all(|one| members(one) == ["name", "ok"]), "{path}: {checks:?}");
            let text = String::from_utf8(operator.bytes).unwrap();
            assert!(text.contains("rm_orders_1") && text.contains("reason"), "{path}: {text}");
        }
    }
    let text = |answer: crate::support::Answer| String::from_utf8(answer.bytes).unwrap();
    let (guest, operator) = (text(client.get("/metrics").await), text(client.look("/metrics").await));
    for verdict in
        ["soonshop_check_ok{check=\"read-models\"} 0\n", "soonshop_healthy 0\n", "soonshop_scrape_ok "]
    {
        assert!(guest.contains(verdict) && operator.contains(verdict), "{verdict}: {guest}");
    }
    for counter in ["soonshop_http_requests_total", "soonshop_log_position", "soonshop_projection_position"] {
        assert!(!guest.contains(counter) && operator.contains(counter), "{counter}: {guest}");
    }
    shop.stop().await;
}
