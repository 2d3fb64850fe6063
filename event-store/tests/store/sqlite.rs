//! Rules for a log in files: one owner, deleted data is gone, backups during writes.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use soonshop_domain::ids;
use soonshop_domain::inventory::{self, Stock};
use soonshop_event_store::{AppendError, CommandContext, EarlierForm, EventStore, ExecuteError};

use crate::fixture::{Fixture, context, context_of, on_hand, receive, until};

#[tokio::test]
async fn a_second_owner_is_refused_with_a_sentence() {
    let shop = Fixture::sqlite().await;
    let first = shop.store();
    first.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    let refused = EventStore::check_owner(&shop.database);
    let sentence = "is served by another process: stop it, or send to it over HTTP";
    assert!(matches!(&refused, Err(AppendError::Owned(why)) if why.contains(sentence)), "{refused:?}");
    let second = shop.store();
    let refused = second.execute::<Stock>(ids::new(), receive(1), context()).await;
    assert!(matches!(&refused, Err(ExecuteError::Unavailable(why)) if why.contains(sentence)), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1);
    // Every process may read it.
    assert_eq!(second.log().head().await.unwrap().position, 1);
    // Once the first is gone, the second owns it.
    drop(first);
    until("the end of the first owner", async || {
        second.execute::<Stock>(ids::new(), receive(1), context()).await.is_ok()
    })
    .await;
    assert_eq!(shop.events().await.len(), 2);
}

#[tokio::test]
async fn a_reader_never_sees_half_a_batch_and_never_stops_the_writer() {
    let shop = Fixture::sqlite().await;
    let store = shop.store();
    let (one, other) = (ids::new(), ids::new());
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..50 {
                let both = ((one, receive(1)), (other, receive(1)));
                store.execute_both::<Stock, Stock>(both.0, both.1, context()).await.unwrap();
            }
        }
    });
    while !writing.is_finished() {
        assert_eq!(shop.log().head().await.unwrap().position % 2, 0);
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert_eq!(on_hand(&store, one).await, (50, 50));
    // In the middle of its work it sees what it saw, and appends go on beside it.
    let log = shop.db("log");
    let reading = log.connection.begin().await.unwrap();
    let count = async || {
        let row = reading.query_one(log.statement("SELECT count(*) FROM @events", [])).await.unwrap();
        row.unwrap().try_get_by_index::<i64>(0).unwrap()
    };
    assert_eq!(count().await, 100);
    store.execute::<Stock>(one, receive(1), context()).await.unwrap();
    assert_eq!((count().await, shop.log().head().await.unwrap().position), (100, 101));
}

#[tokio::test]
async fn a_backup_taken_during_writes_is_a_complete_log() {
    let shop = Fixture::sqlite().await;
    let store = shop.store();
    store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("log.sqlite");
    let writing =
        futures::future::join_all((0..20).map(|_| store.execute::<Stock>(ids::new(), receive(1), context())));
    let sql = format!("VACUUM INTO '{}'", file.display());
    let (_, _) = tokio::join!(writing, shop.run("log", &sql));
    let place = soonshop_event_log::DatabaseLocation::Sqlite(copy.path().to_owned());
    let database = soonshop_event_log::Database::new(place);
    let restored =
        soonshop_event_log::EventLog::new(database.namespace("log").unwrap(), shop.log().keys().clone());
    let events = restored.read(1, 100).await.unwrap();
    assert!(!events.is_empty());
    assert_eq!(events, shop.log().read(1, i64::try_from(events.len()).unwrap()).await.unwrap());
}

#[tokio::test]
async fn deleted_data_is_overwritten() {
    let shop = Fixture::sqlite().await;
    assert_eq!(shop.number("keys", "PRAGMA secure_delete").await, 1);
    assert_eq!(shop.number("log", "PRAGMA secure_delete").await, 1);
    assert_eq!(shop.number("log", "PRAGMA synchronous").await, 2, "full: a commit survives the power");
    let store = shop.store();
    let ada = ids::new();
    store
        .execute::<soonshop_domain::user::User>(
            ada,
            crate::fixture::register(ada, "ada@example.org"),
            context(),
        )
        .await
        .unwrap();
    let wrapped = shop.text("keys", "SELECT wrapped FROM @data_keys").await;
    store.keys().erase(ada, &[soonshop_domain::Purpose::Account]).await.unwrap();
    // The write-ahead log keeps old pages until it is written back; the eraser's report says so.
    shop.run("keys", "PRAGMA wal_checkpoint(TRUNCATE)").await;
    for file in std::fs::read_dir(shop.folder()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(wrapped.len()).any(|window| window == wrapped.as_bytes()));
    }
}

#[tokio::test]
async fn what_a_command_reads_before_it_is_executed_waits_while_the_database_is_away() {
    let shop = Fixture::sqlite().await;
    let (stream, command) = (ids::new(), ids::new());
    let before = shop.store();
    before.execute::<Stock>(stream, receive(1), context_of(command)).await.unwrap();
    before.close().await;
    let store = shop.store();
    let (file, away) = (shop.folder().join("log.sqlite"), shop.folder().join("away"));
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    let form = EarlierForm { command_id: command, fingerprint: context_of(command).fingerprint };
    let forms = [form.clone()];
    let reading = {
        let store = store.clone();
        tokio::spawn(async move { store.recorded_form::<inventory::Error>(&forms).await })
    };
    // Longer than many attempts take: none of these gives up.
    let moment = Duration::from_millis(500);
    assert!(tokio::time::timeout(moment, store.owner_of("sku", "MUG")).await.is_err());
    assert!(tokio::time::timeout(moment, store.version::<Stock>(stream)).await.is_err());
    assert!(!reading.is_finished());
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), Some(form));
    assert_eq!(on_hand(&store, stream).await, (1, 1));
}

#[tokio::test]
async fn why_the_log_was_not_written_is_known_until_it_is_written_again() {
    let shop = Fixture::sqlite().await;
    let store = shop.store();
    let failed = store.last_failure();
    let (file, away) = (shop.folder().join("log.sqlite"), shop.folder().join("away"));
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    // The id of a new stream: nothing is read before it is appended.
    let command = ids::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    let context = CommandContext { deadline, ..context_of(command) };
    let refused = store.execute::<Stock>(ids::stream_of(command), receive(1), context).await;
    assert!(matches!(refused, Err(ExecuteError::Unavailable(_))), "{refused:?}");
    assert!(failed.reason().is_some_and(|reason| reason.contains("unable to open")), "{failed:?}");
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    store.execute::<Stock>(ids::new(), receive(1), context_of(ids::new())).await.unwrap();
    assert_eq!(failed.reason(), None);
}
