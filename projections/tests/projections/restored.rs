//! Every follower notices a log that was restored to an older state, and none skips an event.

use std::sync::Arc;
use std::time::Duration;

use soonshop_projections::Feed;
use soonshop_projections::product::Products;

use crate::fixture::{Running, Shop, Writer, on_both, until};
use crate::history::{product, repriced, uuid};

on_both!(
    a_log_that_was_restored_and_written_on_stops_rows_index_and_cache,
    a_shorter_log_stops_idle_followers,
);

async fn go_back(shop: &Shop, to: i64) {
    shop.run("log", &format!("DELETE FROM @events WHERE position > {to}")).await;
}

async fn products(writer: &mut Writer, from: u128, count: u128) -> i64 {
    let mut last = 0;
    for n in from..from + count {
        last = writer.write(uuid(n), product(&format!("MUG-{n}"), 100)).await;
    }
    last
}

async fn a_log_that_was_restored_and_written_on_stops_rows_index_and_cache(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Products).await;
    let space = generation.namespace();
    let url = format!("tantivy://{}", shop.folder().join("search").display());
    let search = soonshop_search::connect(&url).unwrap();
    let cache = soonshop_cache::connect("moka:").unwrap();
    let mut running = Running::new(Feed::new(shop.log()));
    running.keep_rows(&shop, Arc::new(Products), &generation);
    let follower = running.follower(&shop, Arc::new(Products), &generation);
    {
        let (index, search, stop) = (Arc::clone(&follower), Arc::clone(&search), running.stop.clone());
        running.tasks.spawn(async move { index.keep_index(search, stop).await });
        let (sink, cache, stop) = (Arc::clone(&follower), Arc::clone(&cache), running.stop.clone());
        running.tasks.spawn(async move { sink.keep_cache(cache, stop).await });
    }
    products(&mut writer, 1, 20).await;
    shop.reach(&generation, 20).await;
    let head = shop.checkpoint(&generation).await.to_string();
    until("the index is there", async || search.checkpoint(&space).await.unwrap().as_ref() == Some(&head))
        .await;
    until("the cache is there", async || cache.checkpoint(&space).await.unwrap().as_ref() == Some(&head))
        .await;
    let before = shop.rows(&generation).await;

    writer.store.close().await;
    go_back(&shop, 10).await;
    let mut other = Writer::of_another_history(&shop);
    products(&mut other, 101, 40).await;

    for name in ["rows", "index"] {
        until(&format!("{name} stop"), async || shop.status(&generation, name).await.0 == "stopped").await;
        let (_, reason) = shop.status(&generation, name).await;
        let what = format!("rebuild {space}:{name}");
        assert!(reason.contains("ahead-of-log") && reason.contains(&what), "{reason}");
    }
    assert_eq!(shop.rows(&generation).await, before);
    assert_eq!(search.checkpoint(&space).await.unwrap().as_ref(), Some(&head));
    assert_eq!(cache.checkpoint(&space).await.unwrap().as_ref(), Some(&head));
    // Also in a process that starts now, and after more events were written than there were before.
    running.stop().await;
    let running = shop.start(Arc::new(Products), &generation);
    other.write(uuid(101), repriced("MUG-101", 3)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(shop.checkpoint(&generation).await.to_string(), head);
    running.stop().await;
}

async fn a_shorter_log_stops_idle_followers(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Products).await;
    let running = shop.start(Arc::new(Products), &generation);
    products(&mut writer, 1, 5).await;
    shop.reach(&generation, 5).await;
    until("it runs", async || shop.status(&generation, "rows").await.0 == "running").await;
    go_back(&shop, 3).await;
    until("it stops, although nothing new comes", async || {
        shop.status(&generation, "rows").await.0 == "stopped"
    })
    .await;
    let (_, reason) = shop.status(&generation, "rows").await;
    assert!(reason.contains("ahead-of-log") && reason.contains("no event"), "{reason}");
    running.stop().await;
}
