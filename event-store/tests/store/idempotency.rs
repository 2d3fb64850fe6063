//! Every command once: one effect, one answer.

use futures::future::join_all;
use soonshop_domain::inventory::{self, Command, Stock};
use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Purpose, ids};
use soonshop_event_store::{Answer, CommandContext, EarlierForm, ExecuteError, OutcomeKind};
use uuid::Uuid;

use crate::fixture::{
    Fixture, Tip, at, change, context, context_of, on_both, on_hand, receive, register, request, submit,
    words,
};

on_both! {
    the_same_command_32_times_at_once_is_done_once_and_answered_alike,
    a_repeat_after_a_restart_gets_the_first_answer,
    a_repeat_gets_the_first_answer_although_the_stream_changed_since,
    an_id_that_was_used_for_another_command_is_refused,
    a_refusal_of_a_person_is_decided_again,
    a_recorded_refusal_is_the_one_outcome_of_its_id,
    a_recorded_no_op_is_the_one_outcome_of_its_id,
    a_recorded_clash_over_a_unique_value_is_the_one_outcome_of_its_id,
    registering_again_when_the_stream_exists_gets_the_first_answer,
    a_repeat_is_answered_although_the_person_was_erased_since,
    the_same_command_twice_in_one_batch_is_done_once,
    a_command_record_holds_no_more_than_the_answer,
    a_record_of_an_earlier_release_still_answers_its_command_id,
    a_record_under_an_earlier_id_answers_the_command,
    each_kind_of_outcome_is_stored_as_its_number_and_read_again,
}

async fn the_same_command_32_times_at_once_is_done_once_and_answered_alike(shop: Fixture) {
    let stores = shop.stores();
    let (stream, command) = (ids::new(), ids::new());
    let send = |number: usize| {
        stores[number % stores.len()].execute::<Stock>(stream, receive(5), context_of(command))
    };
    let answers: Vec<_> = join_all((0..32).map(send)).await.into_iter().map(Result::unwrap).collect();
    let expected = Answer {
        kind: OutcomeKind::Created,
        reference: Some("/somewhere".into()),
        version: Some(1),
        first_position: Some(1),
        last_position: Some(1),
        detail: None,
    };
    assert!(answers.iter().all(|done| done.answer == expected), "{answers:?}");
    assert_eq!(answers.iter().filter(|done| !done.repeated).count(), 1);
    assert_eq!(shop.events().await.len(), 1);
    assert_eq!(on_hand(&stores[0], stream).await, (5, 1));
}

async fn a_repeat_after_a_restart_gets_the_first_answer(shop: Fixture) {
    let (stream, command) = (ids::new(), ids::new());
    let store = shop.store();
    let first = store.execute::<Stock>(stream, receive(5), context_of(command)).await.unwrap();
    stop(&shop, store).await;
    let store = shop.store();
    store.execute::<Stock>(stream, receive(7), context()).await.unwrap();
    let again = store.execute::<Stock>(stream, receive(5), context_of(command)).await.unwrap();
    assert_eq!((again.answer, again.repeated), (first.answer, true));
    assert_eq!(on_hand(&store, stream).await, (12, 2));
}

/// Drops the store, and waits until its log is free.
async fn stop(shop: &Fixture, store: soonshop_event_store::EventStore) {
    drop(store);
    crate::fixture::until("the end of the appender", async || {
        soonshop_event_store::EventStore::check_owner(&shop.database).is_ok()
    })
    .await;
}

async fn a_repeat_gets_the_first_answer_although_the_stream_changed_since(shop: Fixture) {
    let store = shop.store();
    let (stream, command) = (ids::new(), ids::new());
    let expecting = || CommandContext { expected: Some(0), ..context_of(command) };
    let first = store.execute::<Stock>(stream, receive(5), expecting()).await.unwrap();
    store
        .execute::<Stock>(stream, at(Command::Adjust { quantity: -5, reason: "lost".into() }), context())
        .await
        .unwrap();
    // The expected version is long outdated: the repeat is answered all the same.
    let again = store.execute::<Stock>(stream, receive(5), expecting()).await.unwrap();
    assert_eq!(again.answer, first.answer);
    let stale = CommandContext { expected: Some(0), ..context() };
    let stale = store.execute::<Stock>(stream, receive(5), stale).await;
    assert!(matches!(stale, Err(ExecuteError::Stale { expected: 0, actual: 2 })), "{stale:?}");
}

async fn an_id_that_was_used_for_another_command_is_refused(shop: Fixture) {
    let store = shop.store();
    let (stream, command) = (ids::new(), ids::new());
    store.execute::<Stock>(stream, receive(5), context_of(command)).await.unwrap();
    let other = CommandContext { fingerprint: b"another request".to_vec(), ..context_of(command) };
    let reused = store.execute::<Stock>(ids::new(), receive(6), other).await;
    assert!(matches!(reused, Err(ExecuteError::IdReused)), "{reused:?}");
    assert_eq!(shop.events().await.len(), 1);
    // Fingerprints differ for different commands, but cannot be read.
    let keys = store.keys();
    let one = keys.fingerprint(&[b"a", b"bc"]).await.unwrap();
    assert_ne!(one, keys.fingerprint(&[b"ab", b"c"]).await.unwrap());
    assert_eq!(one, keys.fingerprint(&[b"a", b"bc"]).await.unwrap());
}

fn reserve(order: Uuid) -> inventory::At {
    at(Command::Reserve { order_id: ids::OrderId(order), line: 1, quantity: 3 })
}

async fn a_refusal_of_a_person_is_decided_again(shop: Fixture) {
    let store = shop.store();
    let (stream, order, command) = (ids::new(), ids::new(), ids::new());
    let refused = store.execute::<Stock>(stream, reserve(order), context_of(command)).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(inventory::Error::InsufficientStock { .. }))));
    assert_eq!(shop.number("log", "SELECT count(*) FROM @commands").await, 0);
    store.execute::<Stock>(stream, receive(5), context()).await.unwrap();
    store.execute::<Stock>(stream, reserve(order), context_of(command)).await.unwrap();
}

fn recorded(command: Uuid) -> CommandContext {
    CommandContext { record: true, ..context_of(command) }
}

async fn a_recorded_refusal_is_the_one_outcome_of_its_id(shop: Fixture) {
    let store = shop.store();
    let (stream, order, command) = (ids::new(), ids::new(), ids::new());
    let refused = store.execute::<Stock>(stream, reserve(order), recorded(command)).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(inventory::Error::InsufficientStock { .. }))));
    store.execute::<Stock>(stream, receive(5), context()).await.unwrap();
    for store in [store.clone(), store] {
        let again = store.execute::<Stock>(stream, reserve(order), recorded(command)).await;
        let Err(ExecuteError::RejectedBefore { slug, sentence }) = again else { panic!("{again:?}") };
        assert_eq!((slug.as_str(), sentence.as_str()), ("insufficient-stock", "3 requested, 0 available"));
    }
    assert_eq!(shop.events().await.len(), 1);
}

async fn a_recorded_no_op_is_the_one_outcome_of_its_id(shop: Fixture) {
    let store = shop.store();
    let (stream, order, command) = (ids::new(), ids::new(), ids::new());
    store.execute::<Stock>(stream, receive(5), context()).await.unwrap();
    store.execute::<Stock>(stream, reserve(order), context()).await.unwrap();
    let nothing = store.execute::<Stock>(stream, reserve(order), recorded(command)).await.unwrap();
    assert_eq!((nothing.answer.version, nothing.answer.first_position), (Some(2), None));
    let release = at(Command::Release { order_id: ids::OrderId(order), line: 1 });
    store.execute::<Stock>(stream, release, context()).await.unwrap();
    // Decided again it would be refused.
    let again = store.execute::<Stock>(stream, reserve(order), recorded(command)).await.unwrap();
    assert_eq!((again.answer, again.repeated), (nothing.answer, true));
}

async fn a_recorded_clash_over_a_unique_value_is_the_one_outcome_of_its_id(shop: Fixture) {
    let store = shop.store();
    let (ada, bob, command) = (ids::new(), ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let taken = store.execute::<User>(bob, register(bob, "ada@example.org"), recorded(command)).await;
    assert!(matches!(taken, Err(ExecuteError::Taken { .. })), "{taken:?}");
    store.execute::<User>(ada, user::Command::Delete, context()).await.unwrap();
    let again = store.execute::<User>(bob, register(bob, "ada@example.org"), recorded(command)).await;
    let Err(ExecuteError::RejectedBefore { slug, .. }) = again else { panic!("{again:?}") };
    assert_eq!(slug, "taken");
    // A person may try again.
    store.execute::<User>(bob, register(bob, "ada@example.org"), context()).await.unwrap();
}

async fn registering_again_when_the_stream_exists_gets_the_first_answer(shop: Fixture) {
    let store = shop.store();
    let command = ids::new();
    // A new stream's id is derived from the command's: a repeat meets the same stream.
    let ada = ids::stream_of(command);
    let first =
        store.execute::<User>(ada, register(ada, "ada@example.org"), context_of(command)).await.unwrap();
    let again =
        store.execute::<User>(ada, register(ada, "ada@example.org"), context_of(command)).await.unwrap();
    assert_eq!((again.answer, again.repeated), (first.answer, true));
    let another = store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await;
    assert!(matches!(another, Err(ExecuteError::Rejected(user::Error::UserExists))), "{another:?}");
}

async fn a_repeat_is_answered_although_the_person_was_erased_since(shop: Fixture) {
    let store = shop.store();
    let (ada, command) = (ids::new(), ids::new());
    store.execute::<User>(ada, register(ada, "ada@example.org"), context()).await.unwrap();
    let moved = || change(ada, "lovelace@example.org");
    let first = store.execute::<User>(ada, moved(), context_of(command)).await.unwrap();
    store.keys().erase(ada, &[Purpose::Account]).await.unwrap();
    let again = store.execute::<User>(ada, moved(), context_of(command)).await.unwrap();
    assert_eq!(again.answer, first.answer);
    let new = store.execute::<User>(ada, moved(), context()).await;
    assert!(matches!(new, Err(ExecuteError::Erased)), "{new:?}");
}

async fn the_same_command_twice_in_one_batch_is_done_once(shop: Fixture) {
    let store = shop.store();
    let first = request(&mut Tip::new());
    let mut second = request(&mut Tip::new());
    second.command_id = first.command_id;
    let outcomes = submit(&store, vec![first, second, request(&mut Tip::new())]).await;
    assert_eq!(words(&outcomes), ["done", "known", "done"]);
    assert_eq!(shop.events().await.len(), 2);
}

async fn a_command_record_holds_no_more_than_the_answer(shop: Fixture) {
    let store = shop.store();
    let stream = ids::new();
    let done = store.execute::<Stock>(stream, receive(1), context()).await.unwrap();
    let sql = "SELECT CAST(status AS TEXT) || location || CAST(version AS TEXT) || CAST(first_position AS TEXT) \
               || CAST(last_position AS TEXT) || coalesce(detail, '-') FROM @commands";
    assert_eq!(shop.text("log", sql).await, "201/somewhere111-");
    let event = &shop.events().await[0];
    assert_eq!(done.answer.first_position, Some(event.position));
}

/// Records as releases before `OutcomeKind` wrote them: with the columns and numbers that are stored in shops.
async fn a_record_of_an_earlier_release_still_answers_its_command_id(shop: Fixture) {
    let fingerprint = if shop.is_sqlite() { "'6f6c64'" } else { "'\\x6f6c64'::bytea" };
    let now = if shop.is_sqlite() { "1700000000000000" } else { "now()" };
    let insert = async |status: i16, location: &str, version: &str, positions: &str, detail: &str| {
        let command = ids::new();
        let sql = format!(
            "INSERT INTO @commands (command_id, fingerprint, status, location, version, first_position, last_position, \
             detail, recorded_at) VALUES ('{command}', {fingerprint}, {status}, {location}, {version}, {positions}, \
             {detail}, {now})"
        );
        assert_eq!(shop.run("log", &sql).await, 1);
        command
    };
    let store = shop.store();
    let again = async |command: Uuid| {
        let context = CommandContext { fingerprint: b"old".to_vec(), ..recorded(command) };
        store.execute::<Stock>(ids::new(), receive(5), context).await
    };
    let done = |kind, reference: Option<&str>, position| Answer {
        kind,
        reference: reference.map(str::to_owned),
        version: Some(3),
        first_position: position,
        last_position: position,
        detail: None,
    };
    for (status, location, positions, expected) in [
        (201, "'/orders/7'", "7, 7", done(OutcomeKind::Created, Some("/orders/7"), Some(7))),
        (200, "NULL", "7, 7", done(OutcomeKind::Done, None, Some(7))),
        (200, "NULL", "NULL, NULL", done(OutcomeKind::Done, None, None)),
        (204, "NULL", "7, 7", done(OutcomeKind::Removed, None, Some(7))),
    ] {
        let command = insert(status, location, "3", positions, "NULL").await;
        let known = again(command).await.unwrap();
        assert_eq!((known.answer, known.repeated), (expected, true), "{status}");
    }
    for status in [404, 409, 410, 422] {
        let detail = r#"'["insufficient-stock","9 requested, 2 available"]'"#;
        let command = insert(status, "NULL", "NULL", "NULL, NULL", detail).await;
        let Err(ExecuteError::RejectedBefore { slug, sentence }) = again(command).await else {
            panic!("{status} is a refusal")
        };
        assert_eq!((&*slug, &*sentence), ("insufficient-stock", "9 requested, 2 available"), "{status}");
    }
    assert!(shop.events().await.is_empty(), "none of them was done again");
}

/// A release may make ids and fingerprints in another way than the one before it.
async fn a_record_under_an_earlier_id_answers_the_command(shop: Fixture) {
    let store = shop.store();
    let (stream, earlier) = (ids::new(), ids::new());
    let first = store.execute::<Stock>(stream, receive(5), context_of(earlier)).await.unwrap();
    let fingerprint = context_of(earlier).fingerprint;
    // As the edge does: a command that is recorded in an earlier form goes on in that form.
    let knowing = async |command_id: Uuid, fingerprint: &[u8]| {
        let form = EarlierForm { command_id, fingerprint: fingerprint.to_vec() };
        let form = store.recorded_form::<inventory::Error>(&[form]).await?;
        let new = CommandContext { fingerprint: b"made anew".to_vec(), ..context_of(ids::new()) };
        Ok::<_, ExecuteError<inventory::Error>>(form.map_or(new.clone(), |form| CommandContext {
            command_id: form.command_id,
            fingerprint: form.fingerprint,
            ..new
        }))
    };
    let known = knowing(earlier, &fingerprint).await.unwrap();
    let again = store.execute::<Stock>(stream, receive(5), known.clone()).await.unwrap();
    assert_eq!((&again.answer, again.repeated), (&first.answer, true));
    let erase = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    let both =
        store.execute_both::<Stock, Person>((stream, receive(5)), (ids::new(), erase), known).await.unwrap();
    assert_eq!((&both.answer, both.repeated), (&first.answer, true));
    // Its own id, with the fingerprint as it was made then.
    let own = CommandContext {
        fingerprint: b"made anew".to_vec(),
        earlier: vec![fingerprint.clone()],
        ..context_of(earlier)
    };
    let again = store.execute::<Stock>(stream, receive(5), own).await.unwrap();
    assert_eq!((&again.answer, again.repeated), (&first.answer, true));
    let other = knowing(earlier, b"another request").await;
    assert!(matches!(other, Err(ExecuteError::IdReused)), "{other:?}");
    assert_eq!(on_hand(&store, stream).await, (5, 1));
    // An id that nothing was recorded under says nothing.
    let new = knowing(ids::new(), &fingerprint).await.unwrap();
    let new = store.execute::<Stock>(stream, receive(1), new).await.unwrap();
    assert!(!new.repeated);
    assert_eq!(on_hand(&store, stream).await, (6, 2));
}

async fn each_kind_of_outcome_is_stored_as_its_number_and_read_again(shop: Fixture) {
    let store = shop.store();
    for (kind, number) in [
        (OutcomeKind::Created, 201),
        (OutcomeKind::Done, 200),
        (OutcomeKind::Removed, 204),
        (OutcomeKind::Accepted, 202),
    ] {
        let (stream, command) = (ids::new(), ids::new());
        let send = async || {
            let context = CommandContext { kind, ..context_of(command) };
            store.execute::<Stock>(stream, receive(1), context).await.unwrap()
        };
        let (first, again) = (send().await, send().await);
        assert_eq!((first.answer.kind, again.repeated, &again.answer), (kind, true, &first.answer));
        let sql = format!("SELECT CAST(status AS BIGINT) FROM @commands WHERE command_id = '{command}'");
        assert_eq!(shop.number("log", &sql).await, number);
    }
    // The refusal of a process manager's command: shipping goods that were never reserved.
    let command = ids::new();
    let ship = at(Command::Ship { order_id: ids::OrderId(ids::new()), line: 1 });
    let refused = store.execute::<Stock>(ids::new(), ship, recorded(command)).await;
    assert!(matches!(refused, Err(ExecuteError::Rejected(inventory::Error::LineNotReserved))), "{refused:?}");
    let sql = format!("SELECT CAST(status AS BIGINT) FROM @commands WHERE command_id = '{command}'");
    assert_eq!(shop.number("log", &sql).await, 409);
}
