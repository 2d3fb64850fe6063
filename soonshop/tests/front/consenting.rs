//! Clients of OAuth that act for people, who sign in and consent in a browser: from the request to the tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use reqwest::header::{CONTENT_SECURITY_POLICY, COOKIE, LOCATION, SET_COOKIE};
use ring::digest::{SHA256, digest};
use serde_json::json;
use soonshop_domain::Metadata;
use url::Url;
use uuid::Uuid;

use crate::accounts::{Opened, Served, form, refused};
use crate::oauth::{CALLBACK, Client, ISSUER, VERIFIER, error, good, post, register, text, until_refused};

/// A browser in which somebody is signed in.
pub(crate) struct Browser<'s> {
    shop: &'s Served,
    cookie: String,
}

impl<'s> Browser<'s> {
    pub(crate) async fn signed_in(shop: &'s Served, account: &Opened) -> Self {
        let fields = [("email", account.email()), ("password", account.password()), ("next", "/account")];
        let got = form(shop.request("POST", "/account/sign-in"), &fields).send().await.unwrap();
        assert_eq!(got.status(), 303);
        let set = got.headers().get_all(SET_COOKIE).iter().map(|set| set.to_str().unwrap());
        let set = set.into_iter().find(|set| set.starts_with("soonshop_session=")).unwrap();
        Self { shop, cookie: set.split(';').next().unwrap().to_owned() }
    }

    pub(crate) async fn open(&self, path: &str) -> Response {
        self.shop.request("GET", path).header(COOKIE, &self.cookie).send().await.unwrap()
    }

    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        form(self.shop.request("POST", path).header(COOKIE, &self.cookie), fields).send().await.unwrap()
    }

    /// Consents to what this address asks, and says where it leads.
    pub(crate) async fn consents(&self, fields: &[(&str, &str)]) -> Url {
        let mut fields = fields.to_vec();
        fields.push(("decision", "allow"));
        leads_to(&self.send("/oauth/authorize", &fields).await)
    }
}

pub(crate) fn leads_to(response: &Response) -> Url {
    assert_eq!(response.status(), 303);
    Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap()
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

pub(crate) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()))
}

pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/oauth/authorize?{query}")
}

/// What a client asks for that does everything right.
pub(crate) struct Asks {
    client: String,
    challenge: String,
}

impl Asks {
    pub(crate) fn of(client: &Client) -> Self {
        Self { client: client.id.to_string(), challenge: challenge() }
    }

    pub(crate) fn fields<'f>(&'f self, redirect: &'f str, scope: &'f str) -> Vec<(&'f str, &'f str)> {
        vec![
            ("response_type", "code"),
            ("client_id", &self.client),
            ("redirect_uri", redirect),
            ("scope", scope),
            ("state", "a&b c"),
            ("code_challenge", &self.challenge),
            ("code_challenge_method", "S256"),
        ]
    }
}

pub(crate) async fn redeem(shop: &Served, client: &Client, code: &str) -> Response {
    let more = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    post(shop, "/oauth/token", client, &more).await
}

/// A code for everything in this scope.
pub(crate) async fn code(browser: &Browser<'_>, client: &Client, scope: &str) -> String {
    let asks = Asks::of(client);
    parameter(&browser.consents(&asks.fields(CALLBACK, scope)).await, "code").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_consents_once_and_the_client_acts_for_them_until_they_withdraw() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own", "trade"], false).await;
    let asks = Asks::of(&app);
    let address = query(&asks.fields(CALLBACK, "own"));
    // From another site without the cookie: a page that goes on; then the page to sign in on, which leads back.
    let first = shop.request("GET", &address).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert!(first.text().await.unwrap().contains("http-equiv=\"refresh\""));
    let door = shop.request("GET", &address).header("sec-fetch-site", "same-origin").send().await.unwrap();
    let door = door.headers()[LOCATION].to_str().unwrap().to_owned();
    let door = Url::parse(&format!("{ISSUER}{door}")).unwrap();
    assert_eq!((door.path(), parameter(&door, "next")), ("/account/sign-in", Some(address.clone())));

    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let page = browser.open(&address).await;
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    let page = page.text().await.unwrap();
    for there in ["The app", "customer@example.org", "https://app.example", "See and place orders of yours"] {
        assert!(page.contains(there), "{there} in {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    // Denied: no code.
    let mut denied = asks.fields(CALLBACK, "own");
    denied.push(("decision", "deny"));
    let denied = leads_to(&browser.send("/oauth/authorize", &denied).await);
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!((parameter(&denied, "code"), parameter(&denied, "state").as_deref()), (None, Some("a&b c")));
    let back = browser.consents(&asks.fields(CALLBACK, "own")).await;
    assert!(back.as_str().starts_with("https://app.example/cb?code=ssa_"), "{back}");
    assert_eq!(
        (parameter(&back, "state").as_deref(), parameter(&back, "iss").as_deref()),
        (Some("a&b c"), Some(ISSUER))
    );
    let got = good(redeem(&shop, &app, &parameter(&back, "code").unwrap()).await).await;
    let (access, refresh) = (text(&got, "access_token").to_owned(), text(&got, "refresh_token").to_owned());
    assert_eq!(text(&got, "scope"), "own");
    // What is theirs, and nothing of the account itself.
    let ada = accounts[0].id;
    let change =
        shop.request("PUT", &format!("/users/{ada}")).bearer_auth(&access).header("if-match", "\"1\"");
    let change =
        change.json(&json!({ "name": "Ada", "email": "customer@example.org" })).send().await.unwrap();
    assert_eq!(change.status(), 200);
    let rows = shop.shop.log().unwrap().stream("user", &ada.to_string(), 1, 1).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&rows[0].metadata).unwrap();
    assert!(
        metadata.session_id.is_some() && metadata.actor().unwrap().to_string() == format!("customer:{ada}")
    );
    for (method, path) in [
        ("GET", "/auth/sessions"),
        ("POST", "/auth/logout"),
        ("POST", "/auth/logout-everywhere"),
        ("POST", "/auth/recovery-codes"),
        ("POST", "/auth/step-up/options"),
        ("GET", "/auth/factors"),
    ] {
        let got = refused(shop.with_token(method, path, &access).await).await;
        assert_eq!(got, (403, "not-permitted".to_owned()), "{path}");
    }
    for path in ["/account", "/account/sessions", "/account/clients", &address] {
        let got = shop.with_token("GET", path, &access).await;
        let to = got.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
        assert!(got.status() == 303 && to.starts_with("/account/sign-in"), "{path}: {} {to}", got.status());
    }
    // Nor does their own access token consent: it is no session of a browser.
    let (own, _) = shop.sign_in(&accounts[0]).await;
    let got = shop.with_token("GET", &address, &own).await;
    assert!(got.headers()[LOCATION].to_str().unwrap().starts_with("/account/sign-in"));
    // Remembered: the next code comes at once, after a form of ours as a page that goes on; for more, it is asked again.
    let request = shop.request("GET", &address).header(COOKIE, &browser.cookie);
    let page = request.header("sec-fetch-site", "same-origin").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("0;url=https://app.example/cb?code=ssa_"), "{page}");
    let again = leads_to(&browser.open(&address).await);
    good(redeem(&shop, &app, &parameter(&again, "code").unwrap()).await).await;
    assert_eq!(browser.open(&query(&asks.fields(CALLBACK, "own trade"))).await.status(), 200);
    // Its owner sees it, and withdraws.
    let page = browser.open("/account/sessions").await.text().await.unwrap();
    assert!(page.contains("The app"), "{page}");
    let page = browser.open("/account/clients").await.text().await.unwrap();
    assert!(page.contains("The app") && page.contains(&app.id.to_string()), "{page}");
    let unused = leads_to(&browser.open(&address).await);
    let withdrawn = browser.send("/account/clients/withdrawals", &[("client", &app.id.to_string())]).await;
    assert_eq!(withdrawn.status(), 303);
    assert!(until_refused(&shop, "/orders", &access).await < Duration::from_secs(3));
    let more = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let invalid = (400, "invalid_grant".to_owned());
    assert_eq!(error(post(&shop, "/oauth/token", &app, &more).await).await, invalid);
    assert_eq!(error(redeem(&shop, &app, &parameter(&unused, "code").unwrap()).await).await, invalid);
    assert_eq!(browser.open(&address).await.status(), 200, "it is asked again");
    shop.stop().await;
}

/// I16.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_challenge_of_s256_there_is_no_code_and_without_its_verifier_no_token() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own"], false).await;
    let public = register(&shop, &[CALLBACK], &["own"], true).await;
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    for client in [&app, &public] {
        let asks = Asks::of(client);
        let all = asks.fields(CALLBACK, "own");
        let without = |names: &[&str]| {
            all.iter().filter(|(name, _)| !names.contains(name)).copied().collect::<Vec<_>>()
        };
        let mut plain = without(&["code_challenge", "code_challenge_method"]);
        plain.extend([("code_challenge", VERIFIER), ("code_challenge_method", "plain")]);
        let mut lower = without(&["code_challenge_method"]);
        lower.push(("code_challenge_method", "s256"));
        for fields in [
            without(&["code_challenge", "code_challenge_method"]),
            without(&["code_challenge"]),
            without(&["code_challenge_method"]),
            plain,
            lower,
        ] {
            for response in [browser.open(&query(&fields)).await, {
                let mut fields = fields.clone();
                fields.push(("decision", "allow"));
                browser.send("/oauth/authorize", &fields).await
            }] {
                let back = leads_to(&response);
                assert!(back.as_str().starts_with("https://app.example/cb?error=invalid_request&"), "{back}");
                assert_eq!(parameter(&back, "code"), None);
            }
        }
    }
    let code = code(&browser, &app, "own").await;
    let invalid = (400, "invalid_grant".to_owned());
    let grant = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    assert_eq!(error(post(&shop, "/oauth/token", &app, &grant).await).await, invalid);
    for verifier in ["a".repeat(43), challenge(), VERIFIER[1..].to_owned()] {
        let with = [&grant[..], &[("code_verifier", verifier.as_str())]].concat();
        assert_eq!(error(post(&shop, "/oauth/token", &app, &with).await).await, invalid, "{verifier}");
    }
    // A verifier that was wrong used nothing up.
    good(redeem(&shop, &app, &code).await).await;
    shop.stop().await;
}

/// I17.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_that_is_not_the_registered_text_is_a_page_and_leads_nowhere() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own"], false).await;
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let asks = Asks::of(&app);
    let good_code = code(&browser, &app, "own").await;
    for redirect in [
        "https://app.example/cb/",
        "https://app.example/cb?x=1",
        "https://app.example/cb#f",
        "https://app.example@evil.example/cb",
        "https://app.example%2F@evil.example/cb",
        "https://app.example:443/cb",
        "HTTPS://app.example/cb",
        "https://app.example\\@evil.example/cb",
        "https://app.example.evil.example/cb",
        "http://app.example/cb",
        "https://app.example/cb ",
        "",
    ] {
        let fields = asks.fields(redirect, "own");
        let mut allowed = fields.clone();
        allowed.push(("decision", "allow"));
        for response in
            [browser.open(&query(&fields)).await, browser.send("/oauth/authorize", &allowed).await]
        {
            assert!(response.status() == 400 && !response.headers().contains_key(LOCATION), "{redirect}");
            let page = response.text().await.unwrap();
            // The address itself is repeated where it only changes the look.
            let leads_away = page.contains("href=\"http") || page.contains("url=http");
            assert!(page.contains("<html") && !leads_away, "{redirect}");
        }
        // The same comparison where the code is redeemed.
        let more = [
            ("grant_type", "authorization_code"),
            ("code", good_code.as_str()),
            ("redirect_uri", redirect),
            ("code_verifier", VERIFIER),
        ];
        let got = error(post(&shop, "/oauth/token", &app, &more).await).await;
        let code = if redirect.is_empty() { "invalid_request" } else { "invalid_grant" };
        assert_eq!(got, (400, code.to_owned()), "{redirect}");
    }
    for name in ["redirect_uri", "client_id"] {
        let mut twice = asks.fields(CALLBACK, "own");
        let again = twice.iter().find(|(known, _)| *known == name).copied().unwrap();
        twice.push(again);
        let page = browser.open(&query(&twice)).await;
        assert!(page.status() == 400 && !page.headers().contains_key(LOCATION), "{name}");
    }
    for (name, value) in
        [("client_id", Uuid::nil().to_string()), ("client_id", app.id.to_string().to_uppercase())]
    {
        let fields: Vec<_> =
            asks.fields(CALLBACK, "own").into_iter().filter(|(known, _)| *known != name).collect();
        let page = browser.open(&query(&[&fields[..], &[(name, value.as_str())]].concat())).await;
        assert_eq!(page.status(), 400, "{value}");
    }
    // Everything else goes back to the client.
    let mut twice = asks.fields(CALLBACK, "own");
    twice.push(("scope", "own"));
    let back = leads_to(&browser.open(&query(&twice)).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("invalid_request"));
    let back = leads_to(&browser.open(&query(&asks.fields(CALLBACK, "own refund"))).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("invalid_scope"));
    let mut token = asks.fields(CALLBACK, "own");
    token[0] = ("response_type", "token");
    let back = leads_to(&browser.open(&query(&token)).await);
    assert_eq!(parameter(&back, "error").as_deref(), Some("unsupported_response_type"));
    // A form of another site consents to nothing.
    let mut fields = asks.fields(CALLBACK, "own");
    fields.push(("decision", "allow"));
    let request = shop.request("POST", "/oauth/authorize").header(COOKIE, &browser.cookie);
    let forged = form(request.header("origin", "https://evil.example"), &fields).send().await.unwrap();
    assert_eq!(forged.status(), 403);
    shop.stop().await;
}

/// I07: codes that were begun before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_act_by_a_client_within_its_scope_and_their_role_and_a_code_of_a_disabled_account_is_void() {
    let (shop, accounts) = Served::with(&["admin", "support"]).await;
    let (admin, support) = (&accounts[0], &accounts[1]);
    let app = register(&shop, &[CALLBACK], &["own", "trade", "audit"], false).await;
    let browser = Browser::signed_in(&shop, admin).await;
    let trade = async |token: &str, sku: &str| {
        let request = shop.request("POST", "/products").bearer_auth(token);
        let body = json!({ "name": "Mug", "variants": [{ "sku": sku }] });
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    let tokens = async |scope: &str| {
        let got = good(redeem(&shop, &app, &code(&browser, &app, scope).await).await).await;
        text(&got, "access_token").to_owned()
    };
    let (own, trades) = (tokens("own").await, tokens("trade").await);
    assert_eq!((trade(&own, "A").await, trade(&trades, "A").await), (403, 201));
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &trades).await.status(), 403);
    assert_eq!(
        shop.with_token("GET", "/products", &own).await.status(),
        403,
        "staff have nothing of their own"
    );
    // The role goes: the next request is judged by what is left.
    shop.account("auditor", admin.id).await;
    assert_eq!(trade(&trades, "B").await, 403);
    // Disabled between the code and its redemption, and between the consent and the code.
    let browser = Browser::signed_in(&shop, support).await;
    let begun = code(&browser, &app, "audit").await;
    shop.account("disable", support.id).await;
    let invalid = (400, "invalid_grant".to_owned());
    assert_eq!(error(redeem(&shop, &app, &begun).await).await, invalid);
    let door = browser.open(&query(&Asks::of(&app).fields(CALLBACK, "audit"))).await;
    assert!(door.headers()[LOCATION].to_str().unwrap().starts_with("/account/sign-in"));
    shop.account("enable", support.id).await;
    assert_eq!(error(redeem(&shop, &app, &begun).await).await, invalid, "what ended stays so");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_comes_twice_ends_the_session_that_it_began() {
    let (shop, accounts) = Served::with(&["customer"]).await;
    let app = register(&shop, &[CALLBACK], &["own"], false).await;
    let other = register(&shop, &[CALLBACK], &["own"], false).await;
    let browser = Browser::signed_in(&shop, &accounts[0]).await;
    let code = code(&browser, &app, "own").await;
    let invalid = (400, "invalid_grant".to_owned());
    assert_eq!(error(redeem(&shop, &other, &code).await).await, invalid, "another client's");
    let got = good(redeem(&shop, &app, &code).await).await;
    let access = text(&got, "access_token");
    // Somebody who has less than all of it ends nothing.
    assert_eq!(error(redeem(&shop, &other, &code).await).await, invalid);
    let more = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    assert_eq!(error(post(&shop, "/oauth/token", &app, &more).await).await, invalid);
    assert_eq!(shop.with_token("GET", "/orders", access).await.status(), 200);
    assert_eq!(error(redeem(&shop, &app, &code).await).await, invalid);
    assert!(until_refused(&shop, "/orders", access).await < Duration::from_secs(3));
    shop.stop().await;
}
