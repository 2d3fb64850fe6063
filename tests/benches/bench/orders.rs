//! Measures how many orders a second the embedded shop accepts over HTTP, and how many it confirms: each is reserved,
//! confirmed and shown in every read model beside the ones that still come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::support::{Set, TestShop};
use crate::{rate, seconds};

const CALLERS: usize = 32;
const PRODUCTS: usize = 200;

/// How many rounds long it is: a backlog has to show.
const ROUNDS: u32 = 5;

#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(crate) async fn orders() {
    let shop = TestShop::start(Set::Embedded).await;
    for number in 0..PRODUCTS {
        shop.client.product(&format!("O-{number}"), &format!("Article {number}"), 250, 1_000_000).await;
    }
    shop.settle().await;
    let log = shop.shop.store_database.namespace("log").unwrap();
    let confirmed = async || {
        let sql = "SELECT count(*) FROM events WHERE event_type = 'OrderConfirmed'";
        let row = log.connection.query_one(log.statement(sql, [])).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap()
    };
    let (begun, placed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut accepted = Vec::new();
    for _ in 0..ROUNDS {
        let rate = rate(CALLERS, |caller, number| {
            let (client, placed) = (shop.client.clone(), Arc::clone(&placed));
            let sku = format!("O-{}", (caller * 31 + usize::try_from(number).unwrap() * 7) % PRODUCTS);
            let body = json!({"country": "United Kingdom", "lines": [{"sku": sku, "quantity": 1}]});
            async move {
                client.post("/orders", &body).await.expect(201);
                placed.fetch_add(1, Ordering::Relaxed);
            }
        });
        accepted.push(rate.await);
    }
    let (during, placing) = (confirmed().await, begun.elapsed().as_secs_f64());
    let placed = i64::try_from(placed.load(Ordering::Relaxed)).unwrap();
    while confirmed().await < placed {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!(
        "| orders of one line over HTTP, embedded, {CALLERS} connections, {:.0} s | {:.0}/s accepted, {:.0}/s confirmed \
         meanwhile, {:.0}/s until the last | ≥ 800/s confirmed (goal) | |",
        seconds().as_secs_f64() * f64::from(ROUNDS),
        placed as f64 / placing,
        during as f64 / placing,
        placed as f64 / begun.elapsed().as_secs_f64()
    );
    shop.stop().await;
}
