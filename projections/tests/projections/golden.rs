//! The rows that projectors make of a fixed history.

use std::collections::BTreeSet;
use std::sync::Arc;

use soonshop_projections::{Feed, Projector};

use crate::fixture::{Running, Shop, Writer, on_both};
use crate::history::{histories_beside_the_story, story};

on_both!(
    every_projector_makes_its_golden_rows,
    single_events_give_the_rows_of_a_replay,
    batches_of_seven_give_the_rows_of_a_replay,
);

/// To change the output on purpose: a new VERSION of the projector, and `UPDATE_GOLDEN=1`, which writes only missing
/// files.
async fn every_projector_makes_its_golden_rows(shop: Shop) {
    let mut writer = Writer::new(&shop);
    for (stream, event) in story() {
        writer.write(stream, event).await;
    }
    let types: BTreeSet<_> = story().iter().map(|(_, event)| event.aggregate_type()).collect();
    // Of the types that it follows, the first is what its rows are of.
    let of_story = |projector: &Arc<dyn Projector>| types.contains(projector.follows()[0]);
    let (known, others): (Vec<_>, Vec<_>) = soonshop_projections::all().into_iter().partition(of_story);
    compare(&shop, known).await;
    // Afterwards, so that the rows of the story stay as they are.
    for (stream, event) in histories_beside_the_story() {
        writer.write(stream, event).await;
    }
    compare(&shop, others).await;
}

async fn compare(shop: &Shop, projectors: Vec<Arc<dyn Projector>>) {
    for projector in projectors {
        let generation = shop.generation(&*projector).await;
        shop.project(Arc::clone(&projector), &generation).await;
        assert_eq!(shop.parked(&generation).await, Vec::<i64>::new(), "{}", projector.name());
        let mut rows = shop.rows(&generation).await;
        // The one column with the database's clock.
        for row in rows.get_mut("audit").and_then(|rows| rows.as_array_mut()).into_iter().flatten() {
            assert!(row.as_object_mut().unwrap().remove("recorded_at").unwrap().as_i64() > Some(0));
        }
        let name = format!("{}.v{}.json", projector.name(), projector.version());
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&name);
        if !file.exists() && std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, serde_json::to_string_pretty(&rows).unwrap() + "\n").unwrap();
        }
        let golden = std::fs::read_to_string(&file)
            .unwrap_or_else(|_| panic!("{name} is missing: UPDATE_GOLDEN=1 writes it"));
        let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
        assert_eq!(rows, golden, "{name}: other rows for the same events are a new VERSION");
    }
}

async fn single_events_give_the_rows_of_a_replay(shop: Shop) {
    grown_in_pieces_of(1, shop).await;
}

async fn batches_of_seven_give_the_rows_of_a_replay(shop: Shop) {
    grown_in_pieces_of(7, shop).await;
}

async fn grown_in_pieces_of(size: usize, shop: Shop) {
    let mut writer = Writer::new(&shop);
    let mut running = Running::new(Feed::new(shop.log()));
    let mut grown = Vec::new();
    for projector in soonshop_projections::all() {
        let generation = shop.generation(&*projector).await;
        running.keep_rows(&shop, Arc::clone(&projector), &generation);
        grown.push((projector, generation));
    }
    let events = [story(), histories_beside_the_story()].concat();
    for piece in events.chunks(size) {
        let mut at = 0;
        for (stream, event) in piece {
            at = writer.write(*stream, event.clone()).await;
        }
        for (_, generation) in &grown {
            shop.reach(generation, at).await;
        }
    }
    running.stop().await;
    for (projector, generation) in grown {
        let replayed = shop.generation(&*projector).await;
        shop.project(Arc::clone(&projector), &replayed).await;
        assert_eq!(shop.rows(&generation).await, shop.rows(&replayed).await, "{}", projector.name());
    }
}
