//! The eraser: keys are deleted, cached copies expire, and the log says so; a restored backup is erased again.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Decider, Metadata, Purpose, ids};
use soonshop_event_log::keys::KEY_LIFETIME;
use soonshop_event_log::{Checkpoint, Database};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use soonshop_projections::order::Orders;
use soonshop_projections::user::Users;
use soonshop_projections::{Feed, Projector};
use soonshop_workers::eraser::{Eraser, NAME, erase_registered};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixture::{Raw, Running, Shop, Writer, on_both, raw, until};
use crate::history::{EMAIL, NAME as ADA, details, guest, line, placed, received, uuid};

on_both!(
    an_erasure_deletes_keys_at_once_and_is_confirmed_when_their_copies_have_expired,
    rows_lose_the_person_and_come_out_as_if_made_after,
    a_killed_eraser_repeats_its_work,
    keys_that_come_back_with_a_backup_are_erased_again,
    a_log_restored_with_its_keys_is_erased_again,
    a_log_restored_without_its_keys_is_erased_again,
    the_register_is_applied_without_an_eraser_and_returned_whole,
    the_operators_key_is_never_erased,
    an_eraser_before_another_history_stops,
    an_event_of_a_newer_release_stops_the_reactor_after_earlier_events,
);

pub(crate) struct Run {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Run {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_mins(1), self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn eraser(shop: &Shop, store: &EventStore) -> Run {
    let stop = CancellationToken::new();
    Run { task: tokio::spawn(worker(shop, store).run(stop.clone())), stop }
}

/// An eraser that is killed after so many steps, each up to where it waits for something, and whose lease has run out.
pub(crate) async fn killed_after(steps: usize, shop: &Shop, store: &EventStore) {
    let mut run = Box::pin(worker(shop, store).run(CancellationToken::new()));
    let mut left = steps;
    let stepping = std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        run.as_mut().poll(context)
    });
    stepping.await;
    drop(run);
    shop.run("process", "UPDATE @leases SET expires_at = 0").await;
}

fn worker(shop: &Shop, store: &EventStore) -> Eraser {
    let database = Database::new(shop.place.clone());
    Eraser {
        store: store.clone(),
        process: database.namespace("process").unwrap(),
        register: database.namespace("erasures").unwrap(),
        identity: crate::recording::identity(shop),
        holder: format!("test-{}", ids::new().simple()),
    }
}

pub(crate) async fn send<A: Decider>(store: &EventStore, id: Uuid, command: A::Command) {
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    if let Err(error) = store.execute::<A>(id, command, context).await {
        panic!("{error}");
    }
}

pub(crate) async fn register(store: &EventStore, subject: Uuid) {
    send::<User>(store, subject, user::Command::Register { details: details(subject) }).await;
}

async fn ask_to_forget(store: &EventStore, subject: Uuid) {
    let purposes = vec![Purpose::Account, Purpose::Invoice];
    send::<Person>(store, subject, person::Command::RequestErasure { purposes }).await;
}

pub(crate) async fn living_keys(shop: &Shop) -> i64 {
    shop.number("keys", "SELECT count(*) FROM @data_keys WHERE wrapped IS NOT NULL").await
}

async fn confirmed(shop: &Shop) -> bool {
    shop.number("log", "SELECT count(*) FROM @events WHERE event_type = 'PersonErased'").await > 0
}

async fn an_erasure_deletes_keys_at_once_and_is_confirmed_when_their_copies_have_expired(shop: Shop) {
    let store = shop.store();
    let run = eraser(&shop, &store);
    register(&store, uuid(1)).await;
    assert_eq!(living_keys(&shop).await, 1);
    ask_to_forget(&store, uuid(1)).await;
    let began = Instant::now();
    until("the keys are gone", async || living_keys(&shop).await == 0).await;
    // At once, and not when it is confirmed.
    assert!(!Box::pin(confirmed(&shop)).await || began.elapsed() >= KEY_LIFETIME);
    let tombstones = "SELECT count(*) FROM @data_keys WHERE wrapped IS NULL AND master = ''";
    until("tombstones stay", async || shop.number("keys", tombstones).await == 2).await;
    let registered = "SELECT count(*) FROM @erasures WHERE log = 'main' AND position = 2";
    until("the register knows", async || shop.number("erasures", registered).await == 2).await;
    until("it is confirmed", async || confirmed(&shop).await).await;
    let took = began.elapsed();
    assert!(took >= KEY_LIFETIME, "{took:?}");
    let row = shop.log().read(3, 1).await.unwrap().remove(0);
    let metadata: Metadata = serde_json::from_str(&row.metadata).unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), "system:eraser");
    assert_eq!(metadata.causation_id, Some(shop.log().read(2, 1).await.unwrap()[0].event_id));
    // Nothing new about them is kept.
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let change = user::Command::Change { details: details(uuid(1)) };
    assert!(matches!(store.execute::<User>(uuid(1), change, context).await, Err(ExecuteError::Erased)));
    run.stop().await;
}

async fn rows_lose_the_person_and_come_out_as_if_made_after(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    let projectors: [Arc<dyn Projector>; 2] = [Arc::new(Users), Arc::new(Orders)];
    let generations = [shop.generation(&*projectors[0]).await, shop.generation(&*projectors[1]).await];
    let mut running = Running::new(Feed::new(shop.log()));
    for (projector, generation) in projectors.iter().zip(&generations) {
        running.keep_rows(&shop, Arc::clone(projector), generation);
    }
    let run = eraser(&shop, &store);
    register(&store, uuid(1)).await;
    let last = writer.write(uuid(10), placed("S-10", guest(1), vec![line(1, "MUG", 1, 100)])).await;
    for generation in &generations {
        shop.reach(generation, last).await;
        assert!(shop.rows(generation).await.to_string().contains(ADA));
    }
    ask_to_forget(&store, uuid(1)).await;
    until("it is confirmed", async || confirmed(&shop).await).await;
    let head = shop.log().head().await.unwrap().position;
    for (projector, generation) in projectors.iter().zip(&generations) {
        shop.reach(generation, head).await;
        let rows = shop.rows(generation).await;
        assert!(!rows.to_string().contains(ADA) && !rows.to_string().contains(EMAIL), "{rows}");
        let replayed = shop.generation(&**projector).await;
        shop.project(Arc::clone(projector), &replayed).await;
        assert_eq!(rows, shop.rows(&replayed).await);
    }
    run.stop().await;
    running.stop().await;
}

async fn a_killed_eraser_repeats_its_work(shop: Shop) {
    let store = shop.store();
    register(&store, uuid(1)).await;
    ask_to_forget(&store, uuid(1)).await;
    let began = Instant::now();
    for steps in [1, 3, 6, 10, 15, 20] {
        killed_after(steps, &shop, &store).await;
    }
    assert!(!confirmed(&shop).await || began.elapsed() >= KEY_LIFETIME);
    let run = eraser(&shop, &store);
    until("it is confirmed", async || confirmed(&shop).await).await;
    run.stop().await;
    assert_eq!((living_keys(&shop).await, shop.log().head().await.unwrap().position), (0, 3));
}

/// Erases a person whose keys and events are then restored from a backup.
async fn erased_and_restored(shop: &Shop, store: &EventStore) {
    register(store, uuid(1)).await;
    shop.run("keys", "CREATE TABLE @backup AS SELECT * FROM @data_keys").await;
    ask_to_forget(store, uuid(1)).await;
    let run = eraser(shop, store);
    until("it is confirmed", async || confirmed(shop).await).await;
    run.stop().await;
    shop.run("keys", "DELETE FROM @data_keys").await;
    shop.run("keys", "DELETE FROM @barred").await;
    shop.run("keys", "INSERT INTO @data_keys SELECT * FROM @backup").await;
    assert_eq!(living_keys(shop).await, 1);
}

async fn keys_that_come_back_with_a_backup_are_erased_again(shop: Shop) {
    let store = shop.store();
    erased_and_restored(&shop, &store).await;
    let run = eraser(&shop, &store);
    until("the keys are gone again", async || living_keys(&shop).await == 0).await;
    run.stop().await;
    assert_eq!(shop.log().head().await.unwrap().position, 3, "the log knew");
}

/// Brings the log back as it was after the first event, and has the eraser find that out.
async fn log_restored(shop: &Shop, store: EventStore) {
    store.close().await;
    shop.run("log", "DELETE FROM @events WHERE position > 1").await;
    shop.run("log", "DELETE FROM @commands").await;
    // The checkpoints come from the backup too: no follower is newer than the log.
    shop.run("process", "DELETE FROM @checkpoints").await;
    let claims = "SELECT count(*) FROM @claims";
    assert_eq!(shop.number("log", claims).await, 1);
    let store = shop.store();
    let generation = shop.generation(&Users).await;
    let run = eraser(shop, &store);
    until("the log says so again", async || confirmed(shop).await).await;
    run.stop().await;
    assert_eq!((living_keys(shop).await, shop.number("log", claims).await), (0, 0), "the address is free");
    let kinds: Vec<_> =
        shop.log().read(1, 10).await.unwrap().into_iter().map(|event| event.event_type).collect();
    // Each purpose is a request of its own, and the first deletes the user too.
    assert_eq!(kinds[..4], ["UserRegistered", "ErasureRequested", "UserDeleted", "ErasureRequested"]);
    shop.project(Arc::new(Users), &generation).await;
    let rows = shop.rows(&generation).await;
    assert_eq!((&rows["users"][0]["status"], &rows["users"][0]["name"]), (&"erased".into(), &().into()));
}

async fn a_log_restored_with_its_keys_is_erased_again(shop: Shop) {
    let store = shop.store();
    erased_and_restored(&shop, &store).await;
    log_restored(&shop, store).await;
}

async fn a_log_restored_without_its_keys_is_erased_again(shop: Shop) {
    let store = shop.store();
    register(&store, uuid(1)).await;
    ask_to_forget(&store, uuid(1)).await;
    let run = eraser(&shop, &store);
    until("it is confirmed", async || confirmed(&shop).await).await;
    run.stop().await;
    log_restored(&shop, store).await;
}

/// Does what every process of the shop does before it reads the log.
async fn the_register_is_applied_without_an_eraser_and_returned_whole(shop: Shop) {
    let store = shop.store();
    erased_and_restored(&shop, &store).await;
    let all = erase_registered(store.keys(), &shop.db("erasures")).await.unwrap();
    assert_eq!(all, [(uuid(1), Purpose::Account), (uuid(1), Purpose::Invoice)]);
    assert_eq!((living_keys(&shop).await, shop.log().head().await.unwrap().position), (0, 3));
    shop.run("erasures", "INSERT INTO @erasures VALUES ('a', 'b', 'main', 9)").await;
    let refused = erase_registered(store.keys(), &shop.db("erasures")).await.unwrap_err().to_string();
    assert!(refused.contains("cannot read"), "{refused}");
}

/// An earlier release took the request, and had erased it before a backup brought the key back.
async fn the_operators_key_is_never_erased(shop: Shop) {
    let store = shop.store();
    store.keys().ensure(ids::OPERATOR, Purpose::Account).await.unwrap();
    register(&store, uuid(1)).await;
    let insert = format!("INSERT INTO @erasures VALUES ('{}', 'account', 'main', 1)", ids::OPERATOR);
    shop.run("erasures", &insert).await;
    assert_eq!(erase_registered(store.keys(), &shop.db("erasures")).await.unwrap(), []);
    let run = eraser(&shop, &store);
    ask_to_forget(&store, ids::OPERATOR).await;
    ask_to_forget(&store, uuid(1)).await;
    until("the request after it is confirmed", async || confirmed(&shop).await).await;
    run.stop().await;
    assert_eq!(living_keys(&shop).await, 1, "that of the operator");
    let confirmed = "SELECT count(*) FROM @events WHERE event_type = 'PersonErased'";
    assert_eq!(shop.number("log", confirmed).await, 1, "and nothing says that it was erased");
}

/// SQLite keeps deleted pages in its write-ahead log until that is written back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_holds_a_key_after_its_erasure_is_confirmed() {
    let shop = Shop::sqlite().await;
    let store = shop.store();
    register(&store, uuid(1)).await;
    let wrapped = shop.text("keys", "SELECT wrapped FROM @data_keys").await.unwrap();
    let found = || {
        let files = std::fs::read_dir(shop.folder().join("data")).unwrap().map(|file| file.unwrap().path());
        let has = |bytes: Vec<u8>| bytes.windows(wrapped.len()).any(|window| window == wrapped.as_bytes());
        files.filter(|file| has(std::fs::read(file).unwrap())).count()
    };
    assert!(found() > 0);
    let run = eraser(&shop, &store);
    ask_to_forget(&store, uuid(1)).await;
    until("it is confirmed", async || confirmed(&shop).await).await;
    assert_eq!(found(), 0);
    run.stop().await;
}

async fn an_eraser_before_another_history_stops(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let run = eraser(&shop, &writer.store);
    let last = writer.all((0..20).map(|n| raw(uuid(n + 500), received("CUP", 1))).collect()).await;
    let db = shop.db("process");
    let at =
        async || Checkpoint::load(&db, &db.connection, NAME).await.unwrap().map_or(-1, |(at, _)| at.position);
    until("it has read", async || Box::pin(at()).await == last).await;
    run.stop().await;
    writer.store.close().await;
    shop.run("log", "DELETE FROM @events WHERE position > 10").await;
    let store = shop.store();
    register(&store, uuid(1)).await;
    for n in 2..20 {
        register_other(&store, uuid(n)).await;
    }
    ask_to_forget(&store, uuid(1)).await;
    let run = eraser(&shop, &store);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(at().await, last);
    assert_eq!(shop.number("erasures", "SELECT count(*) FROM @erasures").await, 0);
    run.stop().await;
}

async fn register_other(store: &EventStore, subject: Uuid) {
    let details = user::Details::try_new(subject, Some(ADA), None, None, None).unwrap();
    send::<User>(store, subject, user::Command::Register { details }).await;
}

async fn an_event_of_a_newer_release_stops_the_reactor_after_earlier_events(shop: Shop) {
    let mut writer = Writer::new(&shop);
    let store = writer.store.clone();
    register(&store, uuid(1)).await;
    ask_to_forget(&store, uuid(1)).await;
    let unknown = Raw {
        aggregate_type: "person",
        stream: uuid(2).to_string(),
        event_type: "PersonMoved".to_owned(),
        event_version: "1".to_owned(),
        payload: r#"{"PersonMoved":{}}"#.to_owned(),
    };
    let at = writer.raw(unknown).await;
    let run = eraser(&shop, &store);
    until("what comes before is confirmed", async || confirmed(&shop).await).await;
    let db = shop.db("process");
    until("its checkpoint is before the event", async || {
        Checkpoint::load(&db, &db.connection, NAME)
            .await
            .unwrap()
            .is_some_and(|(to, _)| to.position == at - 1)
    })
    .await;
    run.stop().await;
}
