//! Thousands of events at once: a rate is kept to, and a rollback after them loses no row.

use sea_orm::ConnectionTrait as _;
use soonshop_replay_tool::verify::Against;
use soonshop_replay_tool::{Tool, exit, swap, verify};

use crate::replay::{code, lines, number, ran, renewed, sold, tool};
use crate::support::{Set, TestShop};

/// Appends receipts, ten events to a stream, as rows of the log: commands would be too slow for so many.
/// Nothing but read models has anything to do with them.
async fn goods_come_in(shop: &TestShop, events: i64) -> i64 {
    let log = shop.shop.log().unwrap();
    let head = log.head().await.unwrap().position;
    let sql = format!(
        "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
         position, event_id, occurred_at, recorded_at) \
         SELECT e.aggregate_type, md5('goods' || {head} || '/' || (n - 1) / 10)::uuid::text, (n - 1) % 10 + 1, e.event_type, \
         e.event_version, replace(e.payload::text, '\"TEA\"', '\"GOODS-' || (n - 1) / 10 || '\"')::json, e.metadata, {head} + n, \
         md5('event' || {head} || '/' || n)::uuid, now(), now() \
         FROM generate_series(1, {events}) n, (SELECT * FROM log.events WHERE event_type = 'StockReceived' \
         AND payload::text LIKE '%\"TEA\"%' ORDER BY position LIMIT 1) e ORDER BY n"
    );
    let written = log.db().connection.execute_unprepared(&sql).await.unwrap().rows_affected();
    assert_eq!(i64::try_from(written), Ok(events));
    head + events
}

/// The number of rows of the active generation, and of the goods that they count.
async fn goods(tool: &Tool) -> (i64, i64) {
    let generation = tool.known("stock", None).await.unwrap().generation;
    let db = generation.db(tool.registry.database()).unwrap();
    let rows = number(&db, "SELECT count(*) FROM @stock WHERE sku LIKE 'GOODS-%'").await;
    let on_hand = "SELECT coalesce(sum(on_hand), 0)::bigint FROM @stock WHERE sku LIKE 'GOODS-%'";
    (rows, number(&db, on_hand).await)
}

/// Events appended after a swap are still there after the rollback, row for row as in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_after_ten_thousand_events_loses_no_row() {
    let shop = sold(Set::Rabbit, 4).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    assert_eq!(renewed(&tool, "stock").await, 2);
    goods_come_in(&shop, 10_000).await;
    shop.settle().await;
    let after_swap = goods(&tool).await;
    assert_eq!(after_swap, (1_000, 10_000 * 100_000));
    swap::rollback(&tool, &swap::Rollback::new("stock")).await.unwrap();
    let back = tool.known("stock", None).await.unwrap().generation;
    assert_eq!((back.number, goods(&tool).await), (1, after_swap));
    // Readers find them there, too.
    let read = shop.client.get("/inventory?sku=GOODS-999").await.expect(200).json();
    assert!(read.to_string().contains("1000000"), "{read}");
    let fold =
        verify::Options { generation: Some(1), against: Against::Fold, ..verify::Options::new("stock") };
    let verified = verify::verify(&tool, &fold).await.unwrap();
    assert_eq!(verified.code, exit::DONE, "{}", verified.summary);
    assert!(verified.summary["rows"].as_i64().unwrap() > 1_000, "{}", verified.summary);
    // The generation that was rolled back is rejected, and no rollback to it is offered.
    let shown = lines(&ran(&shop.place, &["status", "stock", "--json"]).await);
    assert!(shown.iter().all(|line| line["previous"] != true), "{shown:?}");
    let left = tool.known("stock", Some(2)).await.unwrap();
    assert!(left.state.as_ref() == "rejected" && !left.previous, "{left:?}");
    let again = swap::rollback(&tool, &swap::Rollback::new("stock")).await.unwrap_err();
    assert!(again.code() == 4 && again.to_string().contains("no previous generation"), "{again}");
    shop.stop().await;
}

/// A rate is the number of events that the limiter let through in its time: never more, and not less where the fold was
/// fast enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_of_a_thousand_a_second_is_reached_and_not_exceeded() {
    let shop = sold(Set::Rabbit, 4).await;
    let head = goods_come_in(&shop, 4_000).await;
    shop.settle().await;
    let done = ran(&shop.place, &["rebuild", "stock", "--max-rate", "1000/s", "--json"]).await;
    assert_eq!(code(&done), 0, "{}", String::from_utf8_lossy(&done.stderr));
    let summary = lines(&done).pop().unwrap();
    let paced = |name: &str| summary["paced"][name].as_i64().unwrap();
    let (positions, milliseconds) = (paced("positions"), paced("milliseconds"));
    assert_eq!((paced("limit"), positions), (1_000, head), "{summary}");
    assert!(milliseconds >= 3_000, "it is long enough to be measured: {summary}");
    let rate = positions * 1_000 / milliseconds;
    assert!(rate <= 1_050, "{rate} a second: {summary}");
    // By another clock than the limiter's: the whole took at least as long as the limiter says.
    #[expect(clippy::cast_precision_loss, reason = "a duration")]
    let least = positions as f64 / 1_050.0;
    assert!(summary["seconds"].as_f64().unwrap() >= least, "{summary}");
    // If the work was slower than the limit, the rate does not show the limiter.
    if paced("late_milliseconds") == 0 {
        assert!(rate >= 950, "{rate} a second: {summary}");
    }
    shop.stop().await;
}

/// If the generation before has read another history of the log, no rollback is offered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_rollback_is_offered_to_rows_of_another_history() {
    let shop = sold(Set::Rabbit, 4).await;
    let tool = tool(&shop.place, soonshop_projections::all()).await;
    assert_eq!(renewed(&tool, "stock").await, 2);
    let named = async || {
        let shown = lines(&ran(&shop.place, &["status", "stock", "--json"]).await);
        let of: Vec<i64> = shown
            .iter()
            .filter(|line| line["previous"] == true)
            .map(|line| line["generation"].as_i64().unwrap())
            .collect();
        of
    };
    assert_eq!(named().await, [1]);
    let other = uuid::Uuid::new_v4();
    let sql = format!("UPDATE rm_stock_1.checkpoints SET event_id = '{other}'");
    tool.registry.operations().connection.execute_unprepared(&sql).await.unwrap();
    assert_eq!(named().await, [0; 0]);
    let back = swap::rollback(&tool, &swap::Rollback::new("stock")).await.unwrap_err();
    assert!(back.code() == 4 && back.to_string().contains("ahead-of-log"), "{back}");
    shop.stop().await;
}
