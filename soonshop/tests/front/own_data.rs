//! What people keep with the shop beside their account: address book, consents, details; over HTTP and on the pages.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ETAG, LOCATION};
use serde_json::{Value, json};
use soonshop::settle;
use soonshop_domain::{Metadata, ids};
use uuid::Uuid;

use crate::accounts::{Served, refused};
use crate::pages::Browser;

/// Somebody who sends commands.
struct Sender<'a> {
    shop: &'a Served,
    token: String,
}

impl Sender<'_> {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let mut request = self.shop.request(method, path).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    /// The user as this caller sees them, with all that was done so far.
    async fn user(&self, id: Uuid, headers: &[(&str, &str)]) -> Value {
        settle::settle(&self.shop.shop, Duration::from_mins(1)).await.unwrap();
        let got = self.send("GET", &format!("/users/{id}"), headers, &Value::Null).await;
        assert_eq!(got.status(), 200);
        got.json().await.unwrap()
    }
}

fn address(city: &str, default_shipping: bool) -> Value {
    json!({ "label": "home", "name": "Ada King", "street": "7 Hidden Mews\nFlat 2", "postal_code": "SW1A 1AA", "city": city,
        "country": "gb", "phone": "+44 20 7946 0000", "default_shipping": default_shipping, "default_billing": true })
}

fn etag(response: &Response) -> String {
    response.headers()[ETAG].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_keeps_an_address_book_that_nobody_else_reads_or_changes_and_that_is_erased() {
    let (shop, accounts) = Served::with(&["customer", "customer other@example.org", "support"]).await;
    let (ada, other) = (&accounts[0], &accounts[1]);
    let of = async |account| Sender { shop: &shop, token: shop.sign_in(account).await.0 };
    let (owner, stranger, support) = (of(ada).await, of(other).await, of(&accounts[2]).await);
    let operator = Sender { shop: &shop, token: shop.shop.operator_token().unwrap().to_string() };
    let book = format!("/users/{}/addresses", ada.id());

    let key = ids::new().to_string();
    let key = [("idempotency-key", key.as_str())];
    let added = owner.send("POST", &book, &key, &address("London", true)).await;
    assert_eq!(added.status(), 201);
    let (first, version) = (added.headers()[LOCATION].to_str().unwrap().to_owned(), etag(&added));
    assert!(first.starts_with(&format!("{book}/")), "{first}");
    let again = owner.send("POST", &book, &key, &address("London", true)).await;
    assert_eq!((again.status().as_u16(), again.headers()[LOCATION].to_str().unwrap()), (201, first.as_str()));
    let second = owner.send("POST", &book, &[], &address("Paris", true)).await;
    let stale = [("if-match", version.as_str())];
    let refused_stale = owner.send("PUT", &first, &stale, &address("Rome", false)).await;
    assert_eq!(refused(refused_stale).await, (412, "stale-version".to_owned()));
    let fresh = etag(&second);
    let changed = owner.send("PUT", &first, &[("if-match", &fresh)], &address("Rome", false)).await;
    assert_eq!(changed.status(), 200);

    // Nobody else adds, changes or removes; what is not there looks the same.
    for (method, path) in [("POST", &book), ("PUT", &first), ("DELETE", &first)] {
        let body = if method == "DELETE" { Value::Null } else { address("Berlin", false) };
        let got = stranger.send(method, path, &[("if-match", "*")], &body).await;
        assert_eq!(refused(got).await, (403, "not-yours".to_owned()), "{method}");
    }
    let nobody = format!("{book}/{}", Uuid::from_u128(7));
    let missing = owner.send("PUT", &nobody, &[("if-match", "*")], &address("Berlin", false)).await;
    assert_eq!(refused(missing).await, (404, "address-not-found".to_owned()));
    let mut bad = address("London", false);
    bad["country"] = json!("England");
    let bad = owner.send("POST", &book, &[], &bad).await;
    assert_eq!(refused(bad).await, (422, "invalid-body".to_owned()));

    // Who sees what: the owner all, support names and numbers for a reason, a stranger nothing.
    let seen = owner.user(ada.id(), &[]).await;
    let (one, two) = (&seen["addresses"][0], &seen["addresses"][1]);
    assert_eq!((&one["city"], &one["street"]), (&json!("Rome"), &json!("7 Hidden Mews\nFlat 2")));
    assert_eq!((&one["default_shipping"], &two["default_shipping"]), (&json!(false), &json!(true)));
    assert_eq!((&one["default_billing"], &one["country"]), (&json!(true), &json!("GB")));
    let masked = json!({ "personal": "masked" });
    let plainly = support.user(ada.id(), &[]).await["addresses"][0].clone();
    assert_eq!((&plainly["city"], &plainly["name"]), (&masked, &masked));
    let asked = support.user(ada.id(), &[("x-reason", "customer-request")]).await["addresses"][0].clone();
    assert_eq!((&asked["name"], &asked["city"]), (&json!("Ada King"), &masked));
    let strange = stranger.send("GET", &format!("/users/{}", ada.id()), &[], &Value::Null).await;
    assert_eq!(strange.status(), 404);
    let listed = support.send("GET", "/users", &[], &Value::Null).await.text().await.unwrap();
    assert!(!listed.contains("addresses") && !listed.contains("Rome"), "{listed}");
    let past = format!("/users/{}?as_of=v:2", ada.id());
    let past: Value = owner.send("GET", &past, &[], &Value::Null).await.json().await.unwrap();
    assert_eq!(past["state"]["addresses"][0]["city"], "London", "{past}");
    let past: Value = support
        .send("GET", &format!("/users/{}?as_of=v:2", ada.id()), &[], &Value::Null)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(past["state"]["addresses"][0]["city"]["personal"], "masked", "{past}");

    let gone = owner.send("DELETE", &first, &[("if-match", "*")], &Value::Null).await;
    assert_eq!(gone.status(), 204);
    assert_eq!(owner.user(ada.id(), &[]).await["addresses"].as_array().unwrap().len(), 1);

    // Erased: neither the log with the keys that are left, nor the read model, nor the trail has any of it.
    let erase = json!({ "purposes": ["account"] });
    let path = format!("/people/{}/erasures", ada.id());
    assert_eq!(operator.send("POST", &path, &[], &erase).await.status(), 200);
    settle::settle(&shop.shop, Duration::from_mins(1)).await.unwrap();
    let erased = async || {
        let path = format!("/api/audit/timeline?q=id:{}", ada.id());
        operator.send("GET", &path, &[], &Value::Null).await.text().await.unwrap().contains("PersonErased")
    };
    while !erased().await {}
    settle::settle(&shop.shop, Duration::from_mins(1)).await.unwrap();
    let path = format!("/users/{}?as_of=v:2", ada.id());
    let past = operator.send("GET", &path, &[], &Value::Null).await.text().await.unwrap();
    for secret in ["London", "Hidden Mews", "SW1A", "7946"] {
        assert!(!past.contains(secret), "{past}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_agrees_for_themselves_and_who_does_it_for_them_says_why() {
    let (shop, accounts) = Served::with(&["customer", "customer other@example.org", "support"]).await;
    let ada = &accounts[0];
    let of = async |account| Sender { shop: &shop, token: shop.sign_in(account).await.0 };
    let (owner, stranger, support) = (of(ada).await, of(&accounts[1]).await, of(&accounts[2]).await);
    let path = |medium: &str| format!("/users/{}/consents/{medium}", ada.id());
    let any = ("if-match", "*");
    let give = json!({ "given": true, "wording": "2026-11", "language": "zh-CN" });
    let withdraw = json!({ "given": false });

    let given = owner.send("PUT", &path("email"), &[any], &give).await;
    assert_eq!(given.status(), 200);
    let version = etag(&given);
    let again = owner.send("PUT", &path("email"), &[any], &give).await;
    assert_eq!((again.status().as_u16(), etag(&again)), (200, version), "the same words are one consent");
    for (body, pointer) in [
        (json!({ "given": true }), "/wording"),
        (json!({ "given": true, "wording": "2026-11" }), "/language"),
        (json!({ "given": true, "wording": "Yes!", "language": "en" }), "/wording"),
        (json!({ "given": false, "wording": "2026-11" }), "/wording"),
    ] {
        let got = owner.send("PUT", &path("email"), &[any], &body).await;
        assert_eq!(got.status(), 422);
        let problem: Value = got.json().await.unwrap();
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let medium = owner.send("PUT", &path("fax"), &[any], &give).await;
    assert_eq!(refused(medium).await, (400, "invalid-id".to_owned()));
    let strange = stranger.send("PUT", &path("sms"), &[any], &give).await;
    assert_eq!(refused(strange).await, (403, "not-yours".to_owned()));
    let unsaid = support.send("PUT", &path("sms"), &[any], &give).await;
    assert_eq!(refused(unsaid).await, (422, "reason-required".to_owned()));
    let why = ("x-reason", "customer-request");
    assert_eq!(support.send("PUT", &path("sms"), &[any, why], &give).await.status(), 200);
    assert_eq!(owner.send("PUT", &path("sms"), &[any], &withdraw).await.status(), 200);

    let seen = owner.user(ada.id(), &[]).await["consents"].clone();
    assert_eq!(seen.as_array().unwrap().len(), 2, "{seen}");
    let of_email =
        json!({ "medium": "email", "given": true, "wording": "2026-11", "language": "zh-CN", "via": "api" });
    for (name, value) in of_email.as_object().unwrap() {
        assert_eq!(seen[0][name], *value, "{seen}");
    }
    assert_eq!(
        (&seen[1]["medium"], &seen[1]["given"], &seen[1]["wording"]),
        (&json!("sms"), &json!(false), &Value::Null)
    );
    let rows = shop.shop.log().unwrap().stream("user", &ada.id.to_string(), 1, 10).await.unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row.event_type.as_str()).collect();
    assert_eq!(kinds, ["ConsentGiven", "ConsentGiven", "ConsentWithdrawn"]);
    let metadata: Metadata = serde_json::from_str(&rows[1].metadata).unwrap();
    assert_eq!(metadata.reason_code.as_deref(), Some("customer-request"));
    assert_eq!(metadata.actor().unwrap().to_string(), format!("staff:{}", accounts[2].id()));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_an_account_changes_details_addresses_and_consents_on_pages() {
    let (shop, accounts) = Served::with(&["customer", "customer other@example.org"]).await;
    let (ada, other) = (&accounts[0], &accounts[1]);
    let mut browser = Browser::of(&shop);
    for path in ["/account/profile", "/account/addresses", "/account/consents"] {
        let got = browser.open("GET", path).await;
        assert_eq!(got.status(), 303, "{path}: nobody is signed in");
    }
    browser.signs_in(ada.email(), ada.password(), "", "/account").await;

    let refused = browser.send("/account/profile?lang=en", &[("name", "a\tb"), ("phone", "1")]).await;
    assert_eq!(refused.status(), 422);
    browser
        .goes("/account/profile", &[("name", "Ada King"), ("phone", "+44 1")], "/account?done=profile")
        .await;
    let page = browser.page("/account/profile?lang=en").await;
    assert!(page.contains("value=\"Ada King\"") && page.contains("value=\"+44 1\""), "{page}");
    assert!(browser.page("/account?lang=en").await.contains(ada.email()), "the address stays");

    let form = Uuid::from_u128(5).to_string();
    let fields = |city: &'static str, country: &'static str| {
        [
            ("label", "<b>home</b>"),
            ("name", "Ada King"),
            ("street", "7 Hidden Mews\r\nFlat 2"),
            ("city", city),
            ("country", country),
            ("default_shipping", "yes"),
        ]
    };
    let with_form = |city, country| [&fields(city, country)[..], &[("form", form.as_str())]].concat();
    let refused = browser.send("/account/address?lang=en", &with_form("London", "England")).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("The country is a code of two letters") && page.contains("Flat 2"), "{page}");
    // Sent twice by an impatient hand.
    for _ in 0..2 {
        browser.goes("/account/address", &with_form("London", "gb"), "/account/addresses?done=address").await;
    }
    let page = browser.page("/account/addresses?lang=en").await;
    assert_eq!(page.matches("<section class=\"card\"").count(), 1, "{page}");
    assert!(page.contains("&lt;b&gt;home") && page.contains("Default for shipping"), "{page}");
    let (_, rest) = page.split_once("/account/address?id=").unwrap();
    let id = &rest[..36];
    let path = format!("/account/address?id={id}");
    assert!(browser.page(&path).await.contains("value=\"London\""));
    browser.goes(&path, &with_form("Paris", "fr"), "/account/addresses?done=address").await;
    assert!(browser.page("/account/addresses").await.contains("Paris"));

    // Somebody else finds nothing there.
    let mut stranger = Browser::of(&shop);
    stranger.signs_in(other.email(), other.password(), "", "/account").await;
    assert_eq!(stranger.open("GET", &path).await.status(), 404);
    assert_eq!(stranger.send(&path, &with_form("Rome", "it")).await.status(), 404);
    stranger
        .goes("/account/addresses/removals", &[("address", id)], "/account/addresses?done=address-removed")
        .await;
    assert!(browser.page("/account/addresses").await.contains("Paris"), "it is still there");
    browser
        .goes("/account/addresses/removals", &[("address", id)], "/account/addresses?done=address-removed")
        .await;
    assert!(!browser.page("/account/addresses").await.contains("Paris"));

    for choice in ["give", "withdraw"] {
        let fields = [("medium", "email"), ("choice", choice)];
        browser.goes("/account/consents", &fields, "/account/consents").await;
    }
    let page = browser.page("/account/consents?lang=en").await;
    assert!(page.contains("account-page-1") && page.contains("on this page"), "{page}");
    assert_eq!(page.matches("<tr>").count(), 3, "{page}");
    assert_eq!(
        browser.send("/account/consents", &[("medium", "fax"), ("choice", "give")]).await.status(),
        400
    );
    let rows = shop.shop.log().unwrap().stream("user", &ada.id().to_string(), 1, 20).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&rows[0].metadata).unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), format!("customer:{}", ada.id()));
    assert!(metadata.session_id.is_some());
    shop.stop().await;
}
