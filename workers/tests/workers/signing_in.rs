//! Signing in, sessions, and the keys that sign: what holds on both databases.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use soonshop_domain::identity::session::EndedBy;
use soonshop_identity::{
    Cause, CredentialKind, Credentials, Error, Holder, NewPassword, Password, Roles, SignIn, SignInDevice,
};
use tokio::time::Instant;

use crate::fixture::{Shop, on_both};
use crate::recording::{ADDRESS, PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    every_failed_sign_in_looks_the_same_and_ten_of_them_are_a_fact,
    an_address_is_its_owners_in_whatever_case_of_ascii,
    a_taken_role_and_a_disabled_account_are_seen_at_the_next_look,
    a_new_password_ends_all_sessions_but_the_one_that_set_it,
    an_account_has_twenty_sessions_and_begins_thirty_an_hour,
    a_session_is_listed_and_ended_by_its_owner_alone,
    a_key_is_published_before_it_signs_and_after_it_signed,
    nothing_points_to_an_account_that_is_not_there,
    who_answers_queries_reads_neither_passwords_nor_tokens,
);

async fn every_failed_sign_in_looks_the_same_and_ten_of_them_are_a_fact(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let cause = Cause::system();
    let nobody = SignIn { address: "nobody@example.org", ..typed(PASSWORD) };
    for asked in [typed("wrong password"), nobody, typed("")] {
        let began = Instant::now();
        let refused = identity.sign_in(asked, &cause).await;
        assert!(matches!(refused, Err(Error::SignIn)), "{refused:?}");
        assert!(began.elapsed() >= Duration::from_millis(300));
    }
    identity.disable(id, "left", &cause).await.unwrap();
    assert!(matches!(identity.sign_in(typed(PASSWORD), &cause).await, Err(Error::SignIn)), "the right one");
    identity.enable(id, "mistake", &cause).await.unwrap();
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    let before = recorded(&store, "account", id).await;
    assert!(!before.contains(&"SignInsFailed".to_owned()), "{before:?}");
    let counted = "SELECT max(count) FROM @attempts WHERE what LIKE 'account:%'";
    while shop.number("identity", counted).await < 12 {
        // As if the delay was over each time.
        shop.run("identity", "DELETE FROM @attempts WHERE what LIKE 'typed:%'").await;
        let wrong: Vec<_> = (0..5).map(|_| identity.sign_in(typed("wrong password"), &cause)).collect();
        for refused in futures::future::join_all(wrong).await {
            // Those of one network wait in a queue that has an end.
            assert!(matches!(refused, Err(Error::SignIn | Error::Busy)), "{refused:?}");
        }
    }
    while worker.round().await.unwrap() {}
    let after = recorded(&store, "account", id).await;
    let reported = after.iter().filter(|event| *event == "SignInsFailed").count();
    // They may lie on both sides of a full hour.
    let sql = "SELECT count(*) FROM @attempts WHERE what LIKE 'account:%' AND count >= 10";
    let hours = shop.number("identity", sql).await;
    assert!(hours > 0 && i64::try_from(reported).unwrap() == hours, "{after:?}");
}

/// I32.
async fn an_address_is_its_owners_in_whatever_case_of_ascii(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    for (address, right) in [
        ("ADA@EXAMPLE.ORG", true),
        (" ada@example.org ", true),
        ("ad\u{430}@example.org", false),
        ("ada@example.or\u{261}", false),
        ("", false),
    ] {
        let asked = SignIn { address, ..typed(PASSWORD) };
        assert_eq!(identity.sign_in(asked, &Cause::system()).await.is_ok(), right, "{address}");
    }
    assert_ne!(ADDRESS, "ADA@EXAMPLE.ORG");
}

/// I07.
async fn a_taken_role_and_a_disabled_account_are_seen_at_the_next_look(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "admin").await;
    let cause = Cause::system();
    let started = identity.sign_in(typed(PASSWORD), &cause).await.unwrap();
    let session = started.active.session;
    let Credentials::Tokens { access, .. } = started.credentials else { panic!("no tokens") };
    let claims = identity.claims(&access).await.unwrap().unwrap();
    assert_eq!(claims.holder, Holder::Session { account: id, session });
    assert_eq!(identity.claims(&format!("{access}x")).await.unwrap(), None);
    assert_eq!(identity.active(session).await.unwrap().unwrap().roles, ["admin"]);
    identity.set_roles(id, &Roles::given(["customer"]), &cause).await.unwrap();
    let active = identity.active(session).await.unwrap().unwrap();
    assert_eq!((active.roles, active.staff), (vec!["customer".to_owned()], false));
    assert_eq!(identity.works_here(id).await.unwrap(), Some(false), "who was staff is erased as staff");
    assert_eq!(identity.works_here(soonshop_domain::ids::new()).await.unwrap(), None);
    identity.disable(id, "left", &cause).await.unwrap();
    assert_eq!(identity.active(session).await.unwrap(), None);
    identity.enable(id, "mistake", &cause).await.unwrap();
    assert_eq!(identity.active(session).await.unwrap(), None, "what ended does not come back");
}

async fn a_new_password_ends_all_sessions_but_the_one_that_set_it(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let cause = Cause::system();
    let mine = identity.sign_in(typed(PASSWORD), &cause).await.unwrap();
    let other =
        identity.sign_in(SignIn { kind: CredentialKind::Cookie, ..typed(PASSWORD) }, &cause).await.unwrap();
    let new = "eight blue herons";
    let change = |old: &str| NewPassword {
        active: &mine.active,
        old: Password::typed(old),
        new: Password::new(new).unwrap(),
        network: "",
    };
    let refused = identity.change_password(change("wrong password"), &cause).await;
    assert!(matches!(refused, Err(Error::WrongPassword)), "{refused:?}");
    identity.change_password(change(PASSWORD), &cause).await.unwrap();
    assert!(identity.active(mine.active.session).await.unwrap().is_some());
    assert!(identity.active(other.active.session).await.unwrap().is_none());
    let Credentials::Tokens { refresh, .. } = mine.credentials else { panic!("no tokens") };
    assert!(identity.refresh(&refresh, &cause).await.is_ok(), "it took the new epoch");
    assert!(matches!(identity.sign_in(typed(PASSWORD), &cause).await, Err(Error::SignIn)));
    assert!(identity.sign_in(typed(new), &cause).await.is_ok());
}

async fn an_account_has_twenty_sessions_and_begins_thirty_an_hour(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "customer").await;
    let cause = Cause::system();
    let mut started = Vec::new();
    for _ in 0..30 {
        started.push(identity.sign_in(typed(PASSWORD), &cause).await.unwrap().active.session);
    }
    let listed: Vec<_> = identity.sessions(id).await.unwrap().into_iter().map(|one| one.id).collect();
    let mut newest = started.split_off(10);
    newest.reverse();
    assert_eq!(listed, newest);
    assert!(matches!(identity.sign_in(typed(PASSWORD), &cause).await, Err(Error::TooManySessions)));
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    assert_eq!(recorded(&store, "session", started[0]).await, ["SessionStarted", "SessionEnded"]);
}

async fn a_session_is_listed_and_ended_by_its_owner_alone(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let cause = Cause::system();
    let device = SignInDevice { name: Some("Firefox\u{7} on a phone"), ..SignInDevice::default() };
    let asked = SignIn { device, kind: CredentialKind::Cookie, ..typed(PASSWORD) };
    let started = identity.sign_in(asked, &cause).await.unwrap();
    let Credentials::Cookie(secret) = started.credentials else { panic!("no cookie") };
    let listed = identity.sessions(id).await.unwrap();
    assert_eq!(listed[0].device.as_deref(), Some("Firefox on a phone"));
    let stored = shop.text("identity", "SELECT device FROM @sessions").await.unwrap();
    assert!(stored.starts_with("eyJhbGciOiJkaXIi"), "it is sealed: {stored}");
    let session = started.active.session;
    assert_eq!(identity.living_by_cookie(&secret).await.unwrap().unwrap().session, session);
    assert_eq!(identity.living_by_cookie(&[0; 32]).await.unwrap(), None);
    let stranger = soonshop_domain::ids::new();
    for (account, one) in [(stranger, session), (id, stranger)] {
        assert!(!identity.end_session(account, one, EndedBy::Revoked, &cause).await.unwrap());
    }
    assert!(identity.end_session(id, session, EndedBy::Revoked, &cause).await.unwrap());
    assert!(!identity.end_session(id, session, EndedBy::Revoked, &cause).await.unwrap(), "once");
    assert_eq!(identity.living_by_cookie(&secret).await.unwrap(), None);
    assert!(identity.sessions(id).await.unwrap().is_empty());
}

/// I11.
async fn a_key_is_published_before_it_signs_and_after_it_signed(shop: Shop) {
    let (store, first) = (shop.store(), identity(&shop));
    open(&shop, &store, &first, "customer").await;
    let cause = Cause::system();
    let token = async || {
        let fresh = identity(&shop);
        let started = fresh.sign_in(typed(PASSWORD), &cause).await.unwrap();
        let Credentials::Tokens { access, .. } = started.credentials else { panic!("no tokens") };
        (fresh, access)
    };
    let kids = async || -> Vec<String> {
        identity(&shop).jwks().await.unwrap().into_iter().map(|key| key.kid).collect()
    };
    assert!(kids().await.is_empty());
    let (_, old) = token().await;
    let before = kids().await;
    assert_eq!(before.len(), 1, "the first one is made when it is needed first, and signs at once");
    assert!(first.rotate(&cause).await.unwrap());
    assert!(!first.rotate(&cause).await.unwrap(), "one is on its way");
    let both = kids().await;
    assert_eq!((both.len(), &both[0]), (2, &before[0]));
    let late = shop.number("identity", "SELECT max(signs_from) - max(made_at) FROM @signing_keys").await;
    assert_eq!(late, 300_000);
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    let (verifier, still) = token().await;
    assert_eq!(header(&still), header(&old), "the new one is only published");
    // Six minutes later.
    let pass = async |milliseconds: i64| {
        let sql = format!(
            "UPDATE @signing_keys SET made_at = made_at - {milliseconds}, signs_from = signs_from - {milliseconds}, \
             signs_until = signs_until - {milliseconds}"
        );
        shop.run("identity", &sql).await;
    };
    pass(360_000).await;
    first.tend().await.unwrap();
    let (_, new) = token().await;
    assert_ne!(header(&new), header(&old));
    assert_eq!(kids().await, both, "tokens of the old one are still about");
    assert_eq!(shop.number("identity", "SELECT count(private_key) FROM @signing_keys").await, 1);
    for good in [&old, &new] {
        assert!(identity(&shop).claims(good).await.unwrap().is_some());
    }
    assert!(verifier.claims(&new).await.unwrap().is_some(), "who read the keys before knows it, too");
    // 16 minutes after it was rotated.
    pass(600_000).await;
    assert_eq!(kids().await, both[1..]);
    assert!(identity(&shop).claims(&old).await.unwrap().is_none());
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    let of = |kid: &String| kid.parse().unwrap();
    assert_eq!(recorded(&store, "signing_key", of(&both[0])).await, ["SigningKeyMade", "SigningKeyRetired"]);
    assert_eq!(recorded(&store, "signing_key", of(&both[1])).await, ["SigningKeyMade"]);
}

async fn nothing_points_to_an_account_that_is_not_there(shop: Shop) {
    let db = shop.db("identity");
    let sql = db.sql(
        "INSERT INTO @sessions (id, account, epoch, client, began_at, used_at, expires_at) \
         VALUES ('a', 'nobody', 1, 'x', 0, 0, 0)",
    );
    let refused = db.connection.execute_unprepared(&sql).await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("foreign key"), "{refused}");
}

async fn who_answers_queries_reads_neither_passwords_nor_tokens(shop: Shop) {
    if shop.is_sqlite() {
        // There are no roles.
        return;
    }
    let role = soonshop_event_log::Database::under(shop.place.clone(), soonshop_migrations::rights::QUERY);
    let db = role.namespace("identity").unwrap();
    let ask = async |sql: &str| db.connection.execute_unprepared(&db.sql(sql)).await.map(drop);
    ask("SELECT id, roles, staff_since, disabled_at, epoch FROM @accounts").await.unwrap();
    ask("SELECT id, account, epoch, cookie_hash, proved_at, expires_at, ended_at FROM @sessions")
        .await
        .unwrap();
    ask("SELECT kid, public_key FROM @signing_keys").await.unwrap();
    ask("SELECT id, token_hash, first_command, used_at FROM @guests").await.unwrap();
    ask("UPDATE @guests SET used_at = 0").await.unwrap();
    for secret in [
        "SELECT password FROM @accounts",
        "SELECT address FROM @accounts",
        "SELECT token_hash FROM @sessions",
        "SELECT private_key FROM @signing_keys",
        "SELECT wrapped FROM @keys",
        "SELECT payload FROM @outbox",
        "SELECT secret FROM @factors",
        "SELECT hash FROM @sign_ins",
        "UPDATE @accounts SET disabled_at = NULL",
        "DELETE FROM @sessions",
        "UPDATE @guests SET token_hash = ''",
        "DELETE FROM @guests",
    ] {
        let refused = ask(secret).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{secret}: {refused}");
    }
}
