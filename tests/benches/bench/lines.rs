//! Measures what one SKU costs that was sold often: reservations per second, the first command after a restart, and the
//! size of the state, with 1,000, 100,000 and 1,000,000 lines.

use std::time::Instant;

use sea_orm::ConnectionTrait as _;
use soonshop::{Role, Shop, migrate};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::inventory::{At, Command, MAIN, Stock, StockPlace, stream};
use soonshop_domain::text::Sku;
use soonshop_event_store::{CommandContext, EventStore};
use tokio::time::Duration;
use uuid::Uuid;

use crate::support::{Place, Set};
use crate::{ROUNDS, median, metadata, rate};

const LINES: [i64; 3] = [1_000, 100_000, 1_000_000];
const CALLERS: usize = 32;

/// A receipt and as many reservations, as they are stored.
fn history(postgres: bool, stream: Uuid, lines: i64) -> String {
    let columns = "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                   metadata, position, event_id, occurred_at, recorded_at)";
    let receipt = r#"{"StockReceived":{"sku":"HOT","location":"main","quantity":4000000000}}"#;
    let reserved = r#"{"StockReserved":{"sku":"HOT","location":"main","order_id":"00000000-0000-0000-0000-"#;
    let rest = r#"","line":1,"quantity":1}}"#;
    if postgres {
        format!(
            "{columns} SELECT 'stock', '{stream}', n + 1, CASE n WHEN 0 THEN 'StockReceived' ELSE 'StockReserved' END, '1', \
             (CASE n WHEN 0 THEN '{receipt}' ELSE '{reserved}' || lpad(to_hex(n), 12, '0') || '{rest}' END)::json, '{{}}', \
             n + 1, ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, now(), now() \
             FROM generate_series(0, {lines}) n"
        )
    } else {
        format!(
            "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {lines}) {columns} \
             SELECT 'stock', '{stream}', n + 1, iif(n = 0, 'StockReceived', 'StockReserved'), '1', \
             iif(n = 0, '{receipt}', '{reserved}' || printf('%012x', n) || '{rest}'), '{{}}', n + 1, \
             '00000000-0000-4000-8000-' || printf('%012x', n), 0, 0 FROM n"
        )
    }
}

/// True if the reservation was made now.
async fn reserve(store: &EventStore, order: Uuid) -> bool {
    let sku = Sku::try_new("HOT").unwrap();
    let id = stream(&sku, MAIN);
    let command = Command::Reserve { order_id: OrderId(order), line: 1, quantity: 1 };
    let at = At { place: StockPlace { sku, location: MAIN.to_owned() }, command };
    let context = CommandContext::new(ids::new(), vec![7; 32], metadata());
    let context = CommandContext { deadline: context.deadline + Duration::from_mins(5), ..context };
    store.execute::<Stock>(id, at, context).await.unwrap().answer.first_position.is_some()
}

/// Reservations per second, milliseconds of the first command after a restart, and bytes of the snapshot.
#[expect(clippy::cast_precision_loss, reason = "a size")]
async fn measured(set: Set, lines: i64) -> [f64; 3] {
    let place = Place::new(set).await;
    let shop = Shop::open(&place.config, Role::All).unwrap();
    migrate::migrate(&shop).await.unwrap();
    let log = shop.store_database.namespace("log").unwrap();
    let id = stream(&Sku::try_new("HOT").unwrap(), MAIN);
    log.connection.execute_unprepared(&log.sql(&history(set != Set::Embedded, id, lines))).await.unwrap();
    if set != Set::Embedded {
        log.connection.execute_unprepared("ANALYZE log.events").await.unwrap();
    }
    // The first one reads the whole history, which has no snapshot; the others bring one.
    let store = shop.event_store().unwrap();
    for _ in 0..400 {
        assert!(reserve(&store, ids::new()).await);
    }
    let size = "SELECT length(CAST(state AS TEXT)) FROM @states ORDER BY sequence DESC LIMIT 1";
    let mut bytes = None;
    while bytes.is_none() {
        let row = log.connection.query_one(log.statement(size, [])).await.unwrap();
        bytes = row.map(|row| {
            row.try_get_by_index::<i64>(0)
                .unwrap_or_else(|_| i64::from(row.try_get_by_index::<i32>(0).unwrap()))
        });
    }
    let mut store = store;
    let (mut first, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        store.close().await;
        store = shop.event_store().unwrap();
        let begun = Instant::now();
        assert!(!reserve(&store, Uuid::from_u128(7)).await, "the line was reserved long ago");
        first.push(begun.elapsed().as_secs_f64() * 1_000.0);
        let reserving = rate(CALLERS, |_, _| {
            let store = store.clone();
            async move { assert!(reserve(&store, ids::new()).await) }
        });
        rates.push(reserving.await);
    }
    store.close().await;
    place.remove().await;
    [median(rates), median(first), bytes.unwrap_or_default() as f64]
}

pub(crate) async fn lines() {
    for set in [Set::Embedded, Set::Nats] {
        let mut few = None;
        for count in LINES {
            let [rate, first, bytes] = measured(set, count).await;
            let few = *few.get_or_insert([rate, first, bytes]);
            let store = if set == Set::Embedded { "SQLite" } else { "PostgreSQL" };
            let what = format!("one SKU with {count} lines, {store}");
            println!(
                "| {what}: reservations, {CALLERS} callers | {rate:.0} /s | {:.0} /s with 1,000 lines | {:.2} |\n\
                 | {what}: first command after a restart | {first:.1} ms | {:.1} ms with 1,000 lines | {:.2} |\n\
                 | {what}: snapshot | {bytes:.0} B | {:.0} B with 1,000 lines | {:.2} |",
                few[0],
                rate / few[0],
                few[1],
                first / few[1],
                few[2],
                bytes / few[2],
            );
        }
    }
}
