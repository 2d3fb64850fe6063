//! Clients of OAuth over HTTP: those that act for themselves, and what is malformed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, LOCATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use soonshop::oauth::command_line::{Verb, run};
use soonshop_domain::Metadata;
use tokio::time::Instant;
use uuid::Uuid;

use crate::accounts::{Served, form, refused};

pub(crate) const CALLBACK: &str = "https://app.example/cb";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Without `--public-url` a shop on files is one of this machine.
pub(crate) const ISSUER: &str = "http://127.0.0.1:8000";

/// A client that was registered.
pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) secret: Option<String>,
}

impl Client {
    /// Says who it is in the body.
    fn says(&self) -> Vec<(&str, String)> {
        let mut fields = vec![("client_id", self.id.to_string())];
        fields.extend(self.secret.clone().map(|secret| ("client_secret", secret)));
        fields
    }
}

pub(crate) async fn register(shop: &Served, redirects: &[&str], scopes: &[&str], public: bool) -> Client {
    let verb = Verb::Create {
        name: "The app".to_owned(),
        redirects: redirects.iter().map(|one| (*one).to_owned()).collect(),
        scopes: scopes.iter().map(|one| (*one).to_owned()).collect(),
        public,
    };
    let said = run(&shop.shop, &verb).await.unwrap().text;
    let id = said.split(' ').nth(1).unwrap().parse().unwrap();
    Client { id, secret: said.split_once("\nsecret: ").map(|(_, secret)| secret.to_owned()) }
}

pub(crate) async fn post(shop: &Served, path: &str, client: &Client, more: &[(&str, &str)]) -> Response {
    let said = client.says();
    let fields: Vec<(&str, &str)> =
        said.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect();
    form(shop.request("POST", path), &fields).send().await.unwrap()
}

/// The status, and the code of an error.
pub(crate) async fn error(response: Response) -> (u16, String) {
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let status = response.status().as_u16();
    let json: Value = response.json().await.unwrap();
    assert!(json["type"].is_null() && json["error_description"].is_string(), "no problem: {json}");
    (status, json["error"].as_str().unwrap().to_owned())
}

pub(crate) async fn good(response: Response) -> Value {
    assert_eq!(
        (response.status().as_u16(), &response.headers()[CACHE_CONTROL]),
        (200, &"no-store".parse().unwrap())
    );
    response.json().await.unwrap()
}

pub(crate) fn text<'v>(json: &'v Value, name: &str) -> &'v str {
    json[name].as_str().unwrap_or_else(|| panic!("{name} in {json}"))
}

pub(crate) async fn for_itself(shop: &Served, client: &Client, scope: Option<&str>) -> Response {
    let mut more = vec![("grant_type", "client_credentials")];
    more.extend(scope.map(|scope| ("scope", scope)));
    post(shop, "/oauth/token", client, &more).await
}

/// Waits until a token opens nothing any more, and says how long that took.
pub(crate) async fn until_refused(shop: &Served, path: &str, token: &str) -> Duration {
    let began = Instant::now();
    while shop.with_token("GET", path, token).await.status() != 401 {}
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_acts_for_itself_may_what_its_scope_permits_until_it_is_removed() {
    let (shop, _) = Served::with(&[]).await;
    let job = register(&shop, &[], &["read", "trade"], false).await;
    let secret = job.secret.clone().unwrap();
    assert!(secret.starts_with("ssc_"));
    let got = good(for_itself(&shop, &job, None).await).await;
    assert_eq!(
        (text(&got, "scope"), text(&got, "token_type"), &got["expires_in"]),
        ("read trade", "Bearer", &json!(600))
    );
    assert!(got["refresh_token"].is_null());
    let token = text(&got, "access_token").to_owned();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["client_id"], &claims["scope"]),
        (&json!(job.id), &json!(job.id), &json!("read trade"))
    );
    let trade = async |token: &str, sku: &str| {
        let request = shop.request("POST", "/products").bearer_auth(token);
        request.json(&json!({ "name": "Mug", "variants": [{ "sku": sku }] })).send().await.unwrap()
    };
    let made = trade(&token, "MUG").await;
    assert_eq!(made.status(), 201);
    let path = made.headers()[LOCATION].to_str().unwrap().to_owned();
    // By HTTP Basic, and for less.
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", job.id)));
    let request = shop.request("POST", "/oauth/token").header(AUTHORIZATION, &basic);
    let narrow =
        form(request, &[("grant_type", "client_credentials"), ("scope", "read")]).send().await.unwrap();
    let narrow = good(narrow).await;
    assert_eq!(text(&narrow, "scope"), "read");
    let refusal = refused(trade(text(&narrow, "access_token"), "CUP").await).await;
    assert_eq!(refusal, (403, "not-permitted".to_owned()));
    assert_eq!(
        error(for_itself(&shop, &job, Some("read refund")).await).await,
        (400, "invalid_scope".to_owned())
    );
    // It has no account.
    for path in ["/auth/sessions", "/auth/factors"] {
        assert_eq!(shop.with_token("GET", path, &token).await.status(), 401, "{path}");
    }
    // What it did names it.
    let id = path.rsplit('/').next().unwrap();
    let rows = shop.shop.log().unwrap().stream("product", id, 0, 1).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&rows[0].metadata).unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), format!("service:{}", job.id));

    // Another secret.
    let said = run(&shop.shop, &Verb::Secret { id: job.id }).await.unwrap().text;
    let second = said.split_once("\nsecret: ").unwrap().1.to_owned();
    assert_eq!(error(for_itself(&shop, &job, None).await).await, (401, "invalid_client".to_owned()));
    let job = Client { id: job.id, secret: Some(second) };
    good(for_itself(&shop, &job, None).await).await;
    // Removed: its token is refused within two seconds.
    let remove = Verb::Remove { id: job.id, reason: "left".to_owned() };
    assert!(run(&shop.shop, &remove).await.unwrap().text.contains("open nothing any more"));
    assert!(until_refused(&shop, "/products", &token).await < Duration::from_secs(3));
    assert_eq!(error(for_itself(&shop, &job, None).await).await, (401, "invalid_client".to_owned()));
    assert!(run(&shop.shop, &remove).await.unwrap().text.contains("removed already"));
    let listed = run(&shop.shop, &Verb::List { json: true }).await.unwrap().text;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(listed["removed_at"].is_string() && !listed.to_string().contains("ssc_"), "{listed}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_gets_an_error_of_oauth_and_no_token() {
    let (shop, _) = Served::with(&[]).await;
    let job = register(&shop, &[], &["read"], false).await;
    let app = register(&shop, &["org.example.app:/cb"], &["own"], true).await;
    let secret = job.secret.clone().unwrap();
    let id = job.id.to_string();
    let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let right = basic(&id, &secret);
    let send = async |headers: &[&str], text: &str| {
        let mut request = shop.request("POST", "/oauth/token");
        for value in headers {
            request = request.header(AUTHORIZATION, *value);
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        error(request.body(text.to_owned()).send().await.unwrap()).await
    };
    let grant = "grant_type=client_credentials";
    let both = format!("{grant}&client_id={id}&client_secret={secret}");
    let twice = format!("{grant}&{grant}");
    let other = format!("{grant}&client_id={}", app.id);
    let public_with_secret = format!("{grant}&client_id={}&client_secret={secret}", app.id);
    for (headers, text, status, code) in [
        (vec![right.as_str()], "", 400, "invalid_request"),
        (vec![&right], "grant_type=", 400, "invalid_request"),
        (vec![&right], "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
        (vec![&right], twice.as_str(), 400, "invalid_request"),
        (vec![&right], "grant_type=client_credentials&scope=own", 400, "invalid_scope"),
        (vec![&right], "grant_type=client_credentials&x=1&x=2", 400, "invalid_request"),
        (vec![&right, &right], grant, 400, "invalid_request"),
        (vec![&right], both.as_str(), 400, "invalid_request"),
        (vec![&right], other.as_str(), 400, "invalid_request"),
        (vec![&right], "grant_type=authorization_code&code=x&redirect_uri=y", 400, "unauthorized_client"),
        (vec![&right], "grant_type=refresh_token&refresh_token=x", 400, "unauthorized_client"),
        (vec![], grant, 401, "invalid_client"),
        (vec!["Basic x"], grant, 401, "invalid_client"),
        (vec!["Bearer x"], grant, 401, "invalid_client"),
        (vec![&basic(&id, "ssc_wrong")], grant, 401, "invalid_client"),
        (vec![&basic(&id.to_uppercase(), &secret)], grant, 401, "invalid_client"),
        (vec![&basic("nobody", &secret)], grant, 401, "invalid_client"),
        (vec![&basic(&Uuid::nil().to_string(), &secret)], grant, 401, "invalid_client"),
        (vec![], public_with_secret.as_str(), 401, "invalid_client"),
        (vec![], &format!("{grant}&client_id={id}"), 401, "invalid_client"),
        (vec![], &format!("{grant}&client_id={}", app.id), 400, "unauthorized_client"),
        (vec![&right], &format!("scope={}", "a".repeat(100 << 10)), 413, "invalid_request"),
    ] {
        assert_eq!(send(&headers, text).await, (status, code.to_owned()), "{headers:?} {text:.90}");
    }
    // What is refused before it is read is a problem like all others.
    let long = form(shop.request("POST", "/oauth/token"), &[("scope", "a".repeat(10 << 20).as_str())]);
    assert_eq!(refused(long.send().await.unwrap()).await, (413, "body-too-large".to_owned()));
    // Another media type.
    for kind in ["application/json", "text/plain"] {
        let request = shop.request("POST", "/oauth/token").header("content-type", kind).body("{}");
        assert_eq!(error(request.send().await.unwrap()).await.0, 400, "{kind}");
    }
    let request = form(shop.request("POST", "/oauth/token"), &[("grant_type", "client_credentials")]);
    let challenged = request.send().await.unwrap();
    assert_eq!(challenged.headers()[WWW_AUTHENTICATE], "Basic realm=\"soonshop\"");
    assert_eq!(shop.request("GET", "/oauth/token").send().await.unwrap().status(), 405);
    // A secret and a code are no bearers (I13), and a token by a key that is not this shop's is none.
    let token = text(&good(for_itself(&shop, &job, None).await).await, "access_token").to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let header =
        URL_SAFE_NO_PAD.encode(json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": Uuid::nil() }).to_string());
    let code = format!("ssa_{}", URL_SAFE_NO_PAD.encode([7; 32]));
    for bad in [&secret, &code, &format!("{header}.{}.{}", parts[1], parts[2]), &format!("{token}x")] {
        let got = refused(shop.with_token("GET", "/products", bad).await).await;
        assert_eq!(got, (401, "bad-token".to_owned()), "{bad:.30}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metadata_says_where_everything_is() {
    let (shop, _) = Served::with(&[]).await;
    let path = "/.well-known/oauth-authorization-server";
    let got: Value = shop.request("GET", path).send().await.unwrap().json().await.unwrap();
    assert_eq!(text(&got, "issuer"), ISSUER);
    for name in ["authorization", "token", "revocation", "introspection"] {
        let at = text(&got, &format!("{name}_endpoint")).strip_prefix(ISSUER).unwrap();
        let there = shop.request("GET", at).send().await.unwrap().status();
        assert!(there == 400 || there == 405, "{at}: {there}");
    }
    assert_eq!(got["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(got["authorization_response_iss_parameter_supported"], true);
    assert!(!got["scopes_supported"].as_array().unwrap().contains(&json!("reveal")));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_acts_for_itself_has_what_programs_may_and_no_other_redirects_are_registered() {
    let (shop, _) = Served::with(&[]).await;
    let create = async |redirects: &[&str], scopes: &[&str]| {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let (redirects, scopes) = (owned(redirects), owned(scopes));
        let verb = Verb::Create { name: "night job".to_owned(), redirects, scopes, public: false };
        run(&shop.shop, &verb).await.map(|done| done.text)
    };
    for (redirects, scopes, why) in [
        (&[][..], &["own"][..], "nothing is its own"),
        (&[], &["read", "refund"], "no program may"),
        (&["http://app.example/cb"], &["own"], "begins with https://"),
        (&[CALLBACK, "https://app.example"], &["own"], "write it as https://app.example/"),
        (&["org.example.app:/cb"], &["own"], "only a public client has one"),
    ] {
        let refused = create(redirects, scopes).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(run(&shop.shop, &Verb::List { json: false }).await.unwrap().text, "");
    // Each once, in the order of the table.
    create(&[CALLBACK], &["trade", "own", "trade", "read"]).await.unwrap();
    let listed = run(&shop.shop, &Verb::List { json: false }).await.unwrap().text;
    assert!(listed.contains("scope own,read,trade  night job\n    https://app.example/cb"), "{listed}");
    shop.stop().await;
}
