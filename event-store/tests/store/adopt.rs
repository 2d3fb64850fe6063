//! Adopting the table of an application that wrote with the postgres-es crate.

use soonshop_domain::ids;
use soonshop_domain::inventory::Stock;
use soonshop_event_store::adopt;
use sqlx::Executor as _;

use crate::fixture::{Fixture, context, on_hand, receive};

/// The crate's own schema.
const CRATE: &str = "CREATE TABLE public.events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
     sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
     payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)); \
     CREATE TABLE public.snapshots (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
     last_sequence bigint CHECK (last_sequence >= 0) NOT NULL, current_snapshot bigint NOT NULL, payload json NOT NULL, \
     PRIMARY KEY (aggregate_type, aggregate_id, last_sequence))";

/// Three streams, with rows in another order than their sequences; and a snapshot that is wrong.
pub(crate) async fn history(shop: &Fixture) -> Vec<uuid::Uuid> {
    let mut connection = shop.raw().await;
    connection.execute(CRATE).await.unwrap();
    let mut streams: Vec<_> = (0..3).map(|_| ids::new()).collect();
    streams.sort_unstable();
    for stream in streams.iter().rev() {
        for sequence in (1..=4_i64).rev() {
            sqlx::query(
                "INSERT INTO public.events VALUES ('stock', $1, $2, 'StockReceived', '1', \
                 '{\"StockReceived\":{\"sku\":\"MUG\",\"location\":\"main\",\"quantity\":1}}', '{\"ip\":\"none\"}')",
            )
            .bind(stream.to_string())
            .bind(sequence)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        let snapshot = "INSERT INTO public.snapshots VALUES ('stock', $1, 4, 1, '{\"on_hand\":99}')";
        sqlx::query(snapshot).bind(stream.to_string()).execute(&mut connection).await.unwrap();
    }
    streams
}

#[tokio::test]
async fn an_adopted_history_is_numbered_once_in_the_stated_order_without_its_snapshots() {
    let shop = Fixture::postgres().await;
    let streams = history(&shop).await;
    assert_eq!(adopt(&shop.database, "public.events").await.unwrap(), 12);
    let events = shop.events().await;
    let order: Vec<_> = events.iter().map(|event| (event.sequence, event.aggregate_id.clone())).collect();
    let expected = (1..=4).flat_map(|sequence| streams.iter().map(move |id| (sequence, id.to_string())));
    assert_eq!(order, expected.collect::<Vec<_>>());
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event.event_id).collect();
    assert_eq!(ids.len(), 12);
    assert_eq!(shop.number("log", "SELECT count(*) FROM log.snapshots").await, 0);
    assert_eq!(shop.number("log", "SELECT count(*) FROM log.states").await, 0);
    // And the log is written on.
    let store = shop.store();
    let done = store.execute::<Stock>(streams[1], receive(1), context()).await.unwrap();
    assert_eq!((done.answer.version, done.answer.first_position), (Some(5), Some(13)));
    assert_eq!(on_hand(&store, streams[1]).await, (5, 5));
}

#[tokio::test]
async fn a_history_is_adopted_once_and_only_into_an_empty_log() {
    let shop = Fixture::postgres().await;
    history(&shop).await;
    adopt(&shop.database, "public.events").await.unwrap();
    let again = adopt(&shop.database, "public.events").await.unwrap_err();
    assert!(again.to_string().contains("into an empty log"), "{again}");
    assert_eq!(shop.events().await.len(), 12);
}

#[tokio::test]
async fn a_history_with_a_hole_or_without_a_table_is_refused_with_a_sentence() {
    let shop = Fixture::postgres().await;
    history(&shop).await;
    shop.run("log", "DELETE FROM public.events WHERE sequence = 2").await;
    let hole = adopt(&shop.database, "public.events").await.unwrap_err();
    assert!(hole.to_string().contains("sequences"), "{hole}");
    assert_eq!(shop.events().await.len(), 0);
    for name in ["nowhere", "a.b.c", "", "public.", "events\"; DROP TABLE events; --"] {
        assert!(adopt(&shop.database, name).await.is_err(), "{name:?}");
    }
    let folder = Fixture::sqlite().await;
    let sqlite = adopt(&folder.database, "events").await.unwrap_err();
    assert!(sqlite.to_string().contains("PostgreSQL"), "{sqlite}");
}
