//! Facts about accounts: each becomes exactly its version of its stream, once and in order, whatever happens meanwhile.

use soonshop_domain::user::person::{self, Person};
use soonshop_domain::user::{self, User};
use soonshop_domain::{Metadata, Purpose, ids};
use soonshop_event_log::Database;
use soonshop_event_store::{CommandContext, EventStore};
use soonshop_identity::{
    Cause, Cost, CredentialKind, Identity, Opening, Password, Roles, SignIn, SignInDevice,
};
use soonshop_workers::facts::Facts;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixture::{Shop, on_both, until};
use crate::history::details;

on_both!(
    facts_become_the_versions_that_they_were_given,
    a_fact_is_appended_once_also_after_a_crash_and_when_its_record_is_gone,
    a_fact_that_the_log_has_otherwise_stops_its_stream_alone,
    who_is_erased_signs_in_no_more_and_has_no_row_left,
);

pub(crate) const ADDRESS: &str = "ada@example.org";
pub(crate) const PASSWORD: &str = "seven green turtles";

/// Accounts like those of another process, with hashes that are quick to make.
pub(crate) fn identity(shop: &Shop) -> Identity {
    let database = Database::new(shop.place.clone());
    let cost = Cost { memory_kib: 64, passes: 1 };
    Identity::new(database.namespace("identity").unwrap(), Shop::keys(&database), cost)
}

/// An account of staff, or of a customer, whose user is in the log.
pub(crate) async fn open(shop: &Shop, store: &EventStore, identity: &Identity, role: &str) -> Uuid {
    identity.prepare().await.unwrap();
    let id = ids::new();
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let register = user::Command::Register { details: details(id) };
    store.execute::<User>(id, register, context).await.unwrap();
    let opening = Opening {
        id,
        address: ADDRESS,
        roles: Roles::given([role]),
        password: Password::new(PASSWORD).unwrap(),
        user_version: 1,
    };
    identity.open(opening, &Cause::system()).await.unwrap();
    assert!(shop.number("identity", "SELECT count(*) FROM @accounts").await > 0);
    id
}

pub(crate) fn typed(password: &str) -> SignIn<'_> {
    SignIn {
        address: ADDRESS,
        password: Password::typed(password),
        network: "192.0.2.1",
        device: SignInDevice { name: Some("A browser"), ..SignInDevice::default() },
        kind: CredentialKind::Tokens,
    }
}

pub(crate) fn facts(shop: &Shop, store: &EventStore) -> Facts {
    let database = Database::new(shop.place.clone());
    Facts {
        store: store.clone(),
        process: database.namespace("process").unwrap(),
        outbox: database.namespace("identity").unwrap(),
        identity: identity(shop),
        holder: format!("test-{}", ids::new().simple()),
    }
}

/// The types of the events of a stream, in order.
pub(crate) async fn recorded(store: &EventStore, aggregate_type: &str, id: Uuid) -> Vec<String> {
    let rows = store.log().stream(aggregate_type, &id.to_string(), 0, 1_000).await.unwrap();
    rows.into_iter().map(|row| row.event_type).collect()
}

async fn waiting(shop: &Shop) -> i64 {
    shop.number("identity", "SELECT count(*) FROM @outbox").await
}

async fn facts_become_the_versions_that_they_were_given(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let cause = Cause::system();
    let started = identity.sign_in(typed(PASSWORD), &cause).await.unwrap();
    assert!(identity.set_roles(id, &Roles::given(["auditor"]), &cause).await.unwrap());
    assert!(!identity.set_roles(id, &Roles::given(["auditor"]), &cause).await.unwrap(), "it has them");
    assert!(identity.disable(id, "left", &cause).await.unwrap());
    assert!(!identity.disable(id, "left", &cause).await.unwrap());
    assert!(identity.enable(id, "mistake", &cause).await.unwrap());
    identity.end_all_sessions(id, &cause).await.unwrap();
    // As a process does it, under its lease.
    let stop = CancellationToken::new();
    let running = tokio::spawn(facts(&shop, &store).run(stop.clone()));
    until("all facts are in the log", async || waiting(&shop).await == 0).await;
    stop.cancel();
    running.await.unwrap();
    let expected = [
        "AccountOpened",
        "EmailVerified",
        "PasswordChanged",
        "RolesChanged",
        "AccountDisabled",
        "AllSessionsEnded",
        "AccountEnabled",
        "AllSessionsEnded",
    ];
    assert_eq!(recorded(&store, "account", id).await, expected);
    assert_eq!(recorded(&store, "session", started.active.session).await, ["SessionStarted"]);
    let rows = store.log().stream("session", &started.active.session.to_string(), 0, 1).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&rows[0].metadata).unwrap();
    assert_eq!(metadata.session_id, Some(started.active.session));
    assert_eq!(metadata.actor().unwrap().to_string(), format!("staff:{id}"));
    // Nothing of a secret is in the log.
    let all = store.log().read(1, 1_000).await.unwrap();
    assert!(all.iter().any(|row| row.event_type == "SigningKeyMade"));
    for row in all {
        for secret in [PASSWORD, "argon2", "A browser", "192.0.2.1", "ssr_"] {
            assert!(!row.payload.contains(secret) && !row.metadata.contains(secret), "{secret}");
        }
    }
}

async fn a_fact_is_appended_once_also_after_a_crash_and_when_its_record_is_gone(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let worker = facts(&shop, &store);
    // Killed after the append and before the row was deleted: the rows come again.
    for purged in [false, true] {
        let copy = "CREATE TABLE @kept AS SELECT * FROM @outbox";
        shop.run("identity", copy).await;
        while worker.round().await.unwrap() {}
        let before = recorded(&store, "account", id).await;
        if purged {
            shop.run("log", "DELETE FROM @commands").await;
        }
        shop.run("identity", "INSERT INTO @outbox SELECT * FROM @kept").await;
        // Another process goes on, which remembers nothing.
        let store = if shop.is_sqlite() { store.clone() } else { shop.store() };
        let other = facts(&shop, &store);
        while other.round().await.unwrap() {}
        assert_eq!(waiting(&shop).await, 0, "purged: {purged}");
        assert_eq!(recorded(&store, "account", id).await, before, "purged: {purged}");
        shop.run("identity", "DROP TABLE @kept").await;
        identity.set_roles(id, &Roles::given(["auditor"]), &Cause::system()).await.unwrap();
    }
}

async fn a_fact_that_the_log_has_otherwise_stops_its_stream_alone(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    // The tables are older than the log: their next fact has a number that the log has given.
    shop.run("identity", "UPDATE @accounts SET number = 2").await;
    identity.set_roles(id, &Roles::given(["auditor"]), &Cause::system()).await.unwrap();
    identity.disable(id, "left", &Cause::system()).await.unwrap();
    let started = identity.enable(id, "mistake", &Cause::system()).await.unwrap();
    assert!(started);
    let session = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active.session;
    while worker.round().await.unwrap() {}
    assert_eq!(soonshop_identity::outbox::refused(&shop.db("identity")).await.unwrap(), 1);
    assert_eq!(recorded(&store, "account", id).await.len(), 3, "nothing is put where it does not belong");
    assert_eq!(recorded(&store, "session", session).await, ["SessionStarted"], "other streams go on");
    // And the other way round: the log is older than the tables.
    shop.run("identity", "DELETE FROM @outbox").await;
    shop.run("identity", "UPDATE @accounts SET number = 7").await;
    identity.set_roles(id, &Roles::given(["ops"]), &Cause::system()).await.unwrap();
    while worker.round().await.unwrap() {}
    let why = shop.text("identity", "SELECT refused FROM @outbox").await.unwrap();
    assert_eq!(why, "the log has 3 events of its stream");
}

async fn who_is_erased_signs_in_no_more_and_has_no_row_left(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "customer").await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let eraser = crate::erasing::eraser(&shop, &store);
    let context = CommandContext::new(ids::new(), b"a test".to_vec(), Metadata::default());
    let ask = person::Command::RequestErasure { purposes: vec![Purpose::Account] };
    store.execute::<Person>(id, ask, context).await.unwrap();
    until("the account is gone", async || identity.accounts().await.unwrap().is_empty()).await;
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @sessions").await, 0);
    assert_eq!(identity.active(started.active.session).await.unwrap(), None);
    assert!(identity.sign_in(typed(PASSWORD), &Cause::system()).await.is_err());
    eraser.stop().await;
}
