//! Who people are at providers of identities: what holds on both databases.

use soonshop_identity::totp::step_at;
use soonshop_identity::{
    Cause, CredentialKind, Error, Identity, LinkAsked, NewFactor, Password, ProviderIdentity, ProviderSecret,
    SecondStep, SignInDevice, StartedSession,
};
use soonshop_workers::registering::{Finished, finish};

use crate::fixture::{Shop, on_both};
use crate::recording::{PASSWORD, facts, identity, open, recorded, typed};

on_both!(
    after_a_provider_the_second_factor_is_asked_for_and_the_session_names_both,
    an_account_that_a_crash_left_is_opened_later_and_of_two_at_once_there_is_one,
    a_way_to_a_provider_is_used_once_in_its_time_and_by_its_provider,
);

const WORK: (&str, &str) = ("work", "https://login.work.example");

fn somebody(subject: &str) -> ProviderIdentity<'_> {
    ProviderIdentity {
        provider: WORK.0,
        issuer: WORK.1,
        subject,
        address: Some("new@example.org"),
        name: Some("New"),
        roles: None,
        customers: true,
        staff: true,
    }
}

async fn signs_in(identity: &Identity, who: &ProviderIdentity<'_>) -> Result<StartedSession, Error> {
    identity.sign_in_with(who, SignInDevice::default(), CredentialKind::Tokens, &Cause::system()).await
}

async fn after_a_provider_the_second_factor_is_asked_for_and_the_session_names_both(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    let id = open(&shop, &store, &identity, "support").await;
    let (cause, who) = (Cause::system(), somebody("42"));
    let active = identity.sign_in(typed(PASSWORD), &cause).await.unwrap().active;
    let asked =
        |password| LinkAsked { active: &active, password: Password::typed(password), network: "192.0.2.1" };
    let wrong = identity.leave_for_provider(WORK, "", Some(asked("wrong"))).await;
    assert!(matches!(wrong, Err(Error::WrongPassword)), "{wrong:?}");
    let secret = identity.leave_for_provider(WORK, "", Some(asked(PASSWORD))).await.unwrap();
    let way = identity.return_from_provider(&secret, WORK).await.unwrap();
    identity.link_provider(way.linking.unwrap(), &who, &cause).await.unwrap();
    // Without a factor it signs in at once.
    assert!(signs_in(&identity, &who).await.unwrap().active.staff);
    let new = NewFactor { active: &active, password: Password::typed(PASSWORD), network: "192.0.2.1" };
    let started = identity.add_factor(new).await.unwrap();
    let now = shop.number("identity", &format!("SELECT {}", shop.db("identity").now())).await;
    let code = started.secret.code(step_at(now));
    identity.prove_factor(&active, started.id, &code, &cause).await.unwrap();
    let Err(Error::SecondFactor(pending)) = signs_in(&identity, &who).await else {
        panic!("no second factor was asked for")
    };
    shop.run("identity", "UPDATE @factors SET last_step = 0").await;
    let step = SecondStep {
        token: &pending.token,
        code: &code,
        device: SignInDevice::default(),
        kind: CredentialKind::Tokens,
    };
    let session = identity.second_factor(step, &cause).await.unwrap().active.session;
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    let rows = store.log().stream("session", &session.to_string(), 0, 1).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(&rows[0].payload).unwrap();
    assert_eq!(event["SessionStarted"]["factors"], serde_json::json!(["provider:work", "totp"]));
    assert!(recorded(&store, "account", id).await.contains(&"SignInLinked".to_owned()));
}

async fn an_account_that_a_crash_left_is_opened_later_and_of_two_at_once_there_is_one(shop: Shop) {
    let (store, identity) = (shop.store(), identity(&shop));
    identity.prepare().await.unwrap();
    let (cause, who) = (Cause::system(), somebody("42"));
    assert!(matches!(signs_in(&identity, &who).await, Err(Error::NotLinked)));
    for _ in 0..2 {
        identity.open_with_provider(&who, "en", &cause).await.unwrap();
    }
    assert!(identity.unfinished(10).await.unwrap().is_empty(), "they are left to their requests for a while");
    shop.run("identity", "UPDATE @requests SET used_at = used_at - 60000").await;
    let left = identity.unfinished(10).await.unwrap();
    let mut finished = Vec::new();
    for one in &left {
        finished.push(finish(&store, &identity, one, &cause).await.unwrap());
    }
    assert!(matches!(finished[..], [Finished::Open(_), Finished::Taken]), "{finished:?}");
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @requests").await, 0);
    let active = signs_in(&identity, &who).await.unwrap().active;
    assert_eq!((active.roles, active.staff), (vec!["customer".to_owned()], false));
    // The identity, at another address: it is somebody's already.
    let moved = ProviderIdentity { address: Some("moved@example.org"), ..who.clone() };
    let other = identity.open_with_provider(&moved, "en", &cause).await.unwrap();
    assert_eq!(finish(&store, &identity, &other, &cause).await.unwrap(), Finished::Taken);
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @accounts").await, 1);
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @requests").await, 0);
    let taken = identity.open_with_provider(&somebody("43"), "en", &cause).await;
    assert!(matches!(taken, Err(Error::Exists)), "{taken:?}");
    let unverified = ProviderIdentity { address: None, ..somebody("44") };
    let unverified = identity.open_with_provider(&unverified, "en", &cause).await;
    assert!(matches!(unverified, Err(Error::NoVerifiedAddress)), "{unverified:?}");
    let worker = facts(&shop, &store);
    while worker.round().await.unwrap() {}
    let events = recorded(&store, "account", active.account).await;
    assert_eq!(events, ["AccountOpened", "EmailVerified", "SignInLinked"]);
    identity.erase(active.account).await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @providers").await, 0);
}

async fn a_way_to_a_provider_is_used_once_in_its_time_and_by_its_provider(shop: Shop) {
    let identity = identity(&shop);
    identity.prepare().await.unwrap();
    let begin = async || identity.leave_for_provider(WORK, "/account", None).await.unwrap();
    let ended = async |secret: &ProviderSecret, of| {
        matches!(identity.return_from_provider(secret, of).await, Err(Error::SignInEnded))
    };
    let secret = begin().await;
    let way = identity.return_from_provider(&secret, WORK).await.unwrap();
    assert_eq!((way.next.as_str(), way.linking), ("/account", None));
    assert!(ended(&secret, WORK).await, "it was used");
    for other in [("other", WORK.1), (WORK.0, "https://other.example")] {
        let secret = begin().await;
        assert!(ended(&secret, other).await, "{other:?}");
        assert!(ended(&secret, WORK).await, "it was used by the wrong one");
    }
    let secret = begin().await;
    shop.run("identity", "UPDATE @provider_sign_ins SET expires_at = expires_at - 600000").await;
    assert!(ended(&secret, WORK).await, "it took too long");
    begin().await;
    shop.run("identity", "UPDATE @provider_sign_ins SET expires_at = expires_at - 600000").await;
    identity.tend().await.unwrap();
    assert_eq!(shop.number("identity", "SELECT count(*) FROM @provider_sign_ins").await, 0);
}
