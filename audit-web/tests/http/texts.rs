//! The text search of the audit trail, by blocks of positions.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use soonshop_event_log::Db;
use soonshop_projections::texts::BLOCK;

use crate::shop::*;

/// How many blocks the rows are in.
const BLOCKS: i64 = 6;

/// The distinct lines of the texts in each block.
async fn lines(db: &Db) -> BTreeMap<i64, BTreeSet<String>> {
    let mut blocks: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    let sql = "SELECT position, text, coalesce(command_type, ''), coalesce(reason_code, '') FROM @audit";
    for row in db.connection.query_all(db.statement(sql, [])).await.unwrap() {
        let block = blocks.entry(row.try_get_by_index::<i64>(0).unwrap() / BLOCK).or_default();
        for column in 1..=3 {
            let text: String = row.try_get_by_index(column).unwrap();
            block.extend(text.lines().map(str::to_owned));
        }
    }
    blocks
}

async fn write(db: &Db, block: i64, lines: &str) {
    let sql = "INSERT INTO @texts (block, lines) VALUES ($1, $2)";
    db.connection.execute(db.statement(sql, [block.into(), lines.into()])).await.unwrap();
}

/// Positions page by page, those of a group's events together.
async fn walked(shop: &Shop, query: &str) -> Vec<Vec<i64>> {
    let (mut all, mut path) = (Vec::new(), format!("/api/audit/timeline?{query}"));
    loop {
        let got = shop.see(&path).await;
        let position = |event: &Value| event["position"].as_i64().unwrap();
        let positions = |item: &Value| match item["events"].as_array() {
            Some(events) => events.iter().chain(item["effects"].as_array().unwrap()).map(position).collect(),
            None => vec![position(item)],
        };
        all.extend(got.items().iter().map(positions));
        match got.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(next) => next.clone_into(&mut path),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_text_is_found_anywhere_and_blocks_without_it_are_not_read() {
    let shop = Shop::open().await;
    for number in 0..20 {
        let names = ["Tea", "Teapot", "Cup", "Ünüt", "100%_cup"];
        let sku = format!("s-{number}");
        shop.product(names[number % names.len()], &[&sku], None).await;
        shop.stock(&sku, "main", soonshop_domain::inventory::Command::Receive { quantity: 77 }).await;
    }
    let head = shop.see("/api/audit/timeline?limit=1").await.items()[0]["position"].as_i64().unwrap();
    let db = shop.generation("audit").await;
    // Moves the events to positions far apart, as if others were in between.
    let spread =
        format!("UPDATE @audit SET position = position + {BLOCK} * (position * {BLOCKS} / ({head} + 1))");
    shop.sql(&db, &spread).await;
    let queries = |text: &str| {
        let ways = ["", "&order=asc", "&limit=3", "&order=asc&limit=2", "&group=1&limit=2", "&agg=stock"];
        let bounds = [format!("&before={}", 3 * BLOCK), format!("&after={}&order=asc", 2 * BLOCK + 5)];
        let all = ways.map(str::to_owned).into_iter().chain(bounds);
        all.map(|rest| format!("q={text}{rest}")).collect::<Vec<_>>()
    };
    let texts =
        ["tea", "s-13", "%C3%BCn", "100%25_", "stock.receive", "%22s-1%22+77", "cup+nowhere", "nowhere"];
    let mut found = BTreeMap::new();
    for query in texts.iter().flat_map(|text| queries(text)) {
        let rows = walked(&shop, &query).await;
        found.insert(query, rows);
    }
    assert!(found["q=tea"].len() > 5 && found["q=s-13"].len() >= 2 && found["q=nowhere"].is_empty());

    // The fourth block has no lines yet, and the last one is incomplete.
    let blocks = lines(&db).await;
    assert_eq!(blocks.len(), usize::try_from(BLOCKS).unwrap());
    for (block, lines) in blocks.iter().filter(|(block, _)| ![3, BLOCKS - 1].contains(*block)) {
        write(&db, *block, &lines.iter().cloned().collect::<Vec<_>>().join("\n")).await;
    }
    for (query, rows) in &found {
        assert_eq!(walked(&shop, query).await, *rows, "{query}");
    }

    // A text that is not in a block's lines is not searched for in its rows.
    shop.sql(&db, "DELETE FROM @texts WHERE block = 0").await;
    write(&db, 0, "").await;
    for (query, rows) in found.iter().filter(|(query, _)| !query.contains("group")) {
        let rest: Vec<_> = rows.iter().filter(|row| row[0] >= BLOCK).cloned().collect();
        assert_eq!(walked(&shop, query).await, rest, "{query}");
    }
}
