//! Refresh tokens: each is used once, and leads to one successor, on however many processes.

use soonshop_event_store::EventStore;
use soonshop_identity::{Cause, Credentials, Error, Identity, StartedSession};
use tokio::task::JoinSet;

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    many_refreshes_at_once_have_one_successor,
    a_lost_answer_is_given_again_and_a_used_token_ends_its_session,
    a_token_that_was_used_before_a_restart_ends_its_session,
    a_token_of_two_quick_rotations_ago_ends_its_session,
    what_this_shop_did_not_make_ends_nothing,
    a_refresh_after_the_account_was_disabled_is_refused,
);

fn tokens(started: &StartedSession) -> (String, String) {
    match started.credentials.clone() {
        Credentials::Tokens { access, refresh } => (access, refresh),
        Credentials::Cookie(_) => panic!("a cookie"),
    }
}

async fn refreshed(identity: &Identity, token: &str) -> Option<String> {
    match identity.refresh(token, &Cause::system()).await {
        Ok(started) => Some(tokens(&started).1),
        Err(Error::Token) => None,
        Err(error) => panic!("{error}"),
    }
}

async fn begin(shop: &Shop) -> (EventStore, Identity) {
    let (store, identity) = (shop.store(), identity(shop));
    open(shop, &store, &identity, "customer").await;
    // From here on this process knows when it started.
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    refreshed(&identity, &tokens(&started).1).await.unwrap();
    (store, identity)
}

/// Why a session ended, by its facts.
async fn ended(shop: &Shop, store: &EventStore, started: &StartedSession) -> Option<String> {
    let worker = facts(shop, store);
    while worker.round().await.unwrap() {}
    let id = started.active.session;
    if recorded(store, "session", id).await != ["SessionStarted", "SessionEnded"] {
        return None;
    }
    let rows = store.log().stream("session", &id.to_string(), 1, 1).await.unwrap();
    let payload: serde_json::Value = serde_json::from_str(&rows[0].payload).unwrap();
    Some(payload["SessionEnded"]["reason"].as_str().unwrap().to_owned())
}

/// I01.
async fn many_refreshes_at_once_have_one_successor(shop: Shop) {
    let (_store, one) = begin(&shop).await;
    let other = identity(&shop);
    // The other process is there before the tokens are.
    drop(other.refresh("ssr_", &Cause::system()).await);
    let started = other.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    refreshed(&other, &tokens(&started).1).await.unwrap();
    for round in 0..10 {
        let started = one.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
        let first = tokens(&started).1;
        let mut asking = JoinSet::new();
        for number in 0..20 {
            let (identity, token) =
                (if number % 2 == 0 { one.clone() } else { other.clone() }, first.clone());
            asking.spawn(async move { refreshed(&identity, &token).await });
        }
        let answers = asking.join_all().await;
        let successors: std::collections::BTreeSet<_> = answers.into_iter().flatten().collect();
        assert_eq!(successors.len(), 1, "round {round}");
        let sql = format!("SELECT generation FROM @sessions WHERE id = '{}'", started.active.session);
        assert_eq!(shop.number("identity", &sql).await, 2, "round {round}");
    }
}

/// I02.
async fn a_lost_answer_is_given_again_and_a_used_token_ends_its_session(shop: Shop) {
    let (store, identity) = begin(&shop).await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let first = tokens(&started).1;
    let second = refreshed(&identity, &first).await.unwrap();
    assert_eq!(refreshed(&identity, &first).await, Some(second.clone()), "the same successor");
    assert_eq!(ended(&shop, &store, &started).await, None);
    let third = refreshed(&identity, &second).await.unwrap();
    assert_eq!(refreshed(&identity, &first).await, None, "its successor was used");
    assert_eq!(refreshed(&identity, &third).await, None, "the whole family ended");
    assert_eq!(refreshed(&identity, &first).await, None);
    assert_eq!(ended(&shop, &store, &started).await.as_deref(), Some("token-reused"), "one event");
}

/// I04.
async fn a_token_that_was_used_before_a_restart_ends_its_session(shop: Shop) {
    let (store, before) = begin(&shop).await;
    let started = before.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let first = tokens(&started).1;
    let second = refreshed(&before, &first).await.unwrap();
    // Times are in milliseconds: the process starts after the one of the rotation.
    let sql = format!(
        "SELECT {} - rotated_at FROM @sessions WHERE generation > 1 ORDER BY rotated_at DESC LIMIT 1",
        shop.db("identity").now()
    );
    while shop.number("identity", &sql).await < 2 {}
    let after = identity(&shop);
    assert_eq!(refreshed(&after, &first).await, None);
    assert_eq!(refreshed(&after, &second).await, None);
    assert_eq!(ended(&shop, &store, &started).await.as_deref(), Some("restarted"));
}

/// I05.
async fn a_token_of_two_quick_rotations_ago_ends_its_session(shop: Shop) {
    let (store, identity) = begin(&shop).await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let second = refreshed(&identity, &tokens(&started).1).await.unwrap();
    let third = refreshed(&identity, &second).await.unwrap();
    assert_eq!(refreshed(&identity, &second).await, None, "two rotations within 30 s");
    assert_eq!(refreshed(&identity, &third).await, None);
    assert_eq!(ended(&shop, &store, &started).await.as_deref(), Some("token-reused"));
}

async fn what_this_shop_did_not_make_ends_nothing(shop: Shop) {
    let (store, identity) = begin(&shop).await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let good = tokens(&started).1;
    for bad in
        [good.replacen('A', "B", 1), format!("{good}A"), "ssr_".to_owned(), tokens(&started).0, String::new()]
    {
        assert_eq!(refreshed(&identity, &bad).await, None);
    }
    assert_eq!(ended(&shop, &store, &started).await, None);
    assert!(refreshed(&identity, &good).await.is_some());
}

/// I07.
async fn a_refresh_after_the_account_was_disabled_is_refused(shop: Shop) {
    let (store, identity) = begin(&shop).await;
    let started = identity.sign_in(typed(PASSWORD), &Cause::system()).await.unwrap();
    let cause = Cause::system();
    identity.disable(started.active.account, "left", &cause).await.unwrap();
    assert_eq!(refreshed(&identity, &tokens(&started).1).await, None);
    identity.enable(started.active.account, "mistake", &cause).await.unwrap();
    assert_eq!(refreshed(&identity, &tokens(&started).1).await, None, "what ended stays so");
    assert_eq!(ended(&shop, &store, &started).await, None, "it ended with the others, in one fact");
}
