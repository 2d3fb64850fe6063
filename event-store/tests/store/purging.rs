//! Old records of commands are purged, those of persons and of process managers each after their time, while appends
//! go on.

use futures::future::join_all;
use soonshop_domain::inventory::{self, Command, Stock};
use soonshop_domain::{Channel, Metadata, ids};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Purge, Purged, RecordOwner, purged};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::fixture::{Fixture, at, context_of, metadata, on_both, receive};

on_both! {
    records_are_purged_by_age_and_owner_and_kept_ones_still_answer,
    records_after_the_limit_stay_at_any_age,
    a_purge_works_in_small_steps_and_continues_where_it_stopped,
    appends_go_on_while_records_are_purged,
}

fn of_a_process(command: Uuid) -> CommandContext {
    let metadata = Metadata { channel: Some(Channel::Process), ..metadata() };
    CommandContext { record: true, metadata, ..context_of(command) }
}

/// Makes the command's record this many days old.
async fn age(shop: &Fixture, command: Uuid, days: u16) {
    let before = if shop.is_sqlite() {
        format!("recorded_at - {days} * 86400000000")
    } else {
        format!("recorded_at - interval '{days} days'")
    };
    let sql = format!("UPDATE @commands SET recorded_at = {before} WHERE command_id = '{command}'");
    assert_eq!(shop.run("log", &sql).await, 1);
}

async fn is_kept(shop: &Fixture, command: Uuid) -> bool {
    shop.number("log", &format!("SELECT count(*) FROM @commands WHERE command_id = '{command}'")).await == 1
}

async fn purge(store: &EventStore, owner: RecordOwner, days: u16) -> Purged {
    store.purge(Purge { owner, days, before: None, most: 100 }).await.unwrap()
}

async fn records_are_purged_by_age_and_owner_and_kept_ones_still_answer(shop: Fixture) {
    let store = shop.store();
    let stream = ids::new();
    let reserve = || at(Command::Reserve { order_id: ids::OrderId(Uuid::nil()), line: 1, quantity: 999 });
    // The sender, the age in days, and whether an event was appended.
    let mut sent = Vec::new();
    for (process, days, done) in [
        (true, 36, true),
        (true, 36, false),
        (true, 34, true),
        (true, 34, false),
        (false, 8, true),
        (false, 6, true),
        (true, 0, true),
    ] {
        let command = ids::new();
        let context = if process { of_a_process(command) } else { context_of(command) };
        let first = store.execute::<Stock>(stream, if done { receive(1) } else { reserve() }, context).await;
        age(&shop, command, days).await;
        sent.push((command, process, days, done, first));
    }
    let persons = purge(&store, RecordOwner::Persons, 7).await;
    assert_eq!((persons.examined, persons.deleted), (5, 1));
    let processes = purge(&store, RecordOwner::Processes, 35).await;
    assert_eq!((processes.examined, processes.deleted), (2, 2));

    for (command, process, days, done, first) in sent {
        let kept = days < if process { 35 } else { 7 };
        assert_eq!(is_kept(&shop, command).await, kept, "{process} {days}");
        let context = if process { of_a_process(command) } else { context_of(command) };
        let again = store.execute::<Stock>(stream, if done { receive(1) } else { reserve() }, context).await;
        match (kept, done) {
            (true, true) => {
                let again = again.unwrap();
                assert_eq!((again.answer, again.repeated), (first.unwrap().answer, true));
            }
            (true, false) => {
                let Err(ExecuteError::RejectedBefore { slug, sentence }) = again else { panic!("{again:?}") };
                assert_eq!(slug, "insufficient-stock");
                assert_eq!(sentence, first.unwrap_err().to_string());
            }
            (false, true) => assert!(!again.unwrap().repeated, "it is decided again"),
            (false, false) => {
                let rejected =
                    matches!(again, Err(ExecuteError::Rejected(inventory::Error::InsufficientStock { .. })));
                assert!(rejected, "it is decided again");
            }
        }
    }
    shop.events().await;
}

async fn records_after_the_limit_stay_at_any_age(shop: Fixture) {
    let store = shop.store();
    let commands = [ids::new(), ids::new()];
    for (command, days) in commands.into_iter().zip([60, 50]) {
        store.execute::<Stock>(ids::new(), receive(1), of_a_process(command)).await.unwrap();
        age(&shop, command, days).await;
    }
    let day = |ago: i64| soonshop_domain::clock::now() - chrono::TimeDelta::days(ago);
    let until = |ago| Purge { owner: RecordOwner::Processes, days: 35, before: Some(day(ago)), most: 100 };
    assert_eq!(purged(store.log().db(), RecordOwner::Processes).await.unwrap(), None);
    assert_eq!(store.purge(until(61)).await.unwrap(), Purged::default());
    assert_eq!(purged(store.log().db(), RecordOwner::Processes).await.unwrap(), None);
    assert_eq!(store.purge(until(55)).await.unwrap(), Purged { examined: 1, deleted: 1 });
    assert_eq!((is_kept(&shop, commands[0]).await, is_kept(&shop, commands[1]).await), (false, true));
    let marked = purged(store.log().db(), RecordOwner::Processes).await.unwrap().unwrap();
    assert!(day(61) < marked && marked < day(59), "{marked}");
    assert_eq!(purged(store.log().db(), RecordOwner::Persons).await.unwrap(), None);
    // A record of exactly that time stays as well.
    let moment = "UPDATE @purged SET recorded_at = (SELECT max(recorded_at) FROM @commands)";
    shop.run("log", moment).await;
    let at = purged(store.log().db(), RecordOwner::Processes).await.unwrap().unwrap();
    shop.run("log", "DELETE FROM @purged").await;
    let before = Purge { owner: RecordOwner::Processes, days: 35, before: Some(at), most: 100 };
    assert_eq!(store.purge(before).await.unwrap(), Purged::default());
    assert!(is_kept(&shop, commands[1]).await);
}

async fn a_purge_works_in_small_steps_and_continues_where_it_stopped(shop: Fixture) {
    let store = shop.store();
    let mut commands = Vec::new();
    for n in 0..10 {
        let command = ids::new();
        let context = if n % 2 == 0 { of_a_process(command) } else { context_of(command) };
        store.execute::<Stock>(ids::new(), receive(1), context).await.unwrap();
        commands.push(command);
    }
    // All with the same time, as after a clock that went back.
    let moment = if shop.is_sqlite() { "1000000" } else { "to_timestamp(1)" };
    shop.run("log", &format!("UPDATE @commands SET recorded_at = {moment}")).await;
    let step = Purge { owner: RecordOwner::Persons, days: 7, before: None, most: 3 };
    let (mut looked, mut deleted) = (Vec::new(), 0);
    loop {
        let purged = store.purge(step).await.unwrap();
        deleted += purged.deleted;
        looked.push(purged.examined);
        if purged.examined < 3 {
            break;
        }
    }
    assert_eq!((looked, deleted), (vec![3, 3, 3, 1], 5));
    assert_eq!(
        store.purge(step).await.unwrap(),
        Purged::default(),
        "what it has seen it does not look at again"
    );
    for (n, command) in commands.into_iter().enumerate() {
        assert_eq!(is_kept(&shop, command).await, n % 2 == 0);
    }
    assert_eq!(purge(&store, RecordOwner::Processes, 7).await, Purged { examined: 5, deleted: 5 });
}

async fn appends_go_on_while_records_are_purged(shop: Fixture) {
    let old = if shop.is_sqlite() {
        "INSERT INTO @commands (command_id, fingerprint, status, recorded_at) WITH RECURSIVE n (n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000) SELECT lower(hex(randomblob(16))), '', 200, n FROM n"
    } else {
        "INSERT INTO @commands (command_id, fingerprint, status, recorded_at) \
         SELECT gen_random_uuid(), '', 200, to_timestamp(n) FROM generate_series(1, 5000) n"
    };
    shop.run("log", old).await;
    let stores = shop.stores();
    let streams: Vec<_> = (0..8).map(|_| ids::new()).collect();
    let append = |n: usize| {
        stores[n % stores.len()].execute::<Stock>(streams[n % 8], receive(1), context_of(ids::new()))
    };
    let purge = async {
        let (mut steps, mut deleted) = (0, 0);
        loop {
            let step = Purge { owner: RecordOwner::Processes, days: 7, before: None, most: 100 };
            let purged = stores[steps % stores.len()].purge(step).await.unwrap();
            (steps, deleted) = (steps + 1, deleted + purged.deleted);
            if purged.examined < 100 {
                return (steps, deleted);
            }
        }
    };
    let ((steps, deleted), appended) = tokio::join!(purge, join_all((0..400).map(append)));
    assert_eq!((steps, deleted), (51, 5_000));
    assert!(appended.iter().all(Result::is_ok));
    assert_eq!(shop.events().await.len(), 400);
    assert_eq!(
        shop.number("log", "SELECT count(*) FROM @commands").await,
        400,
        "each of them has its record"
    );
}

#[tokio::test]
async fn a_purge_refuses_other_isolation_levels() {
    let shop = Fixture::postgres().await;
    let mut connection = shop.raw().await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        connection.execute(format!("BEGIN ISOLATION LEVEL {level}").as_str()).await.unwrap();
        let refused = connection.execute("SELECT * FROM log.purge('person', 7, NULL, 1)").await.unwrap_err();
        assert!(refused.to_string().contains("must run under READ COMMITTED"), "{refused}");
        connection.execute("ROLLBACK").await.unwrap();
    }
}
