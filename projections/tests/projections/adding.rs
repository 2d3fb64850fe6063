//! Rows that are only added: copied in if the database can, and none lost or doubled, whatever interrupts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop_event_log::{Checkpoint, Entry};
use soonshop_projections::audit::Audit;
use soonshop_projections::runner::{Poison, ROWS};
use soonshop_projections::texts::BLOCK;
use soonshop_projections::{Feed, Generation};

use crate::fixture::{Running, Shop, Writer, on_both, until};
use crate::history::{received, stock, story};
use crate::unreliable::UnreliableProjector;

on_both!(
    refused_events_change_no_other_added_row,
    an_interrupted_fold_leaves_whole_batches_and_can_go_on,
    a_killed_live_follower_misses_no_row_and_adds_none_twice,
    a_complete_block_has_every_line_of_its_rows_once_nothing_in_it_is_parked,
);

async fn entries(shop: &Shop) -> Vec<Entry> {
    shop.log().read_after("test", &Checkpoint::start(), 1_000).await.unwrap()
}

async fn write_story(shop: &Shop) -> Vec<Entry> {
    let mut writer = Writer::new(shop);
    for (stream, event) in story() {
        writer.write(stream, event).await;
    }
    entries(shop).await
}

async fn positions(shop: &Shop, generation: &Generation) -> Vec<i64> {
    let rows = shop.rows(generation).await;
    let mut positions: Vec<i64> =
        rows["audit"].as_array().unwrap().iter().map(|row| row["position"].as_i64().unwrap()).collect();
    positions.sort_unstable();
    positions
}

/// The projector fails at one event, and the database refuses the row of another: both are parked, and all other rows
/// are as if the events had come one by one.
async fn refused_events_change_no_other_added_row(shop: Shop) {
    let entries = write_story(&shop).await;
    let refusing = if shop.is_sqlite() {
        "CREATE TRIGGER bad BEFORE INSERT ON audit WHEN NEW.position = 9 BEGIN SELECT RAISE(ABORT, 'bad'); END"
    } else {
        "ALTER TABLE @audit ADD CONSTRAINT bad CHECK (position <> 9)"
    };
    let mut expected: Option<(Value, Vec<i64>)> = None;
    for (ahead, size) in [(false, 1), (true, 1), (true, 4), (true, 1_000)] {
        let generation = shop.generation(&Audit).await;
        shop.run(&generation.namespace(), refusing).await;
        let running = Running::new(Feed::new(shop.log()));
        let follower = running.follower(&shop, UnreliableProjector::new(Audit, [5]), &generation);
        let lease = follower.leases().take(&follower.name(ROWS)).await.unwrap();
        let mut fold = follower.fold(&lease, Poison::Park).await.unwrap();
        if ahead {
            fold.keep(0);
        }
        for piece in entries.chunks(size) {
            fold.take(piece).await.unwrap();
        }
        fold.index().await.unwrap();
        drop(fold);
        let found = (shop.rows(&generation).await, shop.parked(&generation).await);
        assert_eq!(found.1, [5, 9]);
        assert_eq!(positions(&shop, &generation).await.len(), entries.len() - 2);
        assert_eq!(expected.get_or_insert_with(|| found.clone()), &found, "{ahead} {size}");
        running.stop().await;
    }
}

/// Interrupted sooner or later while writing: the rows match the checkpoint, and the next fold goes on from there, on
/// the connections that the last one left.
async fn an_interrupted_fold_leaves_whole_batches_and_can_go_on(shop: Shop) {
    let entries = write_story(&shop).await;
    let generation = shop.generation(&Audit).await;
    let running = Running::new(Feed::new(shop.log()));
    let follower = running.follower(&shop, Arc::new(Audit), &generation);
    let (mut broken, mut patience) = (0, 1_u32);
    loop {
        let lease = follower.leases().take(&follower.name(ROWS)).await.unwrap();
        let mut fold = follower.fold(&lease, Poison::Stop).await.unwrap();
        fold.keep(0);
        let from = fold.checkpoint().position;
        let all: Vec<i64> = (1..=from).collect();
        assert_eq!(positions(&shop, &generation).await, all, "broken off {broken} times");
        let rest = &entries[usize::try_from(from).unwrap()..];
        if rest.is_empty() {
            break;
        }
        fold.take(&rest[..rest.len().min(7)]).await.unwrap();
        let waits = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            written = fold.written() => {
                written.unwrap();
                patience /= 8;
            }
            () = waits => {
                broken += 1;
                patience += patience / 2 + 1;
            }
        }
    }
    assert!(broken > 0, "broken off {broken} times");
    running.stop().await;
}

async fn a_killed_live_follower_misses_no_row_and_adds_none_twice(shop: Shop) {
    let generation = shop.generation(&Audit).await;
    let mut writer = Writer::new(&shop);
    let mut last = 0;
    for round in 1..=2 {
        let mut running = Running::new(Feed::new(shop.log()));
        running.keep_rows(&shop, Arc::new(Audit), &generation);
        for _ in 0..20 {
            last = writer.write(stock("MUG"), received("MUG", 1)).await;
        }
        let some = last - 10;
        until("some of it is there", async || shop.rows_at(&generation).await >= some).await;
        if round == 2 {
            shop.reach(&generation, last).await;
            running.stop().await;
        } else {
            running.kill().await;
        }
    }
    assert_eq!(positions(&shop, &generation).await, (1..=last).collect::<Vec<_>>());
}

type Lines = BTreeMap<i64, BTreeSet<String>>;

/// The stored lines of each block.
async fn lines(shop: &Shop, generation: &Generation) -> Lines {
    let db = shop.db(&generation.namespace());
    let rows = db.connection.query_all(db.statement("SELECT block, lines FROM @texts", [])).await.unwrap();
    let read = |row: sea_orm::QueryResult| {
        let lines: String = row.try_get_by_index(1).unwrap();
        (row.try_get_by_index(0).unwrap(), lines.lines().map(str::to_owned).collect())
    };
    rows.into_iter().map(read).collect()
}

/// The lines in the rows of each block.
async fn lines_of_rows(shop: &Shop, generation: &Generation) -> Lines {
    let mut lines_by_block = Lines::new();
    for row in shop.rows(generation).await["audit"].as_array().unwrap() {
        let block = lines_by_block.entry(row["position"].as_i64().unwrap() / BLOCK).or_default();
        for column in ["text", "reason_code", "command_type"] {
            block.extend(row[column].as_str().unwrap_or_default().lines().map(str::to_owned));
        }
    }
    lines_by_block
}

/// Ten events are in the first block, ten in the second, and the rest in an incomplete one.
async fn a_complete_block_has_every_line_of_its_rows_once_nothing_in_it_is_parked(shop: Shop) {
    write_story(&shop).await;
    for after in [20, 10] {
        let moved = format!("UPDATE @events SET position = position + {BLOCK} WHERE position > {after}");
        shop.run("log", &moved).await;
    }
    let entries = entries(&shop).await;
    assert_eq!(entries.last().unwrap().position / BLOCK, 2);
    let running = Running::new(Feed::new(shop.log()));
    for (size, broken_off, parked) in [
        (1, None, None),
        (1_000, None, None),
        (4, None, None),
        (4, Some(1), None),
        (4, Some(3), None),
        (4, Some(1), Some(entries[4].position)),
        (4, None, Some(entries[13].position)),
    ] {
        let generation = shop.generation(&Audit).await;
        let follower = running.follower(&shop, UnreliableProjector::new(Audit, parked), &generation);
        let lease = follower.leases().take(&follower.name(ROWS)).await.unwrap();
        let mut fold = follower.fold(&lease, Poison::Park).await.unwrap();
        fold.keep(0);
        for (number, piece) in entries.chunks(size).enumerate() {
            fold.take(piece).await.unwrap();
            if broken_off == Some(number) {
                fold.written().await.unwrap();
                drop(fold);
                fold = follower.fold(&lease, Poison::Park).await.unwrap();
                fold.keep(0);
            }
        }
        fold.index().await.unwrap();
        drop(fold);
        let waits = parked.map(|position| position / BLOCK);
        let complete = async |waits: Option<i64>| -> Lines {
            let complete = |block: i64| block < 2 && Some(block) != waits;
            lines_of_rows(&shop, &generation)
                .await
                .into_iter()
                .filter(|(block, _)| complete(*block))
                .collect()
        };
        assert_eq!(
            lines(&shop, &generation).await,
            complete(waits).await,
            "{size} {broken_off:?} {parked:?}"
        );
        assert_eq!(complete(None).await.len(), 2);
        if parked.is_some() {
            // Some are interrupted and tried again; some are given up.
            let again = broken_off.is_some();
            if again {
                shop.ask_to_retry(&generation).await;
            }
            let cured = shop.start(Arc::new(Audit), &generation);
            if !again {
                until("it goes on", async || shop.status(&generation, ROWS).await.0 == "running").await;
                shop.run(&generation.namespace(), "DELETE FROM @parked").await;
            }
            until("both are there", async || lines(&shop, &generation).await.len() == 2).await;
            cured.stop().await;
            assert_eq!(lines(&shop, &generation).await, complete(None).await);
            assert_eq!(shop.parked(&generation).await, [0; 0]);
        }
    }
    running.stop().await;
}
