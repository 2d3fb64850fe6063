//! Shapes of a later release, and events of others.

use soonshop_domain::ids;
use soonshop_domain::inventory::Stock;
use soonshop_event_log::{Checkpoint, Content, Entry};
use soonshop_event_store::ExecuteError;

use crate::fixture::{Fixture, context, on_both, receive};

on_both! {
    a_version_or_an_event_of_a_later_release_is_unknown_and_not_skipped,
    events_of_unknown_types_are_skipped_by_name_and_never_decoded,
    a_stream_with_an_unknown_event_is_not_written,
}

/// The payload of an event of version 1, which is the newest.
const RECEIVED: &str = r#"{"StockReceived":{"sku":"MUG","location":"main","quantity":5}}"#;

/// Inserts a row as another program would write it.
async fn write(
    shop: &Fixture,
    kind: &str,
    sequence: i64,
    name: &str,
    version: &str,
    payload: &str,
) -> String {
    let (id, event) = (ids::new().to_string(), ids::new());
    let now = if shop.is_sqlite() { "0" } else { "now()" };
    let payload = payload.trim().replace('\'', "''");
    shop.run(
        "log",
        &format!(
            "INSERT INTO @events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
             position, event_id, occurred_at, recorded_at) SELECT '{kind}', '{id}', {sequence}, '{name}', '{version}', \
             '{payload}', '{{}}', (SELECT coalesce(max(position), 0) + 1 FROM @events), '{event}', {now}, {now}"
        ),
    )
    .await;
    id
}

async fn read(shop: &Fixture) -> Vec<Entry> {
    shop.log().read_after("a reader", &Checkpoint::start(), 100).await.unwrap()
}

async fn a_version_or_an_event_of_a_later_release_is_unknown_and_not_skipped(shop: Fixture) {
    write(&shop, "stock", 1, "StockReceived", "4", r#"{"StockReceived":{"pallets":5}}"#).await;
    write(&shop, "stock", 1, "StockCounted", "1", r#"{"StockCounted":{"quantity":5}}"#).await;
    write(&shop, "stock", 1, "StockReceived", "x", RECEIVED).await;
    write(&shop, "stock", 1, "StockReceived", "1", r#"{"StockReceived":{"sku":"MUG"}}"#).await;
    // Its fields are those that this release knows; what they mean there, it does not know.
    write(&shop, "stock", 1, "StockReceived", "2", RECEIVED).await;
    write(&shop, "stock", 1, "StockReceived", "1", RECEIVED).await;
    let entries = read(&shop).await;
    let unknown: Vec<_> = entries.iter().map(|entry| matches!(entry.content, Content::Unknown(_))).collect();
    assert_eq!(unknown, [true, true, true, true, true, false], "{entries:?}");
}

async fn events_of_unknown_types_are_skipped_by_name_and_never_decoded(shop: Fixture) {
    // This release cannot read this payload; on SQLite it is not even JSON.
    let strange = if shop.is_sqlite() { "not JSON at all" } else { "[\"not\", \"ours\"]" };
    write(&shop, "warehouse", 1, "PalletMoved", "not a number", strange).await;
    write(&shop, "stock", 1, "StockReceived", "1", RECEIVED).await;
    let entries = read(&shop).await;
    assert!(matches!(entries[0].content, Content::Foreign), "{:?}", entries[0]);
    assert_eq!(&*entries[0].aggregate_type, "warehouse");
    assert!(matches!(entries[1].content, Content::Event(_)));
    // The stored row can still be read.
    assert_eq!(shop.log().read(1, 1).await.unwrap()[0].payload, strange);
}

async fn a_stream_with_an_unknown_event_is_not_written(shop: Fixture) {
    let id = write(&shop, "stock", 1, "StockReceived", "9", r#"{"StockReceived":{"pallets":5}}"#).await;
    let store = shop.store();
    let refused = store.execute::<Stock>(id.parse().unwrap(), receive(1), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Fault(_))), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1);
}
