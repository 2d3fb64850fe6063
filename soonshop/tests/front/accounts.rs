//! People sign in: over HTTP, on the viewer's page, and what the command line changes meanwhile.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::{Response, StatusCode};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use soonshop::accounts::command_line::{Verb, run};
use soonshop::accounts::own_roles;
use soonshop::serve::{Options, Running, start};
use soonshop::{Config, FactorSettings, Role, Shop, contexts, migrate};
use soonshop_domain::Metadata;
use soonshop_service_kit::access::{self, Permission};
use uuid::Uuid;

use crate::config::config;

const EMAIL: &str = "grace@example.org";

/// A shop that is served, with a client.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    pub(crate) shop: Shop,
    pub(crate) running: Running,
    pub(crate) client: reqwest::Client,
}

/// An account that the command line opened.
pub(crate) struct Opened {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) password: String,
}

fn shop_in(folder: &Path) -> Shop {
    drop(rustls::crypto::ring::default_provider().install_default());
    Shop::open(&config(folder), Role::All).unwrap()
}

async fn opened(shop: &Shop, email: &str, role: &str) -> Opened {
    let verb = Verb::Open {
        email: email.to_owned(),
        roles: vec![role.to_owned()],
        person: Some("Grace".to_owned()),
        password_stdin: false,
    };
    let message = run(shop, &verb).await.unwrap().text;
    let (_, password) = message.split_once("\npassword: ").unwrap();
    let id = message.split(' ').nth(1).unwrap().parse().unwrap();
    Opened { id, email: email.to_owned(), password: password.to_owned() }
}

impl Opened {
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl Served {
    /// With an account of each of these roles, by addresses of that name, or by the one after the role.
    pub(crate) async fn with(roles: &[&str]) -> (Self, Vec<Opened>) {
        Box::pin(Self::requiring(roles, &[])).await
    }

    /// The same, where these roles must have a second factor.
    pub(crate) async fn requiring(roles: &[&str], required: &[&str]) -> (Self, Vec<Opened>) {
        let required = required.iter().map(|role| (*role).to_owned()).collect();
        let factors = FactorSettings { require_second_factor: required, ..FactorSettings::default() };
        Self::asking(roles, factors).await
    }

    /// The same, which asks for second factors as these settings say.
    pub(crate) async fn asking(roles: &[&str], factors: FactorSettings) -> (Self, Vec<Opened>) {
        Self::configured(roles, |config| config.factors = factors).await
    }

    /// The same, with another configuration.
    pub(crate) async fn configured(roles: &[&str], change: impl FnOnce(&mut Config)) -> (Self, Vec<Opened>) {
        let folder = tempfile::tempdir().unwrap();
        let mut shop = shop_in(folder.path());
        change(&mut shop.config);
        migrate::migrate(&shop).await.unwrap();
        let mut accounts = Vec::new();
        for role in roles {
            let (role, email) = match role.split_once(' ') {
                Some((role, email)) => (role, email.to_owned()),
                None if *role == "support" => (*role, EMAIL.to_owned()),
                None => (*role, format!("{role}@example.org")),
            };
            accounts.push(opened(&shop, &email, role).await);
        }
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options { role: Role::All, contexts: contexts(None).unwrap(), listen };
        let running = start(shop.clone(), options, soonshop_projections::all()).await.unwrap();
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().timeout(Duration::from_mins(5)).redirect(none).no_proxy();
        (Self { folder, shop, running, client: client.build().unwrap() }, accounts)
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(self.url(path)).json(body).send().await.unwrap()
    }

    pub(crate) async fn sign_in(&self, account: &Opened) -> (String, String) {
        let got =
            self.post("/auth/login", &json!({ "email": account.email, "password": account.password })).await;
        tokens(got).await
    }

    pub(crate) async fn with_token(&self, method: &str, path: &str, token: &str) -> Response {
        let request = self.client.request(method.parse().unwrap(), self.url(path)).bearer_auth(token);
        request.send().await.unwrap()
    }

    pub(crate) async fn account(&self, verb: &str, id: Uuid) {
        let reason = "left".to_owned();
        let verb = match verb {
            "disable" => Verb::Disable { id, reason },
            "enable" => Verb::Enable { id, reason },
            "end-sessions" => Verb::EndSessions { id },
            "reset-factor" => Verb::ResetFactor { id },
            roles => Verb::Roles { id, roles: roles.split(',').map(str::to_owned).collect() },
        };
        // Another process, which shares nothing with the one that serves.
        run(&shop_in(self.folder.path()), &verb).await.unwrap();
    }
}

pub(crate) fn form(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

pub(crate) async fn tokens(response: Response) -> (String, String) {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let json: Value = response.json().await.unwrap();
    assert_eq!((&json["token_type"], &json["expires_in"]), (&json!("Bearer"), &json!(600)));
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

pub(crate) async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let json: Value = response.json().await.unwrap_or_default();
    (status, json["type"].as_str().unwrap_or_default().trim_start_matches("/problems/").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_sign_in_act_with_their_role_and_sign_out() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let grace = &accounts[0];
    let (access, refresh) = shop.sign_in(grace).await;
    let keys: Value =
        shop.client.get(shop.url("/.well-known/jwks.json")).send().await.unwrap().json().await.unwrap();
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][0]["crv"]), (1, &json!("Ed25519")));
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &access).await.status(), 200);
    let sessions: Value = shop.with_token("GET", "/auth/sessions", &access).await.json().await.unwrap();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1, "{sessions}");
    assert_eq!(sessions["items"][0]["current"], true);
    let (access, refresh) = {
        let got = shop.post("/auth/refresh", &json!({ "refresh_token": refresh })).await;
        tokens(got).await
    };
    // Another session is ended from here.
    let (other, _) = shop.sign_in(grace).await;
    let sessions: Value = shop.with_token("GET", "/auth/sessions", &access).await.json().await.unwrap();
    let of_other = sessions["items"].as_array().unwrap().iter().find(|one| one["current"] == false).unwrap();
    let path = format!("/auth/sessions/{}", of_other["id"].as_str().unwrap());
    assert_eq!(shop.with_token("DELETE", &path, &access).await.status(), 204);
    let again = shop.with_token("DELETE", &path, &access).await;
    assert_eq!(refused(again).await, (404, "session-not-found".to_owned()));
    assert_eq!(refused(shop.with_token("DELETE", "/auth/sessions/x", &access).await).await.0, 400);
    assert_eq!(refused(shop.with_token("GET", "/auth/sessions", &other).await).await.0, 401);

    assert_eq!(shop.with_token("POST", "/auth/logout", &access).await.status(), 204);
    for path in ["/api/audit/timeline", "/auth/sessions"] {
        let gone = shop.with_token("GET", path, &access).await;
        assert_eq!(refused(gone).await, (401, "bad-token".to_owned()), "{path}");
    }
    let gone = shop.post("/auth/refresh", &json!({ "refresh_token": refresh })).await;
    assert_eq!(refused(gone).await, (401, "session-ended".to_owned()));
    // Without a session there is none to end.
    let nobody = shop.client.post(shop.url("/auth/logout")).send().await.unwrap();
    assert_eq!(refused(nobody).await, (401, "session-ended".to_owned()));
    let token = shop.shop.operator_token().unwrap();
    let operator = shop.with_token("POST", "/auth/logout-everywhere", &token).await;
    assert_eq!(refused(operator).await, (401, "session-ended".to_owned()));
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_touches_what_is_theirs_and_what_they_do_names_their_session() {
    let (shop, accounts) = Served::with(&["customer", "support"]).await;
    let (ada, grace) = (&accounts[0], &accounts[1]);
    let (access, _) = shop.sign_in(ada).await;
    let change = async |id: Uuid| {
        let request = shop.client.put(shop.url(&format!("/users/{id}"))).bearer_auth(&access);
        let body = json!({ "name": "Ada", "email": ada.email });
        request.header("if-match", "\"1\"").json(&body).send().await.unwrap()
    };
    // Of somebody else, and of nobody.
    let mut answers = Vec::new();
    for id in [grace.id, Uuid::from_u128(7)] {
        let response = change(id).await;
        let mut body: Value = response.json().await.unwrap();
        body["instance"] = Value::Null;
        answers.push(body);
    }
    assert_eq!(answers[0], answers[1], "what is not theirs and what is not there look the same");
    assert_eq!(answers[0]["type"], "/problems/not-yours");
    assert_eq!(change(ada.id).await.status(), 200);
    for path in ["/api/audit/timeline", "/audit/timeline"] {
        assert_eq!(shop.with_token("GET", path, &access).await.status(), 403, "{path}");
    }
    let trade = shop.client.post(shop.url("/products")).bearer_auth(&access);
    let trade = trade.json(&json!({ "name": "Mug", "variants": [{ "sku": "MUG" }] })).send().await.unwrap();
    assert_eq!(refused(trade).await, (403, "not-permitted".to_owned()));
    let log = shop.shop.log().unwrap();
    let rows = log.stream("user", &ada.id.to_string(), 1, 1).await.unwrap();
    let metadata: Metadata = serde_json::from_str(&rows[0].metadata).unwrap();
    assert_eq!(metadata.actor().unwrap().to_string(), format!("customer:{}", ada.id));
    assert!(metadata.session_id.is_some());
    // Staff are erased as staff, not as customers.
    let operator = shop.shop.operator_token().unwrap();
    let erase = shop.client.post(shop.url(&format!("/people/{}/erasures", grace.id))).bearer_auth(operator);
    let erase = erase.json(&json!({ "purposes": ["account"] })).send().await.unwrap();
    assert_eq!(refused(erase).await, (422, "not-a-data-subject".to_owned()));
    let operator = shop.shop.operator_token().unwrap();
    let delete = shop.client.delete(shop.url(&format!("/users/{}", grace.id))).bearer_auth(&operator);
    let delete = delete.header("if-match", "\"1\"").send().await.unwrap();
    assert_eq!(refused(delete).await, (422, "not-a-data-subject".to_owned()));
    let as_staff = async |id: Uuid| {
        let request = shop.client.post(shop.url(&format!("/keys/{id}/erasures"))).bearer_auth(&operator);
        let id = id.simple().to_string();
        request.json(&json!({ "confirm": id[24..] })).send().await.unwrap()
    };
    assert_eq!(refused(as_staff(ada.id).await).await, (404, "key-not-found".to_owned()), "a customer");
    assert_eq!(refused(as_staff(grace.id).await).await, (409, "key-in-use".to_owned()));
    shop.account("disable", grace.id).await;
    assert_eq!(as_staff(grace.id).await.status(), 200);
    // The eraser deletes it with their keys.
    while shop.shop.identity().unwrap().accounts().await.unwrap().len() > 1 {}
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_is_told_by_the_answer_to_a_failed_sign_in() {
    let (shop, accounts) = Served::with(&["support"]).await;
    shop.account("disable", accounts[0].id).await;
    let mut seen = Vec::new();
    for (email, password) in [
        (EMAIL, accounts[0].password.as_str()),
        (EMAIL, "a wrong password"),
        ("nobody@example.org", "a wrong password"),
        ("no address", ""),
    ] {
        let got = shop.post("/auth/login", &json!({ "email": email, "password": password })).await;
        let names: Vec<_> = got.headers().keys().map(|name| name.as_str().to_owned()).collect();
        let status = got.status();
        assert_eq!(got.headers()[CACHE_CONTROL], "no-store");
        let text = got.text().await.unwrap();
        let mut body: Value = serde_json::from_str(&text).unwrap();
        body["instance"] = Value::Null;
        seen.push((status, names, text.len(), body));
    }
    assert_eq!(seen[0].0, StatusCode::UNAUTHORIZED);
    assert_eq!(seen[0].3["type"], "/problems/sign-in-failed");
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_sign_ins_is_refused_and_other_requests_go_on() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let flood: Vec<_> = (0..60)
        .map(|number| {
            // Each at another address: of one address no more are checked after the fifth.
            let email = format!("{number}@example.org");
            let body = json!({ "email": email, "password": "a wrong password" });
            let request = shop.client.post(shop.url("/auth/login")).json(&body);
            tokio::spawn(async move { request.send().await.unwrap() })
        })
        .collect();
    for _ in 0..20 {
        let read = shop.client.get(shop.url("/products")).send().await.unwrap();
        assert_eq!(read.status(), 200);
    }
    let (mut busy, mut wrong) = (0, 0);
    for one in flood {
        let response = one.await.unwrap();
        match response.status().as_u16() {
            503 => {
                assert_eq!(response.headers()[RETRY_AFTER], "2");
                assert_eq!(refused(response).await.1, "too-many-sign-ins");
                busy += 1;
            }
            401 => wrong += 1,
            other => panic!("{other}"),
        }
    }
    assert!(busy > 0 && wrong > 0, "{busy} were refused, {wrong} checked");
    shop.sign_in(&accounts[0]).await;
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_kind_or_shop_opens_nothing() {
    let (shop, accounts) = Served::with(&["admin"]).await;
    let (other, of_other) = Served::with(&["admin"]).await;
    let (access, refresh) = shop.sign_in(&accounts[0]).await;
    let (strange, _) = other.sign_in(&of_other[0]).await;
    let parts: Vec<&str> = access.split('.').collect();
    // `{"alg":"none"}`.
    let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    for bad in [
        strange,
        refresh,
        none,
        format!("{}.{}.", parts[0], parts[1]),
        format!("{access}A"),
        format!("{access}{}", "A".repeat(10_000)),
        "ey..".to_owned(),
        "ey.x.y".to_owned(),
    ] {
        let got = shop.with_token("GET", "/api/audit/timeline", &bad).await;
        assert_eq!(refused(got).await, (401, "bad-token".to_owned()), "{bad:.80}");
    }
    let twice = shop.client.get(shop.url("/api/audit/timeline"));
    let twice = twice.header(AUTHORIZATION, format!("Bearer {access}")).header(AUTHORIZATION, "Bearer x");
    assert_eq!(refused(twice.send().await.unwrap()).await, (401, "bad-token".to_owned()));
    // An access token is no refresh token.
    let got = shop.post("/auth/refresh", &json!({ "refresh_token": access })).await;
    assert_eq!(refused(got).await, (401, "session-ended".to_owned()));
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &access).await.status(), 200);
    other.running.stop().await.unwrap();
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_body_is_refused_without_a_word_of_it() {
    let (shop, _) = Served::with(&[]).await;
    let post = async |body: String| {
        let request = shop.client.post(shop.url("/auth/login")).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    };
    for (body, status) in [
        ("{\"email\":\"hunter2\",".to_owned(), 400),
        ("{\"email\":\"a\",\"password\":2,\"hunter2\":1}".to_owned(), 422),
        ("{\"email\":\"a\",\"password\":[\"hunter2\"]}".to_owned(), 422),
        ("{\"email\":\"a\",\"password\":\"b\",\"password\":\"hunter2\"}".to_owned(), 422),
        ("[]".to_owned(), 422),
        (format!("{{\"email\":\"a\",\"password\":\"{}\"}}", "hunter2".repeat(1_500_000)), 413),
    ] {
        let (got, message) = post(body).await;
        assert_eq!(got, status, "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    let form = form(shop.client.post(shop.url("/auth/login")), &[("email", "a"), ("password", "b")]);
    assert_eq!(form.send().await.unwrap().status(), 415);
    shop.running.stop().await.unwrap();
}

/// I07.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_command_line_decides_holds_for_the_next_request_of_staff() {
    let (shop, accounts) = Served::with(&["admin"]).await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let reads =
        async |access: &str| shop.with_token("GET", "/api/audit/operations", access).await.status().as_u16();
    assert_eq!(reads(&access).await, 200);
    shop.account("customer", accounts[0].id).await;
    assert_eq!(reads(&access).await, 403, "a taken role");
    shop.account("ops", accounts[0].id).await;
    // What was a customer's is remembered for two seconds, and is no session of staff.
    while reads(&access).await == 403 {}
    assert_eq!(reads(&access).await, 401);
    let (access, refresh) = shop.sign_in(&accounts[0]).await;
    assert_eq!(reads(&access).await, 200);
    shop.account("end-sessions", accounts[0].id).await;
    assert_eq!(reads(&access).await, 401);
    let got = shop.post("/auth/refresh", &json!({ "refresh_token": refresh })).await;
    assert_eq!(refused(got).await.0, 401);
    let (access, _) = shop.sign_in(&accounts[0]).await;
    shop.account("disable", accounts[0].id).await;
    assert_eq!(reads(&access).await, 401);
    shop.account("enable", accounts[0].id).await;
    assert_eq!(reads(&access).await, 401, "what ended stays so");
    let (access, _) = shop.sign_in(&accounts[0]).await;
    assert_eq!(reads(&access).await, 200);
    let db = shop.shop.read_database.namespace("operations").unwrap();
    let sql = db.statement(
        "SELECT action FROM @entries WHERE subject = $1 ORDER BY position",
        [accounts[0].id.to_string().into()],
    );
    let rows = db.connection.query_all(sql).await.unwrap();
    let actions: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(
        actions,
        [
            "account-open",
            "account-roles",
            "account-roles",
            "account-end-sessions",
            "account-disable",
            "account-enable"
        ]
    );
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_is_set_with_the_old_one_and_ends_other_sessions() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let mut grace = opened_again(&accounts[0]);
    let (access, refresh) = shop.sign_in(&grace).await;
    let (other, _) = shop.sign_in(&grace).await;
    let change = async |old: &str, new: &str| {
        let request = shop.client.post(shop.url("/auth/password")).bearer_auth(&access);
        request.json(&json!({ "old_password": old, "new_password": new })).send().await.unwrap()
    };
    for (old, new, problem) in [
        ("a wrong password", "nine purple geese", "wrong-password"),
        (grace.password.as_str(), "password", "bad-password"),
        (grace.password.as_str(), "short", "bad-password"),
    ] {
        assert_eq!(refused(change(old, new).await).await, (422, problem.to_owned()));
    }
    assert_eq!(change(&grace.password, "nine purple geese").await.status(), 204);
    assert_eq!(shop.with_token("GET", "/auth/sessions", &other).await.status(), 401);
    assert_eq!(shop.with_token("GET", "/auth/sessions", &access).await.status(), 200);
    tokens(shop.post("/auth/refresh", &json!({ "refresh_token": refresh })).await).await;
    let old = shop.post("/auth/login", &json!({ "email": grace.email, "password": grace.password })).await;
    assert_eq!(refused(old).await, (401, "sign-in-failed".to_owned()));
    "nine purple geese".clone_into(&mut grace.password);
    let (again, _) = shop.sign_in(&grace).await;
    assert_eq!(shop.with_token("POST", "/auth/logout-everywhere", &again).await.status(), 204);
    for token in [&again, &access] {
        assert_eq!(shop.with_token("GET", "/auth/sessions", token).await.status(), 401);
    }
    shop.running.stop().await.unwrap();
}

fn opened_again(account: &Opened) -> Opened {
    Opened { id: account.id, email: account.email.clone(), password: account.password.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_viewers_page_takes_an_address_and_a_password_beside_a_key() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let page = async |cookie: &str, path: &str| {
        shop.client
            .get(shop.url(path))
            .header(COOKIE, cookie)
            .header("accept", "text/html")
            .send()
            .await
            .unwrap()
    };
    let shown = page("", "/audit/sign-in?lang=en").await.text().await.unwrap();
    for part in ["name=\"email\"", "name=\"password\"", "name=\"key\"", "E-mail address"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let send = async |password: &str, cookie: &str| {
        let fields = [("email", EMAIL), ("password", password), ("to", "/audit/timeline")];
        let request = shop.client.post(shop.url("/audit/sign-in?lang=en")).header(COOKIE, cookie);
        form(request, &fields).send().await.unwrap()
    };
    let wrong = send("a wrong password", "").await;
    assert_eq!(wrong.status(), 401);
    assert!(wrong.text().await.unwrap().contains("The e-mail address or the password is wrong."));
    let signed = send(&accounts[0].password, "").await;
    assert_eq!(
        (signed.status().as_u16(), signed.headers()[LOCATION].to_str().unwrap()),
        (303, "/audit/timeline")
    );
    let set = signed.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    assert_eq!(page(&cookie, "/audit/timeline").await.status(), 200);
    // A cookie opens pages, and no command.
    let command = shop.client.post(shop.url("/products")).header(COOKIE, &cookie).json(&json!({}));
    let command = command.send().await.unwrap().status().as_u16();
    assert!([403, 422].contains(&command), "as a guest's: {command}");
    let out = shop.client.post(shop.url("/audit/sign-out")).header(COOKIE, &cookie);
    assert_eq!(form(out, &[]).send().await.unwrap().status(), 303);
    assert_eq!(page(&cookie, "/audit/timeline").await.status(), 303, "to the door");
    // A disabled account is out at once.
    let signed = send(&accounts[0].password, "").await;
    let cookie = signed.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(page(&cookie, "/audit/timeline").await.status(), 200);
    shop.account("disable", accounts[0].id).await;
    assert_eq!(page(&cookie, "/audit/timeline").await.status(), 303);
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_from_before_there_were_accounts_starts_after_migrate() {
    let folder = tempfile::tempdir().unwrap();
    let shop = shop_in(folder.path());
    migrate::migrate(&shop).await.unwrap();
    drop(shop);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("identity.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let shop = shop_in(folder.path());
    let refused = migrate::check(&shop).await.unwrap_err().to_string();
    assert!(refused.contains("run `soonshop migrate`"), "{refused}");
    migrate::migrate(&shop).await.unwrap();
    let account = opened(&shop, EMAIL, "admin").await;
    let again = Verb::Open {
        email: EMAIL.to_owned(),
        roles: vec!["admin".to_owned()],
        person: None,
        password_stdin: false,
    };
    let refused = run(&shop, &again).await.unwrap_err().to_string();
    assert!(refused.contains("has this address already"), "{refused}");
    let listed = run(&shop, &Verb::List { json: true }).await.unwrap().text;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed["id"], &listed["roles"], &listed["sessions"]),
        (&json!(account.id), &json!(["admin"]), &json!(0))
    );
    let unknown = Verb::EndSessions { id: Uuid::from_u128(9) };
    let refused = run(&shop, &unknown).await.unwrap_err().to_string();
    assert!(refused.contains("`soonshop account list`"), "{refused}");
}

/// Each role of the release by an account, several of one account, and roles that the shop defines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_may_what_its_roles_permit_together_and_no_more() {
    let roles = access::Role::STAFF.map(|role| role.to_string());
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    let (shop, accounts) = Served::with(&names).await;
    // Who may is answered for what was sent, who may not for that alone.
    let may = async |token: &str, permission: Permission| {
        let (method, path) = match permission {
            Permission::Trade => ("POST", "/products"),
            Permission::Refund => ("POST", "/credit-notes"),
            Permission::Audit => ("GET", "/api/audit/timeline"),
            _ => panic!("{permission} has no path in this test"),
        };
        let request = shop.request(method, path).bearer_auth(token).header("idempotency-key", "k1");
        let request = if method == "POST" { request.json(&json!({})) } else { request };
        request.send().await.unwrap().status() != StatusCode::FORBIDDEN
    };
    let asked = [Permission::Trade, Permission::Refund, Permission::Audit];
    let mut tokens = Vec::new();
    for (role, account) in access::Role::STAFF.into_iter().zip(&accounts) {
        let (token, _) = shop.sign_in(account).await;
        for permission in asked {
            assert_eq!(may(&token, permission).await, role.may(permission), "{role} {permission}");
        }
        tokens.push(token);
    }
    let place = |role: access::Role| access::Role::STAFF.iter().position(|one| *one == role).unwrap();
    let of_warehouse = place(access::Role::Warehouse);
    let (id, token) = (accounts[of_warehouse].id, &tokens[of_warehouse]);
    shop.account("warehouse,finance", id).await;
    assert!(may(token, Permission::Refund).await && may(token, Permission::Audit).await);
    assert!(!may(token, Permission::Trade).await);

    let other = shop_in(shop.folder());
    let define = async |name: &str, permissions: &[Permission]| {
        let (name, permissions) = (name.to_owned(), permissions.to_vec());
        own_roles::run(&other, &own_roles::Verb::Define { name, permissions }).await.unwrap().text
    };
    let unknown = Verb::Roles { id, roles: vec!["buyer".to_owned()] };
    let refused = run(&other, &unknown).await.unwrap_err().to_string();
    assert!(refused.contains("`soonshop role define`"), "{refused}");
    let text = define("buyer", &[Permission::Trade, Permission::Read]).await;
    assert_eq!(text, "the role buyer may read, trade");
    shop.account("buyer", id).await;
    assert!(may(token, Permission::Trade).await && !may(token, Permission::Audit).await);
    // It is staff, who see more than what is theirs.
    assert_eq!(shop.with_token("GET", "/users", token).await.status(), 200);
    define("buyer", &[Permission::Read, Permission::Audit]).await;
    assert!(!may(token, Permission::Trade).await && may(token, Permission::Audit).await);
    let remove = own_roles::Verb::Remove { name: "buyer".to_owned() };
    let refused = own_roles::run(&other, &remove).await.unwrap_err().to_string();
    assert!(refused.contains("accounts with the role buyer: 1;"), "{refused}");
    shop.account("customer", id).await;
    assert!(!may(token, Permission::Audit).await);
    let both = Verb::Roles { id, roles: vec!["customer".to_owned(), "support".to_owned()] };
    let refused = run(&other, &both).await.unwrap_err().to_string();
    assert!(refused.contains("is given alone"), "{refused}");
    own_roles::run(&other, &remove).await.unwrap();

    let mut late = shop_in(shop.folder());
    late.config.factors.require_second_factor = vec!["buyers".to_owned()];
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = Options { role: Role::All, contexts: contexts(None).unwrap(), listen };
    let refused = start(late, options, soonshop_projections::all()).await.err().unwrap();
    assert!(format!("{refused:#}").contains("there is no role buyers"), "{refused:#}");
    shop.stop().await;
}
