//! An erased person is gone from the rows of all generations, old and new.

use std::sync::Arc;

use sea_orm::ConnectionTrait as _;
use soonshop_domain::{Event, Purpose, Sensitive as _, order};
use soonshop_projections::order::Orders;
use soonshop_projections::product::Products;
use soonshop_projections::user::Users;
use soonshop_projections::{Feed, Generation, Projector};

use crate::fixture::{Running, Shop, Writer, on_both, until};
use crate::history::{
    ADDRESS, EMAIL, NAME, PHONE, changed, erased, erasure_requested, guest, line, placed, registered, uuid,
};

on_both!(
    commits_of_rows_do_not_wait_for_the_disk_and_those_of_an_erasure_do,
    an_erasure_makes_old_rows_equal_to_rows_built_after_it,
    a_value_written_between_request_and_confirmation_of_an_erasure_is_removed_too,
    only_values_of_the_erased_purposes_are_removed,
    every_generation_records_the_erasures_that_it_was_cleaned_for,
    a_generation_that_was_behind_is_clean_once_it_records_the_erasure,
    parked_events_hold_no_personal_values_and_are_projected_as_erased,
    a_generation_without_a_table_of_erasures_gets_one,
);

const BOTH: [Purpose; 2] = [Purpose::Account, Purpose::Invoice];

async fn holds(shop: &Shop, generation: &Generation, texts: &[&str]) -> bool {
    let rows = shop.rows(generation).await.to_string();
    texts.iter().any(|text| rows.contains(text))
}

async fn commits_of_rows_do_not_wait_for_the_disk_and_those_of_an_erasure_do(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.write(uuid(1), registered(uuid(1))).await;
    let generation = shop.generation(&Users).await;
    let name = generation.namespace();
    if shop.is_sqlite() {
        // After an erasure the file is written, which waits for the disk.
        assert_eq!(shop.number(&name, "PRAGMA synchronous").await, 1, "normal");
        assert_eq!(shop.number("process", "PRAGMA synchronous").await, 2, "full");
        return;
    }
    for sql in [
        "CREATE TABLE @commits (setting TEXT NOT NULL)".to_owned(),
        format!(
            "CREATE FUNCTION {name}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO {name}.commits VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
        ),
        format!(
            "CREATE TRIGGER note AFTER INSERT OR UPDATE ON {name}.users FOR EACH STATEMENT \
             EXECUTE FUNCTION {name}.note()"
        ),
    ] {
        shop.run(&name, &sql).await;
    }
    let settings = async || shop.text(&name, "SELECT string_agg(DISTINCT setting, ',') FROM @commits").await;
    let running = shop.start(Arc::new(Users), &generation);
    shop.reach(&generation, 1).await;
    assert_eq!(settings().await.as_deref(), Some("off"));
    shop.run(&name, "DELETE FROM @commits").await;
    let purposes = [soonshop_domain::Purpose::Account, soonshop_domain::Purpose::Invoice];
    writer.store.keys().clone().erase(uuid(1), &purposes).await.unwrap();
    writer.write(uuid(1), erasure_requested()).await;
    shop.reach(&generation, 2).await;
    assert_eq!(settings().await.as_deref(), Some("on"));
    running.stop().await;
}

async fn an_erasure_makes_old_rows_equal_to_rows_built_after_it(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let projectors: [Arc<dyn Projector>; 2] = [Arc::new(Users), Arc::new(Orders)];
    let generations = [shop.generation(&*projectors[0]).await, shop.generation(&*projectors[1]).await];
    let mut running = Running::new(Feed::new(shop.log()));
    for (projector, generation) in projectors.iter().zip(&generations) {
        running.keep_rows(&shop, Arc::clone(projector), generation);
    }
    writer.write(uuid(1), registered(uuid(1))).await;
    writer.write(uuid(2), registered(uuid(2))).await;
    for (number, buyer) in [(10, 1), (11, 2), (12, 1)] {
        let order = placed(&format!("S-{number}"), guest(buyer), vec![line(1, "MUG", 1, 100)]);
        writer.write(uuid(number), order).await;
    }
    let last = writer.write(uuid(1), changed(uuid(1))).await;
    for generation in &generations {
        shop.reach(generation, last).await;
        assert!(holds(&shop, generation, &[NAME]).await);
    }
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    writer.write(uuid(1), erasure_requested()).await;
    writer.write(uuid(10), order::Event::OrderConfirmed {}).await;
    let last = writer.write(uuid(1), erased()).await;
    for (projector, generation) in projectors.iter().zip(&generations) {
        shop.reach(generation, last).await;
        let one = shop.rows(generation).await.to_string();
        assert_eq!(one.matches(NAME).count(), 1, "the other person's is left: {one}");
        let replayed = shop.generation(&**projector).await;
        shop.project(Arc::clone(projector), &replayed).await;
        assert_eq!(shop.rows(generation).await, shop.rows(&replayed).await);
    }
    running.stop().await;
}

async fn a_value_written_between_request_and_confirmation_of_an_erasure_is_removed_too(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Orders).await;
    let running = shop.start(Arc::new(Orders), &generation);
    let order = |number: u128| placed(&format!("S-{number}"), guest(1), vec![line(1, "MUG", 1, 100)]);
    writer.write(uuid(10), order(10)).await;
    writer.write(uuid(1), erasure_requested()).await;
    // By a process that does not know of the erasure yet.
    let last = writer.write(uuid(11), order(11)).await;
    shop.reach(&generation, last).await;
    assert!(holds(&shop, &generation, &[NAME]).await);
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    let last = writer.write(uuid(1), erased()).await;
    shop.reach(&generation, last).await;
    assert!(!holds(&shop, &generation, &[NAME, EMAIL, PHONE, ADDRESS]).await);
    running.stop().await;
}

async fn only_values_of_the_erased_purposes_are_removed(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let (users, orders) = (shop.generation(&Users).await, shop.generation(&Orders).await);
    writer.write(uuid(1), registered(uuid(1))).await;
    writer.write(uuid(10), placed("S-10", guest(1), vec![line(1, "MUG", 1, 100)])).await;
    writer.store.keys().erase(uuid(1), &[Purpose::Account]).await.unwrap();
    let purposes = vec![Purpose::Account];
    writer
        .write(uuid(1), soonshop_domain::user::person::Event::ErasureRequested { purposes: purposes.clone() })
        .await;
    writer.write(uuid(1), soonshop_domain::user::person::Event::PersonErased { purposes }).await;
    shop.project(Arc::new(Users), &users).await;
    shop.project(Arc::new(Orders), &orders).await;
    assert!(!holds(&shop, &users, &[NAME, EMAIL, PHONE]).await);
    assert!(holds(&shop, &orders, &[NAME]).await, "what the law makes a shop keep outlives the account");
}

/// The positions of erasures that a generation was cleaned for.
async fn recorded(shop: &Shop, generation: &Generation) -> Vec<i64> {
    let db = shop.db(&generation.namespace());
    let sql = "SELECT position FROM @erased WHERE subject = $1 ORDER BY position";
    let rows = db.connection.query_all(db.statement(sql, [uuid(1).to_string().into()])).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn every_generation_records_the_erasures_that_it_was_cleaned_for(shop: Shop) {
    let mut writer = Writer::new(&shop);
    writer.write(uuid(1), registered(uuid(1))).await;
    let asked = writer.write(uuid(1), erasure_requested()).await;
    writer.write(uuid(2), registered(uuid(2))).await;
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    let done = writer.write(uuid(1), erased()).await;
    // Also a generation without personal values: it is clean once it has passed them.
    for projector in soonshop_projections::all() {
        let generation = shop.generation(&*projector).await;
        assert!(recorded(&shop, &generation).await.is_empty());
        shop.project(projector, &generation).await;
        assert_eq!(recorded(&shop, &generation).await, [asked, done], "{generation:?}");
    }
}

async fn a_generation_that_was_behind_is_clean_once_it_records_the_erasure(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Users).await;
    writer.write(uuid(1), registered(uuid(1))).await;
    shop.project(Arc::new(Users), &generation).await;
    let asked = writer.write(uuid(1), erasure_requested()).await;
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    let done = writer.write(uuid(1), erased()).await;
    assert!(holds(&shop, &generation, &[NAME]).await && recorded(&shop, &generation).await.is_empty());
    let running = shop.start(Arc::new(Users), &generation);
    until("it is recorded", async || recorded(&shop, &generation).await == [asked, done]).await;
    assert!(!holds(&shop, &generation, &[NAME, EMAIL, PHONE]).await);
    running.stop().await;
}

async fn parked_events_hold_no_personal_values_and_are_projected_as_erased(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Users).await;
    let namespace = generation.namespace();
    let refusing = if shop.is_sqlite() {
        "CREATE TRIGGER bad BEFORE INSERT ON users WHEN NEW.name IS NOT NULL BEGIN SELECT RAISE(ABORT, 'bad'); END"
    } else {
        // PostgreSQL's message about this quotes the name.
        "ALTER TABLE @users ADD CONSTRAINT bad CHECK (CAST(name AS integer) > 0)"
    };
    shop.run(&namespace, refusing).await;
    let running = shop.start(Arc::new(Users), &generation);
    writer.write(uuid(1), registered(uuid(1))).await;
    shop.reach(&generation, 1).await;
    assert_eq!(shop.parked(&generation).await, [1]);
    let parked = "SELECT string_agg(rows || cause, ' ') FROM @parked";
    let parked =
        if shop.is_sqlite() { parked.replace("string_agg", "group_concat") } else { parked.to_owned() };
    let message = shop.text(&namespace, &parked).await.unwrap_or_default();
    assert!(![NAME, EMAIL, PHONE].iter().any(|value| message.contains(value)), "{message}");
    writer.write(uuid(1), erasure_requested()).await;
    writer.store.keys().erase(uuid(1), &BOTH).await.unwrap();
    let last = writer.write(uuid(1), erased()).await;
    shop.reach(&generation, last).await;
    // Until the cached copies of its key have expired, each try fails in the database.
    until("nothing is parked", async || {
        shop.ask_to_retry(&generation).await;
        shop.parked(&generation).await.is_empty()
    })
    .await;
    running.stop().await;
    let rows = shop.rows(&generation).await;
    assert_eq!((&rows["users"][0]["status"], &rows["users"][0]["name"]), (&"erased".into(), &().into()));
}

async fn a_generation_without_a_table_of_erasures_gets_one(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Users).await;
    shop.run(&generation.namespace(), "DROP TABLE @erased").await;
    let asked = writer.write(uuid(1), erasure_requested()).await;
    shop.project(Arc::new(Users), &generation).await;
    assert_eq!(recorded(&shop, &generation).await, [asked]);
}

/// Deleted data in a SQLite file is overwritten, and so is the write-ahead log, before the file is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_keeps_erased_values_of_a_generation() {
    let shop = Shop::sqlite().await;
    let mut writer = Writer::new(&shop);
    let generation = shop.generation(&Users).await;
    let running = shop.start(Arc::new(Users), &generation);
    let last = writer.write(uuid(1), registered(uuid(1))).await;
    shop.reach(&generation, last).await;
    let found = || {
        let files = std::fs::read_dir(shop.folder().join("data")).unwrap().map(|file| file.unwrap().path());
        let has = |bytes: Vec<u8>| bytes.windows(EMAIL.len()).any(|window| window == EMAIL.as_bytes());
        files.filter(|file| has(std::fs::read(file).unwrap())).count()
    };
    assert!(found() > 0, "the rows are for reading");
    writer.write(uuid(1), erasure_requested()).await;
    until("no file has it", async || found() == 0).await;
    running.stop().await;
}

/// Index and cache hold the values of such a projection: once they have passed an erasure, they are clean.
#[test]
fn projections_with_an_index_or_a_cache_have_no_personal_values() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden/events");
    let golden: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let holds_something = |kind: &str| {
        let events = golden.iter().filter_map(|payload| Event::decode(kind, payload)?.ok());
        events.into_iter().any(|mut event| !event.personal().is_empty())
    };
    assert!(holds_something("user") && holds_something("order") && !holds_something("stock"));
    let searchable: Vec<_> = soonshop_projections::all().into_iter().filter(|one| one.searchable()).collect();
    assert_eq!(searchable.iter().map(|one| one.name()).collect::<Vec<_>>(), [Products.name()]);
    for projector in searchable {
        assert_eq!(projector.personal(), [], "{}", projector.name());
        for kind in projector.follows() {
            assert!(!holds_something(kind), "{}: {kind}", projector.name());
        }
    }
}
