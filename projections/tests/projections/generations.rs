//! Generations: each a namespace, any number of them kept up to date side by side, one that readers use.

use std::sync::Arc;

use soonshop_event_log::Leases;
use soonshop_projections::generation::ROWS;
use soonshop_projections::product::Products;
use soonshop_projections::{Feed, Projector as _};

use crate::fixture::{Running, Shop, Writer, on_both, until};
use crate::history::{product, repriced, uuid};
use crate::unreliable::UnreliableProjector;

on_both!(
    two_versions_of_a_projector_live_side_by_side,
    the_first_generation_is_made_once_however_many_ask_for_it,
    a_generation_that_is_made_held_is_its_holders_from_the_first_moment,
    remains_of_an_unfinished_generation_do_not_block_the_next,
    indexes_are_built_when_the_head_is_reached,
);

/// The order of the embedded shop; an index in this order finds prefixes.
#[tokio::test]
async fn texts_are_sorted_by_bytes_in_any_language_of_the_server() {
    let shop = Shop::postgres().await;
    for projector in soonshop_projections::all() {
        let generation = shop.registry().create(&*projector).await.unwrap();
        let name = generation.namespace();
        let texts = async |which: &str| {
            let sql = format!(
                "SELECT count(*) FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation \
                 WHERE a.attrelid IN ({}) AND a.attnum > 0 AND {which}",
                projector
                    .tables()
                    .iter()
                    .map(|table| format!("'@{}'::regclass", table.name()))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            shop.number(&name, &sql).await
        };
        assert!(texts("true").await > 0, "{name}");
        assert_eq!(texts("c.collname <> 'C'").await, 0, "{name}");
    }
}

async fn two_versions_of_a_projector_live_side_by_side(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let registry = shop.registry();
    let first = registry.ensure(&Products).await.unwrap();
    let second_version = UnreliableProjector::of_version(Products, Products.version() + 1);
    let mut running = Running::new(Feed::new(shop.log()));
    running.keep_rows(&shop, Arc::new(Products), &first);
    writer.write(uuid(1), product("MUG", 100)).await;
    shop.reach(&first, 1).await;

    let second = registry.create(&*second_version).await.unwrap();
    assert_eq!((first.namespace(), second.namespace()), ("rm_products_1".into(), "rm_products_2".into()));
    running.keep_rows(&shop, second_version.clone(), &second);
    shop.reach(&second, 1).await;
    assert_eq!(registry.active("products").await.unwrap().as_ref(), Some(&first), "readers have not moved");
    assert_eq!(registry.projected_by(&Products).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(registry.projected_by(&*second_version).await.unwrap(), std::slice::from_ref(&second));

    registry.activate(&second).await.unwrap();
    registry.activate(&second).await.unwrap();
    assert_eq!(registry.active("products").await.unwrap().as_ref(), Some(&second));
    assert_eq!(shop.number("operations", "SELECT CAST(previous AS BIGINT) FROM @active").await, 1);
    assert_eq!(
        registry.ensure(&Products).await.unwrap(),
        second,
        "another version's generation stays as it is"
    );
    // The old one is kept up to date, for going back.
    writer.write(uuid(1), repriced("MUG", 200)).await;
    for generation in [&first, &second] {
        shop.reach(generation, 2).await;
        assert_eq!(shop.number(&generation.namespace(), "SELECT price FROM @products").await, 200);
    }
    shop.run(&second.namespace(), "DELETE FROM @products").await;
    assert_eq!(
        shop.number(&first.namespace(), "SELECT count(*) FROM @products").await,
        1,
        "namespaces are apart"
    );
    registry.activate(&first).await.unwrap();
    assert_eq!(registry.active("products").await.unwrap(), Some(first));
    running.stop().await;
}

async fn the_first_generation_is_made_once_however_many_ask_for_it(shop: Shop) {
    // SQLite allows one process; PostgreSQL any number.
    let registries: Vec<_> = if shop.is_sqlite() {
        let registry = shop.registry();
        (0..8).map(|_| registry.clone()).collect()
    } else {
        (0..8).map(|_| shop.registry()).collect()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for registry in registries {
        tasks.spawn(async move { registry.ensure(&Products).await.unwrap().number });
    }
    assert_eq!(tasks.join_all().await, vec![1; 8]);
    assert_eq!(shop.number("operations", "SELECT count(*) FROM @generations").await, 1);
}

async fn a_generation_that_is_made_held_is_its_holders_from_the_first_moment(shop: Shop) {
    let registry = shop.registry();
    let generation = registry.create_held(&Products, "tool").await.unwrap();
    let lease = generation.lease(ROWS);
    let acquired =
        async |holder: &str| Leases::new(shop.db("operations"), holder).acquire(&lease).await.unwrap();
    assert_eq!(acquired("worker").await, Err("tool".to_owned()));
    assert_eq!(acquired("tool").await.unwrap().epoch, 1);
}

async fn remains_of_an_unfinished_generation_do_not_block_the_next(shop: Shop) {
    let registry = shop.registry();
    let one = registry.create(&Products).await.unwrap();
    if shop.is_sqlite() {
        // As if the process had been killed before the row was written: its number is used again.
        shop.run(&one.namespace(), "INSERT INTO @retries (position) VALUES (1)").await;
        shop.run("operations", "DELETE FROM @generations").await;
        shop.database.close(&one.namespace()).await.unwrap();
        let again = registry.create(&Products).await.unwrap();
        assert_eq!(again, one);
        assert_eq!(
            shop.number(&again.namespace(), "SELECT count(*) FROM @retries").await,
            0,
            "it is a fresh one"
        );
    } else {
        // There everything is made in one transaction, so nothing of it can be left over.
        shop.run("operations", "ALTER TABLE @generations ADD CONSTRAINT no CHECK (generation < 2)").await;
        registry.create(&Products).await.unwrap_err();
        shop.run("operations", "ALTER TABLE @generations DROP CONSTRAINT no").await;
        assert_eq!(registry.create(&Products).await.unwrap().number, 2);
    }
}

async fn indexes_are_built_when_the_head_is_reached(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.write(uuid(1), product("MUG", 100)).await;
    for projector in soonshop_projections::all() {
        let generation = shop.generation(&*projector).await;
        let count = if shop.is_sqlite() {
            "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL".to_owned()
        } else {
            let name = generation.namespace();
            format!(
                "SELECT count(*) FROM pg_indexes WHERE schemaname = '{name}' AND indexdef NOT LIKE '%UNIQUE%'"
            )
        };
        assert_eq!(shop.number(&generation.namespace(), &count).await, 0);
        let expected = i64::try_from(projector.indexes().len()).unwrap();
        let running = shop.start(Arc::clone(&projector), &generation);
        until("the indexes are there", async || {
            shop.number(&generation.namespace(), &count).await == expected
        })
        .await;
        running.stop().await;
        // Doing it again changes nothing.
        shop.project(projector, &generation).await;
        assert_eq!(shop.number(&generation.namespace(), &count).await, expected);
    }
}
