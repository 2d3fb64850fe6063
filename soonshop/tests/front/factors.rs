//! Second factors over HTTP: the second step of a sign-in, step-up, roles that must have one, and the viewer's page.

use reqwest::Response;
use reqwest::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use serde_json::{Value, json};
use soonshop::FactorSettings;
use soonshop_domain::clock;
use soonshop_identity::totp::{Secret, step_at};
use uuid::Uuid;

use crate::accounts::{Opened, Served, form, refused, tokens};

/// What the owner of an account with a second factor has.
struct Factor {
    id: String,
    secret: Secret,
    recovery_codes: Vec<String>,
    /// The step of the code that was taken last.
    last: i64,
}

impl Factor {
    /// A code that was not used yet, of this step or the next one.
    fn next(&mut self) -> String {
        self.last = (self.last + 1).max(step_at(clock::now().timestamp_millis()));
        self.secret.code(self.last)
    }
}

async fn send(shop: &Served, token: &str, path: &str, body: &Value) -> Response {
    shop.client.post(shop.url(path)).bearer_auth(token).json(body).send().await.unwrap()
}

/// Adds a second factor to the account of this session.
async fn add(shop: &Served, token: &str, account: &Opened) -> Factor {
    let started = send(shop, token, "/auth/factors", &json!({ "password": account.password })).await;
    assert_eq!(started.status(), 200);
    let started: Value = started.json().await.unwrap();
    let secret = Secret::parse(started["secret"].as_str().unwrap()).unwrap();
    assert!(started["uri"].as_str().unwrap().starts_with("otpauth://totp/SoonShop:"), "{started}");
    let id = started["id"].as_str().unwrap().to_owned();
    let last = step_at(clock::now().timestamp_millis());
    let path = format!("/auth/factors/{id}/proof");
    let proved = send(shop, token, &path, &json!({ "code": secret.code(last) })).await;
    assert_eq!(proved.status(), 200);
    let proved: Value = proved.json().await.unwrap();
    let recovery_codes: Vec<String> = serde_json::from_value(proved["recovery_codes"].clone()).unwrap();
    assert_eq!(recovery_codes.len(), 10);
    Factor { id, secret, recovery_codes, last }
}

async fn pending(shop: &Served, account: &Opened) -> String {
    let body = json!({ "email": account.email, "password": account.password });
    let got = shop.post("/auth/login", &body).await;
    assert_eq!(got.status(), 202, "a second factor is asked for");
    let got: Value = got.json().await.unwrap();
    assert_eq!(got["expires_in"], 300);
    got["pending_token"].as_str().unwrap().to_owned()
}

/// A second factor that was given is one of more than five minutes ago.
async fn pass_five_minutes(shop: &Served) {
    use sea_orm::ConnectionTrait as _;
    let db = shop.shop.store_database.namespace("identity").unwrap();
    let sql = db.statement("UPDATE @sessions SET proved_at = proved_at - 300000", []);
    db.connection.execute(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_with_a_second_factor_signs_in_in_two_steps_and_steps_up() {
    let (shop, accounts) = Served::with(&["admin"]).await;
    let admin = &accounts[0];
    let (access, _) = shop.sign_in(admin).await;
    // What asks for a second factor of the last five minutes.
    let nobody = Uuid::from_u128(7);
    let sensitive = async |token: &str| {
        let reveal =
            shop.client.post(shop.url(&format!("/api/audit/a/user/{nobody}/reveals"))).bearer_auth(token);
        let erase = json!({ "purposes": ["account"] });
        let mut got = vec![
            refused(form(reveal, &[("reason", "a complaint")]).send().await.unwrap()).await.1,
            refused(send(&shop, token, &format!("/people/{nobody}/erasures"), &erase).await).await.1,
            refused(
                send(&shop, token, &format!("/keys/{nobody}/erasures"), &json!({ "confirm": "x" })).await,
            )
            .await
            .1,
        ];
        for path in ["export.csv", "export.ndjson", "operations/export.csv", "operations/export.ndjson"] {
            got.push(refused(shop.with_token("GET", &format!("/api/audit/{path}"), token).await).await.1);
        }
        got.iter().filter(|slug| *slug == "second-factor-required").count()
    };
    assert_eq!(sensitive(&access).await, 7, "an account without a second factor");
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &access).await.status(), 200);
    let none = send(&shop, &access, "/auth/step-up", &json!({ "code": "123456" })).await;
    assert_eq!(refused(none).await, (409, "no-second-factor".to_owned()));
    let mut factor = add(&shop, &access, admin).await;
    assert_eq!(sensitive(&access).await, 0, "its first code is fresh");

    let token = pending(&shop, admin).await;
    // I13: the pending token opens its second step and nothing else.
    for path in ["/api/audit/timeline", "/auth/sessions", "/auth/factors"] {
        assert_eq!(
            refused(shop.with_token("GET", path, &token).await).await,
            (401, "bad-token".to_owned()),
            "{path}"
        );
    }
    let refresh = shop.post("/auth/refresh", &json!({ "refresh_token": token })).await;
    assert_eq!(refused(refresh).await, (401, "session-ended".to_owned()));
    let second = async |token: &str, code: &str| {
        shop.post("/auth/second-factor", &json!({ "pending_token": token, "code": code })).await
    };
    let used = factor.secret.code(factor.last);
    assert_eq!(refused(second(&token, &used).await).await, (422, "wrong-code".to_owned()));
    let next = factor.next();
    let (fresh, _) = tokens(second(&token, &next).await).await;
    assert_eq!(
        refused(second(&token, &factor.recovery_codes[9]).await).await,
        (401, "sign-in-ended".to_owned())
    );
    assert_eq!(refused(second(&access, "123456").await).await, (401, "sign-in-ended".to_owned()));
    assert_eq!(sensitive(&fresh).await, 0);

    pass_five_minutes(&shop).await;
    for token in [&access, &fresh] {
        assert_eq!(sensitive(token).await, 7);
        assert_eq!(shop.with_token("GET", "/api/audit/timeline", token).await.status(), 200);
    }
    let told: Value = shop.with_token("GET", "/api/audit/export.csv", &fresh).await.json().await.unwrap();
    assert_eq!((&told["status"], &told["within_seconds"]), (&json!(403), &json!(300)));
    let code = json!({ "code": factor.recovery_codes[0] });
    assert_eq!(send(&shop, &fresh, "/auth/step-up", &code).await.status(), 204);
    assert_eq!((sensitive(&fresh).await, sensitive(&access).await), (0, 7), "of this session alone");
    assert_eq!(
        refused(send(&shop, &fresh, "/auth/step-up", &code).await).await,
        (422, "wrong-code".to_owned())
    );
    let listed: Value = shop.with_token("GET", "/auth/factors", &access).await.json().await.unwrap();
    assert_eq!((&listed["items"][0]["id"], &listed["recovery_codes"]), (&json!(factor.id), &json!(9)));

    // Keys and the operator are asked for none.
    let operator = shop.shop.operator_token().unwrap();
    assert_eq!(sensitive(&operator).await, 0);
    assert_eq!(
        refused(send(&shop, &operator, "/auth/step-up", &code).await).await.0,
        401,
        "it has no session"
    );

    // Removed by the operator: the sessions end, and a password is enough again.
    shop.account("reset-factor", admin.id).await;
    assert_eq!(shop.with_token("GET", "/auth/factors", &fresh).await.status(), 401);
    shop.sign_in(admin).await;
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_must_have_a_second_factor_adds_one_and_does_nothing_else_before() {
    let (shop, accounts) = Served::requiring(&["admin", "support"], &["admin", "ops"]).await;
    let admin = &accounts[0];
    let (of_support, _) = shop.sign_in(&accounts[1]).await;
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &of_support).await.status(), 200);
    let (access, _) = shop.sign_in(admin).await;
    for path in ["/api/audit/timeline", "/orders", "/products", "/users", "/analytics/sales?group_by=sku"] {
        let got = refused(shop.with_token("GET", path, &access).await).await;
        assert_eq!(got, (403, "second-factor-required".to_owned()), "{path}");
    }
    let product = json!({ "name": "Mug", "variants": [{ "sku": "MUG" }] });
    let got = refused(send(&shop, &access, "/products", &product).await).await;
    assert_eq!(got, (403, "second-factor-required".to_owned()));
    add(&shop, &access, admin).await;
    assert_eq!(shop.with_token("GET", "/api/audit/timeline", &access).await.status(), 200);
    pass_five_minutes(&shop).await;
    assert_eq!(
        shop.with_token("GET", "/api/audit/timeline", &access).await.status(),
        200,
        "it was given once"
    );
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_above_its_limit_asks_for_a_second_factor_and_one_at_the_limit_does_not() {
    let factors =
        FactorSettings { step_up_refund: vec!["EUR=10000".parse().unwrap()], ..FactorSettings::default() };
    let (shop, accounts) = Served::asking(&["admin"], factors).await;
    let (access, _) = shop.sign_in(&accounts[0]).await;
    let product = json!({ "name": "Mug", "variants": [{ "sku": "MUG", "price": { "amount": 500, "currency": "EUR" } }] });
    let operator = shop.shop.operator_token().unwrap();
    assert_eq!(send(&shop, &operator, "/products", &product).await.status(), 201);
    let credit = async |token: &str, amount: i64, currency: &str| {
        let price = json!({ "amount": amount, "currency": currency });
        let line = json!({ "sku": "MUG", "quantity": 2, "price": price });
        let request = shop.client.post(shop.url("/credit-notes")).bearer_auth(token);
        let request = request.header("idempotency-key", Uuid::new_v4().to_string());
        let got = request.json(&json!({ "lines": [line], "country": "France" })).send().await.unwrap();
        let status = got.status().as_u16();
        (status, refused(got).await.1)
    };
    let asked = (403, "second-factor-required".to_owned());
    assert_eq!(credit(&access, 5_001, "EUR").await, asked);
    assert_eq!(credit(&access, 5_000, "EUR").await.0, 201);
    assert_eq!(credit(&access, 500_000, "GBP").await.0, 201, "it has no limit");
    assert_eq!(credit(&operator, 5_001, "EUR").await.0, 201, "the operator's token is asked for none");
    add(&shop, &access, &accounts[0]).await;
    assert_eq!(credit(&access, 5_001, "EUR").await.0, 201);
    pass_five_minutes(&shop).await;
    assert_eq!(credit(&access, 5_001, "EUR").await, asked);
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn factors_are_added_with_the_password_and_codes_are_counted() {
    let (shop, accounts) = Served::with(&["support", "customer"]).await;
    let grace = &accounts[0];
    let (access, _) = shop.sign_in(grace).await;
    let wrong = send(&shop, &access, "/auth/factors", &json!({ "password": "a wrong password" })).await;
    let status = wrong.status();
    let told: Value = wrong.json().await.unwrap();
    assert_eq!(
        (status.as_u16(), &told["type"], &told["pointer"]),
        (422, &json!("/problems/wrong-password"), &json!("/password"))
    );
    let mut factor = add(&shop, &access, grace).await;
    let proof = async |id: &str, token: &str| {
        refused(send(&shop, token, &format!("/auth/factors/{id}/proof"), &json!({ "code": "123456" })).await)
            .await
    };
    assert_eq!(proof(&factor.id, &access).await, (404, "factor-not-found".to_owned()), "it is proved");
    assert_eq!(proof("x", &access).await, (400, "invalid-id".to_owned()));
    // Of somebody else it looks as if there were none.
    let (strange, _) = shop.sign_in(&accounts[1]).await;
    assert_eq!(proof(&factor.id, &strange).await, (404, "factor-not-found".to_owned()));
    let remove = async |token: &str| {
        refused(shop.with_token("DELETE", &format!("/auth/factors/{}", factor.id), token).await).await
    };
    assert_eq!(remove(&strange).await, (403, "second-factor-required".to_owned()));
    pass_five_minutes(&shop).await;
    for got in [
        remove(&access).await,
        refused(shop.with_token("POST", "/auth/recovery-codes", &access).await).await,
        refused(send(&shop, &access, "/auth/factors", &json!({ "password": grace.password })).await).await,
    ] {
        assert_eq!(got, (403, "second-factor-required".to_owned()));
    }
    let token = pending(&shop, grace).await;
    let code = factor.next();
    tokens(shop.post("/auth/second-factor", &json!({ "pending_token": token, "code": code })).await).await;
    // I28: the codes that were used already are wrong ones.
    let token = pending(&shop, grace).await;
    let mut ends = Vec::new();
    // Five of an hour; the hour may end meanwhile.
    while ends.last().is_none_or(|end| end == "wrong-code") {
        let got = shop.post("/auth/second-factor", &json!({ "pending_token": token, "code": code })).await;
        ends.push(refused(got).await.1);
    }
    assert!((6..=10).contains(&ends.len()) && ends.last().unwrap() == "sign-in-ended", "{ends:?}");
    let got = send(&shop, &access, "/auth/step-up", &json!({ "code": code })).await;
    let wait: u64 = got.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait));
    assert_eq!(refused(got).await, (429, "too-many-codes".to_owned()));
    assert_eq!(shop.with_token("GET", "/auth/factors", &access).await.status(), 200, "the session goes on");
    for (path, body) in [
        ("/auth/second-factor", json!({ "pending_token": "x" })),
        ("/auth/second-factor", json!({ "pending_token": "x", "code": 123_456 })),
        ("/auth/step-up", json!({ "code": "1", "more": 1 })),
        ("/auth/factors", json!({})),
    ] {
        let got = refused(send(&shop, &access, path, &body).await).await;
        assert_eq!(got, (422, "invalid-body".to_owned()), "{path} {body}");
    }
    shop.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_viewers_sign_in_asks_for_the_code_in_a_second_step() {
    let (shop, accounts) = Served::with(&["support"]).await;
    let grace = &accounts[0];
    let (access, _) = shop.sign_in(grace).await;
    let mut factor = add(&shop, &access, grace).await;
    let fields =
        [("email", grace.email.as_str()), ("password", &grace.password), ("to", "/audit/operations")];
    let first = form(shop.client.post(shop.url("/audit/sign-in?lang=en")), &fields).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert!(
        first
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .all(|set| !set.to_str().unwrap().starts_with("soonshop_session"))
    );
    let page = first.text().await.unwrap();
    let after = page.split("name=\"token\" value=\"").nth(1).unwrap();
    let token = after.split('"').next().unwrap().to_owned();
    assert!(token.starts_with("ssp_") && page.contains("autocomplete=\"one-time-code\""), "{page}");
    let second = async |token: &str, code: &str| {
        let fields = [("token", token), ("code", code), ("to", "/audit/operations")];
        form(shop.client.post(shop.url("/audit/second-factor?lang=en")), &fields).send().await.unwrap()
    };
    let wrong = second(&token, &factor.secret.code(factor.last)).await;
    assert_eq!(wrong.status(), 422);
    let page = wrong.text().await.unwrap();
    assert!(page.contains("The code is wrong, or was used before.") && page.contains(&token), "{page}");
    let right = second(&token, &factor.next()).await;
    assert_eq!(
        (right.status().as_u16(), right.headers()[LOCATION].to_str().unwrap()),
        (303, "/audit/operations")
    );
    let set = right.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let opened = shop.client.get(shop.url("/audit/timeline")).header(COOKIE, &cookie).send().await.unwrap();
    assert_eq!(opened.status(), 200);
    let again = second(&token, &factor.recovery_codes[0]).await;
    assert_eq!(again.status(), 401);
    assert!(again.text().await.unwrap().contains("name=\"password\""), "back to the first step");
    shop.running.stop().await.unwrap();
}

/// What a browser does with the cookie of a session.
struct Browser<'a> {
    shop: &'a Served,
    cookie: String,
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Response {
        let request = self.shop.client.get(self.shop.url(path)).header(COOKIE, &self.cookie);
        request.header("accept", "text/html").send().await.unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let request = self.shop.client.post(self.shop.url(path)).header(COOKIE, &self.cookie);
        form(request.header("accept", "text/html"), fields).send().await.unwrap()
    }
}

fn leads_to(response: &Response) -> String {
    assert_eq!(response.status(), 303);
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_asks_for_a_second_factor_comes_back_with_what_was_typed() {
    let (shop, accounts) = Served::requiring(&["admin"], &["admin"]).await;
    let admin = &accounts[0];
    let fields = [("email", admin.email.as_str()), ("password", &admin.password), ("to", "/audit/timeline")];
    let signed = form(shop.client.post(shop.url("/audit/sign-in")), &fields).send().await.unwrap();
    let set = signed.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let browser = Browser { shop: &shop, cookie: set.split(';').next().unwrap().to_owned() };
    // Without a second factor only its page opens, with its style, in either language.
    let to = leads_to(&browser.get("/audit/timeline?lang=en").await);
    assert!(to.starts_with("/audit/factors?to=%2Faudit%2Ftimeline"), "{to}");
    for (lang, word) in
        [("en", "Your role must have a second factor."), ("zh-CN", "您的角色必须有第二要素。")]
    {
        let page = browser.get(&format!("/audit/factors?lang={lang}")).await;
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains(word), "{lang}");
    }
    assert_eq!(browser.get("/audit/audit.css").await.status(), 200);
    let wrong = browser.post("/audit/factors?lang=en", &[("password", "a wrong password")]).await;
    assert_eq!(wrong.status(), 422);
    let fields = [("password", admin.password.as_str()), ("to", "/audit/timeline")];
    let page = browser.post("/audit/factors?lang=en", &fields).await.text().await.unwrap();
    let between = |text: &str, before: &str, after: &str| {
        text.split(before).nth(1).unwrap().split(after).next().unwrap().to_owned()
    };
    let secret = between(&page, "secret=", "&amp;");
    assert!(page.contains("<svg") && page.contains(&format!(">{secret}<")), "{page}");
    let factor = between(&page, "name=\"factor\" value=\"", "\"");
    let secret = Secret::parse(&secret).unwrap();
    let last = step_at(clock::now().timestamp_millis());
    let mut factor = Factor { id: factor, secret, recovery_codes: Vec::new(), last };
    let code = factor.secret.code(last);
    let id = factor.id.clone();
    let prove = async |code: &str| {
        let fields = [("factor", id.as_str()), ("code", code), ("to", "/audit/timeline")];
        browser.post("/audit/factors/proofs?lang=en", &fields).await
    };
    assert_eq!(prove("letters").await.status(), 422);
    let page = prove(&code).await.text().await.unwrap();
    assert!(page.contains("href=\"/audit/timeline\""), "{page}");
    let codes: Vec<String> =
        page.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 10);
    factor.recovery_codes = codes;
    assert_eq!(browser.get("/audit/timeline").await.status(), 200);

    // Five minutes later a reveal asks for a code, and keeps the reason that was typed.
    pass_five_minutes(&shop).await;
    let path = format!("/audit/a/user/{}?lang=en", admin.id);
    while browser.get(&path).await.status() != 200 {}
    let reason = "a complaint of <Ada> & \"Bob\"";
    let asked = browser.post(&path, &[("reason", reason)]).await;
    assert_eq!(asked.status(), 403);
    let page = asked.text().await.unwrap();
    let kept = "name=\"reason\" value=\"a complaint of &lt;Ada&gt; &amp; &quot;Bob&quot;\"";
    assert!(page.contains(kept) && page.contains("autocomplete=\"one-time-code\""), "{page}");
    assert!(page.contains(&format!("action=\"{path}\"")), "{page}");
    let wrong = browser.post(&path, &[("reason", reason), ("code", &factor.secret.code(factor.last))]).await;
    assert_eq!(wrong.status(), 422);
    assert!(wrong.text().await.unwrap().contains(kept), "a wrong code loses nothing");
    let next = factor.next();
    let revealed = browser.post(&path, &[("reason", reason), ("code", &next)]).await;
    assert_eq!(revealed.status(), 200);
    assert!(revealed.text().await.unwrap().contains("admin@example.org"));
    assert_eq!(browser.post(&path, &[("reason", reason)]).await.status(), 200, "it is fresh now");

    // An export leads through the page that asks for a code.
    pass_five_minutes(&shop).await;
    let export = "/api/audit/export.csv?q=type%3Auser";
    let to = leads_to(&browser.get(export).await);
    assert!(to.starts_with("/audit/step-up?to=%2Fapi%2Faudit%2Fexport.csv"), "{to}");
    assert_eq!(browser.get(&to).await.status(), 200);
    let step =
        async |code: &str| browser.post("/audit/step-up?lang=en", &[("code", code), ("to", export)]).await;
    assert_eq!(step(&next).await.status(), 422, "it was used");
    assert_eq!(leads_to(&step(&factor.recovery_codes[0]).await), export);
    assert_eq!(browser.get(export).await.status(), 200);
    let elsewhere = browser
        .post("/audit/step-up", &[("code", &factor.recovery_codes[1]), ("to", "//evil.example")])
        .await;
    assert_eq!(leads_to(&elsewhere), "/audit");

    // New codes and the end of the factor, from its page.
    let page = browser.post("/audit/recovery-codes?lang=en", &[]).await.text().await.unwrap();
    let new = between(&page, "<li><code>", "<");
    assert!(!page.contains(&factor.recovery_codes[2]) && page.matches("<li><code>").count() == 10, "{page}");
    let page = browser.get("/audit/factors?lang=en").await.text().await.unwrap();
    assert!(page.contains("10 recovery codes are left."), "{page}");
    pass_five_minutes(&shop).await;
    let remove = async || browser.post("/audit/factors/removals", &[("factor", id.as_str())]).await;
    assert_eq!(leads_to(&remove().await), "/audit/step-up?to=%2Faudit%2Ffactors");
    let fresh = browser.post("/audit/step-up", &[("code", &new), ("to", "/audit/factors")]).await;
    assert_eq!(leads_to(&fresh), "/audit/factors");
    assert_eq!(leads_to(&remove().await), "/audit/factors");
    assert!(
        leads_to(&browser.get("/audit/timeline").await).starts_with("/audit/factors?to="),
        "it must have one"
    );
    shop.running.stop().await.unwrap();
}
