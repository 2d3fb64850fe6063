//! Passkeys over HTTP: added, given at the second step of a sign-in and for step-up, and removed; by the API and on pages.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::accounts::{Opened, Served, refused, tokens};
use crate::authenticator::{Authenticator, Pair};
use crate::pages::Browser;

/// The public address, behind a proxy that adds a port.
const ADDRESS: &str = "https://shop.example:8443/en";
const SITE: (&str, &str) = ("shop.example", "https://shop.example:8443");

async fn shop(role: &str) -> (Served, Opened) {
    let with = |config: &mut soonshop::Config| config.mail.public_url = Some(ADDRESS.to_owned());
    let (shop, mut accounts) = Served::configured(&[role], with).await;
    (shop, accounts.remove(0))
}

async fn send(shop: &Served, token: &str, path: &str, body: &Value) -> Response {
    shop.client.post(shop.url(path)).bearer_auth(token).json(body).send().await.unwrap()
}

async fn json(response: Response) -> Value {
    let status = response.status();
    let value = response.json().await.unwrap();
    assert_eq!(status, 200, "{value}");
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_added_and_given_in_the_form_that_browsers_write() {
    let (shop, ada) = shop("customer").await;
    let (access, _) = shop.sign_in(&ada).await;
    let wanted = |name: &str, password: &str| json!({ "name": name, "password": password });
    let wrong = send(&shop, &access, "/auth/passkeys", &wanted("Laptop", "a wrong password")).await;
    assert_eq!(refused(wrong).await, (422, "wrong-password".to_owned()));
    let nameless = send(&shop, &access, "/auth/passkeys", &wanted(" ", ada.password())).await;
    assert_eq!(refused(nameless).await, (422, "invalid-body".to_owned()));
    let none = send(&shop, &access, "/auth/step-up/options", &json!({})).await;
    assert_eq!(refused(none).await, (409, "no-passkey".to_owned()));

    let started = json(send(&shop, &access, "/auth/passkeys", &wanted("Laptop", ada.password())).await).await;
    assert_eq!(started["options"]["rp"]["id"], SITE.0);
    let proof = format!("/auth/passkeys/{}/proof", started["id"].as_str().unwrap());
    let mut device = Authenticator::of(Pair::p256(), SITE);
    let made = json!({ "passkey": device.makes(&started["options"]) });
    let codes = json(send(&shop, &access, &proof, &made).await).await;
    assert_eq!(codes["recovery_codes"].as_array().unwrap().len(), 10);
    let again = send(&shop, &access, &proof, &made).await;
    assert_eq!(refused(again).await, (404, "factor-not-found".to_owned()));
    let listed = json(shop.with_token("GET", "/auth/factors", &access).await).await;
    let one = &listed["items"][0];
    assert_eq!((&one["kind"], &one["name"]), (&json!("passkey"), &json!("Laptop")), "{listed}");

    let login = json!({ "email": ada.email(), "password": ada.password() });
    let waits = shop.post("/auth/login", &login).await;
    assert_eq!(waits.status(), 202);
    let waits: Value = waits.json().await.unwrap();
    let pending = &waits["pending_token"];
    let ask = json!({ "pending_token": pending });
    let asked = json(shop.post("/auth/second-factor/options", &ask).await).await;
    let answer = device.answers(&asked["options"]);
    for body in [
        json!({ "pending_token": pending }),
        json!({ "pending_token": pending, "code": "123456", "passkey": answer }),
        json!({ "pending_token": pending, "passkey": answer.to_string() }),
        json!({ "pending_token": pending, "code": answer.to_string() }),
    ] {
        let got = shop.post("/auth/second-factor", &body).await;
        assert_eq!(refused(got).await, (422, "invalid-body".to_owned()), "{body}");
    }
    let give = json!({ "pending_token": pending, "passkey": answer });
    tokens(shop.post("/auth/second-factor", &give).await).await;
    let ended = (401, "sign-in-ended".to_owned());
    assert_eq!(refused(shop.post("/auth/second-factor", &give).await).await, ended);
    assert_eq!(refused(shop.post("/auth/second-factor/options", &ask).await).await, ended);

    let options = json(send(&shop, &access, "/auth/step-up/options", &json!({})).await).await;
    let answer = json!({ "passkey": device.answers(&options["options"]) });
    assert_eq!(send(&shop, &access, "/auth/step-up", &answer).await.status(), 204);
    let twice = send(&shop, &access, "/auth/step-up", &answer).await;
    assert_eq!(refused(twice).await, (422, "wrong-passkey".to_owned()));
    device.counter = Some(1);
    let options = json(send(&shop, &access, "/auth/step-up/options", &json!({})).await).await;
    let answer = json!({ "passkey": device.answers(&options["options"]) });
    let copied = send(&shop, &access, "/auth/step-up", &answer).await;
    assert_eq!(refused(copied).await, (422, "copied-passkey".to_owned()));

    let path = format!("/auth/factors/{}", one["id"].as_str().unwrap());
    assert_eq!(shop.with_token("DELETE", &path, &access).await.status(), 204);
    tokens(shop.post("/auth/login", &login).await).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_passkey_is_offered_where_the_public_address_has_no_name() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let ada = &accounts[0];
    let (access, _) = shop.sign_in(ada).await;
    let body = json!({ "name": "Laptop", "password": ada.password() });
    let got = send(&shop, &access, "/auth/passkeys", &body).await;
    assert_eq!(refused(got).await, (409, "passkeys-not-offered".to_owned()));
    let mut browser = Browser::of(&shop);
    browser.signs_in(ada.email(), ada.password(), "/account/factors", "/account/factors").await;
    assert!(!browser.page("/account/factors").await.contains("passkeys"));
    shop.stop().await;
}

/// What a page asks the script to do, between quotes.
fn options(page: &str) -> Value {
    let (_, rest) = page.split_once("data-new-passkey=\"").unwrap_or_else(|| panic!("{page}"));
    serde_json::from_str(&rest.split('"').next().unwrap().replace("&quot;", "\"")).unwrap()
}

/// The value of a hidden field.
fn hidden<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hand_the_script_what_to_ask_and_take_its_answer() {
    let (shop, ada) = shop("customer").await;
    let mut browser = Browser::of(&shop);
    browser.signs_in(ada.email(), ada.password(), "/account/factors", "/account/factors").await;
    let page = browser.page("/account/factors?lang=en").await;
    assert!(
        page.contains("data-needs-script") && page.contains("action=\"/account/factors/passkeys\""),
        "{page}"
    );
    let ask = "/account/passkey-requests";
    assert_eq!(browser.send(ask, &[]).await.status(), StatusCode::NO_CONTENT, "there is none to ask");
    let add = async |name: &str, password: &str| {
        browser.send("/account/factors/passkeys?lang=en", &[("name", name), ("password", password)]).await
    };
    for (name, password) in [("Laptop", "a wrong password"), ("", ada.password())] {
        let again = add(name, password).await;
        assert_eq!(again.status(), 422, "{name}");
        assert!(again.text().await.unwrap().contains("role=\"alert\""), "{name}");
    }
    let page = add("Ada's <laptop>", ada.password()).await.text().await.unwrap();
    let mut device = Authenticator::of(Pair::ed25519(), SITE);
    let mut strange = Authenticator::of(Pair::ed25519(), ("shop.example", "https://evil.example"));
    let prove = async |page: &str, made: Value| {
        let fields = [("factor", hidden(page, "factor")), ("code", &made.to_string())];
        browser.send("/account/factors/passkeys/proofs?lang=en", &fields).await
    };
    assert_eq!(prove(&page, strange.makes(&options(&page))).await.status(), 422);
    let page = add("Ada's <laptop>", ada.password()).await.text().await.unwrap();
    let proved = prove(&page, device.makes(&options(&page))).await.text().await.unwrap();
    assert_eq!(proved.split("<li><code>").count(), 11, "{proved}");
    let listed = browser.page("/account/factors?lang=en").await;
    assert!(listed.contains("Ada's &lt;laptop&gt;"), "{listed}");

    let fields = [("email", ada.email()), ("password", ada.password()), ("next", "/account/sessions")];
    let waits = Browser::of(&shop).send("/account/sign-in", &fields).await.text().await.unwrap();
    assert!(waits.contains(&format!("data-passkey=\"{ask}\"")), "{waits}");
    assert!(waits.contains("<script type=\"module\" src=\"/audit/passkeys.js\">"), "{waits}");
    let token = hidden(&waits, "token");
    let asked = json(Browser::of(&shop).send(ask, &[("token", token)]).await).await;
    let answer = device.answers(&asked).to_string();
    let fields = [("token", token), ("code", &answer), ("next", "/account/sessions")];
    let began = Browser::of(&shop).send("/account/second-factor", &fields).await;
    assert_eq!(
        (began.status().as_u16(), &began.headers()[LOCATION]),
        (303, &"/account/sessions".parse().unwrap())
    );

    let asked = json(browser.send(ask, &[]).await).await;
    strange.id.clone_from(&device.id);
    let wrong = strange.answers(&asked).to_string();
    let fields = [("code", wrong.as_str()), ("to", "/account/factors")];
    let again = browser.send("/account/step-up?lang=en", &fields).await;
    assert_eq!(again.status(), 422);
    assert!(again.text().await.unwrap().contains("The answer of the passkey was refused"));
    let asked = json(browser.send(ask, &[]).await).await;
    let answer = device.answers(&asked).to_string();
    let fields = [("code", answer.as_str()), ("to", "/account/factors")];
    browser.goes("/account/step-up", &fields, "/account/factors").await;
    let factor = hidden(&listed, "factor");
    browser.goes("/account/factors/removals", &[("factor", factor)], "/account/factors").await;
    assert!(!browser.page("/account/factors").await.contains("name=\"factor\""));
    shop.stop().await;
}
