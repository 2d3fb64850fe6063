//! Guesses of passwords: delays that grow, over all processes, which keep no owner out; and the owner is told of a sign-in
//! on a device that is not known.

use std::time::Duration;

use chrono::{DateTime, Utc};
use soonshop_domain::identity::gate;
use soonshop_domain::identity::session::EndedBy;
use soonshop_identity::{
    Cause, Error, Identity, NewPassword, Password, SignIn, SignInDevice, StartedSession,
};
use tokio::time::Instant;

use crate::fixture::{Shop, on_both};
use crate::recording::{ADDRESS, PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    the_sixth_wrong_password_waits_and_each_further_one_longer_with_an_account_and_without,
    many_passwords_at_once_are_no_more_guesses_than_one_after_the_other,
    strangers_keep_no_owner_from_signing_in_on_a_device_that_is_known,
    a_device_is_known_to_the_accounts_that_signed_in_on_it_and_to_no_others,
    another_password_forgets_all_devices_but_the_one_that_set_it,
    a_device_is_forgotten_with_the_session_that_its_owner_ends_from_elsewhere,
    guesses_over_many_addresses_wait_by_their_network,
    a_password_that_confirms_a_change_is_delayed_like_one_that_signs_in,
    a_sign_in_that_finds_no_place_in_the_queue_is_no_guess,
    many_failures_over_all_accounts_are_a_fact_of_their_day_once_an_hour,
    nothing_of_devices_and_guesses_is_left_of_who_is_erased,
);

const NOBODY: &str = "nobody@example.org";

/// What a sign-in came to: a session, a wrong password, or a wait.
#[derive(Debug)]
enum Tried {
    In(Box<StartedSession>),
    Wrong,
    Wait(Duration),
}

async fn tried(identity: &Identity, asked: SignIn<'_>) -> Tried {
    match identity.sign_in(asked, &Cause::system()).await {
        Ok(started) => Tried::In(Box::new(started)),
        Err(Error::SignIn) => Tried::Wrong,
        Err(Error::TooManyAttempts(wait)) => Tried::Wait(wait),
        Err(other) => panic!("{other}"),
    }
}

fn at<'a>(address: &'a str, password: &'a str) -> SignIn<'a> {
    SignIn { address, ..typed(password) }
}

fn on<'a>(token: &'a str, password: &'a str) -> SignIn<'a> {
    SignIn { device: SignInDevice { token: Some(token), ..SignInDevice::default() }, ..typed(password) }
}

/// A session, and the token of its device.
async fn known_device(identity: &Identity, asked: SignIn<'_>) -> (StartedSession, String) {
    let Tried::In(started) = tried(identity, asked).await else { panic!("no session") };
    let token = started.device_token.clone().unwrap();
    (*started, token)
}

/// As if so many seconds had passed since the last attempts.
async fn pass(shop: &Shop, seconds: u64) {
    let sql = format!("UPDATE @attempts SET last_at = last_at - {}", seconds * 1_000);
    shop.run("identity", &sql).await;
}

/// How many attempts are counted by what begins so.
async fn counted(shop: &Shop, what: &str) -> i64 {
    let sum = if shop.is_sqlite() { "sum(count)" } else { "sum(count)::bigint" };
    let sql = format!("SELECT coalesce({sum}, 0) FROM @attempts WHERE what LIKE '{what}:%'");
    shop.number("identity", &sql).await
}

async fn the_sixth_wrong_password_waits_and_each_further_one_longer_with_an_account_and_without(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    for address in [ADDRESS, NOBODY] {
        for number in 0..5 {
            let outcome = tried(&identity, at(address, "wrong password")).await;
            assert!(matches!(outcome, Tried::Wrong), "{address}, {number}: {outcome:?}");
        }
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let before = counted(&shop, "typed").await;
            let Tried::Wait(wait) = tried(&identity, at(address, PASSWORD)).await else {
                panic!("{address} did not wait {seconds} s")
            };
            let most = Duration::from_secs(seconds);
            assert!(wait <= most && wait * 10 > most, "{address}: {wait:?} of {most:?}");
            assert_eq!(counted(&shop, "typed").await, before, "what is not compared is not counted");
            pass(&shop, seconds).await;
            let outcome = tried(&identity, at(address, "wrong password")).await;
            assert!(matches!(outcome, Tried::Wrong), "{address}, after {seconds} s: {outcome:?}");
        }
    }
    // Another process waits as well, and the right password opens after the delay: then all is forgotten.
    assert!(matches!(tried(&identity, at(ADDRESS, "wrong password")).await, Tried::Wrong));
    let other = crate::recording::identity(&shop);
    assert!(matches!(tried(&other, at(ADDRESS, PASSWORD)).await, Tried::Wait(_)));
    pass(&shop, 900).await;
    assert!(matches!(tried(&other, at(ADDRESS, PASSWORD)).await, Tried::In(_)));
    for _ in 0..5 {
        assert!(matches!(tried(&identity, at(ADDRESS, "wrong password")).await, Tried::Wrong));
    }
    assert!(matches!(tried(&identity, at(ADDRESS, PASSWORD)).await, Tried::Wait(_)));
}

/// I28, for passwords.
async fn many_passwords_at_once_are_no_more_guesses_than_one_after_the_other(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let began = Instant::now();
    let networks: Vec<_> = (0..200).map(|number| format!("2001:db8:0:{number:x}::/64")).collect();
    let guesses = networks.iter().map(|network| SignIn { network, ..typed("wrong password") });
    let outcomes = futures::future::join_all(guesses.map(|asked| tried(&identity, asked))).await;
    let wrong = outcomes.iter().filter(|one| matches!(one, Tried::Wrong)).count();
    // One more for each delay that was over meanwhile: after 1 s, 3 s, 7 s …
    let over = (began.elapsed().as_secs() + 1).ilog2();
    assert!((5..=5 + usize::try_from(over).unwrap()).contains(&wrong), "{wrong}");
    assert!(outcomes.iter().all(|one| matches!(one, Tried::Wrong | Tried::Wait(_))));
}

async fn strangers_keep_no_owner_from_signing_in_on_a_device_that_is_known(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let (_, token) = known_device(&identity, typed(PASSWORD)).await;
    // From the owner's own network, even.
    while matches!(tried(&identity, typed("wrong password")).await, Tried::Wrong) {}
    shop.run(
        "identity",
        "UPDATE @attempts SET count = 1000 WHERE what LIKE 'typed:%' OR what LIKE 'network:%'",
    )
    .await;
    assert!(matches!(tried(&identity, typed(PASSWORD)).await, Tried::Wait(_)), "a device that is not known");
    let (_, same) = known_device(&identity, on(&token, PASSWORD)).await;
    assert_eq!(same, token, "it goes on with its token");
    assert!(matches!(tried(&identity, typed(PASSWORD)).await, Tried::Wait(_)), "strangers wait on");
    // Who has the device guesses no faster, and delays nobody else.
    let before = counted(&shop, "typed").await;
    for _ in 0..5 {
        assert!(matches!(tried(&identity, on(&token, "wrong password")).await, Tried::Wrong));
    }
    assert!(matches!(tried(&identity, on(&token, PASSWORD)).await, Tried::Wait(_)));
    assert_eq!(counted(&shop, "typed").await, before);
    pass(&shop, 1).await;
    assert!(matches!(tried(&identity, on(&token, PASSWORD)).await, Tried::In(_)));
    // After 90 days without a sign-in it is one like any other.
    shop.run("identity", "UPDATE @devices SET used_at = used_at - 7776000001").await;
    assert!(matches!(tried(&identity, on(&token, PASSWORD)).await, Tried::Wait(_)));
    identity.tend().await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @devices").await, 0);
}

async fn a_device_is_known_to_the_accounts_that_signed_in_on_it_and_to_no_others(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let mallory = soonshop_domain::ids::new();
    let opening = soonshop_identity::Opening {
        id: mallory,
        address: "mallory@example.org",
        roles: soonshop_identity::Roles::given(["customer"]),
        password: Password::new(PASSWORD).unwrap(),
        user_version: 1,
    };
    identity.open(opening, &Cause::system()).await.unwrap();
    let (_, token) = known_device(&identity, at("mallory@example.org", PASSWORD)).await;
    let stored = shop.text("identity", "SELECT hash FROM @devices").await.unwrap();
    assert!(token.starts_with("ssd_") && token.len() == 47 && !token.contains(&stored), "{token}");
    for made_up in [token.clone(), format!("ssd_{}", "A".repeat(43)), stored, String::new()] {
        let before = counted(&shop, "typed").await;
        assert!(matches!(tried(&identity, on(&made_up, "wrong password")).await, Tried::Wrong));
        assert_eq!(counted(&shop, "typed").await, before + 1, "it is nobody's device here: {made_up}");
    }
    // A browser that two people share is known to both, by one token.
    let (_, same) = known_device(&identity, on(&token, PASSWORD)).await;
    assert_eq!(same, token);
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @devices").await, 2);
    // A token that this shop did not make becomes none by a sign-in with it.
    let planted = format!("ssd_{}", "B".repeat(43));
    let (_, other) = known_device(&identity, on(&planted, PASSWORD)).await;
    assert_ne!(other, planted);
    // The ones that were used last are kept.
    for _ in 0..20 {
        shop.run("identity", "UPDATE @sessions SET began_at = began_at - 3600000").await;
        known_device(&identity, typed(PASSWORD)).await;
    }
    let sql = format!("SELECT count(*) FROM @devices WHERE account <> '{mallory}'");
    assert_eq!(shop.number("identity", &sql).await, 20);
}

async fn another_password_forgets_all_devices_but_the_one_that_set_it(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "customer").await;
    let (mine, token) = known_device(&identity, typed(PASSWORD)).await;
    known_device(&identity, typed(PASSWORD)).await;
    let devices = async || shop.number("identity", "SELECT count(*) FROM @devices").await;
    assert_eq!(devices().await, 2);
    let new = "eight blue herons";
    let change = NewPassword {
        active: &mine.active,
        old: Password::typed(PASSWORD),
        new: Password::new(new).unwrap(),
        network: "",
    };
    identity.change_password(change, &Cause::system()).await.unwrap();
    assert_eq!(devices().await, 1);
    let (_, same) = known_device(&identity, on(&token, new)).await;
    assert_eq!(same, token);
    identity.end_all_sessions(id, &Cause::system()).await.unwrap();
    assert_eq!(devices().await, 0);
}

async fn a_device_is_forgotten_with_the_session_that_its_owner_ends_from_elsewhere(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "customer").await;
    let (own, _) = known_device(&identity, typed(PASSWORD)).await;
    let (strange, token) = known_device(&identity, typed(PASSWORD)).await;
    let devices = async || shop.number("identity", "SELECT count(*) FROM @devices").await;
    assert_eq!(devices().await, 2);
    let cause = Cause { session: Some(own.active.session), ..Cause::system() };
    assert!(identity.end_session(id, strange.active.session, EndedBy::Revoked, &cause).await.unwrap());
    assert_eq!(devices().await, 1);
    let (_, again) = known_device(&identity, on(&token, PASSWORD)).await;
    assert_ne!(again, token, "it is a new device, of which the owner is told");
    // Signing out forgets nothing, nor does ending a session of the device that asks.
    assert!(identity.end_session(id, own.active.session, EndedBy::Revoked, &cause).await.unwrap());
    assert_eq!(devices().await, 2);
}

async fn guesses_over_many_addresses_wait_by_their_network(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let (_, token) = known_device(&identity, typed(PASSWORD)).await;
    for number in 0..3 {
        let address = format!("{number}@example.org");
        assert!(matches!(tried(&identity, at(&address, "wrong password")).await, Tried::Wrong));
    }
    assert_eq!(counted(&shop, "network").await, 3, "who was right is not counted");
    shop.run("identity", "UPDATE @attempts SET count = 105 WHERE what LIKE 'network:%'").await;
    let before = counted(&shop, "typed").await;
    let Tried::Wait(wait) = tried(&identity, at("3@example.org", "wrong password")).await else {
        panic!("it did not wait")
    };
    assert!(wait > Duration::from_secs(10) && wait <= Duration::from_secs(32), "{wait:?}");
    assert_eq!(counted(&shop, "typed").await, before, "it is counted in none");
    let elsewhere = SignIn { network: "198.51.100.7", ..at("3@example.org", "wrong password") };
    assert!(matches!(tried(&identity, elsewhere).await, Tried::Wrong));
    assert!(matches!(tried(&identity, on(&token, PASSWORD)).await, Tried::In(_)), "the owner goes on");
    pass(&shop, 32).await;
    assert!(matches!(tried(&identity, typed(PASSWORD)).await, Tried::In(_)));
}

async fn a_password_that_confirms_a_change_is_delayed_like_one_that_signs_in(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let (mine, _) = known_device(&identity, typed(PASSWORD)).await;
    let change = async |old: &str| {
        let new = Password::new("eight blue herons").unwrap();
        let change = NewPassword { active: &mine.active, old: Password::typed(old), new, network: "" };
        identity.change_password(change, &Cause::system()).await
    };
    for _ in 0..5 {
        assert!(matches!(change("wrong password").await, Err(Error::WrongPassword)));
    }
    assert!(matches!(change(PASSWORD).await, Err(Error::TooManyAttempts(_))));
    assert!(matches!(tried(&identity, typed(PASSWORD)).await, Tried::In(_)), "signing in is counted apart");
    pass(&shop, 1).await;
    change(PASSWORD).await.unwrap();
}

async fn a_sign_in_that_finds_no_place_in_the_queue_is_no_guess(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let addresses: Vec<_> = (0..60).map(|number| format!("{number}@example.org")).collect();
    let cause = Cause::system();
    let flood = addresses.iter().map(|address| identity.sign_in(at(address, "wrong password"), &cause));
    let outcomes = futures::future::join_all(flood).await;
    let busy = outcomes.iter().filter(|one| matches!(one, Err(Error::Busy))).count();
    let wrong = outcomes.iter().filter(|one| matches!(one, Err(Error::SignIn))).count();
    assert_eq!(busy + wrong, 60);
    for what in ["typed", "network"] {
        assert_eq!(counted(&shop, what).await, i64::try_from(wrong).unwrap(), "{what}, {busy} were refused");
    }
}

async fn many_failures_over_all_accounts_are_a_fact_of_their_day_once_an_hour(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    open(&shop, &store, &identity, "customer").await;
    let worker = facts(&shop, &store);
    let told = async || {
        while worker.round().await.unwrap() {}
        let sql = "SELECT max(last_at) FROM @attempts WHERE what = 'gate'";
        let at = DateTime::<Utc>::from_timestamp_millis(shop.number("identity", sql).await).unwrap();
        recorded(&store, "gate", gate::stream(at.date_naive())).await
    };
    assert!(matches!(tried(&identity, typed("wrong password")).await, Tried::Wrong));
    assert_eq!(
        shop.number("identity", "SELECT count(*) FROM @outbox WHERE aggregate_type = 'gate'").await,
        0
    );
    let many = "UPDATE @attempts SET count = 1000 WHERE what = 'all'";
    shop.run("identity", many).await;
    for address in [ADDRESS, NOBODY] {
        assert!(matches!(tried(&identity, at(address, "wrong password")).await, Tried::Wrong));
    }
    assert_eq!(told().await, ["ManySignInsFailed"]);
    let hour = shop.number("identity", "SELECT hour FROM @attempts WHERE what = 'gate'").await;
    let all = store.log().read(1, 1_000).await.unwrap();
    let fact = all.iter().find(|row| row.event_type == "ManySignInsFailed").unwrap();
    assert!(fact.payload.contains("\"count\":1001,\"accounts\":1,\"since\":"), "{}", fact.payload);
    assert!(!fact.payload.contains(ADDRESS) && !fact.metadata.contains(ADDRESS));
    if hour % 24 == 0 {
        // The hour before was of another day.
        return;
    }
    // An hour later.
    shop.run("identity", "UPDATE @attempts SET hour = hour - 1 WHERE what IN ('gate', 'all')").await;
    assert!(matches!(tried(&identity, at(NOBODY, "wrong password")).await, Tried::Wrong));
    shop.run("identity", many).await;
    assert!(matches!(tried(&identity, at(NOBODY, "wrong password")).await, Tried::Wrong));
    assert_eq!(told().await, ["ManySignInsFailed"; 2]);
}

async fn nothing_of_devices_and_guesses_is_left_of_who_is_erased(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "customer").await;
    let (_, token) = known_device(&identity, typed(PASSWORD)).await;
    for asked in [typed("wrong password"), on(&token, "wrong password"), at(NOBODY, "wrong password")] {
        assert!(matches!(tried(&identity, asked).await, Tried::Wrong));
    }
    assert!(identity.erase(id).await.unwrap());
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @devices").await, 0);
    assert_eq!((counted(&shop, "typed").await, counted(&shop, "device").await), (1, 0), "of somebody else");
}
