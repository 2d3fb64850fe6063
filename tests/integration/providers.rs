//! Signing in with providers of identities, over HTTP: who gets an account, who is linked to one, and every lie of a
//! provider. On SQLite and on PostgreSQL.

mod lying;
mod visiting;

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use uuid::Uuid;

use lying::{CLIENT, Keys};
use visiting::{Asked, Browser, PASSWORD, Shop, refused};

use crate::support::{Set, eventually};

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Shop::start(super::Set::Embedded).await).await; })+
        }
        mod on_postgresql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Shop::start(super::Set::Postgres).await).await; })+
        }
    };
}

on_both!(
    a_verified_address_opens_one_account_and_another_address_there_changes_nothing,
    an_address_that_has_an_account_links_nothing_and_its_owner_links_with_the_password,
    i19_who_is_who_is_the_issuer_and_the_sub_and_no_address,
    i20_a_provider_that_lies_signs_nobody_in_and_each_time_is_counted,
    i10_unknown_keys_fetch_the_key_set_once_per_cool_down_and_keep_nobody_waiting,
    roles_of_claims_count_in_sessions_of_their_provider_alone_and_are_taken_back,
    i07_who_is_disabled_or_erased_on_the_way_is_not_signed_in,
);

async fn a_verified_address_opens_one_account_and_another_address_there_changes_nothing(shop: Shop) {
    let page = shop.get(&mut Browser::default(), "/account/sign-in?lang=en").await.expect(200);
    let page = String::from_utf8(page.bytes).unwrap();
    assert!(page.contains("Sign in with one") && page.contains("Sign in with work"), "{page}");
    let ada = ("sub-of-ada", "Ada@example.org");
    for claims in [
        json!({ "email_verified": false }),
        json!({ "email_verified": "true" }),
        json!({ "email_verified": null }),
    ] {
        let unverified = shop.comes(&mut Browser::default(), 0, ada, claims).await;
        refused(&unverified, 403, "role=\"alert\"");
    }
    assert_eq!(shop.number("SELECT count(*) FROM @accounts").await, 0);
    let mut browser = Browser::default();
    let back = shop.comes(&mut browser, 0, ada, json!({})).await.expect(200);
    assert_eq!(back.header("refresh"), "0; url=/account/sessions");
    assert!(browser.is_signed_in() && !browser.cookies.contains_key("soonshop_provider"));
    assert_eq!(shop.account_of(&mut browser).await, "Ada@example.org");
    let identity = shop.served.shop.identity().unwrap();
    let account = identity.accounts().await.unwrap().remove(0);
    assert_eq!(account.roles, ["customer"]);
    assert_eq!(shop.events(account.id, 3).await, ["AccountOpened", "EmailVerified", "SignInLinked"]);
    // The address there is another one by now, and not even verified.
    let mut again = Browser::default();
    let moved = ("sub-of-ada", "other@example.org");
    shop.comes(&mut again, 0, moved, json!({ "email_verified": false })).await.expect(200);
    assert_eq!(shop.account_of(&mut again).await, "Ada@example.org");
    assert_eq!(identity.accounts().await.unwrap().len(), 1);
    // Nothing of who somebody is there lies in the tables or in the log.
    let subject = shop.number("SELECT count(*) FROM @providers WHERE subject LIKE '%ada%'").await;
    assert_eq!(subject, 0);
    for row in shop.served.shop.log().unwrap().read(1, 1_000).await.unwrap() {
        assert!(!row.payload.contains("sub-of-ada") && !row.metadata.contains("sub-of-ada"));
    }
    shop.stop().await;
}

async fn an_address_that_has_an_account_links_nothing_and_its_owner_links_with_the_password(shop: Shop) {
    let id = shop.open("ada@example.org", "customer").await;
    let ada = ("42", "ada@example.org");
    let taken = shop.comes(&mut Browser::default(), 0, ada, json!({})).await;
    refused(&taken, 409, "role=\"alert\"");
    assert_eq!(shop.number("SELECT count(*) FROM @providers").await, 0);
    let mut browser = Browser::default();
    shop.signs_in(&mut browser, "ada@example.org").await;
    let link = |password| [("what", "link"), ("password", password)];
    shop.form(&mut browser, "/account/providers/one", &link("wrong")).await.expect(422);
    let left = shop.form(&mut browser, "/account/providers/one", &link(PASSWORD)).await.expect(200);
    let asked = Asked::of(&left);
    let provider = &shop.providers[0];
    let token = |asked: &Asked| {
        provider.token(&provider.head(), &provider.claims("42", "elsewhere@example.org", &asked.0["nonce"]))
    };
    // The way back is a link from another site: the session's cookie is not sent.
    let session = browser.cookies.remove("soonshop_session").unwrap();
    let linked = shop.back(&mut browser, 0, &asked, token(&asked)).await.expect(200);
    assert!(linked.header("refresh").starts_with("0; url=/account/providers?done=linked"));
    assert!(!browser.is_signed_in(), "linking signs nobody in");
    browser.cookies.insert("soonshop_session".to_owned(), session);
    shop.comes(&mut Browser::default(), 0, ada, json!({})).await.expect(200);
    // Another identity of the same provider, and the same identity for another account.
    shop.open("bob@example.org", "customer").await;
    let mut bob = Browser::default();
    shop.signs_in(&mut bob, "bob@example.org").await;
    let asked = Asked::of(&shop.form(&mut bob, "/account/providers/one", &link(PASSWORD)).await);
    refused(&shop.back(&mut bob, 0, &asked, token(&asked)).await, 409, "role=\"alert\"");
    // A linking whose session ended on the way.
    let asked = Asked::of(&shop.form(&mut bob, "/account/providers/two", &link(PASSWORD)).await);
    let provider = &shop.providers[1];
    let claims = provider.claims("43", "bob@example.org", &asked.0["nonce"]);
    let late = provider.token(&provider.head(), &claims);
    let identity = shop.served.shop.identity().unwrap();
    let cause = soonshop_identity::Cause::system();
    let bobs = identity.accounts().await.unwrap().into_iter().find(|one| one.id != id).unwrap().id;
    identity.end_all_sessions(bobs, &cause).await.unwrap();
    refused(&shop.back(&mut bob, 1, &asked, late).await, 401, "role=\"alert\"");

    // Unlinking takes the password, and ends what began with the provider; a reset unlinks, too.
    let unlink = [("what", "unlink"), ("password", PASSWORD)];
    shop.form(&mut browser, "/account/providers/one", &[("what", "unlink"), ("password", "x")])
        .await
        .expect(422);
    shop.form(&mut browser, "/account/providers/one", &unlink).await.expect(303);
    assert_eq!(
        shop.number("SELECT count(*) FROM @sessions WHERE provider = 'one' AND ended_at IS NULL").await,
        0
    );
    refused(&shop.comes(&mut Browser::default(), 0, ada, json!({})).await, 409, "role=\"alert\"");
    let asked = Asked::of(&shop.form(&mut browser, "/account/providers/one", &link(PASSWORD)).await);
    shop.back(
        &mut browser,
        0,
        &asked,
        shop.providers[0].token(
            &shop.providers[0].head(),
            &shop.providers[0].claims("42", "x@example.org", &asked.0["nonce"]),
        ),
    )
    .await
    .expect(200);
    identity
        .reset_password(id, soonshop_identity::Password::new("nine purple geese").unwrap(), &cause)
        .await
        .unwrap();
    assert_eq!(shop.number("SELECT count(*) FROM @providers").await, 0);
    let events = shop.events(id, 8).await;
    let linked: Vec<_> =
        events.iter().filter(|event| event.starts_with("SignIn")).map(String::as_str).collect();
    assert_eq!(linked, ["SignInLinked", "SignInUnlinked", "SignInLinked", "SignInUnlinked"]);
    shop.stop().await;
}

async fn i19_who_is_who_is_the_issuer_and_the_sub_and_no_address(shop: Shop) {
    let (a, b) = (("42", "a42@example.org"), ("42", "b42@example.org"));
    shop.comes(&mut Browser::default(), 0, a, json!({})).await.expect(200);
    shop.comes(&mut Browser::default(), 1, b, json!({})).await.expect(200);
    assert_eq!(shop.number("SELECT count(*) FROM @accounts").await, 2);
    let mut again = Browser::default();
    shop.comes(&mut again, 0, ("42", "b42@example.org"), json!({})).await.expect(200);
    assert_eq!(shop.account_of(&mut again).await, "a42@example.org");
    assert_eq!(shop.number("SELECT count(*) FROM @accounts").await, 2);
    shop.stop().await;
}

/// A change of a good token's head and claims.
type Lie<'l> = (&'l str, Value, Value);

async fn i20_a_provider_that_lies_signs_nobody_in_and_each_time_is_counted(shop: Shop) {
    let now = soonshop_domain::clock::now().timestamp();
    let one = &shop.providers[0];
    let lies: [Lie<'_>; 17] = [
        ("no nonce", json!({}), json!({ "nonce": null })),
        ("another nonce", json!({}), json!({ "nonce": "other" })),
        ("another audience", json!({}), json!({ "aud": "other" })),
        ("no audience", json!({}), json!({ "aud": [] })),
        ("several audiences, no azp", json!({}), json!({ "aud": [CLIENT, "other"] })),
        ("another azp", json!({}), json!({ "azp": "other" })),
        ("another azp of several", json!({}), json!({ "aud": [CLIENT, "other"], "azp": "other" })),
        ("another issuer", json!({}), json!({ "iss": shop.providers[1].issuer() })),
        ("an issuer with a slash", json!({}), json!({ "iss": format!("{}/", one.issuer()) })),
        ("expired", json!({}), json!({ "iat": now - 900, "exp": now - 61 })),
        ("of the future", json!({}), json!({ "iat": now + 300, "exp": now + 900 })),
        ("no expiry", json!({}), json!({ "exp": null })),
        ("no sub", json!({}), json!({ "sub": "" })),
        ("alg none", json!({ "alg": "none" }), json!({})),
        ("the public key as a secret", json!({ "alg": "HS256" }), json!({})),
        ("an alg that is no signature of this key", json!({ "alg": "RS256" }), json!({})),
        ("an unknown kid", json!({ "kid": "unknown" }), json!({})),
    ];
    let merged = |mut into: Value, from: &Value| {
        for (name, value) in from.as_object().unwrap() {
            if value.is_null() {
                into.as_object_mut().unwrap().remove(name);
            } else {
                into[name] = value.clone();
            }
        }
        into
    };
    let counted = async || {
        shop.number("SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM @attempts WHERE what = 'all'").await
    };
    let mut expected = 0;
    let mut earlier = None;
    for (what, head, claims) in &lies {
        let mut browser = Browser::default();
        let asked = shop.leave(&mut browser, 0).await;
        let good = one.claims("7", "seven@example.org", &asked.0["nonce"]);
        let token = one.token(&merged(one.head(), head), &merged(good, claims));
        let answer = shop.back(&mut browser, 0, &asked, token).await;
        expected += 1;
        assert_eq!((answer.status.as_u16(), counted().await), (401, expected), "{what}");
        assert!(!browser.is_signed_in(), "{what}");
        earlier = Some(asked.0["nonce"].clone());
    }
    // The nonce of an earlier sign-in, the answer of another provider, a state of another browser, none at all.
    let good = |asked: &Asked, nonce: &str| {
        let token = one.token(&one.head(), &one.claims("7", "seven@example.org", nonce));
        one.code(token, &asked.0["code_challenge"])
    };
    for (what, other_browser, issuer, nonce) in [
        ("an earlier nonce", false, Some(one.issuer()), earlier.as_deref()),
        ("an issuer of another provider", false, Some(shop.providers[1].issuer()), None),
        ("no issuer", false, None, None),
        ("another browser", true, Some(one.issuer()), None),
    ] {
        let mut browser = Browser::default();
        let asked = shop.leave(&mut browser, 0).await;
        let code = good(&asked, nonce.unwrap_or(&asked.0["nonce"]));
        if other_browser {
            browser = Browser::default();
            shop.leave(&mut browser, 0).await;
        }
        let answer = shop.back_with(&mut browser, 0, &code, &asked.0["state"], issuer).await;
        expected += 1;
        assert_eq!((answer.status.as_u16(), counted().await), (401, expected), "{what}");
    }
    // Begun with one provider, back from another.
    let mut browser = Browser::default();
    let asked = shop.leave(&mut browser, 0).await;
    let two = &shop.providers[1];
    let token = two.token(&two.head(), &two.claims("7", "seven@example.org", &asked.0["nonce"]));
    refused(&shop.back(&mut browser, 1, &asked, token).await, 401, "role=\"alert\"");
    assert_eq!(shop.number("SELECT count(*) FROM @accounts").await, 0);
    assert_eq!(shop.number("SELECT count(*) FROM @sessions").await, 0);

    // The truth signs in, once: the same way back again does not.
    let mut browser = Browser::default();
    let asked = shop.leave(&mut browser, 0).await;
    let mut thief = browser.clone();
    let claims = merged(one.claims("7", "seven@example.org", &asked.0["nonce"]), &json!({ "azp": CLIENT }));
    let token = one.token(&one.head(), &claims);
    shop.back(&mut browser, 0, &asked, token.clone()).await.expect(200);
    assert!(browser.is_signed_in());
    refused(&shop.back(&mut thief, 0, &asked, token).await, 401, "role=\"alert\"");
    // Within the tolerance of clocks.
    let skewed = json!({ "iat": now - 330, "exp": soonshop_domain::clock::now().timestamp() - 30 });
    shop.comes(&mut Browser::default(), 0, ("7", ""), skewed).await.expect(200);
    shop.stop().await;
}

async fn i10_unknown_keys_fetch_the_key_set_once_per_cool_down_and_keep_nobody_waiting(shop: Shop) {
    let provider = &shop.providers[0];
    let ada = ("1", "ada@example.org");
    shop.comes(&mut Browser::default(), 0, ada, json!({})).await.expect(200);
    assert_eq!(provider.fetched(), 1);
    let began = tokio::time::Instant::now();
    // An account begins thirty sessions an hour, so the good ones are of several people.
    let (mut bad, mut good) = (0, 0);
    for round in 0..20 {
        for _ in 0..10 {
            let mut browser = Browser::default();
            let asked = shop.leave(&mut browser, 0).await;
            let claims = provider.claims("1", "", &asked.0["nonce"]);
            let head = json!({ "alg": "EdDSA", "kid": Uuid::new_v4().to_string() });
            let answer = shop.back(&mut browser, 0, &asked, provider.token(&head, &claims)).await;
            assert_eq!(answer.status.as_u16(), 401);
            bad += 1;
        }
        let who = format!("good-{}", round % 4);
        let email = format!("{who}@example.org");
        shop.comes(&mut Browser::default(), 0, (&who, &email), json!({})).await.expect(200);
        good += 1;
    }
    let most = 1 + u32::try_from(began.elapsed().as_secs() / 10).unwrap() + 1;
    assert!(
        provider.fetched() <= most,
        "{} fetches for {bad} unknown keys and {good} good ones",
        provider.fetched()
    );
    // It really rotates: at first its key set is broken, and then empty, which leaves the old keys.
    for keys in [Keys::Broken, Keys::Empty] {
        provider.answer_keys(keys);
        let before = provider.fetched();
        eventually("the key set is fetched again", Duration::from_secs(30), async || {
            let mut browser = Browser::default();
            let asked = shop.leave(&mut browser, 0).await;
            let head = json!({ "alg": "EdDSA", "kid": "unknown" });
            let token = provider.token(&head, &provider.claims("1", "", &asked.0["nonce"]));
            shop.back(&mut browser, 0, &asked, token).await.expect(401);
            provider.fetched() > before
        })
        .await;
        let who = ("good-0", "");
        shop.comes(&mut Browser::default(), 0, who, json!({})).await.expect(200);
    }
    provider.answer_keys(Keys::There);
    provider.rotate("two");
    eventually("the new key works", Duration::from_secs(11), async || {
        let answer = shop.comes(&mut Browser::default(), 0, ("good-1", ""), json!({})).await;
        answer.status.as_u16() == 200
    })
    .await;
    shop.stop().await;
}

async fn roles_of_claims_count_in_sessions_of_their_provider_alone_and_are_taken_back(shop: Shop) {
    let grace = ("g", "grace@example.org");
    // Nobody without a role comes in by the provider of staff, and none for customers gives roles.
    refused(
        &shop.comes(&mut Browser::default(), 2, grace, json!({ "groups": ["others"] })).await,
        403,
        "alert",
    );
    let mut customer = Browser::default();
    shop.comes(&mut customer, 0, ("c", "c@example.org"), json!({ "groups": ["bosses"] })).await.expect(200);
    shop.get(&mut customer, "/audit/timeline").await.expect(403);
    let mut browser = Browser::default();
    shop.comes(&mut browser, 2, grace, json!({ "groups": ["bosses", "x"] })).await.expect(200);
    shop.get(&mut browser, "/audit/timeline").await.expect(200);
    let identity = shop.served.shop.identity().unwrap();
    let accounts = identity.accounts().await.unwrap();
    let id = accounts.iter().find(|one| one.roles == ["admin"]).unwrap().id;
    // A password of one's own does not bring them along.
    let cause = soonshop_identity::Cause::system();
    let link = shop.providers[2].issuer().to_owned();
    assert!(identity.linked_providers(id).await.unwrap().iter().any(|one| one.issuer == link));
    let db = shop.served.shop.store_database.namespace("identity").unwrap();
    let hash = shop.open("other@example.org", "customer").await;
    let copy = format!(
        "UPDATE @accounts SET password = (SELECT password FROM @accounts WHERE id = '{hash}') WHERE id = '{id}'"
    );
    db.connection.execute(db.statement(&copy, [])).await.unwrap();
    let mut own = Browser::default();
    shop.signs_in(&mut own, "grace@example.org").await;
    shop.get(&mut own, "/audit/timeline").await.expect(403);
    // The group is another one at the next sign-in, then none.
    let mut later = Browser::default();
    shop.comes(&mut later, 2, grace, json!({ "groups": "helpers" })).await.expect(200);
    assert_eq!(
        identity.accounts().await.unwrap().iter().find(|one| one.id == id).unwrap().roles,
        ["support"]
    );
    refused(&shop.comes(&mut Browser::default(), 2, grace, json!({ "groups": [] })).await, 403, "alert");
    for old in [&mut browser, &mut later] {
        shop.get(old, "/audit/timeline").await.expect(403);
    }
    assert!(identity.set_roles(id, &soonshop_identity::Roles::given(["auditor"]), &cause).await.unwrap());
    shop.comes(&mut browser, 2, grace, json!({})).await.expect(200);
    shop.get(&mut browser, "/audit/timeline").await.expect(200);
    let events = shop.events(id, 6).await;
    let changed = events.iter().filter(|event| *event == "RolesChanged").count();
    assert_eq!(changed, 3, "{events:?}");
    shop.stop().await;
}

async fn i07_who_is_disabled_or_erased_on_the_way_is_not_signed_in(shop: Shop) {
    let ada = ("1", "ada@example.org");
    shop.comes(&mut Browser::default(), 0, ada, json!({})).await.expect(200);
    let identity = shop.served.shop.identity().unwrap();
    let id = identity.accounts().await.unwrap().remove(0).id;
    let mut browser = Browser::default();
    let asked = shop.leave(&mut browser, 0).await;
    identity.disable(id, "left", &soonshop_identity::Cause::system()).await.unwrap();
    let provider = &shop.providers[0];
    let token = provider.token(&provider.head(), &provider.claims("1", "", &asked.0["nonce"]));
    refused(&shop.back(&mut browser, 0, &asked, token).await, 401, "role=\"alert\"");
    assert!(!browser.is_signed_in());
    identity.enable(id, "mistake", &soonshop_identity::Cause::system()).await.unwrap();
    shop.served
        .client
        .operate(&format!("/people/{id}/erasures"), &json!({ "purposes": ["account"] }))
        .await
        .expect(200);
    eventually("nothing is left", Duration::from_secs(60), async || {
        shop.number("SELECT (SELECT count(*) FROM @accounts) + (SELECT count(*) FROM @providers)").await == 0
    })
    .await;
    // The same person is a stranger now.
    shop.comes(&mut browser, 0, ada, json!({})).await.expect(200);
    assert_ne!(identity.accounts().await.unwrap().remove(0).id, id);
    shop.stop().await;
}
