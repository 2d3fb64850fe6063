//! What projectors make of a fixed history.

use std::sync::Arc;

use soonshop_projections::{Feed, Projector};

use crate::fixture::{Running, Shop, Writer, on_both};
use crate::history::story;

on_both!(
    every_projector_makes_its_golden_rows,
    however_many_events_come_at_once_the_rows_are_the_same,
);

/// Where the output changes on purpose: a new VERSION of the projector, and `UPDATE_GOLDEN=1`.
async fn every_projector_makes_its_golden_rows(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for (stream, event) in story() {
        writer.write(stream, event).await;
    }
    for projector in soonshop_projections::all() {
        let generation = shop.generation(&*projector).await;
        shop.project(Arc::clone(&projector), &generation).await;
        assert_eq!(shop.parked(&generation).await, Vec::<i64>::new(), "{}", projector.name());
        let rows = shop.rows(&generation).await;
        let name = format!("{}.v{}.json", projector.name(), projector.version());
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, serde_json::to_string_pretty(&rows).unwrap() + "\n").unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
        assert_eq!(rows, golden, "{name}: other rows for the same events are a new VERSION");
    }
}

async fn however_many_events_come_at_once_the_rows_are_the_same(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let projectors = soonshop_projections::all();
    let mut incremental = Vec::new();
    for (size, projector) in [1, 7].into_iter().flat_map(|size| projectors.iter().map(move |one| (size, one))) {
        incremental.push((size, Arc::clone(projector), shop.generation(&**projector).await));
    }
    let story = story();
    for size in [1, 7] {
        let mut running = Running::new(Feed::new(shop.log()));
        let mine: Vec<_> = incremental.iter().filter(|(of, ..)| *of == size).collect();
        for (_, projector, generation) in &mine {
            running.keep_rows(&shop, Arc::clone(projector), generation);
        }
        // What the first size has written is there already for the second: it comes in one batch.
        if size == 1 {
            for chunk in story.chunks(size) {
                let mut at = 0;
                for (stream, event) in chunk {
                    at = writer.write(*stream, event.clone()).await;
                }
                for (_, _, generation) in &mine {
                    shop.reach(generation, at).await;
                }
            }
        } else {
            for (_, _, generation) in &mine {
                shop.reach(generation, i64::try_from(story.len()).unwrap()).await;
            }
        }
        running.stop().await;
    }
    for (size, projector, generation) in &incremental {
        let whole = shop.generation(&**projector).await;
        shop.project(Arc::clone(projector), &whole).await;
        assert_eq!(shop.rows(&whole).await, shop.rows(generation).await, "{} by {size}", projector.name());
    }
}
