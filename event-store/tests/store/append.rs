//! Appending: order, expected versions, chains, all or nothing, and the lock.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use soonshop_domain::inventory::{self, Command, Stock};
use soonshop_domain::order::Customer;
use soonshop_domain::user::{self, User, person};
use soonshop_domain::{Purpose, ids, order};
use soonshop_event_log::Checkpoint;
use soonshop_event_store::{AppendError, EventStore, ExecuteError, LARGEST_EVENT, Outcome};
use sqlx::{Connection as _, Executor as _, Row as _};
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{
    Fixture, Tip, at, checking, context, context_of, on_both, on_hand, place_order, receive, register,
    request, submit, until, words,
};

on_both! {
    positions_are_dense_and_in_the_order_of_commits_with_64_writers_at_once,
    a_conflict_refuses_that_command_alone,
    the_expected_event_is_compared_by_its_id_as_well_as_by_its_version,
    a_chain_on_one_stream_goes_in_as_one_batch,
    a_refused_request_refuses_its_chain_and_no_other_request,
    an_append_over_two_streams_is_all_or_nothing,
    bad_data_in_a_batch_does_not_affect_other_requests,
    an_event_of_more_than_256_kib_is_refused_and_one_of_256_is_taken,
    a_dropped_command_leaves_its_stream_usable,
    two_callers_that_append_to_two_streams_in_opposite_order_both_finish,
    recorded_at_does_not_follow_a_clock_that_goes_back,
}

async fn positions_are_dense_and_in_the_order_of_commits_with_64_writers_at_once(shop: Fixture) {
    const EACH: usize = 12;
    let stores = shop.stores();
    let shared = ids::new();
    let writer = |number: usize| {
        let store = stores[number % stores.len()].clone();
        tokio::spawn(async move {
            let own = ids::new();
            let mut done = Vec::new();
            for round in 0..EACH {
                let (stream, context) = (if round % 3 == 0 { shared } else { own }, context());
                let command_id = context.command_id;
                let executed = store.execute::<Stock>(stream, receive(1), context).await.unwrap();
                done.push((command_id, executed.answer));
            }
            done
        })
    };
    let writers: Vec<_> = (0..64).map(writer).collect();
    // A follower reads while they write: reading `position > n` never misses an event.
    let (log, mut checkpoint, mut seen) = (shop.log(), Checkpoint::start(), Vec::new());
    let deadline = Instant::now() + Duration::from_mins(1);
    while seen.len() < 64 * EACH {
        assert!(Instant::now() < deadline, "{} events were read, and no more came", seen.len());
        let page = log.read_after("a follower", &checkpoint, 50).await.unwrap();
        seen.extend(page.iter().map(|entry| entry.position));
        checkpoint = page.last().map_or(checkpoint, soonshop_event_log::Entry::checkpoint);
        tokio::task::yield_now().await;
    }
    assert_eq!(seen, (1..=64 * i64::try_from(EACH).unwrap()).collect::<Vec<_>>());
    let acknowledged: HashMap<Uuid, _> =
        join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    for event in shop.events().await {
        let metadata: soonshop_domain::Metadata = serde_json::from_str(&event.metadata).unwrap();
        let answer = &acknowledged[&metadata.command_id.unwrap()];
        assert_eq!(answer.first_position, Some(event.position));
        assert_eq!((answer.last_position, answer.version), (Some(event.position), Some(event.sequence)));
    }
    assert_eq!(on_hand(&stores[0], shared).await, (256, 256));
}

async fn a_conflict_refuses_that_command_alone(shop: Fixture) {
    let store = shop.store();
    let mut stale = Tip::new();
    let first = request(&mut stale);
    let wrong = Tip { sequence: 7, ..stale.clone() };
    let requests = vec![
        first,
        request(&mut Tip::new()),
        request(&mut Tip { stream: ids::new().to_string(), ..wrong }),
        request(&mut Tip::new()),
    ];
    assert_eq!(words(&submit(&store, requests).await), ["done", "done", "version", "done"]);
    assert_eq!(shop.events().await.len(), 3);
}

async fn the_expected_event_is_compared_by_its_id_as_well_as_by_its_version(shop: Fixture) {
    let store = shop.store();
    let mut tip = Tip::new();
    let first = request(&mut tip);
    assert_eq!(words(&submit(&store, vec![first]).await), ["done"]);
    // After a failover the same version can belong to another history.
    let mut forged = Tip { event_id: Some(ids::new()), ..tip.clone() };
    let outcomes = submit(&store, vec![checking(&forged), request(&mut forged), checking(&tip)]).await;
    assert_eq!(words(&outcomes), ["version", "version", "done"]);
    let mut nameless = Tip { event_id: None, ..tip.clone() };
    assert_eq!(words(&submit(&store, vec![request(&mut nameless)]).await), ["version"]);
    // The other way round: the right id, or that there is none, with a version that the stream is not at.
    let mut ahead = Tip { sequence: 3, ..tip.clone() };
    assert_eq!(words(&submit(&store, vec![checking(&ahead), request(&mut ahead)]).await), ["version"; 2]);
    let mut unwritten = Tip { sequence: 3, ..Tip::new() };
    assert_eq!(
        words(&submit(&store, vec![checking(&unwritten), request(&mut unwritten)]).await),
        ["version"; 2]
    );
    assert_eq!(words(&submit(&store, vec![request(&mut tip)]).await), ["done"]);
    assert_eq!(shop.events().await.len(), 2);
}

async fn a_chain_on_one_stream_goes_in_as_one_batch(shop: Fixture) {
    let store = shop.store();
    let mut tip = Tip::new();
    let chain = (0..20).map(|_| request(&mut tip)).collect();
    assert_eq!(words(&submit(&store, chain).await), ["done"; 20]);
    let events = shop.events().await;
    assert_eq!(events.len(), 20);
    assert!(
        events.iter().all(|event| event.recorded_at == events[0].recorded_at),
        "one batch has one moment"
    );
    // Commands that wait for one stream do the same.
    let stream = ids::new();
    join_all((0..20).map(|_| store.execute::<Stock>(stream, receive(1), context()))).await;
    assert_eq!(on_hand(&store, stream).await, (20, 20));
    let mut moments: Vec<_> = shop.events().await[20..].iter().map(|event| event.recorded_at).collect();
    moments.dedup();
    assert!(moments.len() < 10, "20 commands on one stream took {} batches", moments.len());
}

async fn a_refused_request_refuses_its_chain_and_no_other_request(shop: Fixture) {
    let store = shop.store();
    let mut wrong = Tip { sequence: 3, event_id: Some(ids::new()), ..Tip::new() };
    let mut other = Tip::new();
    let mut requests: Vec<_> = (0..3).map(|_| request(&mut wrong)).collect();
    // It builds only on the chain and appends nothing: it is checked all the same.
    requests.push(checking(&wrong));
    requests.extend((0..3).map(|_| request(&mut other)));
    let outcomes = submit(&store, requests).await;
    assert_eq!(words(&outcomes), ["version", "behind", "behind", "behind", "done", "done", "done"]);
    let Ok(Outcome::Done(answer)) = &outcomes[4] else { unreachable!() };
    assert_eq!(answer.first_position, Some(1), "a refused append leaves no gap");
    assert_eq!(shop.events().await.len(), 3);
}

async fn an_append_over_two_streams_is_all_or_nothing(shop: Fixture) {
    let store = shop.store();
    let (ada, bob) = (ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let erase = || person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    // The address is taken: the other stream gets nothing either.
    let taken = register(bob, "ada@example.org");
    let refused = store.execute_both::<User, person::Person>((bob, taken), (bob, erase()), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Taken { .. })), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1);
    // The first stream gets nothing either if the second one refuses.
    let confirm = person::Command::ConfirmErasure { purposes: vec![Purpose::Account] };
    let delete = || user::Command::Delete;
    let refused =
        store.execute_both::<User, person::Person>((ada, delete()), (ada, confirm), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Fault(_))), "{refused:?}");
    assert_eq!(shop.events().await.len(), 1);

    let context = context();
    let done = store
        .execute_both::<User, person::Person>((ada, delete()), (ada, erase()), context.clone())
        .await
        .unwrap();
    assert_eq!((done.answer.first_position, done.answer.last_position), (Some(2), Some(3)));
    assert_eq!(done.answer.version, Some(2), "the answer is the first stream's");
    let types: Vec<_> = shop.events().await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(types, ["UserRegistered", "UserDeleted", "ErasureRequested"]);
    let again =
        store.execute_both::<User, person::Person>((ada, delete()), (ada, erase()), context).await.unwrap();
    assert_eq!(again.answer, done.answer);
}

async fn bad_data_in_a_batch_does_not_affect_other_requests(shop: Fixture) {
    let store = shop.store();
    let mut requests: Vec<_> = (0..33).map(|_| request(&mut Tip::new())).collect();
    for bad in [4, 5, 20] {
        // No stream has such an event: a constraint of the table refuses it, and with it the whole statement.
        requests[bad].events[0].sequence = -1;
    }
    let outcomes = submit(&store, requests).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        let refused = matches!(outcome, Err(AppendError::Refused(_)));
        assert_eq!(refused, [4, 5, 20].contains(&number), "{number}: {outcome:?}");
    }
    assert_eq!(shop.events().await.len(), 30);
}

async fn an_event_of_more_than_256_kib_is_refused_and_one_of_256_is_taken(shop: Fixture) {
    let store = shop.store();
    let stream = ids::new();
    let adjust = |length| at(Command::Adjust { quantity: 1, reason: "x".repeat(length) });
    let empty = serde_json::to_string(&inventory::Event::StockAdjusted {
        place: at(Command::Receive { quantity: 1 }).place,
        quantity: 1,
        reason: String::new(),
    });
    let most = LARGEST_EVENT - empty.unwrap().len();
    let refused = store.execute::<Stock>(stream, adjust(most + 1), context()).await;
    assert!(
        matches!(refused, Err(ExecuteError::TooLarge { size }) if size == LARGEST_EVENT + 1),
        "{refused:?}"
    );
    store.execute::<Stock>(stream, adjust(most), context()).await.unwrap();
    assert_eq!(on_hand(&store, stream).await, (1, 1));
}

async fn a_dropped_command_leaves_its_stream_usable(shop: Fixture) {
    let store = shop.store();
    let stream = ids::new();
    store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    for steps in 1..12 {
        // Dropped after this many steps: before, while or after it is submitted.
        let mut execute = Box::pin(store.execute::<Stock>(stream, receive(100), context()));
        for _ in 0..steps {
            drop(futures::poll!(&mut execute));
            tokio::task::yield_now().await;
        }
    }
    store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    let events = i64::try_from(shop.events().await.len()).unwrap();
    assert_eq!(on_hand(&store, stream).await, ((events - 2) * 100 + 2, events));
}

async fn two_callers_that_append_to_two_streams_in_opposite_order_both_finish(shop: Fixture) {
    let store = shop.store();
    let (one, other) = (ids::new(), ids::new());
    let both = async |first: Uuid, second: Uuid| {
        for _ in 0..10 {
            let commands = ((first, receive(1)), (second, receive(1)));
            store.execute_both::<Stock, Stock>(commands.0, commands.1, context()).await.unwrap();
        }
    };
    tokio::join!(both(one, other), both(other, one));
    assert_eq!(on_hand(&store, one).await, (20, 20));
    assert_eq!(on_hand(&store, other).await, (20, 20));
    // Both ask while a third caller has one of the streams and waits for its events to be read.
    for held_first in [true, false] {
        let (one, other) = (ids::new(), ids::new());
        let held = if held_first { one } else { other };
        let holding = store.execute::<Stock>(held, receive(1), context());
        let (held, (), ()) = tokio::join!(holding, both(one, other), both(other, one));
        held.unwrap();
    }
    let twice = store.execute_both::<Stock, Stock>((one, receive(1)), (one, receive(1)), context()).await;
    assert!(matches!(twice, Err(ExecuteError::Fault(_))), "{twice:?}");
}

/// Locks the head like another writer, until the transaction ends.
async fn lock(connection: &mut sqlx::PgConnection) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut tx = connection.begin().await.unwrap();
    tx.execute("SELECT 1 FROM log.head WHERE name = 'main' FOR UPDATE").await.unwrap();
    tx
}

/// Waits until an appender waits for the lock.
async fn waiting(shop: &Fixture) {
    until("an append that waits for the lock", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soonshop-appender' \
                   AND wait_event_type = 'Lock' AND datname = current_database()";
        shop.number("log", sql).await > 0
    })
    .await;
}

async fn recorded_at_does_not_follow_a_clock_that_goes_back(shop: Fixture) {
    let store = shop.store();
    store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    // The clock was a day ahead, and was corrected.
    let ahead = if shop.is_sqlite() { "86400000000" } else { "interval '1 day'" };
    shop.run("log", &format!("UPDATE @events SET recorded_at = recorded_at + {ahead}")).await;
    let last = shop.events().await[0].recorded_at;
    store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    if !shop.is_sqlite() {
        let mut beside = shop.raw().await;
        sqlx::query(FOREIGN).bind(ids::new().to_string()).bind(1_i64).execute(&mut beside).await.unwrap();
    }
    let done = store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    assert!(shop.events().await.iter().all(|event| event.recorded_at == last));
    // Its record has the same time.
    let position = done.answer.last_position.unwrap();
    let same = format!(
        "SELECT count(*) FROM @commands c JOIN @events e ON e.position = c.last_position \
         WHERE e.position = {position} AND c.recorded_at = e.recorded_at"
    );
    assert_eq!(shop.number("log", &same).await, 1);
}

/// A row as the postgres-es crate writes it.
const FOREIGN: &str = "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
     metadata) VALUES ('stock', $1, $2, 'StockReceived', '1', \
     '{\"StockReceived\":{\"sku\":\"MUG\",\"location\":\"main\",\"quantity\":5}}', '{}')";

#[tokio::test]
async fn an_append_checks_events_that_were_committed_while_it_waited() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (mut lost, mut repeated) = (Tip::new(), Tip::new());
    let stream = lost.stream.clone();
    let requests = vec![request(&mut lost), request(&mut repeated), request(&mut Tip::new())];
    let known = requests[1].command_id;

    let mut other = shop.raw().await;
    let mut tx = lock(&mut other).await;
    let submitted = tokio::spawn({
        let store = store.clone();
        async move { submit(&store, requests).await }
    });
    waiting(&shop).await;
    sqlx::query(FOREIGN).bind(&stream).bind(1_i64).execute(&mut *tx).await.unwrap();
    let record =
        "INSERT INTO log.commands (command_id, fingerprint, status, recorded_at) VALUES ($1, '', 204, now())";
    sqlx::query(record).bind(known).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    let outcomes = submitted.await.unwrap();
    assert_eq!(words(&outcomes), ["version", "known", "done"]);
    let events = shop.events().await;
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [1, 2]);
    // The refusal of a version contains the missed events.
    let Ok(Outcome::Version { sequence, seen, missed, .. }) = &outcomes[0] else { unreachable!() };
    assert_eq!((*sequence, *seen), (1, 0));
    assert_eq!(missed.iter().map(|event| event.event_id).collect::<Vec<_>>(), [events[0].event_id]);
    assert_eq!(missed[0].payload, events[0].payload);
}

/// The keys of the tables refuse an append that was checked too early; nothing but the lock refuses a decision that
/// appends nothing.
#[tokio::test]
async fn a_check_without_events_sees_what_was_committed_while_it_waited() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let tip = Tip::new();
    let mut other = shop.raw().await;
    let mut tx = lock(&mut other).await;
    let submitted = tokio::spawn({
        let (store, check) = (store.clone(), checking(&tip));
        async move { submit(&store, vec![check]).await }
    });
    waiting(&shop).await;
    sqlx::query(FOREIGN).bind(&tip.stream).bind(1_i64).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(words(&submitted.await.unwrap()), ["version"]);
}

#[tokio::test]
async fn a_refused_version_is_decided_again_on_the_missed_events_without_reading() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let stream = ids::new();
    store.execute::<Stock>(stream, receive(3), context()).await.unwrap();
    let mut other = shop.raw().await;
    for sequence in 2..=6_i64 {
        sqlx::query(FOREIGN).bind(stream.to_string()).bind(sequence).execute(&mut other).await.unwrap();
    }
    // Only the functions can read the table now: the missed events came with the refusal.
    other.execute("ALTER TABLE log.events RENAME COLUMN recorded_at TO recorded_later").await.unwrap();
    for name in ["append", "append_one"] {
        let function = shop.text("log", &format!("SELECT pg_get_functiondef('log.{name}'::regproc)")).await;
        let function = function
            .replace("e.recorded_at INTO", "e.recorded_later INTO")
            .replace("occurred_at, recorded_at)\n", "occurred_at, recorded_later)\n");
        other.execute(function.as_str()).await.unwrap();
    }
    let reserve = || at(Command::Reserve { order_id: ids::OrderId(Uuid::nil()), line: 1, quantity: 28 });
    let done = store.execute::<Stock>(stream, reserve(), context()).await.unwrap();
    assert_eq!(done.answer.version, Some(7), "decided on 3 + 5 × 5 units");
}

/// If another process has written, a decision that appends nothing would be wrong as well.
#[tokio::test]
async fn refusals_and_no_ops_are_checked_under_the_lock_like_appends() {
    let shop = Fixture::postgres().await;
    let (here, there) = (shop.store(), shop.store());
    let stream = ids::new();
    let order_id = ids::OrderId(ids::new());
    let reserve = |quantity| at(Command::Reserve { order_id, line: 1, quantity });
    here.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    there.execute::<Stock>(stream, receive(9), context()).await.unwrap();
    // This process knows of only one unit.
    here.execute::<Stock>(stream, reserve(10), context()).await.unwrap();
    let release = at(Command::Release { order_id, line: 1 });
    there.execute::<Stock>(stream, release, context()).await.unwrap();
    // In this process's state the line is still reserved: it would decide to do nothing.
    let refused = here.execute::<Stock>(stream, reserve(10), context()).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(inventory::Error::LineReleased))), "{refused:?}");
    // The same for a version that the caller expects.
    there.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    let expecting = |version| soonshop_event_store::CommandContext { expected: Some(version), ..context() };
    let stale = here.execute::<Stock>(stream, receive(1), expecting(4)).await;
    assert!(matches!(stale, Err(ExecuteError::Stale { expected: 4, actual: 5 })), "{stale:?}");
    there.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    here.execute::<Stock>(stream, receive(1), expecting(6)).await.unwrap();
}

#[tokio::test]
async fn a_state_is_read_from_the_log_with_the_events_of_other_writers() {
    let shop = Fixture::postgres().await;
    let (here, there) = (shop.store(), shop.store());
    let stream = ids::new();
    for expected in 1..=5 {
        let writer = if expected % 2 == 0 { &here } else { &there };
        writer.execute::<Stock>(stream, receive(1), context()).await.unwrap();
        assert_eq!(on_hand(&here, stream).await, (expected, expected));
        assert_eq!(on_hand(&there, stream).await, (expected, expected));
    }
}

#[tokio::test]
async fn a_hot_stream_is_written_by_two_processes_until_the_deadline_and_not_a_number_of_times() {
    let shop = Fixture::postgres().await;
    let stores = shop.stores();
    let stream = ids::new();
    let commands =
        (0..200).map(|number: usize| stores[number % 2].execute::<Stock>(stream, receive(1), context()));
    for done in join_all(commands).await {
        done.unwrap();
    }
    assert_eq!(on_hand(&stores[0], stream).await, (200, 200));
    assert_eq!(shop.events().await.len(), 200);
}

#[tokio::test]
async fn other_isolation_levels_are_refused_by_the_function_and_by_the_trigger() {
    let shop = Fixture::postgres().await;
    let mut connection = shop.raw().await;
    let empty = "uuid bytea boolean smallint text bigint text int int int int text text bigint uuid int text int bytea \
                 smallint text int text text int int text text bigint text text text text uuid timestamptz";
    let arrays: Vec<_> = empty.split_whitespace().map(|kind| format!("'{{}}'::{kind}[]")).collect();
    let append = format!("SELECT * FROM log.append({})", arrays.join(", "));
    let one = "SELECT * FROM log.append_one(gen_random_uuid(), '', 0::smallint, NULL, NULL, NULL, 'stock', 'b', 0, NULL, 1, \
               'StockReceived', '1', '{}', '{}', gen_random_uuid(), now())"
        .to_owned();
    let insert = FOREIGN.replace("$1", "'a'").replace("$2", "1");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        for sql in [&append, &one, &insert] {
            connection.execute(format!("BEGIN ISOLATION LEVEL {level}").as_str()).await.unwrap();
            let error = connection.execute(sql.as_str()).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "25001", "{level}: {error}");
            connection.execute("ROLLBACK").await.unwrap();
        }
    }
    for sql in [&append, &one, &insert] {
        connection.execute(sql.as_str()).await.unwrap();
    }
}

#[tokio::test]
async fn the_appender_overrides_unsafe_settings_of_the_database() {
    let shop = Fixture::postgres().await;
    let database = shop.text("log", "SELECT current_database()::text").await;
    for setting in ["default_transaction_isolation = 'serializable'", "synchronous_commit = off", "jit = on"]
    {
        shop.run("log", &format!("ALTER DATABASE {database} SET {setting}")).await;
    }
    shop.run("log", "CREATE TABLE settings AS SELECT ''::text AS settings WHERE false").await;
    shop.run(
        "log",
        "CREATE FUNCTION note_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO public.settings VALUES (concat_ws(', ', current_setting('transaction_isolation'), \
             current_setting('synchronous_commit'), current_setting('jit'))); RETURN NULL; END $$; \
         CREATE TRIGGER note_settings AFTER INSERT ON log.events FOR EACH STATEMENT EXECUTE FUNCTION note_settings()",
    )
    .await;
    shop.store().execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    assert_eq!(shop.text("log", "SELECT settings FROM public.settings").await, "read committed, on, off");
}

#[tokio::test]
async fn the_head_is_locked_and_never_updated() {
    let shop = Fixture::postgres().await;
    let row = "SELECT xmin::text || ' ' || ctid::text || ' ' || log_id::text FROM log.head";
    let before = shop.text("log", row).await;
    let store = shop.store();
    for _ in 0..5 {
        store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    }
    sqlx::query(FOREIGN).bind("a").bind(1_i64).execute(&mut shop.raw().await).await.unwrap();
    assert_eq!(shop.text("log", row).await, before);
    // It is locked: nothing is appended while another session holds it.
    let mut other = shop.raw().await;
    let tx = lock(&mut other).await;
    let append = tokio::spawn({
        let store = store.clone();
        async move { store.execute::<Stock>(ids::new(), receive(1), context()).await }
    });
    waiting(&shop).await;
    assert_eq!(shop.events().await.len(), 6);
    tx.commit().await.unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(shop.events().await.len(), 7);
}

/// Plans are made for large tables, even if the statistics are from empty ones.
#[tokio::test]
async fn an_append_uses_indexes_however_large_the_log_is() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    shop.run(
        "log",
        "INSERT INTO log.events SELECT 'stock', 'filler-' || n / 10, n % 10 + 1, 'StockReceived', '1', '{}', '{}', n + 1, \
           gen_random_uuid(), now(), now() FROM generate_series(1, 50000) n; \
         INSERT INTO log.commands SELECT gen_random_uuid(), '', 200, NULL, 1, n, n, NULL, now() \
           FROM generate_series(1, 50000) n",
    )
    .await;
    let scans = async |shop: &Fixture| {
        let mut connection = shop.raw().await;
        let sql = "SELECT sum(seq_scan)::bigint FROM pg_stat_user_tables WHERE schemaname = 'log' \
                   AND relname IN ('events', 'commands')";
        connection.fetch_one(sql).await.unwrap().get::<i64, _>(0)
    };
    // The same connection as above, whose plans are made; then a new one. Statistics are sent when a session ends.
    let started = Instant::now();
    for _ in 0..100 {
        store.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    }
    let fresh = shop.store();
    for _ in 0..100 {
        fresh.execute::<Stock>(ids::new(), receive(1), context()).await.unwrap();
    }
    let took = started.elapsed();
    let before = scans(&shop).await;
    end(&shop, [store, fresh]).await;
    let after = scans(&shop).await;
    assert!(after - before < 20, "{} sequential scans in 201 appends, which took {took:?}", after - before);
}

/// Its trigger takes the lock before it looks for the last position.
#[tokio::test]
async fn rows_of_the_crate_wait_for_the_lock() {
    let shop = Fixture::postgres().await;
    let (mut other, mut beside) = (shop.raw().await, shop.raw().await);
    let mut tx = lock(&mut other).await;
    sqlx::query(FOREIGN).bind("first").bind(1_i64).execute(&mut *tx).await.unwrap();
    let second =
        tokio::spawn(
            async move { sqlx::query(FOREIGN).bind("second").bind(1_i64).execute(&mut beside).await },
        );
    until("a row that waits", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        shop.number("log", sql).await == 1
    })
    .await;
    tx.commit().await.unwrap();
    second.await.unwrap().unwrap();
    let streams: Vec<_> = shop.events().await.into_iter().map(|event| event.aggregate_id).collect();
    assert_eq!(streams, ["first", "second"]);
}

/// Every other writer of the log's tables takes the lock before anything else.
#[tokio::test]
async fn other_writers_of_the_logs_tables_wait_for_its_lock() {
    let shop = Fixture::postgres().await;
    shop.run("log", "CREATE TABLE public.events (LIKE log.events)").await;
    let store = shop.store();
    let mut other = shop.raw().await;
    let tx = lock(&mut other).await;
    let database = soonshop_event_log::Database::new(shop.database.location().clone());
    let adopting = soonshop_event_store::adopt(&database, "public.events");
    let preparing = async { store.keys().prepare(&shop.log().db().clone()).await };
    let waiting = until("two who wait for the lock", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soonshop' \
                   AND wait_event_type = 'Lock' AND datname = current_database()";
        shop.number("log", sql).await == 2
    });
    let (adopted, prepared, ()) = tokio::join!(adopting, preparing, async {
        waiting.await;
        tx.commit().await.unwrap();
    });
    assert_eq!(adopted.unwrap(), 0);
    prepared.unwrap();
}

/// A process folds waiting commands of one stream into a chain, and a chain that others overtook continues from
/// there.
#[tokio::test]
async fn chains_of_two_processes_on_one_stream_lose_nothing_over_many_rounds() {
    let shop = Fixture::postgres().await;
    let stores = shop.stores();
    let stream = ids::new();
    let order = |line| at(Command::Reserve { order_id: ids::OrderId(Uuid::nil()), line, quantity: 1 });
    stores[0].execute::<Stock>(stream, receive(150), context()).await.unwrap();
    // 200 orders want 150 units, some of them twice: no more are given out than there are, in whatever order.
    let commands = (0..400_u32).map(|number| {
        let store = &stores[number as usize % 2];
        store.execute::<Stock>(stream, order(number / 2), context())
    });
    let outcomes = join_all(commands).await;
    let (stock, version) = stores[0].load::<Stock>(stream).await.unwrap();
    assert_eq!((stock.on_hand, stock.reserved, version), (150, 150, 151));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 300, "each of the 150 lines twice");
    assert_eq!(stores[1].load::<Stock>(stream).await.unwrap(), (stock, 151));
}

/// Drops the stores and waits until their connections are closed.
async fn end(shop: &Fixture, stores: impl IntoIterator<Item = EventStore>) {
    drop(stores.into_iter().collect::<Vec<_>>());
    until("the end of the appenders", async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soonshop-appender' \
                   AND datname = current_database()";
        shop.number("log", sql).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_command_and_its_repeat_get_one_answer_beside_another_kind_of_writer() {
    let shop = Fixture::postgres().await;
    let store = shop.store();
    let (order_id, buyer) = (ids::new(), Customer::Guest(ids::GuestId(ids::new())));
    let command = ids::new();
    let placed = store
        .execute::<order::Order>(order_id, place_order(buyer, "S-1"), context_of(command))
        .await
        .unwrap();
    let confirmed = "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
                     metadata) VALUES ('order', $1, 2, 'OrderConfirmed', '1', '{\"OrderConfirmed\":{}}', '{}')";
    sqlx::query(confirmed).bind(order_id.to_string()).execute(&mut shop.raw().await).await.unwrap();
    let shipped = store.execute::<order::Order>(order_id, order::Command::Ship, context()).await.unwrap();
    assert_eq!(shipped.answer.version, Some(3));
    let again = store
        .execute::<order::Order>(order_id, place_order(buyer, "S-1"), context_of(command))
        .await
        .unwrap();
    assert_eq!((again.answer, again.repeated), (placed.answer, true));
}
