//! A worker that stops by itself: why it did is named everywhere until it works again.

use std::time::Duration;

use serde_json::{Value, json};
use soonshop_projections::operations::{self, Operation};

use super::{Fault, doctor_names, green, nothing_is_lost, red, run};
use crate::replay::{code, ran};
use crate::support::{Set, TestShop, eventually};

/// An entry of the record of operations, which its sealer has to seal.
async fn recorded(shop: &TestShop) {
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let done = Operation {
        actor: "system:test".to_owned(),
        action: "rebuild",
        subject: "orders".to_owned(),
        detail: json!({}),
        note: None,
    };
    operations::add(&db, &done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_says_why_until_it_works_again() {
    let shop = TestShop::start(Set::Embedded).await;
    nothing_is_lost(&shop, "BEFORE").await;
    let of_checkpoint = |follower: &str| {
        format!(
            "CREATE TRIGGER stands BEFORE UPDATE ON checkpoints \
             WHEN NEW.follower = '{follower}' AND NEW.position > OLD.position \
             BEGIN SELECT RAISE(ABORT, 'no room for {follower}'); END"
        )
    };
    let of_seals =
        "CREATE TRIGGER stands BEFORE INSERT ON seals BEGIN SELECT RAISE(ABORT, 'no room for seals'); END";
    // Whose they are, what refuses their work, what they say, and where `/health/audit` has them besides.
    let workers = [
        ("relay", "process", of_checkpoint("relay"), "no room for relay", Some("/relay")),
        ("eraser", "process", of_checkpoint("eraser"), "no room for eraser", None),
        (
            "reactor:fulfilment",
            "process",
            of_checkpoint("reactor:fulfilment"),
            "no room for reactor:fulfilment",
            None,
        ),
        ("sealer", "seals", of_seals.to_owned(), "no room for seals", Some("/seals")),
        ("record-sealer", "record_seals", of_seals.to_owned(), "no room for seals", Some("/record_seals")),
    ];
    for (name, namespace, refuse, reason, follower) in workers {
        green(&shop.client, "workers").await;
        run(&shop.shop, namespace, &refuse).await;
        shop.client.product(&format!("SKU-{name}").replace(':', "-"), "Thing", 100, 0).await;
        recorded(&shop).await;
        let fault = Fault { check: "workers", object: reason, remedy: "stopped" };
        red(&shop.client, &fault).await;
        doctor_names(&shop.shop, &fault).await;
        doctor_names(&shop.shop, &Fault { check: "workers", object: name, remedy: "stopped" }).await;
        if let Some(follower) = follower {
            let says = async || {
                let body = shop.client.get("/health/audit").await.json();
                let complaint = body.pointer(&format!("{follower}/complaint")).and_then(Value::as_str);
                complaint.is_some_and(|text| text.contains(reason))
            };
            eventually(&format!("{name} says why it stopped"), Duration::from_secs(30), says).await;
            let tool = ran(&shop.place, &["status"]).await;
            let message = String::from_utf8_lossy(&tool.stdout).into_owned();
            assert!(code(&tool) == 3 && message.contains(reason), "{name}: {message}");
        }
        let bearer = format!("Bearer {}", shop.client.token);
        let headers = [("accept", "text/html"), ("authorization", bearer.as_str())];
        eventually(&format!("the page says why {name} stopped"), Duration::from_secs(30), async || {
            let page = shop.client.send(reqwest::Method::GET, "/audit", None, &headers).await;
            String::from_utf8(page.expect(200).bytes).unwrap().contains(reason)
        })
        .await;
        run(&shop.shop, namespace, "DROP TRIGGER stands").await;
        green(&shop.client, "workers").await;
        eventually(&format!("{name} is healthy"), Duration::from_secs(60), async || {
            let body = shop.client.get("/health/audit").await.json();
            follower
                .is_none_or(|follower| body.pointer(&format!("{follower}/complaint")) == Some(&Value::Null))
        })
        .await;
    }
    nothing_is_lost(&shop, "AFTER").await;
    shop.stop().await;
}
