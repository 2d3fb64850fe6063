//! Every writer of the log takes one lock, and takes it first: writers cannot deadlock.

use soonshop_event_store::{Purge, RecordOwner, adopt};
use sqlx::Executor as _;

use crate::adopt::history;
use crate::fixture::{Fixture, until};

/// Does the work while another session holds the log's lock: it must wait, and must not hold another lock by then.
async fn takes_the_lock_first<T: Send + 'static>(
    shop: &Fixture,
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let mut holder = shop.raw().await;
    holder.execute("BEGIN; SELECT 1 FROM log.head WHERE name = 'main' FOR UPDATE").await.unwrap();
    let work = tokio::spawn(work);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("it waits for the lock", async || shop.number("log", waiting).await == 1).await;
    let locked = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
        JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND n.nspname IN ('log', 'public') \
        AND c.relname NOT LIKE 'head%' AND l.mode <> 'AccessShareLock'";
    assert_eq!(shop.number("log", locked).await, 0, "it has locked something else before");
    assert!(!work.is_finished());
    holder.execute("ROLLBACK").await.unwrap();
    work.await.unwrap()
}

#[tokio::test]
async fn every_other_writer_of_the_log_takes_its_lock_first() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (purging, keys, log) = (store.clone(), store.keys().clone(), shop.db("log"));
    let purge = Purge { owner: RecordOwner::Persons, days: 7, before: None, most: 10 };
    takes_the_lock_first(&shop, async move { purging.purge(purge).await }).await.unwrap();
    shop.run("log", "DELETE FROM @claim_keys").await;
    takes_the_lock_first(&shop, async move { keys.prepare(&log).await }).await.unwrap();
    assert_eq!(shop.number("log", "SELECT count(*) FROM @claim_keys").await, 1);
}

#[tokio::test]
async fn adopting_takes_the_lock_first() {
    let shop = Fixture::postgres().await;
    history(&shop).await;
    let database = shop.database.clone();
    let adopted = takes_the_lock_first(&shop, async move { adopt(&database, "public.events").await }).await;
    assert_eq!(adopted.unwrap(), 12);
}
