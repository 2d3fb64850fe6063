//! Rows and checkpoint move in one transaction, by one follower at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use soonshop_event_log::lease::LEASE_MILLISECONDS;
use soonshop_event_log::{Checkpoint, Leases, StopNote};
use soonshop_projections::Projector;
use soonshop_projections::analytics::Sales;
use soonshop_projections::inventory::Stock;
use soonshop_projections::runner::ROWS;
use sqlx::{Connection as _, Executor as _};

use crate::fixture::{Raw, Shop, Writer, on_both, raw, until};
use crate::history::{received, stock};

on_both!(
    followers_that_are_killed_at_random_moments_count_nothing_twice_and_skip_nothing,
    one_of_two_followers_lets_go_and_nothing_is_counted_twice,
    a_follower_lets_go_if_its_checkpoint_was_moved,
    the_lease_of_a_killed_follower_expires_and_another_takes_over,
    a_stopped_follower_gives_its_lease_back,
    a_lease_that_lasts_longer_than_any_is_given_is_as_good_as_expired,
    a_holder_with_an_older_epoch_cannot_move_the_checkpoint,
    why_a_worker_stopped_is_kept_beside_its_lease_until_it_works_again,
);

fn receipts(count: usize) -> Vec<Raw> {
    let skus = ["MUG", "CUP", "TEAPOT", "SPOON", "TRAY"];
    let sku = |n: usize| skus[n % skus.len()];
    (0..count).map(|n| raw(stock(sku(n)), received(sku(n), u32::try_from(n % 7 + 1).unwrap()))).collect()
}

async fn expire_leases(shop: &Shop) {
    shop.run("operations", "UPDATE @leases SET expires_at = 0").await;
}

async fn assert_as_replayed(
    shop: &Shop,
    projector: &Arc<dyn Projector>,
    generation: &soonshop_projections::Generation,
) {
    let replayed = shop.generation(&**projector).await;
    shop.project(Arc::clone(projector), &replayed).await;
    let (there, expected) = (shop.rows(generation).await, shop.rows(&replayed).await);
    let count = |rows: &Value| {
        rows.as_object().unwrap().values().map(|rows| rows.as_array().unwrap().len()).sum::<usize>()
    };
    assert_eq!(count(&there), count(&expected), "{}", projector.name());
    assert!(there == expected, "{}: the rows are not those of a replay", projector.name());
}

async fn followers_that_are_killed_at_random_moments_count_nothing_twice_and_skip_nothing(shop: Shop) {
    let projectors: [Arc<dyn Projector>; 2] = [Arc::new(Stock), Arc::new(Sales)];
    let generations = [shop.generation(&*projectors[0]).await, shop.generation(&*projectors[1]).await];
    let mut writer = Writer::new(&shop);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut last = 0;
    for round in 0..30 {
        last = writer.all(receipts(97)).await;
        let mut running = shop.start(Arc::clone(&projectors[0]), &generations[0]);
        running.keep_rows(&shop, Arc::clone(&projectors[1]), &generations[1]);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        tokio::time::sleep(Duration::from_micros(random % 30_000)).await;
        running.kill().await;
        assert!(round < 30);
        expire_leases(&shop).await;
    }
    for (projector, generation) in projectors.iter().zip(&generations) {
        shop.project(Arc::clone(projector), generation).await;
        assert_eq!(shop.rows_at(generation).await, last);
        assert_as_replayed(&shop, projector, generation).await;
    }
    let facts = shop.number(&generations[1].namespace(), "SELECT count(*) FROM @facts").await;
    assert_eq!(facts, last);
}

async fn one_of_two_followers_lets_go_and_nothing_is_counted_twice(shop: Shop) {
    let projector: Arc<dyn Projector> = Arc::new(Stock);
    let generation = shop.generation(&*projector).await;
    let mut writer = Writer::new(&shop);
    let one = shop.start(Arc::clone(&projector), &generation);
    let other = shop.start(Arc::clone(&projector), &generation);
    let epoch = async || shop.number("operations", "SELECT coalesce(max(epoch), 0) FROM @leases").await;
    let mut last = 0;
    while Box::pin(epoch()).await < 4 || last < 500 {
        last = writer.all(receipts(20)).await;
        // As if the holder had not renewed it: now two processes believe that they hold it.
        expire_leases(&shop).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(last < 20_000, "the lease did not change hands");
    }
    shop.reach(&generation, last).await;
    one.stop().await;
    other.stop().await;
    assert_as_replayed(&shop, &projector, &generation).await;
}

async fn a_follower_lets_go_if_its_checkpoint_was_moved(shop: Shop) {
    let projector: Arc<dyn Projector> = Arc::new(Stock);
    let generation = shop.generation(&*projector).await;
    let mut writer = Writer::new(&shop);
    writer.all(receipts(10)).await;
    let running = shop.start(Arc::clone(&projector), &generation);
    shop.reach(&generation, 10).await;
    // Another process moves it: this one must not add to rows that it no longer knows.
    let moved = format!(
        "UPDATE @checkpoints SET position = 5, event_id = '{}'",
        shop.log().read(5, 1).await.unwrap()[0].event_id
    );
    shop.run(&generation.namespace(), &moved).await;
    let before = shop.rows(&generation).await;
    let db = shop.db(&generation.namespace());
    shop.run(&generation.namespace(), "UPDATE @checkpoints SET epoch = epoch + 5").await;
    writer.all(receipts(10)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shop.rows(&generation).await, before, "nothing moves without the checkpoint");
    assert_eq!(Checkpoint::load(&db, &db.connection, ROWS).await.unwrap().unwrap().0.position, 5);
    running.stop().await;
}

async fn the_lease_of_a_killed_follower_expires_and_another_takes_over(shop: Shop) {
    let projector: Arc<dyn Projector> = Arc::new(Stock);
    let generation = shop.generation(&*projector).await;
    let mut writer = Writer::new(&shop);
    let first = shop.start(Arc::clone(&projector), &generation);
    writer.all(receipts(10)).await;
    shop.reach(&generation, 10).await;
    first.kill().await;
    let expires = shop.number("operations", "SELECT max(expires_at) FROM @leases").await;
    let now = format!("SELECT {}", shop.db("operations").now());
    let left = expires - shop.number("operations", &now).await;
    assert!(left <= LEASE_MILLISECONDS, "it lasts for {left} ms more");
    let second = shop.start(Arc::clone(&projector), &generation);
    let last = writer.all(receipts(10)).await;
    shop.reach(&generation, last).await;
    let early = expires - shop.number("operations", &now).await;
    assert!(early < 0, "it was taken over {early} ms before it expired");
    second.stop().await;
    assert_as_replayed(&shop, &projector, &generation).await;
}

async fn a_stopped_follower_gives_its_lease_back(shop: Shop) {
    let projector: Arc<dyn Projector> = Arc::new(Stock);
    let generation = shop.generation(&*projector).await;
    let mut writer = Writer::new(&shop);
    let first = shop.start(Arc::clone(&projector), &generation);
    let second = shop.start(Arc::clone(&projector), &generation);
    writer.all(receipts(10)).await;
    shop.reach(&generation, 10).await;
    let leases = Leases::new(shop.db("operations"), "somebody");
    let name = format!("{}:{ROWS}", generation.namespace());
    let holder = leases.holder(&name).await.unwrap().unwrap();
    let (held, waiting) = if holder == first.holder { (first, second) } else { (second, first) };
    held.stop().await;
    // It gave the lease back and did not leave it to expire.
    assert_ne!(leases.holder(&name).await.unwrap(), Some(holder));
    until("the other one goes on", async || {
        leases.holder(&name).await.unwrap().as_ref() == Some(&waiting.holder)
    })
    .await;
    let last = writer.all(receipts(10)).await;
    shop.reach(&generation, last).await;
    waiting.stop().await;
}

async fn a_lease_that_lasts_longer_than_any_is_given_is_as_good_as_expired(shop: Shop) {
    let leases = |holder: &str| Leases::new(shop.db("process"), holder);
    let (one, other) = (leases("one"), leases("other"));
    let old = one.acquire("x").await.unwrap().unwrap();
    assert_eq!(other.acquire("x").await.unwrap(), Err("one".to_owned()));
    // As a clock gave it that was an hour ahead.
    shop.run("process", "UPDATE @leases SET expires_at = expires_at + 3600000").await;
    assert_eq!(one.holder("x").await.unwrap(), None);
    let new = other.acquire("x").await.unwrap().unwrap();
    assert!(new.epoch > old.epoch && !one.renew(&old).await.unwrap());
    assert_eq!(one.holder("x").await.unwrap().as_deref(), Some("other"));
}

async fn a_holder_with_an_older_epoch_cannot_move_the_checkpoint(shop: Shop) {
    let (db, leases) = (shop.db("process"), |holder: &str| Leases::new(shop.db("process"), holder));
    let (one, other) = (leases("one"), leases("other"));
    let start = Checkpoint::start();
    start.begin(&db, &db.connection, "x").await.unwrap();
    let old = one.acquire("x").await.unwrap().unwrap();
    assert!(Checkpoint::fence(&db, &db.connection, "x", old.epoch).await.unwrap());
    assert_eq!(other.acquire("x").await.unwrap(), Err("one".to_owned()));
    assert_eq!(one.acquire("x").await.unwrap().unwrap().epoch, old.epoch, "its own it may take again");
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
    let new = other.acquire("x").await.unwrap().unwrap();
    assert!(new.epoch > old.epoch);
    assert!(!one.renew(&old).await.unwrap() && other.renew(&new).await.unwrap());
    one.release(&old).await.unwrap();
    assert_eq!(one.holder("x").await.unwrap().as_deref(), Some("other"), "an old lease gives nothing back");
    let to = Checkpoint::at(1, uuid::Uuid::nil());
    assert!(Checkpoint::fence(&db, &db.connection, "x", new.epoch).await.unwrap());
    assert!(!Checkpoint::fence(&db, &db.connection, "x", old.epoch).await.unwrap());
    assert!(!start.advance(&db, &db.connection, "x", &to, old.epoch).await.unwrap());
    assert!(start.advance(&db, &db.connection, "x", &to, new.epoch).await.unwrap());
    assert!(
        !start.advance(&db, &db.connection, "x", &to, new.epoch).await.unwrap(),
        "it is not at the start any more"
    );
}

async fn why_a_worker_stopped_is_kept_beside_its_lease_until_it_works_again(shop: Shop) {
    let leases = |holder: &str| Leases::new(shop.db("process"), holder);
    let (one, other) = (leases("one"), leases("other"));
    let note = async || other.stop_note("relay").await.unwrap();
    let stopped = |reason: &str, is_retried| Some(StopNote { reason: reason.to_owned(), is_retried });
    assert_eq!(note().await, None);
    let lease = one.acquire("relay").await.unwrap().unwrap();
    one.note_stopped("relay", "no broker").await.unwrap();
    one.release(&lease).await.unwrap();
    assert_eq!(note().await, stopped("no broker", true), "its process tries again");
    shop.run("process", "UPDATE @leases SET stopped_at = stopped_at - 61000").await;
    assert_eq!(note().await, stopped("no broker", false), "its process is gone");
    other.acquire("relay").await.unwrap().unwrap();
    one.note_stopped("relay", "too late").await.unwrap();
    assert_eq!(note().await, stopped("no broker", true), "another process does the work by now");
    other.note_works("relay").await.unwrap();
    assert_eq!(note().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_kept_through_a_batch_that_takes_longer_than_it_lasts() {
    let shop = Shop::postgres().await;
    let projector: Arc<dyn Projector> = Arc::new(Stock);
    let generation = shop.generation(&*projector).await;
    let soonshop_event_log::DatabaseLocation::Postgres(url) = &shop.place else { panic!("a server") };
    let mut slow = sqlx::PgConnection::connect(url).await.unwrap();
    let first = shop.start(Arc::clone(&projector), &generation);
    until("the first one has it", async || {
        shop.number("operations", "SELECT count(*) FROM @leases").await == 1
    })
    .await;
    let second = shop.start(Arc::clone(&projector), &generation);
    slow.execute(
        format!("BEGIN; LOCK TABLE {}.stock IN ACCESS EXCLUSIVE MODE", generation.namespace()).as_str(),
    )
    .await
    .unwrap();
    let mut writer = Writer::new(&shop);
    let last = writer.all(receipts(10)).await;
    tokio::time::sleep(Duration::from_millis(LEASE_MILLISECONDS.unsigned_abs() + 2_000)).await;
    slow.execute("COMMIT").await.unwrap();
    shop.reach(&generation, last).await;
    assert_eq!(
        shop.number("operations", "SELECT epoch FROM @leases").await,
        1,
        "no other process took it over"
    );
    first.stop().await;
    second.stop().await;
    assert_as_replayed(&shop, &projector, &generation).await;
}
