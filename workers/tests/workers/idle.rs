//! Sessions that nobody uses end: at the next look, on every process, and in the log.

use std::time::Duration;

use soonshop_identity::{Cause, CredentialKind, Credentials, Error, IdleLimits, Roles, SignIn};
use uuid::Uuid;

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    a_session_that_was_not_used_for_its_limit_ends_and_of_staff_sooner,
    the_use_of_a_session_keeps_it_and_is_written_once_a_minute,
    a_refresh_that_comes_too_late_ends_its_session_and_says_why,
    a_session_that_nobody_uses_ends_in_the_log_by_itself_and_one_that_is_used_meanwhile_does_not,
    a_browser_is_told_that_its_session_was_not_used,
);

const MINUTE: i64 = 60_000;

/// As if nobody had used any session for so long.
async fn unused_for(shop: &Shop, milliseconds: i64) {
    let now = shop.db("identity").now();
    shop.run("identity", &format!("UPDATE @sessions SET used_at = {now} - {milliseconds}")).await;
}

async fn used_ago(shop: &Shop) -> i64 {
    let now = shop.db("identity").now();
    shop.number("identity", &format!("SELECT {now} - max(used_at) FROM @sessions")).await
}

async fn a_session_that_was_not_used_for_its_limit_ends_and_of_staff_sooner(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let session = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active.session;
    unused_for(&shop, 59 * MINUTE).await;
    assert!(identity.active(session).await.unwrap().is_some());
    unused_for(&shop, 60 * MINUTE).await;
    assert_eq!(identity.active(session).await.unwrap(), None);
    assert_eq!(identity.sessions(id).await.unwrap(), []);
    assert_eq!(used_ago(&shop).await / MINUTE, 60, "to look at one that is over is no use of it");
    // The same account as a customer's has a month.
    identity.set_roles(id, &Roles::given(["customer"]), &Cause::system()).await.unwrap();
    assert!(identity.active(session).await.unwrap().is_some());
    let short = IdleLimits { customers: Duration::from_mins(5), ..IdleLimits::default() };
    let other = crate::recording::identity(&shop).with_idle_limits(short);
    unused_for(&shop, 5 * MINUTE).await;
    assert_eq!(other.active(session).await.unwrap(), None, "as it is set");
}

async fn the_use_of_a_session_keeps_it_and_is_written_once_a_minute(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "support").await;
    let session = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active.session;
    for _ in 0..3 {
        unused_for(&shop, 50 * MINUTE).await;
        assert!(identity.active(session).await.unwrap().is_some(), "it goes on as long as it is used");
        assert!(used_ago(&shop).await < MINUTE);
    }
    unused_for(&shop, MINUTE - 20_000).await;
    assert!(identity.active(session).await.unwrap().is_some());
    assert!(used_ago(&shop).await >= MINUTE - 20_000, "a moment later nothing is written");
}

async fn a_refresh_that_comes_too_late_ends_its_session_and_says_why(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "support").await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let session = started.active.session;
    let Credentials::Tokens { refresh, .. } = started.credentials else { panic!("no tokens") };
    unused_for(&shop, 59 * MINUTE).await;
    let went_on = identity.refresh(&refresh, &Cause::system()).await.unwrap();
    let Credentials::Tokens { refresh, .. } = went_on.credentials else { panic!("no tokens") };
    unused_for(&shop, 60 * MINUTE).await;
    let late = identity.refresh(&refresh, &Cause::system()).await;
    assert!(matches!(late, Err(Error::Idle)), "{late:?}");
    let again = identity.refresh(&refresh, &Cause::system()).await;
    assert!(matches!(again, Err(Error::Token)), "{again:?}");
    assert_eq!(ended_by(&shop, &store, session).await.as_deref(), Some("idle"));
}

/// Why a session ended, by its facts.
async fn ended_by(shop: &Shop, store: &soonshop_event_store::EventStore, id: Uuid) -> Option<String> {
    let worker = facts(shop, store);
    while worker.round().await.unwrap() {}
    if recorded(store, "session", id).await.len() < 2 {
        return None;
    }
    let rows = store.log().stream("session", &id.to_string(), 1, 1).await.unwrap();
    let payload: serde_json::Value = serde_json::from_str(&rows[0].payload).unwrap();
    Some(payload["SessionEnded"]["reason"].as_str().unwrap().to_owned())
}

async fn a_session_that_nobody_uses_ends_in_the_log_by_itself_and_one_that_is_used_meanwhile_does_not(
    shop: Shop,
) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let session = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active.session;
    identity.tend().await.unwrap();
    assert_eq!(ended_by(&shop, &store, session).await, None);
    unused_for(&shop, 60 * MINUTE).await;
    for _ in 0..2 {
        identity.tend().await.unwrap();
        assert_eq!(ended_by(&shop, &store, session).await.as_deref(), Some("idle"), "once");
    }
    // Customers, whose limit is set.
    let short = IdleLimits { customers: Duration::from_mins(30), ..IdleLimits::default() };
    let customers = crate::recording::identity(&shop).with_idle_limits(short);
    identity.set_roles(id, &Roles::given(["customer"]), &Cause::system()).await.unwrap();
    shop.run("identity", "UPDATE @accounts SET staff_since = NULL").await;
    let session = customers.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap().active.session;
    unused_for(&shop, 29 * MINUTE).await;
    customers.tend().await.unwrap();
    assert_eq!(ended_by(&shop, &store, session).await, None);
    unused_for(&shop, 30 * MINUTE).await;
    customers.tend().await.unwrap();
    assert_eq!(ended_by(&shop, &store, session).await.as_deref(), Some("idle"));
}

async fn a_browser_is_told_that_its_session_was_not_used(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "support").await;
    let asked = || SignIn { kind: CredentialKind::Cookie, ..typed(PASSWORD) };
    let started = identity.sign_in(asked(), &Cause::system()).await.unwrap();
    let Credentials::Cookie(secret) = started.credentials else { panic!("no cookie") };
    assert!(!identity.was_idle(&secret).await.unwrap());
    unused_for(&shop, 60 * MINUTE).await;
    assert_eq!(identity.living_by_cookie(&secret).await.unwrap(), None);
    assert!(identity.was_idle(&secret).await.unwrap());
    identity.tend().await.unwrap();
    assert!(identity.was_idle(&secret).await.unwrap(), "also once it was written down");
    // One that was signed out in time, long ago.
    let started = identity.sign_in(asked(), &Cause::system()).await.unwrap();
    let Credentials::Cookie(secret) = started.credentials else { panic!("no cookie") };
    assert!(identity.end_by_cookie(&secret, &Cause::system()).await.unwrap().is_some());
    shop.run(
        "identity",
        &format!("UPDATE @sessions SET used_at = used_at - {0}, ended_at = ended_at - {0}", 90 * MINUTE),
    )
    .await;
    assert!(!identity.was_idle(&secret).await.unwrap());
    assert!(!identity.was_idle(&[7; 32]).await.unwrap(), "nobody's");
}
